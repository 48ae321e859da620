//! A light scanner of POSIX shell: enough to tell code from comments and quoted messages.
//!
//! Follows quotes, `$(…)`, `$((…))` and `${…}` as they nest. Does not know here-documents or
//! aliases; a token that is misread costs a mutation that the tests will judge.

use super::token::{Class, Source};

/// What surrounds the scanner's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Command,
    DoubleQuote,
    /// With the number of open parentheses inside.
    Arithmetic(usize),
    Parameter,
}

/// Finds the tokens of a shell file.
pub(super) fn scan(text: &str) -> Source<'_> {
    let mut scanner = Scanner { text, at: 0, contexts: vec![Context::Command], found: Vec::new() };
    while scanner.at < text.len() {
        scanner.step();
    }
    Source::new(text, scanner.found)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    contexts: Vec<Context>,
    found: Vec<(usize, usize, Class)>,
}

impl<'a> Scanner<'a> {
    fn step(&mut self) {
        let context = *self.contexts.last().unwrap_or(&Context::Command);
        if self.peek() == b'\\' {
            self.skip_char();
            self.skip_char();
        } else if self.peek() == b'$' {
            self.expansion();
        } else {
            match context {
                Context::Command => self.command(),
                Context::DoubleQuote => self.quoted(),
                Context::Arithmetic(open) => self.arithmetic(open),
                Context::Parameter => self.parameter(),
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_char(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn pop(&mut self) {
        if self.contexts.len() > 1 {
            self.contexts.pop();
        }
    }

    fn emit(&mut self, len: usize, class: Class) {
        self.found.push((self.at, self.at + len, class));
        self.at += len;
    }

    fn expansion(&mut self) {
        let rest = self.rest();
        if rest.starts_with("$((") {
            self.at += 3;
            self.contexts.push(Context::Arithmetic(0));
        } else if rest.starts_with("$(") {
            self.at += 2;
            self.contexts.push(Context::Command);
        } else if rest.starts_with("${") {
            self.at += 2;
            self.contexts.push(Context::Parameter);
            // `${#word}` is a length, `${#}` a count: the name is the same token.
            if self.peek() == b'#' && name_len(&self.rest()[1..]) > 0 {
                self.at += 1;
            }
            self.name();
        } else {
            self.at += 1;
            if name_len(self.rest()) > 0 {
                self.name();
            } else if b"@*#?$!-".contains(&self.peek()) {
                self.at += 1;
            }
        }
    }

    fn name(&mut self) {
        let rest = self.rest();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            let len = if self.text.as_bytes()[self.at - 1] == b'{' { span(rest, is_digit) } else { 1 };
            self.emit(len, Class::Positional);
        } else {
            match name_len(rest) {
                0 => {}
                len => self.emit(len, Class::Variable),
            }
        }
    }

    fn quoted(&mut self) {
        if self.peek() == b'"' {
            self.pop();
        }
        self.skip_char();
    }

    fn parameter(&mut self) {
        match self.peek() {
            b'}' => {
                self.pop();
                self.at += 1;
            }
            b'"' => {
                self.at += 1;
                self.contexts.push(Context::DoubleQuote);
            }
            _ => self.skip_char(),
        }
    }

    fn arithmetic(&mut self, open: usize) {
        let rest = self.rest();
        let byte = self.peek();
        let name = name_len(rest);
        if is_digit(byte) {
            self.emit(span(rest, is_digit), Class::Number);
        } else if name > 0 {
            self.emit(name, Class::Variable);
        } else if byte == b'(' {
            self.depth(open + 1);
        } else if byte == b')' && open > 0 {
            self.depth(open - 1);
        } else if byte == b')' {
            self.pop();
            self.at += rest.len().min(2);
        } else if let Some(len) = ["&&", "||"].iter().find_map(|op| rest.starts_with(op).then_some(2)) {
            self.emit(len, Class::Boolean);
        } else if let Some(op) = ["<=", ">=", "==", "!=", "<", ">"].iter().find(|op| rest.starts_with(**op)) {
            self.emit(op.len(), Class::Comparison);
        } else if b"+-*/%".contains(&byte) && self.is_binary() {
            self.emit(1, Class::Arithmetic);
        } else {
            self.skip_char();
        }
    }

    fn depth(&mut self, open: usize) {
        self.at += 1;
        if let Some(context) = self.contexts.last_mut() {
            *context = Context::Arithmetic(open);
        }
    }

    /// Whether the operator here stands between two operands, not before one and not in `+=`.
    fn is_binary(&self) -> bool {
        let before = self.text[..self.at].trim_end_matches(' ').as_bytes().last().copied().unwrap_or(0);
        let after = self.text.as_bytes().get(self.at + 1).copied().unwrap_or(0);
        (before.is_ascii_alphanumeric() || matches!(before, b'_' | b')' | b'}' | b'#'))
            && !matches!(after, b'=' | b'+' | b'-' | b'*')
    }

    fn command(&mut self) {
        let rest = self.rest();
        let after_space = self.at == 0 || b" \t\n;(|&".contains(&self.text.as_bytes()[self.at - 1]);
        match self.peek() {
            b'\'' => self.at += rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            b'"' => {
                self.at += 1;
                self.contexts.push(Context::DoubleQuote);
            }
            b'#' if after_space => self.at += rest.find('\n').unwrap_or(rest.len()),
            b')' => {
                self.pop();
                self.at += 1;
            }
            b'<' | b'>' => self.at += span(rest, |b| b"<>&|0123456789-".contains(&b)),
            _ if rest.starts_with("&&") || rest.starts_with("||") => self.emit(2, Class::Boolean),
            byte if is_word(byte) => self.word(after_space),
            _ => self.skip_char(),
        }
    }

    fn word(&mut self, after_space: bool) {
        let rest = self.rest();
        let len = span(rest, is_word);
        let word = &rest[..len];
        let name = name_len(word);
        let is_name = name > 0 && !is_digit(word.as_bytes()[0]);
        if after_space && is_name && word[name..].starts_with('=') {
            self.emit(name, Class::Target);
            self.at += 1;
            let value = span(self.rest(), is_word);
            if value > 0 {
                self.value(value);
            }
            return;
        }
        let is_redirection = rest[len..].starts_with(['<', '>']);
        if !after_space || is_redirection {
            self.at += len;
        } else if self.follows_echo() {
            self.value(len);
        } else {
            self.emit(len, class_of(word));
        }
    }

    /// A value: a number, or a literal when it is a whole word.
    fn value(&mut self, len: usize) {
        let word = &self.rest()[..len];
        let ends = self.rest()[len..].starts_with([' ', '\n', ';', '\r', ')']) || self.rest().len() == len;
        match class_of(word) {
            _ if !ends => self.at += len,
            Class::Word if word.bytes().all(|b| b.is_ascii_alphanumeric()) => self.emit(len, Class::Literal),
            class => self.emit(len, class),
        }
    }

    fn follows_echo(&self) -> bool {
        self.text[..self.at].trim_end_matches(' ').ends_with("echo")
    }
}

fn class_of(word: &str) -> Class {
    let digits = word.strip_prefix('-').unwrap_or(word);
    match word {
        "-lt" | "-le" | "-gt" | "-ge" | "-eq" | "-ne" | "=" | "==" | "!=" | "-n" | "-z" => Class::Comparison,
        "!" => Class::Not,
        _ if !digits.is_empty() && digits.bytes().all(is_digit) && digits.len() < 10 => Class::Number,
        _ => Class::Word,
    }
}

fn span(text: &str, accepts: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !accepts(b)).unwrap_or(text.len())
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_-=!.,:/%+@~^*?[]{}".contains(&byte)
}

/// The length of the name (or positional number) that `text` begins with.
fn name_len(text: &str) -> usize {
    span(text, |b| b.is_ascii_alphanumeric() || b == b'_')
}
