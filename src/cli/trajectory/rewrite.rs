//! `apprentice trajectory rewrite`: solutions in words become solutions in steps, by a teacher.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;

use crate::cli::ask::AskArgs;
use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::cli::policy::{Chosen, Named};
use crate::fsio;
use crate::import;
use crate::import::task::Refusal;
use crate::import::task::math::{Words, Worked, worked};
use crate::policy::Policy;
use crate::rewrite::{self, Cache, Options, Prose};
use crate::solution::split;
use crate::solve::Strict;
use crate::trajectory::{End, FORMAT, Source, Trajectory};

/// Have a teacher put solutions of mathematics into numbered steps
///
/// Rows whose solution has steps are taken as they are. What a teacher writes must have the form and lead to the same
/// answer; what it said is kept beside the output, so that a run that was stopped asks nothing twice.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rows of mathematics, as for `task import`
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// The data set; found by looking at each row when absent
    #[arg(long, value_name = "FORMAT")]
    from: Option<String>,
    /// Who rewrites: any policy that answers, such as checkpoint:DIR
    #[arg(long, value_name = "POLICY")]
    teacher: Named,
    #[command(flatten)]
    ask: AskArgs,
    /// How often a teacher is asked about one solution, at most
    #[arg(long, value_name = "N", default_value_t = 3)]
    tries: usize,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the trajectories are written; what is left out is listed in `rejects.jsonl` beside it
    #[arg(long)]
    out: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut teacher = teacher(&args.teacher, &args.ask)?;
    let mut cache = Cache::open(&beside(&args.out, "teacher.jsonl")).map_err(Failure::input)?;
    let (mut trajectories, mut words, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
    for file in import::files(&args.sources).map_err(Failure::input)? {
        for row in worked(&file, args.from.as_deref()).map_err(Failure::input)? {
            match row {
                Ok(Worked::InSteps(trajectory)) => trajectories.push(*trajectory),
                Ok(Worked::InWords(found)) => words.push(found),
                Err(refusal) => rejects.push(refusal),
            }
        }
    }
    let in_steps = trajectories.len();
    output.say(&format!("  Rewriting {} solutions; {in_steps} have steps", words.len()));
    let prose: Vec<Prose> = words.iter().map(prose).collect();
    let options = Options { tries: args.tries, seed: args.seed };
    let name = teacher.name();
    let rewritings =
        rewrite::rewrite(teacher.as_mut(), &prose, &Strict, &options, &mut cache).map_err(Failure::host)?;
    for (words, rewriting) in words.iter().zip(rewritings) {
        match rewriting {
            Ok(text) => trajectories.push(trajectory(words, &text, &name)),
            Err(reason) => rejects.push(words.place.clone().refusal(&words.id, &reason)),
        }
    }
    write(args, &trajectories, &rejects).map_err(Failure::host)?;
    let rewritten = trajectories.len() - in_steps;
    if trajectories.is_empty() {
        let failure = anyhow!("none of {} rows has or got a solution in steps", rejects.len());
        return Err(Failure::nothing(failure).with_hint("see `rejects.jsonl` beside the output for each"));
    }
    let value = json!({
        "format": "apprentice.rewrite/1",
        "rewritten": rewritten,
        "in_steps": in_steps,
        "rejected": rejects.len(),
        "teacher": name,
        "out": args.out,
    });
    let human = format!(
        "Rewrote {rewritten} solutions, took {in_steps} as they are, left out {}, into {}",
        rejects.len(),
        args.out.display()
    );
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn teacher(named: &Named, ask: &AskArgs) -> Result<Box<dyn Policy>, Failure> {
    match named.open(&BTreeMap::new(), ask)? {
        Chosen::Policy(policy) => Ok(policy),
        Chosen::Prediction(_) => Err(Failure::usage(anyhow!("`{named}` answers nothing"))
            .with_hint("name a policy that does, such as checkpoint:DIR")),
    }
}

fn prose(words: &Words) -> Prose {
    let Words { id, problem, solution, answer, .. } = words.clone();
    Prose { id, problem, solution, answer }
}

fn trajectory(words: &Words, text: &str, teacher: &str) -> Trajectory {
    let solution = split(text).expect("invariant: a rewriting was checked");
    Trajectory {
        format: FORMAT.to_owned(),
        id: words.id.clone(),
        task: words.id.clone(),
        source: Source {
            format: "rewrite".to_owned(),
            file: words.place.file.display().to_string(),
            record: Some(words.place.line),
            model: Some(teacher.to_owned()),
            ..Source::default()
        },
        problem: Some(words.problem.clone()),
        steps: solution.actions(),
        end: End::Submitted,
        patch: None,
        answer: solution.answer(),
        resolved: words.is_right,
    }
}

fn write(args: &Args, trajectories: &[Trajectory], rejects: &[Refusal]) -> anyhow::Result<()> {
    fsio::write_json_lines(&args.out, trajectories)?;
    // Also when there is none, so that no earlier list is taken for this one.
    fsio::write_json_lines(&beside(&args.out, "rejects.jsonl"), rejects)
}

fn beside(out: &Path, name: &str) -> PathBuf {
    out.parent().unwrap_or(Path::new("")).join(name)
}
