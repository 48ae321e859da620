//! The title of the next step of a solution, as a hint (footnote 1 of the paper).
//!
//! Guarantees that only a title that stands in the expert's own step is given, and that what comes before it in the
//! conversation stays as it is.

use std::sync::LazyLock;

use regex::Regex;

use crate::chat::Message;
use crate::example::Example;

/// The number and title that a step of a solution begins with, such as `2. Coprime Pairs`.
///
/// A preamble may stand before it. Text without a title, as a command is, has none.
pub fn title(step: &str) -> Option<String> {
    static TITLES: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            r"(?m)^ {0,3}(\d{1,2})[.)]\s+\*\*(.+?)\*\*",
            r"(?mi)^ {0,3}\*\*\s*step\s+(\d{1,2})\s*[:.)-]?\s*(.+?)\s*\*\*",
            r"(?m)^ {0,3}#{1,6}\s*\**\s*(?:(?i:step)\s+)?(\d{1,2})\s*[:.)-]\s*(.+?)\**\s*$",
        ]
        .map(|pattern| Regex::new(pattern).expect("invariant: the pattern is fixed"))
    });
    let found = TITLES.iter().find_map(|pattern| pattern.captures(step))?;
    let title = found[2].trim().trim_end_matches([':', '.']).trim_end();
    (!title.is_empty()).then(|| format!("{}. {title}", &found[1]))
}

/// Tells the student the title of the step that it is to write, where that has one.
pub fn add(messages: &mut [Message], example: &Example<'_>) {
    if let (Some(title), Some(last)) = (title(&example.action().text()), messages.last_mut()) {
        let gap = if last.content.is_empty() { "" } else { "\n\n" };
        last.content.push_str(&format!("{gap}The next step: {title}"));
    }
}
