//! Blocks of XML and JSON within a log.
//!
//! Guarantees that markup which cannot be read is the fault that the reference raises, or nothing where
//! it skips such a block.

use roxmltree::{Document, Node};
use serde_json::Value;

use super::python::{Pattern, after, after_last, before_last};
use super::{FAILED, Fault, Map, PASSED};

/// doctest's XML report (C++): `case > subcase`, passed when all its expressions are.
pub fn doctest(log: &str, map: &mut Map) -> Result<(), Fault> {
    const END: &str = "</doctest>";
    let Some(start) = log.find("<doctest") else { return Ok(()) };
    // Without its end tag, the reference cuts the block at a position that holds no report.
    let end = log[start..].find(END).ok_or_else(|| parse_error("no element found: line 1, column 0"))?;
    let text = &log[start..start + end + END.len()];
    let document = Document::parse(text).map_err(|error| parse_error(&error.to_string()))?;
    for case in inner(document.root_element(), "TestCase") {
        for subcase in inner(case, "SubCase") {
            let is_passed =
                inner(subcase, "Expression").all(|node| node.attribute("success") == Some("true"));
            let id = format!("{} > {}", attribute(case, "name"), attribute(subcase, "name"));
            map.insert(id, if is_passed { PASSED } else { FAILED }.into());
        }
    }
    Ok(())
}

/// The elements of a name below a node.
pub fn inner<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().skip(1).filter(move |inner| inner.has_tag_name(name))
}

/// An attribute as text, and what Python writes where there is none.
pub fn attribute<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    node.attribute(name).unwrap_or("None")
}

fn parse_error(message: &str) -> Fault {
    Fault::raises("ParseError", message)
}

/// Mocha's JSON reports, each behind the command that wrote it.
pub fn mocha_reports(log: &str, map: &mut Map) -> Result<(), Fault> {
    const COMMAND: &str = "./node_modules/.bin/mocha tests/run.js --reporter json";
    for part in log.split(COMMAND).skip(1) {
        let text = format!("{{{}}}", before_last(after(part, "{"), "}"));
        let report: Value = serde_json::from_str(&text)
            .map_err(|error| Fault::raises("JSONDecodeError", error.to_string()))?;
        for (list, status) in [("failures", FAILED), ("passes", PASSED)] {
            let missing = |key: &str| Fault::raises("KeyError", format!("'{key}'"));
            for test in report[list].as_array().ok_or_else(|| missing(list))? {
                let id = test["fullTitle"].as_str().ok_or_else(|| missing("fullTitle"))?;
                map.insert(id.to_owned(), status.into());
            }
        }
    }
    Ok(())
}

/// Lists of titles in JSON that is read by its lines: where each begins, where it ends, and the
/// status of its tests.
pub type TitleList = (&'static str, &'static str, &'static str);

/// Notes the titles of each list in a part of the log.
pub fn titles(part: &str, lists: &[TitleList], map: &mut Map) {
    static TITLE: Pattern = Pattern::new(r#""fullTitle":\s"(.*)",\n"#);
    for (start, end, status) in lists {
        let list = before_last(after_last(part, start), end);
        for found in TITLE.regex().captures_iter(list) {
            map.insert(found[1].to_owned(), (*status).into());
        }
    }
}
