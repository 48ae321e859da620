//! Mathematics: problems with worked steps, SFT, RLVR, SRL and SRL then RLVR, and the judge of answers decides.
//!
//! The student is measured as it is trained: it writes step after step until one has an answer in a box. Needs no sandbox.

mod data;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Instant;

use self::data::Side;
use super::measure::{self, Counted};
use super::plan::MethodPlan;
use super::{Domain, Lessons, Method, Phase, Quickstart, ended, phase};
use crate::chat;
use crate::event::{Event, EventSink, MethodRow};
use crate::fsio;
use crate::model::Student;
use crate::model::policy::StudentPolicy;
use crate::practice::Exercises;
use crate::reward::TextReward;
use crate::seed;
use crate::solve::{self, Strict};
use crate::synth::math::{self, Problems};
use crate::task::Task;
use crate::train::data::DataSet;
use crate::train::sft::{self, Target};
use crate::train::{grpo, srl};
use crate::trajectory::Trajectory;

pub use plan::{DEFAULT, Plan, StagesPlan, TaskPlan};

/// Quickstart with problems of mathematics.
#[derive(Debug, Clone, Copy)]
pub struct Math<'a> {
    /// What it does.
    pub plan: &'a Plan,
}

impl Domain for Math<'_> {
    fn lessons(
        &self,
        run: Quickstart<'_>,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Box<dyn Lessons + '_>> {
        let problems = data::problems(&self.plan.tasks)?;
        write(&problems, &run.dir.join("tasks"), events)?;
        let [train, new_numbers, new_templates] =
            problems.named().map(|(name, problems)| (name, Side::new(name, problems)));
        let (dir, seed) = (run.dir.to_owned(), run.seed);
        let held_out = [new_numbers, new_templates];
        Ok(Box::new(MathLessons { plan: self.plan, seed, dir, train: train.1, held_out }))
    }
}

/// Writes what the run is about for who wants to read it, once: the held-out tasks, and all worked solutions.
fn write(problems: &Problems, dir: &Path, events: &mut dyn EventSink) -> anyhow::Result<()> {
    let (name, started) = ("synthesis", Instant::now());
    phase(events, name, None)?;
    let [(train, learned), held_out @ ..] = problems.named();
    let written = dir.join(train).join("trajectories.jsonl");
    if !written.exists() {
        for (name, problems) in held_out {
            math::write(problems, name, &dir.join(name))?;
        }
        math::write_experts(learned, &dir.join(train))?;
    }
    ended(events, name, started)?;
    let counted = problems.named().map(|(name, problems)| {
        format!("{} problems of {} templates in {name}", problems.len(), data::templates(problems))
    });
    events.emit(&Event::Note { text: counted.join(", ") })
}

struct MathLessons<'a> {
    plan: &'a Plan,
    seed: u64,
    dir: PathBuf,
    train: Side,
    /// By what the table calls them.
    held_out: [(&'static str, Side); 2],
}

impl Lessons for MathLessons<'_> {
    fn fresh(&self) -> anyhow::Result<Student> {
        let scaffold = self.plan.scaffold();
        let said = self.train.pairs().flat_map(|(task, expert)| {
            let read =
                chat::conversation(&scaffold, task, &expert.steps).into_iter().map(|message| message.content);
            read.chain(expert.steps.iter().map(chat::render_reply))
        });
        let seed = seed::derive(self.seed, "student", &[]);
        self.plan.model.fresh(said, self.plan.measure.context_tokens, seed)
    }

    fn base(&self) -> Phase<'_> {
        let train = &self.train;
        Phase {
            name: "base",
            config: self.plan.training("base", &self.plan.base, self.seed),
            train: Box::new(|config, training| {
                sft::train(config, Target::Replies, &DataSet::new(train.pairs()), training)
            }),
        }
    }

    fn methods(&self) -> Vec<Method<'_>> {
        let stages = &self.plan.srl_rlvr;
        vec![
            Method { name: "sft", phases: vec![self.sft()] },
            Method { name: "rlvr", phases: vec![self.rlvr("rlvr", &self.plan.rlvr)] },
            Method { name: "srl", phases: vec![self.srl("srl", &self.plan.srl)] },
            Method {
                name: "srl-rlvr",
                phases: vec![self.srl("srl-rlvr-1", &stages.srl), self.rlvr("srl-rlvr-2", &stages.rlvr)],
            },
        ]
    }

    fn measure(
        &self,
        method: &str,
        student: &Student,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Vec<MethodRow>> {
        let measured =
            |(set, side): &(&'static str, Side)| self.measure_on((method, set), side, student, events);
        self.held_out.iter().map(measured).collect()
    }
}

impl MathLessons<'_> {
    fn sft(&self) -> Phase<'_> {
        let train = &self.train;
        Phase {
            name: "sft",
            config: self.plan.training("sft", &self.plan.sft, self.seed),
            train: Box::new(|config, training| {
                sft::train(config, Target::Replies, &DataSet::new(train.pairs()), training)
            }),
        }
    }

    fn srl(&self, name: &'static str, method: &MethodPlan) -> Phase<'_> {
        let (train, reinforcement) = (&self.train, self.plan.reinforcement());
        Phase {
            name,
            config: self.plan.training(name, method, self.seed),
            train: Box::new(move |config, training| {
                let data = DataSet::new(train.pairs());
                srl::train(config, &reinforcement, &data, &TextReward::default(), training)
            }),
        }
    }

    fn rlvr(&self, name: &'static str, method: &MethodPlan) -> Phase<'_> {
        let (train, plan) = (&self.train, self.plan);
        Phase {
            name,
            config: self.plan.training(name, method, self.seed),
            train: Box::new(move |config, training| {
                let tasks = train.tasks.iter().collect();
                let mut practice = Exercises { tasks, manner: plan.manner(), judge: &Strict };
                grpo::train(config, &plan.reinforcement(), &mut practice, training)
            }),
        }
    }

    /// Lets a student solve each problem once, step after step.
    fn measure_on(
        &self,
        (method, set): (&str, &str),
        side: &Side,
        student: &Student,
        events: &mut dyn EventSink,
    ) -> anyhow::Result<MethodRow> {
        let (name, started, total) = (format!("measure {method} {set}"), Instant::now(), side.tasks.len());
        phase(events, &name, Some(total as u64))?;
        let options = self.plan.measure.sampling();
        let next = measure::next_steps(student, side.pairs(), (&self.plan.scaffold(), self.seed), &options)?;
        let mut policy = StudentPolicy { student: student.clone(), options, name: method.to_owned() };
        let tasks: Vec<&Task> = side.tasks.iter().collect();
        let tries = solve::tries(&mut policy, &tasks, (1, self.seed), &self.plan.manner(), &Strict)?;
        let mut solutions: Vec<Trajectory> = Vec::with_capacity(total);
        for (task, one) in tasks.iter().zip(tries.into_iter().flatten()) {
            let outcome = if one.is_right() { "resolved" } else { "unresolved" };
            events.emit(&Event::TaskGraded {
                phase: name.clone(),
                task: task.id.clone(),
                attempt: 0,
                outcome: outcome.to_owned(),
            })?;
            solutions.push(one.trajectory((task, 0), method));
        }
        // The evidence: every step that was said, and every verdict.
        fsio::write_json_lines(&self.dir.join("rollouts").join(format!("{name}.jsonl")), &solutions)?;
        ended(events, &name, started)?;
        let resolved = solutions.iter().filter(|solution| solution.resolved == Some(true)).count();
        Ok(measure::row((method, Some(set)), Counted { resolved, tasks: total }, next))
    }
}
