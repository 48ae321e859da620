//! The table of methods for a terminal.
//!
//! Guarantees aligned columns of plain text; a value that was not measured is a dash.

use crate::event::MethodRow;

/// The rows as lines of aligned columns under a heading.
pub fn table(rows: &[MethodRow]) -> String {
    let mut cells = vec![HEADING.map(str::to_owned)];
    cells.extend(rows.iter().map(columns));
    let widths: Vec<usize> = (0..HEADING.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    cells.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = std::iter::zip(row, widths).enumerate().map(|(column, (cell, &width))| match column {
        // Names to the left, numbers to the right.
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
}

const HEADING: [&str; 6] = ["method", "resolved", "rate", "95% interval", "step reward", "tokens/reply"];

fn columns(row: &MethodRow) -> [String; 6] {
    let measured = |value: Option<f64>, digits: usize| {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
    };
    [
        row.name(),
        format!("{}/{}", row.resolved, row.tasks),
        format!("{:.1}%", 100.0 * row.rate),
        format!("{:.1}–{:.1}%", 100.0 * row.low, 100.0 * row.high),
        measured(row.reward, 3),
        measured(row.tokens_per_reply, 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_what_was_not_measured_is_a_dash() {
        let row = |method: &str, resolved, reward| MethodRow {
            method: method.to_owned(),
            set: None,
            tasks: 40,
            resolved,
            rate: resolved as f64 / 40.0,
            low: 0.1,
            high: 0.9,
            reward,
            tokens_per_reply: Some(21.25),
        };
        insta::assert_snapshot!(table(&[row("base", 4, None), row("srl", 34, Some(0.9))]), @r"
        method  resolved   rate  95% interval  step reward  tokens/reply
        base        4/40  10.0%    10.0–90.0%            –          21.2
        srl        34/40  85.0%    10.0–90.0%        0.900          21.2
        ");
    }
}
