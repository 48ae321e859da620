//! What the scanners find in a file: the tokens that an operator may change, line by line.
//!
//! Positions are bytes within the line. A token never spans lines.

/// A scanned file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Its lines, without ends.
    pub(super) lines: Vec<&'a str>,
    /// Its tokens, in order.
    pub(super) tokens: Vec<Token<'a>>,
}

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The line, from 0.
    pub(super) line: usize,
    /// Its first byte in the line.
    pub(super) column: usize,
    /// What it says.
    pub(super) text: &'a str,
    /// What it is.
    pub(super) class: Class,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A bare word: a command, a keyword, an argument.
    Word,
    /// A bare word that is a value: assigned or printed.
    Literal,
    /// A whole number.
    Number,
    /// A variable that is read, without `$`.
    Variable,
    /// A variable that is assigned.
    Target,
    /// A positional parameter's number.
    Positional,
    /// `-lt`, `=`, `<`.
    Comparison,
    /// `+`, `-`, `*`, `/`, `%` between operands.
    Arithmetic,
    /// `&&`, `||`, `and`, `or`.
    Boolean,
    /// `!` or `not`.
    Not,
}

impl<'a> Source<'a> {
    /// Places tokens, given by their byte offsets in `text`, on its lines.
    pub(super) fn new(text: &'a str, found: Vec<(usize, usize, Class)>) -> Self {
        let mut lines = Vec::new();
        let mut starts = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            starts.push(at);
            lines.push(line.trim_end_matches(['\r', '\n']));
            at += line.len();
        }
        let tokens = found
            .into_iter()
            .map(|(start, end, class)| {
                let line = starts.partition_point(|&s| s <= start) - 1;
                Token { line, column: start - starts[line], text: &text[start..end], class }
            })
            .collect();
        Self { lines, tokens }
    }

    /// The tokens of a line.
    pub(super) fn on_line(&self, line: usize) -> &[Token<'a>] {
        let first = self.tokens.partition_point(|t| t.line < line);
        let end = self.tokens.partition_point(|t| t.line <= line);
        &self.tokens[first..end]
    }
}
