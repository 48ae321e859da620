//! Root file systems for sandboxes in namespaces: directories made from a distribution's packages.
//!
//! Guarantees that a directory that [`Shelf::find`] gives is whole: it is made beside its place and
//! renamed into it. It is named by a digest of what it is made of, as Docker's tag is, so an edited
//! specification means a new one. Nobody but its owner reaches it: it holds programs that give rights
//! to whoever runs them. Only `sandbox build` makes one, because that takes minutes.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::spec::{self, Bootstrap, SandboxSpec};
use super::{SandboxError, bootstrap};
use crate::fsio;

/// Name and version in the first field of every record.
const FORMAT: &str = "apprentice.rootfs/1";
/// The root itself, below the directory that its digest names.
const ROOT: &str = "root";
/// What is known of it, beside the root.
const RECORD: &str = "rootfs.json";
/// What a directory is called while it is made.
const MAKING: &str = ".making-";
/// How long one may take to be made.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Where root file systems lie: one directory each.
#[derive(Debug, Clone)]
pub struct Shelf {
    directory: PathBuf,
}

/// How a root file system was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    Local,
    /// It was made from packages.
    Made,
}

/// A directory that nothing will use again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Its last name: a digest, or what a killed build left.
    pub id: String,
    /// The kind of sandbox it was made for.
    pub sandbox: String,
    path: PathBuf,
}

/// What a root file system was made for.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: String,
    sandbox: String,
    /// The specification's file; absent for one that is shipped.
    file: Option<PathBuf>,
    /// SHA-256 of the paths and contents of all files; absent where one of them could not be read.
    #[serde(default)]
    content: Option<String>,
}

/// SHA-256 of the files of the root file system `root`, taken when it was made.
pub fn digest(root: &Path) -> Option<String> {
    Some(format!("sha256:{}", read_record(root.parent()?)?.content?))
}

/// What a root file system holds, for the record: a digest of its files, else of what it was made of.
pub fn fingerprint(spec: &SandboxSpec, root: &Path) -> String {
    match digest(root) {
        Some(digest) => format!("root file system {digest}"),
        None => format!("root file system made of {} (its files have no digest)", spec.digest()),
    }
}

impl Shelf {
    /// The shelf below the user's cache directory; `None` where neither `XDG_CACHE_HOME` nor `HOME` says
    /// which that is.
    pub fn of_user() -> Option<Self> {
        Some(Self::at(fsio::cache_of_user()?.join("rootfs")))
    }

    /// The shelf `directory`.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The root file system of `spec`, if it was made.
    pub fn find(&self, spec: &SandboxSpec) -> Option<PathBuf> {
        let root = self.place(spec).join(ROOT);
        (spec.bootstrap.is_some() && root.is_dir()).then_some(root)
    }

    /// Makes the root file system of `spec` where it is not there, telling `say` what goes on.
    ///
    /// # Errors
    /// [`SandboxError::Image`] when it cannot be made; [`SandboxError::Host`] when the disk fails.
    pub async fn build(
        &self,
        spec: &SandboxSpec,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(PathBuf, Way), SandboxError> {
        let cannot = |reason: String, hint: &str| SandboxError::Image {
            image: spec.name.clone(),
            reason,
            hint: hint.to_owned(),
        };
        let Some(made_of) = &spec.bootstrap else {
            let hint = "give the sandbox a `bootstrap:` section, or use Docker";
            return Err(cannot("it names no packages to make a root file system from".to_owned(), hint));
        };
        if let Some(root) = self.find(spec) {
            return Ok((root, Way::Local));
        }
        let place = self.place(spec);
        fs::create_dir_all(&self.directory).map_err(host("make", &self.directory))?;
        self.sweep().map_err(host("clear", &self.directory))?;
        let _building = self.building().map_err(host("lock", &self.directory))?;
        say(&format!("making {} from packages of {}", place.display(), made_of.suite));
        let making = self.making(spec).map_err(host("make", &self.directory))?;
        let root = making.path().join(ROOT);
        fs::create_dir(&root).map_err(host("make", &root))?;
        unpack(made_of, &root).await.map_err(|reason| cannot(reason, remedy()))?;
        let content = content(root).await;
        record(spec, content, &making.path().join(RECORD)).map_err(host("write", making.path()))?;
        match fs::rename(making.path(), &place) {
            // Nothing is left of it to remove.
            Ok(()) => drop(making.keep()),
            // Another process was faster; what it made is as good.
            Err(_) if place.is_dir() => {}
            Err(source) => return Err(host("make", &place)(source)),
        }
        Ok((place.join(ROOT), Way::Made))
    }

    /// Lists what nothing will use again: what no specification names now, neither one in `sandboxes` nor
    /// the one it was made for, and what killed builds left.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the directory cannot be read.
    pub fn stale(&self, sandboxes: &Path) -> Result<Vec<Stale>, SandboxError> {
        let listed = names(&self.directory).map_err(host("list", &self.directory))?;
        let known = digests(sandboxes);
        let is_building = self.lock_alone().map_err(host("lock", &self.directory))?.is_none();
        let mut stale = Vec::new();
        for id in listed {
            let path = self.directory.join(&id);
            let record = read_record(&path);
            let is_stale = match (&record, id.starts_with(MAKING)) {
                (_, true) => !is_building,
                (Some(record), false) => !known.contains(&id) && record.digest().as_ref() != Some(&id),
                // Not ours to judge: something else, or of a later format.
                (None, false) => false,
            };
            if is_stale {
                let sandbox = record.map_or_else(String::new, |record| record.sandbox);
                stale.push(Stale { id, sandbox, path });
            }
        }
        Ok(stale)
    }

    /// Removes what [`Shelf::stale`] listed; says `false` of one that a running process uses.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when it cannot be removed.
    pub fn remove(&self, stale: &Stale) -> Result<bool, SandboxError> {
        let root = stale.path.join(ROOT);
        let unused = if root.is_dir() { alone(&root).map_err(host("lock", &root))?.is_some() } else { true };
        if unused {
            fs::remove_dir_all(&stale.path).map_err(host("remove", &stale.path))?;
        }
        Ok(unused)
    }

    fn place(&self, spec: &SandboxSpec) -> PathBuf {
        self.directory.join(spec.digest())
    }

    /// A new directory that its owner alone may enter, removed unless it is kept.
    fn making(&self, spec: &SandboxSpec) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("{MAKING}{}-", spec.digest()))
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(&self.directory)
    }

    /// Held while something is made; others may make something at the same time.
    fn building(&self) -> io::Result<fs::File> {
        let directory = fs::File::open(&self.directory)?;
        directory.file().lock_shared()?;
        Ok(directory)
    }

    /// The shelf's lock where nothing is being made.
    fn lock_alone(&self) -> io::Result<Option<fs::File>> {
        if self.directory.is_dir() { alone(&self.directory) } else { Ok(None) }
    }

    /// Removes what killed builds left, unless something is being made now.
    fn sweep(&self) -> io::Result<()> {
        let Some(_alone) = self.lock_alone()? else { return Ok(()) };
        for name in names(&self.directory)?.iter().filter(|name| name.starts_with(MAKING)) {
            fs::remove_dir_all(self.directory.join(name))?;
        }
        Ok(())
    }
}

/// Holds a root file system against [`Shelf::remove`] for as long as the answer lives.
pub(in crate::sandbox) fn hold(root: &Path) -> Option<fs::File> {
    let directory = fs::File::open(root).ok()?;
    // A root that is being removed is missed soon enough: its sandboxes do not start.
    directory.file().try_lock_shared().ok()?;
    Some(directory)
}

impl Record {
    /// The digest of the specification that this was made for, as it is now.
    fn digest(&self) -> Option<String> {
        let directory = match &self.file {
            Some(file) => file.parent()?.parent()?.to_owned(),
            None => PathBuf::new(),
        };
        SandboxSpec::load(&self.sandbox, &directory).ok().map(|spec| spec.digest())
    }
}

/// Reads all files once, which takes a second where making them took many.
async fn content(root: PathBuf) -> Option<String> {
    let read = tokio::task::spawn_blocking(move || crate::fsio::sha256_dir(&root)).await;
    match read.map_err(anyhow::Error::from).flatten() {
        Ok(digest) => Some(digest),
        Err(error) => {
            tracing::info!(%error, "a root file system has no digest");
            None
        }
    }
}

fn record(spec: &SandboxSpec, content: Option<String>, path: &Path) -> io::Result<()> {
    let file = spec.file.as_ref().map(fs::canonicalize).transpose()?;
    let record = Record { format: FORMAT.to_owned(), sandbox: spec.name.clone(), file, content };
    fs::write(path, serde_json::to_string(&record)?)
}

fn read_record(place: &Path) -> Option<Record> {
    let text = fs::read_to_string(place.join(RECORD)).ok()?;
    serde_json::from_str(&text).ok().filter(|record: &Record| record.format == FORMAT)
}

/// The digests of all specifications in `sandboxes` and of those that are shipped.
fn digests(sandboxes: &Path) -> Vec<String> {
    let load = |name: &String| SandboxSpec::load(name, sandboxes).ok().map(|spec| spec.digest());
    spec::names(sandboxes).iter().filter_map(load).collect()
}

/// The names in a directory, sorted; none where it is missing.
pub(super) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The lock of a directory that nobody else holds.
pub(super) fn alone(directory: &Path) -> io::Result<Option<fs::File>> {
    let directory = fs::File::open(directory)?;
    match directory.file().try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn host(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SandboxError + use<> {
    let path = path.to_owned();
    move |source| SandboxError::Host { doing, path, source }
}

fn remedy() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "install what makes it: `apt-get install -y mmdebstrap tar`, and check that its mirror answers"
    } else {
        "run this as root, or install what makes it without: `apt-get install -y mmdebstrap uidmap tar` and lines \
         for you in /etc/subuid and /etc/subgid; or say `host: true` in its sandbox.yaml"
    }
}

/// Makes a root file system in the empty directory `root`.
async fn unpack(made_of: &Bootstrap, root: &Path) -> Result<(), String> {
    let mut source = bootstrap::command(made_of)
        .spawn()
        .map_err(|error| format!("mmdebstrap could not be started: {error}"))?;
    let mut target = tar(root).spawn().map_err(|error| format!("tar could not be started: {error}"))?;
    let mut stdout = source.stdout.take().expect("invariant: stdout is piped");
    let mut stdin = target.stdin.take().expect("invariant: stdin is piped");
    // The bytes go through this process, so that its end ends both of the others.
    let copy = async move { tokio::io::copy(&mut stdout, &mut stdin).await };
    let logs = [source.stderr.take(), target.stderr.take()].map(|stderr| async move {
        let mut log = String::new();
        let mut stderr = stderr.expect("invariant: stderr is piped");
        // A log that is no text is no reason to fail.
        stderr.read_to_string(&mut log).await.ok();
        log
    });
    let [source_log, target_log] = logs;
    let work = async { tokio::join!(copy, source_log, target_log, source.wait(), target.wait()) };
    let (_, source_log, target_log, source_end, target_end) = tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| format!("it was not made within {} s", PATIENCE.as_secs()))?;
    // One that fails makes the other fail, and which came first cannot be seen.
    let failed: Vec<String> = [("mmdebstrap", source_end, source_log), ("tar", target_end, target_log)]
        .into_iter()
        .filter_map(|(program, end, log)| failure(program, end, &log))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// The command that unpacks stdin into `root`, without the devices and processes of a running system.
fn tar(root: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("tar");
    command.args(["--extract", "--preserve-permissions", "--numeric-owner", "--file=-"]);
    command.args(["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"]);
    command.arg("--directory").arg(root);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn failure(program: &str, end: io::Result<ExitStatus>, log: &str) -> Option<String> {
    match end {
        Ok(status) if status.success() => None,
        Ok(_) => Some(format!("{program} failed: {}", bootstrap::last_words(log))),
        Err(error) => Some(format!("{program} was lost: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "format: apprentice.sandbox/1\nname: small\nbootstrap: {suite: bookworm}\n";

    /// A shelf, and a directory of specifications that holds `small`.
    fn ground() -> (tempfile::TempDir, Shelf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (shelf, sandboxes) = (directory.path().join("shelf"), directory.path().join("sandboxes"));
        write_spec(&sandboxes, SPEC);
        fs::create_dir_all(&shelf).unwrap();
        (directory, Shelf::at(shelf), sandboxes)
    }

    fn write_spec(sandboxes: &Path, text: &str) {
        fs::create_dir_all(sandboxes.join("small")).unwrap();
        fs::write(sandboxes.join("small/sandbox.yaml"), text).unwrap();
    }

    /// Puts a root file system on the shelf as a finished build leaves it.
    fn put(shelf: &Shelf, sandboxes: &Path) -> SandboxSpec {
        let spec = SandboxSpec::load("small", sandboxes).unwrap();
        fs::create_dir_all(shelf.place(&spec).join(ROOT)).unwrap();
        record(&spec, None, &shelf.place(&spec).join(RECORD)).unwrap();
        spec
    }

    #[test]
    fn an_edited_specification_has_no_root_and_the_old_one_is_stale() {
        let (_directory, shelf, sandboxes) = ground();
        let spec = put(&shelf, &sandboxes);
        assert!(shelf.find(&spec).is_some());
        assert_eq!(shelf.stale(&sandboxes).unwrap(), []);
        assert_eq!(shelf.stale(Path::new("elsewhere")).unwrap(), [], "its own file still names it");
        write_spec(&sandboxes, &SPEC.replace("bookworm", "trixie"));
        let edited = SandboxSpec::load("small", &sandboxes).unwrap();
        assert_eq!(shelf.find(&edited), None);
        let stale = shelf.stale(&sandboxes).unwrap();
        assert_eq!(stale.len(), 1);
        assert!(shelf.remove(&stale[0]).unwrap());
        assert_eq!(shelf.find(&spec), None);
    }

    #[test]
    fn a_root_in_use_is_not_removed() {
        let (_directory, shelf, sandboxes) = ground();
        let spec = put(&shelf, &sandboxes);
        fs::remove_dir_all(&sandboxes).unwrap();
        let stale = shelf.stale(&sandboxes).unwrap();
        let held = hold(&shelf.find(&spec).unwrap());
        assert!(!shelf.remove(&stale[0]).unwrap());
        drop(held);
        assert!(shelf.remove(&stale[0]).unwrap());
    }

    #[test]
    fn what_a_killed_build_left_is_stale_and_never_found() {
        let (_directory, shelf, sandboxes) = ground();
        let spec = SandboxSpec::load("small", &sandboxes).unwrap();
        let making = shelf.making(&spec).unwrap().keep();
        fs::create_dir(making.join(ROOT)).unwrap();
        assert_eq!(fs::metadata(&making).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(shelf.find(&spec), None);
        let building = shelf.building().unwrap();
        assert_eq!(shelf.stale(&sandboxes).unwrap(), [], "it may be under way");
        drop(building);
        assert_eq!(shelf.stale(&sandboxes).unwrap().len(), 1);
        shelf.sweep().unwrap();
        assert!(!making.exists());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let (_directory, shelf, sandboxes) = ground();
        fs::create_dir(shelf.directory.join("something")).unwrap();
        assert_eq!(shelf.stale(&sandboxes).unwrap(), []);
        assert_eq!(Shelf::at("/no/such/shelf".into()).stale(&sandboxes).unwrap(), []);
    }
}
