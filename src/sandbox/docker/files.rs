//! Files that go into and come out of a container as tar archives.
//!
//! Archives are read as a stream and compared with the start file by file, so memory holds what
//! changed, not the repository.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use futures_util::StreamExt;
use tar::{Builder, EntryType, Header};

use super::users::User;
use crate::sandbox::session::SessionDir;
use crate::sandbox::tree::{self, Tree};
use crate::sandbox::{SandboxError, Start};

/// Where the session of every container lies.
pub(super) const SESSION_DIRECTORY: &str = "/var/lib/apprentice/session";

/// Packs what a new container needs: the repository, the user and the session's prelude.
pub(super) async fn archive(start: &Start<'_>, user: &User) -> Result<Vec<u8>, SandboxError> {
    let (workdir, user, tree) = (start.spec.workdir.clone(), user.clone(), start.tree.map(Path::to_owned));
    let path = tree.clone().unwrap_or_default();
    let packed = tokio::task::spawn_blocking(move || pack(&workdir, &user, tree.as_deref())).await;
    packed.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|source| SandboxError::Host {
        doing: "pack",
        path,
        source,
    })
}

fn pack(workdir: &str, user: &User, tree: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let session = SessionDir::new(SESSION_DIRECTORY);
    if let Some((passwd, group)) = &user.added {
        append(&mut builder, "/etc/passwd", &header(EntryType::Regular, 0o644), passwd.as_bytes())?;
        append(&mut builder, "/etc/group", &header(EntryType::Regular, 0o644), group.as_bytes())?;
        append(&mut builder, &user.home, &owned(EntryType::Directory, 0o755, user), &[])?;
    }
    append(&mut builder, session.path(), &owned(EntryType::Directory, 0o700, user), &[])?;
    let prelude = session.prelude();
    append(
        &mut builder,
        &session.prelude_path(),
        &owned(EntryType::Regular, 0o600, user),
        prelude.as_bytes(),
    )?;
    append(&mut builder, workdir, &owned(EntryType::Directory, 0o755, user), &[])?;
    if let Some(tree) = tree {
        append_below(&mut builder, workdir, tree, user)?;
    }
    builder.into_inner()
}

fn append_below(builder: &mut Builder<Vec<u8>>, inside: &str, dir: &Path, user: &User) -> io::Result<()> {
    let mut items = fs_err::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    items.sort_by_key(fs_err::DirEntry::file_name);
    for item in items {
        let inside = format!("{inside}/{}", item.file_name().to_string_lossy());
        let metadata = item.metadata()?;
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            append(builder, &inside, &owned(EntryType::Directory, mode | 0o700, user), &[])?;
            append_below(builder, &inside, &item.path(), user)?;
        } else if metadata.is_symlink() {
            let target = fs_err::read_link(item.path())?;
            let mut header = owned(EntryType::Symlink, 0o777, user);
            builder.append_link(&mut header, inside.trim_start_matches('/'), target)?;
        } else if metadata.is_file() {
            let bytes = fs_err::read(item.path())?;
            append(builder, &inside, &owned(EntryType::Regular, mode | 0o600, user), &bytes)?;
        }
    }
    Ok(())
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, header: &Header, bytes: &[u8]) -> io::Result<()> {
    let mut header = header.clone();
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, path.trim_start_matches('/'), bytes)
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn owned(kind: EntryType, mode: u32, user: &User) -> Header {
    let mut header = header(kind, mode);
    header.set_uid(user.uid);
    header.set_gid(user.gid);
    header
}

/// Unpacks `archive` at the root of the container `id`.
pub(super) async fn upload(docker: &Docker, id: &str, archive: Vec<u8>) -> Result<(), SandboxError> {
    let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
    docker
        .upload_to_container(id, Some(options), bollard::body_full(archive.into()))
        .await
        .map_err(lost(id, "filling its work directory"))
}

/// Reads one small file of a container that may not run; `None` when it is missing.
pub(super) async fn download_file(
    docker: &Docker,
    id: &str,
    path: &str,
) -> Result<Option<String>, SandboxError> {
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let read = download(docker, id, path, move |stream| {
        tree::read_tar(stream, "").map(|mut tree| tree.remove(&name))
    });
    let entry = read.await?.flatten();
    Ok(entry.map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned()))
}

/// Reads everything below `workdir`, nothing when it is missing.
pub(super) async fn download_tree(docker: &Docker, id: &str, workdir: &str) -> Result<Tree, SandboxError> {
    let root = last_part(workdir);
    let read = download(docker, id, workdir, move |stream| tree::read_tar(stream, &root));
    Ok(read.await?.unwrap_or_default())
}

/// Says what differs between the directory `before` of the host and `workdir`.
pub(super) async fn compare(
    docker: &Docker,
    id: &str,
    workdir: &str,
    before: &Path,
) -> Result<Vec<tree::Change>, SandboxError> {
    let (root, base) = (last_part(workdir), before.to_owned());
    let read = download(docker, id, workdir, move |stream| tree::compare_tar(&base, stream, &root));
    match read.await? {
        Some(changes) => Ok(changes),
        None => Ok(tree::changes(&tree::read(before)?, &Tree::new())),
    }
}

/// Says what differs between the files that the image had in `workdir` and those there now.
pub(super) async fn compare_with_image(
    docker: &Docker,
    id: &str,
    workdir: &str,
    before: Arc<Tree>,
) -> Result<Vec<tree::Change>, SandboxError> {
    let (root, base) = (last_part(workdir), before.clone());
    let read = download(docker, id, workdir, move |stream| tree::compare_tree_tar(&base, stream, &root));
    Ok(read.await?.unwrap_or_else(|| tree::changes(&before, &Tree::new())))
}

fn last_part(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// Streams the archive of `path` through `read`; `None` when the container has no such path.
async fn download<T: Send + 'static>(
    docker: &Docker,
    id: &str,
    path: &str,
    read: impl FnOnce(ChannelReader) -> io::Result<T> + Send + 'static,
) -> Result<Option<T>, SandboxError> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut stream = std::pin::pin!(docker.download_from_container(id, Some(options)));
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let reading =
        tokio::task::spawn_blocking(move || read(ChannelReader { receiver, chunk: io::Cursor::default() }));
    let mut result = Ok(());
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) if sender.send(chunk.to_vec()).await.is_ok() => {}
            // The reader has seen the archive's end or an error that it reports itself.
            Ok(_) => break,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    drop(sender);
    let value = reading.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    match result {
        Err(Error::DockerResponseServerError { status_code: 404, message })
            if !message.contains("No such container") =>
        {
            Ok(None)
        }
        Err(error) => Err(lost(id, "reading its files")(error)),
        Ok(()) => value.map(Some).map_err(lost(id, "reading its files")),
    }
}

/// The blocking end of a stream of chunks.
struct ChannelReader {
    receiver: tokio::sync::mpsc::Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n_read = self.chunk.read(buffer)?;
            if n_read > 0 || buffer.is_empty() {
                return Ok(n_read);
            }
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

/// Makes a [`SandboxError::Lost`] of any error.
pub(super) fn lost<E: Into<anyhow::Error>>(id: &str, doing: &str) -> impl FnOnce(E) -> SandboxError + use<E> {
    let (id, doing) = (id.chars().take(12).collect(), doing.to_owned());
    move |error| SandboxError::Lost { id, doing, source: error.into() }
}
