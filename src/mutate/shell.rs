//! Mutations of POSIX shell: a scanner finds tokens, operators say what each may wrongly become.
//!
//! There is no syntax tree: the shell's grammar is not one that every interpreter shares, and the scanner tells
//! code from quoted words well enough.

mod operators;
mod scan;
mod token;

use super::Mutation;

/// Every mutation of a shell file; several may give the same text.
pub(super) fn mutations(file: &str, text: &str) -> Vec<Mutation> {
    let mut mutations = operators::mutations(&scan::scan(text));
    for mutation in &mut mutations {
        file.clone_into(&mut mutation.file);
    }
    mutations
}

#[cfg(test)]
mod tests;
