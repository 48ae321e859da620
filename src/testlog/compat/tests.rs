//! The reference parsers on the fixtures' logs, and the shapes on logs of our own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Context, Fault, Map, names, read};
use crate::testlog::fixture;

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
            case.get("expected").is_some_and(|expected| serde_json::to_value(map).unwrap() == *expected)
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
