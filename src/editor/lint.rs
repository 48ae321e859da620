//! The check that follows an edit of a Python file: flake8's where the sandbox has it, else Python's parser.
//!
//! Guarantees that an edit is refused only for problems it brought. Where neither flake8 nor Python is
//! there, nothing is checked.

use std::path::Path;

use super::{Files, quoted};

/// One problem in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    line: i64,
    column: i64,
    text: String,
}

/// The lines that an edit replaced, from 1 and inclusive, and how many it put there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) lines: i64,
}

/// The problems of the file at `path`; none unless its name ends in `.py`.
pub(super) async fn problems<F: Files>(files: &mut F, path: &str) -> Result<Vec<Problem>, F::Error> {
    if Path::new(path).extension().is_none_or(|extension| extension != "py") {
        return Ok(Vec::new());
    }
    let script = SCRIPT.replace("FILE", &quoted(path));
    Ok(files.run(&script).await?.lines().filter_map(read).collect())
}

const SCRIPT: &str = r#"if command -v flake8 >/dev/null 2>&1; then
  flake8 --isolated --select=F821,F822,F831,E111,E112,E113,E999,E902 FILE 2>&1
else
  for python in python python3; do
    command -v "$python" >/dev/null 2>&1 && break
  done
  "$python" - FILE 2>/dev/null <<'END_OF_CHECK'
import ast, sys
path = sys.argv[1]
try:
    ast.parse(open(path, "rb").read(), path)
except SyntaxError as error:
    print("%s:%d:%d: E999 %s: %s" % (path, error.lineno or 1, error.offset or 0, type(error).__name__, error.msg))
END_OF_CHECK
fi
true
"#;

fn read(line: &str) -> Option<Problem> {
    let (place, text) = line.trim().split_once(": ")?;
    let mut place = place.rsplit(':');
    let (column, line) = (place.next()?.parse().ok()?, place.next()?.parse().ok()?);
    Some(Problem { line, column, text: text.to_owned() })
}

/// The problems of `after` that the edit brought: those of `before` moved along with their lines.
pub(super) fn brought(
    before: &[Problem],
    after: &[Problem],
    replaced: Replaced,
    above: Above,
) -> Vec<Problem> {
    let added = replaced.lines - (replaced.last - replaced.first + 1);
    let moved = |problem: &Problem| match problem.line {
        line if line < replaced.first => Some(problem.clone()),
        line if line <= replaced.last => None,
        line => Some(Problem { line: line + added, ..problem.clone() }),
    };
    let known: Vec<Problem> = before.iter().filter_map(moved).collect();
    let is_new = |problem: &&Problem| {
        !known.contains(problem)
            && (before.is_empty() || above == Above::Counts || replaced.first <= problem.line)
    };
    after.iter().filter(is_new).cloned().collect()
}

/// Whether a new problem above the edited lines counts, where the file had problems before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// It does (shell editions).
    Counts,
    /// It was hidden by an earlier problem (programs).
    WasHidden,
}

/// The problems as the originals list them.
pub(super) fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("- {}", problem.text)).collect::<Vec<_>>().join("\n")
}
