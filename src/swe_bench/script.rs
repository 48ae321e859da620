//! Eval scripts: read, made to tell the exit code of the tests, and built for rows that have none.

use std::sync::LazyLock;

use regex::Regex;

use super::{END, EXIT_CODE, START};
use crate::patch::{Patch, PatchError};

/// Lines that a script starts with, and that reading drops wherever they stand, in a test patch too.
const OPENING: [&str; 2] = ["#!/bin/bash", "set -uxo pipefail"];
/// Ends the test patch.
const HEREDOC: &str = "EOF_114329324912";
/// The repository in the images.
const REPOSITORY: &str = "/testbed";

/// Files of a test patch that are no tests. One of them lacks its dot there, too.
const NO_TESTS: [&str; 11] =
    [".json", ".png", "csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml"];

/// The commands of a script, as 5.0.2 takes it apart.
pub fn parse(script: &str) -> Vec<&str> {
    let script = script.trim();
    script.split('\n').filter(|line| !OPENING.contains(line)).collect()
}

/// The commands with the exit code of the test command recorded around the first line that holds the end marker;
/// the same commands where none does.
pub fn with_exit_code(mut commands: Vec<String>) -> Vec<String> {
    if let Some(end) = commands.iter().position(|line| line.contains(END)) {
        commands.insert(end + 1, format!("echo \"{EXIT_CODE}: $SWEBENCH_TEST_EXIT_CODE\""));
        commands.insert(end, "SWEBENCH_TEST_EXIT_CODE=$?".to_owned());
    }
    commands
}

/// A script of commands, which goes on when one fails.
pub fn text(commands: &[impl AsRef<str>]) -> String {
    let mut script = OPENING.join("\n");
    for command in commands {
        script.push('\n');
        script.push_str(command.as_ref());
    }
    script.push('\n');
    script
}

/// A script as 5.0.2 runs it.
pub fn recorded(script: &str) -> String {
    text(&with_exit_code(parse(script).into_iter().map(str::to_owned).collect()))
}

/// What a classic row says of its tests.
#[derive(Debug, Clone, Copy)]
pub struct Classic<'a> {
    /// `owner/name`.
    pub repo: &'a str,
    /// The commit that is tested.
    pub base_commit: &'a str,
    /// Brings the tests.
    pub test_patch: &'a str,
}

/// How a repository's tests run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// In a conda environment, on the files of the test patch.
    Python {
        /// Before anything else.
        before: Vec<String>,
        /// After the repository is shown.
        install: Option<String>,
        /// The test command, which the tests' names follow.
        test: String,
    },
    /// By commands that name their tests.
    Other {
        /// After the test patch.
        build: Vec<String>,
        /// The tests.
        test: Vec<String>,
    },
}

/// The script that 4.1.0 makes for a row without one.
///
/// # Errors
/// When the test patch is none.
pub fn build(row: &Classic<'_>, run: &Run) -> Result<String, PatchError> {
    let Classic { repo, base_commit, test_patch } = *row;
    let files = existing_files(test_patch)?;
    // Where the patch only adds files, this resets the whole work tree (SWE-bench #518), the student's patch with it.
    let mut reset = format!("git checkout {base_commit} {}", files.join(" "));
    let activate = ["source /opt/miniconda3/bin/activate", "conda activate testbed"].map(str::to_owned);
    let enter = format!("cd {REPOSITORY}");
    let trust = format!("git config --global --add safe.directory {REPOSITORY}");
    let (start, end) = (format!(": '{START}'"), format!(": '{END}'"));
    let mut commands = Vec::new();
    match run {
        Run::Python { before, install, test } => {
            commands.extend(activate.clone());
            commands.push(enter.clone());
            commands.extend(before.iter().cloned());
            commands.extend([trust, enter, "git status".to_owned(), "git show".to_owned()]);
            commands.push(format!("git -c core.fileMode=false diff {base_commit}"));
            commands.extend(activate);
            commands.extend(install.clone());
            let mut words = directives(repo, test_patch);
            words.insert(0, test.clone());
            let apply = heredoc("git apply -v -", test_patch);
            commands.extend([reset.clone(), apply, start, words.join(" ")]);
        }
        Run::Other { build, test } => {
            if files.is_empty() {
                "echo \"No test files to reset\"".clone_into(&mut reset);
            }
            let apply = heredoc("git apply --verbose --reject -", test_patch);
            commands.extend([enter.clone(), trust, enter, reset.clone(), apply]);
            commands.extend(build.iter().cloned());
            commands.push(start);
            commands.extend(test.iter().cloned());
        }
    }
    commands.extend([end, reset]);
    Ok(text(&commands))
}

fn heredoc(command: &str, text: &str) -> String {
    format!("{command} <<'{HEREDOC}'\n{text}\n{HEREDOC}")
}

/// The files of a patch that exist before it.
fn existing_files(patch: &str) -> Result<Vec<String>, PatchError> {
    Ok(Patch::parse(patch)?.files.into_iter().filter_map(|file| file.old).collect())
}

/// The names that the test command is given: the files that a test patch leaves, as modules in Django.
pub fn directives(repo: &str, test_patch: &str) -> Vec<String> {
    static HEADER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"diff --git a/.* b/(.*)").expect("invariant: the pattern is valid"));
    let paths = HEADER.captures_iter(test_patch).map(|found| found[1].to_owned());
    let tests = paths.filter(|path| !NO_TESTS.iter().any(|ending| path.ends_with(ending)));
    if repo != "django/django" {
        return tests.collect();
    }
    let module = |path: String| {
        let name = path.strip_suffix(".py").unwrap_or(&path);
        name.strip_prefix("tests/").unwrap_or(name).replace('/', ".")
    };
    tests.map(module).collect()
}
