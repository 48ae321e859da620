//! The parsers of `swesmith` 0.0.9, named by the profile that has each, with the names of its shared functions.

mod counted;

use super::lines::{Rule, WORDS, is, stripped as tidied, word};
use super::python::{before, before_last, split_lines, strip, words};
use super::swebench::{bare, stripped};
use super::{ERROR, FAILED, Fault, Map, PASSED, Package, Row, SKIPPED, Shape, row};
use super::{javascript, markup, runners};

pub(super) static PACKAGE: Package = Package { name: "swesmith", rows: &ROWS };

static ROWS: [Row; 34] = [
    row("c.Jqb9e19de76.log_parser", &[], stripped(&runners::JQ)),
    row("c.Valkeyfc7c04e4.log_parser", &[], stripped(&runners::REDIS)),
    row("cpp.AirSim13448700.log_parser", &[], Shape::Own(counted::airsim)),
    row("cpp.Aria2b4fd7cb1.log_parser", &[], Shape::Own(counted::cppunit)),
    row("cpp.FTXUIf73d92d3.log_parser", &["parse_log_gtest"], Shape::Own(counted::gtest)),
    row("cpp.LibreSprite85ced3b6.log_parser", &["parse_log_ctest"], Shape::Own(counted::ctest)),
    row("cpp.QuantLiba05b6ab3.log_parser", &["parse_log_boost_test"], Shape::Own(counted::boost)),
    row("cpp.Waybard527ccd4.log_parser", &["parse_log_catch2"], Shape::Own(counted::catch)),
    row("csharp.VirtualClient0bb16489.log_parser", &[], Shape::Raising(csharp)),
    row("golang.GoProfile.log_parser", &[], stripped(&GO)),
    row("java.Gsondd2fe59c.log_parser", &["parse_log_maven_surefire"], stripped(&SUREFIRE)),
    row(
        "java.Mindustry2ad41a90.log_parser",
        &["parse_log_gradle_junit_xml"],
        Shape::Own(markup::suite_reports),
    ),
    row("javascript.Babel2ea3fc8f.log_parser", &["parse_log_jest"], stripped(&javascript::JEST_AS_IS)),
    row("javascript.Impressjsc9f6c674.log_parser", &["parse_log_jasmine"], Shape::Own(counted::jasmine)),
    row("javascript.Jqueryc28c26ae.log_parser", &[], Shape::Raising(jquery)),
    row("javascript.Markeddbf29d91.log_parser", &[], bare(&MARKED)),
    row("javascript.Mongoose5f57a5bb.log_parser", &["parse_log_mocha"], stripped(&MOCHA)),
    row("javascript.Piskel51373322.log_parser", &["parse_log_karma"], Shape::Own(counted::karma)),
    row("javascript.ReactPDFee5c96b8.log_parser", &[], bare(&REACT_PDF)),
    row("javascript.Svelte6c9717a9.log_parser", &["parse_log_vitest"], stripped(&VITEST)),
    row("php.Dbal.log_parser", &[], bare(&DBAL)),
    row("python.AutogradAc044f0d.log_parser", &[], bare(&AUTOGRAD)),
    row("python.MypyE93f06ce.log_parser", &[], Shape::Own(mypy)),
    row("python.Paramiko23f92003.log_parser", &[], bare(&PARAMIKO)),
    row("python.PythonProfile.log_parser", &[], bare(&PYTHON)),
    row("python.PythonSlugify872b3750.log_parser", &[], bare(&SLUGIFY)),
    row("python.TornadoD5ac65c1.log_parser", &[], Shape::Own(tornado)),
    row("rust.RustProfile.log_parser", &[], Shape::Own(rust)),
    row("typescript.Classvalidator977d2c70.log_parser", &[], stripped(&javascript::JEST_AS_IS)),
    row("typescript.CrossEnv9951937a.log_parser", &[], stripped(&VITEST)),
    row("typescript.Drizzleorma086f59f.log_parser", &[], Shape::Own(counted::turbo)),
    row("typescript.Rxjsc15b37f8.log_parser", &[], stripped(&MOCHA)),
    row("typescript.Stimulus422eb81f.log_parser", &[], Shape::Own(counted::jasmine)),
    row("typescript.TypeScript0a74ec4e.log_parser", &[], Shape::Own(counted::mocha)),
];

/// The statuses of pytest, as they are.
const PYTEST: &[(&str, &str)] =
    &[("FAILED", FAILED), ("PASSED", PASSED), ("SKIPPED", SKIPPED), ("ERROR", ERROR), ("XFAIL", "XFAIL")];

static PYTHON: [Rule; 1] = [word(r"^(\S+)(\s+)(FAILED|PASSED|SKIPPED|ERROR|XFAIL)", [1, 3], PYTEST)];
static AUTOGRAD: [Rule; 1] = [word(r"^\[gw\d\]\s(FAILED|PASSED|SKIPPED|ERROR|XFAIL)\s(\S+)", [2, 1], PYTEST)];
static PARAMIKO: [Rule; 1] = [word(r"^(FAILED|PASSED|SKIPPED|ERROR|XFAIL)\s(\S+)", [2, 1], PYTEST)];
static SLUGIFY: [Rule; 1] = [word(r"^([a-zA-Z0-9_\-,\.\s\(\)']+)\s\.{3}\s(ok|FAIL|ERROR)$", [1, 2], WORDS)];
static GO: [Rule; 4] = [
    is(PASSED, r"^--- PASS: (\S+)", 1),
    is(FAILED, r"^--- FAIL: (\S+)", 1),
    is(FAILED, r"^FAIL:?\s?(.+?)\s", 1),
    is(SKIPPED, r"^--- SKIP: (\S+)", 1),
];
static SUREFIRE: [Rule; 3] = [
    is(FAILED, r"^\[ERROR\]\s+(.*?)\s+--\s+Time elapsed:\s+([\d.]+)\s.*<<< FAILURE!$", 1),
    is(PASSED, r"^\[(?:INFO|ERROR)\]\s+(.*?)\s+--\s+Time elapsed:\s+([\d.]+)\s", 1),
    is(PASSED, r"^([a-zA-Z0-9_]+\([a-zA-Z0-9_.]+\))\s+Time elapsed:\s+([\d.]+)\s+sec", 1).tidy(class_first),
];
static MOCHA: [Rule; 2] = [
    word(
        r"^\s*([✓✔]|✖|-)\s(.+?)(?:\s\((\d+\s*m?s)\))?$",
        [2, 1],
        &[("✓", PASSED), ("✔", PASSED), ("✖", FAILED), ("-", SKIPPED)],
    ),
    is(FAILED, r"^\s*\d+\)\s+(.+?)(?:\s\((\d+\s*m?s)\))?$", 1),
];
static VITEST: [Rule; 4] = [
    is(PASSED, r"^✓\s+(.+?)(?:\s+\([\.\d]+ms\))?$", 1).tidy(before_bracket),
    is(FAILED, r"^❯\s+(.+?)(?:\s+\(.*?\))?$", 1).tidy(before_bracket),
    is(FAILED, r"^✗\s+(.+?)(?:\s+\([\.\d]+ms\))?$", 1).tidy(before_bracket),
    is(SKIPPED, r"^○\s+(.+?)(?:\s+\([\.\d]+ms\))?$", 1).tidy(before_bracket),
];
static REACT_PDF: [Rule; 4] = [
    is(PASSED, r"^\s*✓\s(.*)\s\d+ms", 1).tidy(tidied),
    is(FAILED, r"^\s*✗\s(.*)\s\d+ms", 1).tidy(tidied),
    is(FAILED, r"^\s*✖\s(.*)", 1).tidy(tidied),
    is(PASSED, r"^\s*✓\s(.*)", 1).tidy(tidied),
];
static MARKED: [Rule; 2] = [
    is(FAILED, r"^\s*✖\s(.*?)\s\([\.\d]+ms\)", 1).tidy(tidied),
    is(PASSED, r"^\s*✔\s(.*?)\s\([\.\d]+ms\)", 1).tidy(tidied),
];
static DBAL: [Rule; 1] = [word(r"^\s*([✔✘↩])\s*(.+)$", [2, 1], WORDS).tidy(tidied)];

fn before_bracket(name: &str) -> String {
    strip(before(name, "(")).to_owned()
}

/// `method(class)` becomes `class.method`.
fn class_first(name: &str) -> String {
    let (method, class) = name.split_once('(').unwrap_or((name, ""));
    format!("{}.{method}", class.trim_end_matches(')'))
}

fn jquery(_: &str, _: &mut Map) -> Result<(), Fault> {
    Err(Fault::raises("NameError", "name 'parse_log_qunit' is not defined"))
}

fn csharp(log: &str, map: &mut Map) -> Result<(), Fault> {
    for line in log.split('\n').map(strip) {
        let starts = [("Passed", PASSED), ("Failed", FAILED), ("Skipped", SKIPPED)];
        if let Some((_, status)) = starts.into_iter().find(|(start, _)| line.starts_with(start)) {
            let id = words(line).nth(1).ok_or_else(Fault::index)?;
            map.insert(id.to_owned(), status.into());
        }
    }
    Ok(())
}

fn rust(log: &str, map: &mut Map) {
    for line in split_lines(log) {
        let line = line.strip_prefix("test ").unwrap_or(line);
        let marks = [("... ok", PASSED), ("... FAILED", FAILED)];
        if let Some((_, status)) = marks.into_iter().find(|(mark, _)| line.contains(mark)) {
            map.insert(strip(before_last(line, " ... ")).to_owned(), status.into());
        }
    }
}

fn tornado(log: &str, map: &mut Map) {
    for line in log.split('\n') {
        if line.ends_with("... ok") {
            map.insert(before(line, " ... ").to_owned(), PASSED.into());
        } else if line.contains(" ... skipped ") {
            map.insert(before(line, " ... ").to_owned(), SKIPPED.into());
        } else if line.starts_with("ERROR:") || line.starts_with("FAIL:") {
            let name = words(line).skip(1).take(2).collect::<Vec<_>>().join(" ");
            map.insert(name, FAILED.into());
        }
    }
}

fn mypy(log: &str, map: &mut Map) {
    for line in log.split('\n') {
        let status = [PASSED, FAILED].into_iter().find(|status| line.contains(status));
        if let (Some(status), Some(id)) = (status, words(line).next_back()) {
            map.insert(id.to_owned(), status.into());
        }
    }
}
