//! The simplest judge: the last box after the last thought, equal as an exact number or letter by letter.

use super::{Judge, Judged};
use crate::solution::last_box;
use crate::task::Task;

/// Judges whole numbers, decimals and fractions exactly, and all else by its letters.
#[derive(Debug, Clone, Copy)]
pub struct Exact;

impl Judge for Exact {
    fn judge(&self, task: &Task, reply: &str) -> Judged {
        // What a reply only thinks is no answer; a thought that does not end leaves none.
        let said = reply.rsplit_once("</think>").map_or(reply, |(_, said)| said);
        let answer = (!said.contains("<think>")).then(|| last_box(said)).flatten();
        let gold = task.answer.as_deref().unwrap_or_default();
        let is_right = answer.is_some_and(|answer| self.is_same(gold, answer));
        Judged { is_right: Some(is_right), answer: answer.map(str::to_owned) }
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (bare(one), bare(other));
        one == other || number(&one).is_some_and(|value| number(&other).is_some_and(|o| equal(value, o)))
    }
}

/// Without white space and what only sets numbers.
fn bare(text: &str) -> String {
    let text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\!", "");
    text.trim_matches(['$', ' ']).chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// A number as a fraction: `-3`, `1,234`, `2.50`, `3/4`, `\frac{3}{4}`.
fn number(text: &str) -> Option<(i128, i128)> {
    if let Some(positive) = text.strip_prefix('-') {
        return number(positive).map(|(top, bottom)| (-top, bottom));
    }
    let parts = text.strip_prefix("\\frac{").and_then(|text| text.strip_suffix('}'));
    let parts = parts.map_or_else(|| text.split_once('/'), |parts| parts.split_once("}{"));
    if let Some((top, bottom)) = parts {
        return Some((decimal(top)?, decimal(bottom)?)).and_then(|((a, b), (c, d))| {
            let (top, bottom) = (a.checked_mul(d)?, b.checked_mul(c)?);
            (bottom != 0).then_some((top, bottom))
        });
    }
    decimal(text)
}

fn decimal(text: &str) -> Option<(i128, i128)> {
    let text = text.replace("{,}", ",");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let groups: Vec<&str> = whole.split(',').collect();
    let is_grouped = groups.len() == 1 || groups[1..].iter().all(|group| group.len() == 3);
    let digits = format!("{}{part}", groups.concat());
    let is_number = is_grouped && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    // More digits than these would not fit, nor would the products.
    let fits = is_number && digits.len() <= 18;
    fits.then(|| Some((digits.parse().ok()?, 10_i128.pow(u32::try_from(part.len()).ok()?)))).flatten()
}

fn equal((a, b): (i128, i128), (c, d): (i128, i128)) -> bool {
    a.checked_mul(d).is_some_and(|left| c.checked_mul(b) == Some(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_exactly_and_words_by_letters() {
        let same = [
            ("27.0", "27"),
            ("025", "25"),
            ("1,072", "1072"),
            ("1/2", "\\dfrac{1}{2}"),
            ("0.5", "\\frac{1}{2}"),
            ("-3/4", "-\\frac{3}{4}"),
            ("-6/8", "-0.75"),
            ("$x + 1$", "x+1"),
            ("99999999999999999999", "99999999999999999999"),
        ];
        for (one, other) in same {
            assert!(Exact.is_same(one, other) && Exact.is_same(other, one), "{one} and {other}");
        }
        let different = [
            ("27", "27.01"),
            ("1,2", "12"),
            ("1/0", "2/0"),
            ("x", "X"),
            ("", "0"),
            ("99999999999999999999", "9e19"),
        ];
        for (one, other) in different {
            assert!(!Exact.is_same(one, other), "{one} and {other}");
        }
    }

    #[test]
    fn the_answer_is_the_last_box_that_is_said_and_not_thought() {
        let task = Task { answer: Some("5".to_owned()), ..Task::default() };
        let found = |reply: &str| Exact.judge(&task, reply);
        let judged = |is_right, answer: Option<&str>| Judged {
            is_right: Some(is_right),
            answer: answer.map(str::to_owned),
        };
        assert_eq!(found("\\boxed{4}, no: \\boxed{5}"), judged(true, Some("5")));
        assert_eq!(found("<think>\\boxed{5}</think> \\boxed{4}"), judged(false, Some("4")));
        assert_eq!(found("<think>\\boxed{5}</think> It is 5."), judged(false, None));
        assert_eq!(found("\\boxed{4} <think>\\boxed{5}"), judged(false, None));
        assert_eq!(found("It is 5."), judged(false, None));
    }
}
