//! A rollout's events: to the run's file and to the terminal.

use std::time::Instant;

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Progress;
use crate::event::{Event, EventSink, Tee};
use crate::patch::LeftOut;
use crate::rollout::{Finished, Standing};
use crate::run::{EventFile, RunDir};
use crate::sandbox::Contact;

/// The phase that a rollout is.
const PHASE: &str = "rollout";

/// Tells what goes on.
pub(super) struct Board {
    file: EventFile,
    terminal: Progress,
    /// Episodes that an earlier start of the run finished.
    before: u64,
    /// How far it was when the file was told.
    told: Standing,
    began: Instant,
}

impl Board {
    /// Begins the phase of `total` episodes, `before` of which are over already.
    pub(super) fn open(
        run: &RunDir,
        output: Output,
        (total, before): (usize, usize),
    ) -> Result<Self, Failure> {
        let mut board = Self {
            file: run.events()?,
            terminal: Progress::new(output),
            before: before as u64,
            told: Standing::default(),
            began: Instant::now(),
        };
        let begin = Event::PhaseStarted { phase: PHASE.to_owned(), total: Some(total as u64) };
        board.say(&begin).map_err(Failure::host)?;
        if 0 < before {
            board.note(format!("{before} of {total} episodes are over and stay")).map_err(Failure::host)?;
        }
        Ok(board)
    }

    /// An episode is over.
    pub(super) fn ended(&mut self, episode: &Finished) -> anyhow::Result<()> {
        let Finished { trajectory, lost, lost_before, contacts, left_out, .. } = episode;
        let id = &trajectory.task;
        for lost in lost_before {
            self.note(format!("warning: an episode of {id} was started again: {}", lost.with_causes()))?;
        }
        if let Some(lost) = lost {
            self.note(format!("warning: an episode of {id} is lost: {}", lost.with_causes()))?;
        }
        if let Some(summary) = LeftOut::summary(left_out) {
            self.note(format!("an episode of {id} has {summary}"))?;
        }
        if let Some(summary) = Contact::summary(contacts) {
            self.note(format!("an episode of {id} {summary}"))?;
        }
        let attempt = trajectory.id.rsplit('.').next().and_then(|attempt| attempt.parse().ok());
        let end = serde_json::to_value(trajectory.end)?;
        self.say(&Event::EpisodeEnded {
            phase: PHASE.to_owned(),
            task: id.clone(),
            attempt: attempt.unwrap_or_default(),
            steps: trajectory.steps.len() as u64,
            end: end.as_str().unwrap_or_default().to_owned(),
        })
    }

    /// The rollout has got further. The terminal hears of every step, the file of every episode.
    pub(super) fn advanced(&mut self, standing: Standing) -> anyhow::Result<()> {
        let Standing { done, live, lost, steps } = standing;
        let done = done + self.before;
        let event = Event::EpisodesAdvanced { phase: PHASE.to_owned(), done, live, lost, steps };
        if self.told.done < standing.done {
            self.told = standing;
            self.file.emit(&event)?;
        }
        self.terminal.emit(&event)
    }

    /// Ends the phase.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.say(&Event::PhaseEnded { phase: PHASE.to_owned(), seconds })
    }

    fn note(&mut self, text: String) -> anyhow::Result<()> {
        self.say(&Event::Note { text })
    }

    fn say(&mut self, event: &Event) -> anyhow::Result<()> {
        Tee::new().with(&mut self.file).with(&mut self.terminal).emit(event)
    }
}
