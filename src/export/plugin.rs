//! The step reward as a file of Python that a trainer calls.
//!
//! Guarantees that every trainer's file holds the same reward; they differ in the function that the trainer looks for.

use crate::reward::Scope;

/// The file's name beside the data.
pub(super) const FILE: &str = "srl_reward.py";

const CORE: &str = include_str!("plugin/core.py");

/// The reward, comparing what `scope` says, with a trainer's own function behind it.
pub(super) fn source(scope: Scope, trainer: &str) -> String {
    let scope = match scope {
        Scope::Action => "action",
        Scope::Wrapped => "wrapped",
    };
    format!("{}{trainer}", CORE.replace("@SCOPE@", scope))
}
