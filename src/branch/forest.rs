//! The trunks of a training and the branches that grow from them.
//!
//! Guarantees that at most `parallel` branches run at a time, that kept states leave room for a grader's sandbox, and that
//! work whose sandbox is lost is made again from the trunk's root, three tries in all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;

use super::action_of;
use super::cost::Cost;
use super::kept::Kept;
use super::potentials::Potentials;
use super::state::{Done, State};
use crate::ready::Order;
use crate::replay::{self, Options, Work};
use crate::reward::effect::{Effect, EffectReward};
use crate::reward::potential::outcome;
use crate::sandbox::{PAUSES, SandboxError, Session};
use crate::trajectory::Action;
use crate::workspace::{self, Workspace};

/// States of trunks whose sandboxes are kept at most.
const KEPT: usize = 8;

/// Trunks by their trajectories' ids.
pub(super) struct Forest {
    trunks: BTreeMap<String, Arc<Trunk>>,
    options: Options,
    /// Whether potentials are asked for.
    has_tests: bool,
    kept: Kept,
    /// What each expert's action did: a few lines each, for the whole training.
    experts: BTreeMap<(String, usize), Arc<Effect>>,
    potentials: Potentials,
    cost: Cost,
}

/// A trajectory as its sandbox runs it.
struct Trunk {
    work: Work,
    workspace: Workspace,
    /// One entry a step; absent where nothing is run.
    actions: Vec<Option<Action>>,
}

/// What the expert and each of several students did.
pub(super) type Grown = (Arc<Effect>, Vec<Arc<Effect>>);

/// An action that has been run, with the patch that it leaves.
struct Ran {
    effect: Effect,
    patch: String,
}

impl Forest {
    /// The trunks of `works`, for rewards that ask for potentials or not.
    ///
    /// # Errors
    /// When two trajectories have the same id, or a repository cannot be prepared.
    pub(super) async fn new(works: Vec<Work>, options: Options, reward: EffectReward) -> Result<Self> {
        let mut trunks = BTreeMap::new();
        let mut workspaces: BTreeMap<String, Workspace> = BTreeMap::new();
        let mut room = usize::MAX;
        for work in works {
            let id = work.trajectory.id.clone();
            let workspace = match workspaces.entry(work.task.task.id.clone()) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(workspace::prepare(&work.task, &options.cache)?).clone(),
            };
            let actions = replay::actions(&work.trajectory, &work.spec.workdir);
            room = room.min(work.backend.at_once(&work.spec).await?);
            if trunks.insert(id.clone(), Arc::new(Trunk { work, workspace, actions })).is_some() {
                bail!("two trajectories have the id `{id}`: effects are looked up by it; rename one");
            }
        }
        let parallel = options.parallel.clamp(1, (room / 2).max(1));
        // A grader's sandbox waits for room, and would wait for kept states for ever.
        let kept = Kept::at_most(KEPT.min(room.saturating_sub(parallel + 1)));
        let options = Options { parallel, ..options };
        let (experts, potentials, cost) = (BTreeMap::new(), Potentials::default(), Cost::default());
        Ok(Self { trunks, options, has_tests: 0.0 < reward.tests, kept, experts, potentials, cost })
    }

    /// Ends every sandbox that is kept.
    pub(super) async fn end(&mut self) {
        for state in self.kept.take_everything() {
            state.stop().await;
        }
    }

    /// What was spent since this was last asked.
    pub(super) fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }

    /// What the expert did at `step` (from 0) of a trajectory, and what students do there who say `texts`, in order.
    ///
    /// # Errors
    /// When sandboxes are lost again and again, or the host fails otherwise.
    pub(super) async fn grow(&mut self, trajectory: &str, step: usize, texts: &[&str]) -> Result<Grown> {
        let trunk = self.trunks.get(trajectory).context("the trajectory is unknown")?.clone();
        let own = trunk.work.trajectory.steps[step].action.text().into_owned();
        let workdir = &trunk.work.spec.workdir;
        let expert = trunk.actions[step].clone().unwrap_or(Action::Submit);
        let action = |text: &&str| match text.trim() == own.trim() {
            true => expert.clone(),
            false => action_of(text, &trunk.work.trajectory, workdir),
        };
        let students: Vec<Action> = texts.iter().map(action).collect();
        let mut pauses = PAUSES.iter();
        loop {
            match self.try_grow(&trunk, step, (&expert, &students)).await {
                Ok(grown) => return Ok(grown),
                Err(error) => {
                    for state in self.kept.take_all(trajectory) {
                        state.stop().await;
                    }
                    let is_lost = error.downcast_ref::<SandboxError>().is_some_and(SandboxError::is_lost);
                    match pauses.next().filter(|_| is_lost) {
                        Some(pause) => tokio::time::sleep(*pause).await,
                        None => return Err(error),
                    }
                    self.cost.lost += 1;
                }
            }
        }
    }

    async fn try_grow(
        &mut self,
        trunk: &Trunk,
        step: usize,
        (expert, students): (&Action, &[Action]),
    ) -> Result<Grown> {
        let place = (trunk.work.trajectory.id.clone(), step);
        let known = self.experts.get(&place).map(|known| (expert.clone(), Arc::clone(known)));
        let mut effects: Vec<(Action, Arc<Effect>)> = known.into_iter().collect();
        let mut missing: Vec<Action> = Vec::new();
        for action in std::iter::once(expert).chain(students) {
            if effects.iter().all(|(of, _)| of != action) && !missing.contains(action) {
                missing.push(action.clone());
            }
        }
        if !missing.is_empty() {
            let ran = self.run_all(trunk, step, (expert, &missing)).await?;
            effects.extend(std::iter::zip(missing.iter().cloned(), self.weigh(trunk, ran).await?));
        }
        self.cost.shared_actions += (students.len() + 1).saturating_sub(effects.len()) as u64;
        let of = |action: &Action| {
            let found = effects.iter().find(|(of, _)| of == action);
            Arc::clone(&found.expect("invariant: every action was run").1)
        };
        let students = students.iter().map(of).collect();
        self.experts.insert(place, of(expert));
        Ok((of(expert), students))
    }

    /// Runs actions in forks of a state, which stays, and so does what the expert's action comes to; gives the patch of the
    /// state too.
    async fn run_all(
        &mut self,
        trunk: &Trunk,
        step: usize,
        (expert, actions): (&Action, &[Action]),
    ) -> Result<(String, Vec<Ran>)> {
        let id = &trunk.work.trajectory.id;
        let mut state = self.state(trunk, step).await?;
        let before = state.look.patch()?;
        let mut ran = Vec::with_capacity(actions.len());
        for some in actions.chunks(self.options.parallel) {
            let done = match self.run(&mut state, some).await {
                Ok(done) => done,
                Err(error) => {
                    state.stop().await;
                    return Err(error.into());
                }
            };
            for (action, done) in std::iter::zip(some, done) {
                let Some(Done { state: after, effect, seconds }) = done else {
                    let effect = Effect { submitted: true, ..Effect::default() };
                    ran.push(Ran { effect, patch: before.clone() });
                    continue;
                };
                self.cost.sandbox_seconds += seconds;
                ran.push(Ran { effect, patch: after.look.patch()? });
                if action == expert && step + 1 < trunk.actions.len() {
                    self.keep((id.clone(), step + 1), after).await;
                } else {
                    after.stop().await;
                }
            }
        }
        self.keep((id.clone(), step), state).await;
        Ok((before, ran))
    }

    /// Runs actions side by side, each in a fork; what says that the work is done runs nothing.
    async fn run(
        &mut self,
        state: &mut State,
        actions: &[Action],
    ) -> Result<Vec<Option<Done>>, SandboxError> {
        let mut running = Vec::with_capacity(actions.len());
        for action in actions {
            let fork = if *action == Action::Submit {
                None
            } else {
                self.cost.forks += 1;
                self.cost.actions += 1;
                Some(state.fork().await?)
            };
            running.push(async move {
                match fork {
                    Some(fork) => fork.perform(action).await.map(Some),
                    None => Ok(None),
                }
            });
        }
        let mut failed = None;
        let mut done = Vec::with_capacity(actions.len());
        for outcome in join_all(running).await {
            match outcome {
                Ok(one) => done.push(one),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(error) = failed else { return Ok(done) };
        for Done { state, .. } in done.into_iter().flatten() {
            state.stop().await;
        }
        Err(error)
    }

    /// The state of a trunk before a step: kept, or made from the nearest one before it.
    async fn state(&mut self, trunk: &Trunk, step: usize) -> Result<State, SandboxError> {
        let id = &trunk.work.trajectory.id;
        let (at, state) = match self.kept.take_nearest(id, step) {
            Some((at, state)) if at == step => return Ok(state),
            Some((at, mut state)) => {
                self.cost.forks += 1;
                let fork = state.fork().await;
                self.keep((id.clone(), at), state).await;
                (at, fork?)
            }
            None => (0, self.start(trunk).await?),
        };
        let (started, State { mut actor, look }) = (Instant::now(), state);
        let (mut is_same, actions) = (true, &trunk.actions[at..step]);
        for action in actions.iter().flatten().filter(|action| **action != Action::Submit) {
            (is_same, self.cost.trunk_actions) = (false, self.cost.trunk_actions + 1);
            if let Err(error) = actor.perform(action).await {
                drop(actor.stop().await);
                return Err(error);
            }
        }
        let state = if is_same { State { actor, look } } else { State::of(actor).await? };
        self.cost.sandbox_seconds += started.elapsed().as_secs_f64();
        Ok(state)
    }

    /// A sandbox at the root of a trunk.
    async fn start(&mut self, trunk: &Trunk) -> Result<State, SandboxError> {
        let Work { task, spec, backend, trajectory } = &trunk.work;
        let order = Order { backend: &**backend, spec, task: &task.task, workspace: &trunk.workspace };
        self.cost.starts += 1;
        let mut actor = self.options.ready.actor(&order).await?;
        if trajectory.source.fresh_shells {
            actor = actor.with_session(Session::Fresh);
        }
        if let Some(setup) = trajectory.source.editor {
            actor = actor.with_editor(setup);
        }
        State::of(actor).await
    }

    async fn keep(&mut self, place: (String, usize), state: State) {
        for gone in self.kept.put(place, state) {
            gone.stop().await;
        }
    }

    /// Puts to each effect the potential of what it leaves, and what it did to the outcome, where tests are asked for.
    async fn weigh(&mut self, trunk: &Trunk, (before, ran): (String, Vec<Ran>)) -> Result<Vec<Arc<Effect>>> {
        if !self.has_tests {
            return Ok(ran.into_iter().map(|ran| Arc::new(ran.effect)).collect());
        }
        let patches: Vec<String> =
            std::iter::once(before).chain(ran.iter().map(|ran| ran.patch.clone())).collect();
        let potentials = self.potentials.of(&trunk.work, &patches, &self.options, &mut self.cost).await?;
        let (before, after) = potentials.split_first().expect("invariant: one potential a patch");
        let with = |(ran, after): (Ran, &Option<f64>)| {
            let outcome = before.zip(*after).map(|(before, after)| outcome(before, after));
            Arc::new(Effect { potential: *after, outcome, ..ran.effect })
        };
        Ok(std::iter::zip(ran, after).map(with).collect())
    }
}
