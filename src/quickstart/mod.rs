//! The whole loop on embedded data: tasks, experts, base, methods, each measured on held-out tasks.
//!
//! Reads downwards: [`Quickstart::run`] is the order of things, and the same for every [`Domain`]; [`code`] and [`math`] say
//! what is theirs. Guarantees that the same seed gives the same table on the same build, that held-out tasks are only
//! measured on, and that an interrupted run goes on where it was.

pub mod code;
pub mod math;
mod measure;
pub mod plan;
mod school;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::event::{Event, EventSink, MethodRow};
use crate::model::Student;
use school::School;

pub use school::{Method, Phase, Train};

/// Where and how quickstart runs.
#[derive(Debug, Clone, Copy)]
pub struct Quickstart<'a> {
    /// Every random choice derives from it.
    pub seed: u64,
    /// The run directory.
    pub dir: &'a Path,
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
}

/// What is learned from, and how it is measured: code or mathematics.
pub trait Domain {
    /// Makes tasks and experts, or reads what an earlier start of the run made.
    ///
    /// # Errors
    /// When the host fails.
    fn lessons(
        &self,
        run: Quickstart<'_>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Box<dyn Lessons + '_>>;
}

/// A domain with its data.
pub trait Lessons {
    /// A student that knows nothing but the words of the training tasks.
    ///
    /// # Errors
    /// When the plan's student cannot be made.
    fn fresh(&self) -> anyhow::Result<Student>;

    /// How the fresh student comes to its first abilities.
    fn base(&self) -> Phase<'_>;

    /// What is made of the base, each with the same compute, in the order of the table.
    fn methods(&self) -> Vec<Method<'_>>;

    /// Measures a student on held-out tasks: one row for each kind of them.
    ///
    /// # Errors
    /// When the host fails.
    fn measure(
        &self,
        method: &str,
        student: &Student,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Vec<MethodRow>>;
}

/// How a quickstart ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The rows of the table, in the order of the methods.
    Done(Vec<MethodRow>),
    /// The user interrupted; the run directory is resumable.
    Interrupted,
}

impl Quickstart<'_> {
    /// Runs the loop.
    ///
    /// # Errors
    /// When the host fails: sandboxes, disk, memory.
    pub fn run(self, domain: &dyn Domain, events: &mut dyn EventSink) -> anyhow::Result<Ending> {
        let lessons = domain.lessons(self, events)?;
        let school = School { dir: self.dir, stop: self.stop };
        let Some(base) = school.base(&*lessons, events)? else { return Ok(Ending::Interrupted) };
        let Some(made) = school.methods(&lessons.methods(), events)? else { return Ok(Ending::Interrupted) };
        let mut rows = Vec::new();
        for (method, student) in std::iter::once((school::BASE, base)).chain(made) {
            for row in lessons.measure(method, &student, events)? {
                events.emit(&Event::MethodMeasured(row.clone()))?;
                rows.push(row);
            }
        }
        Ok(Ending::Done(rows))
    }
}

/// Says that a phase begins.
fn phase(events: &mut dyn EventSink, name: &str, total: Option<u64>) -> anyhow::Result<()> {
    events.emit(&Event::PhaseStarted { phase: name.to_owned(), total })
}

/// Says that a phase ended.
fn ended(events: &mut dyn EventSink, name: &str, started: std::time::Instant) -> anyhow::Result<()> {
    events.emit(&Event::PhaseEnded { phase: name.to_owned(), seconds: started.elapsed().as_secs_f64() })
}
