//! `apprentice trajectory import`: files of any known format into one JSONL file, written as they are read.
//!
//! Guarantees that memory does not grow with the files, and that the output is whole or untouched: it takes
//! its place when the last record is read. Ids are made distinct in the order of the files.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::fsio::whole::WholeFile;
use crate::import::{self, Options, Reject, TrajectoryFormat};
use crate::trajectory::{FORMAT, Trajectory};

/// Read recorded trajectories of any known format into one JSONL file
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, or directories whose `.traj`, `.jsonl`, `.json`, `.parquet` and `.demo.yaml` files are read
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// The format of the sources; found by looking at each record when absent. One of native, atif, swe-agent,
    /// nebius, swe-rebench, openhands-events, r2e-gym, nemo-gym, nemotron, swe-gym, coderforge, sera,
    /// mini-coder, kwai-klear, mini-swe-agent, swe-smith, openhands; of mathematics s1k, gsm8k, olympiad-bench, minerva,
    /// math, aime, problems
    #[arg(long)]
    from: Option<String>,
    /// Where the trajectories are written
    #[arg(long)]
    out: PathBuf,
    /// Leave records out that cannot be read, and list them in `rejects.jsonl` beside the output
    #[arg(long)]
    keep_going: bool,
    /// File every trajectory under this task
    #[arg(long)]
    task: Option<String>,
}

/// Trajectories that a result lists by name; the rest is in the output.
const MOST_LISTED: usize = 1000;

/// Runs the command.
pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let format = args.from.as_deref().map(named_format).transpose()?;
    let options = Options { format, task: args.task.as_deref() };
    let files = import::files(&args.sources).map_err(Failure::input)?;
    let mut import = Import::begin(args)?;
    for file in &files {
        super::outcomes(file, options, &|outcome| outcome.map(Written::new), |written| import.take(written))?;
    }
    import.finish(files.len(), output)
}

fn named_format(name: &str) -> Result<&'static dyn TrajectoryFormat, Failure> {
    import::format(name).ok_or_else(|| {
        let known: Vec<&str> = import::FORMATS.iter().map(|format| format.name()).collect();
        Failure::usage(anyhow::anyhow!("`{name}` is no format of trajectories"))
            .with_hint(format!("use one of: {}", known.join(", ")))
    })
}

/// What to say of a record that cannot be read.
pub(super) fn refusal(reject: &Reject) -> Failure {
    let source =
        anyhow::Error::new(reject.clone()).context(format!("could not import `{}`", reject.file.display()));
    Failure::input(source).with_hint(reject.remedy)
}

/// An import under way.
struct Import<'a> {
    args: &'a Args,
    out: WholeFile,
    rejects: Option<WholeFile>,
    ids: Ids,
    listed: Vec<Value>,
    trajectories: usize,
    steps: usize,
    rejected: usize,
    /// Of these, problems without a solution in steps.
    no_steps: usize,
}

impl<'a> Import<'a> {
    fn begin(args: &'a Args) -> Result<Self, Failure> {
        Ok(Self {
            args,
            out: WholeFile::create(&args.out).map_err(Failure::host)?,
            rejects: None,
            ids: Ids::default(),
            listed: Vec::new(),
            trajectories: 0,
            steps: 0,
            rejected: 0,
            no_steps: 0,
        })
    }

    fn take(&mut self, written: Result<Written, Reject>) -> Result<(), Failure> {
        match written {
            Ok(written) => self.write(written),
            Err(reject) if reject.no_steps || self.args.keep_going => self.reject(&reject),
            Err(reject) => Err(refusal(&reject)),
        }
    }

    fn write(&mut self, mut written: Written) -> Result<(), Failure> {
        let id = self.ids.distinct(&written.id);
        self.trajectories += 1;
        self.steps += written.steps;
        if self.listed.len() < MOST_LISTED {
            let t = &written;
            self.listed.push(json!({"id": id, "task": t.task, "steps": t.steps, "file": t.file}));
        }
        written.rename(id);
        let failed = || format!("could not write `{}`", self.args.out.display());
        self.out.write_all(&written.line).with_context(failed).map_err(Failure::host)
    }

    fn reject(&mut self, reject: &Reject) -> Result<(), Failure> {
        self.rejected += 1;
        self.no_steps += usize::from(reject.no_steps);
        if self.rejects.is_none() {
            self.rejects = Some(WholeFile::create(&rejects_path(&self.args.out)).map_err(Failure::host)?);
        }
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.push(reject)).map_err(Failure::host)
    }

    fn finish(self, files: usize, output: Output) -> Result<Answer, Failure> {
        if let Some(rejects) = self.rejects {
            rejects.finish().map_err(Failure::host)?;
        }
        if self.trajectories == 0 && 0 < self.no_steps {
            let failure =
                anyhow::anyhow!("none of {} problems has a solution in numbered steps", self.no_steps);
            return Err(Failure::nothing(failure).with_hint("see `rejects.jsonl` beside the output for each"));
        }
        if self.trajectories == 0 {
            let failure = Failure::nothing(anyhow::anyhow!("no trajectory was found in {files} files"));
            return Err(
                failure.with_hint("name files, or directories with `.traj`, `.jsonl` or `.parquet` files")
            );
        }
        self.out.finish().map_err(Failure::host)?;
        let value = json!({
            "format": "apprentice.import/1",
            "trajectories": self.listed,
            "imported": self.trajectories,
            "steps": self.steps,
            "rejected": self.rejected,
            "no_steps": self.no_steps,
            "out": self.args.out.display().to_string(),
        });
        let (steps, count, out) = (self.steps, self.trajectories, self.args.out.display());
        let mut human = format!("Imported {steps} steps from {count} trajectories into {out}");
        if 0 < self.rejected {
            let unsplit = match self.no_steps {
                0 => String::new(),
                count => format!(", {count} of them without a solution in steps"),
            };
            let rejects = rejects_path(&self.args.out);
            human.push_str(&format!(" ({} rejected{unsplit}, see {})", self.rejected, rejects.display()));
        }
        output.result(&value, &human).map_err(Failure::host)?;
        Ok(Answer::Yes)
    }
}

fn rejects_path(out: &Path) -> PathBuf {
    out.parent().unwrap_or(Path::new("")).join("rejects.jsonl")
}

/// A trajectory's line in the output, made where it was read, and what is said of it.
struct Written {
    id: String,
    task: String,
    file: String,
    steps: usize,
    line: Vec<u8>,
}

impl Written {
    fn new(trajectory: Trajectory) -> Self {
        let mut line = serde_json::to_vec(&trajectory).expect("invariant: a trajectory is JSON");
        line.push(b'\n');
        let Trajectory { id, task, source, steps, .. } = trajectory;
        Self { id, task, file: source.file, steps: steps.len(), line }
    }

    /// Gives the trajectory another id, which stands after its format.
    fn rename(&mut self, id: String) {
        if id == self.id {
            return;
        }
        let head = |id: &str| json!({"format": FORMAT, "id": id}).to_string();
        let (old, new) = (head(&self.id), head(&id));
        debug_assert!(self.line.starts_with(&old.as_bytes()[..old.len() - 1]));
        self.line.splice(..old.len() - 1, new.bytes().take(new.len() - 1));
        self.id = id;
    }
}

/// The ids that were given; only their digests are kept, as there may be millions.
#[derive(Default)]
struct Ids {
    seen: HashMap<u64, u32>,
}

impl Ids {
    /// Files of the same name in two directories give the same id; the later ones get a number.
    fn distinct(&mut self, plain: &str) -> String {
        let mut id = plain.to_owned();
        loop {
            let count = self.seen.entry(digest(&id)).or_default();
            *count += 1;
            if *count == 1 {
                return id;
            }
            let count = *count;
            id = format!("{plain}#{count}");
        }
    }
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
