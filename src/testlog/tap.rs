//! The Test Anything Protocol: `ok 1 - name`, `not ok 2 - name # TODO why`.
//!
//! A test's id is its description, or its number where it has none. Lines of nested tests are
//! indented and are not read: their parent's line sums them up. After `Bail out!` nothing counts.

use std::sync::LazyLock;

use regex::Regex;

use super::{Status, Statuses, note, plain};

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(not )?ok\b(?: +(\d+))?(?: +-)?(?: +(.*?))?\s*$").expect("invariant: the pattern is valid")
});
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|\s)# ?(skip|todo)\S*(?:\s|$)").expect("invariant: the pattern is valid")
});

/// Reads TAP output.
pub fn read(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    for line in log.lines().map(plain) {
        if line.starts_with("Bail out!") {
            break;
        }
        let Some(found) = LINE.captures(&line) else { continue };
        let text = found.get(3).map_or("", |text| text.as_str());
        let directive = DIRECTIVE.captures(text);
        let description =
            directive.as_ref().map_or(text, |found| text[..found.get_match().start()].trim_end());
        let number = found.get(2).map_or("", |number| number.as_str());
        let id = if description.is_empty() { number } else { description };
        let word = directive.as_ref().map(|found| found[1].to_ascii_lowercase());
        let status = match (found.get(1).is_none(), word.as_deref()) {
            (_, Some("skip")) => Status::Skipped,
            (true, Some(_)) => Status::XPassed,
            (false, Some(_)) => Status::XFailed,
            (true, None) => Status::Passed,
            (false, None) => Status::Failed,
        };
        if !id.is_empty() {
            note(&mut statuses, id, status);
        }
    }
    statuses
}
