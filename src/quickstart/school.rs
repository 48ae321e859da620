//! The students: the base after a short imitation, and what each method makes of it with equal compute.
//!
//! All methods start from the same weights and may use the same number of units (tokens forward, twice the tokens
//! backward, after sharing), so their comparison depends on no clock. They train at the same time, each on a
//! thread of its own. Every phase resumes from its last checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use anyhow::Context as _;

use super::{Lessons, ended, phase};
use crate::event::{Event, EventSink};
use crate::model::{Student, cpu};
use crate::train::{Outcome, TrainConfig, Training, checkpoint};

/// The student that the methods begin with.
pub(super) const BASE: &str = "base";

/// How a student is made of the base.
pub struct Method<'a> {
    /// What the table calls it.
    pub name: &'static str,
    /// One training after the other, the first from the base.
    pub phases: Vec<Phase<'a>>,
}

/// A training.
pub struct Phase<'a> {
    /// What events and directories call it.
    pub name: &'static str,
    /// Its numbers.
    pub config: TrainConfig,
    /// How it changes the student.
    pub train: Box<Train<'a>>,
}

/// How a phase changes the student.
pub type Train<'a> = dyn Fn(&TrainConfig, &mut Training<'_>) -> anyhow::Result<Outcome> + Send + Sync + 'a;

/// What the phases share.
#[derive(Clone, Copy)]
pub(super) struct School<'a> {
    /// Each phase keeps its checkpoints below its own name here.
    pub(super) dir: &'a Path,
    pub(super) stop: &'a AtomicBool,
}

impl School<'_> {
    /// The base; absent when the user interrupted.
    pub(super) fn base(
        self,
        lessons: &dyn Lessons,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Option<Student>> {
        self.phase(&lessons.base(), &|| lessons.fresh(), events)
    }

    /// What the methods make of the base, in their order; absent when the user interrupted.
    pub(super) fn methods(
        self,
        methods: &[Method<'_>],
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Option<Vec<(&'static str, Student)>>> {
        let (sender, receiver) = mpsc::channel();
        let students = std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(methods.len());
            for method in methods {
                let mut sink = Sender(sender.clone());
                threads.push(scope.spawn(move || self.method(method, &mut sink)));
            }
            // The last thread to end closes the channel.
            drop(sender);
            receiver.iter().try_for_each(|event| events.emit(&event))?;
            let join = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<Option<Student>>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect::<anyhow::Result<Option<Vec<Student>>>>()
        })?;
        Ok(students.map(|students| methods.iter().map(|method| method.name).zip(students).collect()))
    }

    /// The phases of a method, each from where the one before ended.
    fn method(self, method: &Method<'_>, events: &mut dyn EventSink) -> anyhow::Result<Option<Student>> {
        let mut before = BASE;
        let mut student = None;
        for phase in &method.phases {
            student = self.phase(phase, &|| self.last(before), events)?;
            if student.is_none() {
                break;
            }
            before = phase.name;
        }
        Ok(student)
    }

    /// Trains a student that `first` makes, or goes on where an earlier start of this run was.
    fn phase(
        self,
        Phase { name, config, train }: &Phase<'_>,
        first: &dyn Fn() -> anyhow::Result<Student>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Option<Student>> {
        let dir = self.checkpoints(name);
        let latest = checkpoint::latest(&dir)?;
        let student = latest.as_deref().map_or_else(first, load)?;
        phase(events, name, None)?;
        let started = std::time::Instant::now();
        let mut training = Training::new(name, config, &student, events, self.stop)?;
        training.checkpoints = Some(&dir);
        if let Some(latest) = &latest {
            training.progress = checkpoint::progress(latest)?;
            training.adamw = checkpoint::adamw(latest, config.optimizer, &student)?;
        }
        let outcome = train(config, &mut training)?;
        ended(events, name, started)?;
        Ok((outcome == Outcome::Done).then_some(student))
    }

    /// The student that a phase came to.
    fn last(self, phase: &str) -> anyhow::Result<Student> {
        let latest = checkpoint::latest(&self.checkpoints(phase))?;
        load(&latest.with_context(|| format!("`{phase}` has no checkpoint"))?)
    }

    fn checkpoints(self, phase: &str) -> PathBuf {
        self.dir.join(phase).join("checkpoints")
    }
}

fn load(dir: &Path) -> anyhow::Result<Student> {
    Ok(Student::load(dir, &cpu())?)
}

/// Hands events to the thread that renders them.
struct Sender(mpsc::Sender<Event>);

impl EventSink for Sender {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        Ok(self.0.send(event.clone())?)
    }
}
