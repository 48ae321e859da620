//! Any other rows of `{problem, solution?, answer}`: the form for problems of one's own.

use super::super::row::Row;
use super::{Problem, Set, asked, boxed, stated};

pub(super) static SET: Set = Set { name: "problems", recognizes, read };

fn recognizes(row: &Row) -> bool {
    asked(row).is_ok() && (row.has("answer") || row.has("solution"))
}

fn read(row: &Row) -> Result<Problem, String> {
    let solution = row.text("solution");
    let answer = match solution {
        Some(solution) if !row.has("answer") => boxed("solution", solution),
        _ => stated(row, &["answer"]),
    };
    Ok(Problem::new("problems", asked(row)?, answer).with_reference(solution))
}
