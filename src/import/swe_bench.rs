//! SWE-bench instances become tasks.
//!
//! Reads a JSON object, a JSON array or JSONL of the classic rows (SWE-bench, Lite, Verified, SWE-Gym).
//! Takes the tests from `test_patch` and runs them with pytest; what runs its tests in another way is
//! refused with the reason. Knows nothing of where the repository is: the caller says it.

use serde::Deserialize;
use serde_json::Value;

use crate::patch::Patch;
use crate::task::{FORMAT, Kind, Parser, Repo, Task, Tests};

/// Files of a test patch that pytest cannot be given.
const NO_TESTS: [&str; 11] =
    [".json", ".png", ".csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml"];

/// What an import leaves to the user.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where repositories come from; GitHub at the base commit where it is absent.
    pub repo: Option<Repo>,
    /// The sandbox's name.
    pub sandbox: String,
    /// Commands before the episode and before the tests.
    pub setup: Vec<String>,
}

/// What became of a file of instances.
#[derive(Debug, Default)]
pub struct Imported {
    /// The tasks, in the file's order.
    pub tasks: Vec<Task>,
    /// What could not be imported: its id or place, and why.
    pub refused: Vec<(String, String)>,
}

/// The fields of an instance that a task needs.
#[derive(Debug, Deserialize)]
struct Instance {
    #[serde(rename = "instance_id")]
    id: String,
    repo: String,
    #[serde(default)]
    base_commit: String,
    #[serde(default)]
    patch: String,
    #[serde(default)]
    test_patch: String,
    #[serde(default)]
    problem_statement: String,
    #[serde(rename = "FAIL_TO_PASS", default)]
    fail_to_pass: Ids,
    #[serde(rename = "PASS_TO_PASS", default)]
    pass_to_pass: Ids,
}

/// Test ids: a list, or a string that holds the list as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Value")]
struct Ids(Vec<String>);

impl TryFrom<Value> for Ids {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::String(text) if text.trim().is_empty() => Ok(Self::default()),
            Value::String(text) => serde_json::from_str(&text).map(Self),
            list => serde_json::from_value(list).map(Self),
        }
    }
}

/// Reads instances and turns each into a task.
///
/// # Errors
/// When the text is neither JSON nor JSONL.
pub fn import(text: &str, options: &Options) -> anyhow::Result<Imported> {
    let mut imported = Imported::default();
    for (row_idx, row) in rows(text)?.into_iter().enumerate() {
        let name = row["instance_id"].as_str().map_or_else(|| format!("row {}", row_idx + 1), str::to_owned);
        match task(row, options) {
            Ok(task) => imported.tasks.push(task),
            Err(why) => imported.refused.push((name, why)),
        }
    }
    Ok(imported)
}

fn rows(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value? {
            Value::Array(items) => rows.extend(items),
            row => rows.push(row),
        }
    }
    Ok(rows)
}

fn task(row: Value, options: &Options) -> Result<Task, String> {
    let instance: Instance = serde_json::from_value(row).map_err(|error| error.to_string())?;
    let tests_patch = Patch::parse(&instance.test_patch).map_err(|error| format!("test_patch: {error}"))?;
    if instance.fail_to_pass.0.is_empty() {
        return Err("FAIL_TO_PASS is empty: nothing would tell a repair".to_owned());
    }
    if let Some(id) = instance.fail_to_pass.0.iter().find(|id| !id.contains("::")) {
        return Err(format!("its tests are not pytest's: `{id}`"));
    }
    let files: Vec<&str> = tests_patch
        .files
        .iter()
        .filter_map(|file| file.new.as_deref())
        .filter(|path| !NO_TESTS.iter().any(|ending| path.ends_with(ending)))
        .collect();
    if files.is_empty() {
        return Err("test_patch: it changes no test file".to_owned());
    }
    let words: Vec<String> = files.iter().map(|path| shell_word(path)).collect();
    let github = Repo {
        git: Some(format!("https://github.com/{}.git", instance.repo)),
        base_commit: Some(instance.base_commit.clone()),
        ..Repo::default()
    };
    let mut repo = options.repo.clone().unwrap_or(github);
    if repo.git.is_some() || repo.bundle.is_some() {
        repo.base_commit = Some(instance.base_commit);
    }
    let expected = instance.fail_to_pass.0;
    let kept = instance.pass_to_pass.0.into_iter().filter(|id| !expected.contains(id)).collect();
    let task = Task {
        format: FORMAT.to_owned(),
        id: instance.id,
        kind: Kind::Code,
        problem: instance.problem_statement,
        sandbox: Some(options.sandbox.clone()),
        repo: Some(repo),
        setup: options.setup.clone(),
        tests: Some(Tests {
            command: format!("python3 -m pytest -rA -p no:cacheprovider {}", words.join(" ")),
            parser: Parser::Pytest,
            report: None,
            patch: Some(instance.test_patch),
            restore: Vec::new(),
            fail_to_pass: expected,
            pass_to_pass: kept,
        }),
        gold: Some(instance.patch).filter(|patch| !patch.trim().is_empty()),
        limits: None,
        answer: None,
    };
    task.fault().map_or(Ok(task), Err)
}

fn shell_word(path: &str) -> String {
    let plain = path.chars().all(|char| char.is_ascii_alphanumeric() || "/._-+".contains(char));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { repo: None, sandbox: "python".to_owned(), setup: Vec::new() }
    }

    fn row(fail_to_pass: &str) -> String {
        let patch = "--- a/t/test_a.py\\n+++ b/t/test_a.py\\n@@ -1 +1 @@\\n-a\\n+b\\n";
        format!(
            r#"{{"instance_id": "o__r-1", "repo": "o/r", "base_commit": "c0", "patch": "", "test_patch": "{patch}",
            "problem_statement": "p", "FAIL_TO_PASS": {fail_to_pass}, "PASS_TO_PASS": "[\"t/test_a.py::b\"]", "version": "1"}}"#
        )
    }

    #[test]
    fn object_array_and_lines_read_alike() {
        let list = r#"["t/test_a.py::a"]"#;
        let string = r#""[\"t/test_a.py::a\"]""#;
        let line = row(list).replace('\n', " ");
        for text in [row(string), format!("[{}]", row(list)), format!("{line}\n\n{line}\n")] {
            let imported = import(&text, &options()).unwrap();
            assert_eq!(imported.refused, []);
            let task = &imported.tasks[0];
            assert_eq!((task.id.as_str(), task.gold.as_ref()), ("o__r-1", None));
            let repo = task.repo.as_ref().unwrap();
            assert_eq!(repo.git.as_deref(), Some("https://github.com/o/r.git"));
            assert_eq!(repo.base_commit.as_deref(), Some("c0"));
            let tests = task.tests.as_ref().unwrap();
            assert_eq!(tests.command, "python3 -m pytest -rA -p no:cacheprovider t/test_a.py");
            assert_eq!(
                (tests.fail_to_pass[0].as_str(), tests.pass_to_pass[0].as_str()),
                ("t/test_a.py::a", "t/test_a.py::b")
            );
        }
    }

    #[test]
    fn what_cannot_be_graded_is_refused_with_its_reason() {
        let reasons = |text: &str| import(text, &options()).unwrap().refused;
        let refused = |why: &str| vec![("o__r-1".to_owned(), why.to_owned())];
        assert_eq!(reasons(&row("[]")), refused("FAIL_TO_PASS is empty: nothing would tell a repair"));
        assert_eq!(
            reasons(&row(r#"["test_x (a.B)"]"#)),
            refused("its tests are not pytest's: `test_x (a.B)`")
        );
        assert_eq!(
            reasons(r#"[{"repo": "o/r"}]"#),
            [("row 1".to_owned(), "missing field `instance_id`".to_owned())]
        );
    }

    #[test]
    fn real_rows_become_tasks() {
        let Some(text) = crate::testlog::fixture("tasks/marshmallow-code__marshmallow-1867.json") else {
            return;
        };
        let imported = import(&text, &options()).unwrap();
        assert_eq!((imported.tasks.len(), imported.refused.len()), (1, 0));
        let task = &imported.tasks[0];
        assert!(task.tests.as_ref().unwrap().pass_to_pass.len() > 100);
        assert_eq!(Task::parse(&task.to_yaml(), "t").unwrap(), *task);
        let sample = crate::testlog::fixture("tasks/swe-bench-lite-sample.json").unwrap();
        let imported = import(&sample, &options()).unwrap();
        assert_eq!(imported.tasks.len() + imported.refused.len(), 2);
        assert_eq!(imported.refused[0].0, "django__django-15781");
    }
}
