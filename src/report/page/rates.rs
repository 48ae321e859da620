//! Rates with their intervals: methods, graded runs, pass@k, and how they compare.

use super::{add, counted};
use crate::event::MethodRow;
use crate::rate::{Comparison, PassAt};
use crate::report::Report;
use crate::report::graded::{Pair, p_value};
use crate::report::grid::{Column, Kind};
use crate::report::svg::{Chart, Scale, Series, stroke};
use crate::stats::{Mean, Rate};
use crate::viewer::escape;

pub(super) fn rates(report: &Report, columns: &[(String, &Column)]) -> String {
    let mut html = String::new();
    methods(&mut html, report);
    let graded: Vec<_> = columns.iter().filter(|(_, column)| column.kind == Kind::Grades).collect();
    grades(&mut html, &graded);
    comparisons(&mut html, &report.comparisons);
    for seeds in &report.seeds {
        add(&mut html, format_args!("<p>{}</p>\n", escape(seeds.text().trim_end())));
    }
    pass_at_k(&mut html, &graded);
    html
}

fn methods(html: &mut String, report: &Report) {
    if report.runs.iter().all(|run| run.rows.is_empty()) {
        return;
    }
    open(
        html,
        "Methods, measured on held-out tasks",
        &["method", "resolved", "rate", "95 % interval", "", "step reward", "tokens per reply"],
    );
    for run in &report.runs {
        for row in &run.rows {
            let name =
                if report.runs.len() == 1 { row.name() } else { format!("{} · {}", run.name, row.name()) };
            method(html, &name, row);
        }
    }
    html.push_str("</tbody></table></div>\n");
}

fn method(html: &mut String, name: &str, row: &MethodRow) {
    let measured = |value: Option<f64>, digits: usize| {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let rate = Rate { rate: row.rate, low: row.low, high: row.high };
    add(
        html,
        format_args!(
            "<tr><th scope=\"row\">{}</th>{}<td>{}</td><td>{}</td></tr>\n",
            escape(name),
            rate_cells(row.resolved as usize, row.tasks as usize, rate),
            measured(row.reward, 3),
            measured(row.tokens_per_reply, 1),
        ),
    );
}

fn grades(html: &mut String, graded: &[&(String, &Column)]) {
    if graded.is_empty() {
        return;
    }
    open(
        html,
        "Tries that resolve their task, of those that the host could judge",
        &["run", "resolved", "rate", "95 % interval", "", "tasks", "not judged"],
    );
    for (name, column) in graded {
        let (counts, _) = column.rates();
        add(
            html,
            format_args!(
                "<tr><th scope=\"row\">{}</th>{}<td>{}</td><td>{}</td></tr>\n",
                escape(name),
                rate_cells(counts.resolved, counts.valid, counts.rate),
                column.tries.len(),
                counts.invalid,
            ),
        );
    }
    html.push_str("</tbody></table></div>\n");
}

/// Opens a table that scrolls where it is too wide.
fn open(html: &mut String, caption: &str, columns: &[&str]) {
    add(
        html,
        format_args!(
            "<p class=\"soft\">{caption}</p>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><thead><tr>"
        ),
    );
    for column in columns {
        match *column {
            "" => html.push_str("<td></td>"),
            name => add(html, format_args!("<th scope=\"col\">{name}</th>")),
        }
    }
    html.push_str("</tr></thead><tbody>\n");
}

fn rate_cells(resolved: usize, of: usize, Rate { rate, low, high }: Rate) -> String {
    format!(
        "<td>{resolved}/{of}</td><td>{:.1} %</td><td>{:.1}–{:.1} %</td><td>{}</td>",
        100.0 * rate,
        100.0 * low,
        100.0 * high,
        interval(rate, Some((low, high)), (0.0, 1.0)),
    )
}

/// A dot with its interval on a line between two ends, with a mark in the middle.
fn interval(value: f64, ends: Option<(f64, f64)>, (from, to): (f64, f64)) -> String {
    let place = |value: f64| 8.0 + 184.0 * ((value - from) / (to - from)).clamp(0.0, 1.0);
    let ends = ends.map(|(low, high)| {
        format!(
            "<line class=\"interval\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"9\" y2=\"9\"/>",
            place(low),
            place(high)
        )
    });
    format!(
        "<svg class=\"rate\" viewBox=\"0 0 200 18\" aria-hidden=\"true\"><path class=\"track\" d=\"M8 9H192M8 5V13M100 5V13M192 5V13\"/>\
         {}<circle class=\"point\" cx=\"{:.1}\" cy=\"9\" r=\"4.5\"/></svg>",
        ends.unwrap_or_default(),
        place(value),
    )
}

fn comparisons(html: &mut String, pairs: &[Pair]) {
    if pairs.is_empty() {
        return;
    }
    open(
        html,
        "The same tasks, compared one by one",
        &[
            "from → to",
            "tasks",
            "rates",
            "difference",
            "95 % interval",
            "",
            "lost",
            "won",
            "p (McNemar, exact)",
        ],
    );
    for pair in pairs {
        comparison(html, pair);
    }
    html.push_str("</tbody></table></div>\n");
    for Pair { first, second, comparison: Comparison { first_only, second_only, left_out, .. } } in pairs {
        let parts = [("lost", first_only), ("won", second_only), ("not compared", left_out)];
        if parts.iter().all(|(_, ids)| ids.is_empty()) {
            continue;
        }
        add(
            html,
            format_args!(
                "<details><summary>Tasks that tell {} and {} apart</summary><dl>",
                escape(first),
                escape(second)
            ),
        );
        for (what, ids) in parts.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            add(html, format_args!("<dt>{what}</dt><dd>{}</dd>", escape(&listed(ids))));
        }
        html.push_str("</dl></details>\n");
    }
}

fn comparison(html: &mut String, Pair { first, second, comparison }: &Pair) {
    let Comparison { tasks, first_rate, second_rate, difference, first_only, second_only, p, .. } =
        comparison;
    let points = |share: f64| format!("{}{:.1}", if share < 0.0 { "−" } else { "+" }, 100.0 * share.abs());
    let Mean { mean, low, high, .. } = difference.unwrap_or(Mean { n: 0, mean: 0.0, low: None, high: None });
    let ends = low.zip(high);
    add(
        html,
        format_args!(
            "<tr><th scope=\"row\">{} → {}</th><td>{tasks}</td><td>{:.1} → {:.1} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escape(first),
            escape(second),
            100.0 * first_rate,
            100.0 * second_rate,
            points(mean),
            ends.map_or("–".to_owned(), |(low, high)| format!("{} to {}", points(low), points(high))),
            interval(mean, ends, (-1.0, 1.0)),
            first_only.len(),
            second_only.len(),
            p_value(*p),
        ),
    );
}

/// Names, as many as are read.
fn listed(ids: &[String]) -> String {
    const SHOWN: usize = 200;
    let more = if SHOWN < ids.len() { format!(" … and {} more", ids.len() - SHOWN) } else { String::new() };
    ids.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + &more
}

fn pass_at_k(html: &mut String, graded: &[&(String, &Column)]) {
    let curves: Vec<(usize, &str, Vec<PassAt>)> = graded
        .iter()
        .enumerate()
        .map(|(colour, (name, column))| (colour, name.as_str(), column.rates().1))
        .collect();
    if curves.iter().all(|(_, _, points)| points.len() < 2) {
        return;
    }
    let line = |(colour, name, points): &(usize, &str, Vec<PassAt>)| Series {
        name: (*name).to_owned(),
        colour: *colour,
        points: points.iter().map(|at| (at.k as f64, at.mean.mean)).collect(),
        ends: points.iter().filter_map(|at| Some((at.k as f64, at.mean.low?, at.mean.high?))).collect(),
    };
    let chart = Chart {
        title: "pass@k (share of tasks)".to_owned(),
        x_label: "k, tries that may be drawn".to_owned(),
        scale: Scale::Doubling,
        series: curves.iter().map(line).collect(),
    };
    add(html, format_args!("<h3>Several tries</h3><div class=\"charts\">{}<div>", chart.svg()));
    if 1 < curves.len() {
        html.push_str("<ul class=\"key\" aria-label=\"Lines\">");
        for (colour, name, _) in &curves {
            let stroke = stroke(*colour, 0.0, 5.0);
            add(
                html,
                format_args!(
                    "<li><svg width=\"24\" height=\"10\" aria-hidden=\"true\">{stroke}</svg> {}</li>",
                    escape(name)
                ),
            );
        }
        html.push_str("</ul>");
    }
    for (_, name, points) in &curves {
        let most = points.iter().map(|at| at.mean.n).max().unwrap_or_default();
        add(html, format_args!("<p><strong>{}</strong>, {}:", escape(name), counted(most, "task", "tasks")));
        let shares = points.iter().map(|at| format!("pass@{} {:.1} %", at.k, 100.0 * at.mean.mean));
        add(html, format_args!(" {}", shares.collect::<Vec<_>>().join(", ")));
        html.push_str("</p>");
    }
    html.push_str("<p class=\"soft\">Vertical lines are 95 % intervals over tasks.</p></div></div>\n");
}
