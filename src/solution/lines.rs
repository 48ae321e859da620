//! Which lines of a text can be headers: those that begin neither in a code fence nor in display math.

/// The lines outside of fences and display math, without their ends, each with its place in the text.
///
/// `$$` or `\[` that nothing closes is a slip and opens nothing; a fence that nothing closes goes to the end, as in CommonMark.
pub(super) fn outside(text: &str) -> Vec<(usize, &str)> {
    let closers = Closers { brackets: text.rfind("\\]"), dollars: text.rfind("$$") };
    let (mut found, mut start, mut within) = (Vec::new(), 0, Within::Text);
    for whole in text.split_inclusive('\n') {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if within == Within::Text {
            found.push((start, line));
        }
        within = within.after(line, start, closers);
        start += whole.len();
    }
    found
}

/// What the end of a line lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Text,
    /// A fence of so many of a letter.
    Fence(u8, usize),
    /// `\[ … \]`.
    Brackets,
    /// `$$ … $$`.
    Dollars,
}

/// Where in the text display math can last be closed.
#[derive(Debug, Clone, Copy)]
struct Closers {
    brackets: Option<usize>,
    dollars: Option<usize>,
}

impl Within {
    fn after(self, line: &str, start: usize, closers: Closers) -> Self {
        match (self, fence(line)) {
            (Self::Fence(letter, length), Some(mark)) if mark.closes(letter, length) => Self::Text,
            (Self::Fence(..), _) => self,
            (Self::Text, Some(mark)) if !mark.is_inline => Self::Fence(mark.letter, mark.length),
            _ => self.after_math(line.as_bytes(), start, closers),
        }
    }

    fn after_math(self, line: &[u8], start: usize, closers: Closers) -> Self {
        let (mut within, mut at) = (self, 0);
        while at < line.len() {
            let closes_later = |closer: Option<usize>| closer.is_some_and(|closer| start + at < closer);
            let pair = &line[at..line.len().min(at + 2)];
            within = match (within, pair) {
                (Self::Text, b"\\[") if closes_later(closers.brackets) => Self::Brackets,
                (Self::Text, b"$$") if closes_later(closers.dollars) => Self::Dollars,
                (Self::Brackets, b"\\]") | (Self::Dollars, b"$$") => Self::Text,
                _ => within,
            };
            // A backslash takes the next letter with it, so `\\[2pt]` opens nothing.
            at += if pair[0] == b'\\' || pair == b"$$" { 2 } else { 1 };
        }
        within
    }
}

/// Three or more backticks or tildes at the beginning of a line.
struct Mark {
    letter: u8,
    length: usize,
    /// Whether nothing follows.
    is_bare: bool,
    /// Whether it is code within a line, which backticks after it show.
    is_inline: bool,
}

fn fence(line: &str) -> Option<Mark> {
    let line = line.trim();
    let letter = *line.as_bytes().first().filter(|letter| matches!(letter, b'`' | b'~'))?;
    let length = line.bytes().take_while(|byte| *byte == letter).count();
    let rest = &line[length..];
    let is_inline = letter == b'`' && rest.contains('`');
    (3 <= length).then_some(Mark { letter, length, is_bare: rest.is_empty(), is_inline })
}

impl Mark {
    fn closes(&self, letter: u8, length: usize) -> bool {
        self.letter == letter && length <= self.length && self.is_bare
    }
}
