//! The American Invitational Mathematics Examination, in the shapes of the sets of 2024, 2025 and of several years.
//!
//! The year is read from the row's id, address or year; answers stay as they are written, `025` for 25.

use super::super::row::Row;
use super::{Problem, Set, asked, stated};

pub(super) static SET: Set = Set { name: "aime", recognizes, read: |row| read(row, &benchmark(row)) };

/// Sets of 2025 whose rows say no year: they are read by name.
pub(super) static OF_2025: Set =
    Set { name: "aime25", recognizes: |_| false, read: |row| read(row, "aime25") };

fn recognizes(row: &Row) -> bool {
    asked(row).is_ok() && (row.text("url").is_some_and(|url| url.contains("AIME")) || id_year(row).is_some())
}

fn read(row: &Row, benchmark: &str) -> Result<Problem, String> {
    let answer = stated(row, &["answer", "Answer"]);
    let solution = row.text("solution").or_else(|| row.text("Solution"));
    Ok(Problem::new(benchmark, asked(row)?, answer).with_reference(solution))
}

/// `aime24` for the year 2024; `aime` where the row says none.
fn benchmark(row: &Row) -> String {
    let of_url = || {
        let url = row.text("url")?;
        let at = url.find("_AIME")?;
        year(url.get(at.checked_sub(4)?..at)?)
    };
    let said = of_url().or_else(|| id_year(row)).or_else(|| year(&row.scalar("year")?));
    said.map_or_else(|| "aime".to_owned(), |year| format!("aime{:02}", year % 100))
}

/// The year of an id such as `2024-II-4`.
fn id_year(row: &Row) -> Option<u32> {
    let id = row.text("ID").or_else(|| row.text("id"))?;
    let (first, rest) = id.split_once('-')?;
    rest.starts_with('I').then(|| year(first))?
}

fn year(text: &str) -> Option<u32> {
    text.parse().ok().filter(|year| (1983..2100).contains(year))
}
