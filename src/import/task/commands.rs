//! How repositories run their tests where rows do not say it: SWE-bench's as `swe_bench::classic` has them, SWE-Gym's by
//! the facts of its fork of the harness (`harness/constants.py`, `harness/log_parsers.py`).

use super::eval_script::Script;
use crate::swe_bench::classic;
use crate::swe_bench::script::{Run, directives};

/// How a repository of SWE-Gym runs its tests, for some of its versions.
struct Recipe {
    repo: &'static str,
    /// Versions that the recipe is for, with a space around each; all where it is empty.
    versions: &'static str,
    /// Lines that prepare the shell.
    prepare: &'static [&'static str],
    /// The command, before the tests' names.
    test: &'static str,
    parser: &'static str,
}

/// The first recipe that fits counts. Without the lines that install: the images hold each repository installed in place, and those lines fetch its
/// requirements anew.
static SWE_GYM: [Recipe; 12] = [
    gym("bokeh/bokeh", "pytest -rA -n0", "parse_log_bokeh"),
    Recipe {
        prepare: &["export PYTHONPATH=${PYTHONPATH:-}:$(pwd)"],
        ..gym("conan-io/conan", "pytest -n0 -rA", "parse_log_conan")
    },
    gym("dask/dask", "pytest -n0 -rA  --color=no", "parse_log_dask"),
    gym("facebookresearch/hydra", "pytest -rA --tb=long", "parse_log_hydra"),
    gym("getmoto/moto", "pytest -n0 -rA", "parse_log_moto"),
    gym("iterative/dvc", "pytest -rA", "parse_log_dvc"),
    gym("modin-project/modin", "pytest -n0 -rA", "parse_log_modin"),
    gym("pandas-dev/pandas", "pytest -rA --tb=long", "parse_log_pandas"),
    gym("project-monai/monai", "pytest -rA", "parse_log_monai"),
    Recipe {
        prepare: &["export PATH=\"$HOME/.local/bin:$PATH\""],
        ..gym(
            "pydantic/pydantic",
            "pytest -rA --tb=short -vv -o console_output_style=classic --no-header",
            "parse_log_pydantic",
        )
    },
    Recipe { versions: " 1.7 1.8 1.9 1.10 1.11 ", ..gym("python/mypy", "pytest -rA -k", "parse_log_mypy") },
    gym("python/mypy", "pytest -n0 -rA -k", "parse_log_mypy"),
];

const fn gym(repo: &'static str, test: &'static str, parser: &'static str) -> Recipe {
    Recipe { repo, versions: "", prepare: &[], test, parser }
}

/// What a row says of its tests.
pub(super) struct Wanted<'a> {
    pub(super) repo: &'a str,
    pub(super) version: &'a str,
    pub(super) test_patch: &'a str,
}

/// How SWE-bench runs a row's tests, and the parser of their output.
pub(super) fn swe_bench(wanted: &Wanted) -> Result<(Script, String), String> {
    let Wanted { repo, version, test_patch } = *wanted;
    let Some((Run::Python { before, install, test }, parser)) =
        classic::run(repo, version).zip(classic::log_parser(repo))
    else {
        return Err(unknown(wanted));
    };
    let mut script = conda(before.iter().map(String::as_str), install.as_deref());
    script.tests = vec![format!("{test} {}", named(&directives(repo, test_patch))?)];
    Ok((script, format!("swebench.{parser}")))
}

/// How SWE-Gym runs a row's tests, and the parser of their output.
pub(super) fn swe_gym(wanted: &Wanted) -> Result<(Script, String), String> {
    let Wanted { repo, version, test_patch } = *wanted;
    let fits = |recipe: &&Recipe| {
        repo.eq_ignore_ascii_case(recipe.repo)
            && (recipe.versions.is_empty() || recipe.versions.contains(&format!(" {version} ")))
    };
    let recipe = SWE_GYM.iter().find(fits).ok_or_else(|| unknown(wanted))?;
    let names = match recipe.repo {
        "python/mypy" => cases(test_patch)?,
        _ => named(&test_files(test_patch))?,
    };
    let mut script = conda(recipe.prepare.iter().copied(), None);
    script.tests = vec![format!("{} {names}", recipe.test)];
    Ok((script, format!("swegym.{}", recipe.parser)))
}

fn unknown(wanted: &Wanted) -> String {
    let Wanted { repo, version, .. } = wanted;
    format!(
        "how `{repo}` {version} runs its tests is not known; only rows with an `eval_script` say it themselves"
    )
}

/// Whether SWE-Gym has tasks of the repository.
pub(super) fn is_gyms(repo: &str) -> bool {
    SWE_GYM.iter().any(|recipe| repo.eq_ignore_ascii_case(recipe.repo))
}

/// A script in the environment that all images of the SWE-bench family have; the tests are still to come.
pub(super) fn conda<'a>(prepare: impl Iterator<Item = &'a str>, install: Option<&'a str>) -> Script {
    const ENVIRONMENT: [&str; 2] = ["source /opt/miniconda3/bin/activate", "conda activate testbed"];
    let install = install.filter(|line| !line.is_empty());
    let before = ENVIRONMENT.into_iter().chain(prepare).chain(install);
    Script { before: before.map(str::to_owned).collect(), ..Script::default() }
}

/// The files after a tests' patch that tests may be in, from its headers: a patch may be cut off and still say them.
pub(super) fn test_files(patch: &str) -> Vec<String> {
    directives("", patch)
}

/// What the runner is given, as words of a command.
fn named(names: &[String]) -> Result<String, String> {
    let words: Vec<String> = names.iter().map(|name| shell_word(name)).collect();
    if words.is_empty() { Err(NO_TESTS.to_owned()) } else { Ok(words.join(" ")) }
}

const NO_TESTS: &str = "test_patch: it changes no test file";

/// mypy's tests are cases of data files, chosen by an expression of their names.
fn cases(patch: &str) -> Result<String, String> {
    let names = patch.split("[case ").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
    let names: Vec<&str> = names.collect();
    if names.is_empty() { Err(NO_TESTS.to_owned()) } else { Ok(format!("\"{}\"", names.join(" or "))) }
}

/// A word of a shell command.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,@%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::compat;

    #[test]
    fn every_parser_of_the_table_exists() {
        let known: Vec<String> = compat::names().collect();
        for recipe in &SWE_GYM {
            assert!(known.contains(&format!("swegym.{}", recipe.parser)), "{}", recipe.parser);
        }
    }

    /// The scripts that `swebench` 4.1.0 made of 22 rows.
    #[test]
    fn the_table_gives_the_scripts_of_the_harness() {
        let Some(text) = crate::testlog::fixture("grading/eval_script_fixtures.json") else { return };
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut python = 0;
        for row in &rows {
            let text = |key: &str| row[key].as_str().unwrap();
            let published = Script::parse(text("eval_script_v4"), text("base_commit")).unwrap();
            assert_eq!(published.patch.as_deref().map(str::trim_end), Some(text("test_patch").trim_end()));
            let wanted =
                Wanted { repo: text("repo"), version: text("version"), test_patch: text("test_patch") };
            let Ok((made, _)) = swe_bench(&wanted) else { continue };
            python += 1;
            // What tells the harness nothing new is said twice there.
            let mut before = published.before.clone();
            before.retain(|line| {
                !line.starts_with("git config --global --add safe.directory") && line != "cd /testbed"
            });
            let again = before.iter().rposition(|line| line == "conda activate testbed").unwrap();
            if 1 < again {
                before.drain(again - 1..=again);
            }
            assert_eq!((&made.before, &made.tests), (&before, &published.tests), "{}", text("instance_id"));
        }
        assert_eq!((rows.len(), python), (22, 18));
    }

    #[test]
    fn what_runs_is_said_in_the_runners_words() {
        let patch = "diff --git a/x b/test-data/unit/check.test\n+[case testOne]\n [case testTwo]\n";
        let wanted = |repo, version| Wanted { repo, version, test_patch: patch };
        let (script, parser) = swe_gym(&wanted("python/mypy", "1.7")).unwrap();
        assert_eq!(script.tests, ["pytest -rA -k \"testOne or testTwo\""]);
        assert_eq!(parser, "swegym.parse_log_mypy");
        let (script, _) = swe_gym(&wanted("Project-MONAI/MONAI", "1.0")).unwrap();
        assert_eq!(script.tests, ["pytest -rA test-data/unit/check.test"]);
        let unknown = swe_bench(&wanted("o/r", "7")).err().unwrap();
        assert!(unknown.starts_with("how `o/r` 7 runs its tests is not known"), "{unknown}");
        let none = Wanted { test_patch: "diff --git a/a.md b/a.md\n", ..wanted("psf/requests", "2.31") };
        assert_eq!(swe_bench(&none).err().unwrap(), "test_patch: it changes no test file");
    }
}
