//! Symptoms: what a failing test says, as its runner prints it.
//!
//! Knows pytest, cargo, Go's runner and TAP by their marks, whichever parser reads the statuses. Gives assertions and
//! messages, never the lines of a traceback, which would show the mistake. What differs from run to run (addresses,
//! durations, temporary names) is evened out, so that equal mistakes say the same.

use std::sync::LazyLock;

use regex::Regex;

/// Lines kept of one test.
const LINES: usize = 8;
/// Characters kept of one line.
const WIDTH: usize = 240;

/// What one failing test says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symptom {
    /// Its id.
    pub(super) test: String,
    /// The assertion that failed and its message; empty where the output does not say.
    pub(super) said: Vec<String>,
}

/// What each failing test says.
pub(super) fn symptoms(output: &str, failing: &[String]) -> Vec<Symptom> {
    let lines: Vec<&str> = output.lines().collect();
    let of = |test: &String| Symptom { test: test.clone(), said: said(&lines, test) };
    failing.iter().map(of).collect()
}

fn said(lines: &[&str], test: &str) -> Vec<String> {
    let found = pytest(lines, test).or_else(|| cargo(lines, test)).or_else(|| go(lines, test));
    let found = found.or_else(|| tap(lines, test)).unwrap_or_default();
    found.iter().take(LINES).map(|line| steady(line)).collect()
}

/// `____ Class.test_name[param] ____`, then the test's source with `>` before the line that failed, and `E` before
/// what pytest says. Of several frames only the first, which is the test's own, is quoted.
fn pytest(lines: &[&str], test: &str) -> Option<Vec<String>> {
    let (_, path) = test.split_once("::")?;
    let title = path.replace("::", ".");
    let is_heading = |line: &str| line.starts_with("___") && line.ends_with("___");
    let at = lines.iter().position(|line| is_heading(line) && line.trim_matches('_').trim() == title)?;
    let rest = &lines[at + 1..];
    let end = rest.iter().position(|line| is_heading(line) || line.starts_with("===")).unwrap_or(rest.len());
    let body = &rest[..end];
    let asked = body.iter().find_map(|line| line.strip_prefix('>')).map(|line| line.trim().to_owned());
    let told = body.iter().filter_map(|line| line.strip_prefix("E ")).map(|line| line.trim().to_owned());
    Some(asked.into_iter().chain(told).collect())
}

/// `---- name stdout ----`, a blank line, `thread 'name' panicked at file:line:column:` and the message.
fn cargo(lines: &[&str], test: &str) -> Option<Vec<String>> {
    let at = lines.iter().position(|line| *line == format!("---- {test} stdout ----"))?;
    let body = lines[at + 1..].iter().take_while(|line| !line.starts_with("---- ") && **line != "failures:");
    let is_told = |line: &&&str| {
        !line.is_empty()
            && !line.starts_with("note: ")
            && !line.contains("panicked at")
            && !line.starts_with("stack")
    };
    Some(body.filter(is_told).map(|line| (*line).trim_end().to_owned()).collect())
}

/// `--- FAIL: TestName (0.00s)`, then indented lines.
fn go(lines: &[&str], test: &str) -> Option<Vec<String>> {
    let name = test.rsplit("::").next().unwrap_or(test);
    let heading = format!("--- FAIL: {name} (");
    let at = lines.iter().position(|line| line.trim_start().starts_with(&heading))?;
    let body = lines[at + 1..].iter().take_while(|line| line.starts_with("    ") && !line.contains("--- "));
    Some(body.map(|line| without_place(line.trim()).to_owned()).collect())
}

/// A message without the `file.go:12: ` before it.
fn without_place(line: &str) -> &str {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| regex(r"^[\w./-]+:\d+: "));
    PLACE.find(line).map_or(line, |found| &line[found.end()..])
}

/// `not ok 3 - name`, then comments or a block of YAML; where nothing follows, what stands between it and the test
/// before.
fn tap(lines: &[&str], test: &str) -> Option<Vec<String>> {
    static LINE: LazyLock<Regex> = LazyLock::new(|| regex(r"^not ok\b(?: +\d+)?(?: +-)? *(.*?)\s*$"));
    let is_it = |line: &&str| LINE.captures(line).is_some_and(|found| &found[1] == test);
    let at = lines.iter().position(is_it)?;
    let is_about = |line: &&&str| line.starts_with('#') || line.starts_with("  ");
    let ends =
        |line: &&&str| ["stack:", "...", "# Subtest:"].iter().any(|end| line.trim_start().starts_with(end));
    let after = lines[at + 1..].iter().take_while(|line| is_about(line) && !ends(line));
    let after: Vec<String> = after.filter_map(|line| told(line)).collect();
    if !after.is_empty() {
        return Some(after);
    }
    let before = lines[..at].iter().rev().take_while(is_about);
    let mut before: Vec<String> = before.filter_map(|line| told(line)).collect();
    before.reverse();
    Some(before)
}

/// What a comment or a line of YAML says, if it says something of the test's subject.
fn told(line: &str) -> Option<String> {
    const ASIDE: [&str; 7] = ["duration_ms:", "location:", "type:", "failureType:", "code:", "name:", "---"];
    let text = line.trim_start_matches('#').trim();
    let text = without_place(text.strip_prefix("error: ").unwrap_or(text));
    let is_aside = text.is_empty() || text == "|-" || ASIDE.iter().any(|word| text.starts_with(word));
    (!is_aside).then(|| text.to_owned())
}

/// A line whose chance parts are evened out.
fn steady(line: &str) -> String {
    static CHANCE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"0x[0-9a-f]{5,}|\b\d+(?:\.\d+)?(?:ms|µs|s)\b|/tmp/[\w./-]+"));
    let line = CHANCE.replace_all(line, "…");
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.into_owned(),
    }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is fixed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str, test: &str) -> Vec<String> {
        symptoms(output, &[test.to_owned()]).remove(0).said
    }

    #[test]
    fn a_pytest_failure_gives_the_asserting_line_and_what_it_saw_but_no_other_frame() {
        let output = "\
=================================== FAILURES ===================================
_______________________________ Box.test_size[a] _______________________________

    def test_size():
>       assert size(1) == 2

tests/test_box.py:4: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def size(a):
>       return a - secret
E       AssertionError: <Box at 0x7f00aa11bb22>

box.py:9: AssertionError
_______________________________ test_other ________________________________
E       other
";
        let expected = ["assert size(1) == 2", "AssertionError: <Box at …>"];
        assert_eq!(of(output, "tests/test_box.py::Box::test_size[a]"), expected);
    }

    #[test]
    fn a_panic_gives_its_message_without_its_place() {
        let output = "\
failures:

---- sizes stdout ----

thread 'sizes' (41) panicked at tests/box.rs:4:5:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    sizes
";
        assert_eq!(of(output, "sizes"), ["assertion `left == right` failed", "  left: 1", " right: 2"]);
    }

    #[test]
    fn go_gives_the_messages_of_the_test() {
        let output = "--- FAIL: TestSize (0.00s)\n    box_test.go:12: Size(1) = 2, want 3\nFAIL\n";
        assert_eq!(of(output, "example.org/box::TestSize"), ["Size(1) = 2, want 3"]);
    }

    #[test]
    fn tap_gives_what_follows_without_frames_and_durations_else_what_precedes() {
        let output = "\
ok 1 - a
not ok 2 - size of one
  ---
  duration_ms: 0.5
  error: |-
    1 !== 2
  expected: 2
  actual: 1
  stack: |-
    TestContext.<anonymous> (/testbed/box.js:3:1)
  ...
# Subtest: b
not ok 3 - b
ok 4 - c
    box_test.go:3: got 1, want 2
not ok - d
";
        assert_eq!(of(output, "size of one"), ["1 !== 2", "expected: 2", "actual: 1"]);
        assert_eq!(of(output, "d"), ["got 1, want 2"]);
    }

    #[test]
    fn what_differs_from_run_to_run_is_evened_out() {
        assert_eq!(steady("took 0.31s at 0x7f00aa11bb22 in /tmp/a-b/c"), "took … at … in …");
        assert_eq!(steady(&"x".repeat(300)).chars().count(), WIDTH + 1);
    }
}
