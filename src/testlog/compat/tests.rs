//! The reference parsers on the fixtures' logs, and the shapes on logs of our own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Context, Fault, Map, names, read};
use crate::testlog::{Status, fixture};

/// Reads every case of a package's fixtures and says how many are equal.
fn equal_on_all_cases(package: &str) {
    let Some(logs) = fixture("log_parsers/logs.json") else { return };
    let logs: Value = serde_json::from_str(&logs).unwrap();
    let (mut equal, mut total, mut different) = (0, 0, Vec::new());
    for (parser, cases) in cases_of(package) {
        let (name, variant) = parser.split_once('@').unwrap_or((&parser, ""));
        let instance = format!("repository-{variant}");
        let context = Context { instance: &instance, version: variant };
        let names = [name.to_owned()].into_iter().chain(strings(&cases["aliases"]));
        for name in names {
            for case in cases["cases"].as_array().unwrap() {
                let log = logs[case["log"].as_str().unwrap()]["log"].as_str().unwrap();
                let said = read(&format!("{package}.{name}"), &context, log);
                total += 1;
                match is_expected(&said, case) {
                    true => equal += 1,
                    false => different.push(format!("{parser} on {}: {}", case["log"], short(&said, case))),
                }
            }
        }
    }
    println!("{package}: {equal} of {total}");
    let shown = different.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{package}: {equal} of {total}\n{shown}");
}

fn cases_of(package: &str) -> Vec<(String, Value)> {
    let root = std::env::var("APPRENTICE_FIXTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures").to_owned());
    let mut found = Vec::new();
    for entry in fs_err::read_dir(format!("{root}/log_parsers")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let stem = file.strip_suffix(".json").unwrap();
        if let Some(parser) = stem.strip_prefix(&format!("{package}__")) {
            let text = fixture(&format!("log_parsers/{file}")).unwrap();
            found.push((parser.to_owned(), serde_json::from_str(&text).unwrap()));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn is_expected(said: &Result<Map, Fault>, case: &Value) -> bool {
    match said {
        Ok(map) => {
            let said: BTreeMap<&String, &str> =
                map.iter().map(|(id, status)| (id, status.as_ref())).collect();
            case.get("expected").is_some_and(|expected| serde_json::to_value(said).unwrap() == *expected)
        }
        // What a reader of XML or JSON says about a fault is in its own words.
        Err(Fault::Raises { kind: kind @ ("ParseError" | "JSONDecodeError"), .. }) => {
            case["raises"].as_str().is_some_and(|raised| raised.starts_with(kind))
        }
        Err(Fault::Raises { kind, message }) => case["raises"] == format!("{kind}: {message}"),
        Err(Fault::Unknown { .. }) => false,
    }
}

/// The ids that differ.
fn short(said: &Result<Map, Fault>, case: &Value) -> String {
    let (Ok(map), Some(expected)) = (said, case["expected"].as_object()) else {
        return format!("{:.300}, expected {:.300}", format!("{said:?}"), case.to_string());
    };
    let ours: BTreeMap<&str, &str> = map.iter().map(|(id, status)| (id.as_str(), status.as_ref())).collect();
    let theirs: BTreeMap<&str, &str> =
        expected.iter().map(|(id, status)| (id.as_str(), status.as_str().unwrap())).collect();
    let more: Vec<_> = ours.iter().filter(|(id, status)| theirs.get(*id) != Some(status)).take(3).collect();
    let less: Vec<_> = theirs.iter().filter(|(id, status)| ours.get(*id) != Some(status)).take(3).collect();
    format!("ours alone {more:?}, theirs alone {less:?}")
}

#[test]
fn the_parsers_of_swebench_give_the_reference_maps() {
    equal_on_all_cases("swebench");
}

#[test]
fn the_parsers_of_rebench_give_the_reference_maps() {
    equal_on_all_cases("rebenchv2");
}

#[test]
fn the_parsers_of_swegym_give_the_reference_maps() {
    equal_on_all_cases("swegym");
}

#[test]
fn the_parsers_of_r2egym_give_the_reference_maps() {
    equal_on_all_cases("r2egym");
}

#[test]
fn the_parsers_of_swesmith_give_the_reference_maps() {
    equal_on_all_cases("swesmith");
}

#[test]
fn an_unknown_parser_is_answered_with_the_nearest_name() {
    let said = read("swebench.parse_log_pytst", &Context::default(), "");
    let nearest = "swebench.parse_log_pytest".to_owned();
    assert_eq!(said, Err(Fault::Unknown { name: "swebench.parse_log_pytst".to_owned(), nearest }));
}

#[test]
fn every_name_reads_an_empty_log_or_raises() {
    for name in names() {
        let said = read(&name, &Context::default(), "");
        assert!(!matches!(said, Err(Fault::Unknown { .. })), "{name}");
    }
}

fn statuses(name: &str, log: &str) -> Vec<(String, String)> {
    let map = read(name, &Context::default(), log).unwrap();
    map.into_iter().map(|(id, status)| (id, status.into_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn a_status_of_pytest_is_the_first_word_as_it_stands() {
    let log = "PASSEDtwice m.py::a\nFAILED m.py::b - why\nSKIPPED [2] m.py:3: no\nXFAIL\n";
    let expected = pairs(&[("m.py::a", "PASSEDtwice"), ("m.py::b", "FAILED")]);
    assert_eq!(statuses("swebench.parse_log_pytest", log), expected);
}

#[test]
fn a_later_status_replaces_an_earlier_one_unless_the_rule_keeps_it() {
    let log = "✓ opens\n✕ opens\n";
    assert_eq!(statuses("swebench.parse_log_jest", log), pairs(&[("opens", "FAILED")]));
    let log = "Test opens failed\nTest opens passed\n";
    assert_eq!(statuses("rebenchv2.parse_log_cpp_v2", log), pairs(&[("opens", "FAILED")]));
}

#[test]
fn lines_end_where_python_ends_them() {
    let log = "* checking a ... OK\u{2028}* checking b ... ERROR\x1c* checking c ... NOTE";
    let expected = pairs(&[("a", "PASSED"), ("b", "ERROR"), ("c", "PASSED")]);
    assert_eq!(statuses("rebenchv2.parse_log_r_v2", log), expected);
}

#[test]
fn separators_are_white_space_as_in_python() {
    let log = "PASSED\x1fm.py::a\u{a0}rest\n";
    assert_eq!(statuses("swebench.parse_log_pytest", log), pairs(&[("m.py::a", "PASSED")]));
}

#[test]
fn a_suite_ends_where_the_indentation_does() {
    let log = "$ ./node_modules/.bin/jest x\n  outer\n    inner\n      ✓ one (3ms)\n    other\n      ✕ two\n";
    let expected = pairs(&[("outer - inner - one", "PASSED"), ("outer - other - two", "FAILED")]);
    assert_eq!(statuses("swebench.parse_log_calypso", log), expected);
}

#[test]
fn a_name_of_go_ends_at_the_last_bracket_that_holds_something() {
    let log = "    --- PASS: TestA/b_(c) (0.01s)\n--- SKIP: TestD (e) ()\n--- FAIL:  ()\n--- PASS: TestF\n";
    let expected = pairs(&[("TestA/b_(c)", "PASSED"), ("TestD", "SKIPPED")]);
    assert_eq!(statuses("swebench.parse_log_gotest", log), expected);
}

#[test]
fn a_report_that_cannot_be_read_is_the_fault_of_the_reference() {
    let said = read("swebench.parse_log_doctest", &Context::default(), "<doctest><TestCase></doctest>");
    assert!(matches!(said, Err(Fault::Raises { kind: "ParseError", .. })), "{said:?}");
    let log = "<?xml version=\"1.0\"?><testsuites><testcase name=\"a\"></testsuites>";
    assert_eq!(statuses("rebenchv2.parse_combined_test_reports", log), []);
}

#[test]
fn a_parser_that_depends_on_the_task_refuses_one_it_does_not_know() {
    let context = Context { instance: "jekyll__jekyll-1", version: "" };
    let said = read("swebench.parse_log_jekyll", &context, "");
    assert_eq!(
        said.unwrap_err().to_string(),
        "the reference parser raises ValueError: Unknown instance id: jekyll__jekyll-1"
    );
}

#[test]
fn a_log_cannot_claim_any_number_of_tests() {
    let said = statuses("swesmith.parse_log_jasmine", "99999999999999999999 specs, 0 failures\n");
    assert_eq!(said.len(), 100_000);
}

#[test]
fn deep_markup_does_not_overflow_the_stack() {
    let log = format!("<doctest>{}</doctest>", "<a>".repeat(200_000));
    let said = read("swebench.parse_log_doctest", &Context::default(), &log);
    assert!(matches!(said, Err(Fault::Raises { .. })));
}

#[test]
fn statuses_that_are_no_status_are_left_out() {
    let map =
        read("swebench.parse_log_pytest", &Context::default(), "PASSEDx a\nXFAIL b\nERROR c\n").unwrap();
    let said = super::statuses(&map);
    assert_eq!(said, [("b".to_owned(), Status::XFailed), ("c".to_owned(), Status::Error)].into());
}
