//! The root file system of a sandbox: the host's programs, or a root made for it, read-only; everything
//! else its own.
//!
//! Guarantees that nothing of the host is visible but the listed system directories, that nothing of
//! the host can be written, and that all private files together stay below one bound: they share one
//! file system in memory, the store. Runs in the child.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, XattrFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::kernel::{self, NO_PRIVILEGE, READ_ONLY};
use super::protocol::{Layout, Lower, Machine, Plan};
use crate::isolation::Network;
use crate::sandbox::namespaces::layer;

/// Directories of the host that hold programs; those that exist are shown read-only.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu"];
/// Entries of the host's `/etc` that programs need and that hold no secrets.
const CONFIGURATION: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "mime.types",
    "os-release",
    "perl",
    "pki",
    "profile",
    "protocols",
    "python3",
    "python3.11",
    "python3.12",
    "python3.13",
    "services",
    "shells",
    "ssl",
    "terminfo",
    "timezone",
    "xml",
];
const NETWORK_CONFIGURATION: &[&str] = &["resolv.conf", "gai.conf"];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];
/// Entries of a given root that are the sandbox's own all the same.
const OWN: &[&str] =
    &["dev", "proc", "sys", "tmp", "run", "home", "root", "mnt", "media", "boot", "lost+found"];
/// Directories of the store, where they appear, and their modes.
const PRIVATE: &[(&str, &str, u32)] = &[
    ("tmp", "/tmp", 0o1777),
    ("vartmp", "/var/tmp", 0o1777),
    ("shm", "/dev/shm", 0o1777),
    ("run", "/run", 0o755),
];
/// The directories beside the work directory and the home that commands can write.
pub(in crate::sandbox) fn shared() -> impl Iterator<Item = &'static str> {
    PRIVATE.iter().map(|(_, target, _)| *target)
}

/// The store's directory that holds the work directory's differences.
pub(in crate::sandbox) const UPPER: &str = "upper";
/// The store's directory that is the private home.
const HOME: &str = "home";
/// The store's directory that the overlay itself uses.
pub(in crate::sandbox) const OVERLAY_WORK: &str = "work";
/// Any directory that exists everywhere: the new root covers it, in this mount namespace only.
const STAGES: &[&str] = &["/tmp", "/mnt", "/usr"];

/// What the sandbox shows of the host.
pub(in crate::sandbox) struct Sources {
    shown: Vec<(PathBuf, Shown)>,
    devices: Vec<(&'static str, OwnedFd)>,
    lower: Option<OwnedFd>,
}

enum Shown {
    Directory(OwnedFd),
    File(OwnedFd),
    Link(PathBuf),
}

impl Sources {
    /// Opens everything while the host's paths can still be reached.
    pub(in crate::sandbox) fn open(machine: &Machine, host_id: Option<u32>) -> io::Result<Self> {
        let mut shown = Vec::new();
        match &machine.rootfs {
            Some(root) => {
                for entry in fs::read_dir(root)? {
                    let entry = entry?;
                    if !OWN.iter().any(|own| entry.file_name() == *own) {
                        shown.extend(show(&entry.path(), Path::new("/").join(entry.file_name()))?);
                    }
                }
            }
            None => {
                for path in host_paths(&machine.network) {
                    shown.extend(show(&path, path.clone())?);
                }
            }
        }
        let mut devices = Vec::new();
        for name in DEVICES {
            match kernel::clone_mount(&Path::new("/dev").join(name)) {
                Ok(mount) => devices.push((*name, mount)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let lower = machine.lower.as_ref().map(|lower| open_lower(lower, host_id)).transpose()?.flatten();
        Ok(Self { shown, devices, lower })
    }
}

/// The host's system directories and configuration that a sandbox may read.
pub(in crate::sandbox) fn host_paths(network: &Network) -> Vec<PathBuf> {
    let mut configuration = CONFIGURATION.to_vec();
    if *network == Network::Host {
        configuration.extend(NETWORK_CONFIGURATION);
    }
    let configuration = configuration.iter().map(|name| Path::new("/etc").join(name));
    SYSTEM.iter().map(PathBuf::from).chain(configuration).collect()
}

fn show(source: &Path, target: PathBuf) -> io::Result<Option<(PathBuf, Shown)>> {
    let metadata = match fs::symlink_metadata(source) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        return Ok(Some((target, Shown::Link(fs::read_link(source)?))));
    }
    let mount = kernel::clone_mount(source)?;
    kernel::restrict(mount.as_fd(), READ_ONLY)?;
    let shown = if metadata.is_dir() { Shown::Directory(mount) } else { Shown::File(mount) };
    Ok(Some((target, shown)))
}

/// The tree below the work directory as its user sees it; `None` when only a copy can be written.
fn open_lower(lower: &Lower, host_id: Option<u32>) -> io::Result<Option<OwnedFd>> {
    let Some(owner) = lower.owner else { return Ok(None) };
    let mount = kernel::clone_mount(&lower.path)?;
    if let Some(id) = host_id
        && owner != (id, id)
    {
        // Writing to a file of a user that the namespace does not map fails, so its owner is translated;
        // some file systems and kernels before 5.19 cannot, and then the tree is copied.
        let namespace = kernel::owner_namespace(owner, id)?;
        if kernel::translate_owners(mount.as_fd(), namespace.as_fd()).is_err() {
            return Ok(None);
        }
    }
    kernel::restrict(mount.as_fd(), READ_ONLY)?;
    Ok(Some(mount))
}

/// What was built.
pub(in crate::sandbox) struct Built {
    pub(in crate::sandbox) layout: Layout,
    pub(in crate::sandbox) store: OwnedFd,
}

/// Builds the root, enters it and leaves the host's behind.
pub(in crate::sandbox) fn enter(
    plan: &Plan,
    machine: &Machine,
    sources: &Sources,
    parent: Option<&OwnedFd>,
) -> io::Result<Built> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let root = STAGES.iter().map(Path::new).find(|path| path.is_dir());
    let root = root.ok_or_else(|| io::Error::other("none of `/tmp`, `/mnt` and `/usr` is a directory"))?;
    let top = kernel::make_mount("tmpfs", &[("size", "16m"), ("mode", "755")])?;
    kernel::attach(top.as_fd(), root)?;
    let stage = Stage { root };
    let store_path = stage.directory(".store")?;
    make_store(&store_path, plan.bounds.disk, parent)?;
    stage.show(sources)?;
    match machine.rootfs {
        None => stage.identify(machine)?,
        Some(_) => stage.introduce(machine, &store_path)?,
    }
    stage.devices(sources)?;
    kernel::attach(kernel::make_mount("proc", &[])?.as_fd(), &stage.directory("proc")?)?;
    stage.private(machine, &store_path)?;
    let layout = stage.workdir(&plan.workdir, sources.lower.as_ref(), machine.lower.is_some())?;
    let store = kernel::open_directory(CWD, &store_path)?;
    leave_behind(root, &store_path)?;
    Ok(Built { layout, store })
}

fn make_store(path: &Path, bytes: u64, parent: Option<&OwnedFd>) -> io::Result<()> {
    // One inode for each 4 KiB, as disks have them: empty files must not use up the memory either.
    let (size, inodes) = (bytes.to_string(), (bytes / 4096).max(1024).to_string());
    let mount = kernel::make_mount("tmpfs", &[("size", &size), ("nr_inodes", &inodes), ("mode", "755")])?;
    kernel::attach(mount.as_fd(), path)?;
    if let Some(parent) = parent {
        let store = kernel::open_directory(CWD, path)?;
        layer::copy(
            parent.as_fd(),
            store.as_fd(),
            &layer::Copying { without: &[OVERLAY_WORK], owner: None },
        )?;
    }
    let private = PRIVATE.iter().map(|(name, _, mode)| (*name, *mode));
    for (name, mode) in private.chain([(UPPER, 0o755), (HOME, 0o755), (OVERLAY_WORK, 0o755)]) {
        let path = path.join(name);
        if !path.exists() {
            fs::create_dir(&path)?;
            fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        }
    }
    Ok(())
}

struct Stage<'a> {
    root: &'a Path,
}

impl Stage<'_> {
    /// The path of `inside` while the root is still being built.
    fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    fn directory(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = self.path(inside);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn file(&self, inside: impl AsRef<Path>, contents: &str) -> io::Result<PathBuf> {
        let path = self.path(inside);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, contents)?;
        Ok(path)
    }

    fn show(&self, sources: &Sources) -> io::Result<()> {
        for (target, shown) in &sources.shown {
            match shown {
                Shown::Directory(mount) => kernel::attach(mount.as_fd(), &self.directory(target)?)?,
                Shown::File(mount) => kernel::attach(mount.as_fd(), &self.file(target, "")?)?,
                Shown::Link(to) => {
                    let path = self.path(target);
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    symlink(to, path)?;
                }
            }
        }
        Ok(())
    }

    /// Says who the users are, with nothing of the host's accounts.
    fn identify(&self, machine: &Machine) -> io::Result<()> {
        let Machine { user, uid, home, .. } = machine;
        let root = if *uid == 0 { "" } else { "root:x:0:0:root:/root:/bin/bash\n" };
        let root_group = if *uid == 0 { "" } else { "root:x:0:\n" };
        let nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        let home = home.display();
        self.file("etc/passwd", &format!("{root}{user}:x:{uid}:{uid}:{user}:{home}:/bin/bash\n{nobody}"))?;
        self.file("etc/group", &format!("{root_group}{user}:x:{uid}:\nnogroup:x:65534:\n"))?;
        self.file("etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n")?;
        self.file("etc/hostname", "sandbox\n")?;
        self.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
        Ok(())
    }

    /// Adds the user to the accounts of a given root, where it has accounts and not that user, and the
    /// host's resolver, where its network is shared.
    fn introduce(&self, machine: &Machine, store: &Path) -> io::Result<()> {
        let Machine { user, uid, home, .. } = machine;
        let home = home.display();
        for (name, line) in [
            ("passwd", format!("{user}:x:{uid}:{uid}:{user}:{home}:/bin/bash\n")),
            ("group", format!("{user}:x:{uid}:\n")),
        ] {
            let accounts = fs::read_to_string(self.path(Path::new("etc").join(name))).unwrap_or_default();
            if !accounts.lines().any(|account| account.split(':').next() == Some(user)) {
                self.cover(name, accounts + &line, store)?;
            }
        }
        if machine.network == Network::Host
            && let Ok(resolver) = fs::read_to_string("/etc/resolv.conf")
        {
            self.cover("resolv.conf", resolver, store)?;
        }
        Ok(())
    }

    /// Shows `contents` instead of a file of `/etc`, where there is one: the root itself is not written.
    fn cover(&self, name: &str, contents: String, store: &Path) -> io::Result<()> {
        let target = self.path(Path::new("etc").join(name));
        // A link of the root would lead out of it, to the host's file.
        if !fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        let own = store.join(name);
        fs::write(&own, contents)?;
        let mount = kernel::clone_mount(&own)?;
        kernel::restrict(mount.as_fd(), READ_ONLY)?;
        kernel::attach(mount.as_fd(), &target)
    }

    fn devices(&self, sources: &Sources) -> io::Result<()> {
        self.directory("dev")?;
        for (name, mount) in &sources.devices {
            kernel::attach(mount.as_fd(), &self.file(Path::new("dev").join(name), "")?)?;
        }
        for (to, name) in DEVICE_LINKS {
            symlink(to, self.path(Path::new("dev").join(name)))?;
        }
        let terminals = kernel::make_terminals()?;
        kernel::attach(terminals.as_fd(), &self.directory("dev/pts")?)
    }

    fn private(&self, machine: &Machine, store: &Path) -> io::Result<()> {
        for (name, target, _) in PRIVATE {
            self.bind(&store.join(name), target)?;
        }
        self.bind(&store.join(HOME), &machine.home)?;
        self.directory("sys")?;
        self.directory("mnt")?;
        Ok(())
    }

    fn bind(&self, source: &Path, inside: impl AsRef<Path>) -> io::Result<()> {
        let mount = kernel::clone_mount(source)?;
        kernel::restrict(mount.as_fd(), NO_PRIVILEGE)?;
        kernel::attach(mount.as_fd(), &self.directory(inside)?)
    }

    fn workdir(&self, workdir: &Path, lower: Option<&OwnedFd>, has_tree: bool) -> io::Result<Layout> {
        let store = self.path(".store");
        if let Some(lower) = lower {
            let lower_path = self.directory(".lower")?;
            kernel::attach(lower.as_fd(), &lower_path)?;
            let overlay = overlay(&lower_path, &store);
            unmount(&lower_path, UnmountFlags::DETACH)?;
            fs::remove_dir(&lower_path)?;
            if let Ok(overlay) = overlay {
                kernel::attach(overlay.as_fd(), &self.directory(workdir)?)?;
                return Ok(Layout::Overlay);
            }
        }
        self.bind(&store.join(UPPER), workdir)?;
        Ok(if has_tree { Layout::Copy } else { Layout::Directories })
    }
}

fn overlay(lower: &Path, store: &Path) -> io::Result<OwnedFd> {
    let upper = store.join(UPPER);
    // Without user attributes (a file system in memory before Linux 6.6) the overlay mounts and then
    // cannot replace a directory.
    rustix::fs::setxattr(&upper, "user.apprentice", b"", XattrFlags::empty())?;
    rustix::fs::removexattr(&upper, "user.apprentice")?;
    let mode = fs::metadata(lower)?.permissions();
    fs::set_permissions(&upper, mode)?;
    let work = store.join(OVERLAY_WORK);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = [("lowerdir", text(lower)), ("upperdir", text(&upper)), ("workdir", text(&work))];
    let mut options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
    options.push(("userxattr", ""));
    kernel::make_mount("overlay", &options)
}

fn leave_behind(root: &Path, store: &Path) -> io::Result<()> {
    // Everything that needs the store's path is mounted; it stays alive through those mounts.
    unmount(store, UnmountFlags::DETACH)?;
    fs::remove_dir(store)?;
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", ".")?;
    // The host's root now lies over the new one; the working directory is still below it.
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    let top = kernel::open_directory(CWD, "/")?;
    kernel::seal(top.as_fd())
}
