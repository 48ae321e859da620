//! Tasks: a problem, where it is worked on, and how the result is graded.
//!
//! Plain data of `task.yaml` (`apprentice.task/1`) with its validation. Guarantees that a parsed
//! code task has one repository and tests to grade it by. Does not touch the file system: `task_dir` does.

mod expect;
mod origin;
mod reading;
mod sandbox;

use std::path::PathBuf;

pub use expect::{Ending, Expect};
pub use origin::Origin;
pub use sandbox::SandboxChoice;
use serde::{Deserialize, Serialize};

use crate::isolation::is_patience;
pub use reading::{Parser, Report, ReportFormat};

/// Name and version in the first field of every task file.
pub const FORMAT: &str = "apprentice.task/1";

/// A problem with a grader.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Always [`FORMAT`].
    pub format: String,
    /// Unique among the tasks of a directory; also its directory's name.
    pub id: String,
    /// Code or math.
    pub kind: Kind,
    /// What the student reads.
    pub problem: String,
    /// The sandbox: its name under `sandboxes/`, or that and what differs (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxChoice>,
    /// Where the repository comes from (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Repo>,
    /// Commands that prepare the sandbox, run in the work directory of the repository as it starts: once, and what
    /// they leave is the beginning of every episode and of every grade (code). What has to follow a change, such
    /// as compiling, belongs in `tests.command`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// How the result is graded (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// The patch that is known to resolve the task, in git's format (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<String>,
    /// Bounds of an episode, where they differ from the sandbox's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The right answer (math).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Where it was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The programming language of the repository, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How difficult the data set says it is, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<String>,
    /// When the solution was proposed, as the data set writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// The licence of the repository, where the data set gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// A task and the directory that its relative paths start from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedTask {
    /// The task.
    pub task: Task,
    /// Its own directory.
    pub dir: PathBuf,
}

/// Why a text is no task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It is not the YAML that a task has.
    #[error("`{origin}`: {what}")]
    Yaml {
        /// The file.
        origin: String,
        /// Line, key and what is wrong.
        what: String,
    },
    /// It cannot be worked on or graded.
    #[error("`{origin}`: {what}")]
    Invalid {
        /// The file.
        origin: String,
        /// The key, what is wrong with it, and what to write instead.
        what: String,
    },
}

impl Task {
    /// Reads and checks a task; `origin` is its file's name, for errors.
    ///
    /// # Errors
    /// When the text is not a valid task; names the file, the key or line, and the remedy.
    pub fn parse(yaml: &str, origin: &str) -> Result<Self, TaskError> {
        let task: Self = serde_yaml_ng::from_str(yaml).map_err(|error| TaskError::Yaml {
            origin: origin.to_owned(),
            what: nearest_key(&error.to_string()),
        })?;
        match task.fault() {
            Some(what) => Err(TaskError::Invalid { origin: origin.to_owned(), what }),
            None => Ok(task),
        }
    }

    /// Writes the task as YAML.
    pub fn to_yaml(&self) -> String {
        serde_yaml_ng::to_string(self).expect("invariant: a task has string keys only")
    }

    /// What makes the task impossible to work on or to grade.
    pub fn fault(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("format: `{}` is not known; write `{FORMAT}`", self.format));
        }
        if let Some(fault) = id_fault(&self.id) {
            return Some(fault);
        }
        if self.problem.trim().is_empty() {
            return Some("problem: it is empty; say what the student shall do".to_owned());
        }
        if let Some(fault) = self.limits.and_then(Limits::fault) {
            return Some(fault);
        }
        match self.kind {
            Kind::Code => self.code_fault(),
            Kind::Math => self.math_fault(),
        }
    }

    fn code_fault(&self) -> Option<String> {
        let Some(repo) = &self.repo else {
            return Some("repo: a code task needs one; add `repo: {path: DIR}`".to_owned());
        };
        let Some(tests) = &self.tests else {
            return Some(
                "tests: a code task needs them; add `tests: {command, parser, fail_to_pass}`".to_owned(),
            );
        };
        let Some(sandbox) = &self.sandbox else {
            return Some(
                "sandbox: a code task needs one; add `sandbox: NAME` of a directory in `sandboxes/`"
                    .to_owned(),
            );
        };
        if sandbox.image.is_some() && repo.image.is_some() {
            return Some("sandbox.image: `repo.image` already says the image; remove one".to_owned());
        }
        if self.answer.is_some() {
            return Some("answer: only a math task has one; remove it or write `kind: math`".to_owned());
        }
        repo.fault().or_else(|| sandbox.fault()).or_else(|| tests.fault())
    }

    fn math_fault(&self) -> Option<String> {
        if self.answer.as_ref().is_none_or(|answer| answer.trim().is_empty()) {
            return Some("answer: a math task needs one".to_owned());
        }
        let code_only = [
            ("sandbox", self.sandbox.is_some()),
            ("repo", self.repo.is_some()),
            ("setup", !self.setup.is_empty()),
            ("tests", self.tests.is_some()),
            ("gold", self.gold.is_some()),
        ];
        let (key, _) = code_only.into_iter().find(|(_, given)| *given)?;
        Some(format!("{key}: only a code task has it; remove it or write `kind: code`"))
    }
}

impl Repo {
    fn fault(&self) -> Option<String> {
        let sources = [
            ("path", &self.path),
            ("git", &self.git),
            ("bundle", &self.bundle),
            ("archive", &self.archive),
            ("image", &self.image),
        ];
        let given: Vec<&str> =
            sources.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| *key).collect();
        match given[..] {
            [] => Some("repo: it has no source; give one of path, git, bundle, archive, image".to_owned()),
            ["git" | "bundle" | "image"] => None,
            [one] if self.base_commit.is_some() => Some(format!(
                "repo.base_commit: `{one}` has no commits; remove it, or use git, bundle or image"
            )),
            [_] => None,
            [first, second, ..] => {
                Some(format!("repo: it has two sources, `{first}` and `{second}`; keep one"))
            }
        }
    }
}

impl Tests {
    fn fault(&self) -> Option<String> {
        if self.command.trim().is_empty() {
            return Some("tests.command: it is empty".to_owned());
        }
        if let Some(fault) = self.expect.fault(self.fail_to_pass.is_empty()) {
            return Some(fault);
        }
        if let Some(fault) = self.report.as_ref().and_then(Report::fault) {
            return Some(fault);
        }
        let twice = self.fail_to_pass.iter().find(|id| self.pass_to_pass.contains(id))?;
        Some(format!("tests.pass_to_pass: `{twice}` is also in fail_to_pass; keep one"))
    }
}

/// An id names a directory, an image tag and a file, so it holds only what all three allow.
fn id_fault(id: &str) -> Option<String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "._-+@".contains(char);
    let fits = !id.is_empty() && id.chars().all(allowed) && !id.starts_with(['.', '-']);
    (!fits).then(|| format!("id: `{id}` is not a name of letters, digits and `._-+@`"))
}

/// Adds the nearest known key or word to serde's message about an unknown one.
pub(crate) fn nearest_key(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_unknown = ["unknown field `", "unknown variant `"].iter().any(|words| message.contains(words));
    let (Some(key), true) = (quoted.next(), is_unknown) else {
        return message.to_owned();
    };
    match quoted.min_by_key(|known| distance(key, known)) {
        Some(nearest) => format!("{message}; did you mean `{nearest}`?"),
        None => message.to_owned(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.chars().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

/// The two kinds of task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A repository to repair, graded by its tests.
    #[default]
    Code,
    /// A question with an answer.
    Math,
}

/// Where a repository comes from; exactly one of `path`, `git`, `bundle`, `archive` and `image` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repo {
    /// A directory, relative to the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A git URL or local clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// A git bundle, relative to the task's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// A tar archive with one directory at its top, such as a source distribution of a package index,
    /// relative to the task's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// An image that holds the repository in its work directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The commit to start from (git, bundle, image); without it, the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// A patch that turns the source into the task's starting point: a planted bug, or a
    /// reversed gold patch. In git's format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// How a code task is graded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// The command that runs the tests, in the work directory.
    pub command: String,
    /// Who reads its output.
    pub parser: Parser,
    /// A report that tells the results instead of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// A patch that brings the tests, applied after the student's patch. In git's format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Files and directories that are restored from the starting point before grading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore: Vec<String>,
    /// The rule that the results are judged by.
    #[serde(
        default,
        skip_serializing_if = "Expect::is_lists",
        with = "serde_yaml_ng::with::singleton_map_recursive"
    )]
    pub expect: Expect,
    /// The data set's version of the repository, by which some readers of logs choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Tests that fail before and must pass after.
    #[serde(default)]
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and must still pass.
    #[serde(default)]
    pub pass_to_pass: Vec<String>,
}

/// Bounds of an episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Wall seconds of one command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_seconds: Option<f64>,
    /// Wall seconds of the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_seconds: Option<f64>,
}

impl Limits {
    fn fault(self) -> Option<String> {
        let times = [("command_seconds", self.command_seconds), ("test_seconds", self.test_seconds)];
        let (key, seconds) = times
            .into_iter()
            .find_map(|(key, seconds)| Some((key, seconds.filter(|time| !is_patience(*time))?)))?;
        Some(format!("limits.{key}: {seconds} cannot be waited for; write seconds above 0 and up to 1e9"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "format: apprentice.task/1\nid: demo-1\nkind: code\nproblem: Repair it.\nsandbox: python\n\
                        repo: {path: repo}\ntests: {command: ./run, parser: tap, fail_to_pass: [adds]}\n";

    fn fault(yaml: &str) -> String {
        Task::parse(yaml, "t/task.yaml").map_or_else(|error| error.to_string(), |_| "valid".to_owned())
    }

    #[test]
    fn seconds_that_cannot_be_waited_for_are_a_fault_of_their_key() {
        for seconds in ["-1", "0", ".inf", ".nan", "1e300"] {
            for key in ["command_seconds", "test_seconds"] {
                let fault = fault(&format!("{CODE}limits: {{{key}: {seconds}}}\n"));
                assert!(fault.contains(&format!("limits.{key}: ")), "{seconds}: {fault}");
            }
        }
        assert_eq!(fault(&format!("{CODE}limits: {{command_seconds: 0.5, test_seconds: 1e9}}\n")), "valid");
    }

    #[test]
    fn task_survives_writing_and_reading() {
        let task = Task::parse(CODE, "t").unwrap();
        assert_eq!(Task::parse(&task.to_yaml(), "t").unwrap(), task);
    }

    #[test]
    fn faults_name_the_file_the_key_and_the_remedy() {
        let cases = [
            (CODE.to_owned(), "valid"),
            (
                CODE.replace("task/1", "task/2"),
                "`t/task.yaml`: format: `apprentice.task/2` is not known; write `apprentice.task/1`",
            ),
            (
                CODE.replace("demo-1", "../x"),
                "`t/task.yaml`: id: `../x` is not a name of letters, digits and `._-+@`",
            ),
            (
                CODE.replace("repo: {path: repo}\n", ""),
                "`t/task.yaml`: repo: a code task needs one; add `repo: {path: DIR}`",
            ),
            (
                CODE.replace("path: repo", "path: repo, git: x"),
                "`t/task.yaml`: repo: it has two sources, `path` and `git`; keep one",
            ),
            (
                CODE.replace("[adds]", "[]"),
                "`t/task.yaml`: tests.fail_to_pass: it is empty, so nothing would tell a repair; name a test",
            ),
            (
                CODE.replace("kind: code", "kind: math") + "answer: 4\n",
                "`t/task.yaml`: sandbox: only a code task has it; remove it or write `kind: code`",
            ),
        ];
        for (yaml, expected) in cases {
            assert_eq!(fault(&yaml), expected);
        }
        let untested = &CODE[..CODE.find("tests:").unwrap()];
        assert_eq!(
            fault(untested),
            "`t/task.yaml`: tests: a code task needs them; add `tests: {command, parser, fail_to_pass}`"
        );
    }

    #[test]
    fn an_expectation_is_a_word_or_a_map_of_endings() {
        let with = |expect: &str| CODE.replace("[adds]}", &format!("[], expect: {expect}}}"));
        let parsed = |expect: &str| Task::parse(&with(expect), "t").map(|task| task.tests.unwrap().expect);
        assert_eq!(parsed("exit_zero").unwrap(), Expect::ExitZero);
        let exact = Expect::Exact([("a".to_owned(), Ending::Failed)].into());
        assert_eq!(parsed("{exact: {a: failed}}").unwrap(), exact);
        let task = Task::parse(&with("{exact: {a: failed}}"), "t").unwrap();
        assert_eq!(Task::parse(&task.to_yaml(), "t").unwrap(), task);
        assert!(fault(&with("{exact: {a: odd}}")).contains("unknown variant `odd`"));
        assert!(fault(&with("fail_only")).contains("tests.fail_to_pass: it is empty"));
        assert!(fault(&with("{exact: {}}")).contains("tests.expect.exact: it is empty"));
        let twice = CODE
            .replace("sandbox: python", "sandbox: {like: python, image: a}")
            .replace("path: repo", "image: b");
        assert!(fault(&twice).contains("sandbox.image: `repo.image` already says the image"));
    }

    #[test]
    fn unknown_key_names_its_line_and_the_nearest_key() {
        let fault = fault(&CODE.replace("problem:", "problm:"));
        assert!(fault.contains("unknown field `problm`") && fault.contains("line 4"), "{fault}");
        assert!(fault.ends_with("did you mean `problem`?"), "{fault}");
    }
}
