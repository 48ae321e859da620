//! Where a student works on tasks by itself: their sandboxes, and the program's part that drives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::certificates;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::sandboxes::{Bench, Benches, HostArgs};
use crate::episode::Budget;
use crate::practice::{Place, Workshop};
use crate::recipe::Recipe;
use crate::task::LoadedTask;
use crate::{grade, rollout, workspace};

/// Tasks with their sandboxes.
pub(super) struct Ground {
    tasks: BTreeMap<String, LoadedTask>,
    benches: Benches,
    /// Lives as long as the backends, whose connections it drives.
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Ground {
    /// Chooses what runs the sandboxes.
    pub(super) fn open(
        host: &HostArgs,
        tasks: BTreeMap<String, LoadedTask>,
        output: Output,
    ) -> Result<Self, Failure> {
        certificates::warn(&tasks, output)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::host)?;
        let benches = runtime.block_on(host.benches(tasks.values(), output))?;
        benches.lines().for_each(|line| output.say(line));
        Ok(Self { tasks, benches, runtime: Arc::new(runtime) })
    }

    pub(super) fn benches(&self) -> &Benches {
        &self.benches
    }

    /// The tasks, prepared.
    pub(super) fn workshop(
        &self,
        recipe: &Recipe,
        host: &HostArgs,
        output: Output,
    ) -> Result<Workshop, Failure> {
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
