//! The spelling that Qwen2.5-Math's harness gives an answer before it compares: a chain of replacements, in its order.

use std::sync::LazyLock;

use regex::Regex;

use super::qwen_units;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

static ARRAY: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\begin\{array\}\{.*?\}"));
static LAST_TEXT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\text\{.*?\}$"));
static TEXT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\text\{(.*?)\}"));
static MBOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\mbox\{.*?\}"));
static ZEROS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+)\.0*([^\d])"));
static LAST_ZEROS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+)\.0*$"));
static ROOT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\sqrt(\w+)"));

/// The longest answer that is respelled; theirs would time out.
pub(super) const MAX_BYTES: usize = 2000;

/// An answer in their spelling.
pub(super) fn normal(answer: &str) -> String {
    if MAX_BYTES < answer.len() {
        return answer.to_owned();
    }
    let text = answer.trim().replace('\n', "");
    let text = text.trim_end_matches('.').replace("\\!", "");
    let text = ARRAY.replace_all(&text, r"\begin{pmatrix}").replace("\\end{array}", "\\end{pmatrix}");
    let text = text.replace("bmatrix", "pmatrix").replace("tfrac", "frac").replace("dfrac", "frac");
    let text = text.replace("\\neq", "\\ne").replace("\\leq", "\\le").replace("\\geq", "\\ge");
    let text = text.replace("\\left", "").replace("\\right", "").replace("\\{", "{").replace("\\}", "}");
    let without = LAST_TEXT.replace(&text, "").trim().to_owned();
    let text = if without.is_empty() { text } else { without };
    let text = qwen_units::left_out(&text);
    let text = ["^{\\circ}", "^\\circ", "\\$", "$", "\\(", "\\)"]
        .iter()
        .fold(text, |text, mark| text.replace(mark, ""));
    let text = number_words(text);
    let text = TEXT.replace_all(&text, "$1").into_owned();
    let names = ["x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to"];
    let text = names.iter().fold(text, |text, name| text.replace(name, ""));
    let text = text.replace("\\emptyset", "{}").replace("(-\\infty,\\infty)", "\\mathbb{R}");
    let text = text.replace("\\%", "").replace('%', "").replace(" .", " 0.").replace("{.", "{0.");
    symbols(&text)
}

/// The second half of the chain: words, decimals, short equations, roots and fractions.
fn symbols(text: &str) -> String {
    let text = text.replace("infinity", "\\infty");
    let text = if text.contains("\\infty") { text } else { text.replace("inf", "\\infty") };
    let text = text.replace("and", "").replace("\\mathbf", "");
    let text = MBOX.replace_all(&text, "").into_owned();
    let text = if text.contains('j') && !text.contains('i') { text.replace('j', "i") } else { text };
    let text = ZEROS.replace_all(&text, "$1$2").into_owned();
    let text = LAST_ZEROS.replace(&text, "$1").into_owned();
    let text = if text.starts_with('.') { format!("0{text}") } else { text };
    let text = match text.split_once('=') {
        Some((name, value)) if name.chars().count() <= 2 && !value.contains('=') => value.to_owned(),
        _ => text,
    };
    let text = ROOT.replace_all(&text, r"\sqrt{$1}").replace(' ', "");
    quotient(fractions(&text))
}

/// `\frac12` with its braces.
fn fractions(text: &str) -> String {
    let mut parts = text.split("\\frac");
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        found.push_str("\\frac");
        let mut letters = part.chars();
        match (letters.next(), letters.next()) {
            (Some('{'), _) => found.push_str(part),
            (Some(over), Some('{')) => found.push_str(&format!("{{{over}}}{{{}", letters.as_str())),
            (Some(over), Some(under)) => {
                found.push_str(&format!("{{{over}}}{{{under}}}{}", letters.as_str()));
            }
            _ => return text.to_owned(),
        }
    }
    found
}

/// `3/8` of whole numbers as a fraction.
fn quotient(text: String) -> String {
    let Some((over, under)) = text.split_once('/') else { return text };
    let is_part = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        let is_whole = digits == "0"
            || (digits.starts_with(|first: char| ('1'..='9').contains(&first))
                && digits.bytes().all(|digit| digit.is_ascii_digit()));
        is_whole || (part.contains("sqrt") && !part.contains('/'))
    };
    if is_part(over) && is_part(under) { format!("\\frac{{{over}}}{{{under}}}") } else { text }
}

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A text with number words is the number that they say; digits alone lose their leading zeros.
fn number_words(text: String) -> String {
    if !text.is_empty() && text.len() < 30 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        let digits = text.trim_start_matches('0');
        return if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    }
    let (mut total, mut part, mut is_number) = (0_u64, 0_u64, false);
    for word in text.replace('-', " ").to_lowercase().split_whitespace() {
        let small = SMALL.iter().position(|small| *small == word);
        let tens = TENS.iter().position(|tens| *tens == word).map(|place| 10 * (place + 2));
        if let Some(value) = small.or(tens) {
            part = part.saturating_add(value as u64);
        } else if word == "hundred" {
            part = part.max(1).saturating_mul(100);
        } else if let Some(scale) =
            [("thousand", 1_000), ("million", 1_000_000)].iter().find(|(name, _)| *name == word)
        {
            total = total.saturating_add(part.max(1).saturating_mul(scale.1));
            part = 0;
        } else {
            continue;
        }
        is_number = true;
    }
    if is_number { total.saturating_add(part).to_string() } else { text }
}
