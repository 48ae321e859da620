//! Sandboxes that run nothing: canned observations over files in memory.
//!
//! The double of tests and dry runs. Guarantees that the same script always gives the same
//! observation and the same files, and that a fork is a true copy. Does not read scripts: one that
//! nobody canned fails like an unknown command.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::capacity::Capacity;
use super::output::BoundedOutput;
use super::tree::{self, Compared, Tree};
use super::{Backend, Exec, FileRead, FileWrite, Kept, Sandbox, SandboxError, Start, Streams, kept};
use crate::isolation::Protection;
use crate::patch::{File, Mode};
use crate::trajectory::{Apart, Observation, Piece, Stream};

/// What a canned script does.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It is observed to do this, and writes files (relative to the work directory).
    Observe {
        /// What it gives back.
        observation: Observation,
        /// The files that it leaves, by path.
        writes: Vec<(String, Vec<u8>)>,
    },
    /// The sandbox is lost while it runs.
    Lose,
}

impl From<Observation> for Reply {
    fn from(observation: Observation) -> Self {
        Self::Observe { observation, writes: Vec::new() }
    }
}

/// Makes sandboxes that answer from a list.
#[derive(Debug, Clone, Default)]
pub struct ScriptedBackend {
    replies: Arc<BTreeMap<String, Reply>>,
    /// Replies to every script with such a beginning.
    beginnings: Arc<Vec<(String, Reply)>>,
    /// How long scripts take that do not answer at once.
    durations: Arc<BTreeMap<String, Duration>>,
    n_started: Arc<AtomicU64>,
    n_lost: u64,
    capacity: Arc<Mutex<Option<Capacity>>>,
    /// What sandboxes kept; the files that they wrote say which.
    kept: Arc<Mutex<Vec<(Tree, Tree)>>>,
}

impl ScriptedBackend {
    /// A backend whose sandboxes know these scripts, compared without surrounding blanks.
    pub fn new<S: Into<String>>(replies: impl IntoIterator<Item = (S, Reply)>) -> Self {
        let replies = replies.into_iter().map(|(script, reply)| (script.into().trim().to_owned(), reply));
        Self { replies: Arc::new(replies.collect()), ..Self::default() }
    }

    /// The same, but a script that begins with this and that nobody canned whole is answered so.
    #[must_use]
    pub fn answering(mut self, beginning: impl Into<String>, reply: Reply) -> Self {
        Arc::make_mut(&mut self.beginnings).push((beginning.into(), reply));
        self
    }

    /// The same, but this script takes so long.
    #[must_use]
    pub fn taking(mut self, script: impl Into<String>, duration: Duration) -> Self {
        Arc::make_mut(&mut self.durations).insert(script.into(), duration);
        self
    }

    fn reply(&self, script: &str) -> Option<&Reply> {
        let begins = || self.beginnings.iter().find(|(beginning, _)| script.starts_with(beginning));
        self.replies.get(script).or_else(|| begins().map(|(_, reply)| reply))
    }

    /// The same, but the first `n_lost` sandboxes are lost at their first command.
    #[must_use]
    pub fn losing(self, n_lost: u64) -> Self {
        Self { n_lost, ..self }
    }

    /// The same on a machine that has no more than this.
    #[must_use]
    pub fn with_capacity(self, capacity: Capacity) -> Self {
        self.set_capacity(capacity);
        self
    }

    /// Changes what the machine has.
    pub fn set_capacity(&self, capacity: Capacity) {
        *self.capacity.lock().expect("invariant: nothing panics while it holds this lock") = Some(capacity);
    }

    /// How many sandboxes were started.
    pub fn n_started(&self) -> u64 {
        self.n_started.load(Ordering::Relaxed)
    }

    fn next(&self) -> (String, bool) {
        let number = self.n_started.fetch_add(1, Ordering::Relaxed);
        (format!("scripted-{number}"), number < self.n_lost)
    }
}

#[async_trait]
impl Backend for ScriptedBackend {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        let enforced = vec!["everything: no script is run".to_owned()];
        Ok(Protection { backend: self.name().to_owned(), enforced, missing: Vec::new() })
    }

    async fn capacity(&self) -> Result<Capacity, SandboxError> {
        let known = self.capacity.lock().expect("invariant: nothing panics while it holds this lock").clone();
        Ok(known.unwrap_or_else(Capacity::boundless))
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let before = start.tree.map(tree::read).transpose()?.unwrap_or_default();
        let (id, is_lost) = self.next();
        Ok(Box::new(Scripted {
            id,
            is_lost,
            backend: self.clone(),
            workdir: start.spec.workdir.clone(),
            files: before.clone(),
            before: Arc::new(before),
            outside: Tree::new(),
        }))
    }
}

#[derive(Debug, Clone)]
struct Scripted {
    id: String,
    is_lost: bool,
    backend: ScriptedBackend,
    workdir: String,
    before: Arc<Tree>,
    files: Tree,
    /// Files that do not lie in the work directory, by absolute path.
    outside: Tree,
}

/// Where a path leads.
enum Place {
    /// Below the work directory; empty for itself.
    Inside(String),
    Outside(String),
}

impl Scripted {
    fn place(&self, path: &str) -> Place {
        let mut parts: Vec<&str> = Vec::new();
        let absolute =
            if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.workdir) };
        for part in absolute.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let path = format!("/{}", parts.join("/"));
        match Path::new(&path).strip_prefix(&self.workdir) {
            Ok(inside) => Place::Inside(inside.to_string_lossy().into_owned()),
            Err(_) => Place::Outside(path),
        }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> FileWrite {
        let place = self.place(path);
        let (files, path) = match &place {
            Place::Inside(path) => (&mut self.files, path),
            Place::Outside(path) => (&mut self.outside, path),
        };
        if is_directory(files, path) {
            return FileWrite::Refused("it is not a regular file".to_owned());
        }
        let mode = files.get(path).map_or(Mode::File, |entry| entry.mode);
        files.insert(path.clone(), File { bytes: bytes.to_vec(), mode });
        FileWrite::Written
    }
}

/// Nobody canned which stream a reply is for.
fn all_stdout(output: &str) -> Apart {
    let piece = Piece { stream: Stream::Stdout, start: 0, end: output.len() };
    Apart { stdout: output.as_bytes().to_vec(), stderr: Vec::new(), pieces: vec![piece] }
}

fn is_directory(files: &Tree, path: &str) -> bool {
    path.is_empty()
        || files.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}

#[async_trait]
impl Sandbox for Scripted {
    fn id(&self) -> &str {
        &self.id
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let script = exec.script.trim();
        let backend = self.backend.clone();
        if let Some(duration) = backend.durations.get(script) {
            tokio::time::sleep(*duration).await;
        }
        let reply = if self.is_lost { Some(&Reply::Lose) } else { backend.reply(script) };
        match reply {
            Some(Reply::Observe { observation, writes }) => {
                for (path, bytes) in writes {
                    if let FileWrite::Refused(reason) = self.put(path, bytes) {
                        return Ok(Observation::new(format!("bash: {path}: {reason}\n"), 1));
                    }
                }
                let mut output = BoundedOutput::new(exec.output_bytes);
                output.push(observation.output.as_bytes());
                let (output, omitted_bytes) = output.finish();
                let apart = (exec.streams == Streams::Apart).then(|| all_stdout(&output));
                Ok(Observation { output, omitted_bytes, apart, ..observation.clone() })
            }
            Some(Reply::Lose) => Err(SandboxError::Lost {
                id: self.id.clone(),
                doing: "running a command".to_owned(),
                source: anyhow::anyhow!("the script says so"),
            }),
            None => Ok(Observation::new(format!("bash: line 1: {script}: command not found\n"), 127)),
        }
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        let place = self.place(path);
        let (files, path) = match &place {
            Place::Inside(path) => (&self.files, path),
            Place::Outside(path) => (&self.outside, path),
        };
        Ok(match files.get(path) {
            Some(entry) if entry.mode == Mode::Link => {
                FileRead::Refused("links are not followed here".to_owned())
            }
            Some(entry) => FileRead::File(entry.bytes.clone()),
            None if is_directory(files, path) => FileRead::Directory,
            None => FileRead::Missing,
        })
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        Ok(self.put(path, bytes))
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        Ok(Compared { changes: tree::changes(&self.before, &self.files), left_out: Vec::new() })
    }

    async fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        let mut kept = self.backend.kept.lock().expect("invariant: nothing panics while it holds this lock");
        fs_err::write(file, kept.len().to_string()).map_err(kept::host("write", file))?;
        kept.push((self.files.clone(), self.outside.clone()));
        Ok(Kept::Whole)
    }

    async fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        let number = fs_err::read_to_string(file).map_err(kept::host("read", file))?;
        let kept = self.backend.kept.lock().expect("invariant: nothing panics while it holds this lock");
        let found = number.parse().ok().and_then(|number: usize| kept.get(number));
        (self.files, self.outside) = found.cloned().unwrap_or_default();
        Ok(())
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let (id, is_lost) = self.backend.next();
        Ok(Box::new(Self { id, is_lost, ..self.clone() }))
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        Ok(())
    }
}
