//! `apprentice sandbox build`: images and root file systems made ready ahead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::failure;
use crate::sandbox::Say;
use crate::sandbox::rootfs::{self, Shelf};
use crate::sandbox::select::BackendKind;
use crate::sandbox::spec::SandboxSpec;

/// Make sandboxes' Docker images or root file systems: pulled, built, or from a distribution's packages
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The sandboxes' names, such as `shell` or `python`; images are pulled side by side, and made one by one
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Make it for: docker (an image), namespaces (a root file system), or auto, docker where a daemon answers
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Docker)]
    kind: BackendKind,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

pub(super) async fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let spec = |name: &String| super::load(name, &args.sandboxes).map(Arc::new);
    let specs = args.names.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    let say = |line: &str| output.say(line);
    let is_docker = match args.kind {
        BackendKind::Docker => true,
        BackendKind::Auto => docker_answers().await,
        BackendKind::Namespaces => false,
        BackendKind::Landlock => {
            return Err(Failure::usage(anyhow::anyhow!("landlock sandboxes use the host's programs alone"))
                .with_hint("build for docker or namespaces"));
        }
    };
    if is_docker {
        return images(&specs, &say, output).await;
    }
    for spec in &specs {
        let begin = Instant::now();
        let made = root(spec, &say).await?;
        made.show(spec, begin, output)?;
    }
    Ok(Answer::Yes)
}

/// What was made: an image with its digest, or a root file system.
struct Made {
    image: Option<String>,
    digest: Option<String>,
    rootfs: Option<String>,
    /// How it was had.
    how: &'static str,
}

impl Made {
    fn show(&self, spec: &SandboxSpec, begin: Instant, output: Output) -> Result<(), Failure> {
        let Self { image, digest, rootfs, how } = self;
        let seconds = begin.elapsed().as_secs_f64();
        let value = serde_json::json!({
            "format": "apprentice.build/1", "sandbox": spec.name, "image": image, "digest": digest,
            "rootfs": rootfs, "how": how, "seconds": seconds,
        });
        let name = image.as_ref().or(rootfs.as_ref()).map_or("", String::as_str);
        let digest = digest.as_ref().map_or_else(String::new, |digest| format!("\n  {digest}"));
        output.result(&value, &format!("{name} {how} in {seconds:.1} s{digest}")).map_err(Failure::host)
    }
}

/// Makes a root file system.
async fn root(spec: &SandboxSpec, say: Say<'_>) -> Result<Made, Failure> {
    let shelf = Shelf::of_user().ok_or_else(|| {
        Failure::host(anyhow::anyhow!("neither XDG_CACHE_HOME nor HOME says where root file systems lie"))
            .with_hint("set XDG_CACHE_HOME to a directory")
    })?;
    let (root, way) = shelf.build(spec, say).await.map_err(failure)?;
    let how = match way {
        rootfs::Way::Local => "was there",
        rootfs::Way::Made => "was made from packages",
    };
    let digest = rootfs::digest(&root);
    Ok(Made { image: None, digest, rootfs: Some(root.display().to_string()), how })
}

#[cfg(feature = "docker")]
async fn docker_answers() -> bool {
    use crate::isolation::Isolation;
    use crate::sandbox::docker::DockerBackend;

    DockerBackend::connect(Isolation::Full).await.is_ok()
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn docker_answers() -> bool {
    false
}

/// Has images pulled side by side, and makes one by one what no registry has.
#[cfg(feature = "docker")]
async fn images(specs: &[Arc<SandboxSpec>], say: Say<'_>, output: Output) -> Result<Answer, Failure> {
    use crate::isolation::Isolation;
    use crate::sandbox::docker::{DockerBackend, Way};
    use crate::sandbox::select::AT_A_TIME;
    use futures_util::{FutureExt, StreamExt};

    let backend = DockerBackend::connect(Isolation::Full).await.map_err(failure)?;
    let one_by_one = tokio::sync::Mutex::new(());
    let works = specs.iter().map(|spec| {
        let (backend, one_by_one) = (&backend, &one_by_one);
        let work = async move {
            let begin = Instant::now();
            (begin, backend.build(spec, one_by_one, say).await)
        };
        work.boxed()
    });
    let mut made = futures_util::stream::iter(works).buffered(AT_A_TIME);
    let mut first = Ok(Answer::Yes);
    for spec in specs {
        let Some((begin, built)) = made.next().await else { break };
        let (image, way) = match built {
            Ok(built) => built,
            // The others are made all the same.
            Err(error) if first.is_ok() => {
                first = Err(failure(error));
                continue;
            }
            Err(error) => {
                say(&format!("error: {error}"));
                continue;
            }
        };
        let how = match way {
            Way::Local => "was there",
            Way::Pulled => "was pulled",
            Way::Built => "was built from its Dockerfile",
            Way::Bootstrapped => "was made from packages",
        };
        let digest = Some(image.fingerprint().to_owned());
        Made { image: Some(image.name), digest, rootfs: None, how }.show(spec, begin, output)?;
    }
    first
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn images(_specs: &[Arc<SandboxSpec>], _say: Say<'_>, _output: Output) -> Result<Answer, Failure> {
    Err(Failure::host(anyhow::anyhow!("this program was built without docker"))
        .with_hint("build it with `--features docker`, or pass `--sandbox namespaces`"))
}
