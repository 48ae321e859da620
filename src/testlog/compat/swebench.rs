//! The parsers of `swebench` 5.0.2.

use super::lines::{Cut, Lines, Rule};
use super::words::{Clean, Ends, Id, Reason, STATUSES, Short, Skips, Words};
use super::{Context, Fault, Package, Row, Shape, django, javascript, markup, row, runners};

pub(super) static PACKAGE: Package = Package { name: "swebench", rows: &ROWS };

const PYTEST: Words = Words {
    statuses: STATUSES,
    clean: Clean::Never,
    reason: Reason::IsMore,
    id: Id::One,
    skips: Skips::Go,
    short: Short::Ignored,
    ends: Ends::Never,
};
const PYTEST_V2: Words =
    Words { clean: Clean::Colours, reason: Reason::Goes, id: Id::All, ends: Ends::Last, ..PYTEST };

/// Rules for stripped lines.
pub(super) const fn stripped(rules: &'static [Rule]) -> Shape {
    Shape::Lines(Lines::new(Cut::Stripped, rules))
}

/// Rules for lines as they stand.
pub(super) const fn bare(rules: &'static [Rule]) -> Shape {
    Shape::Lines(Lines::new(Cut::Bare, rules))
}

static ROWS: [Row; 51] = [
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
        Shape::Words(PYTEST_V2),
    ),
    row("parse_log_matplotlib", &[], Shape::Words(Words { clean: Clean::MouseButtons, ..PYTEST })),
    row("parse_log_django", &[], Shape::Raising(django::read)),
    row("parse_log_seaborn", &[], Shape::Raising(django::read_seaborn)),
    row("parse_log_sympy", &[], Shape::Own(django::read_sympy)),
    row("parse_log_redis", &[], stripped(&runners::REDIS)),
    row("parse_log_jq", &[], stripped(&runners::JQ)),
    row("parse_log_doctest", &[], Shape::Raising(markup::doctest)),
    row("parse_log_micropython_test", &[], stripped(&runners::MICROPYTHON)),
    row("parse_log_googletest", &[], stripped(&runners::GOOGLETEST)),
    row("parse_log_gotest", &[], Shape::Own(runners::gotest)),
    row("parse_log_maven", &[], Shape::Own(runners::maven_in_order)),
    row("parse_log_ant", &[], stripped(&runners::ANT)),
    row("parse_log_gradle_custom", &[], Shape::Own(runners::gradle)),
    row("parse_log_phpunit", &[], Shape::Own(runners::phpunit)),
    row("parse_log_minitest", &[], stripped(&runners::MINITEST)),
    row("parse_log_cucumber", &[], stripped(&runners::CUCUMBER)),
    row("parse_log_ruby_unit", &[], stripped(&runners::RUBY_UNIT)),
    row("parse_log_rspec_transformed_json", &[], stripped(&runners::RSPEC)),
    row("parse_log_jekyll", &[], Shape::Chosen(jekyll)),
    row("parse_log_cargo", &[], stripped(&runners::CARGO)),
    row("parse_log_calypso", &[], Shape::Raising(javascript::calypso)),
    row("parse_log_chart_js", &[], Shape::Own(javascript::chart)),
    row("parse_log_marked", &[], bare(&javascript::MARKED)),
    row("parse_log_p5js", &[], Shape::Own(javascript::p5)),
    row("parse_log_react_pdf", &[], bare(&javascript::CARBON)),
    row("parse_log_jest", &[], stripped(&javascript::JEST)),
    row("parse_log_jest_json", &[], stripped(&javascript::JEST_JSON)),
    row("parse_log_vitest", &[], stripped(&javascript::VITEST)),
    row("parse_log_karma", &[], Shape::Raising(javascript::karma)),
    row("parse_log_tap", &[], stripped(&runners::TAP)),
    row("parse_log_immutable_js", &[], Shape::Chosen(immutable)),
    row("parse_log_bpmn_js", &[], Shape::Search(&javascript::BPMN)),
    row(
        "parse_log_carbon",
        &["parse_log_scratch_gui", "parse_log_lighthouse_jest", "parse_log_prettier"],
        bare(&javascript::CARBON),
    ),
    row("parse_log_eslint", &[], Shape::Search(&javascript::ESLINT)),
    row("parse_log_grommet", &[], Shape::Search(&javascript::GROMMET)),
    row("parse_log_emotion", &[], Shape::Search(&javascript::EMOTION)),
    row("parse_log_highlightjs", &[], Shape::Own(javascript::highlight)),
    row("parse_log_lighthouse", &[], Shape::Chosen(lighthouse)),
    row("parse_log_lighthouse_mocha", &[], Shape::Own(javascript::lighthouse_mocha)),
    row("parse_log_lighthouse_json", &[], Shape::Own(javascript::lighthouse_json)),
    row("parse_log_next", &[], Shape::Chosen(next)),
    row("parse_log_next_v1", &[], Shape::Own(javascript::next_karma)),
    row("parse_log_next_v2", &[], Shape::Own(javascript::next_cypress)),
    row("parse_log_openlayers", &[], Shape::Search(&javascript::OPENLAYERS)),
    row("parse_log_prismjs", &[], Shape::Raising(markup::mocha_reports)),
    row("parse_log_quarto_cli", &[], Shape::Own(javascript::quarto)),
    row("parse_log_cypress", &[], Shape::Own(javascript::cypress)),
    row("parse_plotly_js", &[], Shape::Own(javascript::plotly)),
];

fn jekyll(context: &Context<'_>) -> Result<&'static str, Fault> {
    match context.instance.split('-').nth(1).ok_or_else(Fault::index)? {
        "9141" | "8047" | "8167" => Ok("parse_log_minitest"),
        "8761" | "8771" => Ok("parse_log_cucumber"),
        _ => Err(unknown(context)),
    }
}

fn immutable(context: &Context<'_>) -> Result<&'static str, Fault> {
    match context.instance.rsplit('-').next() {
        Some("2006") => Ok("parse_log_jest"),
        Some("2005") => Ok("parse_log_jest_json"),
        _ => Err(unknown(context)),
    }
}

fn unknown(context: &Context<'_>) -> Fault {
    Fault::raises("ValueError", format!("Unknown instance id: {}", context.instance))
}

#[expect(clippy::unnecessary_wraps, reason = "choices have one signature, and most can refuse")]
fn next(context: &Context<'_>) -> Result<&'static str, Fault> {
    Ok(if context.version == "1.27" { "parse_log_next_v2" } else { "parse_log_next_v1" })
}

fn lighthouse(context: &Context<'_>) -> Result<&'static str, Fault> {
    if ["9.5", "10.0", "10.2"].contains(&context.version) {
        return Ok("parse_log_lighthouse_mocha");
    }
    let version: f64 = context.version.trim().parse().map_err(|_| {
        Fault::raises("ValueError", format!("could not convert string to float: '{}'", context.version))
    })?;
    Ok(if 3.0 <= version { "parse_log_carbon" } else { "parse_log_lighthouse_json" })
}
