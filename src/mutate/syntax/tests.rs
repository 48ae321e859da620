//! Tests of the rules, one small file a language.

use std::collections::BTreeMap;

use super::{Language, RULES, definition, parses};
use crate::mutate::{Kind, Mutation, enumerate};

const PYTHON: &str = "\
class Box(Base, Other):
    def size(self, a, b):
        \"\"\"Adds 1 + 2.\"\"\"
        total = a + b * 2
        if total < 3 and a:
            total = pair(a, b)
        else:
            total -= 1
        for item in a:
            if not item:
                break
        with open(a) as file:
            total = 1
            total = 2
        return total

    def other(self):
        return True
";

const RUST: &str = "\
fn size(a: u32, b: u32) -> u32 {
    let mut total = a + b * 2;
    if total < 3 && a > 1 {
        total = pair(a, b);
    } else {
        total -= 1;
    }
    for item in 0..a {
        if item == 2 {
            break;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    #[test]
    fn one() {
        assert_eq!(super::size(1, 2), 1 + 2);
    }
}
";

const GO: &str = "\
package box

func size(a int, b int) int {
\ttotal := a + b*2
\tdefer done()
\tif total < 3 && a > 1 {
\t\ttotal = pair(a, b)
\t} else {
\t\ttotal -= 1
\t}
\tfor i := 0; i < a; i++ {
\t\tbreak
\t}
\treturn total
}
";

const JAVASCRIPT: &str = "\
class Box extends Base {
  size(a, b) {
    let total = a + b * 2;
    if (total < 3 && a) {
      total = pair(a, b);
    } else {
      total -= 1;
    }
    for (const item of a) {
      break;
    }
    try {
      total = 1;
      total = 2;
    } catch (error) {
      total = 3;
    }
    return true;
  }

  other() {
    return 1;
  }
}
";

const C: &str = "\
int size(int a, int b)
{
    int total = a + b * 2;
    if (total < 3 && a) {
        total = pair(a, b);
    } else {
        total -= 1;
    }
    while (a < 3) {
        break;
    }
    return total;
}
";

const FILES: [(&str, &str); 5] =
    [("box.py", PYTHON), ("box.rs", RUST), ("box.go", GO), ("box.js", JAVASCRIPT), ("box.c", C)];

fn mutations(file: &str, text: &str) -> Vec<Mutation> {
    enumerate(&BTreeMap::from([(file.to_owned(), text.to_owned())]))
}

/// What the lines say instead, by `kind`: `right → wrong`, lines joined by `⏎`, without indentation.
fn wrong(file: &str, text: &str, kind: Kind) -> Vec<String> {
    let flat = |lines: &str| lines.lines().map(str::trim).collect::<Vec<_>>().join("⏎");
    let told = |m: &Mutation| format!("{} → {}", flat(&m.before), flat(m.after.as_deref().unwrap_or("∅")));
    mutations(file, text).iter().filter(|m| m.kind == kind).map(told).collect()
}

#[test]
fn every_rule_is_found_in_each_of_its_languages() {
    for (file, text) in FILES {
        let language = Language::of(file).unwrap();
        for rule in RULES.iter().filter(|rule| rule.languages.contains(&language)) {
            // A class whose methods are exchanged, a wrapper, a base: each file holds one of all.
            let is_here = rule.kind != Kind::RemoveMethod || language != Language::Rust;
            let found = wrong(file, text, rule.kind).len();
            assert_eq!(found > 0, is_here, "{file}: {}: {found}", rule.kind.name());
        }
    }
}

#[test]
fn mistakes_are_what_their_names_say() {
    let of = |kind| wrong("box.py", PYTHON, kind).join("\n");
    insta::assert_snapshot!(of(Kind::InvertIf), @"total = pair(a, b)⏎else:⏎total -= 1 → total -= 1⏎else:⏎total = pair(a, b)");
    insta::assert_snapshot!(of(Kind::BreakChain), @r"
    total = a + b * 2 → total = a
    total = a + b * 2 → total = a + 2
    if total < 3 and a: → if total and a:
    if total < 3 and a: → if total < 3:
    ");
    insta::assert_snapshot!(of(Kind::RemoveWrapper), @"with open(a) as file:⏎total = 1⏎total = 2 → total = 1⏎total = 2");
    insta::assert_snapshot!(of(Kind::RemoveBase), @r"
    class Box(Base, Other): → class Box(Other):
    class Box(Base, Other): → class Box(Base):
    ");
    insta::assert_snapshot!(of(Kind::NegateCondition), @r"
    if total < 3 and a: → if not (total < 3 and a):
    if not item: → if item:
    ");
    let of = |kind| wrong("box.go", GO, kind).join("\n");
    insta::assert_snapshot!(of(Kind::RemoveElse), @"} else {⏎total -= 1 → ∅");
    insta::assert_snapshot!(of(Kind::ChangeOperator), @r"
    total := a + b*2 → total := a - b*2
    total := a + b*2 → total := a + b/2
    total := a + b*2 → total := a + b%2
    if total < 3 && a > 1 { → if total <= 3 && a > 1 {
    if total < 3 && a > 1 { → if total < 3 && a >= 1 {
    total -= 1 → total += 1
    for i := 0; i < a; i++ { → for i := 0; i <= a; i++ {
    ");
    insta::assert_snapshot!(of(Kind::FlipOperator), @r"
    if total < 3 && a > 1 { → if total > 3 && a > 1 {
    if total < 3 && a > 1 { → if total < 3 || a > 1 {
    if total < 3 && a > 1 { → if total < 3 && a < 1 {
    for i := 0; i < a; i++ { → for i := 0; i > a; i++ {
    ");
    insta::assert_snapshot!(of(Kind::RemoveAssignment), @r"
    total = pair(a, b) → ∅
    total -= 1 → ∅
    ");
    let of = |kind| wrong("box.js", JAVASCRIPT, kind).join("\n");
    insta::assert_snapshot!(of(Kind::RemoveWrapper), @"try {⏎total = 1;⏎total = 2;⏎} catch (error) {⏎total = 3;⏎} → total = 1;⏎total = 2;");
    insta::assert_snapshot!(of(Kind::ShuffleLines), @r"
    if (total < 3 && a) {⏎total = pair(a, b);⏎} else {⏎total -= 1;⏎}⏎for (const item of a) {⏎break; → for (const item of a) {⏎break;⏎}⏎if (total < 3 && a) {⏎total = pair(a, b);⏎} else {⏎total -= 1;
    total = 1;⏎total = 2; → total = 2;⏎total = 1;
    ");
    insta::assert_snapshot!(of(Kind::SwapArguments), @"total = pair(a, b); → total = pair(b, a);");
    let of = |kind| wrong("box.c", C, kind).join("\n");
    insta::assert_snapshot!(of(Kind::SwapOperands), @r"
    int total = a + b * 2; → int total = b * 2 + a;
    if (total < 3 && a) { → if (a && total < 3) {
    if (total < 3 && a) { → if (3 < total && a) {
    while (a < 3) { → while (3 < a) {
    ");
    insta::assert_snapshot!(of(Kind::ChangeConstant), @r"
    int total = a + b * 2; → int total = a + b * 3;
    int total = a + b * 2; → int total = a + b * 1;
    if (total < 3 && a) { → if (total < 4 && a) {
    if (total < 3 && a) { → if (total < 2 && a) {
    total -= 1; → total -= 2;
    total -= 1; → total -= 0;
    while (a < 3) { → while (a < 4) {
    while (a < 3) { → while (a < 2) {
    ");
    insta::assert_snapshot!(of(Kind::RemoveLoop), @"while (a < 3) {⏎break;⏎} → ∅");
}

#[test]
fn tests_within_sources_strings_and_text_outside_of_functions_stay() {
    for mutation in mutations("box.rs", RUST) {
        assert!(
            mutation.line < RUST.lines().position(|line| line.contains("cfg(test)")).unwrap(),
            "{mutation:?}"
        );
    }
    assert!(mutations("box.py", PYTHON).iter().all(|m| m.line != 3), "the docstring");
    assert!(mutations("a.py", "SIZE = 1 + 2\n").is_empty());
}

#[test]
fn almost_all_mutations_parse_and_are_made_and_taken_back_line_by_line() {
    for (file, text) in FILES {
        let all = mutations(file, text);
        for mutation in &all {
            let changed = mutation.apply(text);
            assert_ne!(changed, text);
            assert!(parses(file, &changed), "{file}: {mutation:?}\n{changed}");
            if let Some(after) = &mutation.after {
                let (before, after) = (after.clone(), Some(mutation.before.clone()));
                assert_eq!(Mutation { before, after, ..mutation.clone() }.apply(&changed), text);
            }
        }
    }
}

#[test]
fn a_file_that_does_not_parse_is_left_alone() {
    assert!(mutations("a.py", "def f(:\n    return 1 + 2\n").is_empty());
    assert!(!parses("a.py", "def f(:\n"));
}

#[test]
fn a_line_belongs_to_its_innermost_definition() {
    let of =
        |file, text: &str, line| definition(file, text, line).map(|(name, line)| format!("{name}:{line}"));
    assert_eq!(of("box.py", PYTHON, 5).as_deref(), Some("size:2"));
    assert_eq!(of("box.c", C, 4).as_deref(), Some("size:1"));
    assert_eq!(of("box.go", GO, 1), None);
}

#[test]
fn the_documentation_has_a_row_for_every_rule() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/synthesis.md");
    let page = fs_err::read_to_string(page).unwrap();
    for rule in RULES {
        let names: Vec<&str> = rule.languages.iter().map(|language| language.name()).collect();
        let languages = if names.len() == Language::ALL.len() { "all".to_owned() } else { names.join(", ") };
        let row = format!("| `{}` | {languages} | {} |", rule.kind.name(), rule.what);
        assert!(page.contains(&row), "docs/synthesis.md lacks: {row}");
    }
}
