//! The words that Qwen2.5-Math's harness takes for units and leaves out wherever they stand alone, letters such as `a` included.

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

/// The text without them, unless nothing would be left. Two passes, as what one leaves out the next may set free.
pub(super) fn left_out(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..2 {
        for plural in ["", "s"] {
            for word in WORDS {
                let word: Vec<char> = word.chars().chain(plural.chars()).collect();
                if let Some(left) = without(&letters, &word).filter(|left| !left.is_empty()) {
                    letters = left;
                }
            }
        }
    }
    letters.into_iter().collect()
}

/// The text without a word where that stands between letters that belong to no word, which stay; nothing if it stands nowhere.
fn without(text: &[char], word: &[char]) -> Option<Vec<char>> {
    let is_apart = |letter: char| !letter.is_alphanumeric() && letter != '_';
    let is_here = |at: usize| {
        let end = at + word.len();
        let is_word = text.get(at..end).is_some_and(|part| {
            part.iter().zip(word).all(|(letter, wanted)| *wanted == '.' || letter == wanted)
        });
        is_word && text.get(end).is_none_or(|next| is_apart(*next))
    };
    let (mut left, mut at, mut copied) = (Vec::new(), 0, 0);
    while at < text.len() {
        let start = if at == 0 && is_here(0) {
            0
        } else if is_apart(text[at]) && is_here(at + 1) {
            at + 1
        } else {
            at += 1;
            continue;
        };
        // The letter behind belongs to this place, and so begins no other.
        let end = (start + word.len() + 1).min(text.len());
        left.extend(&text[copied..start]);
        left.extend(&text[start + word.len()..end]);
        (at, copied) = (end, end);
    }
    (copied > 0).then(|| {
        left.extend(&text[copied..]);
        left
    })
}
