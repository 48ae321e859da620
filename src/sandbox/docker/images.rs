//! Where a sandbox's image comes from: one that is local, else pulled, else built from its Dockerfile,
//! else made from a distribution's packages where no image registry answers.
//!
//! Guarantees that every way that failed is in the error, that a registry that does not answer costs
//! seconds, and that an image which was found is not removed for room while it is used. Only `sandbox build`
//! makes an image from packages, because that takes minutes.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions};
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

use super::evict::Store;
use super::fetch;
use super::ledger::Use;
use super::reference::{Reference, short};
use super::unavailable;
use crate::sandbox::spec::{Bootstrap, SandboxSpec};
use crate::sandbox::{SandboxError, Say, bootstrap};

/// How long a root file system may take to be made: the engine answers only at its end.
const MAKE_PATIENCE: Duration = Duration::from_secs(3600);

/// How often an image is pulled that another process removes at once.
const PULLS: usize = 3;

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

/// An image: found once for a command, and the same to its end, whatever becomes of its name.
#[derive(Debug)]
pub struct Image {
    /// What the specification calls it, or what we call one that we made.
    pub name: String,
    /// The engine's id: a digest of all it holds.
    pub id: String,
    /// What registries call it, with its repository; absent for one that no registry has.
    pub digest: Option<String>,
    /// Variables that it sets.
    pub(super) env: Vec<(String, String)>,
    /// Whether it has a name that we give to what we pull.
    is_marked: bool,
    /// Held against removal, for as long as this lives.
    _held: Option<Use>,
}

impl Image {
    /// What it holds, for the record: the registry's digest, else the engine's id.
    pub fn fingerprint(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.id)
    }

    /// Its name with a short digest, for people.
    pub fn described(&self) -> String {
        let fingerprint = self.fingerprint();
        let digest = fingerprint.rsplit('@').next().unwrap_or(fingerprint);
        if self.name.contains(digest) {
            short(&self.name)
        } else {
            format!("{} ({})", self.name, short(digest))
        }
    }

    fn of(name: String, found: ImageInspect) -> Self {
        // The same image may be in other repositories too.
        let repository = Reference::parse(&name).map(|reference| reference.repository());
        let is_of = |digest: &String| {
            repository
                .as_ref()
                .is_ok_and(|own| Reference::parse(digest).is_ok_and(|found| found.repository() == *own))
        };
        let env = found.config.and_then(|config| config.env).unwrap_or_default();
        let env = env.iter().filter_map(|line| line.split_once('='));
        Self {
            name,
            id: found.id.unwrap_or_default(),
            digest: found.repo_digests.into_iter().flatten().find(|digest| is_of(digest)),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            is_marked: found.repo_tags.iter().flatten().any(|name| fetch::is_mark(name)),
            _held: None,
        }
    }
}

/// Finds the local image of `spec`, if there is one.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the engine does not answer; [`SandboxError::Image`] when its name is none.
pub async fn local(docker: &Docker, spec: &SandboxSpec) -> Result<Option<Image>, SandboxError> {
    let mut candidates = Vec::new();
    if let Some(reference) = reference(spec)? {
        // One that the user pulled or made, then one that we pulled.
        candidates.push((reference.asked(), reference.to_string()));
        candidates.push((fetch::mark(&reference), reference.to_string()));
    }
    candidates.push((tag(spec), tag(spec)));
    for (asked, name) in candidates {
        match docker.inspect_image(&asked).await {
            Ok(found) => return Ok(Some(Image::of(name, found))),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(unavailable(&error)),
        }
    }
    Ok(None)
}

fn reference(spec: &SandboxSpec) -> Result<Option<Reference>, SandboxError> {
    let parsed = spec.image.as_deref().map(Reference::parse).transpose();
    parsed.map_err(|reason| {
        let hint = "write `image:` as `name:tag`, `name@sha256:…` or `name:tag@sha256:…`";
        cannot(spec, &[reason], hint)
    })
}

impl Store<'_> {
    /// Gives the image of `spec`, pulled if need be.
    ///
    /// # Errors
    /// [`SandboxError::Image`] with every way that was tried.
    pub(super) async fn find(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Image, SandboxError> {
        if let Some(image) = self.held(spec).await? {
            return Ok(image);
        }
        let mut failed = vec![format!("`{}` is not local", spec.image.clone().unwrap_or_else(|| tag(spec)))];
        match self.pulled(spec, say).await? {
            Some(Ok(image)) => return Ok(image),
            Some(Err(reason)) => failed.push(reason),
            None => {}
        }
        Err(cannot(spec, &failed, &format!("run `apprentice sandbox build {}`", spec.name)))
    }

    /// Makes the image of `spec` in the first way that works; what is not pulled is made `one_by_one`.
    ///
    /// # Errors
    /// [`SandboxError::Image`] with every way that was tried.
    pub(super) async fn build(
        &self,
        spec: &SandboxSpec,
        one_by_one: &tokio::sync::Mutex<()>,
        say: Say<'_>,
    ) -> Result<(Image, Way), SandboxError> {
        if let Some(image) = self.held(spec).await? {
            return Ok((image, Way::Local));
        }
        let mut failed = Vec::new();
        match self.pulled(spec, say).await? {
            Some(Ok(image)) => return Ok((image, Way::Pulled)),
            Some(Err(reason)) => failed.push(reason),
            None => {}
        }
        let _one_by_one = one_by_one.lock().await;
        if let Some(way) = make_own(self.docker, spec, &mut failed, say).await
            && let Some(image) = self.held(spec).await?
        {
            return Ok((image, way));
        }
        if failed.is_empty() {
            failed.push("it names no image, Dockerfile or bootstrap".to_owned());
        }
        let hint = match &spec.bootstrap {
            Some(_) => {
                "install what makes it: `apt-get install -y mmdebstrap` (as root), then run this again"
            }
            None => "give the sandbox a `bootstrap:` section",
        };
        Err(cannot(spec, &failed, hint))
    }

    /// Pulls what `spec` names: `None` where it names nothing, and else the image or why there is none.
    pub(super) async fn pulled(
        &self,
        spec: &SandboxSpec,
        say: Say<'_>,
    ) -> Result<Option<Result<Image, String>>, SandboxError> {
        let Some(reference) = reference(spec)? else { return Ok(None) };
        for _ in 0..PULLS {
            if let Err(reason) = fetch::fetch(self, &reference, say).await {
                return Ok(Some(Err(reason)));
            }
            // Another process may make room the moment after.
            if let Some(image) = self.held(spec).await? {
                return Ok(Some(Ok(image)));
            }
        }
        Ok(Some(Err(format!("`{reference}` was removed as soon as it was pulled, {PULLS} times"))))
    }

    /// Finds the local image of `spec`, and holds it if it is one that we may remove.
    async fn held(&self, spec: &SandboxSpec) -> Result<Option<Image>, SandboxError> {
        loop {
            let Some(image) = local(self.docker, spec).await? else { return Ok(None) };
            let Some(ledger) = self.ledger.filter(|_| image.is_marked) else { return Ok(Some(image)) };
            let held = ledger.hold(&image.id).await.map_err(|source| SandboxError::Host {
                doing: "lock the note of an image in",
                path: "the user's cache directory".into(),
                source,
            })?;
            match self.docker.inspect_image(&image.id).await {
                Ok(_) => return Ok(Some(Image { _held: held, ..image })),
                // It was removed while we waited for it.
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
    }

    /// Brings back `image`, which was removed: the same one, or it is an error.
    pub(super) async fn bring_back(&self, spec: &SandboxSpec, image: &Image) -> Result<(), SandboxError> {
        let pinned =
            SandboxSpec { image: image.digest.clone().or_else(|| spec.image.clone()), ..spec.clone() };
        let again = self.find(&pinned, &|line| tracing::info!(line, "an image was removed")).await?;
        if again.id == image.id {
            return Ok(());
        }
        let reason = format!(
            "it was removed while this command uses it, and what has its name now is another ({} instead of {})",
            short(&again.id),
            short(&image.id)
        );
        Err(cannot(spec, &[reason], "run this command again, or name the image by its digest"))
    }
}

fn cannot(spec: &SandboxSpec, failed: &[String], hint: &str) -> SandboxError {
    SandboxError::Image { image: spec.name.clone(), reason: failed.join("; "), hint: hint.to_owned() }
}

/// Makes the image of `spec` that no registry has; `failed` takes why a way did not work.
async fn make_own(
    docker: &Docker,
    spec: &SandboxSpec,
    failed: &mut Vec<String>,
    say: Say<'_>,
) -> Option<Way> {
    let tag = tag(spec);
    if let Some(text) = spec.dockerfile_text() {
        say(&format!("building {tag} from its Dockerfile"));
        match build_dockerfile(docker, &tag, &text).await {
            Ok(()) => return Some(Way::Built),
            Err(reason) => failed.push(reason),
        }
    }
    if let Some(bootstrap) = &spec.bootstrap {
        say(&format!("making {tag} from packages of {}", bootstrap.suite));
        match make(docker, &tag, bootstrap).await {
            Ok(()) => return Some(Way::Bootstrapped),
            Err(reason) => failed.push(reason),
        }
    }
    None
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
