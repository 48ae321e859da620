//! The report as HTML: one page, and pages beside it for what would make it long.
//!
//! Guarantees pages without scripts and without requests, which their policy forbids as well; readable in light and dark,
//! by keyboard, and without colours: each outcome also has a sign and a word. Links lead to pages of the report only.

mod conduct;
mod curves;
mod rates;
mod steps;
mod tasks;
mod trajectories;

use std::fmt::Write as _;

use super::svg::STYLE;
use super::{Report, grid};
use crate::viewer::escape;
use trajectories::Trajectories;

const CSS: &str = include_str!("page.css");

/// A report's pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Pages {
    /// The page that a reader opens.
    pub main: String,
    /// Further pages: paths relative to the first one's directory, and texts.
    pub parts: Vec<(String, String)>,
}

/// The pages of a report whose first one is called `name`, with at most `episodes` whole trajectories.
///
/// # Errors
/// When an episode that is to be shown cannot be read.
pub fn pages(report: &Report, name: &str, episodes: usize) -> anyhow::Result<Pages> {
    let place = Place::of(name);
    let columns = report.columns();
    let grids = grid::grids(columns.iter().map(|(name, column)| (name.clone(), *column)));
    let trajectories = Trajectories::of(&grids, episodes)?;
    let tasks = tasks::tasks(&grids, &trajectories, &place);
    let sections = [
        ("runs", "What was run", conduct::overview(report)),
        ("rates", "Resolution rates", rates::rates(report, &columns)),
        ("training", "Training", curves::curves(report)),
        ("steps", "Student and expert, step by step", steps::steps(report)),
        ("tasks", "Tasks and tries", tasks.main),
        ("conduct", "How it was run", conduct::conduct(report)),
    ];
    let sections: Vec<_> = sections.into_iter().filter(|(_, _, body)| !body.is_empty()).collect();
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    let mut main = head(&names.join(", "));
    add(
        &mut main,
        format_args!(
            "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header><h1>{}</h1>",
            escape(&names.join(", "))
        ),
    );
    main.push_str("<nav aria-label=\"Sections\">");
    for (id, title, _) in &sections {
        add(&mut main, format_args!("<a href=\"#{id}\">{title}</a>"));
    }
    main.push_str("</nav></header>\n<main id=\"main\">\n");
    for (id, title, body) in &sections {
        add(
            &mut main,
            format_args!(
                "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{title}</h2>\n{body}</section>\n"
            ),
        );
    }
    main.push_str("</main>\n</body></html>\n");
    let parts = tasks.parts.into_iter().chain(trajectories.into_pages());
    Ok(Pages { main, parts: parts.map(|(file, text)| (format!("{}/{file}", place.parts), text)).collect() })
}

/// Where the pages lie.
struct Place {
    /// The first page's name.
    main: String,
    /// The directory of the others.
    parts: String,
}

impl Place {
    fn of(name: &str) -> Self {
        let stem = name.strip_suffix(".html").unwrap_or(name);
        Self { main: name.to_owned(), parts: format!("{stem}-parts") }
    }

    /// The address of a further page, seen from the first one.
    fn part(&self, file: &str) -> String {
        address(&format!("{}/{file}", self.parts))
    }

    /// The address of the first page, seen from a further one.
    fn home(&self) -> String {
        format!("../{}", address(&self.main))
    }
}

/// A relative path as an address; letters that mean something there are escaped.
fn address(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                address.push(byte as char);
            }
            byte => add(&mut address, format_args!("%{byte:02X}")),
        }
    }
    address
}

/// A page up to its body.
fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{} – Apprentice</title><style>{CSS}{STYLE}</style></head><body>\n",
        escape(title)
    )
}

/// A number of things in words.
fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn add(page: &mut String, piece: std::fmt::Arguments<'_>) {
    page.write_fmt(piece).expect("invariant: a string takes any text");
}
