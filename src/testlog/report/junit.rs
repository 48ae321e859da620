//! JUnit's XML, as most runners can write it.
//!
//! An id is `CLASS::TEST`, both as the document spells them; what pytest calls `a/test_b.py::C::d` is `a.test_b.C::d`
//! there. Documents may follow one another. A suite announces how many tests it has. The format knows no
//! start of a test and no unexpected pass, which is told as a pass.

use roxmltree::{Document, Node, ParsingOptions};

use crate::testlog::{Fault, Results, Spelling, Status, Statuses, note};

/// More nodes than a report of a million tests has.
const NODES: u32 = 20_000_000;

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let text = String::from_utf8_lossy(bytes);
    let mut statuses = Statuses::new();
    let mut fault = None;
    for part in documents(&text) {
        let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(part, options).map_err(|error| match error {
            roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream => Fault::BreaksOff,
            error => Fault::Unreadable(error.to_string()),
        })?;
        for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
            note(&mut statuses, &id(case), status(case));
        }
        fault = fault.or_else(|| missing(document.root_element()));
    }
    let mut results = Results::of(statuses, Spelling::Classes);
    results.fault = fault;
    Ok(results)
}

/// The documents that follow one another.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    const HEAD: &str = "<?xml";
    let starts = text.match_indices(HEAD).map(|(at, _)| at);
    let mut starts: Vec<usize> = starts.collect();
    if starts.first().is_none_or(|first| !text[..*first].trim().is_empty()) {
        starts.insert(0, 0);
    }
    starts.push(text.len());
    let parts = starts.windows(2).map(|pair| text[pair[0]..pair[1]].trim()).collect::<Vec<_>>();
    parts.into_iter()
}

fn id(case: Node<'_, '_>) -> String {
    let name = case.attribute("name").unwrap_or_default();
    match case.attribute("classname").filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}::{name}"),
        None => name.to_owned(),
    }
}

fn status(case: Node<'_, '_>) -> Status {
    let told = case.children().filter_map(|child| {
        Some(match child.tag_name().name() {
            "failure" => Status::Failed,
            "error" => Status::Error,
            "skipped" if child.attribute("type") == Some("pytest.xfail") => Status::XFailed,
            "skipped" => Status::Skipped,
            _ => return None,
        })
    });
    told.max().unwrap_or(Status::Passed)
}

/// What a suite announces and does not tell.
fn missing(root: Node<'_, '_>) -> Option<Fault> {
    let suites = root.descendants().filter(|node| node.has_tag_name("testsuite"));
    suites.into_iter().find_map(|suite| {
        let announced = suite.attribute("tests")?.parse().ok()?;
        let ended = suite.descendants().filter(|node| node.has_tag_name("testcase")).count();
        (ended < announced).then_some(Fault::Unended { announced, ended })
    })
}

/// How the format spells an id of pytest.
pub(in crate::testlog) fn class_spelling(id: &str) -> Option<String> {
    let (name, parameters) = id.split_at(id.find('[').unwrap_or(id.len()));
    let (file, rest) = name.split_once(".py::")?;
    let mut class = file.replace('/', ".");
    let test = match rest.rsplit_once("::") {
        Some((classes, test)) => {
            class.push('.');
            class.push_str(&classes.replace("::", "."));
            test
        }
        None => rest,
    };
    Some(format!("{class}::{test}{parameters}"))
}
