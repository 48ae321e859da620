//! Problem statements of libraries: what a user would report, never what is wrong.
//!
//! Guarantees that no line of the mutation, right or wrong, is in the statement: where a symptom quotes one, the
//! statement says only which tests fail.

use super::symptom::Symptom;
use super::trial::Caught;
use crate::mutate::{self, Mutation};
use crate::synth::{Hint, Repository};

/// Failing tests that are named.
const NAMED: usize = 4;
/// Letters and digits of a line that could give something away; shorter ones (`else:`, `return x`) are everywhere.
const TELLING: usize = 10;

/// What the student reads.
pub(super) fn statement(library: &Repository, mutation: &Mutation, evidence: &Caught, hint: Hint) -> String {
    let full = written(library, mutation, evidence, hint);
    match gives_away(&full, mutation) {
        true => written(library, mutation, evidence, Hint::Suite),
        false => full,
    }
}

fn written(library: &Repository, mutation: &Mutation, evidence: &Caught, hint: Hint) -> String {
    let mut text = match hint {
        Hint::Suite => format!("Some of what `{}` does is wrong.", library.name),
        Hint::Name | Hint::Example | Hint::Line => {
            format!("{} does not do what it should.", subject(library, mutation))
        }
    };
    if let (Hint::Example | Hint::Line, Some(symptom)) = (hint, shown(evidence)) {
        text += &format!("\n\nThe test `{}` fails:\n\n", symptom.test);
        text += &symptom.said.iter().map(|line| format!("    {line}\n")).collect::<String>();
    }
    text += &format!("\n{}\n", failing(evidence));
    if hint == Hint::Line {
        text += &format!("See line {} of {}.\n", mutation.line, mutation.file);
    }
    let command = &library.test_command;
    text + &format!(
        "Repair the library, not its tests, and break nothing that works. Tests:\n\n    {command}\n"
    )
}

/// The symptom that says most of observed and expected.
pub(super) fn shown(evidence: &Caught) -> Option<&Symptom> {
    let says = |symptom: &&Symptom| !symptom.said.is_empty();
    evidence
        .symptoms
        .iter()
        .filter(says)
        .max_by_key(|symptom| (symptom.said.len() > 1, std::cmp::Reverse(&symptom.test)))
}

fn failing(evidence: &Caught) -> String {
    let failing = &evidence.fail_to_pass;
    let all = failing.len() + evidence.pass_to_pass.len();
    let names: Vec<String> = failing.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
    let more =
        if failing.len() > NAMED { format!(" and {} more", failing.len() - NAMED) } else { String::new() };
    format!("Tests that passed before and fail now ({} of {all}): {}{more}.", failing.len(), names.join(", "))
}

/// The public function around the mistake; where it is an inner one, the file.
fn subject(library: &Repository, mutation: &Mutation) -> String {
    let (file, right) = (&mutation.file, &library.files[&mutation.file]);
    let of_file = || format!("Something in `{file}`");
    let Some((name, line)) = mutate::definition(file, right, mutation.line) else { return of_file() };
    let head = right.lines().nth(line - 1).unwrap_or_default().trim_start();
    match is_public(file, &name, head) {
        true => format!("`{name}` (`{file}`)"),
        false => of_file(),
    }
}

/// Whether others may call it, as each language says so.
fn is_public(file: &str, name: &str, head: &str) -> bool {
    match mutate::Language::of(file) {
        Some(mutate::Language::Rust) => head.starts_with("pub "),
        Some(mutate::Language::C) => !head.starts_with("static "),
        Some(mutate::Language::Go) => name.starts_with(char::is_uppercase),
        _ => !name.starts_with(['_', '#']),
    }
}

/// Whether a telling line of the mutation stands in the statement.
pub(super) fn gives_away(statement: &str, mutation: &Mutation) -> bool {
    let lines = mutation.before.lines().chain(mutation.after.iter().flat_map(|after| after.lines()));
    let is_telling = |line: &&str| line.chars().filter(|c| c.is_alphanumeric()).count() >= TELLING;
    lines.map(str::trim).filter(is_telling).any(|line| statement.contains(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::library::tests::{evidence, library, mutation};

    #[test]
    fn a_statement_shows_observed_and_expected_and_names_the_public_function() {
        let text = statement(&library(), &mutation(), &evidence("assert size(1) == 2"), Hint::Example);
        insta::assert_snapshot!(text, @r"
        `size` (`box.py`) does not do what it should.

        The test `tests/test_box.py::test_size` fails:

            assert size(1) == 2

        Tests that passed before and fail now (1 of 2): `tests/test_box.py::test_size`.
        Repair the library, not its tests, and break nothing that works. Tests:

            pytest -rA
        ");
    }

    #[test]
    fn hints_say_as_much_as_they_are_asked() {
        let of = |hint| statement(&library(), &mutation(), &evidence("assert size(1) == 2"), hint);
        assert!(of(Hint::Line).contains("See line 2 of box.py."));
        assert!(of(Hint::Name).contains("`size`") && !of(Hint::Name).contains("assert"));
        assert!(!of(Hint::Suite).contains("`size`"));
    }

    #[test]
    fn a_symptom_that_quotes_the_mistake_is_not_shown() {
        let quoted = "return total_of_all(a) - 1";
        assert!(gives_away(quoted, &mutation()));
        let text = statement(&library(), &mutation(), &evidence(quoted), Hint::Example);
        assert!(!text.contains(quoted) && text.contains("(1 of 2)"), "{text}");
    }
}
