//! A backend that isolates nothing: a temporary directory and plain processes, for our own data only.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::Stdio;

use apprentice::isolation::Protection;
use apprentice::sandbox::tree::Compared;
use apprentice::sandbox::{Backend, Exec, FileRead, FileWrite, Sandbox, SandboxError, Start};
use apprentice::trajectory::{Exit, Observation};
use async_trait::async_trait;

pub(crate) struct HostBackend;

struct HostDir {
    dir: tempfile::TempDir,
}

#[async_trait]
impl Backend for HostBackend {
    fn name(&self) -> &'static str {
        "host"
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        Ok(Protection { backend: "host".to_owned(), enforced: Vec::new(), missing: Vec::new() })
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let dir = tempfile::tempdir().unwrap();
        if let Some(tree) = start.tree {
            copy(tree, dir.path());
        }
        Ok(Box::new(HostDir { dir }))
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let source = format!("{}/.", from.display());
    assert!(
        std::process::Command::new("cp").arg("-a").args([source.as_ref(), to]).status().unwrap().success()
    );
}

impl HostDir {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
}

#[async_trait]
impl Sandbox for HostDir {
    fn id(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = std::process::Command::new("bash");
        command.args(["-c", exec.script]).current_dir(self.dir.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = tokio::process::Command::from(command).spawn().unwrap();
        let group = child.id().unwrap();
        let read = tokio::task::spawn_blocking(move || std::io::read_to_string(reader).unwrap());
        let ended = tokio::time::timeout(exec.timeout, child.wait_with_output()).await;
        let exit = if let Ok(ended) = ended {
            let status = ended.unwrap().status;
            status.code().map_or_else(|| Exit::Signal(status.signal().unwrap()), Exit::Code)
        } else {
            kill_group(group);
            Exit::TimedOut
        };
        let output = read.await.unwrap();
        Ok(Observation { exit: Some(exit), ..Observation::recorded(output) })
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        Ok(std::fs::read(self.at(path)).map_or(FileRead::Missing, FileRead::File))
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        std::fs::write(self.at(path), bytes).unwrap();
        Ok(FileWrite::Written)
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        unreachable!("synthesis asks for no changes")
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        unreachable!("synthesis does not fork")
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        Ok(())
    }
}

/// Ends a whole process group.
fn kill_group(group: u32) {
    let target = format!("-{group}");
    assert!(std::process::Command::new("kill").args(["-KILL", "--", &target]).status().unwrap().success());
}
