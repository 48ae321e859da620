//! Trunks and branches: what several trajectories of one task run alike is run once.
//!
//! Pure: takes lists of actions, gives trees of them. Guarantees that each list is the way from the root to the node
//! that names it, and that the order of the lists decides the order of the branches.

use super::script::Script;
use super::{Work, script};
use crate::trajectory::Action;

/// Actions that are run in a row, and what follows them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Trunk {
    /// What is run.
    pub(super) actions: Vec<Action>,
    /// Whose lists end here, by their numbers.
    pub(super) ends: Vec<usize>,
    /// What goes on from here, each way another.
    pub(super) branches: Vec<Trunk>,
}

impl Trunk {
    /// The tree of numbered lists.
    pub(super) fn of(lists: &[(usize, &[Action])]) -> Self {
        let (_, first) = lists.first().expect("invariant: a tree has a list");
        let is_common = |at: usize| lists.iter().all(|(_, list)| list.get(at) == Some(&first[at]));
        let shared = (0..first.len()).take_while(|at| is_common(*at)).count();
        let mut trunk = Self { actions: first[..shared].to_vec(), ..Self::default() };
        let mut ways: Vec<Vec<(usize, &[Action])>> = Vec::new();
        for (number, list) in lists {
            let rest = &list[shared..];
            let Some(next) = rest.first() else {
                trunk.ends.push(*number);
                continue;
            };
            match ways.iter_mut().find(|way| way[0].1.first() == Some(next)) {
                Some(way) => way.push((*number, rest)),
                None => ways.push(vec![(*number, rest)]),
            }
        }
        trunk.branches = ways.iter().map(|way| Self::of(way)).collect();
        trunk
    }

    /// Every number below, its own first.
    pub(super) fn numbers(&self) -> Vec<usize> {
        let below = self.branches.iter().flat_map(Self::numbers);
        self.ends.iter().copied().chain(below).collect()
    }

    /// Actions that are run in the whole tree.
    fn n_actions(&self) -> usize {
        self.actions.len() + self.branches.iter().map(Self::n_actions).sum::<usize>()
    }

    /// Forks that it takes: every branch but the last, which goes on in the trunk's own sandbox.
    fn n_forks(&self) -> usize {
        self.branches.len().saturating_sub(1) + self.branches.iter().map(Self::n_forks).sum::<usize>()
    }
}

/// Works that start alike, by their numbers, in the order of their first.
pub(super) fn groups(works: &[Work]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (number, work) in works.iter().enumerate() {
        match groups.iter_mut().find(|group| starts_alike(&works[group[0]], work)) {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
    }
    groups
}

fn starts_alike(a: &Work, b: &Work) -> bool {
    let ground = |work: &Work| script::Ground::of(&work.trajectory);
    a.task.task.id == b.task.task.id && a.spec == b.spec && ground(a) == ground(b)
}

/// The tree of a group.
pub(super) fn trunk(works: &[Work], scripts: &[Script], group: &[usize]) -> Trunk {
    let lists: Vec<(usize, Vec<Action>)> =
        group.iter().map(|number| (*number, scripts[*number].run())).collect();
    let lists: Vec<(usize, &[Action])> = lists.iter().map(|(number, list)| (*number, &list[..])).collect();
    debug_assert!(group.iter().all(|number| starts_alike(&works[group[0]], &works[*number])));
    Trunk::of(&lists)
}

/// What would be run of a task.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// The task's id.
    pub task: String,
    /// Its trajectories that share one sandbox's start.
    pub trajectories: Vec<String>,
    /// Steps that they ask for together.
    pub steps: usize,
    /// Steps that are run: a shared one once.
    pub run: usize,
    /// Forks of sandboxes.
    pub forks: usize,
}

/// Says what [`super::run_all`] would run, one entry a start.
pub fn plan(works: &[Work]) -> Vec<Plan> {
    let scripts: Vec<Script> = works.iter().map(Work::script).collect();
    let of = |group: &Vec<usize>| {
        let trunk = trunk(works, &scripts, group);
        Plan {
            task: works[group[0]].task.task.id.clone(),
            trajectories: group.iter().map(|number| works[*number].trajectory.id.clone()).collect(),
            steps: group.iter().map(|number| scripts[*number].run().len()).sum(),
            run: trunk.n_actions(),
            forks: trunk.n_forks(),
        }
    };
    groups(works).iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(lists: &[&str]) -> Trunk {
        let lists: Vec<Vec<Action>> =
            lists.iter().map(|list| list.split(' ').map(Action::bash).collect()).collect();
        let lists: Vec<(usize, &[Action])> = lists.iter().map(Vec::as_slice).enumerate().collect();
        Trunk::of(&lists)
    }

    fn ways(trunk: &Trunk, before: &str, found: &mut Vec<(usize, String)>) {
        let texts = trunk.actions.iter().map(|action| action.text().into_owned());
        let way = [before.to_owned()].into_iter().chain(texts).collect::<Vec<_>>().join(" ");
        found.extend(trunk.ends.iter().map(|number| (*number, way.trim().to_owned())));
        trunk.branches.iter().for_each(|branch| ways(branch, &way, found));
    }

    #[test]
    fn every_list_is_the_way_to_its_node_and_shared_steps_are_there_once() {
        let lists = ["a b c d", "a b x", "a b c", "a b c d", "q"];
        let tree = tree(&lists);
        let mut found = Vec::new();
        ways(&tree, "", &mut found);
        found.sort_unstable();
        let expected: Vec<(usize, String)> =
            lists.iter().enumerate().map(|(at, list)| (at, (*list).to_owned())).collect();
        assert_eq!(found, expected);
        // a b, c, d, x, q
        assert_eq!((tree.n_actions(), tree.n_forks()), (6, 2));
    }

    #[test]
    fn equal_lists_need_no_fork() {
        let tree = tree(&["a b", "a b", "a b"]);
        assert_eq!((tree.n_actions(), tree.n_forks(), tree.ends.as_slice()), (2, 0, &[0, 1, 2][..]));
    }
}
