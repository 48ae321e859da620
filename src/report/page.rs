//! The report as one HTML page.
//!
//! Guarantees a page without scripts and without links to anything else, readable in light and dark
//! and without colours: each outcome also has a shape and a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::svg::{STYLE, escape};
use super::{PhaseReport, Report, RunReport};
use crate::event::MethodRow;
use crate::run::Manifest;

const CSS: &str = include_str!("page.css");

/// The page.
pub fn html(report: &Report) -> String {
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    let title = escape(&names.join(", "));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} – Apprentice</title><style>{CSS}{STYLE}</style></head><body>\n\
         <header><h1>{title}</h1><p class=\"soft\">Report of {count}, written by <code>apprentice report</code>.</p></header>\n",
        count = match names.len() {
            1 => "a run".to_owned(),
            n => format!("{n} runs"),
        },
    );
    methods(&mut page, report);
    grades(&mut page, report);
    curves(&mut page, report);
    for run in &report.runs {
        outcomes(&mut page, run, names.len());
    }
    for run in &report.runs {
        conduct(&mut page, run);
    }
    page.push_str("</body></html>\n");
    page
}

fn methods(page: &mut String, report: &Report) {
    if report.runs.iter().all(|run| run.rows.is_empty()) {
        return;
    }
    page.push_str(
        "<section><h2>Methods</h2><div class=\"wide\"><table><thead><tr><th>method</th><th>resolved</th><th>rate</th>\
         <th>95% interval</th><th aria-label=\"rate with interval, from 0 to 100%\"></th><th>step reward</th>\
         <th>tokens per reply</th></tr></thead><tbody>\n",
    );
    for run in &report.runs {
        for row in &run.rows {
            let name =
                if report.runs.len() == 1 { row.name() } else { format!("{} · {}", run.name, row.name()) };
            method(page, &name, row);
        }
    }
    page.push_str("</tbody></table></div></section>\n");
}

fn method(page: &mut String, name: &str, row: &MethodRow) {
    let measured = |value: Option<f64>, digits: usize| {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
    };
    add(
        page,
        format_args!(
            "<tr><td>{name}</td><td>{}/{}</td><td>{:.1}%</td><td>{:.1}–{:.1}%</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            row.resolved,
            row.tasks,
            100.0 * row.rate,
            100.0 * row.low,
            100.0 * row.high,
            rate_picture(row),
            measured(row.reward, 3),
            measured(row.tokens_per_reply, 1),
            name = escape(name),
        ),
    );
}

/// What was graded and how the runs compare, in the words of the terminal.
fn grades(page: &mut String, report: &Report) {
    let text = report.grades_text();
    if !text.is_empty() {
        add(page, format_args!("<section><h2>Grades</h2><pre>{}</pre></section>\n", escape(text.trim_end())));
    }
}

/// A dot with its interval on a line from 0 to 100%.
fn rate_picture(row: &MethodRow) -> String {
    let place = |share: f64| 8.0 + 224.0 * share.clamp(0.0, 1.0);
    format!(
        "<svg class=\"rate\" viewBox=\"0 0 240 18\" aria-hidden=\"true\"><line class=\"track\" x1=\"8\" x2=\"232\" y1=\"9\" y2=\"9\"/>\
         <line class=\"track\" x1=\"8\" x2=\"8\" y1=\"5\" y2=\"13\"/><line class=\"track\" x1=\"120\" x2=\"120\" y1=\"6\" y2=\"12\"/>\
         <line class=\"track\" x1=\"232\" x2=\"232\" y1=\"5\" y2=\"13\"/>\
         <line class=\"interval\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"9\" y2=\"9\"/><circle class=\"point\" cx=\"{rate:.1}\" cy=\"9\" r=\"4.5\"/></svg>",
        low = place(row.low),
        high = place(row.high),
        rate = place(row.rate),
    )
}

fn curves(page: &mut String, report: &Report) {
    let charts = report.charts();
    if charts.is_empty() {
        return;
    }
    page.push_str("<section><h2>Training</h2><div class=\"charts\">\n");
    for (_, chart) in charts {
        page.push_str(&chart.svg());
        page.push('\n');
    }
    page.push_str(
        "</div>\n<p class=\"soft\">Thin lines are updates, thick lines their moving average.</p>\n",
    );
    for run in &report.runs {
        for phase in run.phases.iter().filter(|phase| !phase.skipped.is_empty()) {
            add(
                page,
                format_args!(
                    "<p class=\"soft\">{}, {}: {} updates were skipped, because every group was flat.</p>\n",
                    escape(&run.name),
                    escape(&phase.name),
                    phase.skipped.len()
                ),
            );
        }
    }
    page.push_str("</section>\n");
}

fn outcomes(page: &mut String, run: &RunReport, n_runs: usize) {
    let phases: Vec<&PhaseReport> = run.phases.iter().filter(|phase| !phase.outcomes.is_empty()).collect();
    if phases.is_empty() {
        return;
    }
    let of_run = if n_runs == 1 { String::new() } else { format!(" · {}", escape(&run.name)) };
    add(
        page,
        format_args!(
            "<section><h2>Outcomes by task{of_run}</h2><p class=\"key\">\
             <span class=\"grid\"><i class=\"all\"></i> resolved</span><span class=\"grid\"><i class=\"some\" style=\"--share:50%\"></i> \
             in some attempts</span><span class=\"grid\"><i></i> unresolved</span><span class=\"grid\"><i class=\"lost\"></i> \
             no verdict</span></p>\n"
        ),
    );
    for phase in &phases {
        let resolved =
            phase.outcomes.values().filter(|attempts| attempts.values().any(|outcome| is_resolved(outcome)));
        add(
            page,
            format_args!(
                "<h3>{} <span class=\"soft\">{} of {} tasks</span></h3><div class=\"grid\">",
                escape(&phase.name),
                resolved.count(),
                phase.outcomes.len()
            ),
        );
        for (task, attempts) in &phase.outcomes {
            tile(page, task, attempts);
        }
        page.push_str("</div>\n");
    }
    outcome_table(page, &phases);
    page.push_str("</section>\n");
}

fn tile(page: &mut String, task: &str, attempts: &BTreeMap<u64, String>) {
    let resolved = attempts.values().filter(|outcome| is_resolved(outcome)).count();
    let has_verdict = attempts.values().all(|outcome| is_resolved(outcome) || is_unresolved(outcome));
    let class = match resolved {
        n if n == attempts.len() => " class=\"all\"".to_owned(),
        0 if has_verdict => String::new(),
        0 => " class=\"lost\"".to_owned(),
        n => format!(" class=\"some\" style=\"--share:{}%\"", 100 * n / attempts.len()),
    };
    add(page, format_args!("<i{class} title=\"{}: {}\"></i>", escape(task), escape(&words(attempts))));
}

/// The same in words, for readers and programs that see no colours.
fn outcome_table(page: &mut String, phases: &[&PhaseReport]) {
    page.push_str(
        "<details><summary>The same as a table</summary><div class=\"wide\"><table><thead><tr><th>task</th>",
    );
    for phase in phases {
        add(page, format_args!("<th>{}</th>", escape(&phase.name)));
    }
    page.push_str("</tr></thead><tbody>\n");
    let tasks: BTreeSet<&String> = phases.iter().flat_map(|phase| phase.outcomes.keys()).collect();
    for task in tasks {
        add(page, format_args!("<tr><td>{}</td>", escape(task)));
        for phase in phases {
            let cell = phase.outcomes.get(task).map_or("–".to_owned(), words);
            add(page, format_args!("<td>{}</td>", escape(&cell)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div></details>\n");
}

fn words(attempts: &BTreeMap<u64, String>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in attempts.values() {
        *counts.entry(outcome).or_default() += 1;
    }
    let words: Vec<String> = counts
        .into_iter()
        .map(|(outcome, n)| if attempts.len() == 1 { outcome.to_owned() } else { format!("{n} {outcome}") })
        .collect();
    words.join(", ")
}

fn is_resolved(outcome: &str) -> bool {
    outcome == "resolved"
}

fn is_unresolved(outcome: &str) -> bool {
    outcome == "unresolved"
}

/// How the run was begun and how long it took.
fn conduct(page: &mut String, run: &RunReport) {
    let manifest = &run.manifest;
    add(
        page,
        format_args!(
            "<section><h2>How <code>{}</code> was run</h2><pre>{}</pre>\n",
            escape(&run.name),
            escape(&command_line(&manifest.argv))
        ),
    );
    for note in &run.notes {
        add(page, format_args!("<p>{}</p>\n", escape(note)));
    }
    phases(page, &run.phases);
    page.push_str("<dl>");
    for (term, definition) in facts(manifest) {
        add(page, format_args!("<dt>{}</dt><dd>{}</dd>", escape(&term), escape(&definition)));
    }
    page.push_str("</dl>\n");
    protection(page, manifest);
    let recipe = serde_json::to_string_pretty(&manifest.recipe).expect("invariant: a value is JSON");
    add(
        page,
        format_args!(
            "<details><summary>Recipe, with defaults and overrides</summary><pre>{}</pre></details></section>\n",
            escape(&recipe)
        ),
    );
}

fn phases(page: &mut String, phases: &[PhaseReport]) {
    if phases.is_empty() {
        return;
    }
    page.push_str("<table><thead><tr><th>phase</th><th>updates</th><th>seconds</th></tr></thead><tbody>");
    for phase in phases {
        let updates =
            phase.metrics.values().map(BTreeMap::len).max().map_or("–".to_owned(), |n| n.to_string());
        let seconds = phase.seconds.map_or("not ended".to_owned(), |seconds| format!("{seconds:.1}"));
        add(
            page,
            format_args!("<tr><td>{}</td><td>{updates}</td><td>{seconds}</td></tr>", escape(&phase.name)),
        );
    }
    page.push_str("</tbody></table>\n");
}

fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    facts.extend(manifest.versions.iter().map(|(name, version)| (name.clone(), version.clone())));
    facts.extend(manifest.seeds.iter().map(|(name, seed)| (format!("seed: {name}"), seed.to_string())));
    let digests = &manifest.digests;
    for (kind, digests) in
        [("model", &digests.model), ("data", &digests.data), ("sandbox", &digests.sandboxes)]
    {
        facts.extend(digests.iter().map(|(name, digest)| (format!("{kind}: {name}"), named(digest))));
    }
    facts
}

/// A digest with the word for it; what sandboxes are made of says it by itself.
fn named(digest: &str) -> String {
    let is_bare = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_bare { format!("sha256 {digest}") } else { digest.to_owned() }
}

fn protection(page: &mut String, manifest: &Manifest) {
    let Some(protection) = &manifest.protection else { return };
    add(page, format_args!("<h3>Sandboxes: {}</h3><ul>", escape(&protection.backend)));
    for measure in &protection.enforced {
        add(page, format_args!("<li>{}</li>", escape(measure)));
    }
    for lack in &protection.missing {
        let (what, remedy) = (escape(&lack.what), escape(&lack.remedy));
        add(
            page,
            format_args!(
                "<li><strong>not enforced: {what}</strong> <span class=\"soft\">({remedy})</span></li>"
            ),
        );
    }
    page.push_str("</ul>\n");
    if manifest.isolation == crate::isolation::Isolation::AcceptWeaker {
        page.push_str("<p>The user accepted weaker isolation.</p>\n");
    }
}

/// The command line as a shell would take it.
fn command_line(argv: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word.chars().all(|letter| letter.is_alphanumeric() || "-_./=:,#@%+".contains(letter))
    };
    let words: Vec<String> = argv
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) })
        .collect();
    words.join(" ")
}

fn add(page: &mut String, piece: std::fmt::Arguments<'_>) {
    page.write_fmt(piece).expect("invariant: a string takes any text");
}
