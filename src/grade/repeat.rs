//! Several grades of one patch, made into one verdict.

use super::{Outcome, Verdict};

/// The verdict of grades of the same patch: theirs where they agree, [`Outcome::Flaky`] where one resolves the task
/// and another does not. Grades that could not be made say nothing, unless none could.
///
/// # Panics
/// When there is no grade.
pub fn agreed(grades: Vec<Verdict>) -> Verdict {
    let n_resolved = grades.iter().filter(|grade| grade.is_resolved()).count();
    let n_valid = grades.iter().filter(|grade| grade.outcome.is_valid()).count();
    let reason = format!("{n_resolved} of {n_valid} grades of the same patch resolve it");
    let is_flaky = n_resolved > 0 && n_resolved < n_valid;
    // One that does not resolve tells more.
    let rank = |grade: &Verdict| (!grade.outcome.is_valid(), grade.is_resolved());
    let shown = grades.into_iter().min_by_key(rank).expect("invariant: a prediction is graded once at least");
    if !is_flaky {
        return shown;
    }
    let why = if shown.reason.is_empty() { String::new() } else { format!("; once: {}", shown.reason) };
    Verdict { outcome: Outcome::Flaky, reason: reason + &why, ..shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_that_disagree_are_flaky_and_lost_ones_say_nothing() {
        let of = |outcomes: &[Outcome]| {
            let grades = outcomes.iter().map(|outcome| Verdict::new("t", *outcome, outcome.name()));
            let verdict = agreed(grades.collect());
            (verdict.outcome, verdict.reason)
        };
        let (yes, no, lost) = (Outcome::Resolved, Outcome::Unresolved, Outcome::Infrastructure);
        assert_eq!(of(&[yes, yes]).0, yes);
        assert_eq!(of(&[no, Outcome::Partial]).0, no);
        assert_eq!(of(&[lost, yes]).0, yes);
        assert_eq!(of(&[lost, lost]).0, lost);
        let reason = "2 of 3 grades of the same patch resolve it; once: unresolved".to_owned();
        assert_eq!(of(&[yes, no, lost, yes]), (Outcome::Flaky, reason));
    }
}
