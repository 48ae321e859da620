//! A library of one file, for the tests of this module.

use std::collections::BTreeMap;

use super::symptom::Symptom;
use super::trial::Caught;
use crate::mutate::{self, Kind, Mutation};
use crate::synth::Repository;
use crate::task::Parser;

const BOX: &str = "\
def size(a):
    return total_of_all(a) + 1


def area(a, b):
    if a > b:
        total = a - b
        total += 'it''s' and 2
    else:
        total = b * 2 + a

    for item in a:
        total += item
    return total
";
const TEST: &str = "from box import size\n\n\ndef test_size():\n    assert size(1) == 2\n";

pub(super) fn library() -> Repository {
    let files = [("box.py", BOX), ("tests/test_box.py", TEST)];
    Repository {
        name: "box".to_owned(),
        files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into(),
        root: None,
        setup: Vec::new(),
        test_command: "pytest -rA".to_owned(),
        expert_command: "pytest -rA".to_owned(),
        parser: Parser::Pytest,
        restore: vec!["tests".to_owned()],
    }
}

/// `+` for `-` in the second line.
pub(super) fn mutation() -> Mutation {
    let sources = BTreeMap::from([("box.py".to_owned(), BOX.to_owned())]);
    let mut all = mutate::enumerate(&sources).into_iter();
    let mutation = all.find(|mutation| mutation.line == 2 && mutation.kind == Kind::ChangeOperator).unwrap();
    assert_eq!(mutation.after.as_deref(), Some("    return total_of_all(a) - 1"));
    mutation
}

/// What the tests said of it.
pub(super) fn evidence(said: &str) -> Caught {
    let test = "tests/test_box.py::test_size".to_owned();
    Caught {
        fail_to_pass: vec![test.clone()],
        pass_to_pass: vec!["tests/test_box.py::test_area".to_owned()],
        symptoms: vec![Symptom { test, said: vec![said.to_owned()] }],
    }
}
