//! Code: bugs in embedded repositories, experts that are replayed in sandboxes, SFT and SRL, and the tests decide.

mod data;
mod hasty;
mod plan;

use std::sync::Arc;

use tokio::runtime::Runtime;

use self::data::{Data, Workshop};
use super::measure::{self, Counted};
use super::{Domain, Lessons, Method, Phase, Quickstart};
use crate::chat;
use crate::episode::Budget;
use crate::event::{Event, EventSink, MethodRow};
use crate::model::Student;
use crate::model::policy::StudentPolicy;
use crate::ready::Ready;
use crate::reward::TextReward;
use crate::rollout;
use crate::sandbox::Backend;
use crate::sandbox::spec::SandboxSpec;
use crate::seed;
use crate::task::Task;
use crate::train::data::DataSet;
use crate::train::loss::Loss;
use crate::train::reinforce::Reinforcement;
use crate::train::sft::{self, Target};
use crate::train::srl;
use crate::trajectory::Trajectory;

pub use plan::{DEFAULT, Plan, TaskPlan};

/// Quickstart with bugs.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    /// What it does.
    pub plan: &'a Plan,
    /// Makes the sandboxes.
    pub backend: &'a Arc<dyn Backend>,
    /// What the sandboxes are made of.
    pub spec: &'a Arc<SandboxSpec>,
}

impl Domain for Code<'_> {
    fn lessons(
        &self,
        run: Quickstart<'_>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Box<dyn Lessons + '_>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let options = rollout::Options {
            scaffold: self.plan.scaffold(),
            budget: Budget::of_steps(self.plan.measure.steps),
            seed: run.seed,
            parallel: usize::MAX,
            samples: rollout::Samples::Dropped,
            ready: Arc::new(Ready::below(&data::cache(run.dir))),
        };
        let workshop = Workshop { backend: self.backend, spec: self.spec, dir: run.dir.to_owned(), options };
        let data = runtime.block_on(workshop.data(self.plan, events))?;
        Ok(Box::new(CodeLessons { plan: self.plan, seed: run.seed, workshop, data, runtime }))
    }
}

struct CodeLessons<'a> {
    plan: &'a Plan,
    seed: u64,
    workshop: Workshop<'a>,
    data: Data,
    runtime: Runtime,
}

impl Lessons for CodeLessons<'_> {
    fn fresh(&self) -> anyhow::Result<Student> {
        let scaffold = self.plan.scaffold();
        let said = self.data.train.pairs().flat_map(|(task, expert)| {
            chat::conversation(&scaffold, task, &expert.steps).into_iter().map(|message| message.content)
        });
        let seed = seed::derive(self.seed, "student", &[]);
        self.plan.model.fresh(said, self.plan.measure.context_tokens, seed)
    }

    fn base(&self) -> Phase<'_> {
        let (train, hasty) = (&self.data.train, self.hasty());
        Phase {
            name: "base",
            config: self.plan.training("base", &self.plan.base, self.seed),
            train: Box::new(move |config, training| {
                let doubles = hasty.iter().map(|(task, attempt)| (*task, attempt));
                let data = DataSet::new(train.pairs().chain(doubles));
                sft::train(config, Target::Conversations, &data, training)
            }),
        }
    }

    fn methods(&self) -> Vec<Method<'_>> {
        let train = &self.data.train;
        let sft = Phase {
            name: "sft",
            config: self.plan.training("sft", &self.plan.sft, self.seed),
            train: Box::new(|config, training| {
                sft::train(config, Target::Replies, &DataSet::new(train.pairs()), training)
            }),
        };
        let method = Reinforcement { groups: self.plan.groups, loss: Loss::default() };
        let srl = Phase {
            name: "srl",
            config: self.plan.training("srl", &self.plan.srl, self.seed),
            train: Box::new(move |config, training| {
                srl::train(config, &method, &DataSet::new(train.pairs()), &TextReward::default(), training)
            }),
        };
        [sft, srl].map(|phase| Method { name: phase.name, phases: vec![phase] }).into()
    }

    fn measure(
        &self,
        method: &str,
        student: &Student,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Vec<MethodRow>> {
        let (options, held_out) = (self.plan.measure.sampling(), &self.data.held_out);
        let next =
            measure::next_steps(student, held_out.pairs(), (&self.plan.scaffold(), self.seed), &options)?;
        let mut policy = StudentPolicy { student: student.clone(), options, name: method.to_owned() };
        let phase = format!("measure {method}");
        let graded =
            self.runtime.block_on(self.workshop.roll_out(&phase, &mut policy, &held_out.tasks, events))?;
        let valid: Vec<_> = graded.iter().filter(|done| done.verdict.outcome.is_valid()).collect();
        if valid.len() < graded.len() {
            let text = format!(
                "{} episodes of {method} were lost to the host and are not counted",
                graded.len() - valid.len()
            );
            events.emit(&Event::Note { text })?;
        }
        let resolved = valid.iter().filter(|done| done.verdict.is_resolved()).count();
        Ok(vec![measure::row((method, None), Counted { resolved, tasks: valid.len() }, next)])
    }
}

impl CodeLessons<'_> {
    /// Hasty attempts at each training task.
    fn hasty(&self) -> Vec<(&Task, Trajectory)> {
        let of_one = |(task, expert)| {
            let attempts = hasty::attempts(expert, self.plan.tasks.hasty, self.seed);
            attempts.into_iter().map(move |attempt| (task, attempt))
        };
        self.data.train.pairs().flat_map(of_one).collect()
    }
}
