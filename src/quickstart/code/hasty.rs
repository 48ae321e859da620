//! Hasty demonstrators, whom the base imitates besides the experts.
//!
//! A pre-trained model has read good work and bad. So has the base: attempts that begin as the expert's do, and hand in
//! before anything is repaired. They share the expert's trunk up to there, so nothing has to be run again. SFT and SRL
//! learn from the experts only.

use rand::Rng as _;

use crate::seed;
use crate::trajectory::{Action, End, Source, Step, Trajectory};

/// The expert's last steps: repair, check, submission.
const TAIL: usize = 3;

/// Attempts at the expert's task that give up after one of its first steps, chosen by `seed`.
pub(super) fn attempts(expert: &Trajectory, count: usize, seed: u64) -> Vec<Trajectory> {
    let ends = 1..expert.steps.len().saturating_sub(TAIL) + 1;
    if ends.is_empty() {
        return Vec::new();
    }
    let mut rng = seed::rng(seed, &format!("hasty {}", expert.id), &[]);
    (0..count).map(|index| attempt(expert, index, rng.random_range(ends.clone()))).collect()
}

fn attempt(expert: &Trajectory, index: usize, end: usize) -> Trajectory {
    let submit = Step::new("This looks right.", Action::Submit);
    Trajectory {
        id: format!("{}-hasty-{index}", expert.id),
        source: Source { format: "hasty".to_owned(), ..Source::default() },
        steps: expert.steps[..end].iter().cloned().chain([submit]).collect(),
        end: End::Submitted,
        patch: Some(String::new()),
        resolved: Some(false),
        ..expert.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::{FORMAT, Observation};

    fn expert() -> Trajectory {
        let step = |command: &str| {
            let said = Observation::new(format!("{command} said\n"), 0);
            Step::new("Go on.", Action::bash(command)).seeing(said)
        };
        let submit = Step::new("Done.", Action::Submit);
        Trajectory {
            format: FORMAT.to_owned(),
            id: "expert".to_owned(),
            task: "task".to_owned(),
            source: Source::default(),
            problem: None,
            steps: ["list", "test", "read", "repair", "check"]
                .map(step)
                .into_iter()
                .chain([submit])
                .collect(),
            end: End::Submitted,
            patch: Some("a patch".to_owned()),
            answer: None,
            resolved: Some(true),
        }
    }

    #[test]
    fn they_begin_like_the_expert_and_hand_in_before_the_repair() {
        let expert = expert();
        let attempts = attempts(&expert, 20, 0);
        let mut lengths: Vec<usize> = attempts.iter().map(|attempt| attempt.steps.len()).collect();
        for attempt in &attempts {
            let (last, begin) = attempt.steps.split_last().unwrap();
            assert_eq!(last.action, Action::Submit);
            assert_eq!(begin, &expert.steps[..begin.len()]);
        }
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, [2, 3, 4], "each of the three places is met");
    }

    #[test]
    fn an_expert_that_only_repairs_has_no_hasty_double() {
        let expert = Trajectory { steps: expert().steps.split_off(3), ..expert() };
        assert_eq!(attempts(&expert, 1, 0), []);
    }
}
