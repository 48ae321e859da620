//! `apprentice trajectory export`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::curation::{CurationArgs, Curator};
use super::each;
use crate::curate::Learning;
use crate::export::{self, Chat, ExportFormat, Options, Rows, Sink, Thoughts};
use crate::trajectory::Trajectory;

/// Write trajectories as other projects' files: whole records, chats, or a trainer's examples with the step reward
///
/// `native` and `atif` keep whole records. `sft` writes a chat a trajectory. `trl`, `verl`, `skyrl`, `prime` and `openrlhf`
/// write a directory with one example a step, the expert's action as its ground truth, and `srl_reward.py` beside it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of trajectories
    file: PathBuf,
    /// The format: native, atif, sft, trl, verl, skyrl, prime or openrlhf
    #[arg(long)]
    to: String,
    /// The file, or for a trainer the directory, that is written
    #[arg(long)]
    out: PathBuf,
    /// What becomes of thoughts in `sft`: `tags`, `plain` or `off`
    #[arg(long, default_value = "tags", value_parser = thoughts)]
    thoughts: Thoughts,
    /// How `verl` and `skyrl` store rows: `parquet`, or `jsonl`, which both read, too (default: parquet where the build can)
    #[arg(long, value_parser = rows)]
    rows: Option<Rows>,
    #[command(flatten)]
    curation: CurationArgs,
}

fn thoughts(text: &str) -> Result<Thoughts, String> {
    match text {
        "tags" => Ok(Thoughts::Tags),
        "plain" => Ok(Thoughts::Plain),
        "off" => Ok(Thoughts::Off),
        _ => Err("use `tags`, `plain` or `off`".to_owned()),
    }
}

fn rows(text: &str) -> Result<Rows, String> {
    match text {
        "parquet" if cfg!(feature = "parquet") => Ok(Rows::Parquet),
        "parquet" => {
            Err("this build cannot write Parquet: build with the feature `parquet`, or use `jsonl`"
                .to_owned())
        }
        "jsonl" => Ok(Rows::Jsonl),
        _ => Err("use `parquet` or `jsonl`".to_owned()),
    }
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let format = named(&args.to)?;
    refuse_unused(args, format)?;
    let mut curator = args.curation.curator()?;
    let options =
        Options { scope: curator.scope, thoughts: args.thoughts, rows: args.rows.unwrap_or_default() };
    let exported = match format.open(&args.out, options).map_err(Failure::host)? {
        Sink::Trajectories(mut sink) => {
            let count = each(&args.file, |trajectory| sink.push(&trajectory).map_err(Failure::host))?;
            let written = sink.finish().map_err(Failure::host)?;
            Exported { unit: "trajectories", count, written, curator: None }
        }
        Sink::Chats(mut sink) => {
            curator.learning(Learning::Reply);
            let mut count = 0;
            each(&args.file, |trajectory| {
                let Some((task, trajectory, targets)) = curator.chat(&trajectory)? else { return Ok(()) };
                count += 1;
                let scaffold = curator.scaffold();
                let chat = Chat { task: &task, trajectory: &trajectory, targets: &targets, scaffold };
                sink.push(chat).map_err(Failure::host)
            })?;
            some_left(count, &curator)?;
            Exported {
                unit: "chats",
                count,
                written: sink.finish().map_err(Failure::host)?,
                curator: Some(curator),
            }
        }
        Sink::Lessons(mut sink) => {
            each(&args.file, |trajectory: Trajectory| {
                curator.lessons(&trajectory, |counted| sink.push(&counted.lesson).map_err(Failure::host))
            })?;
            let count = curator.taken();
            some_left(count, &curator)?;
            Exported {
                unit: "examples",
                count,
                written: sink.finish().map_err(Failure::host)?,
                curator: Some(curator),
            }
        }
    };
    report(format, &exported, output)?;
    Ok(Answer::Yes)
}

/// What chats are made by.
const CHATS: &[&str] = &["--tasks", "--targets", "--observation-chars", "--drop", "--replays", "--thoughts"];
/// What examples are made by; some formats have rows as well.
const LESSONS: &[&str] = &[
    "--tasks",
    "--targets",
    "--context",
    "--observation-chars",
    "--scope",
    "--hint",
    "--drop",
    "--replays",
    "--model",
    "--max-tokens",
];

/// Refuses options that would do nothing: who gives one expects something of it.
fn refuse_unused(args: &Args, format: &dyn ExportFormat) -> Result<(), Failure> {
    let (used, has_rows) = match format.name() {
        "native" | "atif" => (&[][..], false),
        "sft" => (CHATS, false),
        name => (LESSONS, ["verl", "skyrl"].contains(&name)),
    };
    let mut given = args.curation.given();
    given.extend((args.thoughts != Thoughts::default()).then_some("--thoughts"));
    given.extend((args.rows.is_some() && !has_rows).then_some("--rows"));
    let Some(flag) = given.iter().find(|flag| !used.contains(flag)) else {
        return Ok(());
    };
    let refused = anyhow::anyhow!("`{flag}` does nothing in `{}`", format.name());
    Err(Failure::usage(refused).with_hint("export without it, or to a format that it is for"))
}

fn named(name: &str) -> Result<&'static dyn ExportFormat, Failure> {
    export::format(name).ok_or_else(|| {
        let known: Vec<&str> = export::FORMATS.iter().map(|format| format.name()).collect();
        Failure::usage(anyhow::anyhow!("`{name}` is no format to export to"))
            .with_hint(format!("use one of: {}", known.join(", ")))
    })
}

fn some_left(count: usize, curator: &Curator) -> Result<(), Failure> {
    if 0 < count {
        return Ok(());
    }
    let failure =
        Failure::nothing(anyhow::anyhow!("nothing is left to export\n{}", curator.described().trim_end()));
    Err(failure.with_hint("leave out less with `--drop`, or name other trajectories"))
}

struct Exported {
    unit: &'static str,
    count: usize,
    written: Vec<PathBuf>,
    curator: Option<Curator>,
}

fn report(format: &dyn ExportFormat, exported: &Exported, output: Output) -> Result<(), Failure> {
    let Exported { unit, count, written, curator } = exported;
    let paths: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let mut value =
        json!({"format": "apprentice.export/1", "to": format.name(), *unit: count, "files": paths});
    if let (Value::Object(value), Some(Value::Object(summary))) =
        (&mut value, curator.as_ref().map(Curator::summary))
    {
        for (key, counted) in summary {
            value.entry(key).or_insert(counted);
        }
    }
    let mut human = format!("Wrote {count} {unit} for {} ({})\n", format.name(), format.about());
    // A directory of many records is named once.
    for path in paths.iter().take(4) {
        human.push_str(&format!("  {path}\n"));
    }
    if 4 < paths.len() {
        human.push_str(&format!("  … {} more\n", paths.len() - 4));
    }
    human.push_str(&curator.as_ref().map(Curator::described).unwrap_or_default());
    output.result(&value, &human).map_err(Failure::host)
}
