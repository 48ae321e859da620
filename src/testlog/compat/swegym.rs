//! The parsers of SWE-Gym's fork of `swebench` and of R2E-Gym.

use super::python::{after, before, strip};
use super::words::{Clean, Ends, Id, Reason, STATUSES, Short, Skips, Words};
use super::{ERROR, FAILED, Map, PASSED, Package, Row, Shape, django, row};

pub(super) static PACKAGE: Package = Package { name: "swegym", rows: &ROWS };
pub(super) static R2E: Package =
    Package { name: "r2egym", rows: &[row("parse_log_pytest", &[], Shape::Own(read_summary))] };

const PYTEST: Words = Words {
    statuses: STATUSES,
    clean: Clean::Never,
    reason: Reason::IsMore,
    id: Id::One,
    skips: Skips::Count,
    short: Short::Ignored,
    ends: Ends::Never,
};
const PYTEST_V2: Words = Words { clean: Clean::Colours, short: Short::Raises, ends: Ends::Second, ..PYTEST };

static ROWS: [Row; 8] = [
    row(
        "parse_log_pytest",
        &[
            "parse_log_astroid",
            "parse_log_bokeh",
            "parse_log_conan",
            "parse_log_dask",
            "parse_log_dvc",
            "parse_log_flask",
            "parse_log_hydra",
            "parse_log_hypothesis",
            "parse_log_marshmallow",
            "parse_log_mne",
            "parse_log_modin",
            "parse_log_monai",
            "parse_log_moto",
            "parse_log_mypy",
            "parse_log_pandas",
            "parse_log_pvlib",
            "parse_log_pyvista",
            "parse_log_sqlfluff",
            "parse_log_xarray",
        ],
        Shape::Words(PYTEST),
    ),
    row(
        "parse_log_pytest_options",
        &["parse_log_pydicom", "parse_log_pylint", "parse_log_requests"],
        Shape::Words(Words { id: Id::Option, ..PYTEST }),
    ),
    row(
        "parse_log_pytest_v2",
        &["parse_log_astropy", "parse_log_scikit", "parse_log_sphinx"],
        Shape::Words(PYTEST_V2),
    ),
    row(
        "parse_log_pytest_pydantic",
        &["parse_log_pydantic"],
        Shape::Words(Words { clean: Clean::ColoursAndProgress, ..PYTEST_V2 }),
    ),
    row("parse_log_matplotlib", &[], Shape::Words(Words { clean: Clean::MouseButtons, ..PYTEST })),
    row("parse_log_django", &[], Shape::Raising(django::read)),
    row("parse_log_seaborn", &[], Shape::Raising(django::read_seaborn_strictly)),
    row("parse_log_sympy", &[], Shape::Own(django::read_sympy_files)),
];

/// R2E-Gym: lines of pytest's first summary that hold a status anywhere, without files and with dots.
fn read_summary(log: &str, map: &mut Map) {
    const MARK: &str = "short test summary info";
    if !log.contains(MARK) {
        return;
    }
    for line in strip(before(after(log, MARK), MARK)).split('\n') {
        let status = [PASSED, FAILED, ERROR].into_iter().find(|status| line.contains(status));
        let Some(status) = status else { continue };
        let name = line.split("::").skip(1).collect::<Vec<_>>().join(".");
        let name = if status == PASSED { &name } else { before(&name, " - ") };
        map.insert(name.to_owned(), status.into());
    }
}
