//! Where the contract is tested: a backend, a specification and what both need, made in seconds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apprentice::isolation::Isolation;
use apprentice::sandbox::namespaces::Namespaces;
use apprentice::sandbox::rootfs::Shelf;
use apprentice::sandbox::scripted::ScriptedBackend;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Exec, Sandbox, Start};
use apprentice::trajectory::{Exit, Observation};

/// A backend to test.
pub(crate) struct Ground {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) spec: SandboxSpec,
}

impl Ground {
    fn new(backend: impl Backend + 'static, image: Option<String>) -> Self {
        let mut spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
        spec.image = image;
        spec.limits.memory_mib = 128;
        spec.limits.pids = 40;
        spec.env.insert("FROM_SPEC".to_owned(), "spec".to_owned());
        Self { backend: Arc::new(backend), spec }
    }

    /// Starts a sandbox with these files in its work directory; names that end in `!` are executable.
    pub(crate) async fn start(&self, files: &[(&str, &[u8])]) -> Box<dyn Sandbox> {
        let dir = tree(files);
        // Kept for the life of the test process: a start must stay as it is while its sandboxes live.
        let path = dir.keep();
        self.start_at(&path).await
    }

    pub(crate) async fn start_at(&self, tree: &Path) -> Box<dyn Sandbox> {
        self.backend.start(&Start { spec: &self.spec, tree: Some(tree) }).await.unwrap()
    }
}

/// A directory that holds `files`.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name.trim_end_matches('!'));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, bytes).unwrap();
        let mode = if name.ends_with('!') { 0o755 } else { 0o644 };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

/// A command with 30 seconds and 64 KiB in the session.
pub(crate) fn command(script: &str) -> Exec<'_> {
    Exec::new(script, Duration::from_secs(30), 64 * 1024)
}

pub(crate) async fn run(sandbox: &mut Box<dyn Sandbox>, script: &str) -> Observation {
    sandbox.exec(&command(script)).await.unwrap()
}

/// What a script that must succeed printed.
pub(crate) async fn output(sandbox: &mut Box<dyn Sandbox>, script: &str) -> String {
    let observation = run(sandbox, script).await;
    assert!(observation.exit.is_some_and(Exit::is_success), "{script}: {observation:?}");
    observation.output
}

/// Says why a test is skipped, or fails when it must not be.
pub(crate) fn skip(what: &str, reason: &str) {
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required: {reason}");
    println!("skipped: {reason}");
}

pub(crate) async fn namespaces() -> Option<Ground> {
    let backend = Namespaces::new(env!("CARGO_BIN_EXE_apprentice").into(), Isolation::AcceptWeaker);
    match backend.probe().await {
        Ok(_) => Some(Ground::new(backend, None)),
        Err(error) => {
            skip("namespaces", &format!("user namespaces are refused: {error}"));
            None
        }
    }
}

/// Namespaces with a root file system of their own, made of packages once and kept where Cargo keeps what
/// tests make.
pub(crate) async fn rootfs() -> Option<Ground> {
    static ROOT: tokio::sync::OnceCell<Result<PathBuf, String>> = tokio::sync::OnceCell::const_new();
    let mut ground = namespaces().await?;
    let made = ROOT.get_or_init(|| async {
        let shelf = Shelf::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache/apprentice/rootfs"));
        shelf.build(&ground.spec, &|_| ()).await.map(|(root, _)| root).map_err(|error| error.to_string())
    });
    match made.await {
        Ok(root) => {
            let backend = Namespaces::new(env!("CARGO_BIN_EXE_apprentice").into(), Isolation::AcceptWeaker);
            ground.backend = Arc::new(backend.with_rootfs(&ground.spec.name, root.clone()));
            ground.spec.host = false;
            Some(ground)
        }
        Err(error) => {
            skip("rootfs", &format!("no root file system can be made: {error}"));
            None
        }
    }
}

pub(crate) async fn scripted() -> Option<Ground> {
    Some(Ground::new(ScriptedBackend::default(), None))
}

#[cfg(not(feature = "docker"))]
pub(crate) async fn docker() -> Option<Ground> {
    println!("skipped: built without docker");
    None
}

/// Docker where commands write to the container's own layer: the image has the user, and so a home.
pub(crate) async fn docker_on_disk() -> Option<Ground> {
    let mut ground = docker().await?;
    "keeper".clone_into(&mut ground.spec.user);
    Some(ground)
}

#[cfg(feature = "docker")]
pub(crate) async fn docker() -> Option<Ground> {
    use apprentice::sandbox::docker::DockerBackend;

    match DockerBackend::connect(Isolation::Full).await {
        Ok(backend) => {
            let backend = backend.with_exe(env!("CARGO_BIN_EXE_apprentice").into());
            let image = image::from_host(backend.docker()).await;
            Some(Ground::new(backend, Some(image)))
        }
        Err(error) => {
            skip("docker", &format!("docker is not reachable: {error}"));
            None
        }
    }
}

/// A small image of this host's own bash, coreutils and git, so that no registry is needed.
#[cfg(feature = "docker")]
mod image {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use futures_util::TryStreamExt;

    /// Programs that the behaviours, the hostile rows and the random scripts use.
    const PROGRAMS: &str = "bash sh cat chmod chown cmp cp cut dirname env grep head id ln ls mkdir mkfifo mknod mv \
        nproc od perl ps readlink rm rmdir sed seq setsid sleep sort stat stty su tac tail tee timeout touch tr true uniq unshare \
        wc whoami yes";
    /// Counts up when what the image holds changes.
    const IMAGE: &str = "apprentice-contract:5";

    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();

    pub(super) async fn from_host(docker: &bollard::Docker) -> String {
        MADE.get_or_init(|| async {
            if docker.inspect_image(IMAGE).await.is_err() {
                import(docker).await;
            }
        })
        .await;
        IMAGE.to_owned()
    }

    async fn import(docker: &bollard::Docker) {
        let mut files = BTreeSet::new();
        for program in PROGRAMS.split_whitespace() {
            let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output().unwrap();
            let path = String::from_utf8(found.stdout).unwrap().trim().to_owned();
            if !path.starts_with('/') {
                continue;
            }
            files.insert((format!("bin/{program}"), PathBuf::from(&path)));
            for library in libraries(&path) {
                files.insert((library.trim_start_matches('/').to_owned(), PathBuf::from(library)));
            }
        }
        let mut tar = tar::Builder::new(Vec::new());
        for (inside, path) in &files {
            tar.append_file(inside, fs_err::File::open(path).unwrap().file_mut()).unwrap();
        }
        append_set_user_id(&mut tar, &files);
        for (directory, mode) in [("tmp", 0o1777), ("etc", 0o755), ("root", 0o700)] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(mode);
            header.set_size(0);
            tar.append_data(&mut header, directory, std::io::empty()).unwrap();
        }
        let passwd = b"root:x:0:0::/root:/bin/bash\nkeeper:x:1500:1500::/home/keeper:/bin/bash\n";
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(passwd.len() as u64);
        tar.append_data(&mut header, "etc/passwd", passwd.as_slice()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_uid(1500);
        header.set_gid(1500);
        header.set_size(0);
        tar.append_data(&mut header, "home/keeper", std::io::empty()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(7);
        tar.append_data(&mut header, "etc/shadow", b"secret\n".as_slice()).unwrap();
        let (repo, tag) = IMAGE.split_once(':').unwrap();
        let options = bollard::query_parameters::CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            ..Default::default()
        };
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        docker
            .create_image(Some(options), Some(body), None)
            .try_for_each(|_| async { Ok(()) })
            .await
            .unwrap();
    }

    /// A program of root's that would give its rights to whoever runs it.
    fn append_set_user_id(tar: &mut tar::Builder<Vec<u8>>, files: &BTreeSet<(String, PathBuf)>) {
        let (_, path) = files.iter().find(|(inside, _)| inside == "bin/id").unwrap();
        let bytes = fs_err::read(path).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o4755);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, "bin/setuid-id", bytes.as_slice()).unwrap();
    }

    /// The libraries of a program, its loader among them.
    fn libraries(program: &str) -> Vec<String> {
        let listed = Command::new("ldd").arg(program).output().unwrap();
        String::from_utf8(listed.stdout)
            .unwrap()
            .split_whitespace()
            .filter(|word| word.starts_with('/') && Path::new(word).is_file())
            .map(str::to_owned)
            .collect()
    }
}
