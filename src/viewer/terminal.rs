//! A trajectory for a terminal: aligned, readable without colour, long outputs clipped.
//!
//! Guarantees that what is clipped is counted.

use std::ops::RangeInclusive;

use super::{View, ending, kind, mean, visible};
use crate::trajectory::Step;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Long texts are clipped.
    Clipped,
    /// Everything.
    Full,
}

/// Lines of a text that are shown at its beginning and at its end.
const HEAD: usize = 14;
const TAIL: usize = 6;
/// Characters of a line that are shown.
const WIDTH: usize = 400;
/// The column where texts begin.
const LABEL: usize = 8;

/// The trajectory as text, or only the steps with these numbers.
pub fn text(view: &View<'_>, only: Option<&RangeInclusive<usize>>, extent: Extent) -> String {
    let mut text = String::new();
    if only.is_none() {
        head(view, extent, &mut text);
    }
    for (index, step) in view.trajectory.steps.iter().enumerate() {
        if only.is_none_or(|only| only.contains(&(index + 1))) {
            step_text(view, index + 1, step, extent, &mut text);
        }
    }
    if let (None, Some(patch)) = (only, &view.trajectory.patch) {
        text.push_str(&rule("patch"));
        block("patch", patch, extent, &mut text);
    }
    text
}

fn head(view: &View<'_>, extent: Extent, text: &mut String) {
    text.push_str(&format!("{}\n", visible(&view.trajectory.id)));
    for (name, value) in view.facts() {
        text.push_str(&format!("  {name:<10} {}\n", visible(&value)));
    }
    if let Some(problem) = &view.trajectory.problem {
        text.push_str(&rule("problem"));
        block("problem", problem, extent, text);
    }
}

fn step_text(view: &View<'_>, number: usize, step: &Step, extent: Extent, text: &mut String) {
    let (kind, note) = kind(step);
    let mut title = format!("step {number} of {} · {kind}", view.trajectory.steps.len());
    let replayed = view.replayed(number);
    let outcome = replayed.map(|replayed| replayed.outcome.replace('_', " "));
    let notes = [note.map(str::to_owned), ending(step), outcome];
    notes.into_iter().flatten().for_each(|note| title.push_str(&format!(" · {}", visible(&note))));
    text.push_str(&rule(&title));
    block("thought", &step.thought, extent, text);
    block("action", &step.action.text(), extent, text);
    if let Some(observation) = &step.observation {
        block("output", &observation.output, extent, text);
    }
    if let Some(difference) = replayed.and_then(|replayed| replayed.difference.as_ref()) {
        let label = format!("differs from line {} on", difference.line);
        line("replay", &label, text);
        block("", &difference.diff, extent, text);
    }
    if let Some(replayed) = replayed.filter(|replayed| !replayed.normalisers.is_empty()) {
        line("replay", &format!("the same but for: {}", replayed.normalisers.join(", ")), text);
    }
    let rewards = view.rewards(number);
    if !rewards.is_empty() {
        let values: Vec<f64> = rewards.iter().map(|rewarded| rewarded.reward).collect();
        let listed: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
        line("reward", &format!("{:.3} on average: {}", mean(&values), listed.join(" ")), text);
    }
}

fn rule(title: &str) -> String {
    const RULE: usize = 100;
    let used = title.chars().count() + 4;
    format!("\n── {title} {}\n", "─".repeat(RULE.saturating_sub(used)))
}

fn line(label: &str, content: &str, text: &mut String) {
    text.push_str(format!("{label:>LABEL$} │ {}", visible(content)).trim_end());
    text.push('\n');
}

/// A text with a label before its first line.
fn block(label: &str, content: &str, extent: Extent, text: &mut String) {
    let content = visible(content.trim_end());
    if content.is_empty() {
        return;
    }
    let lines: Vec<&str> = content.lines().collect();
    let left_out = match extent {
        Extent::Clipped if HEAD + TAIL + 1 < lines.len() => HEAD..lines.len() - TAIL,
        _ => 0..0,
    };
    for (index, content) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        if left_out.contains(&index) {
            if index == left_out.start {
                let bytes: usize = lines[left_out.clone()].iter().map(|line| line.len() + 1).sum();
                let note = format!("… {} lines ({bytes} bytes) more, shown by `--full`", left_out.len());
                text.push_str(&format!("{:>LABEL$} ┊ {note}\n", ""));
            }
            continue;
        }
        line(label, &cut(content, extent), text);
    }
}

fn cut(line: &str, extent: Extent) -> String {
    let count = line.chars().count();
    if extent == Extent::Full || count <= WIDTH {
        return line.to_owned();
    }
    let head: String = line.chars().take(WIDTH).collect();
    format!("{head} … {} characters more", count - WIDTH)
}
