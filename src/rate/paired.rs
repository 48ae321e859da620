//! Two runs on the same tasks: which tasks tell them apart, and how likely chance alone would.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::{self, Mean};

/// How a second run compares with a first, over the tasks that both judged.
///
/// With one try a task, `p` is McNemar's exact test. With several, a task counts for the run that resolves the
/// larger share of its tries (the sign test over tasks), because tries at one task are not independent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Tasks that both runs judged.
    pub tasks: usize,
    /// The first run's rate over them: the mean of each task's share of resolved tries.
    pub first_rate: f64,
    /// The second run's rate over them.
    pub second_rate: f64,
    /// The mean over them of the second run's share less the first's, with its interval; absent where no task is common.
    pub difference: Option<Mean>,
    /// Tasks that the first run resolves and the second does not, or does less often.
    pub first_only: Vec<String>,
    /// Tasks that the second run resolves and the first does not, or does less often.
    pub second_only: Vec<String>,
    /// The two-sided p-value of those two counts, were the runs equally good.
    pub p: f64,
    /// Tasks of both runs that one of them could not judge, and tasks of one run alone: not compared.
    pub left_out: Vec<String>,
}

/// A task's tries with their judgement, absent where the host could not tell.
type Tries = (String, Option<bool>);

/// Compares two runs, each a list of tries.
pub fn compare(first: &[Tries], second: &[Tries]) -> Comparison {
    let (first, second) = (shares(first), shares(second));
    let mut comparison = Comparison {
        tasks: 0,
        first_rate: 0.0,
        second_rate: 0.0,
        difference: None,
        first_only: Vec::new(),
        second_only: Vec::new(),
        p: 1.0,
        left_out: Vec::new(),
    };
    let mut differences = Vec::new();
    for (task, share) in &first {
        let (Some(one), Some(Some(two))) = (share, second.get(task)) else {
            comparison.left_out.push((*task).to_owned());
            continue;
        };
        comparison.tasks += 1;
        comparison.first_rate += one;
        comparison.second_rate += two;
        differences.push(two - one);
        match one.total_cmp(two) {
            std::cmp::Ordering::Greater => comparison.first_only.push((*task).to_owned()),
            std::cmp::Ordering::Less => comparison.second_only.push((*task).to_owned()),
            std::cmp::Ordering::Equal => {}
        }
    }
    comparison
        .left_out
        .extend(second.keys().filter(|task| !first.contains_key(*task)).map(|task| (*task).to_owned()));
    let tasks = comparison.tasks.max(1) as f64;
    comparison.first_rate /= tasks;
    comparison.second_rate /= tasks;
    comparison.difference = stats::mean(&differences);
    comparison.p = stats::mcnemar(comparison.first_only.len(), comparison.second_only.len());
    comparison
}

/// Each task's share of resolved tries among the judged ones; absent where none was judged.
fn shares(tries: &[Tries]) -> BTreeMap<&str, Option<f64>> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (task, resolved) in tries {
        let (good, judged) = counts.entry(task).or_default();
        *good += usize::from(*resolved == Some(true));
        *judged += usize::from(resolved.is_some());
    }
    let share = |(good, judged): (usize, usize)| (0 < judged).then(|| good as f64 / judged as f64);
    counts.into_iter().map(|(task, count)| (task, share(count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(rows: &[(&str, Option<bool>)]) -> Vec<Tries> {
        rows.iter().map(|(task, resolved)| ((*task).to_owned(), *resolved)).collect()
    }

    #[test]
    fn discordant_tasks_are_named_and_what_one_run_could_not_judge_is_left_out() {
        let (yes, no) = (Some(true), Some(false));
        let first = tries(&[("a", yes), ("b", yes), ("c", no), ("d", None), ("e", no), ("f", yes)]);
        let second = tries(&[("a", yes), ("b", no), ("c", yes), ("d", yes), ("e", yes), ("g", yes)]);
        let found = compare(&first, &second);
        assert_eq!(
            (found.tasks, &*found.first_only, &*found.second_only),
            (4, &["b".to_owned()][..], &["c".to_owned(), "e".to_owned()][..])
        );
        assert_eq!((found.first_rate, found.second_rate), (0.5, 0.75));
        assert_eq!(found.left_out, ["d", "f", "g"]);
        // Of 0, −1, 1, 1: ¼ ± t(0.975, 3) · √(11/12 / 4), with t(0.975, 3) = 3.182446305.
        let difference = found.difference.unwrap();
        let ends = (difference.low.unwrap(), difference.high.unwrap());
        assert!(
            (ends.0 + 1.273_480_180_8).abs() < 1e-9 && (ends.1 - 1.773_480_180_8).abs() < 1e-9,
            "{ends:?}"
        );
        // 2 · (C(3, 0) + C(3, 1)) / 8 = 1.
        assert!((found.p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn several_tries_at_a_task_are_one_piece_of_evidence() {
        let many = |resolved: usize| -> Vec<Tries> {
            (0..8).map(|attempt| ("a".to_owned(), Some(attempt < resolved))).collect()
        };
        let found = compare(&many(1), &many(8));
        assert!(found.second_only.len() == 1 && (found.p - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!((found.first_rate, found.second_rate), (0.125, 1.0));
    }
}
