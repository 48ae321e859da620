//! States of trunks whose sandboxes are kept, the least recently used of which goes first.

use super::state::State;

/// Which state: of which trajectory, before which step.
pub(super) type Place = (String, usize);

/// Kept states, the most recently used last.
pub(super) struct Kept {
    states: Vec<(Place, State)>,
    most: usize,
}

impl Kept {
    /// At most `most` of them.
    pub(super) fn at_most(most: usize) -> Self {
        Self { states: Vec::new(), most }
    }

    /// Takes the state of a trajectory before the last step that is not after `step`.
    pub(super) fn take_nearest(&mut self, trajectory: &str, step: usize) -> Option<(usize, State)> {
        let is_on_the_way = |(of, at): &Place| of == trajectory && *at <= step;
        let on_the_way = self.states.iter().enumerate().filter(|(_, (place, _))| is_on_the_way(place));
        let (nearest, _) = on_the_way.max_by_key(|(_, ((_, at), _))| *at)?;
        let ((_, at), state) = self.states.remove(nearest);
        Some((at, state))
    }

    /// Keeps a state; gives those that must go for it.
    pub(super) fn put(&mut self, place: Place, state: State) -> Vec<State> {
        let same = self.states.iter().position(|(of, _)| *of == place);
        let replaced = same.map(|at| self.states.remove(at).1);
        self.states.push((place, state));
        let too_many = self.states.len().saturating_sub(self.most);
        replaced.into_iter().chain(self.states.drain(..too_many).map(|(_, state)| state)).collect()
    }

    /// Takes every state.
    pub(super) fn take_everything(&mut self) -> Vec<State> {
        std::mem::take(&mut self.states).into_iter().map(|(_, state)| state).collect()
    }

    /// Takes every state of a trajectory.
    pub(super) fn take_all(&mut self, trajectory: &str) -> Vec<State> {
        let (gone, kept) =
            std::mem::take(&mut self.states).into_iter().partition(|((of, _), _)| of == trajectory);
        self.states = kept;
        let gone: Vec<(Place, State)> = gone;
        gone.into_iter().map(|(_, state)| state).collect()
    }
}
