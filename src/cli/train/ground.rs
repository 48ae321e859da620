//! Where a student acts: in the sandboxes of whole tasks of code, or of its experts' steps; mathematics needs none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::Inputs;
use crate::branch::{Branches, Judging};
use crate::cli::certificates;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::sandboxes::{Bench, Benches, HostArgs};
use crate::episode::Budget;
use crate::practice::{Exercises, Place, Workshop};
use crate::recipe::Recipe;
use crate::solve::Strict;
use crate::task::{Kind, LoadedTask};
use crate::train::grpo::Practice;
use crate::{grade, replay, rollout, workspace};

/// Tasks with what it takes to work on them.
pub(super) enum Ground {
    /// Repositories in sandboxes.
    Code(Yard),
    /// Problems.
    Math(BTreeMap<String, LoadedTask>),
}

/// Tasks of code with their sandboxes.
pub(super) struct Yard {
    tasks: BTreeMap<String, LoadedTask>,
    benches: Benches,
    /// Lives as long as the backends, whose connections it drives.
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Ground {
    /// Chooses what runs the sandboxes, where there are any.
    pub(super) fn open(
        host: &HostArgs,
        (kind, tasks): (Kind, BTreeMap<String, LoadedTask>),
        output: Output,
    ) -> Result<Self, Failure> {
        match kind {
            Kind::Code => Yard::open(host, tasks, output).map(Self::Code),
            Kind::Math => Ok(Self::Math(tasks)),
        }
    }

    /// The sandboxes, where there are any.
    pub(super) fn benches(&self) -> Option<&Benches> {
        match self {
            Self::Code(yard) => Some(&yard.benches),
            Self::Math(_) => None,
        }
    }

    /// A judge of replies that runs them where the experts of `inputs` acted, who worked on code.
    pub(super) fn branches(
        &self,
        inputs: &Inputs,
        judging: Judging,
        host: &HostArgs,
        output: Output,
    ) -> Result<Branches, Failure> {
        match self {
            Self::Code(yard) => yard.branches(inputs, judging, host, output),
            Self::Math(_) => unreachable!("invariant: experts of mathematics have nothing to run"),
        }
    }

    /// The tasks, prepared.
    pub(super) fn practice(
        &self,
        recipe: &Recipe,
        host: &HostArgs,
        output: Output,
    ) -> Result<Box<dyn Practice + '_>, Failure> {
        match self {
            Self::Code(yard) => Ok(Box::new(yard.workshop(recipe, host, output)?)),
            Self::Math(tasks) => {
                let tasks = tasks.values().map(|loaded| &loaded.task).collect();
                Ok(Box::new(Exercises { tasks, manner: recipe.manner(), judge: &Strict }))
            }
        }
    }
}

impl Yard {
    fn open(host: &HostArgs, tasks: BTreeMap<String, LoadedTask>, output: Output) -> Result<Self, Failure> {
        certificates::warn(&tasks, output)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::host)?;
        let benches = runtime.block_on(host.benches(tasks.values(), output))?;
        benches.lines().for_each(|line| output.say(line));
        Ok(Self { tasks, benches, runtime: Arc::new(runtime) })
    }

    /// A judge of replies that runs them where the experts of `inputs` acted.
    fn branches(
        &self,
        inputs: &Inputs,
        judging: Judging,
        host: &HostArgs,
        output: Output,
    ) -> Result<Branches, Failure> {
        let experts = inputs.experts();
        let works = experts.map(|(loaded, trajectory)| self.benches.work(loaded, trajectory.clone()));
        let options =
            replay::Options { cache: host.cache(), ready: host.ready(output), parallel: host.parallel() };
        Branches::new(works.collect(), options, judging, self.runtime.clone()).map_err(Failure::host)
    }

    /// The tasks, prepared.
    fn workshop(&self, recipe: &Recipe, host: &HostArgs, output: Output) -> Result<Workshop, Failure> {
        let place = |loaded: &LoadedTask| {
            let Bench { spec, selection } = self.benches.of(loaded);
            let workspace = workspace::prepare(loaded, &host.cache()).map_err(Failure::host)?;
            let (spec, backend) = (spec.clone(), selection.backend.clone());
            Ok(Place { task: Arc::new(loaded.clone()), spec, backend, workspace })
        };
        if let Some(unfit) =
            self.tasks.values().find_map(|loaded| rollout::unfit(&recipe.prompt, &loaded.task))
        {
            return Err(Failure::usage(anyhow::anyhow!(unfit)).with_hint("choose another `prompt.scaffold`"));
        }
        let ready = host.ready(output);
        Ok(Workshop {
            places: self.tasks.values().map(place).collect::<Result<_, Failure>>()?,
            rollout: rollout::Options {
                scaffold: recipe.prompt.clone(),
                budget: Budget::of_steps(recipe.rlvr.steps),
                seed: recipe.seed,
                parallel: host.parallel(),
                samples: rollout::Samples::Dropped,
                ready: ready.clone(),
            },
            grade: grade::Options { cache: host.cache(), ready },
            runtime: self.runtime.clone(),
        })
    }
}
