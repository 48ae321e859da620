//! `apprentice sandbox list`.

use std::path::{Path, PathBuf};

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use crate::sandbox::rootfs::{self, Shelf};
use crate::sandbox::spec;

/// List the kinds of sandboxes with the digests of what is there, and what is running
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

/// What an engine has: the image of a kind of sandbox, and its digest.
struct Found {
    sandbox: String,
    image: String,
    digest: String,
    /// For people.
    shown: String,
}

pub(super) async fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let (images, running) = in_docker(&args.sandboxes).await;
    let shelf = Shelf::of_user();
    let mut kinds = Vec::new();
    let mut lines = Vec::new();
    for name in spec::names(&args.sandboxes) {
        let spec = super::load(&name, &args.sandboxes)?;
        let found = images.iter().find(|found| found.sandbox == name);
        let root = shelf.as_ref().and_then(|shelf| shelf.find(&spec));
        let host = match (&root, spec.host) {
            (Some(_), _) => "has a root file system",
            (None, true) => "may use the host's programs",
            (None, false) => "no root file system",
        };
        let shown = found.map_or("no image", |found| found.shown.as_str());
        lines.push(format!("{name:<12} {shown:<58} {host}"));
        let from = spec.file.as_ref().map_or_else(|| "shipped".to_owned(), |file| file.display().to_string());
        kinds.push(serde_json::json!({
            "name": name, "from": from, "image": found.map(|found| &found.image),
            "digest": found.map(|found| &found.digest), "rootfs": root,
            "rootfs_digest": root.as_deref().and_then(rootfs::digest), "host": spec.host,
        }));
    }
    for one in &running {
        lines.push(format!("{one}"));
    }
    let value = serde_json::json!({"format": "apprentice.sandboxes/1", "kinds": kinds, "running": running});
    output.result(&value, &lines.join("\n")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

/// The images of the sandboxes, and what is in Docker; nothing where no daemon answers.
#[cfg(feature = "docker")]
async fn in_docker(directory: &Path) -> (Vec<Found>, Vec<serde_json::Value>) {
    use crate::isolation::Isolation;
    use crate::sandbox::docker::{DockerBackend, images, leftovers};
    use crate::sandbox::spec::SandboxSpec;

    let Ok(backend) = DockerBackend::connect(Isolation::Full).await else { return (Vec::new(), Vec::new()) };
    let mut found = Vec::new();
    for sandbox in spec::names(directory) {
        let Ok(spec) = SandboxSpec::load(&sandbox, directory) else { continue };
        if let Ok(Some(image)) = images::local(backend.docker(), &spec).await {
            let digest = image.fingerprint().to_owned();
            let shown = image.described();
            found.push(Found { sandbox, image: image.name, digest, shown });
        }
    }
    let running = leftovers(backend.docker()).await.unwrap_or_default();
    (found, running.iter().filter_map(|leftover| serde_json::to_value(leftover).ok()).collect())
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn in_docker(_directory: &Path) -> (Vec<Found>, Vec<serde_json::Value>) {
    (Vec::new(), Vec::new())
}
