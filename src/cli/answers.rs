//! `apprentice reward --answers`: verdicts on mathematical answers.

use std::io::BufRead;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::answer::{self, compat};

/// How numbers are compared.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Profile {
    /// Exactly
    Exact,
    /// To the significant digits of decimal gold answers, one per cent at most
    Minerva,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    gold: String,
    reply: String,
}

/// Our verdict with the rule that decided, and what other graders say.
#[derive(Serialize)]
struct Line {
    verdict: &'static str,
    rule: &'static str,
    profile: &'static str,
    extracted: Option<String>,
    compat: Map<String, Value>,
}

/// Judges the pairs on stdin.
///
/// # Errors
/// See [`Failure`].
pub(super) fn run(profile: Profile, output: Output) -> Result<Answer, Failure> {
    let profile = match profile {
        Profile::Exact => answer::Profile::Exact,
        Profile::Minerva => answer::Profile::Minerva,
    };
    for (line_idx, line) in std::io::stdin().lock().lines().enumerate() {
        let number = line_idx + 1;
        let pair = read(line, number).map_err(|error| {
            Failure::input(error).with_hint("write {\"gold\": \"…\", \"reply\": \"…\"}, one pair a line")
        })?;
        let mut text = serde_json::to_string(&judged(&pair, profile)).map_err(Failure::host)?;
        text.push('\n');
        output.data(text.as_bytes()).map_err(Failure::host)?;
    }
    Ok(Answer::Yes)
}

fn read(line: std::io::Result<String>, number: usize) -> anyhow::Result<Pair> {
    let line = line.with_context(|| format!("could not read line {number} of stdin"))?;
    serde_json::from_str(&line).map_err(|error| anyhow!("line {number} of stdin is not a pair: {error}"))
}

fn judged(pair: &Pair, profile: answer::Profile) -> Line {
    let judged = answer::judge(&pair.gold, &pair.reply, profile);
    let said = |grader: compat::Grader| {
        let said = compat::judge(grader, &pair.gold, &pair.reply);
        let said = json!({"accepted": said.is_accepted, "rule": said.rule, "extracted": said.extracted});
        (grader.name().to_owned(), said)
    };
    Line {
        verdict: judged.verdict.name(),
        rule: judged.rule.name(),
        profile: profile.name(),
        extracted: judged.extracted,
        compat: compat::Grader::ALL.into_iter().map(said).collect(),
    }
}
