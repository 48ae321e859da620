//! Our readers against what runners said of themselves, counted as the references were.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::testlog::*;

/// How statuses differ from the truth.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    logs: usize,
    outcomes: usize,
    exact: usize,
    missing: usize,
    wrong: usize,
    phantom: usize,
    false_pass: usize,
}

impl Count {
    /// Counts one log, as `truth_diff.json` does: skipped tests, failed ones and errors that are told as a success are
    /// false passes.
    fn add(&mut self, statuses: &Statuses, truth: &BTreeMap<String, Status>) {
        self.logs += 1;
        self.outcomes += truth.len();
        for (id, truth) in truth {
            match statuses.get(id) {
                Some(status) if status == truth => self.exact += 1,
                None => self.missing += 1,
                Some(status) => {
                    self.wrong += 1;
                    self.false_pass += usize::from(status.is_pass() && !truth.is_pass());
                }
            }
        }
        self.phantom += statuses.keys().filter(|id| !truth.contains_key(*id)).count();
    }

    fn row(&self, name: &str) -> String {
        let Self { logs, outcomes, exact, missing, wrong, phantom, false_pass } = self;
        format!("{name:45} {logs:5} {outcomes:8} {exact:6} {missing:8} {wrong:6} {phantom:8} {false_pass:11}")
    }
}

const HEAD: &str = "parser                                         logs outcomes  exact  missing  wrong  phantom false passes";

struct Log {
    name: String,
    text: String,
    truth: BTreeMap<String, Status>,
}

impl Log {
    /// The outcomes whose id stands anywhere in the log. pytest names most skipped tests by file and line only, and
    /// before version 4 `-rA` names no test that passed: no reader of such a log can know them.
    fn named(&self) -> BTreeMap<String, Status> {
        let text = self.text.lines().map(plain).collect::<Vec<_>>().join("\n");
        self.truth
            .iter()
            .filter(|(id, _)| text.contains(*id))
            .map(|(id, status)| (id.clone(), *status))
            .collect()
    }
}

/// The logs of `pytest -rA` that come with the truth.
fn logs() -> Option<Vec<Log>> {
    let logs: serde_json::Map<String, Value> =
        serde_json::from_str(&fixture("log_parsers/logs.json")?).unwrap();
    let shows_all = |record: &Value| record["command"].as_str().is_some_and(|line| line.contains("-rA"));
    let with_truth = logs.into_iter().filter(|(_, record)| record["truth"].is_object() && shows_all(record));
    let log = |(name, record): (String, Value)| Log {
        name,
        text: record["log"].as_str().unwrap().to_owned(),
        truth: record["truth"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, word)| (id.clone(), tests::truth_of(word.as_str().unwrap())))
            .collect(),
    };
    Some(with_truth.map(log).collect())
}

#[test]
fn our_reader_of_pytest_beats_every_reference_on_logs_with_all_outcomes() {
    let Some(logs) = logs() else { return };
    let rows: Value = serde_json::from_str(&fixture("log_parsers/truth_diff.json").unwrap()).unwrap();
    let mut references: BTreeMap<String, Count> = BTreeMap::new();
    for row in rows["rows"].as_array().unwrap() {
        if !logs.iter().any(|log| row["log"] == log.name) {
            continue;
        }
        let count = references.entry(row["parser"].as_str().unwrap().to_owned()).or_default();
        let number = |key: &str| row[key].as_u64().unwrap() as usize;
        count.logs += 1;
        count.outcomes += number("n");
        count.exact += number("exact");
        count.missing += number("missing");
        count.wrong += number("wrong");
        count.phantom += number("phantom");
        count.false_pass += row["false_pass"].as_array().unwrap().len();
    }
    let (mut ours, mut named) = (Count::default(), Count::default());
    for log in &logs {
        let statuses = pytest::read(&log.text);
        ours.add(&statuses, &log.truth);
        named.add(&statuses, &log.named());
    }
    println!("{HEAD}");
    for (name, count) in &references {
        println!("{}", count.row(name));
    }
    println!("{}", ours.row("pytest"));
    println!("{}", named.row("pytest, of outcomes that the log names"));
    assert_eq!((ours.logs, ours.outcomes, ours.false_pass, ours.phantom), (60, 1939, 0, 0));
    for (name, theirs) in &references {
        assert!(ours.exact > theirs.exact && ours.missing < theirs.missing, "{name}");
        assert!(ours.false_pass <= theirs.false_pass && ours.phantom <= theirs.phantom, "{name}");
    }
    assert!(100 * named.exact >= 97 * named.outcomes, "{} of {}", named.exact, named.outcomes);
}
