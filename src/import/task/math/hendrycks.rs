//! MATH and MATH-500: problems of competitions by subject and level; the answer is the last box of the solution, or stands
//! beside it. <https://github.com/hendrycks/math>

use super::super::row::Row;
use super::{Problem, Set, boxed, stated};

pub(super) static SET: Set = Set { name: "math", recognizes, read };

fn recognizes(row: &Row) -> bool {
    row.has("problem") && row.has("solution") && row.has("level") && (row.has("type") || row.has("subject"))
}

fn read(row: &Row) -> Result<Problem, String> {
    let solution = row.need("solution")?;
    let answer = stated(row, &["answer"]).or_else(|_| boxed("solution", solution));
    let benchmark = if row.has("unique_id") { "math500" } else { "math" };
    let problem = Problem::new(benchmark, row.need("problem")?, answer).with_reference(Some(solution));
    let level = |text: String| if text.starts_with("Level") { text } else { format!("Level {text}") };
    Ok(Problem { difficulty: row.scalar("level").map(level), ..problem })
}
