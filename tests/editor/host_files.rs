//! Files of a temporary directory that an editor believes to lie elsewhere, and the host's bash.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use apprentice::editor::{Files, Found};
use async_trait::async_trait;

pub(crate) struct HostFiles {
    dir: tempfile::TempDir,
    /// The directory's name as the editor and its user know it.
    root: String,
}

impl HostFiles {
    pub(crate) fn new(root: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), root: root.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Some(rest) => self.dir.path().join(rest.trim_start_matches('/')),
            None => PathBuf::from(path),
        }
    }

    /// Writes a file, or makes a directory.
    pub(crate) fn put(&self, path: &str, bytes: Option<&[u8]>) {
        let path = self.dir.path().join(path);
        match bytes {
            None => fs_err::create_dir_all(&path).unwrap(),
            Some(bytes) => {
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, bytes).unwrap();
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        fs_err::read(self.dir.path().join(path)).unwrap()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.dir.path().join(path).exists()
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        fs_err::set_permissions(self.dir.path().join(path), permissions).unwrap();
    }

    pub(crate) fn mode_of(&self, path: &str) -> u32 {
        fs_err::metadata(self.dir.path().join(path)).unwrap().permissions().mode() & 0o777
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        fs_err::os::unix::fs::symlink(target, self.dir.path().join(path)).unwrap();
    }

    /// The names in the directory, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn is_link(&self, path: &str) -> bool {
        fs_err::symlink_metadata(self.dir.path().join(path)).unwrap().is_symlink()
    }
}

#[async_trait]
impl Files for HostFiles {
    type Error = Infallible;

    async fn read(&mut self, path: &str) -> Result<Found, Infallible> {
        Ok(match fs_err::read(self.at(path)) {
            Ok(bytes) => Found::File(bytes),
            Err(error) => match error.kind() {
                std::io::ErrorKind::IsADirectory => Found::Directory,
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Found::Missing,
                _ => Found::Refused(error.to_string()),
            },
        })
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Option<String>, Infallible> {
        let path = self.at(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        Ok(fs_err::write(path, bytes).err().map(|error| error.to_string()))
    }

    async fn run(&mut self, script: &str) -> Result<String, Infallible> {
        let here = self.dir.path().to_str().unwrap();
        let script = format!("exec 2>&1\n{}", script.replace(&self.root, here));
        let output =
            std::process::Command::new("bash").args(["-c", &script]).current_dir(here).output().unwrap();
        Ok(String::from_utf8(output.stdout).unwrap().replace(here, &self.root))
    }
}
