//! How alike two outputs are: as an agent reads them, which is by lines.
//!
//! 2·M / (E + S), M lines in common, E and S those of expert and student, blank lines and the width of white space left
//! out. The order does not count: tools list in orders of their own. Where one output numbers or names its lines and the
//! other does not, they are compared without that.

use std::collections::BTreeMap;

/// In [0, 1].
pub(super) fn likeness(expert: &str, student: &str) -> f64 {
    let (expert, student) = (Lines::of(expert), Lines::of(student));
    let one_sided =
        |a: &Lines, b: &Lines| a.forms().iter().map(|form| dice(form, &b.plain)).fold(0.0, f64::max);
    one_sided(&expert, &student).max(one_sided(&student, &expert))
}

/// The lines of an output that say something.
struct Lines {
    /// With tabs, which tell a number from a text.
    tabbed: Vec<String>,
    plain: Vec<String>,
}

impl Lines {
    fn of(output: &str) -> Self {
        let tabbed: Vec<String> = output
            .lines()
            .map(|line| undecorated(line).to_owned())
            .filter(|line| !line.trim().is_empty())
            .collect();
        let plain = tabbed.iter().map(|line| narrow(line)).collect();
        Self { tabbed, plain }
    }

    /// As they are; without numbers, without names, and without both.
    fn forms(&self) -> Vec<Vec<String>> {
        fn both(line: &str) -> Option<&str> {
            unnamed(line).and_then(unnumbered)
        }
        let stripped = [self.without(unnumbered), self.without(unnamed), self.without(both)];
        std::iter::once(self.plain.clone()).chain(stripped.into_iter().flatten()).collect()
    }

    /// Every line stripped, but for a first one that may be a tool's heading; nothing where one cannot be.
    fn without(&self, strip: impl Fn(&str) -> Option<&str>) -> Option<Vec<String>> {
        let strips = |lines: &[String]| -> Option<Vec<String>> {
            let stripped: Option<Vec<String>> = lines.iter().map(|line| strip(line).map(narrow)).collect();
            // Lines that are nothing but numbers are what the output says.
            stripped.filter(|lines| lines.iter().any(|line| !line.is_empty()))
        };
        let (heading, rest) = self.tabbed.split_first()?;
        let stripped = strips(&self.tabbed).or_else(|| {
            let rest = strips(rest)?;
            Some(std::iter::once(narrow(heading)).chain(rest).collect())
        })?;
        // A number before nothing is a blank line.
        Some(stripped.into_iter().filter(|line| !line.is_empty()).collect())
    }
}

/// A line without the rules that tools draw around words (`=== 3 passed ===`) and the `./` before a path.
fn undecorated(line: &str) -> &str {
    let is_rule = |c: char| matches!(c, '=' | '-' | '_' | '*' | ' ');
    let ruled = |line: &str, mark: &str| line.trim().starts_with(mark) && line.trim().ends_with(mark);
    let line = if ["===", "---", "___", "***"].iter().any(|mark| ruled(line, mark)) {
        line.trim_matches(is_rule)
    } else {
        line.trim_end()
    };
    line.strip_prefix("./").unwrap_or(line)
}

/// The rest after a number of a line, as `cat -n`, `nl` and `grep -n` write it.
fn unnumbered(line: &str) -> Option<&str> {
    let rest = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let is_number = rest.len() < line.trim_start().len();
    // The tab of a blank line went with the blanks at its end.
    let rest = if rest.is_empty() { Some(rest) } else { rest.strip_prefix(['\t', ':', '|']) };
    rest.filter(|_| is_number)
}

/// The rest after the name of a file, as `grep -H` writes it.
fn unnamed(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let is_name = name.contains(['.', '/']) && !name.contains(char::is_whitespace);
    is_name.then_some(rest)
}

/// With single blanks.
fn narrow(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Of two bags of lines.
fn dice(left: &[String], right: &[String]) -> f64 {
    let total = left.len() + right.len();
    if total == 0 {
        return 1.0;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in left {
        *counts.entry(line).or_default() += 1;
    }
    let mut common = 0_usize;
    for line in right {
        if let Some(count) = counts.get_mut(line.as_str()).filter(|count| 0 < **count) {
            *count -= 1;
            common += 1;
        }
    }
    2.0 * common as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_say_the_same_are_one() {
        let same = [
            ("a\nb\n", "b\n\n a\n"),
            ("def f():\n    return 1\n", "     1\tdef f():\n     2\t\n     3\t    return 1\n"),
            ("src/a.py:3:x = 1\nsrc/b.py:9:x = 2\n", "3:x = 1\n9:x = 2\n"),
            ("./a/b\n./c\n", "a/b\nc\n"),
            ("===== 3 passed in <duration> =====\n", "3 passed in <duration>\n"),
            ("", ""),
        ];
        for (expert, student) in same {
            assert_eq!(likeness(expert, student), 1.0, "{expert:?} {student:?}");
            assert_eq!(likeness(student, expert), 1.0, "{student:?} {expert:?}");
        }
    }

    #[test]
    fn outputs_that_say_other_things_are_not() {
        let other = [
            ("3 passed\n", "4 passed\n", 0.0),
            ("3:return x\n", "9:return x\n", 0.0),
            ("a\nb\nc\n", "a\n", 0.5),
            ("a\na\n", "a\n", 2.0 / 3.0),
            ("a\n", "", 0.0),
            ("3\n", "", 0.0),
            ("total\n3\n", "total\n", 2.0 / 3.0),
        ];
        for (expert, student, value) in other {
            assert_eq!(likeness(expert, student), value, "{expert:?} {student:?}");
        }
    }
}
