//! One container as a sandbox.
//!
//! Its first process is ours: it starts commands, ends them at their deadline and collects what they leave.
//! Messages pass the engine until a socket of our own takes their place, where one can be had. When the manager is
//! gone both lines are closed, that process ends, and the engine removes the container.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptions, InspectContainerOptions};
use tokio::sync::{mpsc, oneshot};

use super::files::{self, SESSION_DIRECTORY};
use super::line::Line;
use super::owner;
use super::recipe::{Recipe, START, Storage};
use super::running::Running;
use crate::patch::{LeftOut, Why};
use crate::sandbox::inside::protocol::{Differences, Fill, Found, Ran, Request, Run, Scope, Wrote};
use crate::sandbox::session::SessionDir;
use crate::sandbox::terminal::Terminal;
use crate::sandbox::tree::{self, Compared, Told, Tree};
use crate::sandbox::{Contact, Exec, FileRead, FileWrite, Kept, Sandbox, SandboxError, kept};
use crate::trajectory::{Exit, Observation};

/// How long our own small requests may take, and how much longer than its deadline a command.
const PATIENCE: Duration = Duration::from_secs(60);
/// Forks come in groups, so this many are made ready while one is used.
const FORKS_AHEAD: usize = 1;
/// How often the bytes that a sandbox wrote to its disk are measured while a command runs.
const DISK_PERIOD: Duration = Duration::from_secs(2);
/// What the kernel sends a process that writes too much.
pub(super) const SIGXFSZ: i32 = 25;
/// An archive of differences holds headers beside the files' bytes.
const ARCHIVE_BYTES: usize = 2 * tree::CHANGED_BYTES as usize;

/// An image made by a fork, removed after the last container that needs it.
#[derive(Debug)]
struct Layer {
    image: String,
    parent: Option<Arc<Layer>>,
}

/// A container as a sandbox.
pub(super) struct Container {
    running: Running,
    recipe: Arc<Recipe>,
    /// Where its image comes from, if a fork made it; its first process did not see the start then.
    layer: Option<Arc<Layer>>,
}

impl Container {
    pub(super) fn new(running: Running, recipe: Arc<Recipe>) -> Self {
        Self { running, recipe, layer: None }
    }

    /// Takes over what `parent` has changed; both have the same start.
    async fn follow(&self, parent: &Self) -> Result<(), SandboxError> {
        let (gone_sender, gone_receiver) = oneshot::channel();
        let (piece_sender, piece_receiver) = mpsc::channel(8);
        let told = parent.running.with("being forked", START, |line| {
            Box::pin(async move {
                line.send(&Request::Delta(Scope::Everything), &[]).await?;
                let (differences, gone) = line.receive::<Differences>().await?;
                // Whoever does not listen any more says why.
                drop(gone_sender.send(gone));
                loop {
                    let ((), piece) = line.receive().await?;
                    if piece.is_empty() {
                        return Ok(differences);
                    }
                    drop(piece_sender.send(piece).await);
                }
            })
        });
        let heard = self.running.with("taking over a fork's files", START, |line| {
            Box::pin(async move {
                let gone = gone_receiver.await.map_err(|_| io::Error::other("the fork's parent is gone"))?;
                line.send(&Request::Fill(Fill::Fork), &gone).await?;
                line.send_pieces(piece_receiver).await?;
                Ok(line.receive::<Wrote>().await?.0)
            })
        });
        let (told, heard) = tokio::join!(told, heard);
        let left_out = told?.left_out;
        if !left_out.is_empty() {
            let reason = anyhow!("its files are larger than `limits.disk_mib`: {}", left_out.join(", "));
            return Err(self.running.lost("taking over a fork's files")(reason));
        }
        heard?.map_err(|reason| self.running.lost("taking over a fork's files")(anyhow!(reason)))
    }

    /// Makes an image of it, and a container of that.
    async fn fork_by_commit(&self) -> Result<Self, SandboxError> {
        let recipe = &self.recipe;
        let options = CommitContainerOptions {
            container: Some(self.running.id().to_owned()),
            pause: true,
            ..Default::default()
        };
        let config =
            ContainerConfig { labels: Some(owner::labels(&recipe.spec.name)), ..ContainerConfig::default() };
        let image = recipe
            .docker
            .commit_container(options, config)
            .await
            .map_err(self.running.lost("being forked"))?
            .id;
        let layer = Arc::new(Layer { image: image.clone(), parent: self.layer.clone() });
        let booted = match recipe.prepared.user.is_root() {
            true => recipe.boot_distrusting(&image).await,
            false => recipe.boot(&image).await,
        };
        match booted {
            Ok(running) => Ok(Self { running, recipe: recipe.clone(), layer: Some(layer) }),
            Err(error) => {
                drop(owner::remove_image(&recipe.docker, &image).await);
                Err(error)
            }
        }
    }

    /// What must be measured of it, where nothing else bounds what it writes.
    fn disk(&self) -> Option<Disk> {
        (self.recipe.storage == Storage::Disk).then(|| Disk {
            docker: self.recipe.docker.clone(),
            id: self.running.id().to_owned(),
            bytes: self.recipe.spec.limits.disk_mib << 20,
        })
    }

    async fn free(&mut self) -> Result<(), SandboxError> {
        self.running.remove().await?;
        let docker = &self.recipe.docker;
        let mut layer = self.layer.take();
        while let Some(last) = layer.and_then(Arc::into_inner) {
            owner::remove_image(docker, &last.image)
                .await
                .map_err(self.running.lost("its image was removed"))?;
            layer = last.parent;
        }
        match Arc::strong_count(&self.recipe) {
            // Nobody will need those that wait for a fork of it.
            1 => self.recipe.warm.drain().await,
            _ => Ok(()),
        }
    }
}

/// Runs a command, and ends it when the sandbox has written more to its disk than it may. Docker has no
/// quota on most storage drivers, so this is measured, and files can be larger than the limit by what is
/// written between two looks.
async fn run(line: &mut Line, run: Run, disk: Option<Disk>) -> io::Result<(Ran, Vec<u8>)> {
    line.send(&Request::Exec(run), &[]).await?;
    let Some(disk) = disk else { return line.receive().await };
    let mut is_over = false;
    loop {
        match tokio::time::timeout(DISK_PERIOD, line.receive::<Ran>()).await {
            Ok(answer) => {
                let (ran, output) = answer?;
                let exit = if is_over { Exit::Signal(SIGXFSZ) } else { ran.exit };
                return Ok((Ran { exit, ..ran }, output));
            }
            Err(_) if !is_over && disk.is_full().await? => {
                is_over = true;
                line.send(&Request::Abort, &[]).await?;
            }
            Err(_) => {}
        }
    }
}

/// The layer that a container writes to.
struct Disk {
    docker: Docker,
    id: String,
    bytes: u64,
}

impl Disk {
    async fn is_full(&self) -> io::Result<bool> {
        let options = InspectContainerOptions { size: true };
        let inspect = self.docker.inspect_container(&self.id, Some(options)).await;
        let written = inspect.map_err(io::Error::other)?.size_rw.unwrap_or_default();
        Ok(u64::try_from(written).unwrap_or_default() > self.bytes)
    }
}

/// Ends when a disk is full; never where there is none to measure.
async fn until_full(disk: Option<Disk>) -> io::Result<()> {
    let Some(disk) = disk else { return std::future::pending().await };
    loop {
        tokio::time::sleep(DISK_PERIOD).await;
        if disk.is_full().await? {
            return Ok(());
        }
    }
}

#[async_trait]
impl Sandbox for Container {
    fn id(&self) -> &str {
        self.running.id()
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let session = SessionDir::new(SESSION_DIRECTORY);
        let invocation = session.invocation(exec);
        if let Some((path, script)) = &invocation.script_file
            && let FileWrite::Refused(reason) = self.write(path, script.as_bytes()).await?
        {
            return Ok(Observation::new(format!("bash: {path}: {reason}\n"), 126));
        }
        let command = Run::of(invocation, exec, &session);
        let disk = self.disk();
        let begin = Instant::now();
        let patience = exec.timeout.saturating_add(PATIENCE);
        let (ran, output) = self
            .running
            .with("running a command", patience, |line| Box::pin(run(line, command, disk)))
            .await?;
        let elapsed_seconds = begin.elapsed().as_secs_f64();
        Ok(Ran { elapsed_seconds, ..ran }.observation(output))
    }

    async fn interact(&mut self, terminal: Terminal) -> Result<Exit, SandboxError> {
        let full = until_full(self.disk());
        self.running
            .with("talking to a user", Duration::MAX, |line| Box::pin(line.interact(terminal, full)))
            .await
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        if path.contains('\0') {
            return Ok(FileRead::Missing);
        }
        let path = path.to_owned();
        self.running
            .with("reading a file", PATIENCE, |line| {
                Box::pin(async move {
                    line.send(&Request::Read(path), &[]).await?;
                    Ok(match line.receive::<Found>().await?.0 {
                        Found::File => FileRead::File(line.receive_pieces(ARCHIVE_BYTES).await?),
                        Found::Directory => FileRead::Directory,
                        Found::Missing => FileRead::Missing,
                        Found::Refused(reason) => FileRead::Refused(reason),
                    })
                })
            })
            .await
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        if path.contains('\0') {
            return Ok(FileWrite::Refused("a path cannot hold a NUL".to_owned()));
        }
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.running
            .with("writing a file", PATIENCE, |line| {
                Box::pin(async move {
                    line.send(&Request::Write(path), &bytes).await?;
                    Ok(match line.receive::<Wrote>().await?.0 {
                        Ok(()) => FileWrite::Written,
                        Err(reason) => FileWrite::Refused(reason),
                    })
                })
            })
            .await
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        let told = self.running.with("comparing its files", START, |line| {
            Box::pin(async move {
                line.send(&Request::Delta(Scope::Repository), &[]).await?;
                let (differences, gone) = line.receive::<Differences>().await?;
                Ok((differences, gone, line.receive_pieces(ARCHIVE_BYTES).await?))
            })
        });
        let (Differences { left_out }, gone, archive) = told.await?;
        let (recipe, knows_start) = (self.recipe.clone(), self.layer.is_none());
        let compared = tokio::task::spawn_blocking(move || {
            let workdir = recipe.spec.workdir.trim_start_matches('/').to_owned();
            let told = told_below(knows_start.then_some(&gone), &left_out, &workdir);
            match (&recipe.tree, &recipe.prepared.tree) {
                (Some(before), _) => tree::compare_delta(before, told, archive.as_slice(), &workdir),
                (None, Some(before)) => tree::compare_tree_delta(before, told, archive.as_slice(), &workdir),
                (None, None) => tree::compare_tree_delta(&Tree::new(), told, archive.as_slice(), &workdir),
            }
        });
        let compared = compared.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        compared.map_err(self.running.lost("comparing its files"))
    }

    async fn remember(&mut self) -> Result<(), SandboxError> {
        const DOING: &str = "remembering its files";
        let mut roots = self.recipe.roots();
        if self.recipe.storage == Storage::Disk {
            // Its user may write to whatever the image gives it.
            roots.push("/".to_owned());
        }
        let roots = roots.into_iter().map(PathBuf::from).collect();
        let done = self.running.with(DOING, START, |line| {
            Box::pin(async move {
                line.send(&Request::Remember(roots), &[]).await?;
                Ok(line.receive::<Wrote>().await?.0)
            })
        });
        done.await?.map_err(|reason| self.running.lost(DOING)(anyhow!(reason)))
    }

    async fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(8);
        let told = self.running.with("keeping its files", START, |line| {
            Box::pin(async move {
                line.send(&Request::Delta(Scope::Everything), &[]).await?;
                let (differences, gone) = line.receive::<Differences>().await?;
                // Whoever does not listen any more says why.
                drop(sender.send(kept::head(&gone)).await);
                loop {
                    let ((), piece) = line.receive().await?;
                    if piece.is_empty() {
                        return Ok(differences);
                    }
                    drop(sender.send(piece).await);
                }
            })
        });
        let path = file.to_owned();
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = fs_err::File::create_new(path)?;
            while let Some(piece) = receiver.blocking_recv() {
                file.write_all(&piece)?;
            }
            file.sync_all()
        });
        let (told, wrote) = tokio::join!(told, writing);
        let wrote = wrote.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let left_out = told?.left_out;
        wrote.map_err(kept::host("write", file))?;
        Ok(kept::whole_unless(&left_out))
    }

    async fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        const DOING: &str = "taking over what was kept";
        let path = file.to_owned();
        let opened = tokio::task::spawn_blocking(move || kept::open(&path)).await;
        let opened = opened.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let (gone, mut archive) = opened.map_err(kept::host("read", file))?;
        let (pieces, packing) = files::in_pieces(move |to| io::copy(&mut archive, to).map(drop));
        let wrote = self.running.with(DOING, START, |line| {
            Box::pin(async move {
                line.send(&Request::Fill(Fill::Fork), &gone).await?;
                line.send_pieces(pieces).await?;
                Ok(line.receive::<Wrote>().await?.0)
            })
        });
        let wrote = wrote.await?;
        let packed = packing.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        packed.map_err(kept::host("read", file))?;
        wrote.map_err(|reason| self.running.lost(DOING)(anyhow!(reason)))
    }

    fn contacts(&self) -> Vec<Contact> {
        self.running.contacts()
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        if self.recipe.storage == Storage::Disk {
            return Ok(Box::new(self.fork_by_commit().await?));
        }
        let child = Self::new(self.recipe.warm.take(&self.recipe).await?, self.recipe.clone());
        self.recipe.warm.refill(&self.recipe, FORKS_AHEAD);
        match child.follow(self).await {
            Ok(()) => Ok(Box::new(child)),
            Err(error) => Err(child.running.abandon(error).await),
        }
    }

    async fn stop(mut self: Box<Self>) -> Result<(), SandboxError> {
        self.free().await
    }
}

/// What a sandbox told, relative to `root`: the paths in `gone`, each ended by a NUL, and those of files that are
/// too large.
fn told_below(gone: Option<&Vec<u8>>, too_large: &[String], root: &str) -> Told {
    let below = |path: &str| {
        let path = path.trim_start_matches('/').strip_prefix(root)?.strip_prefix('/')?;
        Some(path.to_owned())
    };
    let left_out = |path: String, why| LeftOut { path, why };
    let too_large = too_large.iter().filter_map(|path| Some(left_out(below(path)?, Why::TooLarge)));
    let mut told = Told { gone: None, left_out: too_large.collect() };
    let Some(gone) = gone else { return told };
    let mut paths = BTreeSet::new();
    for path in gone.split(|byte| *byte == 0) {
        let Some(name) = below(&String::from_utf8_lossy(path)) else { continue };
        if std::str::from_utf8(path).is_ok() {
            paths.insert(name);
        } else {
            told.left_out.push(left_out(name, Why::Name));
        }
    }
    told.gone = Some(paths);
    told
}
