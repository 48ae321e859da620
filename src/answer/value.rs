//! What an answer is: a number, a pair, an interval, a set, an equation, a word…
//!
//! Reads structure from the outside in; what has none is an expression (`parse`), and what is none is text.

use super::expr::Expr;
use super::parse;
use super::token::{self, Bracket, ROW, Token, Unreadable};
use super::units::{self, Unit};

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Expr),
    /// A number and what it counts.
    Quantity(Expr, Unit),
    /// `(a, b, …)`; of two entries it may be an open interval.
    Tuple(Vec<Value>),
    /// `[a, b]`: a closed interval, or a list in square brackets.
    Bracketed(Vec<Value>),
    /// An interval that is written as one: half-open, or with an infinite end.
    Interval(Interval),
    /// `{a, b, …}`.
    Set(Vec<Value>),
    /// `a, b, …` without brackets, with what joins them.
    List(Vec<Value>, Joint),
    /// Sets of numbers by operation.
    Operation(Operation, Box<Value>, Box<Value>),
    Reals,
    Matrix(Delimiter, Vec<Vec<Value>>),
    /// `a < x ≤ b`: values and what stands between them.
    Relation(Vec<Value>, Vec<char>),
    /// `3:2`.
    Ratio(Vec<Value>),
    /// `(C) 12`.
    Choice(String, Box<Value>),
    Text(String),
}

/// An interval with its ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interval {
    pub(super) low: Expr,
    pub(super) high: Expr,
    pub(super) is_low_open: bool,
    pub(super) is_high_open: bool,
}

/// How the entries of a list are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Comma,
    Or,
    And,
}

/// An operation on sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Without,
}

/// What encloses a matrix, as far as it changes the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    Brackets,
    Bars,
}

/// The most entries that a list, a set or a matrix may have.
const MAX_ENTRIES: usize = 200;

/// The value that a text writes.
pub(super) fn read(text: &str) -> Result<Value, Unreadable> {
    let tokens = token::tokens(text)?;
    value(trimmed(&tokens), 0)
}

type Read = Result<Value, Unreadable>;

fn value(tokens: &[Token], depth: usize) -> Read {
    if token::MAX_DEPTH < depth {
        return Err(Unreadable::TooLarge);
    }
    let tokens = trimmed(tokens);
    if tokens.is_empty() {
        return Err(Unreadable::Malformed);
    }
    if let Some((Bracket::Group, inner, Bracket::Group)) = enclosed(tokens) {
        return value(inner, depth + 1);
    }
    if let Some(found) = words(tokens) {
        return Ok(found);
    }
    let layers = [list, relation, operation, signs, choice, ratio, brackets, matrix, quantity];
    for layer in layers {
        if let Some(found) = layer(tokens, depth)? {
            return Ok(found);
        }
    }
    match tokens {
        [Token::Sign('ℝ')] => Ok(Value::Reals),
        [Token::Sign('∅')] => Ok(Value::Set(Vec::new())),
        _ => parse::expression(tokens).map(Value::Scalar),
    }
}

type Layer = Result<Option<Value>, Unreadable>;

/// Without what only surrounds an answer: full stops, commas, ends of rows.
fn trimmed(mut tokens: &[Token]) -> &[Token] {
    let is_end = |token: &Token| matches!(token, Token::Sign('.' | ',' | ';' | ':' | ROW | '&'));
    while let Some((last, rest)) = tokens.split_last().filter(|(last, _)| is_end(last)) {
        let _ = last;
        tokens = rest;
    }
    while let Some((first, rest)) = tokens.split_first().filter(|(first, _)| is_end(first)) {
        let _ = first;
        tokens = rest;
    }
    tokens
}

/// The bracket around everything, and what is inside.
fn enclosed(tokens: &[Token]) -> Option<(Bracket, &[Token], Bracket)> {
    let (Token::Open(open), Token::Close(close)) = (tokens.first()?, tokens.last()?) else { return None };
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at + 1 == tokens.len()).then(|| (*open, &tokens[1..at], *close));
        }
    }
    None
}

/// The parts between separators outside brackets, and the separators.
fn split(tokens: &[Token], is_separator: impl Fn(&Token) -> bool) -> (Vec<&[Token]>, Vec<&Token>) {
    let (mut parts, mut separators, mut start, mut depth) = (Vec::new(), Vec::new(), 0, 0_i32);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) | Token::Begin(_) => depth += 1,
            Token::Close(_) | Token::End(_) => depth -= 1,
            other if depth == 0 && is_separator(other) => {
                parts.push(&tokens[start..at]);
                separators.push(other);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    (parts, separators)
}

fn values(parts: &[&[Token]], depth: usize) -> Result<Vec<Value>, Unreadable> {
    if MAX_ENTRIES < parts.len() {
        return Err(Unreadable::TooLarge);
    }
    parts.iter().map(|part| value(part, depth + 1)).collect()
}

/// An answer in words.
fn words(tokens: &[Token]) -> Option<Value> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            Token::Text(text) => found.push(text.clone()),
            Token::Word(word) => found.push(word.clone()),
            Token::Name(name) if name.chars().count() == 1 && tokens.len() > 1 => found.push(name.clone()),
            Token::Sign('\'' | '-') | Token::Open(Bracket::Group) | Token::Close(Bracket::Group) => {}
            _ => return None,
        }
    }
    let letters: usize = found.iter().map(|word| word.chars().count()).sum();
    let is_text = tokens.iter().any(|token| matches!(token, Token::Text(_)));
    let has_word = tokens.iter().any(|token| matches!(token, Token::Word(_)));
    // Two or three letters side by side are a product, a word otherwise.
    if !(is_text
        || has_word && (3 < letters || ["no", "yes"].contains(&found.join("").to_lowercase().as_str())))
    {
        return None;
    }
    Some(text(&found.join(" ")))
}

/// Text in one form; a letter in brackets is that letter.
fn text(words: &str) -> Value {
    let kept = words.trim().trim_end_matches(['.', '!', '?']).trim();
    let bare = kept.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(kept).trim();
    if bare.chars().count() == 1 && bare.chars().all(char::is_alphabetic) {
        return Value::Scalar(Expr::symbol(bare));
    }
    let lower = kept.to_lowercase();
    let rest = ["a ", "an ", "the "].iter().find_map(|article| lower.strip_prefix(article));
    Value::Text(rest.unwrap_or(&lower).to_owned())
}

/// Several answers.
fn list(tokens: &[Token], depth: usize) -> Layer {
    let joint = |token: &Token| match token {
        Token::Sign(',' | ';') => Some(Joint::Comma),
        Token::Text(text) if text == "or" => Some(Joint::Or),
        Token::Text(text) if text == "and" => Some(Joint::And),
        _ => None,
    };
    let (parts, separators) = split(tokens, |token| joint(token).is_some());
    if separators.is_empty() {
        return Ok(None);
    }
    // `1, 2, and 3` has an empty part before `and`.
    let parts: Vec<&[Token]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let joints: Vec<Joint> = separators.into_iter().filter_map(joint).collect();
    let joint = joints.iter().copied().find(|joint| *joint != Joint::Comma).unwrap_or(Joint::Comma);
    let mut found = values(&parts, depth)?;
    if found.len() == 1 {
        return Ok(found.pop());
    }
    // `x = 1, 2` names both.
    if let [Value::Relation(sides, signs), rest @ ..] = found.as_slice()
        && signs == &['=']
        && !rest.iter().any(|value| matches!(value, Value::Relation(..)))
    {
        let mut entries = vec![sides[1].clone()];
        entries.extend(rest.iter().cloned());
        let sides = vec![sides[0].clone(), Value::List(entries, joint)];
        return Ok(Some(Value::Relation(sides, vec!['='])));
    }
    Ok(Some(Value::List(found, joint)))
}

fn relation(tokens: &[Token], depth: usize) -> Layer {
    let is_sign = |token: &Token| {
        matches!(token, Token::Sign('=' | '<' | '>' | '≤' | '≥' | '≠' | '∈' | '≈' | '≡' | '∉' | '→'))
    };
    let (parts, separators) = split(tokens, is_sign);
    if separators.is_empty() {
        return Ok(None);
    }
    let signs = separators.into_iter().filter_map(|token| match token {
        Token::Sign(sign) => Some(*sign),
        _ => None,
    });
    let mut signs: Vec<char> = signs.collect();
    let mut sides = values(&parts, depth)?;
    // What stands before ≈ is the answer, unless it is only a name.
    let is_name = matches!(sides.as_slice(), [Value::Scalar(Expr::Symbol(_)), _]);
    if signs.last() == Some(&'≈') && !is_name {
        signs.pop();
        sides.pop();
    }
    if signs.is_empty() {
        return Ok(sides.pop());
    }
    Ok(Some(Value::Relation(sides, signs)))
}

fn operation(tokens: &[Token], depth: usize) -> Layer {
    let kind = |token: &Token| match token {
        Token::Sign('∪') => Some(Operation::Union),
        Token::Sign('∩') => Some(Operation::Intersection),
        Token::Sign('∖') => Some(Operation::Without),
        // `R - {0}`.
        _ => None,
    };
    let (parts, separators) = split(tokens, |token| kind(token).is_some());
    if separators.is_empty() {
        return Ok(None);
    }
    let mut found = values(&parts, depth)?.into_iter();
    let first = found.next().ok_or(Unreadable::Malformed)?;
    let kinds = separators.into_iter().filter_map(kind);
    let joined = kinds
        .zip(found)
        .fold(first, |left, (kind, right)| Value::Operation(kind, Box::new(left), Box::new(right)));
    Ok(Some(joined))
}

/// `±` stands for both signs.
fn signs(tokens: &[Token], depth: usize) -> Layer {
    if !tokens.iter().any(|token| matches!(token, Token::Sign('±' | '∓'))) {
        return Ok(None);
    }
    let with = |plus: char, minus: char| {
        let chosen = |token: &Token| match token {
            Token::Sign('±') => Token::Sign(plus),
            Token::Sign('∓') => Token::Sign(minus),
            other => other.clone(),
        };
        let tokens: Vec<Token> = tokens.iter().map(chosen).collect();
        value(&tokens, depth + 1)
    };
    Ok(Some(Value::List(vec![with('+', '-')?, with('-', '+')?], Joint::Or)))
}

/// A choice with its value, such as `(C) 12`.
fn choice(tokens: &[Token], depth: usize) -> Layer {
    let is_choice = |letter: &str| ["A", "B", "C", "D", "E", "F"].contains(&letter);
    let (letter, rest) = match tokens {
        [Token::Open(Bracket::Round), Token::Name(letter), Token::Close(Bracket::Round), rest @ ..] => {
            (letter.clone(), rest)
        }
        [Token::Text(text), rest @ ..] => {
            let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            (inner.unwrap_or_default().to_owned(), rest)
        }
        _ => return Ok(None),
    };
    let is_operator = matches!(rest.first(), None | Some(Token::Sign('+' | '*' | '/' | '^' | '!' | '_')));
    if !is_choice(&letter) || is_operator {
        return Ok(None);
    }
    match value(rest, depth + 1)? {
        // Several choices are none.
        Value::Choice(..) => Err(Unreadable::Malformed),
        value => Ok(Some(Value::Choice(letter, Box::new(value)))),
    }
}

fn ratio(tokens: &[Token], depth: usize) -> Layer {
    let (parts, separators) = split(tokens, |token| *token == Token::Sign(':'));
    if separators.is_empty() {
        return Ok(None);
    }
    Ok(Some(Value::Ratio(values(&parts, depth)?)))
}

fn brackets(tokens: &[Token], depth: usize) -> Layer {
    let Some((open, inner, close)) = enclosed(tokens) else { return Ok(None) };
    if let ([Token::Begin(_), .., Token::End(_)], Bracket::Round | Bracket::Square) = (inner, open) {
        return matrix(inner, depth + 1);
    }
    if inner.is_empty() {
        return match open {
            Bracket::Set => Ok(Some(Value::Set(Vec::new()))),
            _ => Err(Unreadable::Malformed),
        };
    }
    if open == Bracket::Set {
        return set(inner, depth).map(Some);
    }
    let (parts, _) = split(inner, |token| matches!(token, Token::Sign(',' | ';')));
    match (open, close, parts.len()) {
        (Bracket::Round, Bracket::Round, 1) => value(inner, depth + 1).map(Some),
        (Bracket::Round | Bracket::Square, Bracket::Round | Bracket::Square, 2) => {
            ends(values(&parts, depth)?, open == Bracket::Round, close == Bracket::Round).map(Some)
        }
        (Bracket::Round, Bracket::Round, _) | (Bracket::Angle, Bracket::Angle, _) => {
            Ok(Some(Value::Tuple(values(&parts, depth)?)))
        }
        (Bracket::Square, Bracket::Square, 2..) => Ok(Some(Value::Bracketed(values(&parts, depth)?))),
        _ => Ok(None),
    }
}

/// Two entries in brackets: an interval where only an interval can be meant.
fn ends(mut entries: Vec<Value>, is_low_open: bool, is_high_open: bool) -> Read {
    let is_infinite = |value: &Value| matches!(value, Value::Scalar(end) if end.is_infinite());
    let has_infinite = entries.iter().any(is_infinite);
    if is_low_open == is_high_open && !has_infinite {
        return Ok(if is_low_open { Value::Tuple(entries) } else { Value::Bracketed(entries) });
    }
    match (entries.pop(), entries.pop()) {
        (Some(Value::Scalar(high)), Some(Value::Scalar(low))) => {
            // An infinite end is open however it is written.
            let (is_low_open, is_high_open) =
                (is_low_open || low.is_infinite(), is_high_open || high.is_infinite());
            Ok(Value::Interval(Interval { low, high, is_low_open, is_high_open }))
        }
        _ => Err(Unreadable::Malformed),
    }
}

/// A set by its entries, or by the condition after a bar.
fn set(inner: &[Token], depth: usize) -> Read {
    let (parts, bars) = split(inner, |token| matches!(token, Token::Sign('|' | ':')));
    if let ([name, condition], [_]) = (parts.as_slice(), bars.as_slice())
        && !name.is_empty()
        && !condition.is_empty()
    {
        let is_named =
            matches!(value(name, depth + 1), Ok(Value::Scalar(Expr::Symbol(_)) | Value::Relation(..)));
        let condition = value(condition, depth + 1)?;
        return if is_named { Ok(condition) } else { Err(Unreadable::Unsupported) };
    }
    let (parts, _) = split(inner, |token| matches!(token, Token::Sign(',' | ';')));
    Ok(Value::Set(values(&parts, depth)?))
}

fn matrix(tokens: &[Token], depth: usize) -> Layer {
    let (Some(Token::Begin(name)), Some(Token::End(_))) = (tokens.first(), tokens.last()) else {
        return Ok(None);
    };
    let delimiter = match name.trim_end_matches('*') {
        "pmatrix" | "bmatrix" | "Bmatrix" | "matrix" | "array" | "smallmatrix" => Delimiter::Brackets,
        "vmatrix" | "Vmatrix" => Delimiter::Bars,
        "cases" | "aligned" | "align" | "gathered" => return Err(Unreadable::Unsupported),
        _ => return Err(Unreadable::Malformed),
    };
    let inner = trimmed(&tokens[1..tokens.len() - 1]);
    let (rows, _) = split(inner, |token| *token == Token::Sign(ROW));
    let row = |row: &[Token]| {
        let (cells, _) = split(row, |token| *token == Token::Sign('&'));
        values(&cells, depth)
    };
    let rows: Vec<Vec<Value>> = rows.into_iter().map(row).collect::<Result<_, _>>()?;
    let is_even = rows.windows(2).all(|pair| pair[0].len() == pair[1].len());
    let size: usize = rows.iter().map(Vec::len).sum();
    match (is_even, size) {
        (false, _) => Err(Unreadable::Malformed),
        (true, ..=MAX_ENTRIES) => Ok(Some(Value::Matrix(delimiter, rows))),
        _ => Err(Unreadable::TooLarge),
    }
}

/// A number with a unit before or after it.
fn quantity(tokens: &[Token], _depth: usize) -> Layer {
    if let [Token::Sign('$'), rest @ ..] | [Token::Sign('-'), Token::Sign('$'), rest @ ..] = tokens {
        let rest = rest.strip_suffix(&[Token::Sign('$')]).unwrap_or(rest);
        let amount = parse::expression(rest)?;
        let amount = if tokens[0] == Token::Sign('-') { amount.negative() } else { amount };
        let dollars = units::unit(&[Token::Text("dollars".to_owned())]).ok_or(Unreadable::Malformed)?;
        return Ok(Some(Value::Quantity(amount, dollars)));
    }
    // A unit takes few tokens; the longest suffix that is one is meant.
    for start in tokens.len().saturating_sub(12).max(1)..tokens.len() {
        let is_number = matches!(tokens[start - 1], Token::Number(_) | Token::Close(_) | Token::Name(_))
            && !tokens[..start].iter().any(is_function);
        let Some(unit) = units::unit(&tokens[start..]).filter(|_| is_number) else { continue };
        let Ok(amount) = parse::expression(&tokens[..start]) else { continue };
        if unit.powers.is_empty() {
            return Ok(Some(Value::Scalar(amount)));
        }
        return Ok(Some(Value::Quantity(amount, unit)));
    }
    Ok(None)
}

/// A name of several letters: the degrees in `\sin 30^\circ` belong to its argument.
fn is_function(token: &Token) -> bool {
    matches!(token, Token::Name(name) if 1 < name.len() && name.is_ascii() && name != "sqrt")
}
