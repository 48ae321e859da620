//! The commands that a harness tries on a patch, one after another, until one succeeds.
//!
//! They are the image's own `git` and `patch`, so what they make of a patch depends on those versions: the fixtures are
//! of git 2.47.3 and GNU patch 2.7.6. Nothing of it is safe: `patch` writes below `.git`, 4.1.0 undoes a patch that was
//! applied before, and rejects stay in the tree. Our own applier is `patch`.

use super::Harness;

/// A command that may apply the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its name in records: the command without the file.
    pub name: &'static str,
    /// The script that makes it, in the repository; the patch counts as applied where it ends with 0.
    pub script: String,
}

/// The patch counts as applied where undoing it would work.
const REVERSE_CHECK: &str = "reverse-check";
/// Between attempts of 5.0.2, which begin from a clean tree.
const RESET: &str = "{ git checkout -- . ; git clean -fd; } >/dev/null 2>&1";

/// The attempts in their order, on the patch in the file `path` (a plain word).
pub fn attempts(harness: Harness, path: &str) -> Vec<Attempt> {
    let named = |name: &'static str| Attempt { name, script: format!("{name} {path}\n") };
    let Harness::SweBench5 = harness else {
        let names = ["git apply --verbose", "git apply --verbose --reject", "patch --batch --fuzz=5 -p1 -i"];
        return names.map(named).into();
    };
    let later = |name| Attempt { name, script: format!("{RESET}\n{name} {path}\n") };
    vec![
        named("git apply --verbose"),
        later("git apply --verbose --3way"),
        later("git apply --verbose --reject"),
        later("patch --batch --forward --fuzz=5 -p1 -i"),
        Attempt { name: REVERSE_CHECK, script: format!("git apply --check --reverse {path}\n") },
    ]
}
