//! What 4.1.0 knows of the Python repositories whose rows say neither how their tests run nor who reads them.
//!
//! Facts of its tables, by rule instead of by version: for a version that it does not know, where it stops, this gives
//! what the versions around it have. Rows of other languages name single tests there; theirs must bring a script.

use super::grading::EvalType;
use super::script::Run;

const PYTEST: &str = "pytest -rA";
const PYTEST_OF_OLD_ASTROPY: &str = "pytest -rA -vv -o console_output_style=classic --tb=no";
const DJANGO: &str = "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1";
const EDITABLE: &str = "python -m pip install -e .";

const LOCALE_OF_DJANGO_2: [&str; 4] = [
    "export LANG=en_US.UTF-8",
    "export LC_ALL=en_US.UTF-8",
    "export PYTHONIOENCODING=utf8",
    "export LANGUAGE=en_US:en",
];
const LOCALE_OF_DJANGO_3: [&str; 4] = [
    "sed -i '/en_US.UTF-8/s/^# //g' /etc/locale.gen && locale-gen",
    "export LANG=en_US.UTF-8",
    "export LANGUAGE=en_US:en",
    "export LC_ALL=en_US.UTF-8",
];

/// How the tests of a version run; absent for a repository that is not among them.
pub fn run(repo: &str, version: &str) -> Option<Run> {
    let (before, install, test): (&[&str], _, _) = match repo {
        "astropy/astropy" => {
            let is_old = version.starts_with("0.") || version.starts_with("1.");
            let test = if is_old { PYTEST_OF_OLD_ASTROPY } else { PYTEST };
            (&[], "python -m pip install -e .[test] --verbose", test)
        }
        "django/django" => django(version),
        "matplotlib/matplotlib" => (&[], matplotlib(version), PYTEST),
        "mwaskom/seaborn" => {
            let install = if version == "0.11" { EDITABLE } else { "python -m pip install -e .[dev]" };
            (&[], install, "pytest --no-header -rA")
        }
        "psf/requests" => (&[], "python -m pip install .", PYTEST),
        "scikit-learn/scikit-learn" => {
            (&[], "python -m pip install -v --no-use-pep517 --no-build-isolation -e .", PYTEST)
        }
        "sphinx-doc/sphinx" => (&[], "python -m pip install -e .[test]", "tox --current-env -epy39 -v --"),
        "sympy/sympy" => {
            let test = "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose";
            (&[], EDITABLE, test)
        }
        "marshmallow-code/marshmallow" => (&[], "python -m pip install -e '.[dev]'", PYTEST),
        "pvlib/pvlib-python" => (&[], "python -m pip install -e .[all]", PYTEST),
        "pallets/flask" | "pydata/xarray" | "pydicom/pydicom" | "pylint-dev/astroid"
        | "pylint-dev/pylint" | "pytest-dev/pytest" | "pyvista/pyvista" | "sqlfluff/sqlfluff" => {
            (&[], EDITABLE, PYTEST)
        }
        _ => return None,
    };
    let before = before.iter().map(|line| (*line).to_owned()).collect();
    Some(Run::Python { before, install: Some(install.to_owned()), test: test.to_owned() })
}

fn django(version: &str) -> (&'static [&'static str], &'static str, &'static str) {
    const SETUP: &str = "python setup.py install";
    match version {
        "1.4" | "1.5" | "1.6" => (&[], SETUP, DJANGO),
        "1.9" => (&LOCALE_OF_DJANGO_2, SETUP, "./tests/runtests.py --verbosity 2"),
        _ if version.starts_with("1.") || version.starts_with("2.") => (&LOCALE_OF_DJANGO_2, SETUP, DJANGO),
        _ if version.starts_with("3.") => (&LOCALE_OF_DJANGO_3, EDITABLE, DJANGO),
        _ => (&[], EDITABLE, DJANGO),
    }
}

fn matplotlib(version: &str) -> &'static str {
    match version {
        "3.8" | "3.9" => "python -m pip install --no-build-isolation -e \".[dev]\"",
        _ if version.starts_with("3.") => EDITABLE,
        _ => "python setup.py build; python setup.py install",
    }
}

/// The parser of a repository's logs; absent for one that is not among them.
pub fn log_parser(repo: &str) -> Option<&'static str> {
    Some(match repo {
        "astropy/astropy" | "scikit-learn/scikit-learn" | "sphinx-doc/sphinx" => "parse_log_pytest_v2",
        "django/django" => "parse_log_django",
        "matplotlib/matplotlib" => "parse_log_matplotlib",
        "mwaskom/seaborn" => "parse_log_seaborn",
        "psf/requests" | "pydicom/pydicom" | "pylint-dev/pylint" => "parse_log_pytest_options",
        "sympy/sympy" => "parse_log_sympy",
        "marshmallow-code/marshmallow"
        | "pallets/flask"
        | "pvlib/pvlib-python"
        | "pydata/xarray"
        | "pylint-dev/astroid"
        | "pytest-dev/pytest"
        | "pyvista/pyvista"
        | "sqlfluff/sqlfluff" => "parse_log_pytest",
        _ => return None,
    })
}

/// What counts against a repository's tests.
pub fn eval_type(repo: &str) -> EvalType {
    match repo {
        "chartjs/Chart.js" | "processing/p5.js" | "markedjs/marked" => EvalType::FailOnly,
        _ => EvalType::PassAndFail,
    }
}
