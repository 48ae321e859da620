//! Which spellings mean the same: commands, Unicode signs, fonts, words.

use super::token::{Bracket, Token};

/// Functions and what may be written for them, without their backslash.
const FUNCTIONS: [&str; 31] = [
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "ln", "log", "lg", "exp", "sqrt", "abs", "floor", "ceil", "max", "min", "gcd", "lcm",
    "det", "arg", "deg", "dim",
];

const GREEK: [&str; 36] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "ell",
    "hbar",
];

/// The letters of [`GREEK`] in the same order, as far as they have one.
const GREEK_LETTERS: &str = "αβγδεεζηθθικλμνξρστυφφχψωΓΔΘΛΞΣΦΨΩℓℏ";

fn name(text: &str) -> Token {
    Token::Name(text.to_owned())
}

/// The token of a Unicode letter that is no letter of a word.
pub(super) fn sign(letter: char) -> Option<Token> {
    let ascii = match letter {
        'π' => return Some(name("π")),
        '∞' => return Some(name("∞")),
        '…' | '⋯' => return Some(name("…")),
        '√' => return Some(name("sqrt")),
        'ℝ' => '\u{211d}',
        'ℤ' | 'ℕ' | 'ℚ' | 'ℂ' => return Some(Token::Name(letter.to_string())),
        '×' | '·' | '⋅' | '∗' | '∙' => '*',
        '÷' => '/',
        '−' | '–' | '—' => '-',
        '≤' | '⩽' | '≦' => '≤',
        '≥' | '⩾' | '≧' => '≥',
        '≠' => '≠',
        '±' => '±',
        '∓' => '∓',
        '∪' => '∪',
        '∩' => '∩',
        '∖' => '∖',
        '∈' => '∈',
        '∅' | 'ø' | 'Ø' => '∅',
        '°' | 'º' => '°',
        '％' => '%',
        '，' => ',',
        '；' => ';',
        '：' => ':',
        '→' => '→',
        '′' | '’' => '\'',
        '（' => return Some(Token::Open(Bracket::Round)),
        '）' => return Some(Token::Close(Bracket::Round)),
        other => {
            let place = GREEK_LETTERS.chars().position(|greek| greek == other)?;
            return Some(name(GREEK[place]));
        }
    };
    Some(Token::Sign(ascii))
}

/// The digit of a superscript.
pub(super) fn superscript(letter: char) -> Option<u8> {
    let place = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == letter)?;
    u8::try_from(place).ok()
}

/// The fraction that one letter writes.
pub(super) fn vulgar(letter: char) -> Option<(i32, i32)> {
    let known = [
        ('½', 1, 2),
        ('⅓', 1, 3),
        ('⅔', 2, 3),
        ('¼', 1, 4),
        ('¾', 3, 4),
        ('⅕', 1, 5),
        ('⅖', 2, 5),
        ('⅗', 3, 5),
        ('⅘', 4, 5),
        ('⅙', 1, 6),
        ('⅚', 5, 6),
        ('⅛', 1, 8),
        ('⅜', 3, 8),
        ('⅝', 5, 8),
        ('⅞', 7, 8),
    ];
    known.into_iter().find(|(sign, _, _)| *sign == letter).map(|(_, over, under)| (over, under))
}

/// The tokens of a run of letters: a function, a constant, a connective, letters or a word.
pub(super) fn word(run: &str) -> Vec<Token> {
    let lower = run.to_lowercase();
    match lower.as_str() {
        "pi" => return vec![name("π")],
        "inf" | "infinity" | "oo" => return vec![name("∞")],
        "and" | "or" => return vec![Token::Text(lower)],
        _ => {}
    }
    if run.chars().count() == 1 || FUNCTIONS.contains(&run) {
        return vec![name(run)];
    }
    let glued = ["arcsin", "arccos", "arctan", "sqrt", "sin", "cos", "tan", "log", "exp", "ln"];
    if let Some((function, rest)) = glued.iter().find_map(|known| Some((*known, run.strip_prefix(known)?)))
        && rest.chars().count() <= 2
    {
        return [vec![name(function)], word(rest)].concat();
    }
    vec![Token::Word(run.to_owned())]
}

/// Whether a command sets the font of its argument.
pub(super) fn is_font(command: &str) -> bool {
    command.starts_with("text")
        || [
            "mbox",
            "hbox",
            "operatorname",
            "mathrm",
            "mathbf",
            "mathit",
            "mathsf",
            "mathcal",
            "mathbb",
            "mathfrak",
        ]
        .contains(&command)
        || ["boldsymbol", "bm", "pmb", "mathop", "emph", "boxed", "fbox", "framebox", "ensuremath"]
            .contains(&command)
}

/// Whether the argument of a font is read as mathematics: numbers, letters and functions in any font.
pub(super) fn is_inline(font: &str, content: &str) -> bool {
    let is_number = content.chars().any(|letter| letter.is_ascii_digit())
        && content.chars().all(|letter| letter.is_ascii_digit() || ".,-+/ ".contains(letter));
    let is_letter = content.chars().count() == 1 && font != "mathbb";
    let is_shown = ["boxed", "fbox", "framebox", "ensuremath", "boldsymbol", "bm", "pmb"].contains(&font);
    let is_mathematics = content.contains(['\\', '^', '=', '$', '{', '+'])
        && !content.chars().filter(|letter| letter.is_alphabetic()).count().gt(&12)
        && content.contains(|letter: char| letter.is_ascii_digit() || letter == '\\');
    is_number
        || is_letter
        || is_shown
        || FUNCTIONS.contains(&content)
        || is_mathematics
        || ["and", "or", "infinity", "pi"].contains(&content)
}

/// The sets of numbers in their font.
pub(super) fn blackboard(font: &str, content: &str) -> Option<Token> {
    let set = match (font, content) {
        ("mathbb" | "textbf" | "mathbf", "R") => return Some(Token::Sign('ℝ')),
        ("mathbb", "Z") => "ℤ",
        ("mathbb", "N") => "ℕ",
        ("mathbb", "Q") => "ℚ",
        ("mathbb", "C") => "ℂ",
        _ => return None,
    };
    Some(name(set))
}

/// The words of `\text{…}` in one form.
pub(super) fn plain(content: &str) -> String {
    let kept: String =
        content.chars().map(|letter| if "~$\\".contains(letter) { ' ' } else { letter }).collect();
    kept.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The bracket that a command writes, and whether it opens.
pub(super) fn bracket(command: &str) -> Option<(Bracket, bool)> {
    Some(match command {
        "lfloor" => (Bracket::Floor, true),
        "rfloor" => (Bracket::Floor, false),
        "lceil" => (Bracket::Ceiling, true),
        "rceil" => (Bracket::Ceiling, false),
        "langle" => (Bracket::Angle, true),
        "rangle" => (Bracket::Angle, false),
        "lbrace" => (Bracket::Set, true),
        "rbrace" => (Bracket::Set, false),
        "lbrack" => (Bracket::Square, true),
        "rbrack" => (Bracket::Square, false),
        "lparen" => (Bracket::Round, true),
        "rparen" => (Bracket::Round, false),
        _ => return None,
    })
}

/// The tokens of a command without arguments; none for decoration.
pub(super) fn command(command: &str) -> Vec<Token> {
    let sign = match command {
        "times" | "cdot" | "ast" | "bullet" => '*',
        "div" => '/',
        "le" | "leq" | "leqslant" | "leqq" => '≤',
        "ge" | "geq" | "geqslant" | "geqq" => '≥',
        "lt" => '<',
        "gt" => '>',
        "ne" | "neq" => '≠',
        "pm" => '±',
        "mp" => '∓',
        "cup" | "bigcup" => '∪',
        "cap" | "bigcap" => '∩',
        "setminus" | "backslash" | "smallsetminus" => '∖',
        "in" => '∈',
        "emptyset" | "varnothing" => '∅',
        "circ" | "degree" | "degrees" => '°',
        "mid" | "vert" | "lvert" | "rvert" | "Vert" | "lVert" | "rVert" => '|',
        "to" | "rightarrow" => '→',
        "colon" => ':',
        "prime" => '\'',
        "percent" => '%',
        "equiv" => '≡',
        "approx" | "sim" | "simeq" => '≈',
        "lor" | "vee" => return vec![Token::Text("or".to_owned())],
        "land" | "wedge" => return vec![Token::Text("and".to_owned())],
        "newline" | "cr" => super::token::ROW,
        "infty" | "inf" => return vec![name("∞")],
        "pi" => return vec![name("π")],
        "ldots" | "cdots" | "dots" | "dotsc" | "dotsb" => return vec![name("…")],
        "quad" | "qquad" | "displaystyle" | "textstyle" | "limits" | "nolimits" | "big" | "Big" | "bigg"
        | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr" | "middle" | "space" | "hspace" | "thinspace"
        | "hfill" | "hline" | "par" | "bf" | "rm" | "it" | "sf" | "tt" => return Vec::new(),
        other if FUNCTIONS.contains(&other) && other != "sqrt" => return vec![name(other)],
        other if GREEK.contains(&other) => return vec![name(other.trim_start_matches("var"))],
        other => return vec![Token::Command(other.to_owned())],
    };
    vec![Token::Sign(sign)]
}

/// Where the brace that opens at `start` closes, or the end of the text.
pub(super) fn closing(text: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < text.len() {
        match text[at] {
            '\\' => at += 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at,
            '}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
