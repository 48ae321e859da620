//! GSM8K: problems of primary school, whose answers are a line for each step and `#### ANSWER`, also in the form with
//! a question before each step. <https://github.com/openai/grade-school-math>

use std::sync::LazyLock;

use regex::Regex;

use super::super::row::Row;
use super::{Problem, Set};

pub(super) static SET: Set = Set { name: "gsm8k", recognizes, read };

/// What stands before the final answer.
const MARK: &str = "####";

/// What the data set's calculator computed beside the words, such as `<<48/2=24>>`.
static CALCULATED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("<<[^<>]*>>").expect("invariant: the pattern is fixed"));

fn recognizes(row: &Row) -> bool {
    row.has("question") && row.text("answer").is_some_and(|answer| answer.contains(MARK))
}

fn read(row: &Row) -> Result<Problem, String> {
    let text = row.need("answer")?;
    let (worked, answer) = text.rsplit_once(MARK).ok_or_else(|| format!("answer: it has no `{MARK}`"))?;
    let answer = answer.trim().replace(',', "");
    if answer.is_empty() {
        return Err(format!("answer: nothing follows its `{MARK}`"));
    }
    let solution = numbered(worked, &answer);
    Ok(Problem::new("gsm8k", row.need("question")?, Ok(answer)).with_reference(Some(&solution)))
}

/// The lines as numbered steps; a question before `**` is a step's title.
fn numbered(worked: &str, answer: &str) -> String {
    let worked = CALCULATED.replace_all(worked, "");
    let lines = worked.lines().map(str::trim).filter(|line| !line.is_empty());
    let step = |(index, line): (usize, &str)| match line.split_once(" ** ") {
        Some((title, body)) => format!("{}. **{}** {body}\n", index + 1, title.trim()),
        None => format!("{}. {line}\n", index + 1),
    };
    lines.enumerate().map(step).collect::<String>() + &format!("\n**Final Answer**: \\boxed{{{answer}}}")
}
