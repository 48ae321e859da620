//! What belongs to the grader, case by case.

use super::*;

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: python\nrepo: {path: repo}\n\
                    tests: {command: sh ./check.sh, parser: pytest, restore: [data], fail_to_pass: ['lib/test/a.py::x']}\n";

fn files(files: &[(&str, &str)]) -> BTreeMap<String, File> {
    let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: Mode::File };
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

/// A patch that makes or replaces `path`.
fn touching(path: &str) -> Patch {
    let text = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n");
    Patch::parse(&text).unwrap()
}

fn flag_of(path: &str, before: Option<&str>, after: &str, command: &str) -> Option<(What, Done)> {
    let mut task = Task::parse(YAML, "t").unwrap();
    let mut tests = task.tests.take().unwrap();
    task.gold = Some(touching("lib/product.py").to_string());
    command.clone_into(&mut tests.command);
    let before = before.map(|text| files(&[(path, text)])).unwrap_or_default();
    let after = files(&[(path, after)]);
    let seen = Files { before: &before, after: &after };
    flags(&task, &tests, &touching(path), seen).first().map(|flag| (flag.what, flag.done))
}

#[test]
fn files_of_tests_and_runners_are_told_from_product_code() {
    let cases = [
        ("data/x.txt", "pytest", Some(What::Test)),
        ("check.sh", "sh ./check.sh", Some(What::Test)),
        ("check.sh", "pytest", None),
        ("lib/test/helper.py", "pytest", Some(What::Test)),
        ("django/test/client.py", "pytest", None),
        ("test/helper.js", "npm test", Some(What::Test)),
        ("src/sum.test.ts", "jest", Some(What::Test)),
        ("src/test/java/A.java", "mvn test", Some(What::Test)),
        ("pkg/a_test.go", "go test ./...", Some(What::Test)),
        ("pkg/testing.go", "go test ./...", None),
        ("src/contest.py", "pytest", None),
        ("pom.xml", "mvn test", Some(What::Configuration)),
        ("pom.xml", "pytest", None),
        ("Makefile", "make -s check", Some(What::Configuration)),
        (".cargo/config.toml", "cargo test", Some(What::Configuration)),
        ("node_modules/.bin/jest", "jest", Some(What::Dependency)),
        ("docs/conf.py", "pytest", None),
    ];
    for (path, command, what) in cases {
        let found = flag_of(path, Some("a\n"), "b\n", command);
        assert_eq!(found, what.map(|what| (what, Done::Restored)), "{path} of `{command}`");
    }
}

#[test]
fn additions_that_come_before_the_runner_are_removed_and_the_project_s_own_files_stay() {
    for (path, what) in
        [("json.py", What::Shadow), ("src/re/__init__.py", What::Shadow), ("bin/sh", What::Program)]
    {
        assert_eq!(flag_of(path, None, "x\n", "pytest"), Some((what, Done::Removed)), "{path}");
        assert_eq!(flag_of(path, Some("a\n"), "b\n", "pytest"), None, "{path} was there before");
    }
    assert_eq!(flag_of("lib/code/json.py", None, "x\n", "pytest"), None);
}

#[test]
fn a_file_of_both_kinds_is_put_back_only_where_its_part_for_the_tests_changes() {
    let cases = [
        ("setup.cfg", "[metadata]\nname = a\n", "[metadata]\nname = b\n", "[tool:pytest]\naddopts = -x\n"),
        (
            "pyproject.toml",
            "[project]\nname = 'a'\n",
            "[project]\nname = 'b'\n",
            "[tool]\npytest = {x = 1}\n",
        ),
        (
            "package.json",
            "{\"scripts\": {}}",
            "{\"scripts\": {\"build\": \"x\"}}",
            "{\"scripts\": {\"pretest\": \"x\"}}",
        ),
        (
            "Cargo.toml",
            "[dev-dependencies]\na = '1'\n",
            "[dev-dependencies]\na = '1'\nb = '1'\n",
            "[dev-dependencies]\na = {path = 'a'}\n",
        ),
        ("go.mod", "module a\n", "module a\nrequire b v1.0.0\n", "module a\nreplace (\nb => ./b\n)\n"),
        ("pyproject.toml", "[project]\n", "[project]\nversion = '1'\n", "this is no TOML"),
    ];
    for (path, before, honest, cheat) in cases {
        assert_eq!(flag_of(path, Some(before), honest, "x"), None, "{path}: {honest}");
        let put_back = Some((What::Configuration, Done::Restored));
        assert_eq!(flag_of(path, Some(before), cheat, "x"), put_back, "{path}: {cheat}");
    }
}

#[test]
fn what_the_task_s_own_solution_changes_stays_unless_the_task_restores_it() {
    let mut task = Task::parse(YAML, "t").unwrap();
    let tests = task.tests.clone().unwrap();
    task.gold = Some(format!("{}{}", touching("conftest.py"), touching("data/x")));
    let before = files(&[("conftest.py", "a\n"), ("data/x", "a\n")]);
    let after = files(&[("conftest.py", "b\n"), ("data/x", "b\n")]);
    let patch = Patch { files: [touching("conftest.py").files, touching("data/x").files].concat() };
    let found = flags(&task, &tests, &patch, Files { before: &before, after: &after });
    let done: Vec<Done> = found.iter().map(|flag| flag.done).collect();
    assert_eq!(done, [Done::Kept, Done::Restored]);
}

#[test]
fn words_of_the_runner_are_refused_in_product_code_that_had_none() {
    let task = Task::parse(YAML, "t").unwrap();
    let tests = task.tests.clone().unwrap();
    let breach_of = |path: &str, before: &str, line: &str| {
        let text = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1,2 @@\n {before}+{line}\n");
        let before = files(&[(path, before)]);
        breach(&task, &tests, &Patch::parse(&text).unwrap(), (Files { before: &before, after: &before }, &[]))
    };
    let reason = "`lib/a.py` reaches into the test runner: `import _pytest.runner`";
    assert_eq!(breach_of("lib/a.py", "x\n", "import _pytest.runner").as_deref(), Some(reason));
    assert!(breach_of("lib/a.py", "x\n", "print('PASSED t/a.py::x')").is_some());
    assert_eq!(breach_of("lib/a.py", "import pytest\n", "import _pytest.runner"), None);
    for honest in [
        "# Run it with pytest.",
        "passed = count_passed()",
        "log('ERROR {}')",
        "extras = ['pytest']",
        "a == passed",
    ] {
        assert_eq!(breach_of("lib/a.py", "x\n", honest), None, "{honest}");
    }
    assert_eq!(breach_of("README.md", "x\n", "PASSED t/a.py::x"), None);
}

#[test]
fn a_link_leads_out_where_it_is_absolute_or_climbs_above_the_root() {
    let out = |path: &str, target: &str| {
        leads_out(path, &File { bytes: target.as_bytes().to_vec(), mode: Mode::Link })
    };
    assert!(out("a", "/etc") && out("a/b", "../../x") && out("a", "b/../../x"));
    assert!(!out("a/b", "../x") && !out("a", "b/c"));
}
