//! Blocks of XML and JSON within a log.
//!
//! Guarantees that markup which cannot be read is the fault that the reference raises, or nothing where
//! it skips such a block.

use roxmltree::{Document, Node};
use serde_json::Value;

use super::python::{Pattern, after, after_last, before_last, strip};
use super::{ERROR, FAILED, Fault, Map, PASSED, SKIPPED};

/// doctest's XML report (C++): `case > subcase`, passed when all its expressions are.
pub(super) fn doctest(log: &str, map: &mut Map) -> Result<(), Fault> {
    const END: &str = "</doctest>";
    let Some(start) = log.find("<doctest") else { return Ok(()) };
    // Without its end tag, the reference cuts the block at a position that holds no report.
    let end = log[start..].find(END).ok_or_else(|| parse_error("no element found: line 1, column 0"))?;
    let text = &log[start..start + end + END.len()];
    let document = parse(text).map_err(|message| parse_error(&message))?;
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

/// A document, with its first line checked as Python's reader does and ours does not.
fn parse(text: &str) -> Result<Document<'_>, String> {
    static DECLARATION: Pattern = Pattern::new(
        r#"^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*["'][A-Za-z0-9_.:-]*["']([ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*["'][A-Za-z][A-Za-z0-9._-]*["'])?([ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*["'](yes|no)["'])?[ \t\r\n]*\?>"#,
    );
    let is_declared =
        text.strip_prefix("<?xml").is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '?']));
    if is_declared && !DECLARATION.regex().is_match(text) {
        return Err("XML declaration not well-formed: line 1".to_owned());
    }
    Document::parse(text).map_err(|error| error.to_string())
}

/// The elements of a name below a node.
pub(super) fn inner<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().skip(1).filter(move |inner| inner.has_tag_name(name))
}

/// An attribute as text, and what Python writes where there is none.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    node.attribute(name).unwrap_or("None")
}

fn parse_error(message: &str) -> Fault {
    Fault::raises("ParseError", message)
}

/// What a JUnit test case holds, by the order in which a parser asks.
type Order = [(&'static str, &'static str)];

fn status(case: Node<'_, '_>, order: &Order) -> &'static str {
    let holds = |name: &str| case.children().any(|child| child.has_tag_name(name));
    order.iter().find(|(name, _)| holds(name)).map_or(PASSED, |(_, status)| status)
}

/// JUnit documents, each to the end of its suites; what cannot be read is skipped.
pub(super) fn combined_reports(log: &str, map: &mut Map) {
    const ORDER: &Order = &[("failure", FAILED), ("skipped", SKIPPED), ("error", ERROR)];
    const END: &str = "</testsuites>";
    let mut rest = log;
    while let Some(start) = rest.find("<?xml") {
        let Some(end) = rest[start..].find(END).map(|end| start + end + END.len()) else { break };
        if let Ok(document) = parse(&rest[start..end]) {
            for case in inner(document.root_element(), "testcase") {
                let id = format!("{}::{}", attribute(case, "classname"), attribute(case, "name"));
                map.insert(id, status(case, ORDER).into());
            }
        }
        rest = &rest[end..];
    }
}

/// testthat's JUnit document: `class::test`.
pub(super) fn r_report(log: &str, map: &mut Map) {
    const ORDER: &Order = &[("failure", FAILED), ("error", ERROR), ("skipped", SKIPPED)];
    const END: &str = "</testsuites>";
    let Some(start) = log.find("<?xml") else { return };
    let text = &log[start..];
    let text = text.find(END).map_or(text, |end| &text[..end + END.len()]);
    let Ok(document) = parse(text) else { return };
    for suite in inner(document.root_element(), "testsuite") {
        for case in suite.children().filter(|child| child.has_tag_name("testcase")) {
            let name = case.attribute("name").unwrap_or_default();
            let class = case.attribute("classname").filter(|class| !class.is_empty());
            let id = class.map_or_else(|| name.to_owned(), |class| format!("{class}::{name}"));
            map.insert(id, status(case, ORDER).into());
        }
    }
}

/// Gradle's JUnit documents, printed line by line: `test (class)`.
pub(super) fn gradle_reports(log: &str, map: &mut Map) {
    const ORDER: &Order = &[("skipped", SKIPPED), ("failure", FAILED), ("error", ERROR)];
    let mut block: Option<Vec<&str>> = None;
    for line in log.split('\n') {
        if strip(line).starts_with("<?xml") {
            block = Some(vec![line]);
        } else if let Some(lines) = &mut block {
            lines.push(line);
            if strip(line).starts_with("</testsuite>") {
                let text = block.take().unwrap_or_default().join("\n");
                let Ok(document) = parse(&text) else { continue };
                for case in inner(document.root_element(), "testcase") {
                    let name = case.attribute("name").unwrap_or_default();
                    let class = case.attribute("classname").unwrap_or_default();
                    let is_bare = name.is_empty() || class.is_empty();
                    let id = if is_bare { name.to_owned() } else { format!("{name} ({class})") };
                    map.insert(id, status(case, ORDER).into());
                }
            }
        }
    }
}

/// Gradle's JUnit documents anywhere in the log: `class.test`.
pub(super) fn suite_reports(log: &str, map: &mut Map) {
    const ORDER: &Order = &[("failure", FAILED), ("error", FAILED), ("skipped", SKIPPED)];
    static DOCUMENT: Pattern = Pattern::new(r"(?s)<\?xml version.*?</testsuite>");
    for text in DOCUMENT.regex().find_iter(log) {
        let Ok(document) = parse(text.as_str()) else { continue };
        let suite = document.root_element().attribute("name").unwrap_or_default();
        for case in inner(document.root_element(), "testcase") {
            let class = case.attribute("classname").unwrap_or(suite);
            let id = format!("{class}.{}", case.attribute("name").unwrap_or_default());
            map.insert(id, status(case, ORDER).into());
        }
    }
}

/// Test cases of JUnit read without an XML reader, from whatever stands around them.
pub(super) fn testcases(log: &str, map: &mut Map) {
    static OPEN: Pattern = Pattern::new(r"<testcase\b([^>]*)>");
    static ATTRIBUTE: Pattern = Pattern::new(r#"(\w+)="([^"]*)""#);
    let mut at = 0;
    while let Some(found) = OPEN.regex().captures_at(log, at) {
        let (open, attributes) = (found.get_match().end(), &found[1]);
        at = open;
        let attribute = |name: &str| {
            let all = ATTRIBUTE.regex().captures_iter(attributes);
            let named = all.filter(|found| &found[1] == name);
            named.last().map(|found| found[2].to_owned()).filter(|value| !value.is_empty())
        };
        let Some(name) = attribute("name") else { continue };
        let end = log[open..].find("</testcase>");
        let content = match end {
            _ if strip(attributes).ends_with('/') => "",
            Some(end) => {
                at = open + end + "</testcase>".len();
                &log[open..open + end]
            }
            // Without an end tag, the reference looks at a window of this many characters.
            None => {
                let window = log[open..].char_indices().nth(4096).map_or(log.len(), |(end, _)| open + end);
                &log[open..window]
            }
        };
        let marks = [("<failure", FAILED), ("<error", ERROR), ("<skipped", SKIPPED)];
        let status = marks.into_iter().find(|(mark, _)| content.contains(mark));
        let id = attribute("classname")
            .map_or_else(|| name.clone(), |class| strip(&format!("{class} {name}")).to_owned());
        map.insert(id, status.map_or(PASSED, |(_, status)| status).into());
    }
}

/// Mocha's JSON reports, each behind the command that wrote it.
pub(super) fn mocha_reports(log: &str, map: &mut Map) -> Result<(), Fault> {
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
pub(super) type TitleList = (&'static str, &'static str, &'static str);

/// Notes the titles of each list in a part of the log.
pub(super) fn titles(part: &str, lists: &[TitleList], map: &mut Map) {
    static TITLE: Pattern = Pattern::new(r#""fullTitle":\s"(.*)",\n"#);
    for (start, end, status) in lists {
        let list = before_last(after_last(part, start), end);
        for found in TITLE.regex().captures_iter(list) {
            map.insert(found[1].to_owned(), (*status).into());
        }
    }
}
