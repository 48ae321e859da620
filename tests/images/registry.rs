//! A registry of the test's own, and a line to it that can be held up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptions, ListImagesOptions, PushImageOptions, RemoveImageOptions,
};
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A registry that listens on the loopback alone.
pub(crate) struct Registry {
    room: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    pub(crate) docker: Docker,
}

impl Registry {
    /// Starts one.
    pub(crate) async fn begin(docker: Docker) -> Result<Self, String> {
        let room = tempfile::tempdir().unwrap();
        // The port is free again when this ends, and nobody is told of it.
        let port = free_port().await;
        let mut registry = Self { room, port, child: None, docker };
        registry.start().await?;
        Ok(registry)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it where it was.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        let config = self.room.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{}\"}}\n",
            self.room.path().join("data").display(),
            self.address()
        );
        fs_err::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry is not installed: {error}"))?;
        self.child = Some(child);
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                return Err("docker-registry does not answer".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Puts an image with one file into it under `name`, and gives its digest. The engine keeps no copy.
    pub(crate) async fn put(&self, name: &str, content: &[u8]) -> String {
        let local = format!("{}/{name}", self.address());
        import(&self.docker, &local, content).await;
        self.push(name).await
    }

    /// Moves the engine's image `<address>/<name>` into it, and gives its digest.
    pub(crate) async fn push(&self, name: &str) -> String {
        let local = format!("{}/{name}", self.address());
        let (repository, tag) = local.rsplit_once(':').unwrap();
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
        let pushed = self.docker.push_image(repository, Some(options), None);
        pushed.try_for_each(|_| async { Ok(()) }).await.unwrap();
        let found = self.docker.inspect_image(&local).await.unwrap();
        remove(&self.docker, &local).await;
        found.repo_digests.unwrap()[0].rsplit('@').next().unwrap().to_owned()
    }

    /// Pulls as a user does, by the name.
    pub(crate) async fn pull_by_hand(&self, name: &str) {
        let local = format!("{}/{name}", self.address());
        let options = CreateImageOptions { from_image: Some(local), ..CreateImageOptions::default() };
        let pulled = self.docker.create_image(Some(options), None, None);
        pulled.try_for_each(|_| async { Ok(()) }).await.unwrap();
    }

    /// Every name and digest in the engine of images that came from here or through `address`.
    pub(crate) async fn left(&self, address: &str) -> Vec<String> {
        let images = self.docker.list_images(None::<ListImagesOptions>).await.unwrap();
        let ours = images.into_iter().filter(|image| {
            image.repo_tags.iter().chain(&image.repo_digests).any(|name| name.starts_with(address))
        });
        ours.flat_map(|image| image.repo_tags.into_iter().chain(image.repo_digests)).collect()
    }
}

impl Drop for Registry {
    /// Ends it, and removes what a failed test left in the engine.
    fn drop(&mut self) {
        self.stop();
        let address = self.address();
        let scope = std::thread::scope(|scope| {
            let clean = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let docker = Docker::connect_with_defaults().unwrap();
                    let images = docker.list_images(None::<ListImagesOptions>).await.unwrap();
                    for image in images {
                        let names: Vec<_> = image.repo_tags.iter().chain(&image.repo_digests).collect();
                        if names.iter().any(|name| name.starts_with(&address)) {
                            for name in names {
                                remove(&docker, name).await;
                            }
                        }
                    }
                });
            });
            clean.join()
        });
        drop(scope);
    }
}

pub(crate) async fn remove(docker: &Docker, name: &str) {
    let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    // What is not there need not be removed.
    drop(docker.remove_image(name, Some(options), None).await);
}

/// Makes an image with one file.
pub(crate) async fn import(docker: &Docker, name: &str, content: &[u8]) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, "content", content).unwrap();
    let (repo, tag) = name.rsplit_once(':').unwrap();
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repo.to_owned()),
        tag: Some(tag.to_owned()),
        ..CreateImageOptions::default()
    };
    let body = bollard::body_full(tar.into_inner().unwrap().into());
    docker.create_image(Some(options), Some(body), None).try_for_each(|_| async { Ok(()) }).await.unwrap();
}

async fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

/// A line to a registry that stops in the middle of a long answer, and goes on for those who ask again.
pub(crate) struct Line {
    port: u16,
    held: Arc<Held>,
}

struct Held {
    /// Bytes that still pass before it stops.
    left: AtomicU64,
    has_stopped: Notify,
}

impl Line {
    /// Lets so many bytes pass.
    pub(crate) async fn to(registry: &Registry, bytes: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(Held { left: AtomicU64::new(bytes), has_stopped: Notify::new() });
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, registry.port));
        tokio::spawn({
            let held = held.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, upstream, held.clone()));
                }
            }
        });
        Self { port, held }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it has stopped in the middle of an answer.
    pub(crate) async fn has_stopped(&self) {
        self.held.has_stopped.notified().await;
    }

    /// Lets everything pass from now on; what was held up is cut off.
    pub(crate) fn go_on(&self) {
        self.held.left.store(u64::MAX, Ordering::Relaxed);
    }
}

async fn carry(client: TcpStream, upstream: SocketAddr, held: Arc<Held>) {
    // A registry that is away answers nobody.
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut piece = vec![0; 1 << 14];
    while let Ok(n_bytes @ 1..) = from_server.read(&mut piece).await {
        if held.left.load(Ordering::Relaxed) < n_bytes as u64 {
            held.has_stopped.notify_one();
            // Nothing comes and nothing ends until the line goes on.
            while held.left.load(Ordering::Relaxed) < u64::MAX {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            break;
        }
        if held.left.load(Ordering::Relaxed) < u64::MAX {
            held.left.fetch_sub(n_bytes as u64, Ordering::Relaxed);
        }
        if to_client.write_all(&piece[..n_bytes]).await.is_err() {
            break;
        }
    }
    there.abort();
}

/// Bytes that do not become fewer when they are packed.
pub(crate) fn noise(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..n_bytes).map(|_| next()).collect()
}

/// Writes the specification of a sandbox.
pub(crate) fn specify(sandboxes: &Path, name: &str, image: &str) {
    let directory = sandboxes.join(name);
    fs_err::create_dir_all(&directory).unwrap();
    let yaml = format!("format: apprentice.sandbox/1\nname: {name}\nimage: {image}\n");
    fs_err::write(directory.join("sandbox.yaml"), yaml).unwrap();
}
