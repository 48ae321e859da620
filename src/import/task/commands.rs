//! How the repositories of SWE-bench and SWE-Gym run their tests: facts of the two harnesses, which later rows carry
//! themselves.
//!
//! From `swebench` 4.1.0 (`harness/constants/python.py`, `harness/log_parsers/python.py`) and SWE-Gym's fork of it
//! (`harness/constants.py`, `harness/log_parsers.py`).

use super::eval_script::Script;

/// What a repository does between its environment and its tests, for some of its versions.
struct Recipe {
    repo: &'static str,
    /// Versions that the recipe is for, with a space around each; all where it is empty.
    versions: &'static str,
    /// Lines that prepare the shell.
    prepare: &'static [&'static str],
    /// The line that installs the patched repository; none where it is empty.
    install: &'static str,
    /// The command, before the tests' names.
    test: &'static str,
    parser: &'static str,
}

const PYTEST: &str = "pytest -rA";
const EDITABLE: &str = "python -m pip install -e .";
const DJANGO: &str = "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1";
const DJANGO_LOCALE: &[&str] = &[
    "export LANG=en_US.UTF-8",
    "export LC_ALL=en_US.UTF-8",
    "export PYTHONIOENCODING=utf8",
    "export LANGUAGE=en_US:en",
];
const DJANGO_3_LOCALE: &[&str] = &[
    "sed -i '/en_US.UTF-8/s/^# //g' /etc/locale.gen && locale-gen",
    "export LANG=en_US.UTF-8",
    "export LANGUAGE=en_US:en",
    "export LC_ALL=en_US.UTF-8",
];
const BUILD: &str = "python setup.py build; python setup.py install";

/// A pytest suite of an editable install: what most are.
const fn of(repo: &'static str, versions: &'static str, parser: &'static str) -> Recipe {
    Recipe { repo, versions, prepare: &[], install: EDITABLE, test: PYTEST, parser }
}

/// The first recipe that fits counts.
static SWE_BENCH: [Recipe; 26] = [
    Recipe {
        install: "python -m pip install -e .[test] --verbose",
        ..of("astropy/astropy", " 3.0 3.1 3.2 4.1 4.2 4.3 5.0 5.1 5.2 v5.3 ", "parse_log_astropy")
    },
    Recipe {
        install: "python -m pip install -e .[test] --verbose",
        test: "pytest -rA -vv -o console_output_style=classic --tb=no",
        ..of("astropy/astropy", " 0.1 0.2 0.3 0.4 1.1 1.2 1.3 ", "parse_log_astropy")
    },
    Recipe {
        prepare: DJANGO_LOCALE,
        install: "python setup.py install",
        test: DJANGO,
        ..of("django/django", " 1.7 1.8 1.10 1.11 2.0 2.1 2.2 ", "parse_log_django")
    },
    Recipe {
        prepare: DJANGO_LOCALE,
        install: "python setup.py install",
        test: "./tests/runtests.py --verbosity 2",
        ..of("django/django", " 1.9 ", "parse_log_django")
    },
    Recipe {
        install: "python setup.py install",
        test: DJANGO,
        ..of("django/django", " 1.4 1.5 1.6 ", "parse_log_django")
    },
    Recipe {
        prepare: DJANGO_3_LOCALE,
        test: DJANGO,
        ..of("django/django", " 3.0 3.1 3.2 ", "parse_log_django")
    },
    Recipe { test: DJANGO, ..of("django/django", " 4.0 4.1 4.2 5.0 5.1 5.2 ", "parse_log_django") },
    of("matplotlib/matplotlib", " 3.0 3.1 3.2 3.3 3.4 3.5 3.6 3.7 ", "parse_log_matplotlib"),
    Recipe {
        install: "python -m pip install --no-build-isolation -e \".[dev]\"",
        ..of("matplotlib/matplotlib", " 3.8 3.9 ", "parse_log_matplotlib")
    },
    Recipe {
        install: BUILD,
        ..of("matplotlib/matplotlib", " 1.0 1.1 1.2 1.3 1.4 1.5 2.0 2.1 2.2 ", "parse_log_matplotlib")
    },
    Recipe {
        install: "python -m pip install -e '.[dev]'",
        ..of("marshmallow-code/marshmallow", "", "parse_log_marshmallow")
    },
    Recipe { test: "pytest --no-header -rA", ..of("mwaskom/seaborn", " 0.11 ", "parse_log_seaborn") },
    Recipe {
        install: "python -m pip install -e .[dev]",
        test: "pytest --no-header -rA",
        ..of("mwaskom/seaborn", " 0.12 0.13 0.14 ", "parse_log_seaborn")
    },
    of("pallets/flask", "", "parse_log_flask"),
    Recipe { install: "python -m pip install .", ..of("psf/requests", "", "parse_log_requests") },
    Recipe { install: "python -m pip install -e .[all]", ..of("pvlib/pvlib-python", "", "parse_log_pvlib") },
    of("pydata/xarray", "", "parse_log_xarray"),
    of("pydicom/pydicom", "", "parse_log_pydicom"),
    of("pylint-dev/astroid", "", "parse_log_astroid"),
    of("pylint-dev/pylint", "", "parse_log_pylint"),
    of("pytest-dev/pytest", "", "parse_log_pytest"),
    of("pyvista/pyvista", "", "parse_log_pyvista"),
    Recipe {
        install: "python -m pip install -v --no-use-pep517 --no-build-isolation -e .",
        ..of("scikit-learn/scikit-learn", "", "parse_log_scikit")
    },
    Recipe {
        install: "python -m pip install -e .[test]",
        test: "tox --current-env -epy39 -v --",
        ..of("sphinx-doc/sphinx", "", "parse_log_sphinx")
    },
    of("sqlfluff/sqlfluff", "", "parse_log_sqlfluff"),
    Recipe {
        test: "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose",
        ..of("sympy/sympy", "", "parse_log_sympy")
    },
];

/// Without the lines that install: the images hold each repository installed in place, and those lines fetch its
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
    Recipe { repo, versions: "", prepare: &[], install: "", test, parser }
}

/// Files of a test patch that no runner can be given.
const NO_TESTS: [&str; 11] =
    [".json", ".png", ".csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml"];

/// What a row says of its tests.
pub(super) struct Wanted<'a> {
    pub(super) repo: &'a str,
    pub(super) version: &'a str,
    pub(super) test_patch: &'a str,
}

/// How SWE-bench runs a row's tests, and the parser of their output.
pub(super) fn swe_bench(wanted: &Wanted) -> Result<(Script, String), String> {
    look_up("swebench", &SWE_BENCH, wanted)
}

/// How SWE-Gym runs a row's tests, and the parser of their output.
pub(super) fn swe_gym(wanted: &Wanted) -> Result<(Script, String), String> {
    look_up("swegym", &SWE_GYM, wanted)
}

/// Whether SWE-Gym has tasks of the repository.
pub(super) fn is_gyms(repo: &str) -> bool {
    SWE_GYM.iter().any(|recipe| repo.eq_ignore_ascii_case(recipe.repo))
}

fn look_up(package: &str, table: &'static [Recipe], wanted: &Wanted) -> Result<(Script, String), String> {
    let Wanted { repo, version, test_patch } = *wanted;
    let fits = |recipe: &&Recipe| {
        repo.eq_ignore_ascii_case(recipe.repo)
            && (recipe.versions.is_empty() || recipe.versions.contains(&format!(" {version} ")))
    };
    let recipe = table.iter().find(fits).ok_or_else(|| {
        format!(
            "how `{repo}` {version} runs its tests is not known; only rows with an `eval_script` say it themselves"
        )
    })?;
    let names = names(recipe, test_patch)?;
    let mut script = conda(recipe.prepare.iter().copied(), Some(recipe.install));
    script.tests = vec![format!("{} {}", recipe.test, names.join(" "))];
    Ok((script, format!("{package}.{}", recipe.parser)))
}

/// A script in the environment that all images of the SWE-bench family have; the tests are still to come.
pub(super) fn conda<'a>(prepare: impl Iterator<Item = &'a str>, install: Option<&'a str>) -> Script {
    const ENVIRONMENT: [&str; 2] = ["source /opt/miniconda3/bin/activate", "conda activate testbed"];
    let install = install.filter(|line| !line.is_empty());
    let before = ENVIRONMENT.into_iter().chain(prepare).chain(install);
    Script { before: before.map(str::to_owned).collect(), ..Script::default() }
}

/// What the runner is given: the files that the tests' patch touches, in the runner's words.
fn names(recipe: &Recipe, test_patch: &str) -> Result<Vec<String>, String> {
    let names = match recipe.repo {
        "python/mypy" => cases(test_patch),
        "django/django" => test_files(test_patch).iter().map(|path| django_label(path)).collect(),
        _ => test_files(test_patch).iter().map(|path| shell_word(path)).collect(),
    };
    if names.is_empty() { Err("test_patch: it changes no test file".to_owned()) } else { Ok(names) }
}

/// The files after a tests' patch that tests may be in, from its headers: a patch may be cut off and still say them.
pub(super) fn test_files(patch: &str) -> Vec<&str> {
    let paths = patch.lines().filter_map(|line| {
        let (_, paths) = line.split_once("diff --git a/")?;
        Some(paths.rsplit_once(" b/")?.1)
    });
    paths.filter(|path| !NO_TESTS.iter().any(|ending| path.ends_with(ending))).collect()
}

/// `tests/a/test_b.py` is `a.test_b` to Django's runner.
fn django_label(path: &str) -> String {
    let path = path.strip_suffix(".py").unwrap_or(path);
    path.strip_prefix("tests/").unwrap_or(path).replace('/', ".")
}

/// mypy's tests are cases of data files, chosen by an expression of their names.
fn cases(patch: &str) -> Vec<String> {
    let names = patch.split("[case ").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
    let names: Vec<&str> = names.collect();
    if names.is_empty() { Vec::new() } else { vec![format!("\"{}\"", names.join(" or "))] }
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
    fn every_parser_of_the_tables_exists() {
        let known: Vec<String> = compat::names().collect();
        let tables = [("swebench", &SWE_BENCH[..]), ("swegym", &SWE_GYM[..])];
        for (package, recipe) in
            tables.iter().flat_map(|(name, table)| table.iter().map(move |row| (name, row)))
        {
            assert!(known.contains(&format!("{package}.{}", recipe.parser)), "{}", recipe.parser);
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
