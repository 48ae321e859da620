//! `apprentice reward`.

use std::io::BufRead;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::difflib::{Autojunk, matching_blocks, ratio_of};

/// Reward pairs of actions, one {"expert": …, "student": …} a line of stdin, or judge answers
///
/// Prints {"reward": …, "blocks": [[i, j, n], …]} for each pair: the similarity of CPython's
/// difflib.SequenceMatcher(None, student, expert) and its matching blocks, i in student, j in expert.
///
/// With --answers, reads {"gold": …, "reply": …} and prints {"verdict": …, "rule": …, "profile": …, "extracted": …,
/// "compat": {…}} for each: our verdict, and beside it those of the graders that papers use.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Use Python's default heuristic, which leaves out frequent characters of texts from 200 characters
    #[arg(long)]
    autojunk: bool,
    /// Judge mathematical answers: exactly, or by the gold's significant digits
    #[arg(long, value_name = "PROFILE", conflicts_with = "autojunk")]
    answers: Option<super::answers::Profile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    expert: String,
    student: String,
}

#[derive(Serialize)]
struct Rewarded {
    reward: f64,
    blocks: Vec<[usize; 3]>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "commands own their arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    if let Some(profile) = args.answers {
        return super::answers::run(profile, output);
    }
    let autojunk = if args.autojunk { Autojunk::On } else { Autojunk::Off };
    for (line_idx, line) in std::io::stdin().lock().lines().enumerate() {
        let number = line_idx + 1;
        let pair = read(line, number).map_err(|error| {
            Failure::input(error).with_hint("write {\"expert\": \"…\", \"student\": \"…\"}, one pair a line")
        })?;
        let mut text = serde_json::to_string(&rewarded(&pair, autojunk)).map_err(Failure::host)?;
        text.push('\n');
        output.data(text.as_bytes()).map_err(Failure::host)?;
    }
    Ok(Answer::Yes)
}

fn read(line: std::io::Result<String>, number: usize) -> anyhow::Result<Pair> {
    let line = line.with_context(|| format!("could not read line {number} of stdin"))?;
    serde_json::from_str(&line).map_err(|error| anyhow!("line {number} of stdin is not a pair: {error}"))
}

fn rewarded(pair: &Pair, autojunk: Autojunk) -> Rewarded {
    let blocks = matching_blocks(&pair.student, &pair.expert, autojunk);
    let total = pair.student.chars().count() + pair.expert.chars().count();
    let reward = ratio_of(&blocks, total);
    Rewarded { reward, blocks: blocks.iter().map(|block| [block.a, block.b, block.len]).collect() }
}
