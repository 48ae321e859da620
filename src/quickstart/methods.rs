//! The three students: the base after a short imitation, and what SFT and SRL make of it with equal compute.
//!
//! Both start from the same weights and may use the same number of units (tokens forward, twice the tokens
//! backward, after sharing), so their comparison depends on no clock. They train at the same time, each on a
//! thread of its own. Every phase resumes from its last checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use anyhow::Context as _;

use super::data::{Data, Side, ended, phase};
use super::hasty;
use super::plan::{MethodPlan, Plan};
use crate::chat;
use crate::event::{Event, EventSink};
use crate::model::tokenizer::ChatTokenizer;
use crate::model::{Student, cpu};
use crate::reward::TextReward;
use crate::seed;
use crate::task::Task;
use crate::train::data::DataSet;
use crate::train::loss::Loss;
use crate::train::reinforce::Reinforcement;
use crate::train::sft::Target;
use crate::train::{Outcome, TrainConfig, Training, checkpoint, sft, srl};
use crate::trajectory::Trajectory;

/// What the phases share.
pub(super) struct School<'a> {
    pub(super) plan: &'a Plan,
    pub(super) data: &'a Data,
    pub(super) seed: u64,
    /// Each phase keeps its checkpoints below its own name here.
    pub(super) dir: &'a Path,
    pub(super) stop: &'a AtomicBool,
}

/// How a phase changes the student.
type Method<'a> =
    dyn Fn(&TrainConfig, &DataSet<'_>, &mut Training<'_>) -> anyhow::Result<Outcome> + Sync + 'a;

impl School<'_> {
    /// The base; absent when the user interrupted.
    pub(super) fn base(&self, events: &mut dyn EventSink) -> anyhow::Result<Option<Student>> {
        let hasty = self.hasty();
        let doubles = hasty.iter().map(|(task, attempt)| (*task, attempt));
        let data = DataSet::new(self.data.train.pairs().chain(doubles));
        let method = imitate(Target::Conversations);
        self.phase("base", &self.plan.base, &data, &|| self.fresh(), &method, events)
    }

    /// A student that knows nothing but the words of the training tasks.
    fn fresh(&self) -> anyhow::Result<Student> {
        let model = &self.plan.model;
        let texts = corpus(self.plan, &self.data.train);
        let tokenizer = ChatTokenizer::train(texts, model.vocabulary, model.pieces)?;
        let config = self.plan.config(tokenizer.vocab_size());
        let seed = seed::derive(self.seed, "student", &[]);
        Ok(Student::init(config, tokenizer, seed, model.std, &cpu())?)
    }

    /// Hasty attempts at each training task.
    fn hasty(&self) -> Vec<(&Task, Trajectory)> {
        let of_one = |(task, expert)| {
            let attempts = hasty::attempts(expert, self.plan.tasks.hasty, self.seed);
            attempts.into_iter().map(move |attempt| (task, attempt))
        };
        self.data.train.pairs().flat_map(of_one).collect()
    }

    /// What SFT and SRL make of the base; absent when the user interrupted.
    pub(super) fn branches(&self, events: &mut dyn EventSink) -> anyhow::Result<Option<[Student; 2]>> {
        let base = self.checkpoints("base");
        let from_base = || load(&checkpoint::latest(&base)?.context("the base has no checkpoint")?);
        let data = &DataSet::new(self.data.train.pairs());
        let method = Reinforcement { groups: self.plan.groups, loss: Loss::default() };
        let with_groups = |config: &TrainConfig, data: &DataSet<'_>, training: &mut Training<'_>| {
            srl::train(config, &method, data, &TextReward::default(), training)
        };
        let (sender, receiver) = mpsc::channel();
        let (sft, srl) = std::thread::scope(|scope| {
            let mut sink = Sender(sender.clone());
            let sft = scope.spawn(move || {
                self.phase("sft", &self.plan.sft, data, &from_base, &imitate(Target::Replies), &mut sink)
            });
            let mut sink = Sender(sender);
            let srl = scope
                .spawn(move || self.phase("srl", &self.plan.srl, data, &from_base, &with_groups, &mut sink));
            receiver.iter().try_for_each(|event| events.emit(&event))?;
            let join = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<Option<Student>>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            anyhow::Ok((join(sft)?, join(srl)?))
        })?;
        Ok(sft.zip(srl).map(|(sft, srl)| [sft, srl]))
    }

    /// Trains a student that `first` makes, or goes on where an earlier start of this run was.
    fn phase(
        &self,
        name: &str,
        method: &MethodPlan,
        data: &DataSet<'_>,
        first: &(dyn Fn() -> anyhow::Result<Student> + Sync),
        train: &Method<'_>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Option<Student>> {
        let dir = self.checkpoints(name);
        let config =
            TrainConfig { save_every: 200, ..self.plan.training(method, seed::derive(self.seed, name, &[])) };
        let latest = checkpoint::latest(&dir)?;
        let student = latest.as_deref().map_or_else(first, load)?;
        phase(events, name, None)?;
        let started = std::time::Instant::now();
        let mut training = Training::new(name, &config, &student, events, self.stop)?;
        training.checkpoints = Some(&dir);
        if let Some(latest) = &latest {
            training.progress = checkpoint::progress(latest)?;
            training.adamw = checkpoint::adamw(latest, config.optimizer, &student)?;
        }
        let outcome = train(&config, data, &mut training)?;
        ended(events, name, started)?;
        Ok((outcome == Outcome::Done).then_some(student))
    }

    fn checkpoints(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("checkpoints")
    }
}

fn imitate(
    target: Target,
) -> impl Fn(&TrainConfig, &DataSet<'_>, &mut Training<'_>) -> anyhow::Result<Outcome> + Sync {
    move |config, data, training| sft::train(config, target, data, training)
}

fn load(dir: &Path) -> anyhow::Result<Student> {
    Ok(Student::load(dir, &cpu())?)
}

/// All that the student will read and write on training tasks.
fn corpus<'a>(plan: &'a Plan, train: &'a Side) -> impl Iterator<Item = String> + 'a {
    let scaffold = plan.scaffold();
    train.pairs().flat_map(move |(task, expert)| {
        chat::conversation(&scaffold, task, &expert.steps).into_iter().map(|message| message.content)
    })
}

/// Hands events to the thread that renders them.
struct Sender(mpsc::Sender<Event>);

impl EventSink for Sender {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        Ok(self.0.send(event.clone())?)
    }
}
