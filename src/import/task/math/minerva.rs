//! Minerva Math: problems of undergraduate courses; the answer is the one box of the solution, or stands beside it.

use super::super::row::Row;
use super::{Problem, Set, asked, boxed, stated};

pub(super) static SET: Set = Set { name: "minerva", recognizes, read };

fn recognizes(row: &Row) -> bool {
    ["problem", "solution", "type", "idx"].iter().all(|key| row.has(key))
}

fn read(row: &Row) -> Result<Problem, String> {
    let solution = row.text("solution");
    let answer = match solution {
        Some(solution) => boxed("solution", solution),
        None => stated(row, &["answer"]),
    };
    Ok(Problem::new("minerva", asked(row)?, answer).with_reference(solution))
}
