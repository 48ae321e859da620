//! The six styles in which solutions number their steps, and the headings that set the final answer apart.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// How the steps of a solution begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `1. **Title**: body`.
    NumberBold,
    /// `**Step 1: Title** body`.
    BoldStep,
    /// `### Step 1: Title`.
    HeadingStep,
    /// `### 1. Title`.
    HeadingNumber,
    /// `Step 1: body`.
    PlainStep,
    /// `1. body`.
    PlainNumber,
}

/// A line that begins a step; places are those of the whole text.
pub(super) struct Header {
    pub(super) number: usize,
    pub(super) start: usize,
    pub(super) title: Range<usize>,
    /// Where the body begins, which is on the same line or the next.
    pub(super) body: usize,
}

/// Number, title and the rest of the line. Four spaces and more are code in Markdown, or belong to a list.
static HEADERS: LazyLock<[Regex; 6]> = LazyLock::new(|| {
    [
        r"^ {0,3}([0-9]{1,2})[.)]\s+\*\*(.+?)\*\*\s*:?[ \t]*(.*)$",
        r"^ {0,3}\*\*\s*(?:Step|STEP)\s+([0-9]{1,2})\s*[:.)-]?\s*(.*?)\s*\*\*\s*:?[ \t]*(.*)$",
        r"^ {0,3}#{1,6}\s*\**\s*(?:Step|STEP)\s+([0-9]{1,2})\s*[:.)-]?\s*(.*?)\**\s*()$",
        r"^ {0,3}#{1,6}\s*\**\s*([0-9]{1,2})[.)]\s*(.*?)\**\s*()$",
        r"^ {0,3}(?:Step|STEP)\s+([0-9]{1,2})\s*[:.)-]\s*()(.*)$",
        r"^ {0,3}([0-9]{1,2})[.)]\s+()(\S.*)$",
    ]
    .map(|pattern| Regex::new(pattern).expect("invariant: the pattern is fixed"))
});

static ENDING: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"^ {0,3}(?:#{1,6}\s*)?\**\s*(?:Final Answer|Final answer|Answer|Conclusion)(?:[^\p{L}\p{N}]|$)";
    Regex::new(pattern).expect("invariant: the pattern is fixed")
});

impl Style {
    /// Every style, in the order in which they are tried.
    pub const ALL: [Self; 6] = [
        Self::NumberBold,
        Self::BoldStep,
        Self::HeadingStep,
        Self::HeadingNumber,
        Self::PlainStep,
        Self::PlainNumber,
    ];

    /// The header that a line is, if it is one; `start` is the line's place.
    pub(super) fn header(self, start: usize, line: &str) -> Option<Header> {
        let parts = HEADERS[self as usize].captures(line)?;
        let (title, rest) = (parts.get(2)?, parts.get(3)?);
        Some(Header {
            number: parts[1].parse().ok()?,
            start,
            title: start + title.start()..start + title.end(),
            body: start + rest.start(),
        })
    }
}

/// Whether a line is the heading of the final answer.
pub(super) fn is_ending(line: &str) -> bool {
    ENDING.is_match(line)
}
