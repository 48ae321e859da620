//! What one command knows of its engine: found once, shared by all its sandboxes.
//!
//! Guarantees that a name means the same image to the end of the command, whatever becomes of its tag, and that
//! an image is pulled and made ready once however many ask for it at a time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::SystemInfo;
use tokio::sync::{Mutex, OnceCell};

use super::disk::KeepFree;
use super::evict::{Room, Store};
use super::images::Image;
use super::ledger::Ledger;
use super::prepare::{Preparation, Prepared};
use super::program::Program;
use super::unavailable;
use super::usr::{self, Usr};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{SandboxError, Say};

/// An engine as one command sees it.
pub(super) struct Engine {
    pub(super) docker: Docker,
    pub(super) settings: Settings,
    info: OnceCell<SystemInfo>,
    is_podman: OnceCell<bool>,
    program: OnceCell<Program>,
    ledger: OnceCell<Option<Ledger>>,
    /// Images by what specifications call them.
    images: Mutex<HashMap<String, Arc<OnceCell<Arc<Image>>>>>,
    /// Images that were made ready, by what they were made of.
    prepared: Mutex<HashMap<String, Arc<OnceCell<Prepared>>>>,
    /// Volumes by the image made ready that they belong to; none where sandboxes go without.
    volumes: Mutex<HashMap<String, Arc<OnceCell<Option<String>>>>>,
    /// Held while a lost image is made ready again.
    again: Mutex<()>,
}

/// What is chosen before an engine is asked anything.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The program that runs inside containers, where it is not the one that runs here.
    pub(super) exe: Option<PathBuf>,
    pub(super) keep: KeepFree,
    /// Where it is noted what was pulled; nowhere when absent.
    pub(super) notes: Option<PathBuf>,
}

impl Engine {
    pub(super) fn new(docker: Docker, settings: Settings) -> Self {
        Self {
            docker,
            settings,
            info: OnceCell::new(),
            is_podman: OnceCell::new(),
            program: OnceCell::new(),
            ledger: OnceCell::new(),
            images: Mutex::default(),
            prepared: Mutex::default(),
            volumes: Mutex::default(),
            again: Mutex::default(),
        }
    }

    pub(super) async fn info(&self) -> Result<&SystemInfo, SandboxError> {
        self.info
            .get_or_try_init(|| async { self.docker.info().await.map_err(|error| unavailable(&error)) })
            .await
    }

    /// Whether the engine is Podman, which cannot give a file system in memory an owner or a number of inodes.
    pub(super) async fn is_podman(&self) -> Result<bool, SandboxError> {
        let ask = || async {
            let version = self.docker.version().await.map_err(|error| unavailable(&error))?;
            Ok(version.components.iter().flatten().any(|component| component.name.contains("Podman")))
        };
        self.is_podman.get_or_try_init(ask).await.copied()
    }

    /// The program that serves in every container.
    pub(super) async fn program(&self) -> Result<&Program, SandboxError> {
        self.program
            .get_or_try_init(|| async {
                let exe = match &self.settings.exe {
                    Some(exe) => exe.clone(),
                    None => "/proc/self/exe".into(),
                };
                let exe = fs_err::canonicalize(&exe).unwrap_or(exe);
                let found = tokio::task::spawn_blocking({
                    let exe = exe.clone();
                    move || Program::of(&exe)
                });
                let found = found.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                found.map_err(|source| SandboxError::Host { doing: "read", path: exe, source })
            })
            .await
    }

    /// Puts that program in its place in the container `id`, which has not started.
    pub(super) async fn bring_program(&self, id: &str) -> Result<(), SandboxError> {
        let program = self.program().await?.clone();
        let archive = tokio::task::spawn_blocking(move || program.pack_again()).await;
        let archive = archive.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let archive = archive.map_err(super::files::lost(id, "being given its program"))?;
        super::files::upload(&self.docker, id, archive).await
    }

    /// The engine with what is known of its images.
    pub(super) async fn store(&self) -> Result<Store<'_>, SandboxError> {
        let info = self.info().await?;
        let ledger = || async { Ledger::at(self.settings.notes.as_deref()?, info.id.as_deref()?) };
        let ledger = self.ledger.get_or_init(ledger).await.as_ref();
        Ok(Store { docker: &self.docker, ledger, room: Room { keep: self.settings.keep, info } })
    }

    /// The image of `spec`, pulled if need be: the same one whenever this is asked.
    pub(super) async fn image(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Arc<Image>, SandboxError> {
        let key = serde_json::json!([spec.image, spec.name, spec.digest()]).to_string();
        let cell = self.images.lock().await.entry(key).or_default().clone();
        let find = || async { Ok(Arc::new(self.store().await?.find(spec, say).await?)) };
        cell.get_or_try_init(find).await.cloned()
    }

    /// The image of `spec`, made ready.
    pub(super) async fn prepared(
        &self,
        spec: &SandboxSpec,
        image: &Image,
        holds_tree: bool,
    ) -> Result<Prepared, SandboxError> {
        let key = serde_json::json!([image.id, spec.user, spec.workdir, holds_tree]).to_string();
        let cell = self.prepared.lock().await.entry(key).or_default().clone();
        cell.get_or_try_init(|| self.prepare(spec, image, holds_tree)).await.cloned()
    }

    /// Makes an image ready again that was ready, and was removed from the engine.
    pub(super) async fn prepare_again(
        &self,
        spec: &SandboxSpec,
        image: &Image,
        holds_tree: bool,
    ) -> Result<(), SandboxError> {
        let _one_at_a_time = self.again.lock().await;
        let prepared = self.prepare(spec, image, holds_tree).await?;
        self.forget_usr(&prepared.image).await;
        Ok(())
    }

    /// The volume that holds `/usr` of the image made ready called `image`, where that is worth its room.
    pub(super) async fn usr(&self, image: &str, sandbox: &str) -> Result<Option<String>, SandboxError> {
        let store = self.store().await?;
        if !usr::pays(store.room.info) || self.is_podman().await? {
            return Ok(None);
        }
        let argv = self.program().await?.argv();
        let cell = self.volumes.lock().await.entry(image.to_owned()).or_default().clone();
        let find = || async {
            let usr = Usr { store, image, sandbox, program: &argv[0] };
            usr.find().await.unwrap_or_else(|error| {
                tracing::warn!(image, %error, "its programs could not be copied to a volume, and start slower");
                None
            })
        };
        Ok(cell.get_or_init(find).await.clone())
    }

    /// Has the next [`Engine::usr`] look again.
    pub(super) async fn forget_usr(&self, image: &str) {
        self.volumes.lock().await.remove(image);
    }

    async fn prepare(
        &self,
        spec: &SandboxSpec,
        image: &Image,
        holds_tree: bool,
    ) -> Result<Prepared, SandboxError> {
        let (store, program) = (self.store().await?, self.program().await?);
        Preparation { store, spec, program, image, holds_tree }.run().await
    }
}
