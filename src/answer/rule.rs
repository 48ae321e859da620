//! The rules that decide, by name.

/// A rule that decided a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The reply has no answer, or its thought never ended.
    NoAnswer,
    /// The texts are the same.
    SameText,
    /// Words, without regard to case.
    Words,
    /// Exact rational numbers.
    Rational,
    /// Expressions in canonical form.
    Canonical,
    /// Values modulo a prime.
    Modular,
    /// Values in ball arithmetic.
    Balls,
    /// A side has no value, such as 1/0.
    NoValue,
    /// Answers of different kinds.
    Kind,
    /// Entries in order: tuples, matrices, ratios.
    Entries,
    /// Entries without order: sets and lists.
    Set,
    /// Sets of real numbers: intervals, inequalities, unions.
    Region,
    /// Equations and inequalities as such.
    Relation,
    /// The value that an equation names.
    Named,
    /// Numbers with their units.
    Unit,
    /// A number against one with a unit.
    UnitLeftOut,
    /// A percentage against a plain number.
    Percent,
    /// A choice by its letter or its value.
    Choice,
    /// The gold answer's significant digits, in the profile that rounds.
    SignificantDigits,
    /// A side is no notation that is known.
    Unreadable,
    /// A side is known notation that is not evaluated, such as an integral.
    Unsupported,
    /// A side is longer or deeper than is looked at.
    TooLarge,
    /// The values could not be told apart within bounds.
    Bounds,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 23] = [
        Self::NoAnswer,
        Self::SameText,
        Self::Words,
        Self::Rational,
        Self::Canonical,
        Self::Modular,
        Self::Balls,
        Self::NoValue,
        Self::Kind,
        Self::Entries,
        Self::Set,
        Self::Region,
        Self::Relation,
        Self::Named,
        Self::Unit,
        Self::UnitLeftOut,
        Self::Percent,
        Self::Choice,
        Self::SignificantDigits,
        Self::Unreadable,
        Self::Unsupported,
        Self::TooLarge,
        Self::Bounds,
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no-answer",
            Self::SameText => "same-text",
            Self::Words => "words",
            Self::Rational => "rational",
            Self::Canonical => "canonical",
            Self::Modular => "modular",
            Self::Balls => "balls",
            Self::NoValue => "no-value",
            Self::Kind => "kind",
            Self::Entries => "entries",
            Self::Set => "set",
            Self::Region => "region",
            Self::Relation => "relation",
            Self::Named => "named",
            Self::Unit => "unit",
            Self::UnitLeftOut => "unit-left-out",
            Self::Percent => "percent",
            Self::Choice => "choice",
            Self::SignificantDigits => "significant-digits",
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too-large",
            Self::Bounds => "bounds",
        }
    }
}
