//! The parsers of SWE-rebench-V2.
//!
//! Tables first: `lines` are rules alone, the other files keep a state between lines.

mod jvm;
mod lines;
mod native;
mod script;

use super::lines::{Cut, Lines, Rule};
use super::swebench::{bare, stripped};
use super::words::{Clean, Ends, Id, Reason, Short, Skips, Words};
use super::{Package, Row, Shape, django, javascript, markup, row, runners};

pub(super) static PACKAGE: Package = Package { name: "rebenchv2", rows: &ROWS };

const PYTEST: Words = Words {
    statuses: &["PASSED", "FAILED", "SKIPPED", "ERROR"],
    clean: Clean::Never,
    reason: Reason::IsMore,
    id: Id::One,
    skips: Skips::Count,
    short: Short::Ignored,
    ends: Ends::Never,
};
const PYTEST_V2: Words = Words { clean: Clean::Colours, short: Short::Raises, ends: Ends::Second, ..PYTEST };

const fn split(rules: &'static [Rule]) -> Shape {
    Shape::Lines(Lines::new(Cut::SplitStripped, rules))
}

const fn indented(rules: &'static [Rule]) -> Shape {
    Shape::Lines(Lines::new(Cut::SplitRstripped, rules))
}

static ROWS: [Row; 72] = [
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
            "parse_log_pydantic",
            "parse_log_dvc",
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
    row("parse_log_pytest_nebo", &[], Shape::Own(lines::nebo)),
    row("parse_log_matplotlib", &[], Shape::Words(Words { clean: Clean::MouseButtons, ..PYTEST })),
    row("parse_log_django", &[], Shape::Raising(django::read)),
    row("parse_log_seaborn", &[], Shape::Raising(django::read_seaborn_strictly)),
    row("parse_log_sympy", &[], Shape::Own(django::read_sympy_files)),
    row("parse_combined_test_reports", &[], Shape::Own(markup::combined_reports)),
    row("parse_log_gotest", &[], Shape::Own(runners::gotest)),
    row("parse_log_redis", &[], stripped(&runners::REDIS)),
    row("parse_log_jq", &[], stripped(&runners::JQ)),
    row("parse_log_doctest", &[], Shape::Raising(markup::doctest)),
    row("parse_log_micropython_test", &[], stripped(&runners::MICROPYTHON)),
    row("parse_log_googletest", &[], stripped(&runners::GOOGLETEST)),
    row("parse_log_minitest", &[], stripped(&runners::MINITEST)),
    row("parse_log_cucumber", &[], stripped(&runners::CUCUMBER)),
    row("parse_log_ruby_unit", &[], stripped(&runners::RUBY_UNIT)),
    row("parse_log_rspec_transformed_json", &[], stripped(&runners::RSPEC)),
    row("parse_log_cargo", &[], stripped(&runners::CARGO)),
    row("parse_log_phpunit", &[], Shape::Own(runners::phpunit_untimed)),
    row("parse_log_maven", &[], Shape::Own(runners::maven_by_last)),
    row("parse_log_ant", &[], stripped(&runners::ANT)),
    row("parse_log_gradle_custom", &[], stripped(&lines::GRADLE)),
    row("parse_log_calypso", &[], Shape::Raising(javascript::calypso_checked)),
    row("parse_log_chart_js", &[], Shape::Own(javascript::chart)),
    row("parse_log_marked", &[], bare(&javascript::MARKED)),
    row("parse_log_p5js", &[], Shape::Own(javascript::p5)),
    row("parse_log_react_pdf", &[], bare(&lines::REACT_PDF)),
    row("parse_log_jest", &[], stripped(&javascript::JEST_AS_IS)),
    row("parse_log_jest_json", &[], stripped(&javascript::JEST_JSON)),
    row("parse_log_vitest", &[], stripped(&javascript::VITEST)),
    row("parse_log_karma", &[], Shape::Raising(javascript::karma)),
    row("parse_log_tap", &[], stripped(&runners::TAP)),
    row("parse_log_elixir", &[], split(&lines::ELIXIR)),
    row("parse_log_ruby_v1", &[], Shape::Own(script::ruby)),
    row("parse_log_ruby_v2", &[], split(&lines::RUBY)),
    row("parse_log_cpp", &[], Shape::Own(native::cpp)),
    row("parse_log_cpp_v2", &[], split(&lines::CPP)),
    row("parse_log_cpp_v3", &[], Shape::Own(native::cpp_by_words)),
    row("parse_log_cpp_v4", &[], Shape::Own(native::ctest)),
    row("parse_lue_nvim", &["parse_lua_nvim", "parse_log_lua_nvim"], Shape::Own(lines::neovim)),
    row("parse_java_mvn", &["parse_log_java_mvn"], Shape::Own(jvm::maven)),
    row("parse_java_mvn_v2", &["parse_log_java_mvn_v2"], Shape::Own(jvm::maven_modules)),
    row("parse_log_php_v1", &[], indented(&lines::PHP)),
    row("parse_log_haskell", &[], Shape::Own(lines::haskell)),
    row("parse_log_haskell_v2", &[], Shape::Own(native::hspec)),
    row("parse_log_js", &[], split(&lines::JS)),
    row("parse_log_js_2", &[], split(&lines::JS_2)),
    row("parse_log_js_3", &[], Shape::Own(script::nested_tap)),
    row("parse_log_js_4", &[], Shape::Own(script::symbols)),
    row("parse_log_gradlew_v1", &[], Shape::Own(markup::gradle_reports)),
    row("parse_log_julia", &[], Shape::Own(native::julia)),
    row("parse_log_npx", &[], indented(&lines::NPX)),
    row("parse_log_r", &[], Shape::Own(lines::testthat)),
    row("parse_log_r_v2", &[], Shape::Raising(script::r_check)),
    row("parse_log_lein", &[], Shape::Own(jvm::leiningen)),
    row("parse_log_dart", &[], Shape::Own(script::dart_events)),
    row("parse_log_dart_v2", &[], Shape::Own(script::dart_counters)),
    row("parse_log_dart_v3", &[], Shape::Own(script::flutter)),
    row("parse_log_scala", &[], split(&lines::SCALA)),
    row("parse_log_scala_v2", &[], Shape::Own(lines::scala_colours)),
    row("parse_log_scala_v3", &[], Shape::Own(jvm::scala_suites)),
    row("parse_log_ocaml", &[], Shape::Own(native::alcotest)),
    row("parse_log_ocaml_v2", &[], Shape::Own(native::dune)),
    row("parse_log_ocaml_v3", &[], Shape::Own(native::ocaml_inline)),
    row("parse_log_ocaml_v4", &["parse_log_ocaml_v5"], Shape::Own(native::ocamlbuild)),
    row("parse_log_sbt", &["parse_log_junit"], Shape::Own(markup::testcases)),
    row("parse_logs_r_junit", &["parse_log_r_junit"], Shape::Own(markup::r_report)),
    row("parse_logs_kotlin_junit", &["parse_log_kotlin_junit"], Shape::Own(jvm::surefire)),
    row("parse_log_swift", &[], split(&lines::SWIFT)),
    row("parse_log_csharp", &[], indented(&lines::CSHARP)),
];
