//! The sorts of mistake, by name.

use serde::{Deserialize, Serialize};

/// A sort of mistake. The first nine are the shell's, whose tokens are known and whose syntax is not; the others are
/// the rules over syntax trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `-lt` for `-le`, `=` for `!=`.
    Comparison,
    /// `+` for `-`, `/` for `%`.
    Operator,
    /// 3 for 4.
    OffByOne,
    /// 6 for 60, `yes` for `no`.
    Constant,
    /// Another variable of the function.
    Variable,
    /// A line is missing.
    Dropped,
    /// Two arguments or operands in the wrong order.
    Swapped,
    /// `&&` for `||`.
    Boolean,
    /// A condition that is turned around.
    Negation,
    /// The two branches of a conditional have changed places.
    InvertIf,
    /// Two neighbouring statements have changed places.
    ShuffleLines,
    /// A condition is turned around.
    NegateCondition,
    /// `break` for `continue`, or the other way round.
    SwapJump,
    /// Another operator of the same family.
    ChangeOperator,
    /// The opposite operator.
    FlipOperator,
    /// Two operands have changed places.
    SwapOperands,
    /// A link of a chain of operations is missing.
    BreakChain,
    /// A number off by one, or the other truth value.
    ChangeConstant,
    /// Two neighbouring arguments have changed places.
    SwapArguments,
    /// A conditional is missing.
    RemoveConditional,
    /// The other branch of a conditional is missing.
    RemoveElse,
    /// A loop is missing.
    RemoveLoop,
    /// An assignment is missing.
    RemoveAssignment,
    /// A `with`, `try` or `defer` is missing around what it held, or altogether.
    RemoveWrapper,
    /// A class lacks a base.
    RemoveBase,
    /// A class lacks a method.
    RemoveMethod,
    /// Two neighbouring methods have changed places.
    ShuffleMethods,
}

impl Kind {
    /// The kinds that the shell has, in the order of their declaration.
    pub const SHELL: [Self; 9] = [
        Self::Comparison,
        Self::Operator,
        Self::OffByOne,
        Self::Constant,
        Self::Variable,
        Self::Dropped,
        Self::Swapped,
        Self::Boolean,
        Self::Negation,
    ];

    /// Its name in files, ids and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comparison => "comparison",
            Self::Operator => "operator",
            Self::OffByOne => "off-by-one",
            Self::Constant => "constant",
            Self::Variable => "variable",
            Self::Dropped => "dropped",
            Self::Swapped => "swapped",
            Self::Boolean => "boolean",
            Self::Negation => "negation",
            Self::InvertIf => "invert-if",
            Self::ShuffleLines => "shuffle-lines",
            Self::NegateCondition => "negate-condition",
            Self::SwapJump => "swap-jump",
            Self::ChangeOperator => "change-operator",
            Self::FlipOperator => "flip-operator",
            Self::SwapOperands => "swap-operands",
            Self::BreakChain => "break-chain",
            Self::ChangeConstant => "change-constant",
            Self::SwapArguments => "swap-arguments",
            Self::RemoveConditional => "remove-conditional",
            Self::RemoveElse => "remove-else",
            Self::RemoveLoop => "remove-loop",
            Self::RemoveAssignment => "remove-assignment",
            Self::RemoveWrapper => "remove-wrapper",
            Self::RemoveBase => "remove-base",
            Self::RemoveMethod => "remove-method",
            Self::ShuffleMethods => "shuffle-methods",
        }
    }
}
