//! The American Mathematics Competitions of 2022 and 2023, whose answers are floats: `27.0` for 27.

use super::super::row::Row;
use super::{Problem, Set, asked, stated};

pub(super) static SET: Set = Set { name: "amc23", recognizes, read };

fn recognizes(row: &Row) -> bool {
    asked(row).is_ok() && row.text("url").is_some_and(|url| url.contains("_AMC_"))
}

fn read(row: &Row) -> Result<Problem, String> {
    let benchmark = match row.text("url") {
        Some(url) if url.contains("2022_AMC_") => "amc22",
        _ => "amc23",
    };
    Ok(Problem::new(benchmark, asked(row)?, stated(row, &["answer"])))
}
