//! What the student did where the expert acted: some groups of some updates, with the texts that the reward found in both.

use std::collections::BTreeMap;

use super::{add, counted};
use crate::chat::{Reply, parse_reply};
use crate::difflib::{Block, matching_blocks};
use crate::event::{ExpertStep, GroupSample, SampledAttempt};
use crate::report::{Report, RunReport};
use crate::reward::TextReward;
use crate::viewer::escape;

/// Groups of a run that are shown.
const GROUPS: usize = 60;
/// Bytes that all groups may take; what is left out stands in the run's `groups.jsonl`.
const BYTES: usize = 1_500_000;

pub(super) fn steps(report: &Report) -> String {
    let sampled: Vec<&RunReport> = report.runs.iter().filter(|run| !run.samples.is_empty()).collect();
    if sampled.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<p class=\"soft\">Groups of replies as they were sampled in training. Marked is what both texts share, by the blocks \
         that the reward counts: the reward is twice the marked characters over all characters of both. Equal colours belong together.</p>\n",
    );
    for run in &sampled {
        if 1 < sampled.len() {
            add(&mut html, format_args!("<h3>{}</h3>\n", escape(&run.name)));
        }
        of_run(&mut html, run, BYTES / sampled.len());
    }
    html
}

fn of_run(html: &mut String, run: &RunReport, bytes: usize) {
    let chosen = evenly(&run.samples, GROUPS);
    let end = html.len() + bytes;
    let mut shown = 0;
    let mut phase = "";
    for sample in &chosen {
        let group = group(run, sample, shown == 0);
        if end < html.len() + group.len() {
            break;
        }
        if phase != sample.phase {
            phase = &sample.phase;
            add(html, format_args!("<h4>{}</h4>\n", escape(phase)));
        }
        html.push_str(&group);
        shown += 1;
    }
    let left = run.samples.len() - shown;
    if 0 < left {
        add(
            html,
            format_args!(
                "<p class=\"soft\">{} in <code>groups.jsonl</code> of the run.</p>\n",
                counted(left, "further group stands", "further groups stand")
            ),
        );
    }
}

/// Some of many, from the first to the last.
fn evenly<T>(all: &[T], count: usize) -> Vec<&T> {
    if all.len() <= count {
        return all.iter().collect();
    }
    (0..count).map(|index| &all[index * (all.len() - 1) / (count - 1)]).collect()
}

fn group(run: &RunReport, sample: &GroupSample, is_open: bool) -> String {
    let rewards: Vec<f64> = sample.attempts.iter().map(|attempt| attempt.reward).collect();
    let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
    let about = match &sample.expert {
        Some(expert) => format!("step {} of <code>{}</code>", expert.step, escape(&expert.trajectory)),
        None => format!("<code>{}</code>", escape(&sample.task)),
    };
    let mut html = format!(
        "<details class=\"group\"{}><summary><span>update {} · {about}</span><span class=\"tag {}\">{}</span>{}</summary>\n",
        if is_open { " open" } else { "" },
        sample.step,
        if sample.kept { "kept" } else { "dropped" },
        if sample.kept { "learned from" } else { "dropped: too alike" },
        meter("mean ", mean),
    );
    match &sample.expert {
        Some(expert) => replies(&mut html, judge(run, &sample.phase), expert, &sample.attempts),
        None => episodes(&mut html, &sample.attempts),
    }
    html.push_str("</details>\n");
    html
}

/// The reward by which a phase judged texts, as far as the run says it.
fn judge(run: &RunReport, phase: &str) -> TextReward {
    let recipe = &run.manifest.recipe;
    let stage = phase.split_once('-').and_then(|(number, _)| number.parse::<usize>().ok());
    let recipe = stage.and_then(|number| recipe.get("stages")?.get(number.checked_sub(1)?)).unwrap_or(recipe);
    let text = recipe.get("reward").and_then(|reward| reward.get("text"));
    text.and_then(|text| serde_json::from_value(text.clone()).ok()).unwrap_or_default()
}

fn replies(html: &mut String, judge: TextReward, expert: &ExpertStep, attempts: &[SampledAttempt]) {
    if !expert.thought.trim().is_empty() {
        add(html, format_args!("<p class=\"thought\"><b>Expert</b> {}</p>\n", escape(expert.thought.trim())));
    }
    for (reward, said, count) in alike(attempts) {
        let times =
            if 1 < count { format!("<span class=\"soft\">{count} times</span>") } else { String::new() };
        match parse_reply(said) {
            Ok(Reply { thought, action }) => {
                add(
                    html,
                    format_args!(
                        "<div class=\"reply\"><p class=\"thought\">{}{times} {}</p>",
                        meter("", reward),
                        escape(thought.trim())
                    ),
                );
                pair(html, judge, &expert.action, action);
                html.push_str("</div>\n");
            }
            Err(error) => add(
                html,
                format_args!(
                    "<div class=\"reply\"><p class=\"thought\">{}{times} <span class=\"tag dropped\">{}</span></p><pre>{}</pre></div>\n",
                    meter("", reward),
                    escape(&error.to_string()),
                    escape(said)
                ),
            ),
        }
    }
}

/// Attempts that say the same, told once with their number, the best first.
fn alike(attempts: &[SampledAttempt]) -> Vec<(f64, &str, usize)> {
    let mut counts: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for attempt in attempts {
        let said = attempt.replies.first().map_or("", String::as_str);
        counts.entry(said).or_insert((attempt.reward, 0)).1 += 1;
    }
    let mut alike: Vec<_> = counts.into_iter().map(|(said, (reward, count))| (reward, said, count)).collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    alike
}

/// Both actions side by side, with what they share.
fn pair(html: &mut String, judge: TextReward, expert: &str, student: &str) {
    let (expert, student) = (judge.scope.text(expert.trim()), judge.scope.text(student.trim()));
    let blocks = matching_blocks(&student, &expert, judge.autojunk);
    let of_expert: Vec<(usize, usize)> = blocks.iter().map(|block| (block.b, block.len)).collect();
    let of_student: Vec<(usize, usize)> = blocks.iter().map(|&Block { a, len, .. }| (a, len)).collect();
    add(
        html,
        format_args!(
            "<div class=\"pair\"><figure><figcaption>expert</figcaption><pre>{}</pre></figure>\
             <figure><figcaption>student</figcaption><pre>{}</pre></figure></div>",
            marked(&expert, &of_expert),
            marked(&student, &of_student),
        ),
    );
}

/// A text with runs of its characters marked, in turn in one of four colours.
fn marked(text: &str, runs: &[(usize, usize)]) -> String {
    let mut html = String::new();
    let mut letters = text.chars();
    let mut at = 0;
    for (run_idx, &(start, len)) in runs.iter().enumerate() {
        html.push_str(&escape(&letters.by_ref().take(start - at).collect::<String>()));
        let run: String = letters.by_ref().take(len).collect();
        add(&mut html, format_args!("<mark class=\"m{}\">{}</mark>", run_idx % 4, escape(&run)));
        at = start + len;
    }
    html + &escape(letters.as_str())
}

/// Attempts at a whole task: their rewards and what was said.
fn episodes(html: &mut String, attempts: &[SampledAttempt]) {
    for attempt in attempts {
        add(
            html,
            format_args!(
                "<details class=\"reply\"><summary>{} {}</summary>",
                meter("", attempt.reward),
                counted(attempt.replies.len(), "reply", "replies")
            ),
        );
        for reply in &attempt.replies {
            add(html, format_args!("<pre>{}</pre>", escape(reply)));
        }
        html.push_str("</details>\n");
    }
}

/// A reward as a number and as a length.
fn meter(word: &str, reward: f64) -> String {
    let share = 100.0 * reward.clamp(0.0, 1.0);
    let number = format!("{reward:.2}").replace('-', "−");
    format!("<span class=\"meter\" style=\"--share:{share:.0}%\">{word}{number}</span>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_blocks_of_the_reward() {
        let mut html = String::new();
        pair(&mut html, TextReward::default(), "sed -n 1p ü<b>", "sed -i 1p ü<b>!");
        let expert = "<pre><mark class=\"m0\">sed -</mark>n<mark class=\"m1\"> 1p ü&lt;b&gt;</mark></pre>";
        let student = "<pre><mark class=\"m0\">sed -</mark>i<mark class=\"m1\"> 1p ü&lt;b&gt;</mark>!</pre>";
        assert!(html.contains(expert) && html.contains(student), "{html}");
    }

    #[test]
    fn replies_that_are_alike_are_told_once_and_the_best_first() {
        let attempt = |reward, said: &str| SampledAttempt { reward, replies: vec![said.to_owned()] };
        let attempts = [attempt(-1.0, "?"), attempt(0.5, "a"), attempt(1.0, "b"), attempt(0.5, "a")];
        assert_eq!(alike(&attempts), [(1.0, "b", 1), (0.5, "a", 2), (-1.0, "?", 1)]);
    }

    #[test]
    fn few_of_many_reach_from_the_first_to_the_last() {
        let all: Vec<usize> = (0..1000).collect();
        let some = evenly(&all, 60);
        assert_eq!((some.len(), some[0], some[59]), (60, &0, &999));
        assert_eq!(evenly(&all[..3], 60), [&0, &1, &2]);
    }
}
