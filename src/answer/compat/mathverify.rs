//! math-verify: gold and answer parsed, then compared by kind; the gold answer first, so not symmetric.

use std::sync::LazyLock;

use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use regex::Regex;

use super::Said;
use super::mathverify_extract::{self, Found};
use crate::answer::expr::Expr;
use crate::answer::fuel::Fuel;
use crate::answer::number;
use crate::answer::scalar::{self, Context};
use crate::answer::value::{self, Delimiter, Value};
use crate::answer::{Verdict, numeric, region, relation};

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

/// What its reader does not get through.
static UNREAD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\d\.(?:$|\\)|\\log_e|\\inf\b|\\\\$|framebox|fbox|\\dot|\\overline\{\d"));
static BASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d)_(?:\d|\{\d+\})"));
static APART: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d)(?: |\\,)(\d)"));
static POWER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d)e"));
static DECIMAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d*\.\d"));

/// One over the difference below which constants are equal to it, however small they are.
const TINY_INVERSE: i64 = 1_000_000_000_000_000;
/// The decimals to which floats are rounded.
const DECIMALS: i32 = 6;

/// An answer as it reads it.
struct Parsed {
    value: Option<Value>,
    /// Whether a float takes part.
    is_float: bool,
    text: String,
}

/// Judges a reply.
pub(super) fn judge(gold: &str, reply: &str) -> Said {
    let Some(found) = mathverify_extract::found(reply) else {
        return Said { is_accepted: false, rule: "no answer", extracted: String::new() };
    };
    let gold = parsed(gold);
    let answer = match found {
        Found::Marked(text) => parsed(&text),
        // A number in running text ends with its sentence.
        Found::Plain(text) => parsed(text.trim_end_matches(['.', ','])),
    };
    let rule = rule(&gold, &answer);
    Said { is_accepted: rule.is_some(), rule: rule.unwrap_or("different"), extracted: answer.text }
}

fn rule(gold: &Parsed, answer: &Parsed) -> Option<&'static str> {
    if !gold.text.is_empty() && gold.text == answer.text {
        return Some("same string");
    }
    let is_float = gold.is_float || answer.is_float;
    let judge = Comparison { context: Context { seed: 7, fuel: Fuel::full() }, is_float };
    judge.is_equal(gold.value.as_ref()?, answer.value.as_ref()?).then_some("parsed values")
}

fn parsed(text: &str) -> Parsed {
    let text = text.trim();
    let bare = text.trim_matches('$').trim().to_owned();
    let plain = respelled(&bare);
    let value =
        plain.and_then(|plain| value::read(&plain).ok()).filter(|value| !matches!(value, Value::Choice(..)));
    Parsed { value, is_float: DECIMAL.is_match(&bare), text: bare }
}

/// The spelling that our reader reads as math-verify reads the original.
fn respelled(text: &str) -> Option<String> {
    let depth = text.chars().try_fold(0_i32, |depth, letter| match letter {
        '{' => Some(depth + 1),
        '}' => (depth > 0).then_some(depth - 1),
        _ => Some(depth),
    });
    if depth != Some(0) || UNREAD.is_match(text) || text.is_empty() {
        return None;
    }
    let text = BASE.replace_all(text, "$1");
    // `\frac 1 2` has two arguments, other digits that stand apart a product.
    let is_fraction = text.contains("frac ");
    let text = if is_fraction { text } else { APART.replace_all(&text, "$1*$2").into_owned().into() };
    let text =
        text.replace("^{\\circ}", "").replace("^\\circ", "").replace("\\varnothing", "\\text{varnothing}");
    let text = lowered(&text);
    let text = POWER.replace_all(&text, "$1 e ").into_owned();
    let is_words = text.chars().all(|letter| letter.is_alphabetic() || letter == ' ');
    Some(if is_words { text.replace(' ', "") } else { text })
}

/// Letters in lower case and `i` a symbol, but for commands.
fn lowered(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut is_command = false;
    let letters: Vec<char> = text.chars().collect();
    let has_sets = text.contains("\\mathbb");
    for (at, letter) in letters.iter().enumerate() {
        is_command = *letter == '\\' || (is_command && letter.is_ascii_alphabetic());
        let is_alone = |place: Option<usize>| {
            place
                .and_then(|place| letters.get(place))
                .is_none_or(|near| !near.is_alphabetic() && *near != '\\')
        };
        // The blackboard's letters name sets.
        let is_set = has_sets && ['R', 'Z', 'N', 'Q', 'C'].contains(letter);
        match letter {
            _ if is_command || is_set => found.push(*letter),
            'i' if is_alone(at.checked_sub(1)) && is_alone(Some(at + 1)) => found.push_str("i_{0}"),
            other => found.extend(other.to_lowercase()),
        }
    }
    found
}

struct Comparison {
    context: Context,
    is_float: bool,
}

impl Comparison {
    fn is_equal(&self, gold: &Value, answer: &Value) -> bool {
        // Most entries of long sets are whole numbers, which need no more than a look.
        if let (Value::Scalar(Expr::Number(gold)), Value::Scalar(Expr::Number(answer))) = (gold, answer)
            && gold.is_integer()
            && answer.is_integer()
        {
            return gold == answer;
        }
        if self.context.fuel.take(20).is_none() {
            return false;
        }
        match (gold, answer) {
            (Value::Relation(..), Value::Relation(..)) => {
                region::compare(gold, answer, &self.context) == Some(Verdict::Equal)
                    || relation::compare(gold, answer, &self.context).0 == Verdict::Equal
            }
            // An equation is worth its right side, of gold answers only where the left side is a name.
            (Value::Relation(sides, signs), _) => match relation::named(sides, signs) {
                Some((_, value)) => sides.last() == Some(value) && self.is_equal(value, answer),
                None => region::compare(gold, answer, &self.context) == Some(Verdict::Equal),
            },
            (_, Value::Relation(sides, signs)) => {
                signs.iter().all(|sign| ['=', '∈'].contains(sign))
                    && sides.last().is_some_and(|last| self.is_equal(gold, last))
            }
            _ if region::is_region(gold) || region::is_region(answer) => {
                let is_list = |value: &Value| matches!(value, Value::List(..));
                !is_list(answer) && region::compare(gold, answer, &self.context) == Some(Verdict::Equal)
            }
            (Value::Set(left) | Value::List(left, _), Value::Set(right) | Value::List(right, _)) => {
                self.is_same_set(left, right)
            }
            // An open interval is a set of its ends, and equations are worth their right sides.
            (Value::Set(left) | Value::List(left, _), Value::Tuple(right))
            | (Value::Tuple(left), Value::Set(right) | Value::List(right, _)) => {
                left.len() == right.len() && self.is_same_set(left, right)
            }
            (Value::Set(items), other) | (other, Value::Set(items)) if items.len() == 1 => {
                self.is_equal(&items[0], other)
            }
            (Value::Tuple(left), Value::Tuple(right)) | (Value::Bracketed(left), Value::Bracketed(right)) => {
                self.is_same_row(left, right)
            }
            (Value::Matrix(Delimiter::Brackets, left), Value::Matrix(Delimiter::Brackets, right)) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| self.is_same_row(left, right))
            }
            _ => self.is_same_number(gold, answer),
        }
    }

    fn is_same_row(&self, left: &[Value], right: &[Value]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| self.is_equal(left, right))
    }

    fn is_same_set(&self, left: &[Value], right: &[Value]) -> bool {
        let is_among = |item: &Value, items: &[Value], is_gold: bool| {
            items
                .iter()
                .any(|other| if is_gold { self.is_equal(item, other) } else { self.is_equal(other, item) })
        };
        left.iter().all(|item| is_among(item, right, true))
            && right.iter().all(|item| is_among(item, left, false))
    }

    /// Numbers and expressions; a percentage is worth its number or a hundredth of it.
    fn is_same_number(&self, gold: &Value, answer: &Value) -> bool {
        let (golds, answers) = (worth(gold), worth(answer));
        let is_float = self.is_float || golds.len() + answers.len() > 2;
        golds.iter().any(|gold| answers.iter().any(|answer| self.is_same_worth(gold, answer, is_float)))
    }

    fn is_same_worth(&self, gold: &Expr, answer: &Expr, is_float: bool) -> bool {
        if *gold == Expr::Undefined || *answer == Expr::Undefined {
            return false;
        }
        if let (true, Expr::Number(gold), Expr::Number(answer)) = (is_float, gold, answer) {
            return rounded(gold) == rounded(answer);
        }
        if let (Expr::Number(gold), Expr::Number(answer)) = (gold, answer) {
            return (gold - answer).abs() * number::integer(TINY_INVERSE) < number::integer(1);
        }
        if scalar::compare(gold, answer, &self.context).0 == Verdict::Equal {
            return true;
        }
        let value =
            |expr: &Expr| numeric::approximate(expr, &self.context.fuel).filter(|value| value.is_finite());
        if !is_float {
            let difference = gold.clone().minus(answer.clone());
            return value(&difference)
                .is_some_and(|difference| difference.abs() * (TINY_INVERSE as f64) < 1.0);
        }
        let scale = 10_f64.powi(DECIMALS);
        let (Some(gold), Some(answer)) = (value(gold), value(answer)) else { return false };
        (gold * scale).round() == (answer * scale).round()
    }
}

/// To six decimals.
fn rounded(number: &BigRational) -> Option<i128> {
    let scaled = number * number::integer(10_i64.pow(DECIMALS.unsigned_abs()));
    let half = number::integer(1) / number::integer(2);
    let away = if scaled.is_negative() { (scaled - half).ceil() } else { (scaled + half).floor() };
    away.to_integer().to_i128()
}

/// What a value is worth as an expression; two for a percentage, and none for what is no number.
fn worth(value: &Value) -> Vec<Expr> {
    match value {
        Value::Scalar(expr) => vec![expr.clone()],
        Value::Quantity(amount, unit) if unit.is("percent") => {
            vec![amount.clone(), amount.clone().over(Expr::integer(100))]
        }
        Value::Quantity(amount, _) => vec![amount.clone()],
        Value::Text(words) => vec![Expr::Symbol(words.replace(' ', ""))],
        Value::Ratio(parts) => {
            let mut parts = parts.iter().map(|part| worth(part).pop());
            let first = parts.next().flatten();
            let quotient =
                first.and_then(|first| parts.try_fold(first, |over, under| Some(over.over(under?))));
            quotient.into_iter().collect()
        }
        _ => Vec::new(),
    }
}
