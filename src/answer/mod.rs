//! Answers to mathematical questions: what a reply answers, and whether that is the gold answer.
//!
//! Pure functions on text. Two verdicts stand side by side: [`strict`], ours, on which rewards rest, and [`compat`],
//! the rules of graders that papers use, for comparison. Ours is symmetric in gold and answer (but for the profile that
//! rounds to the gold's digits), deterministic, and bounded in time and memory: notation is read to a bounded depth,
//! numbers have bounded size, and evaluation takes fuel. What that leaves open is [`Verdict::Undecided`].
//!
//! From the outside in: `extract` finds the answer in a reply, `value` reads its structure (`token`, `parse`), `compare`
//! decides by structure, `scalar` by exact form (`expr`), modulo a prime (`modular`) and in ball arithmetic (`numeric`).

mod ball;
mod compare;
pub mod compat;
mod expr;
pub mod extract;
mod fuel;
mod functions;
mod minerva;
mod modular;
mod number;
mod numeric;
mod parse;
mod region;
mod relation;
mod rule;
mod scalar;
mod spelling;
pub mod strict;
#[cfg(test)]
mod tests;
mod token;
mod units;
mod value;

pub use self::rule::Rule;
pub use self::strict::judge;

/// Whether a reply gives the gold answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Equal,
    /// It gives another.
    NotEqual,
    /// It could not be told within bounds.
    Undecided,
    /// The reply gives no answer.
    NoAnswer,
}

impl Verdict {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotEqual => "not-equal",
            Self::Undecided => "undecided",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Exactly.
    Exact,
    /// To the significant digits of a decimal gold answer, and to one per cent at most: for measured quantities.
    Minerva,
}

impl Profile {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Minerva => "minerva-significant-digits",
        }
    }
}

/// A verdict, the rule that decided, and what was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whether the answers are equal.
    pub verdict: Verdict,
    /// The rule that decided.
    pub rule: Rule,
    /// The answer as it stands in the reply.
    pub extracted: Option<String>,
}
