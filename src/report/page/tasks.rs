//! Tasks × tries: a row for each task, a sign for each try, and the reasons on demand.
//!
//! Many rows go to pages beside the report, and the report shows a tile for each task.

use std::ops::Range;

use super::trajectories::Trajectories;
use super::{Place, add, counted, head};
use crate::report::grid::{Column, Grid, Sign, Try};
use crate::viewer::escape;

/// Rows and tries of a page.
const ROWS: usize = 250;
const TRIES: usize = 4000;
/// Letters of a reason that are shown; the whole one stands in the run's files.
const REASON: usize = 300;

/// The section, and the pages that it links to.
pub(super) struct Tasks {
    pub(super) main: String,
    pub(super) parts: Vec<(String, String)>,
}

pub(super) fn tasks(grids: &[Grid<'_>], trajectories: &Trajectories, place: &Place) -> Tasks {
    let mut tasks = Tasks { main: String::new(), parts: Vec::new() };
    if grids.is_empty() {
        return tasks;
    }
    legend(&mut tasks.main, grids);
    for grid in grids {
        let names: Vec<&str> = grid.columns.iter().map(|(name, _)| name.as_str()).collect();
        add(&mut tasks.main, format_args!("<h3>{}</h3>\n", escape(&names.join(" · "))));
        sums(&mut tasks.main, grid);
        match &cut(grid)[..] {
            [whole] => {
                let link = |file: &str| place.part(file);
                table(&mut tasks.main, grid, whole.clone(), &|one| linked(one, trajectories, &link));
            }
            parts => tasks.in_parts(grid, parts, trajectories, place),
        }
    }
    tasks
}

impl Tasks {
    /// Tiles here, rows on pages beside.
    fn in_parts(
        &mut self,
        grid: &Grid<'_>,
        parts: &[Range<usize>],
        trajectories: &Trajectories,
        place: &Place,
    ) {
        self.main.push_str("<p class=\"soft\">A tile is a task: a sign for one try, a number of resolved tries for several. Each page has a row for each of its tasks, with the reasons.</p>\n");
        let ids: Vec<&str> = grid.tasks.iter().copied().collect();
        for part in parts {
            let file = format!("tasks-{}.html", self.parts.len() + 1);
            let (first, last) = (ids[part.start], ids[part.end - 1]);
            add(
                &mut self.main,
                format_args!(
                    "<h4><a href=\"{}\">Tasks {} to {}</a> <span class=\"soft\">{} … {}</span></h4>\n",
                    place.part(&file),
                    part.start + 1,
                    part.end,
                    escape(first),
                    escape(last),
                ),
            );
            for (name, column) in &grid.columns {
                if 1 < grid.columns.len() {
                    add(&mut self.main, format_args!("<p class=\"soft\">{}</p>", escape(name)));
                }
                tiles(&mut self.main, column, &ids[part.clone()]);
            }
            let mut page = head(&format!("Tasks {} to {}", part.start + 1, part.end));
            add(
                &mut page,
                format_args!(
                    "<header><h1>Tasks {} to {}</h1><nav><a href=\"{}#tasks\">← report</a></nav></header>\n<main>\n",
                    part.start + 1,
                    part.end,
                    place.home()
                ),
            );
            legend(&mut page, std::slice::from_ref(grid));
            table(&mut page, grid, part.clone(), &|one| linked(one, trajectories, &str::to_owned));
            page.push_str("</main></body></html>\n");
            self.parts.push((file, page));
        }
    }
}

/// Cuts the rows of a grid where a page is full.
fn cut(grid: &Grid<'_>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut tries = 0;
    for (row, task) in grid.tasks.iter().enumerate() {
        let of_row: usize =
            grid.columns.iter().filter_map(|(_, column)| Some(column.tries.get(*task)?.len())).sum();
        tries += of_row;
        match parts.last_mut() {
            Some(part) if part.len() < ROWS && tries <= TRIES => part.end = row + 1,
            _ => {
                parts.push(row..row + 1);
                tries = of_row;
            }
        }
    }
    parts
}

/// The signs that occur, with their meanings.
fn legend(html: &mut String, grids: &[Grid<'_>]) {
    let columns = || grids.iter().flat_map(|grid| &grid.columns).map(|(_, column)| column);
    let occurs = |sign: &Sign| {
        columns()
            .flat_map(|column| column.tries.values().flatten())
            .any(|one| Sign::of(&one.outcome) == *sign)
    };
    html.push_str("<ul class=\"key\" aria-label=\"Signs\">");
    for sign in Sign::KNOWN.into_iter().map(|(_, sign)| sign).chain([Sign::LOST]).filter(occurs) {
        add(html, format_args!("<li><b class=\"{}\">{}</b> {}</li>", sign.class, sign.sign, sign.meaning));
    }
    html.push_str("</ul>\n");
}

/// What each column came to.
fn sums(html: &mut String, grid: &Grid<'_>) {
    html.push_str("<p class=\"soft\">");
    for (index, (name, column)) in grid.columns.iter().enumerate() {
        let (counts, _) = column.rates();
        let solved =
            column.tries.values().filter(|tries| tries.iter().any(|one| one.judged() == Some(true))).count();
        add(
            html,
            format_args!(
                "{}{}: {} of {} resolved{}",
                if index == 0 { "" } else { "; " },
                escape(name),
                counts.resolved,
                counted(counts.valid, "try", "tries"),
                if column.tries.len() < counts.valid {
                    format!(", {solved} of {} tasks at least once", column.tries.len())
                } else {
                    String::new()
                },
            ),
        );
    }
    html.push_str("</p>\n");
}

fn tiles(html: &mut String, column: &Column, ids: &[&str]) {
    html.push_str("<div class=\"tiles\">");
    for id in ids {
        let tries = column.tries.get(*id).map_or(&[][..], Vec::as_slice);
        let resolved = tries.iter().filter(|one| one.judged() == Some(true)).count();
        match tries {
            [] => html.push_str("<b class=n>–</b>"),
            [one] => {
                let sign = Sign::of(&one.outcome);
                add(
                    html,
                    format_args!(
                        "<b class={} title=\"{}: {}\">{}</b>",
                        sign.class,
                        escape(id),
                        sign.meaning,
                        sign.sign
                    ),
                );
            }
            several => add(
                html,
                format_args!(
                    "<b class={} title=\"{}: {resolved} of {}\">{resolved}</b>",
                    if resolved == several.len() {
                        "r"
                    } else if resolved == 0 {
                        "u"
                    } else {
                        "p"
                    },
                    escape(id),
                    several.len(),
                ),
            ),
        }
    }
    html.push_str("</div>\n");
}

/// A row for each task, which opens to what is known of its tries.
fn table(html: &mut String, grid: &Grid<'_>, rows: Range<usize>, link: &dyn Fn(&Try) -> String) {
    let most = |column: &Column| column.tries.values().map(Vec::len).max().unwrap_or_default().clamp(1, 16);
    let widths: Vec<String> = grid
        .columns
        .iter()
        .map(|(name, column)| {
            format!(
                "{:.2}rem",
                (most(column) as f64 * 1.3).max(1.0 + 0.5 * name.chars().count().min(24) as f64)
            )
        })
        .collect();
    add(
        html,
        format_args!(
            "<div class=\"rows\" style=\"--columns:minmax(9rem,{name:.1}rem) {}\">\n<div class=\"names\" aria-hidden=\"true\"><span>task</span>",
            widths.join(" "),
            // A letter of the names has about half the height of the page's.
            name = 2.0
                + 0.48 * grid.tasks.iter().map(|task| task.chars().count()).max().unwrap_or_default() as f64,
        ),
    );
    for (name, _) in &grid.columns {
        add(html, format_args!("<span>{}</span>", escape(name)));
    }
    html.push_str("</div>\n");
    for task in grid.tasks.iter().skip(rows.start).take(rows.len()) {
        row(html, grid, task, link);
    }
    html.push_str("</div>\n");
}

fn row(html: &mut String, grid: &Grid<'_>, task: &str, link: &dyn Fn(&Try) -> String) {
    add(html, format_args!("<details><summary><code>{}</code>", escape(task)));
    for (name, column) in &grid.columns {
        let tries = column.tries.get(task).map_or(&[][..], Vec::as_slice);
        add(html, format_args!("<span class=\"cells\" data-name=\"{}\">", escape(name)));
        if tries.is_empty() {
            html.push_str("<b class=n>–</b>");
        }
        for one in tries {
            let sign = Sign::of(&one.outcome);
            add(html, format_args!("<b class={}>{}</b>", sign.class, sign.sign));
        }
        html.push_str("</span>");
    }
    html.push_str("</summary><ul>");
    for (name, column) in &grid.columns {
        let tries = column.tries.get(task).map_or(&[][..], Vec::as_slice);
        for (attempt, one) in tries.iter().enumerate() {
            let number = if 1 < tries.len() { format!(" {}", attempt + 1) } else { String::new() };
            add(
                html,
                format_args!(
                    "<li><b>{}{number}</b> {}{}{}</li>",
                    escape(name),
                    escape(&one.outcome.replace('_', " ")),
                    reason(&one.reason),
                    link(one)
                ),
            );
        }
    }
    html.push_str("</ul></details>\n");
}

fn reason(reason: &str) -> String {
    if reason.is_empty() {
        return String::new();
    }
    let shown: String = reason.chars().take(REASON).collect();
    let more = if shown.len() < reason.len() { "…" } else { "" };
    format!(": {}{more}", escape(&shown))
}

/// What its episode was, with a link to it where it is shown whole.
fn linked(one: &Try, trajectories: &Trajectories, address: &dyn Fn(&str) -> String) -> String {
    let Some(episode) = &one.episode else { return String::new() };
    let steps = counted(episode.steps, "step", "steps");
    match trajectories.page_of(episode) {
        Some(page) => format!(" <a href=\"{}\">{steps}</a>", address(page)),
        None => format!(" <span class=\"soft\">{steps}: <code>{}</code></span>", escape(&episode.id)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::grid::Kind;

    #[test]
    fn rows_are_cut_where_a_page_is_full() {
        let one = Try { outcome: "resolved".to_owned(), reason: String::new(), episode: None };
        let of = |n_tasks: usize, n_tries: usize| {
            let tries: BTreeMap<_, _> =
                (0..n_tasks).map(|task| (format!("t{task:04}"), vec![one.clone(); n_tries])).collect();
            let column = Column { phase: String::new(), kind: Kind::Grades, tries };
            let grid = Grid {
                tasks: column.tries.keys().map(String::as_str).collect(),
                columns: vec![(String::new(), &column)],
            };
            cut(&grid).iter().map(Range::len).collect::<Vec<_>>()
        };
        assert_eq!(of(250, 1), [250]);
        assert_eq!(of(251, 4), [250, 1]);
        assert_eq!(of(100, 64), [62, 38]);
        assert_eq!(of(2, 5000), [1, 1]);
    }
}
