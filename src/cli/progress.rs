//! The terminal's rendering of events: bars with times left, one line for each finished phase.
//!
//! Guarantees that nothing is drawn under `--quiet`, that a log file gets plain lines, and that
//! colour stays away under `NO_COLOR`. Everything goes to stderr.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::Output;
use crate::event::{Event, EventSink, MethodRow};

/// Draws events as they come.
pub struct Progress {
    output: Output,
    /// Present when stderr is a terminal that may be drawn on.
    bars: Option<MultiProgress>,
    phases: BTreeMap<String, Phase>,
}

#[derive(Default)]
struct Phase {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    done: u64,
    graded: u64,
    resolved: u64,
    metrics: BTreeMap<String, f64>,
    /// Of a rollout: episodes that are live and lost, and steps a second.
    episodes: Option<Episodes>,
    started: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Episodes {
    live: u64,
    lost: u64,
    /// Steps a second.
    pace: f64,
}

impl Progress {
    /// A rendering on stderr with the user's choices.
    pub fn new(output: Output) -> Self {
        let bars = output.is_interactive().then(MultiProgress::new);
        Self { output, bars, phases: BTreeMap::new() }
    }

    fn line(&self, verb: &str, text: &str) {
        let line = format!("{verb:>12} {text}");
        match &self.bars {
            // A terminal that is gone leaves nobody to tell.
            Some(bars) => drop(bars.println(line)),
            None => self.output.say(&line),
        }
    }

    fn start(&mut self, name: &str, total: Option<u64>) {
        let bar = self.bars.as_ref().map(|bars| bars.add(bar(name, total)));
        let started = Some(Instant::now());
        self.phases.insert(name.to_owned(), Phase { bar, total, started, ..Phase::default() });
    }

    fn advance(&mut self, name: &str, done: u64) {
        let phase = self.phases.entry(name.to_owned()).or_default();
        let before = phase.done;
        phase.done = done;
        if let Some(bar) = &phase.bar {
            bar.set_position(done);
            bar.set_message(phase.message());
            return;
        }
        // A log file needs signs of life, not every unit: ten lines a phase.
        let Some(total) = phase.total.filter(|&total| done < total) else { return };
        if before * 10 / total < done * 10 / total {
            let text = format!("{name}  {done}/{total}{}", phase.suffix());
            self.line("Running", &text);
        }
    }

    fn advance_episodes(&mut self, name: &str, done: u64, (live, lost, steps): (u64, u64, u64)) {
        let phase = self.phases.entry(name.to_owned()).or_default();
        let seconds = phase.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let pace = if 0.0 < seconds { steps as f64 / seconds } else { 0.0 };
        phase.episodes = Some(Episodes { live, lost, pace });
        self.advance(name, done);
    }

    /// Takes the newest numbers of a phase; those that an update does not have stay.
    fn learn(&mut self, name: &str, metrics: &BTreeMap<String, f64>) {
        let known = &mut self.phases.entry(name.to_owned()).or_default().metrics;
        known.extend(metrics.iter().map(|(metric, value)| (metric.clone(), *value)));
    }

    fn finish(&mut self, name: &str, seconds: f64) {
        let phase = self.phases.remove(name).unwrap_or_default();
        if let Some(bar) = &phase.bar {
            bar.finish_and_clear();
        }
        let amount = if 0 < phase.done { format!("  {} in", phase.done) } else { "  in".to_owned() };
        self.line("Finished", &format!("{name}{amount} {}{}", duration(seconds), phase.suffix()));
    }

    fn validated(&self, phase: &str, step: u64, metrics: &BTreeMap<String, f64>, best: bool) {
        let reward = metrics.get("reward").copied().unwrap_or(f64::NAN);
        let best = if best { ", the best so far" } else { "" };
        self.line("Validated", &format!("{phase}  reward {reward:.3} after {step} updates{best}"));
    }

    fn measured(&self, row: &MethodRow) {
        let (method, rate) = (row.name(), percent(row.rate));
        let interval = format!("{} to {}", percent(row.low), percent(row.high));
        self.line(
            "Measured",
            &format!("{method}  {}/{} resolved, {rate} ({interval})", row.resolved, row.tasks),
        );
    }
}

impl EventSink for Progress {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::PhaseStarted { phase, total } => self.start(phase, *total),
            Event::PhaseAdvanced { phase, done } => self.advance(phase, *done),
            Event::PhaseEnded { phase, seconds } => self.finish(phase, *seconds),
            Event::StepTrained { phase, step, metrics } => {
                self.learn(phase, metrics);
                self.advance(phase, step + 1);
            }
            Event::StepTimed { phase, metrics, .. } => self.learn(phase, metrics),
            Event::Validated { phase, step, metrics, best } => self.validated(phase, *step, metrics, *best),
            Event::StepSkipped { phase, step, .. } => self.advance(phase, step + 1),
            Event::TaskGraded { phase, outcome, .. } => {
                let phase = self.phases.entry(phase.clone()).or_default();
                phase.graded += 1;
                phase.resolved += u64::from(outcome == "resolved");
            }
            Event::EpisodeEnded { task, steps, end, .. } => {
                self.line("Ran", &format!("{task}  {steps} steps, {}", end.replace('_', " ")));
            }
            Event::EpisodesAdvanced { phase, done, live, lost, steps } => {
                self.advance_episodes(phase, *done, (*live, *lost, *steps));
            }
            Event::MethodMeasured(row) => self.measured(row),
            Event::Note { text } => self.line("Note", text),
            Event::CheckpointSaved { .. } | Event::GroupSampled(_) => {}
        }
        Ok(())
    }
}

impl Phase {
    /// What a reader wants to see beside the count, such as `reward 0.412  loss 0.0031`.
    fn message(&self) -> String {
        let mut parts = Vec::new();
        for (name, shown) in [("reward", "reward"), ("loss", "loss")] {
            if let Some(value) = self.metrics.get(name) {
                parts.push(format!("{shown} {value:.3}"));
            }
        }
        if let (Some(kept), Some(dropped)) = (self.metrics.get("kept"), self.metrics.get("dropped")) {
            parts.push(format!("kept {kept}/{}", kept + dropped));
        }
        if let Some(norm) = self.metrics.get("grad_norm") {
            parts.push(format!("grad {norm:.2}"));
        }
        if let Some(speed) = self.metrics.get("tokens_per_second") {
            parts.push(format!("{speed:.0} tok/s"));
        }
        if let Some(Episodes { live, lost, pace }) = self.episodes {
            parts.push(format!("{live} live"));
            if 0 < lost {
                parts.push(format!("{lost} lost"));
            }
            parts.push(format!("{pace:.1} steps/s"));
        }
        if 0 < self.graded {
            parts.push(format!("resolved {}/{}", self.resolved, self.graded));
        }
        parts.join("  ")
    }

    fn suffix(&self) -> String {
        let message = self.message();
        if message.is_empty() { message } else { format!("  {message}") }
    }
}

fn bar(name: &str, total: Option<u64>) -> ProgressBar {
    let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let prefix = if has_colour { "{prefix:>12.cyan.bold}" } else { "{prefix:>12}" };
    let template = match total {
        Some(_) => format!("{prefix} [{{bar:28}}] {{pos}}/{{len}}  {{eta}} left  {{wide_msg}}"),
        None => format!("{prefix} {{pos}}  {{elapsed}}  {{wide_msg}}"),
    };
    let style = ProgressStyle::with_template(&template)
        .expect("invariant: the template names fields of indicatif")
        .progress_chars("=> ");
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    bar.with_style(style).with_prefix(name.to_owned())
}

/// A duration that people read: `0.42 s`, `12 s`, `3m 20s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole / 60 % 60),
    }
}

/// A share as whole per cent.
pub fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_no_needless_digits() {
        let texts = [0.4213, 12.3, 119.0, 200.0, 9000.0].map(duration);
        assert_eq!(texts, ["0.42 s", "12 s", "119 s", "3m 20s", "2h 30m"]);
    }

    #[test]
    fn bars_with_and_without_a_known_length_can_be_drawn() {
        for total in [Some(3), None] {
            let bar = bar("srl", total);
            bar.set_position(2);
            assert_eq!((bar.position(), bar.length(), bar.prefix().as_str()), (2, total, "srl"));
        }
    }

    #[test]
    fn a_phase_shows_what_it_learnt_and_what_it_kept() {
        let metrics =
            [("reward", 0.4123), ("loss", 0.0031), ("kept", 13.0), ("dropped", 3.0), ("grad_norm", 0.84)];
        let phase = Phase {
            metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Phase::default()
        };
        assert_eq!(phase.message(), "reward 0.412  loss 0.003  kept 13/16  grad 0.84");
    }

    #[test]
    fn times_are_shown_beside_what_was_learnt() {
        let mut progress = Progress::new(Output::new(false, true));
        let metrics =
            |pairs: &[(&str, f64)]| pairs.iter().map(|(name, x)| ((*name).to_owned(), *x)).collect();
        let (phase, step) = ("srl".to_owned(), 0);
        let times = metrics(&[("tokens_per_second", 1234.4), ("seconds", 3.0)]);
        progress.emit(&Event::StepTimed { phase: phase.clone(), step, metrics: times }).unwrap();
        let learnt = metrics(&[("loss", 0.5)]);
        progress.emit(&Event::StepTrained { phase, step, metrics: learnt }).unwrap();
        assert_eq!(progress.phases["srl"].message(), "loss 0.500  1234 tok/s");
    }

    #[test]
    fn a_rollout_shows_who_is_live_and_who_was_lost() {
        let mut progress = Progress::new(Output::new(false, true));
        let phase = "rollout".to_owned();
        progress.emit(&Event::PhaseStarted { phase: phase.clone(), total: Some(9) }).unwrap();
        progress.emit(&Event::EpisodesAdvanced { phase, done: 3, live: 4, lost: 1, steps: 0 }).unwrap();
        let phase = &progress.phases["rollout"];
        assert_eq!((phase.done, phase.message().as_str()), (3, "4 live  1 lost  0.0 steps/s"));
    }

    #[test]
    fn graded_tasks_are_counted_by_phase() {
        let mut progress = Progress::new(Output::new(false, true));
        for outcome in ["resolved", "unresolved"] {
            let event = Event::TaskGraded {
                phase: "eval".to_owned(),
                task: "a".to_owned(),
                attempt: 0,
                outcome: outcome.to_owned(),
            };
            progress.emit(&event).unwrap();
        }
        assert_eq!(progress.phases["eval"].message(), "resolved 1/2");
    }
}
