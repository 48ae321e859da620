//! Reports of real runs (`samples/make.sh` made them), and what of a report is not whole.

use Status::{Error, Failed, Passed, Skipped, XFailed, XPassed};

use super::*;
use crate::testlog::{Status, Statuses, fixture};

const PYTEST: [(&str, Status); 21] = [
    ("test_kinds.py::TestClass::TestInner::test_deep", Passed),
    ("test_kinds.py::TestUnit::test_fails_as_expected", XFailed),
    ("test_kinds.py::TestUnit::test_is_skipped", Skipped),
    ("test_kinds.py::TestUnit::test_passes", Passed),
    ("test_kinds.py::test_fails", Failed),
    ("test_kinds.py::test_fails_and_tear_down_breaks", Failed),
    ("test_kinds.py::test_fails_as_expected", XFailed),
    ("test_kinds.py::test_is_skipped", Skipped),
    ("test_kinds.py::test_parameters[[]", Passed),
    ("test_kinds.py::test_parameters[]", Passed),
    ("test_kinds.py::test_parameters[a - b]", Failed),
    ("test_kinds.py::test_parameters[a b]", Passed),
    ("test_kinds.py::test_parameters[tab\\there]", Passed),
    ("test_kinds.py::test_parameters[x::y]", Passed),
    ("test_kinds.py::test_passes", Passed),
    ("test_kinds.py::test_passes_strictly_unexpectedly", Failed),
    ("test_kinds.py::test_passes_unexpectedly", XPassed),
    ("test_kinds.py::test_prints_a_report", Passed),
    ("test_kinds.py::test_set_up_breaks", Error),
    ("test_kinds.py::test_skips_itself", Skipped),
    ("test_kinds.py::test_tear_down_breaks", Error),
];

const NINE: &str = include_str!("samples/pytest9.jsonl");

fn statuses(pairs: &[(&str, Status)]) -> Statuses {
    pairs.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

/// The outcomes that pytest's own runs of the samples have, with the file that cannot be read.
fn of_pytest() -> Statuses {
    let mut all = statuses(&PYTEST);
    all.insert("test_broken.py".to_owned(), Error);
    all
}

#[test]
fn events_of_pytest_are_exact_in_every_version_and_in_parallel() {
    let samples = [NINE, include_str!("samples/pytest9-xdist.jsonl"), include_str!("samples/pytest4.jsonl")];
    for sample in samples {
        let results = read(ReportFormat::PytestEvents, sample.as_bytes());
        assert_eq!(results.fault, None);
        assert_eq!(*results.statuses(), of_pytest());
    }
}

#[test]
fn a_session_that_ends_early_is_a_fault_and_keeps_what_it_told() {
    let lines: Vec<&str> = NINE.lines().collect();
    for n_lines in 1..lines.len() {
        let cut = lines[..n_lines].join("\n");
        let results = read(ReportFormat::PytestEvents, cut.as_bytes());
        assert_eq!(results.fault, Some(Fault::BreaksOff), "{n_lines} lines");
        assert!(results.statuses().iter().all(|(id, status)| of_pytest()[id] == *status));
    }
}

#[test]
fn tests_that_were_collected_and_did_not_end_are_a_fault() {
    let without = |word: &str| -> String {
        let is_left_out = |line: &&str| line.contains(word) && line.contains("test_kinds.py::test_fails\"");
        NINE.lines().filter(|line| !is_left_out(line)).map(|line| format!("{line}\n")).collect()
    };
    for word in ["finish", "start", "phase"] {
        let results = read(ReportFormat::PytestEvents, without(word).as_bytes());
        assert_eq!(results.fault, Some(Fault::Unended { announced: 21, ended: 20 }), "{word}");
        assert_eq!(results.status("test_kinds.py::test_fails"), None, "{word}");
    }
}

#[test]
fn a_forged_event_cannot_improve_a_status() {
    let forged: String = NINE
        .lines()
        .filter(|line| line.contains("test_passes\""))
        .map(|line| line.replace("test_passes\"", "test_fails\"") + "\n")
        .collect();
    let end = "{\"event\": \"end\"}";
    for report in [
        NINE.replace(end, &format!("{forged}{end}")),
        NINE.replacen("{\"event\": \"start", &format!("{forged}{{\"event\": \"start"), 1),
    ] {
        let results = read(ReportFormat::PytestEvents, report.as_bytes());
        assert_eq!(results.status("test_kinds.py::test_fails"), Some(Failed));
    }
}

#[test]
fn a_try_that_was_run_again_does_not_count() {
    let phase = |outcome: &str| {
        format!(
            "{{\"event\":\"phase\",\"id\":\"a\",\"when\":\"call\",\"outcome\":\"{outcome}\",\"xfail\":false}}\n"
        )
    };
    let report = format!(
        "{{\"event\":\"begin\"}}\n{{\"event\":\"start\",\"id\":\"a\"}}\n{}{}{{\"event\":\"finish\",\"id\":\"a\"}}\n{{\"event\":\"end\"}}\n",
        phase("rerun"),
        phase("passed")
    );
    let results = read(ReportFormat::PytestEvents, report.as_bytes());
    assert_eq!((results.status("a"), results.fault), (Some(Passed), None));
}

#[test]
fn junit_of_pytest_is_read_by_pytests_ids() {
    for sample in [include_str!("samples/pytest9.xml"), include_str!("samples/pytest4.xml")] {
        let results = read(ReportFormat::Junit, sample.as_bytes());
        assert_eq!(results.fault, None);
        for (id, expected) in of_pytest() {
            // The format has no word for an unexpected pass, and spells files as modules.
            let expected = if expected == XPassed { Passed } else { expected };
            let id = id.strip_suffix(".py").unwrap_or(&id);
            assert_eq!(results.status(id), Some(expected), "{id}");
        }
        assert_eq!(results.statuses().len(), of_pytest().len());
        let cut = &sample[..sample.len() * 2 / 3];
        assert!(read(ReportFormat::Junit, cut.as_bytes()).fault.is_some(), "a cut document");
        let one_less = sample.replacen("<testcase", "<removed", 1).replacen("</testcase", "</removed", 1);
        let said = read(ReportFormat::Junit, one_less.as_bytes()).fault;
        assert_eq!(said, Some(Fault::Unended { announced: 23, ended: 22 }));
    }
}

fn log(name: &str) -> Option<String> {
    let logs: serde_json::Value = serde_json::from_str(&fixture("log_parsers/logs.json")?).unwrap();
    Some(logs[name]["log"].as_str().unwrap().to_owned())
}

#[test]
fn junit_of_surefire_is_read_from_documents_that_follow_one_another() {
    let Some(report) = log("maven-surefire-xml") else { return };
    let results = read(ReportFormat::Junit, report.as_bytes());
    assert_eq!(results.fault, None);
    let expected = [("ex.CalcTest::testBad", Failed), ("ex.OtherTest::prints", Failed)];
    assert_eq!(*results.statuses(), statuses(&expected));
    let passing = report.replace("<failure", "<system-out").replace("</failure", "</system-out");
    let expected = expected.map(|(id, _)| (id, Passed));
    assert_eq!(*read(ReportFormat::Junit, passing.as_bytes()).statuses(), statuses(&expected));
}

#[test]
fn events_of_go_name_the_package_and_panics_are_errors() {
    let Some(report) = log("go-v-p1-json") else { return };
    let results = read(ReportFormat::GoJson, report.as_bytes());
    assert_eq!(results.fault, None);
    let expected = [("ex/pan::TestBefore", Passed), ("ex/pan::TestPanic", Failed)];
    assert_eq!(*results.statuses(), statuses(&expected));
    assert_eq!(results.status("TestBefore"), Some(Passed), "an id without its package");
    let cut: Vec<&str> = report.lines().take(3).collect();
    assert_eq!(read(ReportFormat::GoJson, cut.join("\n").as_bytes()).fault, Some(Fault::BreaksOff));
}

#[test]
fn events_of_go_agree_with_gos_own_words() {
    let Some(report) = log("go-json") else { return };
    let results = read(ReportFormat::GoJson, report.as_bytes());
    assert_eq!(results.fault, None);
    let expected = [
        ("ex/okpkg::TestTwo/x", Some(Passed)),
        ("ex::TestSub/bad_one", Some(Failed)),
        ("ex::TestSub/skip_me", Some(Skipped)),
        // Go before 1.20 loses a result that stands behind what the test printed.
        ("ex::TestPrintNoNewline", Some(Error)),
        ("ex::TestForged", None),
    ];
    for (id, status) in expected {
        assert_eq!(results.status(id), status, "{id}");
    }
}

#[test]
fn libtest_counts_what_its_suites_announce() {
    const SAMPLE: &str = include_str!("samples/libtest.jsonl");
    let results = read(ReportFormat::LibtestJson, SAMPLE.as_bytes());
    assert_eq!(results.fault, None);
    let expected = [
        ("passes", Passed),
        ("src/lib.rs - two (line 3)", Passed),
        ("tests::does_not_panic", Failed),
        ("tests::fails", Failed),
        ("tests::is_ignored", Skipped),
        ("tests::panics", Passed),
        ("tests::passes", Passed),
    ];
    assert_eq!(*results.statuses(), statuses(&expected));
    let gone: String = SAMPLE
        .lines()
        .filter(|line| !line.contains("tests::panics\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let said = read(ReportFormat::LibtestJson, gone.as_bytes()).fault;
    assert_eq!(said, Some(Fault::Unended { announced: 7, ended: 6 }));
    let cut: Vec<&str> = SAMPLE.lines().take(5).collect();
    assert_eq!(read(ReportFormat::LibtestJson, cut.join("\n").as_bytes()).fault, Some(Fault::BreaksOff));
}

#[test]
fn nextest_names_the_program_and_its_suites_may_overlap() {
    let suite =
        |event: &str, n: usize| format!("{{\"type\":\"suite\",\"event\":\"{event}\",\"test_count\":{n}}}\n");
    let test = |event: &str, name: &str| {
        format!("{{\"type\":\"test\",\"event\":\"{event}\",\"name\":\"{name}\"}}\n")
    };
    let report = [
        suite("started", 1),
        suite("started", 1),
        test("started", "fx::it$adds"),
        test("started", "fx$adds"),
        test("failed", "fx$adds"),
        suite("failed", 1),
        test("ok", "fx::it$adds"),
        test("ok", "fx$never_began"),
        suite("ok", 1),
    ]
    .concat();
    let results = read(ReportFormat::LibtestJson, report.as_bytes());
    assert_eq!(*results.statuses(), statuses(&[("fx::adds", Failed), ("fx::it::adds", Passed)]));
    assert_eq!(results.fault, None);
}

#[test]
fn jest_tells_of_files_that_did_not_run() {
    let test = |suites: &[&str], title: &str, status: &str| serde_json::json!({"ancestorTitles": suites, "title": title, "status": status});
    let run = serde_json::json!({
        "numTotalTests": 3,
        "testResults": [
            {"name": "/testbed/a.test.js", "status": "failed", "assertionResults": [
                test(&["outer", "inner"], "adds", "passed"),
                test(&["outer"], "adds", "failed"),
                test(&[], "waits", "todo"),
            ]},
            {"name": "/testbed/broken.test.js", "status": "failed", "assertionResults": []},
        ],
    });
    let results = read(ReportFormat::JestJson, run.to_string().as_bytes());
    let expected = [
        ("/testbed/broken.test.js", Error),
        ("outer > adds", Failed),
        ("outer > inner > adds", Passed),
        ("waits", Skipped),
    ];
    assert_eq!((results.fault.clone(), results.statuses()), (None, &statuses(&expected)));
    let more = run.to_string().replace("\"numTotalTests\":3", "\"numTotalTests\":4");
    let said = read(ReportFormat::JestJson, more.as_bytes()).fault;
    assert_eq!(said, Some(Fault::Unended { announced: 4, ended: 3 }));
    let cut = &run.to_string()[..100];
    assert_eq!(read(ReportFormat::JestJson, cut.as_bytes()).fault, Some(Fault::BreaksOff));
}

#[test]
fn no_bytes_make_a_reader_panic_or_pass_a_test() {
    let formats = [
        ReportFormat::Junit,
        ReportFormat::PytestEvents,
        ReportFormat::GoJson,
        ReportFormat::LibtestJson,
        ReportFormat::JestJson,
    ];
    for bytes in [&b""[..], b"\0", b"{", b"{}\n", b"<", b"<a/>", b"\xff\xfe", b"[1]", b"{\"event\": 1}\n"] {
        for format in formats {
            let results = read(format, bytes);
            assert!(results.statuses().is_empty(), "{format:?} {bytes:?}");
        }
    }
}
