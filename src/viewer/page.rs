//! A trajectory as one HTML page.
//!
//! Guarantees a page that loads nothing: its policy allows only its own script, named by its digest, so that a mistake in
//! escaping could not run one. Everything is in the page as text, so it is read and searched without the script, too; the
//! browser lays out only what is in sight.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{Rewarded, StepRecord, View, ending, kind, mean, visible};
use crate::trajectory::{Action, EditorCall, Step};

const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Lines and bytes of a text that are laid out together.
const CHUNK_LINES: usize = 100;
const CHUNK_BYTES: usize = 8 * 1024;

/// The page.
pub fn html(view: &View<'_>) -> String {
    let title = escape(&view.trajectory.id);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(SCRIPT.as_bytes()))
    );
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} – Apprentice</title><style>{CSS}</style></head><body>\n"
    );
    bar(&mut page, view, &title);
    index(&mut page, view);
    page.push_str("<main>\n");
    overview(&mut page, view);
    for (index, step) in view.trajectory.steps.iter().enumerate() {
        article(&mut page, view, index + 1, step);
    }
    if let Some(patch) = &view.trajectory.patch {
        page.push_str("<article id=\"patch\"><h2>Patch</h2>");
        diff(&mut page, patch);
        page.push_str("</article>\n");
    }
    add(&mut page, format_args!("</main>\n<script>{SCRIPT}</script></body></html>\n"));
    page
}

fn bar(page: &mut String, view: &View<'_>, title: &str) {
    add(
        page,
        format_args!("<header><h1 title=\"{title}\">{title}</h1><div class=\"tools\" id=\"tools\" hidden>"),
    );
    if let Some(first) = view.replay.and_then(|replay| replay.first_divergence) {
        add(
            page,
            format_args!(
                "<button id=\"divergence\" data-step=\"{first}\" title=\"Key: d\">First divergence <b>{first}</b></button>"
            ),
        );
    }
    page.push_str(
        "<label class=\"search\"><input id=\"search\" type=\"search\" placeholder=\"Search\" \
         aria-label=\"Search\" autocomplete=\"off\" spellcheck=\"false\"><output id=\"found\"></output></label>\
         <button id=\"before\" title=\"Match before (N)\" aria-label=\"Match before\">↑</button>\
         <button id=\"after\" title=\"Next match (n)\" aria-label=\"Next match\">↓</button>\
         <button id=\"keys\" title=\"Keys (?)\" aria-label=\"Keys\">?</button></div></header>\n\
         <dialog id=\"help\"><h2>Keys</h2><dl>\
         <dt>j k</dt><dd>next step, step before</dd><dt>g G</dt><dd>first step, last step</dd>\
         <dt>d D</dt><dd>first divergence, next divergence</dd><dt>/</dt><dd>search</dd>\
         <dt>n N</dt><dd>next match, match before</dd><dt>e</dt><dd>open or close the long texts of the step</dd>\
         <dt>Esc</dt><dd>leave the search</dd></dl></dialog>\n",
    );
}

/// The list of steps at the side.
fn index(page: &mut String, view: &View<'_>) {
    let class = if view.replay.is_some() { " class=\"replayed\"" } else { "" };
    add(page, format_args!("<nav aria-label=\"Steps\"{class}><ol>\n"));
    for (index, step) in view.trajectory.steps.iter().enumerate() {
        let number = index + 1;
        let line = label(step);
        let outcome = view.replayed(number).map_or("", |replayed| replayed.outcome.as_str());
        add(
            page,
            format_args!(
                "<li><a href=\"#s{number}\" class=\"{}\"><i>{number}</i><span>{}</span>{}</a></li>\n",
                outcome_class(outcome),
                escape(&line),
                view.rewards(number)
                    .is_empty()
                    .then(String::new)
                    .unwrap_or_else(|| meter(view.rewards(number)))
            ),
        );
    }
    page.push_str("</ol></nav>\n");
}

/// What a step does, in a few words: the directory that it first enters and the name of the editor say little.
fn label(step: &Step) -> String {
    const LABEL_CHARS: usize = 90;
    let action = step.action.text();
    let line = action.trim_start().lines().next().unwrap_or_default();
    let line = match line.strip_prefix("cd ").and_then(|rest| rest.split_once(" && ")) {
        Some((_, rest)) => rest,
        None => line.strip_prefix("str_replace_editor ").unwrap_or(line),
    };
    let path = match &step.action {
        Action::Editor(call) => call.arguments.get("path").and_then(|path| path.as_str()),
        _ => None,
    };
    let name = path.and_then(|path| path.rsplit('/').next());
    match (line.split_whitespace().next(), name) {
        (Some(verb), Some(name)) => format!("{verb} {name}"),
        _ => line.chars().take(LABEL_CHARS).collect(),
    }
}

fn overview(page: &mut String, view: &View<'_>) {
    page.push_str("<article id=\"about\"><dl class=\"facts\">");
    for (name, value) in view.facts() {
        add(page, format_args!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value)));
    }
    page.push_str("</dl>");
    if let Some(problem) = &view.trajectory.problem {
        page.push_str("<h2>Problem</h2>");
        text(page, "problem", problem);
    }
    page.push_str("</article>\n");
}

fn article(page: &mut String, view: &View<'_>, number: usize, step: &Step) {
    let (kind, note) = kind(step);
    let replayed = view.replayed(number);
    let outcome = replayed.map_or("", |replayed| replayed.outcome.as_str());
    add(
        page,
        format_args!(
            "<article id=\"s{number}\" class=\"step {}\" tabindex=\"-1\"><h2><a href=\"#s{number}\">Step {number}</a><span class=\"tag\">{kind}</span>",
            outcome_class(outcome)
        ),
    );
    for note in [note.map(str::to_owned), ending(step)].into_iter().flatten() {
        add(page, format_args!("<span class=\"tag note\">{}</span>", escape(&note)));
    }
    if !outcome.is_empty() {
        let words = outcome.replace('_', " ");
        add(page, format_args!("<span class=\"tag {}\">{}</span>", outcome_class(outcome), escape(&words)));
    }
    page.push_str("</h2>");
    if !step.thought.trim().is_empty() {
        text(page, "thought", &step.thought);
    }
    action(page, step);
    if let Some(observation) = &step.observation {
        text(page, "output", &observation.output);
    }
    if let Some(replayed) = replayed {
        difference(page, replayed);
    }
    rewards(page, view.rewards(number));
    page.push_str("</article>\n");
}

/// The action; a replacement also as a diff.
fn action(page: &mut String, step: &Step) {
    let replaced = match &step.action {
        Action::Editor(EditorCall { arguments, .. }) => {
            let text = |key: &str| arguments.get(key).and_then(|value| value.as_str());
            text("old_str").zip(text("new_str")).map(|pair| (text("path").unwrap_or_default(), pair))
        }
        _ => None,
    };
    match replaced {
        None => text(page, "action", &step.action.text()),
        Some((path, (old, new))) => {
            let changes = similar::TextDiff::from_lines(old, new);
            let changes = changes.unified_diff().context_radius(3).missing_newline_hint(false).to_string();
            add(page, format_args!("<div class=\"action\"><p class=\"path\">{}</p>", escape(path)));
            diff(page, &changes);
            page.push_str("<details><summary>as it was written</summary>");
            text(page, "written", &step.action.text());
            page.push_str("</details></div>");
        }
    }
}

fn difference(page: &mut String, replayed: &StepRecord) {
    if let Some(difference) = &replayed.difference {
        add(
            page,
            format_args!(
                "<div class=\"replay\"><h3>Replayed otherwise, from line {} on <span><del>recorded</del> <ins>replayed</ins></span></h3>",
                difference.line
            ),
        );
        diff(page, &difference.diff);
        page.push_str("</div>");
    } else if !replayed.normalisers.is_empty() {
        let names = escape(&replayed.normalisers.join(", "));
        add(page, format_args!("<p class=\"soft\">Replayed the same but for: {names}</p>"));
    }
}

fn rewards(page: &mut String, rewards: &[Rewarded]) {
    if rewards.is_empty() {
        return;
    }
    add(
        page,
        format_args!("<details class=\"rewards\"><summary>Rewards {}</summary><table>", meter(rewards)),
    );
    for rewarded in rewards {
        let action = rewarded.action.as_deref().unwrap_or("–");
        add(
            page,
            format_args!("<tr><td>{:.3}</td><td><code>{}</code></td></tr>", rewarded.reward, escape(action)),
        );
    }
    page.push_str("</table></details>");
}

/// The mean reward, as a number and as a length.
fn meter(rewards: &[Rewarded]) -> String {
    let values: Vec<f64> = rewards.iter().map(|rewarded| rewarded.reward).collect();
    let mean = mean(&values);
    let width = 100.0 * mean.clamp(0.0, 1.0);
    format!("<span class=\"meter\" style=\"--share:{width:.0}%\">{mean:.2}</span>")
}

fn outcome_class(outcome: &str) -> &'static str {
    match outcome {
        "matched" => "matched",
        "diverged" => "diverged",
        _ => "",
    }
}

/// A text in pieces that are laid out only when they come into sight.
fn text(page: &mut String, class: &str, content: &str) {
    let content = visible(content.trim_end());
    if content.is_empty() {
        return;
    }
    let lines = content.lines().count();
    let long = if 24 < lines || 4000 < content.len() { " long" } else { "" };
    add(page, format_args!("<pre class=\"{class}{long}\" data-lines=\"{lines}\">"));
    chunks(page, &content);
    page.push_str("</pre>");
}

fn chunks(page: &mut String, content: &str) {
    let (mut start, mut lines) = (0, 0);
    for (at, letter) in content.char_indices() {
        let end = at + letter.len_utf8();
        lines += usize::from(letter == '\n');
        // A line that is as long as a piece is cut, or one line would be laid out as a whole.
        if CHUNK_LINES <= lines
            || (CHUNK_BYTES <= end - start && (letter == '\n' || 2 * CHUNK_BYTES <= end - start))
        {
            chunk(page, &content[start..end], lines);
            (start, lines) = (end, 0);
        }
    }
    if start < content.len() {
        chunk(page, &content[start..], lines + 1);
    }
}

fn chunk(page: &mut String, content: &str, lines: usize) {
    add(page, format_args!("<span style=\"--lines:{lines}\">{}</span>", escape_shown(content)));
}

/// A diff, line by line.
fn diff(page: &mut String, content: &str) {
    let content = visible(content.trim_end());
    let lines = content.lines().count();
    let long = if 40 < lines { " long" } else { "" };
    add(page, format_args!("<pre class=\"diff{long}\" data-lines=\"{lines}\">"));
    for line in content.lines() {
        let tag = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ") => "b",
            Some(b'+') => "ins",
            Some(b'-') => "del",
            Some(b'@') => "i",
            _ => "s",
        };
        add(page, format_args!("<{tag}>{}\n</{tag}>", escape_shown(line)));
    }
    page.push_str("</pre>");
}

/// Text that a browser shows as it is, in an element or in an attribute.
/// Text as it may stand in HTML and SVG, attributes included; what cannot be seen is shown.
pub fn escape(text: &str) -> String {
    escape_shown(&visible(text))
}

fn escape_shown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { letter as char } else { '=' });
        }
    }
    text
}

fn add(page: &mut String, piece: std::fmt::Arguments<'_>) {
    page.write_fmt(piece).expect("invariant: a string takes any text");
}
