//! The parsers of `swebench` 4.1.0 that read otherwise than those of 5.0.2.

use super::lines::{Rule, WORDS, word};
use super::swebench::stripped;
use super::words::{Clean, Ends, Id, Reason, STATUSES, Short, Skips, Words};
use super::{Package, Row, Shape, django, javascript, row, runners};

pub(super) static PACKAGE: Package = Package { name: "swebench4", rows: &ROWS };

const PYTEST: Words = Words {
    statuses: STATUSES,
    clean: Clean::Never,
    reason: Reason::IsMore,
    id: Id::One,
    skips: Skips::Count,
    short: Short::Ignored,
    ends: Ends::Never,
};

static GRADLE: [Rule; 1] = [word(r"^([^>].+)\s+(PASSED|FAILED)$", [1, 2], WORDS)];

static ROWS: [Row; 8] = [
    row(
        "parse_log_pytest",
        &[
            "parse_log_astroid",
            "parse_log_flask",
            "parse_log_marshmallow",
            "parse_log_pvlib",
            "parse_log_pyvista",
            "parse_log_sqlfluff",
            "parse_log_xarray",
        ],
        Shape::Words(PYTEST),
    ),
    row(
        "parse_log_pytest_options",
        &["parse_log_pydicom", "parse_log_requests", "parse_log_pylint"],
        Shape::Words(Words { id: Id::Option, ..PYTEST }),
    ),
    row(
        "parse_log_pytest_v2",
        &["parse_log_astropy", "parse_log_scikit", "parse_log_sphinx"],
        Shape::Words(Words { clean: Clean::Colours, ends: Ends::Second, ..PYTEST }),
    ),
    row("parse_log_matplotlib", &[], Shape::Words(Words { clean: Clean::MouseButtons, ..PYTEST })),
    row("parse_log_seaborn", &[], Shape::Raising(django::read_seaborn_strictly)),
    row("parse_log_maven", &[], Shape::Own(runners::maven_by_last)),
    row("parse_log_gradle_custom", &[], stripped(&GRADLE)),
    row("parse_log_jest", &[], stripped(&javascript::JEST_AS_IS)),
];
