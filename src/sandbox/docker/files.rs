//! Files that go into and come out of a container as tar archives.
//!
//! Guarantees that an archive is read and made piece by piece, so memory holds what changed, not the
//! repository.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use futures_util::StreamExt;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::users::User;
use crate::sandbox::SandboxError;
use crate::sandbox::session::SessionDir;
use crate::sandbox::tree::{self, Tree};

/// A directory of the sandbox's user that only we use.
pub(super) const STATE_DIRECTORY: &str = "/var/lib/apprentice";
/// Where the session of every container lies.
pub(super) const SESSION_DIRECTORY: &str = "/var/lib/apprentice/session";

const PIECE_BYTES: usize = 1 << 18;

/// Packs what a new container starts from, the session's prelude and the repository, piece by piece.
pub(super) fn pack_start(workdir: &str, tree: Option<&Path>) -> (mpsc::Receiver<Vec<u8>>, Packing) {
    let (workdir, tree) = (workdir.to_owned(), tree.map(Path::to_owned));
    in_pieces(move |to| {
        let mut builder = Builder::new(to);
        let session = SessionDir::new(SESSION_DIRECTORY);
        append(&mut builder, session.path(), &header(EntryType::Directory, 0o700), &[])?;
        let prelude = session.prelude();
        append(
            &mut builder,
            &session.prelude_path(),
            &header(EntryType::Regular, 0o600),
            prelude.as_bytes(),
        )?;
        if let Some(tree) = tree {
            append_below(&mut builder, Path::new(workdir.trim_start_matches('/')), &tree)?;
        }
        builder.finish()
    })
}

/// Hands over what `write` writes, piece by piece.
pub(super) fn in_pieces(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> (mpsc::Receiver<Vec<u8>>, Packing) {
    let (sender, receiver) = mpsc::channel(8);
    let packing = tokio::task::spawn_blocking(move || {
        let mut to = BufWriter::with_capacity(PIECE_BYTES, Sender(sender));
        write(&mut to)?;
        to.flush()
    });
    (receiver, packing)
}

/// The end of packing.
pub(super) type Packing = tokio::task::JoinHandle<io::Result<()>>;

/// Hands each write over as a piece.
struct Sender(mpsc::Sender<Vec<u8>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_below(builder: &mut Builder<impl Write>, inside: &Path, dir: &Path) -> io::Result<()> {
    let mut items = fs_err::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    items.sort_by_key(fs_err::DirEntry::file_name);
    for item in items {
        let inside = inside.join(item.file_name());
        let metadata = item.metadata()?;
        let mode = metadata.permissions().mode() & 0o777;
        let header = |kind, mode| {
            let mut header = header(kind, mode);
            header.set_mtime(metadata.mtime().max(0) as u64);
            header
        };
        if metadata.is_dir() {
            let mut header = header(EntryType::Directory, mode | 0o700);
            builder.append_data(&mut header, &inside, io::empty())?;
            append_below(builder, &inside, &item.path())?;
        } else if metadata.is_symlink() {
            let target = fs_err::read_link(item.path())?;
            builder.append_link(&mut header(EntryType::Symlink, 0o777), inside, target)?;
        } else if metadata.is_file() {
            let bytes = fs_err::read(item.path())?;
            let mut header = header(EntryType::Regular, mode | 0o600);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, inside, bytes.as_slice())?;
        }
    }
    Ok(())
}

pub(super) fn append(
    builder: &mut Builder<impl Write>,
    path: &str,
    header: &Header,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = header.clone();
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, path.trim_start_matches('/'), bytes)
}

pub(super) fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

pub(super) fn owned(kind: EntryType, mode: u32, user: &User) -> Header {
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
        .map_err(lost(id, "filling it"))
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
