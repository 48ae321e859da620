//! What a patch does not tell of the files that it was made from, and why: counted, and said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Paths that a summary names of each kind.
const NAMED: usize = 3;

/// A path that a patch leaves out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    /// Relative to the work directory.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// Why a path is left out of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The base's `.gitignore` files ignore it, and the base does not hold it.
    Ignored,
    /// It, or all that differs together, is larger than a patch may be.
    TooLarge,
    /// A `.git` that the student made or cloned; the files beside it are in the patch.
    Repository,
    /// It lies deeper than we look.
    TooDeep,
    /// No patch can say its name: it is not UTF-8, or git takes it for its own.
    Name,
    /// A path above or below it is left out and still there, so the two cannot both be.
    InTheWay,
    /// The student took back what the set-up does, and every set-up does it again.
    SetUp,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Ignored => "ignored by the repository",
            Self::TooLarge => "too large for a patch",
            Self::Repository => "git's own",
            Self::TooDeep => "in too many directories",
            Self::Name => "of a name that no patch can say",
            Self::InTheWay => "in whose place something is left",
            Self::SetUp => "that the set-up makes again",
        }
    }
}

impl LeftOut {
    /// How many paths were left out for which reason, with the first of each; nothing where there are none.
    pub fn summary(all: &[Self]) -> Option<String> {
        let mut kinds: BTreeMap<Why, Vec<&str>> = BTreeMap::new();
        for LeftOut { path, why } in all {
            kinds.entry(*why).or_default().push(path);
        }
        let kinds = kinds.into_iter().map(|(why, paths)| {
            let names: Vec<String> =
                paths.iter().take(NAMED).map(|path| format!("`{}`", path.escape_debug())).collect();
            let more = if NAMED < paths.len() { ", …" } else { "" };
            format!("{} {} ({}{more})", paths.len(), why.words(), names.join(", "))
        });
        let kinds: Vec<String> = kinds.collect();
        (!kinds.is_empty()).then(|| format!("left out of the patch: {}", kinds.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_every_path_and_names_the_first() {
        let out = |path: &str, why| LeftOut { path: path.to_owned(), why };
        let all = [
            out("b/1", Why::Ignored),
            out("core", Why::TooLarge),
            out("b/2", Why::Ignored),
            out("b/3", Why::Ignored),
            out("b/\n", Why::Ignored),
        ];
        assert_eq!(
            LeftOut::summary(&all).unwrap(),
            "left out of the patch: 4 ignored by the repository (`b/1`, `b/2`, `b/3`, …); 1 too large for a patch (`core`)"
        );
        assert_eq!(LeftOut::summary(&[]), None);
    }
}
