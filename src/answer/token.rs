//! LaTeX and plain notation as one sequence of tokens: spelling is settled here, structure later.
//!
//! Every text has tokens. Decoration (`\left`, spaces, `$`, fonts) is gone, synonyms are one symbol, numbers are
//! exact, groups of thousands are joined, and braces that were never opened or closed are mended.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::number;
use super::spelling;

/// What encloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    Set,
    /// TeX's own braces, which are not seen.
    Group,
    Floor,
    Ceiling,
    Angle,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Number(BigRational),
    /// A letter, a Greek letter's name or a function's name.
    Name(String),
    /// Several letters in a row that are no function.
    Word(String),
    /// What stood in `\text{…}` and its like.
    Text(String),
    /// A command that takes arguments, such as `frac`.
    Command(String),
    Sign(char),
    Open(Bracket),
    Close(Bracket),
    Begin(String),
    End(String),
}

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Longer or deeper than is looked at.
    TooLarge,
    /// A notation that is known and not evaluated, such as an integral.
    Unsupported,
    /// No answer is written so.
    Malformed,
}

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 8192;
const MAX_TOKENS: usize = 3000;
/// How deep brackets and arguments may nest.
pub(super) const MAX_DEPTH: usize = 48;

/// Separates rows.
pub(super) const ROW: char = '⏎';

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    if MAX_BYTES < text.len() {
        return Err(Unreadable::TooLarge);
    }
    let mut reader = Reader { text: text.chars().collect(), at: 0, tokens: Vec::new(), open: Vec::new() };
    reader.run(0)?;
    Ok(reader.tokens)
}

struct Reader {
    text: Vec<char>,
    at: usize,
    tokens: Vec<Token>,
    /// The brackets that are open, outermost first.
    open: Vec<Bracket>,
}

impl Reader {
    fn run(&mut self, depth: usize) -> Result<(), Unreadable> {
        while let Some(letter) = self.peek(0) {
            if MAX_DEPTH < depth + self.open.len() || MAX_TOKENS < self.tokens.len() {
                return Err(Unreadable::TooLarge);
            }
            match letter {
                '\\' => self.command(depth)?,
                '0'..='9' => self.number(),
                '.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
                letter if letter.is_alphabetic() && spelling::sign(letter).is_none() => self.word(),
                '(' => self.open(Bracket::Round),
                '[' => self.open(Bracket::Square),
                '{' if self.is_brace_comma() => self.skip_to(self.at + 3, Token::Sign(',')),
                '{' => self.open(Bracket::Group),
                ')' => self.close(Bracket::Round),
                ']' => self.close(Bracket::Square),
                '}' => self.close(Bracket::Group),
                '*' if self.peek(1) == Some('*') => self.skip_to(self.at + 2, Token::Sign('^')),
                '<' | '>' | '!' | '=' if self.peek(1) == Some('=') => {
                    let sign = match letter {
                        '<' => '≤',
                        '>' => '≥',
                        '!' => '≠',
                        _ => '=',
                    };
                    self.skip_to(self.at + 2, Token::Sign(sign));
                }
                '.' if self.peek(1) == Some('.') => {
                    let dots = self.text[self.at..].iter().take_while(|dot| **dot == '.').count();
                    self.skip_to(self.at + dots, Token::Name("…".to_owned()));
                }
                other => {
                    self.at += 1;
                    self.symbol(other);
                }
            }
        }
        // What was left open ends with the text.
        while let Some(bracket) = self.open.pop() {
            self.tokens.push(Token::Close(bracket));
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip_to(&mut self, at: usize, token: Token) {
        self.at = at;
        self.tokens.push(token);
    }

    fn symbol(&mut self, letter: char) {
        if letter.is_whitespace() || ['$', '~', '"', '\u{200b}', '\u{feff}', '`'].contains(&letter) {
            return;
        }
        if let Some(digit) = spelling::superscript(letter) {
            self.tokens.push(Token::Sign('^'));
            let mut value = i64::from(digit);
            while let Some(next) = self.peek(0).and_then(spelling::superscript).filter(|_| value < 1 << 40) {
                value = value * 10 + i64::from(next);
                self.at += 1;
            }
            self.tokens.push(Token::Number(number::integer(value)));
            return;
        }
        if let Some((numerator, denominator)) = spelling::vulgar(letter) {
            let half = BigRational::new(BigInt::from(numerator), BigInt::from(denominator));
            let (open, close) = (Token::Open(Bracket::Group), Token::Close(Bracket::Group));
            self.tokens.extend([open, Token::Number(half), close]);
            return;
        }
        self.tokens.push(spelling::sign(letter).unwrap_or(Token::Sign(letter)));
    }

    fn open(&mut self, bracket: Bracket) {
        self.open.push(bracket);
        self.skip_to(self.at + 1, Token::Open(bracket));
    }

    /// Closes groups that were left open inside a bracket, and ignores what was never opened.
    fn close(&mut self, bracket: Bracket) {
        self.at += 1;
        let is_half_open = |open: Bracket| {
            [Bracket::Round, Bracket::Square].contains(&open)
                && [Bracket::Round, Bracket::Square].contains(&bracket)
        };
        let Some(place) = self.open.iter().rposition(|open| *open == bracket || is_half_open(*open)) else {
            if bracket != Bracket::Group {
                self.tokens.push(Token::Close(bracket));
            }
            return;
        };
        while place + 1 < self.open.len() {
            let inner = self.open.pop().unwrap_or(Bracket::Group);
            self.tokens.push(Token::Close(inner));
        }
        self.open.pop();
        self.tokens.push(Token::Close(bracket));
    }

    fn is_brace_comma(&self) -> bool {
        self.peek(1) == Some(',') && self.peek(2) == Some('}')
    }

    /// A number with its groups of thousands, its exponent and its period.
    fn number(&mut self) {
        let mut literal = self.digits();
        // The first group has one to three digits, every other three.
        let is_script = matches!(self.tokens.last(), Some(Token::Sign('_' | '^')));
        if literal.len() <= 3 && !literal.is_empty() && !literal.starts_with('0') && !is_script {
            while let Some(end) = self.thousands() {
                literal.extend(&self.text[end - 3..end]);
                self.at = end;
            }
        }
        if self.peek(0) == Some('.') && self.peek(1) != Some('.') {
            self.at += 1;
            literal.push('.');
            literal.push_str(&self.digits());
        }
        if let Some(value) = self.period(&literal) {
            self.tokens.push(Token::Number(value));
            return;
        }
        let Some(value) = number::decimal(&literal) else {
            self.tokens.push(Token::Text(literal));
            return;
        };
        let Some(exponent) = self.exponent(&literal) else {
            self.tokens.push(Token::Number(value));
            return;
        };
        let ten = Token::Number(number::integer(10));
        let power = Token::Number(number::integer(exponent));
        let group = [
            Token::Open(Bracket::Group),
            Token::Number(value),
            Token::Sign('*'),
            ten,
            Token::Sign('^'),
            power,
            Token::Close(Bracket::Group),
        ];
        self.tokens.extend(group);
    }

    fn digits(&mut self) -> String {
        let rest = self.text[self.at..].iter();
        let digits: String = rest.take_while(|digit| digit.is_ascii_digit()).collect();
        self.at += digits.len();
        digits
    }

    /// Where the next group of three digits ends: after `,` or a space outside brackets, `{,}` and `\,` anywhere.
    fn thousands(&self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let starts = |mark: &str| {
            let length = mark.chars().count();
            rest.iter().take(length).copied().eq(mark.chars()).then_some(length)
        };
        let is_outside = self.open.iter().all(|open| *open == Bracket::Group);
        let anywhere = ["{,}", "\\,", "\\!,", ",\\!", "{,}\\!"].into_iter().filter_map(starts).max();
        let outside = [",", " ", "\\ ", "~"].into_iter().filter_map(starts).max().filter(|_| is_outside);
        let length = anywhere.or(outside)?;
        let group = rest.get(length..length + 3)?;
        let is_group =
            group.iter().all(char::is_ascii_digit) && !rest.get(length + 3).is_some_and(char::is_ascii_digit);
        is_group.then_some(self.at + length + 3)
    }

    /// The exponent of `4.5e33`. `2e-1` without a point and with one digit is read as `2e − 1`.
    fn exponent(&mut self, mantissa: &str) -> Option<i64> {
        if !matches!(self.peek(0), Some('e' | 'E')) {
            return None;
        }
        let sign = self.peek(1).filter(|sign| ['+', '-', '−'].contains(sign));
        let start = self.at + 1 + usize::from(sign.is_some());
        let digits: String =
            self.text.get(start..)?.iter().take_while(|digit| digit.is_ascii_digit()).collect();
        let is_difference = sign == Some('-') && !mantissa.contains('.') && digits.len() == 1;
        if digits.is_empty() || digits.len() > 9 || is_difference {
            return None;
        }
        let size: i64 = digits.parse().ok()?;
        self.at = start + digits.len();
        Some(if sign.is_some_and(|sign| sign != '+') { -size } else { size })
    }

    /// The number whose last digits repeat under `\overline` or `\dot`.
    fn period(&mut self, literal: &str) -> Option<BigRational> {
        if !literal.contains('.') {
            return None;
        }
        let rest: String = self.text[self.at..].iter().take(240).collect();
        let rest = rest.trim_start();
        let marks = ["\\overline", "\\bar", "\\dot"];
        let after = marks.into_iter().find_map(|mark| rest.strip_prefix(mark))?;
        let after = after.trim_start();
        let (period, left) = if let Some(inner) = after.strip_prefix('{') {
            inner.split_once('}')?
        } else {
            after.split_at_checked(1)?
        };
        let value = number::repeating(literal, period.trim())?;
        let skipped = self.text[self.at..].iter().take_while(|space| space.is_whitespace()).count();
        self.at += skipped + rest.chars().count() - left.chars().count();
        Some(value)
    }

    fn word(&mut self) {
        let is_letter = |letter: &char| letter.is_alphabetic() && spelling::sign(*letter).is_none();
        let run: String = self.text[self.at..].iter().take_while(|letter| is_letter(letter)).collect();
        self.at += run.chars().count();
        if run == "np" && self.peek(0) == Some('.') {
            self.at += 1;
            return;
        }
        self.tokens.extend(spelling::word(&run));
    }

    fn command(&mut self, depth: usize) -> Result<(), Unreadable> {
        self.at += 1;
        let rest = self.text[self.at..].iter();
        let name: String = rest.take_while(|letter| letter.is_ascii_alphabetic()).collect();
        if name.is_empty() {
            let Some(mark) = self.peek(0) else { return Ok(()) };
            self.at += 1;
            match mark {
                '{' => {
                    self.at -= 1;
                    self.open(Bracket::Set);
                }
                '}' => {
                    self.at -= 1;
                    self.close(Bracket::Set);
                }
                '\\' => self.tokens.push(Token::Sign(ROW)),
                // The sign of money, which is no mark of mathematics.
                '$' => self.tokens.push(Token::Sign('$')),
                '%' | '&' | '#' | '|' => self.tokens.push(Token::Sign(mark)),
                _ => {}
            }
            return Ok(());
        }
        self.at += name.len();
        self.named(&name, depth)
    }

    fn named(&mut self, name: &str, depth: usize) -> Result<(), Unreadable> {
        match name {
            "left" | "right" => {
                if self.peek(0) == Some('.') {
                    self.at += 1;
                }
            }
            "begin" | "end" => {
                let environment = self.argument().unwrap_or_default();
                if environment == "array" && name == "begin" {
                    self.argument();
                }
                let token = if name == "begin" { Token::Begin } else { Token::End };
                self.tokens.push(token(environment));
            }
            "frac" | "dfrac" | "tfrac" | "cfrac" | "binom" | "dbinom" | "tbinom" => {
                let kind = if name.ends_with("binom") { "binom" } else { "frac" };
                self.tokens.push(Token::Command(kind.to_owned()));
                for _ in 0..2 {
                    let Some(argument) = self.argument() else { break };
                    self.tokens.push(Token::Open(Bracket::Group));
                    self.inside(&argument, depth + 1)?;
                    self.tokens.push(Token::Close(Bracket::Group));
                }
            }
            font if spelling::is_font(font) => {
                let content = self.argument().unwrap_or_default();
                let trimmed = content.trim().trim_matches('~').trim();
                let is_unit = matches!(self.tokens.last(), Some(Token::Number(_)))
                    && ["m", "s", "g", "h", "K", "N", "J", "V", "W", "L"].contains(&trimmed);
                if !is_unit && spelling::is_inline(font, trimmed) {
                    self.inside(trimmed, depth + 1)?;
                } else if let Some(token) = spelling::blackboard(font, trimmed) {
                    self.tokens.push(token);
                } else {
                    self.tokens.push(Token::Text(spelling::plain(trimmed)));
                }
            }
            "not" => {
                while self.peek(0).is_some_and(char::is_whitespace) {
                    self.at += 1;
                }
                let sign = if self.peek(0) == Some('=') { '≠' } else { '∉' };
                self.skip_to(self.at + usize::from(sign == '≠'), Token::Sign(sign));
            }
            bracket if spelling::bracket(bracket).is_some() => {
                self.at -= 1;
                match spelling::bracket(bracket) {
                    Some((bracket, true)) => self.open(bracket),
                    Some((bracket, false)) => self.close(bracket),
                    None => {}
                }
            }
            other => self.tokens.extend(spelling::command(other)),
        }
        Ok(())
    }

    /// Reads the tokens of an argument in place.
    fn inside(&mut self, text: &str, depth: usize) -> Result<(), Unreadable> {
        let mut inner = Reader { text: text.chars().collect(), at: 0, tokens: Vec::new(), open: vec![] };
        inner.run(depth + self.open.len())?;
        self.tokens.append(&mut inner.tokens);
        Ok(())
    }

    /// The next argument of a command: a group, a command or one letter.
    fn argument(&mut self) -> Option<String> {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        let first = self.peek(0)?;
        let start = self.at;
        if first == '{' {
            let end = spelling::closing(&self.text, start);
            self.at = (end + 1).min(self.text.len());
            return Some(self.text[start + 1..end].iter().collect());
        }
        if ['}', ')', ']', ','].contains(&first) {
            return None;
        }
        self.at += 1;
        if first == '\\' {
            while self.peek(0).is_some_and(|letter| letter.is_ascii_alphabetic()) {
                self.at += 1;
            }
        }
        Some(self.text[start..self.at].iter().collect())
    }
}
