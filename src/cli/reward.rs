//! `apprentice reward`.

use serde::{Deserialize, Serialize};

use super::failure::{Answer, Failure};
use super::output::Output;
use super::pairs;
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
    pairs::each("{\"expert\": \"…\", \"student\": \"…\"}", output, |pair| rewarded(pair, autojunk))
}

fn rewarded(pair: &Pair, autojunk: Autojunk) -> Rewarded {
    let blocks = matching_blocks(&pair.student, &pair.expert, autojunk);
    let total = pair.student.chars().count() + pair.expert.chars().count();
    let reward = ratio_of(&blocks, total);
    Rewarded { reward, blocks: blocks.iter().map(|block| [block.a, block.b, block.len]).collect() }
}
