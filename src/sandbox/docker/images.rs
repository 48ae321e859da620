//! Where a sandbox's image comes from: one that is local, else pulled, else built from its Dockerfile,
//! else made from a distribution's packages where no image registry answers.
//!
//! Guarantees that every way that failed is in the error, and that a registry that does not answer costs
//! seconds. Only `sandbox build` makes an image from packages, because that takes minutes.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions};
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

use super::pulls::pull;
use super::unavailable;
use crate::sandbox::spec::{Bootstrap, SandboxSpec};
use crate::sandbox::{SandboxError, bootstrap};

/// How long a root file system may take to be made: the engine answers only at its end.
const MAKE_PATIENCE: Duration = Duration::from_secs(3600);

/// How an image was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    Local,
    /// A registry had it.
    Pulled,
    /// Its Dockerfile was built.
    Built,
    /// It was made from packages.
    Bootstrapped,
}

/// The tag of an image that we make for `spec`: it changes with what the image is made of.
pub fn tag(spec: &SandboxSpec) -> String {
    format!("apprentice/{}:{}", spec.name, spec.digest())
}

/// Names the local image of `spec`, if there is one.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the engine does not answer.
pub async fn local(docker: &Docker, spec: &SandboxSpec) -> Result<Option<String>, SandboxError> {
    for image in spec.image.iter().cloned().chain([tag(spec)]) {
        match docker.inspect_image(&image).await {
            Ok(ImageInspect { .. }) => return Ok(Some(image)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(unavailable(&error)),
        }
    }
    Ok(None)
}

/// What an image holds, for the record: the registry's digest of one that was pulled, else the engine's id.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the engine does not answer.
pub async fn digest(docker: &Docker, image: &str) -> Result<Option<String>, SandboxError> {
    match docker.inspect_image(image).await {
        Ok(found) => Ok(found.repo_digests.and_then(|digests| digests.into_iter().next()).or(found.id)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Gives the image of `spec`, pulled if need be.
///
/// # Errors
/// [`SandboxError::Image`] with every way that was tried.
pub async fn find(docker: &Docker, spec: &SandboxSpec) -> Result<String, SandboxError> {
    if let Some(image) = local(docker, spec).await? {
        return Ok(image);
    }
    let mut failed = vec![format!("`{}` is not local", spec.image.clone().unwrap_or_else(|| tag(spec)))];
    if let Some(image) = &spec.image {
        match pull(docker, image).await {
            Ok(()) => return Ok(image.clone()),
            Err(reason) => failed.push(reason),
        }
    }
    Err(cannot(spec, &failed, &format!("run `apprentice sandbox build {}`", spec.name)))
}

/// Makes the image of `spec` in the first way that works, telling `say` what goes on.
///
/// # Errors
/// [`SandboxError::Image`] with every way that was tried.
pub async fn build(
    docker: &Docker,
    spec: &SandboxSpec,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(String, Way), SandboxError> {
    if let Some(image) = local(docker, spec).await? {
        return Ok((image, Way::Local));
    }
    let mut failed = Vec::new();
    if let Some(image) = &spec.image {
        say(&format!("pulling {image}"));
        match pull(docker, image).await {
            Ok(()) => return Ok((image.clone(), Way::Pulled)),
            Err(reason) => failed.push(reason),
        }
    }
    let tag = tag(spec);
    if let Some(text) = spec.dockerfile_text() {
        say(&format!("building {tag} from its Dockerfile"));
        match build_dockerfile(docker, &tag, &text).await {
            Ok(()) => return Ok((tag, Way::Built)),
            Err(reason) => failed.push(reason),
        }
    }
    if let Some(bootstrap) = &spec.bootstrap {
        say(&format!("making {tag} from packages of {}", bootstrap.suite));
        match make(docker, &tag, bootstrap).await {
            Ok(()) => return Ok((tag, Way::Bootstrapped)),
            Err(reason) => failed.push(reason),
        }
    }
    if failed.is_empty() {
        failed.push("it names no image, Dockerfile or bootstrap".to_owned());
    }
    let hint = match &spec.bootstrap {
        Some(_) => "install what makes it: `apt-get install -y mmdebstrap` (as root), then run this again",
        None => "give the sandbox a `bootstrap:` section",
    };
    Err(cannot(spec, &failed, hint))
}

fn cannot(spec: &SandboxSpec, failed: &[String], hint: &str) -> SandboxError {
    SandboxError::Image { image: spec.name.clone(), reason: failed.join("; "), hint: hint.to_owned() }
}

async fn build_dockerfile(docker: &Docker, tag: &str, text: &str) -> Result<(), String> {
    let mut context = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let packed =
        context.append_data(&mut header, "Dockerfile", text.as_bytes()).and_then(|()| context.into_inner());
    let context = packed.map_err(|error| format!("the Dockerfile could not be packed: {error}"))?;
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(tag.to_owned()),
        rm: true,
        forcerm: true,
        ..BuildImageOptions::default()
    };
    let progress = docker.build_image(options, None, Some(bollard::body_full(context.into())));
    progress
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(|error| format!("its Dockerfile could not be built: {error}"))
}

/// Pipes a root file system made by mmdebstrap into the engine.
async fn make(docker: &Docker, tag: &str, made_of: &Bootstrap) -> Result<(), String> {
    let mut child = match bootstrap::command(made_of).spawn() {
        Ok(child) => child,
        Err(error) => return Err(format!("mmdebstrap could not be started: {error}")),
    };
    let stdout = child.stdout.take().expect("invariant: stdout is piped");
    let mut stderr = child.stderr.take().expect("invariant: stderr is piped");
    let (repo, version) = tag.split_once(':').expect("invariant: our tags have a version");
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repo.to_owned()),
        tag: Some(version.to_owned()),
        changes: vec!["CMD [\"bash\"]".to_owned()],
        ..CreateImageOptions::default()
    };
    let chunks = futures_util::stream::unfold(stdout, |mut stdout| async {
        let mut chunk = Vec::with_capacity(1 << 20);
        match stdout.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.into()), stdout)),
            Err(error) => Some((Err(error), stdout)),
        }
    });
    let patient = docker.clone().with_timeout(MAKE_PATIENCE);
    let import = patient.create_image(Some(options), Some(bollard::body_try_stream(chunks)), None);
    let mut log = String::new();
    let (imported, _) =
        tokio::join!(import.try_for_each(|_| async { Ok(()) }), stderr.read_to_string(&mut log));
    let status = child.wait().await.map_err(|error| format!("mmdebstrap was lost: {error}"))?;
    if !status.success() {
        // What was imported is cut off in the middle.
        drop(super::owner::remove_image(docker, tag).await);
        let mut reason = format!("mmdebstrap failed: {}", bootstrap::last_words(&log));
        if let Err(error) = imported {
            reason = format!("{reason}; the engine stopped reading: {error}");
        }
        return Err(reason);
    }
    imported.map_err(|error| format!("the engine refused the root file system: {error}"))
}
