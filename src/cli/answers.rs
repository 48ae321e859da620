//! `apprentice reward --answers`: verdicts on mathematical answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::failure::{Answer, Failure};
use super::output::Output;
use super::pairs;
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
    pairs::each("{\"gold\": \"…\", \"reply\": \"…\"}", output, |pair| judged(pair, profile))
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
