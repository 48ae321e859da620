//! The whole loop on embedded data: tasks, experts, base, SFT and SRL, measured on held-out tasks.
//!
//! Reads downwards: [`Quickstart::run`] is the order of things. Guarantees that the same seed gives the same table on the
//! same build, that held-out tasks are only measured on, and that an interrupted run goes on where it was.

mod data;
mod hasty;
mod measure;
mod methods;
pub mod plan;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::episode::Budget;
use crate::event::{EventSink, MethodRow};
use crate::model::Student;
use crate::ready::Ready;
use crate::rollout;
use crate::sandbox::Backend;
use crate::sandbox::spec::SandboxSpec;
use data::Workshop;
use methods::School;
use plan::Plan;

/// Where and how quickstart runs.
pub struct Quickstart<'a> {
    /// What it does.
    pub plan: &'a Plan,
    /// Every random choice derives from it.
    pub seed: u64,
    /// The run directory.
    pub dir: &'a Path,
    /// Makes the sandboxes.
    pub backend: &'a Arc<dyn Backend>,
    /// What the sandboxes are made of.
    pub spec: &'a Arc<SandboxSpec>,
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
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
    pub fn run(&self, events: &mut dyn EventSink) -> anyhow::Result<Ending> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let workshop = self.workshop();
        let data = runtime.block_on(workshop.data(self.plan, events))?;
        let school = School { plan: self.plan, data: &data, seed: self.seed, dir: self.dir, stop: self.stop };
        let Some(base) = school.base(events)? else { return Ok(Ending::Interrupted) };
        let Some([sft, srl]) = school.branches(events)? else { return Ok(Ending::Interrupted) };
        let mut rows = Vec::new();
        for (name, student) in [("base", &base), ("sft", &sft), ("srl", &srl)] {
            rows.push(runtime.block_on(self.measure(name, student, &data, &workshop, events))?);
        }
        Ok(Ending::Done(rows))
    }

    async fn measure(
        &self,
        name: &str,
        student: &Student,
        data: &data::Data,
        workshop: &Workshop<'_>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<MethodRow> {
        measure::measure(name, student, (self.plan, data, self.seed), workshop, events).await
    }

    fn workshop(&self) -> Workshop<'_> {
        let options = rollout::Options {
            scaffold: self.plan.scaffold(),
            budget: Budget::of_steps(self.plan.measure.steps),
            seed: self.seed,
            parallel: usize::MAX,
            samples: rollout::Samples::Dropped,
            ready: Arc::new(Ready::below(&data::cache(self.dir))),
        };
        Workshop { backend: self.backend, spec: self.spec, dir: self.dir, options }
    }
}
