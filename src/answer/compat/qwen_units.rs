//! The words that Qwen2.5-Math's harness takes for units and leaves out wherever they stand alone, letters such as `a` included.

use std::sync::LazyLock;

use regex::Regex;

/// Its words, `.` for any letter; each also with an `s`.
const WORDS: &[&str] = &[
    "east",
    "degree",
    "mph",
    "kmph",
    "ft",
    "m sqaure",
    " m east",
    "sq m",
    "deg",
    "mile",
    "q .",
    "monkey",
    "prime",
    "ratio",
    "profit of rs",
    "rd",
    "o",
    "gm",
    "p . m",
    "lb",
    "tile",
    "per",
    "dm",
    "lt",
    "gain",
    "ab",
    "way",
    "west",
    "a .",
    "b .",
    "c .",
    "d .",
    "e .",
    "f .",
    "g .",
    "h .",
    "t",
    "a",
    "h",
    "no change",
    "men",
    "soldier",
    "pie",
    "bc",
    "excess",
    "st",
    "inches",
    "noon",
    "percent",
    "by",
    "gal",
    "kmh",
    "c",
    "acre",
    "rise",
    "a . m",
    "th",
    "π r 2",
    "sq",
    "mark",
    "l",
    "toy",
    "coin",
    "sq . m",
    "gallon",
    "° f",
    "profit",
    "minw",
    "yr",
    "women",
    "feet",
    "am",
    "pm",
    "hr",
    "cu cm",
    "square",
    "are",
    "rupee",
    "rounds",
    "cubic",
    "cc",
    "mtr",
    "s",
    "ohm",
    "number",
    "day",
    "hour",
    "minute",
    "min",
    "second",
    "man",
    "woman",
    "sec",
    "cube",
    "mt",
    "sq inch",
    "mp",
    "hectare",
    "more",
    "unit",
    "cu . m",
    "cm 2",
    "rs .",
    "rs",
    "kg",
    "g",
    "month",
    "km",
    "m",
    "cm",
    "mm",
    "apple",
    "liter",
    "loss",
    "yard",
    "pure",
    "year",
    "increase",
    "decrease",
    "d",
    "less",
    "surface",
    "litre",
    "pi sq m",
    "s .",
    "metre",
    "meter",
    "inch",
];

/// A word, the part of it that a text must contain, and its pattern.
struct Word {
    part: String,
    pattern: Regex,
}

static PATTERNS: LazyLock<Vec<Word>> = LazyLock::new(|| {
    let singular = WORDS.iter().map(|word| (*word).to_owned());
    let plural = WORDS.iter().map(|word| format!("{word}s"));
    let word = |word: String| Word {
        part: word.split('.').next().unwrap_or_default().to_owned(),
        pattern: Regex::new(&format!(r"(^|\W){word}($|\W)")).expect("invariant: the pattern is valid"),
    };
    singular.chain(plural).map(word).collect()
});

/// The text without them, unless nothing would be left. Two passes, as what one leaves out the next may set free.
pub(super) fn left_out(mut text: String) -> String {
    for _ in 0..2 {
        for word in PATTERNS.iter() {
            if !text.contains(&word.part) {
                continue;
            }
            let left = word.pattern.replace_all(&text, "$1$2");
            if !left.is_empty() && left != text {
                text = left.into_owned();
            }
        }
    }
    text
}
