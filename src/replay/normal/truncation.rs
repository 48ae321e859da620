//! Outputs that were cut at different bounds.
//!
//! Guarantees that two texts are equal only as far as both show something: what stands before and after the cut must
//! agree, and be long enough to mean something. What only one of them shows is not compared.

use super::pattern;

/// Characters that a cut text must show for a comparison.
const ENOUGH: usize = 200;

/// Both texts cut at the same places; absent where neither is cut, or what they show disagrees.
pub(super) fn cut_alike(recorded: &str, replayed: &str) -> Option<(String, String)> {
    let (left, right) = (parts(recorded), parts(replayed));
    if left.is_none() && right.is_none() {
        return None;
    }
    let (left, right) = (left.unwrap_or((recorded, recorded)), right.unwrap_or((replayed, replayed)));
    let head = shorter(left.0, right.0);
    let tail = shorter(left.1, right.1);
    let agree = left.0.starts_with(head)
        && right.0.starts_with(head)
        && left.1.ends_with(tail)
        && right.1.ends_with(tail);
    let is_enough = ENOUGH <= head.chars().count() + tail.chars().count();
    // A text that is not cut must be longer than what the other one shows of it.
    let fits = |text: &str, is_cut: bool| is_cut || head.len() + tail.len() <= text.len();
    let whole = (parts(recorded).is_some(), parts(replayed).is_some());
    (agree && is_enough && fits(recorded, whole.0) && fits(replayed, whole.1)).then(|| {
        let cut = format!("{head}<cut>{tail}");
        (cut.clone(), cut)
    })
}

fn shorter<'a>(a: &'a str, b: &'a str) -> &'a str {
    if b.len() < a.len() { b } else { a }
}

/// What stands before and after the mark of a cut.
fn parts(text: &str) -> Option<(&str, &str)> {
    let mark = pattern!(
        r"(?s)\n?\[\d+ bytes omitted\]\n?|<response clipped>(?:<NOTE>.*?</NOTE>)?|\n?\[\.\.\. Observation truncated due to length \.\.\.\]\n?|</output_head>.*?<output_tail>\n?|\n?\[\.{3} ?\d+ (?:characters|chars|lines|bytes) (?:truncated|omitted|elided) ?\.{0,3}\]\n?"
    );
    let found = mark.find(text)?;
    Some((&text[..found.start()], &text[found.end()..]))
}
