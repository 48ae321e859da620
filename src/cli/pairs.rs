//! Pairs on stdin, one JSON object a line, and what is said of each on stdout.

use std::io::BufRead;

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{Answer, Failure};
use super::output::Output;

/// Answers each pair with a line; `form` shows what a pair looks like.
///
/// # Errors
/// When a line is no pair, or stdin or stdout fails.
pub(super) fn each<P: DeserializeOwned, L: Serialize>(
    form: &str,
    output: Output,
    say: impl Fn(&P) -> L,
) -> Result<Answer, Failure> {
    for (line_idx, line) in std::io::stdin().lock().lines().enumerate() {
        let pair = read(line, line_idx + 1)
            .map_err(|error| Failure::input(error).with_hint(format!("write {form}, one pair a line")))?;
        let mut text = serde_json::to_string(&say(&pair)).map_err(Failure::host)?;
        text.push('\n');
        output.data(text.as_bytes()).map_err(Failure::host)?;
    }
    Ok(Answer::Yes)
}

fn read<P: DeserializeOwned>(line: std::io::Result<String>, number: usize) -> anyhow::Result<P> {
    let line = line.with_context(|| format!("could not read line {number} of stdin"))?;
    serde_json::from_str(&line).map_err(|error| anyhow!("line {number} of stdin is not a pair: {error}"))
}
