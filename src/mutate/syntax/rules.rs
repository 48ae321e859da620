//! The rules: which mistakes are made, in which languages, by what.
//!
//! The procedural modifications of SWE-smith (Yang et al., 2025, section 2 and its bug generators), and five that are
//! ours: negated conditions, exchanged jumps, exchanged arguments, a missing branch, truth values.

use super::grammar::Language::{self, Go, JavaScript, Python, Rust};
use super::site::{Edit, Site};
use super::{classes, control, operations, removals};
use crate::mutate::Kind;

/// A sort of mistake and where it is found.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub kind: Kind,
    /// Where it is known.
    pub languages: &'static [Language],
    /// What it does, for tables.
    pub what: &'static str,
    /// Each way to make this mistake at a node: edits that are made together.
    pub(super) edits: fn(&Site<'_>) -> Vec<Vec<Edit>>,
}

const ALL: &[Language] = &Language::ALL;

/// Every rule, in the order of the kinds.
pub const RULES: &[Rule] = &[
    rule(Kind::InvertIf, ALL, "the branches of an `if` with `else` change places", control::invert_if),
    rule(Kind::ShuffleLines, ALL, "a statement changes places with the next one", control::shuffle_lines),
    rule(Kind::NegateCondition, ALL, "a condition is negated, or no longer", control::negate_condition),
    rule(Kind::SwapJump, ALL, "`break` becomes `continue`, or the other way round", control::swap_jump),
    rule(Kind::ChangeOperator, ALL, "an operator becomes another of its family", operations::change_operator),
    rule(Kind::FlipOperator, ALL, "an operator becomes its opposite", operations::flip_operator),
    rule(Kind::SwapOperands, ALL, "the operands of an operator change places", operations::swap_operands),
    rule(Kind::BreakChain, ALL, "one operation of a chain is left out", operations::break_chain),
    rule(
        Kind::ChangeConstant,
        ALL,
        "an integer is off by one, a truth value is the other",
        operations::change_constant,
    ),
    rule(
        Kind::SwapArguments,
        ALL,
        "an argument changes places with the next one",
        operations::swap_arguments,
    ),
    rule(
        Kind::RemoveConditional,
        ALL,
        "an `if` with all its branches is left out",
        removals::remove_conditional,
    ),
    rule(Kind::RemoveElse, ALL, "the `else` of an `if` is left out", removals::remove_else),
    rule(Kind::RemoveLoop, ALL, "a loop is left out", removals::remove_loop),
    rule(Kind::RemoveAssignment, ALL, "an assignment is left out", removals::remove_assignment),
    rule(
        Kind::RemoveWrapper,
        &[Python, Go, JavaScript],
        "a `with` or `try` is left out around its body; a `defer` altogether",
        removals::remove_wrapper,
    ),
    rule(Kind::RemoveBase, &[Python, JavaScript], "a class loses a base", classes::remove_base),
    rule(
        Kind::RemoveMethod,
        &[Python, JavaScript, Rust],
        "a class or `impl` loses a method",
        classes::remove_method,
    ),
    rule(
        Kind::ShuffleMethods,
        &[Python, JavaScript],
        "a method changes places with the next one",
        classes::shuffle_methods,
    ),
];

const fn rule(
    kind: Kind,
    languages: &'static [Language],
    what: &'static str,
    edits: fn(&Site<'_>) -> Vec<Vec<Edit>>,
) -> Rule {
    Rule { kind, languages, what, edits }
}
