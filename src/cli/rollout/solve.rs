//! `apprentice eval` of mathematics: problems put to a policy, their answers judged, rates by benchmark.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::policy::{Chosen, Named};
use super::{Args, EvalArgs};
use crate::fsio;
use crate::grade::{Outcome, Report, Verdict};
use crate::policy::{Draw, Policy, Scripted};
use crate::rate::{Benchmark, Rates, Replies, Sheet, Trial, benchmarks};
use crate::run::{Manifest, RunDir};
use crate::solve::{self, Options, Solved, Strict};
use crate::task::{Kind, LoadedTask, Task};
use crate::task_dir;
use crate::trajectory::Trajectory;

/// Replies to each problem, as in the paper's avg@32.
const SAMPLES: usize = 32;

/// The problems of a directory that holds mathematics; nothing for one of code.
///
/// # Errors
/// When a task is invalid, or the directory holds both.
pub(super) fn problems(dir: &Path) -> Result<Option<BTreeMap<String, LoadedTask>>, Failure> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let tasks = task_dir::load_all(dir).map_err(Failure::input)?;
    let math = tasks.values().filter(|loaded| loaded.task.kind == Kind::Math).count();
    if math == 0 {
        return Ok(None);
    }
    if math < tasks.len() {
        let failure = anyhow!("`{}` holds tasks of code and of mathematics", dir.display());
        return Err(Failure::usage(failure).with_hint("keep them in two directories, and evaluate each"));
    }
    Ok(Some(tasks))
}

/// The grade report with what mathematics adds.
#[derive(Serialize)]
struct Exam {
    #[serde(flatten)]
    report: Report,
    /// Replies drawn of each problem.
    samples: usize,
    /// Their temperature.
    temperature: f64,
    /// Replies that the judge could not tell about; they count as wrong.
    undecided: usize,
    benchmarks: BTreeMap<String, Benchmark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replies: Option<Replies>,
}

/// Puts the problems to the policy.
///
/// # Errors
/// See [`Failure`].
pub(super) fn eval(
    args: &EvalArgs,
    problems: &BTreeMap<String, LoadedTask>,
    output: Output,
) -> Result<Answer, Failure> {
    let rollout = &args.rollout;
    let mut policy = policy(rollout, problems)?;
    let options = Options {
        samples: rollout.samples.unwrap_or(SAMPLES),
        draw: Draw { temperature: rollout.ask.temperature, reply_tokens: rollout.ask.reply_tokens },
        seed: rollout.seed,
    };
    let run_dir = RunDir::create(&rollout.out, manifest(args, &options))?;
    let mut file = run_dir.trajectories()?;
    let tasks: Vec<&Task> = problems.values().map(|loaded| &loaded.task).collect();
    let name = policy.name();
    let done = |one: &Solved| {
        let right = one.sheet().right.iter().filter(|is_right| **is_right).count();
        output.say(&format!("   Judged {}  {right} of {} right", one.task, one.replies.len()));
        one.trajectories(&name).iter().try_for_each(|trajectory| file.push(trajectory))
    };
    let solved = solve::solve(policy.as_mut(), &tasks, &Strict, &options, done).map_err(Failure::host)?;
    let exam = exam(&solved, &options);
    fsio::write_json(&rollout.out.join("grade.json"), &exam).map_err(Failure::host)?;
    output.result(&exam, &exam.text()).map_err(Failure::host)?;
    Ok(if exam.report.is_all_resolved() { Answer::Yes } else { Answer::No })
}

fn manifest(args: &EvalArgs, options: &Options) -> Manifest {
    let recipe = json!({
        "policy": args.rollout.policy.to_string(),
        "tasks": args.rollout.tasks,
        "samples": options.samples,
        "temperature": options.draw.temperature,
        "reply_tokens": options.draw.reply_tokens,
    });
    let mut manifest = Manifest::new(std::env::args(), recipe);
    manifest.seeds.insert("run".to_owned(), options.seed);
    manifest
}

/// The policy, whose scripts are whole solutions here.
fn policy(args: &Args, problems: &BTreeMap<String, LoadedTask>) -> Result<Box<dyn Policy>, Failure> {
    let named = &args.policy;
    let says = |reply: &dyn Fn(&LoadedTask) -> String| -> Box<dyn Policy> {
        let replies = problems.iter().map(|(id, loaded)| (id.clone(), vec![reply(loaded)]));
        Box::new(Scripted::new(named.to_string(), replies.collect()))
    };
    match named {
        Named::Gold => {
            Ok(says(&|loaded| format!("\\boxed{{{}}}", loaded.task.answer.as_deref().unwrap_or_default())))
        }
        Named::Noop => Ok(says(&|_| String::new())),
        Named::Expert(file) => {
            let experts: Vec<Trajectory> = fsio::read_json_lines(file).map_err(Failure::input)?;
            let experts =
                experts.into_iter().rev().map(|expert| (expert.task.clone(), vec![expert.solution()]));
            let policy = Scripted::new(named.to_string(), experts.collect());
            super::super::policy::known(policy, file, problems)
        }
        Named::Scripted(_) | Named::Checkpoint(_) | Named::Remote(_) => {
            match named.open(problems, &args.ask)? {
                Chosen::Policy(policy) => Ok(policy),
                Chosen::Prediction(_) => Err(Failure::usage(anyhow!("`{named}` predicts patches"))),
            }
        }
    }
}

fn exam(solved: &[Solved], options: &Options) -> Exam {
    let trials: Vec<Trial> = solved.iter().flat_map(Solved::trials).collect();
    let verdict = |trial: &Trial| match trial.resolved {
        Some(true) => Verdict::new(&trial.task, Outcome::Resolved, ""),
        Some(false) => Verdict::new(&trial.task, Outcome::Unresolved, "the answer is wrong"),
        None => Verdict::new(&trial.task, Outcome::Unresolved, "the judge cannot tell"),
    };
    let verdicts: Vec<Verdict> = trials.iter().map(verdict).collect();
    let sheets: Vec<Sheet> = solved.iter().map(Solved::sheet).collect();
    Exam {
        report: Report::new(&verdicts).with_rates(Rates::of(&trials)),
        samples: options.samples,
        temperature: options.draw.temperature,
        undecided: trials.iter().filter(|trial| trial.resolved.is_none()).count(),
        benchmarks: benchmarks(&sheets),
        replies: solve::replies(solved),
    }
}

impl Exam {
    /// Its lines for people.
    fn text(&self) -> String {
        let benchmark = |(name, rates): (&String, &Benchmark)| {
            let problems = if rates.problems == 1 { "problem" } else { "problems" };
            format!("{name}, {} {problems}:\n{}", rates.problems, rates.text())
        };
        let mut text: String = self.benchmarks.iter().map(benchmark).collect();
        if 0 < self.undecided {
            text.push_str(&format!(
                "The judge cannot tell about {} replies; they count as wrong\n",
                self.undecided
            ));
        }
        text + &self.replies.map(|replies| replies.text()).unwrap_or_default()
    }
}
