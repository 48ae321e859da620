//! How much of the gold patch a problem gives away.
//!
//! A measure, not a proof: lines are compared without their blanks, names as whole words. A fix that is told in other
//! words is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::certificate::Statement;
use crate::patch::{LineKind, Patch};

/// Letters and digits from which on a line says more than the language's own forms do.
const TELLING: usize = 8;
/// Letters of the shortest name that counts.
const NAME: usize = 4;

static NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z_][A-Za-z0-9_]*").expect("invariant: the pattern is valid"));
static LINKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"https?://[^\s<>)\]]+/(?:pull|merge_requests|commit|compare)/[0-9A-Za-z._-]+")
        .expect("invariant: the pattern is valid")
});

/// Compares a problem with the patch that solves it.
pub(super) fn compare(problem: &str, gold: &Patch) -> Statement {
    let lines_of = |kind: LineKind| {
        let hunks = gold.files.iter().flat_map(|file| &file.hunks);
        hunks
            .flat_map(|hunk| &hunk.lines)
            .filter(move |line| line.kind == kind)
            .map(|line| line.text.as_str())
    };
    let known: Vec<&str> = lines_of(LineKind::Removed).chain(lines_of(LineKind::Context)).collect();
    let known_lines: BTreeSet<String> = known.iter().map(|line| squeezed(line)).collect();
    // A line that only moves is no news, and one said twice is one piece of news.
    let added = lines_of(LineKind::Added).map(|line| (squeezed(line), line.trim()));
    let mut news: BTreeMap<String, &str> = added.collect();
    news.retain(|line, _| is_telling(line) && !known_lines.contains(line));
    // A patch in a problem has a mark before each line; a snippet has none.
    let said: BTreeSet<String> = problem
        .lines()
        .flat_map(|line| [squeezed(line), squeezed(line.trim_start().trim_start_matches('+'))])
        .collect();
    let whole = squeezed(problem);
    let found = news.iter().filter(|(line, _)| holds(&said, &whole, line));
    let lines: Vec<String> = found.map(|(_, line)| (*line).to_owned()).collect();
    let overlap = if news.is_empty() { 0.0 } else { lines.len() as f64 / news.len() as f64 };
    Statement {
        overlap,
        lines,
        names: names(problem, &known, lines_of(LineKind::Added)),
        links: links(problem),
    }
}

/// Whether the problem says a line: by itself, or within another one where it is long enough to be no accident.
fn holds(said: &BTreeSet<String>, whole: &str, line: &str) -> bool {
    const LONG: usize = 16;
    said.contains(line) || (LONG <= line.len() && whole.contains(line))
}

/// A text without any blank, which a quotation changes at will.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

fn is_telling(line: &str) -> bool {
    let is_comment = ["#", "//", "/*", "*"].iter().any(|mark| line.starts_with(mark));
    !is_comment && TELLING <= line.chars().filter(|char| char.is_alphanumeric()).count()
}

/// Names that look like names, that added lines hold and no other line of the patch does, and that the problem says.
fn names<'a>(problem: &str, known: &[&str], added: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words = |text: &'a str| NAMES.find_iter(text).map(|found| found.as_str());
    let known: BTreeSet<&str> =
        known.iter().flat_map(|line| NAMES.find_iter(line)).map(|found| found.as_str()).collect();
    let said: BTreeSet<&str> = NAMES.find_iter(problem).map(|found| found.as_str()).collect();
    let new: BTreeSet<&str> = added.flat_map(words).collect();
    let is_name = |word: &str| {
        let has_mark = word.trim_matches('_').contains('_') || word.chars().skip(1).any(char::is_uppercase);
        NAME <= word.len() && has_mark && word.chars().any(char::is_lowercase)
    };
    let found = new.into_iter().filter(|word| is_name(word) && said.contains(word) && !known.contains(word));
    found.map(str::to_owned).collect()
}

fn links(problem: &str) -> Vec<String> {
    let found: BTreeSet<&str> = LINKS.find_iter(problem).map(|found| found.as_str()).collect();
    found.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLD: &str = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,5 @@\n def area(shape):\n\
                        -    return shape.width + shape.height\n+    if shape.is_empty_shape:\n+        return 0\n\
                        +    return shape.width * shape.height\n     # end\n";

    fn measured(problem: &str) -> Statement {
        compare(problem, &Patch::parse(GOLD).unwrap())
    }

    #[test]
    fn a_problem_that_describes_behaviour_gives_nothing_away() {
        let honest = "area adds: `return shape.width + shape.height`. An empty shape has no area.\n\ndef area(shape):\n";
        assert_eq!(measured(honest), Statement::default());
    }

    #[test]
    fn a_problem_that_quotes_the_patch_is_measured_in_lines() {
        let whole = measured(&format!("Apply this:\n{GOLD}"));
        assert_eq!((whole.overlap, whole.lines.len()), (1.0, 2), "{whole:?}");
        let half = measured("It should say `return  shape.width*shape.height` there.");
        assert_eq!(
            (half.overlap, &*half.lines),
            (0.5, &["return shape.width * shape.height".to_owned()][..])
        );
    }

    #[test]
    fn names_that_the_fix_brings_and_links_to_it_are_listed() {
        let told = measured(
            "Look at is_empty_shape; see https://example.org/o/r/pull/12 and https://example.org/o/r/issues/3.",
        );
        assert_eq!((told.overlap, &*told.names), (0.0, &["is_empty_shape".to_owned()][..]));
        assert_eq!(told.links, ["https://example.org/o/r/pull/12"]);
    }
}
