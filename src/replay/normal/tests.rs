//! Every normaliser equates what means nothing and does not equate what differs in substance.

use super::*;
use crate::trajectory::Action;

fn check(action: &str, recorded: &str, replayed: &str) -> Option<Vec<&'static str>> {
    let places = Places { recorded: "/testbed".into(), replayed: "/moved".into() };
    let compared = compare(&Action::bash(action), recorded, replayed, &places);
    (compared.recorded == compared.replayed).then_some(compared.normalisers)
}

/// Name, action, two texts that mean the same, and two that do not.
type Row = (&'static str, &'static str, [&'static str; 2], [&'static str; 2]);

const ROWS: &[Row] = &[
    ("work directory", "x", ["in /testbed/src", "in /moved/src"], ["in /testbed/src", "in /moved/lib"]),
    ("carriage returns", "x", ["a\r\nb", "a\nb"], ["a\r\nb", "ab"]),
    (
        "scaffold prompt",
        "x",
        ["ok\n(Open file: n/a)\n(Current directory: /a)\nbash-$", "ok"],
        ["(Current directory: /a)\nis where I am", "is where I am"],
    ),
    (
        "scaffold prompt",
        "x",
        [
            "OBSERVATION:\nok\n[The command completed with exit code 0.]\n[Current working directory: /a]\n[Python interpreter: /b]\n[Command finished with exit code 0]",
            "ok",
        ],
        ["[Command finished with exit code 0] and more", " and more"],
    ),
    (
        "scaffold prompt",
        "x",
        [
            "ok\n[Current working directory: /a]\n[Command finished with exit code 1]",
            "ok\n[Command finished with exit code 1]",
        ],
        ["[Command finished with exit code 1]", "[Command finished with exit code 0]"],
    ),
    ("trailing space", "x", ["a  \nb\n\n", "a\nb"], ["a\n  b", "a\nb"]),
    ("terminal control", "x", ["\x1b[31mred\x1b[0m -\x08x", "red x"], ["\x1b[31mred\x1b[0m", "green"]),
    (
        "pytest header",
        "x",
        [
            "platform linux -- Python 3.8.1, pytest-7\nrootdir: /a\n2 passed",
            "platform linux -- Python 3.11.2, pytest-8\nrootdir: /b\n2 passed",
        ],
        ["rootdir: /a\n2 passed", "rootdir: /a\n3 passed"],
    ),
    (
        "dates and times",
        "x",
        ["at 2024-01-02 03:04:05", "at 2025-11-12 13:14:15"],
        ["2024-01-02 a", "2024-01-02 b"],
    ),
    (
        "dates and times",
        "x",
        ["2024-01-02T03:04:05Z info", "2025-11-12T13:14:15Z info"],
        ["'2024-01-31' != '2024-02-29'", "'2024-01-31' != '2024-03-02'"],
    ),
    (
        "dates and times",
        "x",
        ["-rw-r--r-- 1 me 2024-01-02 03:04 a", "-rw-r--r-- 1 me 2025-11-12 13:14 a"],
        ["E   '2024-01-31 00:00' != x", "E   '2024-02-29 00:00' != x"],
    ),
    ("dates and times", "x", ["root Jan  2 03:04 a", "root Nov 12  2023 a"], ["Jan 2", "Jan 3"]),
    (
        "durations",
        "x",
        ["1 passed in 0.10s", "1 passed in 12.3s"],
        ["1 passed in 0.10s", "1 failed in 0.10s"],
    ),
    (
        "durations",
        "x",
        ["1.5s", "2.5s"],
        ["AssertionError: '1.5s' != '2s'", "AssertionError: '1.6s' != '2s'"],
    ),
    ("durations", "x", ["real 0m1.200s", "real 1m0.100s"], ["1.5 metres", "1.6 metres"]),
    ("addresses", "x", ["<a at 0x7f0012345678>", "<a at 0x55aa00112233>"], ["0x1f", "0x2f"]),
    (
        "addresses",
        "x",
        ["at address 0x7f0012345678, at 0x7f0012345678", "at address 0x7f0012345678, at 0x55aa00112233"],
        ["assert 0xdeadbeef == f()", "assert 0xdeadbeee == f()"],
    ),
    ("process ids", "x", ["pid 12 started", "pid 34 started"], ["12 tests", "34 tests"]),
    ("process ids", "x", ["[1] 123\ndone", "[1] 456\ndone"], ["[1] 123 tests a", "[1] 123 tests b"]),
    (
        "temporary names",
        "x",
        ["/tmp/tmpab12cd_9/x", "/tmp/tmp00000000/x"],
        ["/tmp/tmpab12cd_9/x", "/tmp/tmpab12cd_9/y"],
    ),
    (
        "temporary names",
        "x",
        ["/tmp/pytest-of-root/pytest-3/a0", "/tmp/pytest-of-me/pytest-0/a0"],
        ["/tmp/report-one", "/tmp/report-two"],
    ),
    (
        "python directory",
        "x",
        ["/opt/conda/envs/testbed/lib/python3.9/json/a.py", "/usr/lib/python3/json/a.py"],
        ["/usr/lib/python3/json/a.py", "/usr/lib/python3/json/b.py"],
    ),
    (
        "python warnings",
        "x",
        [
            "  /usr/lib/python3/site-packages/a.py:12: UserWarning: old",
            "  /usr/lib/python3/site-packages/a.py:99: UserWarning: old",
        ],
        ["src/a.py:12: UserWarning: old", "src/a.py:13: UserWarning: old"],
    ),
    (
        "git blob names",
        "x",
        [
            "diff --git a/a b/a\nindex 123..456 100644\n--- a/a",
            "diff --git a/a b/a\nindex 12345..45678 100644\n--- a/a",
        ],
        ["index 123..456 100644\n--- a/a", "index 123..456 100644\n--- a/b"],
    ),
    ("terminal columns", "ls -F", ["a\tc/\nb", "a\nb\nc/"], ["a b", "a c"]),
    (
        "order of a listing",
        "cd /testbed && find . -name '*.py' | grep -v x",
        ["b\na", "a\nb"],
        ["a\na", "a\nb"],
    ),
    ("order of a listing", "grep -rn f src", ["b:1:f\na:2:f", "a:2:f\nb:1:f"], ["a:2:f", "a:3:f"]),
];

#[test]
fn each_equates_what_means_nothing_and_not_what_differs_in_substance() {
    for (name, action, [a, b], [c, d]) in ROWS {
        let needed = check(action, a, b);
        assert!(needed.as_ref().is_some_and(|needed| needed.contains(name)), "{name}: {needed:?} for {a:?}");
        assert_eq!(check(action, c, d), None, "{name}: {c:?} and {d:?}");
    }
    let tested: Vec<&str> = ROWS.iter().map(|row| row.0).chain(["truncation"]).collect();
    assert!(names().iter().all(|name| tested.contains(name)), "a normaliser has no test");
}

#[test]
fn an_order_that_a_program_chose_is_compared() {
    for action in [
        "python list.py",
        "find . | head -2",
        "sort -r names",
        "find . -exec cat {} ; ",
        "find . -exec cat {} +",
        "find . | xargs cat",
        "find . -print0 | xargs -0 wc -l",
        "cat a.py && find .",
        "cd a | cat b && find .",
        "cat a.py & find .",
        "ls",
        "grep f a b",
    ] {
        assert_eq!(check(action, "b\na", "a\nb").is_some(), action == "ls", "{action}");
    }
}

#[test]
fn cut_outputs_are_equal_as_far_as_both_show_them() {
    let long: String = (0..200).map(|n| format!("line {n}\n")).collect();
    let at = |n: usize| &long[..n];
    let after = |n: usize| &long[long.len() - n..];
    let cut = format!("{}\n[900 bytes omitted]\n{}", at(300), after(200));
    let other = format!("{}<response clipped><NOTE>too long</NOTE>", at(500));
    assert_eq!(check("x", &cut, &long), Some(vec!["trailing space", "truncation"]));
    assert_eq!(check("x", &other, &long), Some(vec!["trailing space", "truncation"]));
    assert_eq!(check("x", &cut, &long.replace("line 3\n", "line three\n")), None);
    assert_eq!(check("x", &cut, &long.replace("line 199\n", "line x\n")), None);
    let short = "a\n[900 bytes omitted]\nb";
    assert_eq!(check("x", short, &format!("a{long}b")), None, "it shows too little");
    assert_eq!(
        check("x", &cut, &format!("{}{}", at(250), after(200))),
        None,
        "it is shorter than what is shown"
    );
}

#[test]
fn equal_texts_need_no_normaliser_and_only_needed_ones_are_named() {
    assert_eq!(check("x", "a 0.12s\r\n", "a 0.12s\r\n"), Some(vec![]));
    assert_eq!(
        check("x", "in /testbed/src 0.10s", "in /moved/src 0.2s"),
        Some(vec!["work directory", "durations"])
    );
    assert_eq!(check("x", "344", "345"), None);
}

#[test]
fn a_directory_moves_only_as_a_whole() {
    let text = "/testbed /testbed/a /testbed2 x/testbed /a/testbed 'cd /testbed' /testbed. /testbed.git /testbed/testbed";
    let there =
        "/moved /moved/a /testbed2 x/testbed /a/testbed 'cd /moved' /moved. /testbed.git /moved/testbed";
    assert_eq!(moved(text, "/testbed", "/moved"), there);
}
