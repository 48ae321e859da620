//! Files that say both how a project is built and how it is tested: only the second part is the grader's.
//!
//! A file whose part for the tests is unchanged stays as the patch leaves it. One that cannot be read after the
//! patch counts as changed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::patch::File;

/// Sections of `setup.cfg` that test runners read.
const SETUP_CFG: [&str; 6] = ["tool:pytest", "pytest", "nosetests", "aliases", "test", "coverage"];
/// Tables of `pyproject.toml`, below `tool`.
const PYPROJECT: [&str; 4] = ["pytest", "coverage", "tox", "nox"];
/// Keys of `package.json`.
const PACKAGE_JSON: [&str; 9] = ["jest", "mocha", "ava", "vitest", "karma", "nyc", "c8", "tap", "babel"];
/// Keys of `Cargo.toml`: what is built as a test, and what stands in for a dependency.
const CARGO: [&str; 10] = [
    "/test",
    "/patch",
    "/replace",
    "/profile",
    "/lib/harness",
    "/lib/test",
    "/lib/doctest",
    "/package/autotests",
    "/package/build",
    "/package/autolib",
];

/// Whether the part for the tests of the file `name` differs.
pub(super) fn differ(name: &str, before: Option<&File>, after: Option<&File>) -> bool {
    let part: fn(&str) -> Option<Value> = match name {
        "setup.cfg" => setup_cfg,
        "pyproject.toml" => pyproject,
        "package.json" => package_json,
        "composer.json" => composer_json,
        "Cargo.toml" => cargo,
        "go.mod" => go_mod,
        _ => return false,
    };
    let text = |file: Option<&File>| file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    let (before, after) = (text(before), text(after));
    if before == after {
        return false;
    }
    let blank = if name.ends_with(".json") { "{}" } else { "" };
    let read = |text: Option<String>| part(text.as_deref().unwrap_or(blank));
    match (read(before), read(after)) {
        (Some(before), Some(after)) => before != after && !is_more_of_dev(name, &before, &after),
        _ => true,
    }
}

/// Whether a `Cargo.toml` only gains dependencies of tests: those that were there decide what the tests use.
fn is_more_of_dev(name: &str, before: &Value, after: &Value) -> bool {
    const DEV: &str = "dev-dependencies";
    let rest = |value: &Value| {
        let mut rest = value.clone();
        rest.as_object_mut().map(|map| map.remove(DEV));
        rest
    };
    let of = |value: &Value| value[DEV].as_object().cloned().unwrap_or_default();
    let (had, has) = (of(before), of(after));
    name == "Cargo.toml"
        && rest(before) == rest(after)
        && had.iter().all(|(key, value)| has.get(key) == Some(value))
}

/// The sections of an INI file that tests read, line by line.
fn setup_cfg(text: &str) -> Option<Value> {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        let line = line.trim_end();
        match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => section = name.trim(),
            None if line.is_empty() || line.starts_with(['#', ';']) => {}
            None => sections.entry(section).or_default().push(line),
        }
    }
    let is_tests = |name: &str| {
        SETUP_CFG
            .iter()
            .any(|known| name == *known || name.strip_prefix(known).is_some_and(|rest| rest.starts_with(':')))
    };
    sections.retain(|name, _| is_tests(name));
    serde_json::to_value(sections).ok()
}

fn pyproject(text: &str) -> Option<Value> {
    let value = toml(text)?;
    Some(picked(PYPROJECT.iter().map(|name| (*name, value.pointer(&format!("/tool/{name}"))))))
}

fn package_json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let own = picked(PACKAGE_JSON.iter().map(|name| (*name, value.get(name))));
    Some(Value::Array(vec![own, scripts_of_tests(&value)]))
}

fn composer_json(text: &str) -> Option<Value> {
    Some(scripts_of_tests(&serde_json::from_str(text).ok()?))
}

fn scripts_of_tests(value: &Value) -> Value {
    let scripts = value["scripts"].as_object().into_iter().flatten();
    picked(
        scripts.filter(|(name, _)| name.contains("test")).map(|(name, script)| (name.as_str(), Some(script))),
    )
}

fn cargo(text: &str) -> Option<Value> {
    let value = toml(text)?;
    let keys = CARGO.iter().map(|key| (*key, value.pointer(key)));
    Some(picked(keys.chain([("dev-dependencies", value.get("dev-dependencies"))])))
}

/// What a `go.mod` puts in the place of a module, and which Go it asks for.
fn go_mod(text: &str) -> Option<Value> {
    let (mut lines, mut is_inside) = (Vec::new(), false);
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        let first = line.split_whitespace().next().unwrap_or_default();
        let starts = matches!(first, "replace" | "toolchain" | "exclude" | "tool");
        is_inside = (is_inside || (starts && line.ends_with('('))) && line != ")";
        if starts || is_inside {
            lines.push(line);
        }
    }
    serde_json::to_value(lines).ok()
}

/// A TOML document as JSON.
fn toml(text: &str) -> Option<Value> {
    serde_json::to_value(toml::from_str::<toml::Table>(text).ok()?).ok()
}

fn picked<'a>(values: impl IntoIterator<Item = (&'a str, Option<&'a Value>)>) -> Value {
    let given = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone())));
    Value::Object(given.collect::<Map<String, Value>>())
}
