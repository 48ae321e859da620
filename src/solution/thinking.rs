//! How a reply thinks: how long it is, its thoughts between think tags, the places where it checks itself.

use std::sync::LazyLock;

use regex::Regex;

/// What can be counted of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thinking {
    /// Words, thoughts included: what white space separates.
    pub words: usize,
    /// Complete `<think>…</think>` blocks; several are interleaved thinking.
    pub blocks: usize,
    /// Places where it goes back over its own work, in words.
    pub self_checks: usize,
}

/// Phrases of going back over one's work; counted, and no proof of it.
static SELF_CHECKS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?i)\b(?:wait|hold on|(?:let me|let us|let's|i should|we should|to) (?:double[- ]?|re-?)?(?:check|verify)|double[- ]check(?:ing)?|sanity check|(?:plug|substitut)(?:e|ing)?(?: \w+){0,3} back)\b";
    Regex::new(pattern).expect("invariant: the pattern is fixed")
});

impl Thinking {
    /// Counts a reply.
    pub fn of(reply: &str) -> Self {
        Self {
            words: reply.split_whitespace().count(),
            blocks: Blocks(reply).count(),
            self_checks: SELF_CHECKS.find_iter(reply).count(),
        }
    }
}

/// The insides of think blocks with what stands before each.
struct Blocks<'a>(&'a str);

impl<'a> Iterator for Blocks<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (before, rest) = self.0.split_once("<think>")?;
        let (thought, after) = rest.split_once("</think>")?;
        self.0 = after;
        Some((before, thought))
    }
}

/// What a text says outside of its think blocks.
///
/// Models often leave the first opening tag to their template, so a closing tag by itself ends a thought that
/// began with the text; a thought that nothing closes goes to the end.
pub fn without_thoughts(text: &str) -> String {
    let mut blocks = Blocks(text);
    let mut said: String = blocks.by_ref().map(|(before, _)| before).collect();
    said.push_str(blocks.0.split("<think>").next().unwrap_or_default());
    match said.rsplit_once("</think>") {
        Some((_, after)) => after.to_owned(),
        None => said,
    }
}
