//! `apprentice task import`: rows of public data sets into tasks, written as they are read.
//!
//! Guarantees that memory does not grow with the files, and that the tasks' directory holds either all tasks of the
//! import or what it held before: they take their places when the last row is read.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::cli::sandboxes::cache_dir;
use crate::fsio::whole::WholeFile;
use crate::import::task::{self, FORMATS, Options, Own, Refusal};
use crate::task::{Repo, Task};
use crate::{import, task_dir, workspace};

/// Turn other projects' tasks into ours
///
/// Each row becomes a task that is worked on and graded in the image that its data set has for it. What cannot be
/// imported is listed with the reason.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data set; found by looking at each row when absent
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(FORMATS.map(|format| format.name)))]
    from: Option<String>,
    /// Rows as JSON, JSONL, an array, Parquet or one of them in gzip, or directories of such files
    #[arg(value_name = "SRC", required = true)]
    sources: Vec<PathBuf>,
    /// Where the repository comes from, instead of the row's image: a clone, a directory, a bundle, a source archive
    /// or a URL
    #[arg(long, value_name = "PATH_OR_URL")]
    repo: Option<String>,
    /// The repository is already repaired: start from it with the gold patch taken back
    #[arg(long, requires = "repo")]
    reverse_gold: bool,
    /// Work in this sandbox instead of the row's image, on the repository of `--repo` or, without it, of GitHub
    /// (`--repo` alone: python)
    #[arg(long, value_name = "NAME")]
    sandbox_name: Option<String>,
    /// A command of the set-up, whose result every episode and every grade begins with (repeatable)
    #[arg(long, value_name = "CMD")]
    setup: Vec<String>,
    /// Where the tasks' directories are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave rows out that cannot be imported, and list them in `refused.jsonl` beside the tasks
    #[arg(long)]
    keep_going: bool,
    /// Where clones are kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Tasks and refusals that a result lists; the rest is in the directory.
const MOST_LISTED: usize = 1000;
/// What could not be imported, beside the tasks.
const REFUSED: &str = "refused.jsonl";

/// Runs the command.
pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let options = Options {
        format: args.from.as_deref().and_then(task::format),
        own: own(args)?,
        setup: args.setup.clone(),
    };
    let files = import::files(&args.sources).map_err(Failure::usage)?;
    let mut import = Import::begin(args)?;
    for file in &files {
        let mut failure = None;
        let read = task::each(file, &options, &mut |outcome| match import.take(outcome) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        read.with_context(|| format!("could not import `{}`", file.display())).map_err(Failure::input)?;
    }
    import.finish(output)
}

fn own(args: &Args) -> Result<Option<Own>, Failure> {
    if args.repo.is_none() && args.sandbox_name.is_none() {
        return Ok(None);
    }
    let repo = args.repo.as_deref().map(repo_of).transpose()?;
    let sandbox = args.sandbox_name.clone().unwrap_or_else(|| "python".to_owned());
    Ok(Some(Own { repo, sandbox }))
}

/// The source that a path or URL names.
fn repo_of(text: &str) -> Result<Repo, Failure> {
    let path = Path::new(text);
    if !path.exists() {
        if text.contains("://") || (text.contains(':') && text.contains('@')) {
            return Ok(Repo { git: Some(text.to_owned()), ..Repo::default() });
        }
        return Err(Failure::usage(anyhow!("the repository `{text}` does not exist")));
    }
    let full = fs_err::canonicalize(path).map_err(Failure::host)?.to_string_lossy().into_owned();
    let is_git = path.join(".git").exists() || path.join("HEAD").is_file();
    Ok(match (path.is_dir(), is_git) {
        (true, true) => Repo { git: Some(full), ..Repo::default() },
        (true, false) => Repo { path: Some(full), ..Repo::default() },
        _ if text.ends_with(".bundle") => Repo { bundle: Some(full), ..Repo::default() },
        _ => Repo { archive: Some(full), ..Repo::default() },
    })
}

/// An import under way.
struct Import<'a> {
    args: &'a Args,
    /// Where tasks wait until all are there.
    waiting: TempDir,
    refused: Option<WholeFile>,
    ids: Vec<String>,
    imported: usize,
    refusals: Vec<Refusal>,
    refused_count: usize,
}

impl<'a> Import<'a> {
    fn begin(args: &'a Args) -> Result<Self, Failure> {
        fs_err::create_dir_all(&args.out).map_err(Failure::host)?;
        let waiting = tempfile::Builder::new().prefix(".importing-").tempdir_in(&args.out);
        Ok(Self {
            args,
            waiting: waiting.map_err(Failure::host)?,
            refused: None,
            ids: Vec::new(),
            imported: 0,
            refusals: Vec::new(),
            refused_count: 0,
        })
    }

    fn take(&mut self, outcome: task::Outcome) -> Result<(), Failure> {
        match outcome.and_then(|read| self.completed(read)) {
            Ok(task) => self.write(task),
            Err(refusal) if self.args.keep_going => self.refuse(refusal),
            Err(refusal) => {
                let file = refusal.file.display().to_string();
                let source = anyhow::Error::new(refusal).context(format!("could not import `{file}`"));
                Err(Failure::input(source)
                    .with_hint("repair the row, or leave out what cannot be imported with `--keep-going`"))
            }
        }
    }

    /// The task with what the whole import knows of it.
    fn completed(&self, (mut task, row): (Task, task::Place)) -> Result<Task, Refusal> {
        if self.waiting.path().join(&task.id).exists() {
            return Err(row.refusal(&task.id, "its id stands in an earlier row"));
        }
        if self.args.reverse_gold
            && let Err(error) = self.take_gold_back(&mut task)
        {
            return Err(row.refusal(&task.id, &format!("{error:#}")));
        }
        Ok(task)
    }

    fn take_gold_back(&self, task: &mut Task) -> anyhow::Result<()> {
        let gold = task.gold.clone().context("it has no gold patch to take back")?;
        let repo = task.repo.as_mut().context("it has no repository")?;
        let dir = self.args.out.join(&task.id);
        let cache = cache_dir(self.args.cache.as_ref());
        repo.patch = Some(workspace::reversed_archive_patch(repo, &dir, &cache, &gold)?);
        Ok(())
    }

    fn write(&mut self, task: Task) -> Result<(), Failure> {
        task_dir::save(&task, self.waiting.path()).map_err(Failure::host)?;
        self.imported += 1;
        if self.ids.len() < MOST_LISTED {
            self.ids.push(task.id);
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), Failure> {
        if self.refused.is_none() {
            self.refused = Some(WholeFile::create(&self.args.out.join(REFUSED)).map_err(Failure::host)?);
        }
        self.refused.as_mut().map_or(Ok(()), |refused| refused.push(&refusal)).map_err(Failure::host)?;
        self.refused_count += 1;
        if self.refusals.len() < MOST_LISTED {
            self.refusals.push(refusal);
        }
        Ok(())
    }

    fn finish(mut self, output: Output) -> Result<Answer, Failure> {
        if let Some(refused) = self.refused.take() {
            refused.finish().map_err(Failure::host)?;
        }
        if self.imported == 0 {
            let why = self.refusals.first().map(|refusal| format!(": {refusal}")).unwrap_or_default();
            return Err(Failure::nothing(anyhow!("the sources gave no task{why}")));
        }
        self.place().map_err(Failure::host)?;
        let Self { args, ids, imported, refusals, refused_count, .. } = &self;
        let mut text = format!("Imported {imported} tasks to {}\n", args.out.display());
        for refusal in refusals {
            text.push_str(&format!("Refused {refusal}\n"));
        }
        if refusals.len() < *refused_count {
            text.push_str(&format!("… and more: {refused_count} in {}\n", args.out.join(REFUSED).display()));
        }
        let value: Value = json!({
            "format": "apprentice.import/1",
            "tasks": ids,
            "refused": refusals,
            "imported": imported,
            "refused_count": refused_count,
            "out": args.out.display().to_string(),
        });
        output.result(&value, &text).map_err(Failure::host)?;
        Ok(Answer::Yes)
    }

    /// Gives the tasks their places, in place of earlier ones of the same id.
    fn place(&self) -> anyhow::Result<()> {
        for entry in fs_err::read_dir(self.waiting.path())? {
            let entry = entry?;
            let file = entry.path().join(task_dir::FILE);
            let place = self.args.out.join(entry.file_name());
            fs_err::create_dir_all(&place)?;
            fs_err::rename(file, place.join(task_dir::FILE))?;
        }
        Ok(())
    }
}
