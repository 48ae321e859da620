//! One container as a sandbox.
//!
//! Commands run through the engine's exec, so their exit codes come from the kernel and not from text
//! that the agent could forge. At the deadline PID 1 kills every process of the agent; if one survives,
//! the container is restarted, which keeps its files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerConfig, ExecConfig, ExecInspectResponse};
use bollard::query_parameters::{CommitContainerOptions, InspectContainerOptions, KillContainerOptions};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::files::{self, SESSION_DIRECTORY, lost};
use super::owner;
use super::users::User;
use crate::sandbox::output::BoundedOutput;
use crate::sandbox::session::SessionDir;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Exec, FileRead, FileWrite, Sandbox, SandboxError, tree};
use crate::trajectory::{Exit, Observation};

/// Merges the two streams in their order, closes stdin and finds the work directory, which the agent may
/// have removed. A plain `sh`, because it ignores the `BASH_ENV` that is meant for the bash it becomes.
const ENTER: &str = r#"cd "$0" 2>/dev/null; exec "$@" 2>&1 </dev/null"#;

/// Prints a file; says on stderr what it is. A file may turn into a pipe before it is opened, so the
/// opening has an end.
const READ: &str = r#"cd "$0" 2>/dev/null
if [ -d "$1" ]; then echo directory >&2
elif [ -f "$1" ]; then timeout 10 cat -- "$1" && echo file >&2
elif [ -e "$1" ]; then echo it is neither a file nor a directory >&2
else echo missing >&2; fi"#;

/// Writes `$2` bytes of stdin to a file; says on stderr whether that worked. The opening has an end, too.
const WRITE: &str = r#"cd "$0" 2>/dev/null
if [ -e "$1" ] && [ ! -f "$1" ]; then echo it is not a regular file >&2; exit; fi
case $1 in */*) mkdir -p -- "${1%/*}/" || exit;; esac
timeout 10 sh -c 'head -c "$1" > "$0"' "$1" "$2" && echo written >&2"#;

/// How often processes have been killed because of memory, for cgroup v2 and v1.
const OOM_KILLS: &str =
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null";

/// How long the engine may take for our own small commands.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long output may be quiet before we ask whether the command has ended: what it left in the
/// background may hold its output open.
const QUIET: Duration = Duration::from_millis(150);

/// How long the engine may take to deliver what a command printed before its end. It closes the stream
/// then, unless what the command left in the background holds it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the bytes that a sandbox wrote are measured while a command runs.
const DISK_PERIOD: Duration = Duration::from_secs(2);

/// What the kernel sends a process that writes too much.
const SIGXFSZ: i32 = 25;

/// The work directory at the start.
#[derive(Debug, Clone)]
pub(super) enum Base {
    Host(PathBuf),
    Image(Arc<tree::Tree>),
}

/// An image made by a fork, removed after the last container that needs it.
#[derive(Debug)]
struct Layer {
    image: String,
    parent: Option<Arc<Layer>>,
}

/// A running container.
pub(super) struct Container {
    docker: Docker,
    id: String,
    spec: SandboxSpec,
    user: User,
    base: Base,
    session: SessionDir,
    layer: Option<Arc<Layer>>,
    oom_kills: u64,
    is_removed: bool,
}

/// What a command of ours printed.
struct Printed {
    stdout: Vec<u8>,
    stderr: String,
}

/// How the stream of a command ended.
enum Ended {
    ByItself,
    AtDeadline,
    /// It filled its disk, and was killed for that.
    OverDiskLimit,
}

impl Container {
    pub(super) fn new(docker: Docker, id: String, spec: SandboxSpec, user: User, base: Base) -> Self {
        let session = SessionDir::new(SESSION_DIRECTORY);
        Self { docker, id, spec, user, base, session, layer: None, oom_kills: 0, is_removed: false }
    }

    /// Gives the work directory that came with the image to the sandbox's user.
    pub(super) async fn own_workdir(&self) -> Result<(), SandboxError> {
        if self.user.is_root() {
            return Ok(());
        }
        let script = "chown -R -h \"$1\" \"$0\"";
        let argv = ["sh", "-c", script, &self.spec.workdir, &self.user.ids()].map(str::to_owned).to_vec();
        let config = ExecConfig { cmd: Some(argv), user: Some("0:0".to_owned()), ..ExecConfig::default() };
        let printed = self.ours(config, &[]).await?;
        if printed.stderr.is_empty() {
            return Ok(());
        }
        Err(lost(&self.id, "giving the work directory to its user")(anyhow!(printed.stderr)))
    }

    fn lost<E: Into<anyhow::Error>>(&self, doing: &str) -> impl FnOnce(E) -> SandboxError + use<E> {
        lost(&self.id, doing)
    }

    fn as_user(&self, argv: Vec<String>, env: &[(String, String)]) -> ExecConfig {
        let home = ("HOME".to_owned(), self.user.home.clone());
        let env = std::iter::once(&home).chain(env).map(|(name, value)| format!("{name}={value}")).collect();
        ExecConfig {
            cmd: Some(argv),
            env: Some(env),
            user: Some(self.user.ids()),
            working_dir: Some("/".to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        }
    }

    /// Runs one of our own scripts on a path as the sandbox's user.
    async fn script(&self, script: &str, arguments: &[&str], input: &[u8]) -> Result<Printed, SandboxError> {
        let argv = ["sh", "-c", script, &self.spec.workdir].map(str::to_owned).to_vec();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        self.ours(self.as_user([argv, arguments].concat(), &[]), input).await
    }

    async fn ours(&self, config: ExecConfig, input: &[u8]) -> Result<Printed, SandboxError> {
        let config = ExecConfig {
            attach_stdin: Some(!input.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..config
        };
        let run = async {
            let exec = self.docker.create_exec(&self.id, config).await?.id;
            let StartExecResults::Attached { mut output, input: mut stdin } =
                self.docker.start_exec(&exec, None).await?
            else {
                return Err(anyhow!("the engine did not attach to the command"));
            };
            let write = async {
                // A script that ends early says why on stderr; its closed stdin says nothing more.
                drop(stdin.write_all(input).await);
                drop(stdin.flush().await);
                drop(stdin.shutdown().await);
            };
            let read = async {
                let mut printed = Printed { stdout: Vec::new(), stderr: String::new() };
                while let Some(chunk) = output.next().await {
                    match chunk? {
                        LogOutput::StdErr { message } => {
                            printed.stderr.push_str(&String::from_utf8_lossy(&message));
                        }
                        chunk => printed.stdout.extend_from_slice(&chunk.into_bytes()),
                    }
                }
                Ok(printed)
            };
            let ((), printed) = tokio::join!(write, read);
            printed
        };
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(printed) => printed.map_err(self.lost("reaching its files")),
            Err(_) => Err(self.lost("reaching its files")(anyhow!("the engine did not answer within 60 s"))),
        }
    }

    /// Runs a prepared command; gives its output, how it ended, and what the engine says of it.
    async fn observe(
        &self,
        config: ExecConfig,
        exec: &Exec<'_>,
    ) -> Result<(BoundedOutput, Ended, ExecInspectResponse), SandboxError> {
        let doing = "running a command";
        let id = self.docker.create_exec(&self.id, config).await.map_err(self.lost(doing))?.id;
        let started = self.docker.start_exec(&id, None).await.map_err(self.lost(doing))?;
        let StartExecResults::Attached { output: mut stream, .. } = started else {
            return Err(self.lost(doing)(anyhow!("the engine did not attach to the command")));
        };
        let begin = tokio::time::Instant::now();
        let (deadline, mut measure_at) = (begin + exec.timeout, begin + DISK_PERIOD);
        let mut kept = BoundedOutput::new(exec.output_bytes);
        let mut quiet = QUIET;
        // Once the command has ended: until when to wait for what it printed before.
        let mut last_words = None;
        let ended = loop {
            let wait_until = last_words.unwrap_or(deadline.min(tokio::time::Instant::now() + quiet));
            let is_quiet = match tokio::time::timeout_at(wait_until, stream.next()).await {
                Ok(Some(chunk)) => {
                    kept.push(&chunk.map_err(self.lost(doing))?.into_bytes());
                    false
                }
                Ok(None) => break Ended::ByItself,
                Err(_) => true,
            };
            // A command that prints without pause never lets the wait above run out.
            let now = tokio::time::Instant::now();
            match last_words {
                Some(until) if until <= now => break Ended::ByItself,
                Some(_) => continue,
                None if deadline <= now => break Ended::AtDeadline,
                None => {}
            }
            if (is_quiet || measure_at <= now) && self.ended(&id).await?.is_some() {
                last_words = Some(tokio::time::Instant::now() + LAST_WORDS);
                continue;
            }
            if is_quiet {
                quiet = (quiet * 2).min(DISK_PERIOD);
            }
            if measure_at <= now {
                measure_at += DISK_PERIOD;
                if self.is_over_disk_limit().await? {
                    break Ended::OverDiskLimit;
                }
            }
        };
        if !matches!(ended, Ended::ByItself) {
            self.kill_everything(&id).await?;
        }
        let inspect = self.docker.inspect_exec(&id).await.map_err(self.lost(doing))?;
        Ok((kept, ended, inspect))
    }

    /// Whether the sandbox wrote more than it may. Docker has no quota on most storage drivers, so this
    /// is measured, and files can be larger than the limit by what is written between two looks.
    async fn is_over_disk_limit(&self) -> Result<bool, SandboxError> {
        let options = InspectContainerOptions { size: true };
        let inspect = self.docker.inspect_container(&self.id, Some(options)).await;
        let written = inspect.map_err(self.lost("measuring what it wrote"))?.size_rw.unwrap_or_default();
        Ok(u64::try_from(written).unwrap_or_default() > self.spec.limits.disk_mib << 20)
    }

    async fn ended(&self, exec: &str) -> Result<Option<ExecInspectResponse>, SandboxError> {
        let inspect = self.docker.inspect_exec(exec).await.map_err(self.lost("waiting for a command"))?;
        Ok((inspect.running == Some(false)).then_some(inspect))
    }

    /// Ends every process of the agent, and makes sure that `exec` is one of them.
    async fn kill_everything(&self, exec: &str) -> Result<(), SandboxError> {
        let doing = "killing a command at its deadline";
        for _ in 0..3 {
            self.signal("SIGUSR1").await.map_err(self.lost(doing))?;
            for _ in 0..20 {
                if self.ended(exec).await?.is_some() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // Processes that PID 1 cannot end: stopping the container ends them from outside.
        self.signal("SIGKILL").await.map_err(self.lost(doing))?;
        let mut stopped = std::pin::pin!(self.docker.wait_container(&self.id, None));
        // The stream's one item is the exit code, or an error made of it.
        drop(stopped.next().await);
        self.docker.start_container(&self.id, None).await.map_err(self.lost(doing))
    }

    async fn signal(&self, signal: &str) -> Result<(), bollard::errors::Error> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.docker.kill_container(&self.id, Some(options)).await
    }

    async fn exit(&mut self, ended: &Ended, code: i64) -> Result<Exit, SandboxError> {
        match ended {
            Ended::AtDeadline => return Ok(Exit::TimedOut),
            Ended::OverDiskLimit => return Ok(Exit::Signal(SIGXFSZ)),
            Ended::ByItself => {}
        }
        // 137 is SIGKILL: by the memory limit, or by anyone else.
        if code == 137 && self.was_out_of_memory().await? {
            return Ok(Exit::OutOfMemory);
        }
        Ok(Exit::Code(i32::try_from(code).unwrap_or(i32::MAX)))
    }

    async fn was_out_of_memory(&mut self) -> Result<bool, SandboxError> {
        let printed = self.script(OOM_KILLS, &[], &[]).await?;
        let counters = String::from_utf8_lossy(&printed.stdout).into_owned();
        let kills = counters
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .filter_map(|count| count.trim().parse::<u64>().ok())
            .sum();
        let grew = kills > self.oom_kills;
        self.oom_kills = kills;
        Ok(grew)
    }

    async fn free(&mut self) -> Result<(), SandboxError> {
        self.is_removed = true;
        owner::remove_container(&self.docker, &self.id).await.map_err(self.lost("being removed"))?;
        let mut layer = self.layer.take();
        while let Some(last) = layer.and_then(Arc::into_inner) {
            owner::remove_image(&self.docker, &last.image)
                .await
                .map_err(self.lost("its image was removed"))?;
            layer = last.parent;
        }
        Ok(())
    }
}

#[async_trait]
impl Sandbox for Container {
    fn id(&self) -> &str {
        &self.id
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let invocation = self.session.invocation(exec);
        if let Some((path, script)) = &invocation.script_file
            && let FileWrite::Refused(reason) = self.write(path, script.as_bytes()).await?
        {
            return Ok(Observation::new(format!("bash: {path}: {reason}\n"), 126));
        }
        let argv: Vec<String> =
            ["sh", "-c", ENTER, &self.spec.workdir].iter().map(ToString::to_string).collect();
        let config = self.as_user([argv, invocation.argv].concat(), &invocation.env);
        let begin = Instant::now();
        let (mut output, mut ended, mut inspect) = self.observe(config.clone(), exec).await?;
        if was_refused(&inspect) {
            // Most often the process limit: what earlier commands left running takes it all.
            self.signal("SIGUSR1").await.map_err(self.lost("making room for a command"))?;
            (output, ended, inspect) = self.observe(config, exec).await?;
            if was_refused(&inspect) {
                return Err(self.lost("running a command")(anyhow!(output.finish().0)));
            }
        }
        let elapsed_seconds = begin.elapsed().as_secs_f64();
        let exit = self.exit(&ended, inspect.exit_code.unwrap_or_default()).await?;
        let (output, omitted_bytes) = output.finish();
        Ok(Observation { output, exit: Some(exit), omitted_bytes, elapsed_seconds })
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        if path.contains('\0') {
            return Ok(FileRead::Missing);
        }
        let printed = self.script(READ, &[&dashed(path)], &[]).await?;
        Ok(match printed.stderr.trim_end() {
            "file" => FileRead::File(printed.stdout),
            "directory" => FileRead::Directory,
            "missing" => FileRead::Missing,
            reason => FileRead::Refused(last_words(reason)),
        })
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        if path.contains('\0') {
            return Ok(FileWrite::Refused("a path cannot hold a NUL".to_owned()));
        }
        let printed = self.script(WRITE, &[&dashed(path), &bytes.len().to_string()], bytes).await?;
        Ok(match printed.stderr.trim_end() {
            "written" => FileWrite::Written,
            reason => FileWrite::Refused(last_words(reason)),
        })
    }

    async fn changes(&mut self) -> Result<Vec<tree::Change>, SandboxError> {
        let workdir = &self.spec.workdir;
        match &self.base {
            Base::Host(before) => files::compare(&self.docker, &self.id, workdir, before).await,
            Base::Image(before) => {
                files::compare_with_image(&self.docker, &self.id, workdir, before.clone()).await
            }
        }
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let options =
            CommitContainerOptions { container: Some(self.id.clone()), pause: true, ..Default::default() };
        let config =
            ContainerConfig { labels: Some(owner::labels(&self.spec.name)), ..ContainerConfig::default() };
        let image =
            self.docker.commit_container(options, config).await.map_err(self.lost("being forked"))?.id;
        let layer = Arc::new(Layer { image: image.clone(), parent: self.layer.clone() });
        let id = super::create(&self.docker, &image, &self.spec).await?;
        let mut child =
            Self::new(self.docker.clone(), id, self.spec.clone(), self.user.clone(), self.base.clone());
        child.layer = Some(layer);
        match self.docker.start_container(&child.id, None).await {
            Ok(()) => Ok(Box::new(child)),
            Err(error) => {
                let error = child.lost("being started")(error);
                // The first failure is the one to report.
                drop(child.free().await);
                Err(error)
            }
        }
    }

    async fn stop(mut self: Box<Self>) -> Result<(), SandboxError> {
        self.free().await
    }
}

impl Drop for Container {
    /// Removes what nobody stopped, on a thread of its own; what does not finish is found by its labels.
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        tracing::debug!(sandbox = %self.id, "a sandbox was dropped without being stopped");
        owner::remove_later(self.id.clone());
    }
}

/// Whether the engine could not start the command at all.
fn was_refused(inspect: &ExecInspectResponse) -> bool {
    matches!(inspect.exit_code, Some(126 | 127)) && inspect.pid.unwrap_or_default() == 0
}

/// A path that no program takes for an option.
fn dashed(path: &str) -> String {
    if path.starts_with('-') { format!("./{path}") } else { path.to_owned() }
}

/// `sh: 1: cannot create /x: Permission denied` without its beginning.
fn last_words(reason: &str) -> String {
    let line = reason.lines().last().unwrap_or("the sandbox did not say why");
    line.rsplit(": ").next().unwrap_or(line).to_lowercase()
}
