//! SWE-smith: bugs planted in repositories, one image a repository. <https://github.com/SWE-bench/SWE-smith>
//!
//! `patch` is the bug, so the solution is its reverse. Upstream fetches each bug as a branch while it grades; here the
//! repository is cloned once from its mirror and the bug applied to it, and neither needs a network in the sandbox. How
//! each repository runs its tests is in a table made from the profiles of `swesmith` 0.0.9
//! (`swe_smith_profiles.tsv`), which lack those whose command is a program.

use std::collections::BTreeSet;

use super::commands::shell_word;
use super::row::Row;
use super::swe_bench::{ENVIRONMENT, lists, sandbox};
use super::{TaskFormat, code};
use crate::patch::Patch;
use crate::task::{Limits, Parser, Repo, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-smith", recognizes, task };

/// Repository, parser, whether test files are named, seconds, command.
const PROFILES: &str = include_str!("swe_smith_profiles.tsv");

/// Wall seconds of a whole suite in the harness's own validation. Its bound for a grade, 90 for most, is that of its
/// machines.
const TEST_SECONDS: f64 = 900.0;
/// As upstream.
const MEMORY_MIB: u64 = 10_240;

fn recognizes(row: &Row) -> bool {
    row.has("image_name") && row.has("FAIL_TO_PASS") && !row.has("base_commit") && !row.has("test_patch")
}

/// How a repository runs its tests.
struct Profile<'a> {
    parser: &'a str,
    names_files: bool,
    seconds: f64,
    command: &'a str,
}

fn profile(key: &str) -> Option<Profile<'static>> {
    let line = PROFILES.lines().find(|line| line.split('\t').next() == Some(key))?;
    let [_, parser, scope, seconds, command] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
    let seconds = seconds.parse().unwrap_or(TEST_SECONDS);
    Some(Profile { parser, names_files: scope == "files", seconds, command })
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    // `owner__repo.commit8.bugtype__hash`
    let (key, _) = id.rsplit_once('.').ok_or("instance_id: it does not name a repository and a bug")?;
    let profile = profile(key).ok_or_else(|| format!("how `{key}` runs its tests is not known"))?;
    let problem = row.need("problem_statement").map_err(|fault| {
        format!("{fault}; the data set has bugs without a statement, which nobody can be asked to repair")
    })?;
    let bug = row.need("patch")?;
    let gold = Patch::parse(bug).map_err(|error| format!("patch: {error}"))?.reversed().to_string();
    let language = row.text("language").unwrap_or_else(|| language(profile.parser));
    let mut sandbox = sandbox(language);
    sandbox.image = Some(image(row, key));
    sandbox.memory_mib = Some(MEMORY_MIB);
    let is_conda = profile.command.contains("conda activate");
    let lists = lists(row)?;
    let files = files(&lists);
    let command = if profile.names_files {
        let words: Vec<String> = files.iter().map(|file| shell_word(file)).collect();
        format!("{} {}", profile.command, words.join(" "))
    } else {
        profile.command.to_owned()
    };
    Ok(Task {
        sandbox: Some(sandbox),
        repo: Some(Repo {
            git: Some(format!("https://github.com/swesmith/{key}.git")),
            patch: Some(bug.to_owned()),
            ..Repo::default()
        }),
        setup: if is_conda { vec![ENVIRONMENT.to_owned()] } else { Vec::new() },
        tests: Some(Tests {
            command,
            parser: Parser::from(format!("swesmith.{}", profile.parser)),
            restore: files.into_iter().collect(),
            ..lists
        }),
        gold: Some(gold),
        limits: Some(Limits { test_seconds: Some(profile.seconds.max(TEST_SECONDS)), ..Limits::default() }),
        language: Some(language.to_owned()),
        ..code(row, id, problem)
    })
}

/// The row's image, else the one that its repository has.
fn image(row: &Row, key: &str) -> String {
    let derived = || format!("swebench/swesmith.x86_64.{}", key.replace("__", "_1776_").to_lowercase());
    row.text("image_name").map_or_else(derived, str::to_owned)
}

/// The files of the tests, where their ids say them as pytest's do.
fn files(tests: &Tests) -> BTreeSet<String> {
    let ids = tests.fail_to_pass.iter().chain(&tests.pass_to_pass);
    ids.filter_map(|id| Some(id.split_once("::")?.0))
        .filter(|file| file.contains('.'))
        .map(str::to_owned)
        .collect()
}

/// The language of a profile's file upstream; most repositories share a parser by its name alone.
fn language(parser: &str) -> &str {
    match parser.split('.').next() {
        Some("python") => "python",
        Some("golang") => "go",
        Some("rust") => "rust",
        Some("c") => "c",
        Some("cpp" | "parse_log_ctest" | "parse_log_gtest" | "parse_log_catch2" | "parse_log_boost_test") => {
            "c++"
        }
        Some("java" | "parse_log_maven_surefire" | "parse_log_gradle_junit_xml") => "java",
        Some("php") => "php",
        Some("csharp") => "c#",
        _ => "javascript",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::compat;

    #[test]
    fn every_profile_is_whole_and_names_a_parser_that_exists() {
        let known: Vec<String> = compat::names().collect();
        let keys = PROFILES.lines().filter(|line| !line.starts_with('#'));
        let keys: Vec<&str> = keys.map(|line| line.split('\t').next().unwrap()).collect();
        for key in &keys {
            let profile = profile(key).unwrap();
            assert!(known.contains(&format!("swesmith.{}", profile.parser)), "{key}: {}", profile.parser);
            assert!(!profile.command.is_empty() && 0.0 < profile.seconds, "{key}");
        }
        assert_eq!(keys.len(), 669);
    }
}
