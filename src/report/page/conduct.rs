//! What was run, and how: command lines, seeds, digests, protection, recipes.

use std::collections::BTreeMap;

use super::add;
use crate::report::{PhaseReport, Report, RunReport};
use crate::run::Manifest;
use crate::viewer::escape;

/// A line for each run.
pub(super) fn overview(report: &Report) -> String {
    let mut html = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\"><table class=\"runs\"><thead><tr><th scope=\"col\">run</th>\
         <th scope=\"col\">what</th><th scope=\"col\">resolved</th><th scope=\"col\">updates</th><th scope=\"col\">time of phases</th><th scope=\"col\">seed</th>\
         <th scope=\"col\">version</th></tr></thead><tbody>\n",
    );
    for run in &report.runs {
        let updates: usize = run.phases.iter().map(updates).sum();
        let seconds: Vec<f64> = run.phases.iter().filter_map(|phase| phase.seconds).collect();
        let resolved = run.grades.as_ref().map(|grades| {
            format!(
                "{}/{}, {:.1} %",
                grades.counts.resolved,
                grades.counts.valid,
                100.0 * grades.counts.rate.rate
            )
        });
        let dash = || "–".to_owned();
        let seeds: Vec<String> = run.manifest.seeds.values().map(u64::to_string).collect();
        let version = run.manifest.versions.get(env!("CARGO_PKG_NAME"));
        add(
            &mut html,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&run.name),
                escape(&what(run)),
                resolved.unwrap_or_else(dash),
                if updates == 0 { dash() } else { updates.to_string() },
                if seconds.is_empty() { dash() } else { duration(seconds.iter().sum()) },
                if seeds.is_empty() { dash() } else { escape(&seeds.join(", ")) },
                version.map_or_else(dash, |version| escape(version)),
            ),
        );
    }
    html.push_str("</tbody></table></div>\n");
    for run in &report.runs {
        add(
            &mut html,
            format_args!("<pre class=\"command\">{}</pre>\n", escape(&command_line(&run.manifest.argv))),
        );
    }
    html
}

/// What a run is, in a few words: whose work was graded, what was trained, or else its command.
fn what(run: &RunReport) -> String {
    let recipe = &run.manifest.recipe;
    let method = |recipe: &serde_json::Value| recipe.get("method")?.as_str().map(str::to_uppercase);
    if let Some(policy) = run.policy() {
        return format!("policy {policy}");
    }
    if let Some(method) = method(recipe) {
        return format!("training: {method}");
    }
    if let Some(stages) = recipe.get("stages").and_then(|stages| stages.as_array()) {
        return format!("training: {}", stages.iter().filter_map(method).collect::<Vec<_>>().join(" → "));
    }
    let is_verb = |word: &&String| !word.starts_with('-');
    run.manifest.argv.iter().skip(1).find(is_verb).cloned().unwrap_or_default()
}

/// How each run was begun and how long it took.
pub(super) fn conduct(report: &Report) -> String {
    let mut html = String::new();
    for run in &report.runs {
        let manifest = &run.manifest;
        if 1 < report.runs.len() {
            add(&mut html, format_args!("<h3>{}</h3>\n", escape(&run.name)));
        }
        for note in &run.notes {
            add(&mut html, format_args!("<p>{}</p>\n", escape(note)));
        }
        phases(&mut html, &run.phases);
        html.push_str("<details><summary>Versions, seeds and digests</summary><dl>");
        for (term, definition) in facts(manifest) {
            add(&mut html, format_args!("<dt>{}</dt><dd>{}</dd>", escape(&term), escape(&definition)));
        }
        html.push_str("</dl></details>\n");
        protection(&mut html, manifest);
        let recipe = serde_json::to_string_pretty(&manifest.recipe).expect("invariant: a value is JSON");
        add(
            &mut html,
            format_args!(
                "<details><summary>Recipe, with defaults and overrides</summary><pre>{}</pre></details>\n",
                escape(&recipe)
            ),
        );
    }
    html
}

fn phases(html: &mut String, phases: &[PhaseReport]) {
    if phases.is_empty() {
        return;
    }
    html.push_str(
        "<table><thead><tr><th scope=\"col\">phase</th><th scope=\"col\">updates</th><th scope=\"col\">time</th></tr></thead><tbody>",
    );
    for phase in phases {
        let updates = match updates(phase) {
            0 => "–".to_owned(),
            n => n.to_string(),
        };
        let time = phase.seconds.map_or("not ended".to_owned(), duration);
        add(
            html,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{updates}</td><td>{time}</td></tr>",
                escape(&phase.name)
            ),
        );
    }
    html.push_str("</tbody></table>\n");
}

fn updates(phase: &PhaseReport) -> usize {
    phase.metrics.values().map(BTreeMap::len).max().unwrap_or_default()
}

/// A time that people read.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
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

fn protection(html: &mut String, manifest: &Manifest) {
    let Some(protection) = &manifest.protection else { return };
    add(html, format_args!("<h3>Sandboxes: {}</h3><ul>", escape(&protection.backend)));
    for measure in &protection.enforced {
        add(html, format_args!("<li>{}</li>", escape(measure)));
    }
    for lack in &protection.missing {
        let (what, remedy) = (escape(&lack.what), escape(&lack.remedy));
        add(
            html,
            format_args!(
                "<li><strong>not enforced: {what}</strong> <span class=\"soft\">({remedy})</span></li>"
            ),
        );
    }
    html.push_str("</ul>\n");
    if manifest.isolation == crate::isolation::Isolation::AcceptWeaker {
        html.push_str("<p>The user accepted weaker isolation.</p>\n");
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
