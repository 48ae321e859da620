//! The verdict on one trajectory from what was seen: a pure function.
//!
//! What speaks for itself comes first: a patch that does not fit, tests that are weakened, steps that make something
//! else. Only then is the label compared with the grade.

use super::Verdict;
use super::weakened::is_named_like_a_test;
use crate::grade::{Outcome, Verdict as Grade};
use crate::patch::{self, Patch, PatchError};
use crate::replay::Replay;
use crate::replay::effect::Effect;
use crate::trajectory::Trajectory;

/// All that was seen of one trajectory.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The record.
    pub trajectory: &'a Trajectory,
    /// Its replay, or why there is none.
    pub replay: Result<&'a Replay, String>,
    /// Why the task's tests tell nothing here; absent where its own solution passes and its start fails.
    pub broken_task: Option<String>,
    /// The recorded patch; absent where none was recorded.
    pub recorded: Option<Judged<'a>>,
    /// The replayed patch; absent where there is none.
    pub replayed: Option<Judged<'a>>,
}

/// A patch and what was found about it.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// The patch.
    pub patch: &'a str,
    /// Its grade with the tests put back.
    pub grade: &'a Grade,
    /// What it makes of the repository; absent where it does not apply or the repository is not at hand.
    pub effect: Option<Effect>,
    /// The same grade made again, where the first one contradicts the label.
    pub again: Option<&'a Grade>,
    /// Paths that it changes and that the repository does not have.
    pub foreign: Vec<String>,
    /// How it weakens the tests, in words.
    pub weakened: Vec<String>,
    /// Another trajectory whose patch it is.
    pub owner: Option<String>,
}

type Found = (Verdict, String);

/// Says whether the record is true, and why.
pub fn decide(evidence: &Evidence<'_>) -> Found {
    let unverified = |reason: String| (Verdict::Unverified, reason);
    if let Some(reason) = &evidence.broken_task {
        return unverified(format!("the task's tests tell nothing here: {reason}"));
    }
    let (judged, is_recorded) = match (&evidence.recorded, &evidence.replayed) {
        (Some(recorded), _) => (recorded, true),
        (None, Some(replayed)) => (replayed, false),
        (None, None) => {
            let reason = evidence.replay.as_ref().err().cloned().unwrap_or_default();
            return unverified(format!("no patch was recorded, and the replay made none: {reason}"));
        }
    };
    if judged.grade.outcome == Outcome::Infrastructure {
        return unverified(format!("it could not be graded: {}", judged.grade.reason));
    }
    let accusation = misfit(evidence, judged)
        .or_else(|| weakens(evidence))
        .or_else(|| other_steps(evidence).filter(|_| is_recorded));
    if let Some(found) = accusation {
        return found;
    }
    if !is_recorded && let Some(reason) = unfaithful(&evidence.replay) {
        return unverified(format!("no patch was recorded, and {reason}"));
    }
    by_label(evidence, judged)
}

/// Why a replay does not show what the steps made; absent where it does.
fn unfaithful(replay: &Result<&Replay, String>) -> Option<String> {
    match replay {
        Err(reason) => Some(format!("the steps could not be replayed: {reason}")),
        Ok(replay) => {
            let diverges = replay.first_divergence.map(|step| format!("the replay diverges at step {step}"));
            let foreign = || Some(format!("step {} cannot run here", replay.first_foreign()?));
            let is_blind = || {
                let reason = "nothing that the steps gave was recorded, so the replay shows nothing";
                (replay.compared == 0).then(|| reason.to_owned())
            };
            diverges.or_else(foreign).or_else(is_blind)
        }
    }
}

fn whose(judged: &Judged<'_>) -> String {
    judged.owner.as_ref().map_or(String::new(), |owner| format!("; it is the patch of `{owner}`"))
}

/// A patch that does not fit, where that contradicts the record.
fn misfit(evidence: &Evidence<'_>, judged: &Judged<'_>) -> Option<Found> {
    if judged.grade.outcome != Outcome::PatchDoesNotApply {
        return None;
    }
    if let Err(PatchError::NoBytes { path }) = Patch::parse(judged.patch) {
        let reason = format!("the patch names the binary file `{path}` without its bytes");
        return Some((Verdict::Unverified, reason));
    }
    // A label that says unresolved is right about a patch that was broken from the start, unless the steps show
    // that they made another one.
    let is_shown = unfaithful(&evidence.replay).is_none();
    if evidence.trajectory.resolved == Some(false) && !is_shown {
        return None;
    }
    let is_foreign = Patch::parse(judged.patch).is_ok_and(|patch| {
        let old: Vec<&String> = patch.files.iter().filter_map(|file| file.old.as_ref()).collect();
        !old.is_empty() && old.iter().all(|path| judged.foreign.contains(path))
    });
    Some(if is_foreign {
        let files = judged.foreign.join("`, `");
        let reason = format!("the patch changes `{files}`, which the repository does not have");
        (Verdict::ForeignPatch, reason + &whose(judged))
    } else {
        let reason = format!("the patch does not apply: {}", judged.grade.reason);
        (Verdict::PatchDoesNotApply, reason + &whose(judged))
    })
}

fn weakens(evidence: &Evidence<'_>) -> Option<Found> {
    // A record of failure tells the truth about an agent that tried it in this way.
    if evidence.trajectory.resolved == Some(false) {
        return None;
    }
    let of = |judged: &Option<Judged<'_>>, whose: &str| {
        let ways =
            judged.as_ref().map(|judged| judged.weakened.join("; ")).filter(|ways| !ways.is_empty())?;
        Some((Verdict::TestsWeakened, format!("the {whose} patch {ways}")))
    };
    // A replay that went another way says nothing about the record.
    let is_shown = unfaithful(&evidence.replay).is_none();
    of(&evidence.recorded, "recorded").or_else(|| of(&evidence.replayed, "replayed").filter(|_| is_shown))
}

/// A recorded patch that the steps do not make, where the replay went as recorded.
fn other_steps(evidence: &Evidence<'_>) -> Option<Found> {
    let (recorded, replayed) = (evidence.recorded.as_ref()?, evidence.replayed.as_ref()?);
    if unfaithful(&evidence.replay).is_some() || patch::same(recorded.patch, replayed.patch) {
        return None;
    }
    let difference = match (&recorded.effect, &replayed.effect) {
        (Some(recorded), Some(replayed)) => difference(recorded, replayed)?,
        // Where the repository lies in an image only the texts can be compared.
        _ => difference_of_texts(recorded.patch, replayed.patch)?,
    };
    Some((Verdict::PatchNotOfSteps, difference + &whose(recorded)))
}

/// How a recorded patch is another one than the steps': a change that they do not make, or one to an existing
/// file that it lacks. New files and tests may be missing: scaffolds leave them out.
fn difference(recorded: &Effect, replayed: &Effect) -> Option<String> {
    if let Some(path) = recorded.strange_to(replayed) {
        return Some(format!("the steps do not make the recorded change of `{path}`"));
    }
    let missing = replayed.left_by(recorded).find(|path| !is_named_like_a_test(path));
    missing.map(|path| format!("the recorded patch lacks the steps' change of `{path}`"))
}

/// The same from the texts alone: only files that one of them does not name at all.
fn difference_of_texts(recorded: &str, replayed: &str) -> Option<String> {
    let (Ok(recorded), Ok(replayed)) = (Patch::parse(recorded), Patch::parse(replayed)) else {
        return Some("the recorded patch is no patch, and the steps make one".to_owned());
    };
    let named = replayed.paths();
    let strange = recorded.paths().into_iter().find(|path| !named.contains(path));
    strange.map(|path| format!("the steps do not change `{path}` as the recorded patch does"))
}

fn by_label(evidence: &Evidence<'_>, judged: &Judged<'_>) -> Found {
    let grade = judged.grade;
    let is_resolved = grade.is_resolved();
    let result = match grade.outcome {
        Outcome::Resolved => "the tests pass".to_owned(),
        _ if grade.reason.is_empty() => grade.outcome.name().replace('_', " "),
        _ => grade.reason.clone(),
    };
    let Some(label) = evidence.trajectory.resolved else {
        let word = if is_resolved { "resolved" } else { "unresolved" };
        return (Verdict::Unlabelled, format!("it is {word}: {result}"));
    };
    // Tests that run out of time say nothing about the patch, not even to a label that expects no success.
    if grade.outcome == Outcome::TimedOut {
        let says = if label { "resolved" } else { "unresolved" };
        return (Verdict::Unverified, format!("the label says {says}, but here: {result}"));
    }
    if label == is_resolved {
        let note = unfaithful(&evidence.replay).map_or(String::new(), |reason| format!("; {reason}"));
        return (Verdict::Confirmed, result + &note);
    }
    match judged.again {
        Some(again) if again.outcome == Outcome::Infrastructure => {
            (Verdict::Unverified, format!("the second grade could not be made: {}", again.reason))
        }
        Some(again) if again.is_resolved() != is_resolved => (
            Verdict::Unverified,
            "two grades of the same patch disagree: the tests are not stable here".to_owned(),
        ),
        _ => {
            let says = if label { "resolved, but" } else { "unresolved, but" };
            (Verdict::LabelWrong, format!("the label says {says} {result}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::{End, FORMAT, Source};

    const PATCH: &str = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n";

    fn trajectory(label: Option<bool>) -> Trajectory {
        Trajectory {
            format: FORMAT.to_owned(),
            id: "a".to_owned(),
            task: "t".to_owned(),
            source: Source::default(),
            problem: None,
            steps: Vec::new(),
            end: End::Submitted,
            patch: None,
            answer: None,
            resolved: label,
        }
    }

    fn judged<'a>(patch: &'a str, grade: &'a Grade) -> Judged<'a> {
        Judged {
            patch,
            grade,
            effect: None,
            again: None,
            foreign: Vec::new(),
            weakened: Vec::new(),
            owner: None,
        }
    }

    /// The verdict on a record with this label and grade, whose steps could not be replayed.
    fn verdict(label: Option<bool>, outcome: Outcome, again: Option<Outcome>) -> Verdict {
        let (grade, again) =
            (Grade::new("t", outcome, ""), again.map(|outcome| Grade::new("t", outcome, "")));
        let evidence = Evidence {
            trajectory: &trajectory(label),
            replay: Err("the sandbox was lost".to_owned()),
            broken_task: None,
            recorded: Some(Judged { again: again.as_ref(), ..judged(PATCH, &grade) }),
            replayed: None,
        };
        decide(&evidence).0
    }

    #[test]
    fn a_label_is_wrong_only_where_two_grades_say_so() {
        let (yes, no) = (Outcome::Resolved, Outcome::Unresolved);
        assert_eq!(verdict(Some(true), yes, None), Verdict::Confirmed);
        assert_eq!(verdict(Some(false), no, None), Verdict::Confirmed);
        assert_eq!(verdict(Some(true), no, Some(no)), Verdict::LabelWrong);
        assert_eq!(verdict(Some(false), yes, Some(yes)), Verdict::LabelWrong);
        assert_eq!(verdict(Some(true), no, Some(yes)), Verdict::Unverified);
        assert_eq!(verdict(Some(true), no, Some(Outcome::Infrastructure)), Verdict::Unverified);
        assert_eq!(verdict(Some(true), Outcome::EmptyPatch, Some(Outcome::EmptyPatch)), Verdict::LabelWrong);
        assert_eq!(verdict(None, yes, None), Verdict::Unlabelled);
    }

    /// A replay of one step, as far as a verdict asks.
    fn replay(outcome: crate::replay::Outcome) -> Replay {
        let is_matched = outcome == crate::replay::Outcome::Matched;
        let step = crate::replay::StepReplay {
            step: 1,
            continues: false,
            action: "x".to_owned(),
            outcome,
            normalisers: Vec::new(),
            similarity: is_matched.then_some(1.0),
            difference: None,
            seconds: 0.0,
        };
        Replay {
            format: crate::replay::FORMAT.to_owned(),
            trajectory: "a".to_owned(),
            task: "t".to_owned(),
            input: String::new(),
            steps: 1,
            shared_steps: 0,
            remapped: None,
            compared: usize::from(is_matched),
            matched: usize::from(is_matched),
            divergence: is_matched.then_some(0.0),
            first_divergence: None,
            patch_matches: None,
            grade: None,
            grade_error: None,
            normalisers: Vec::new(),
            step_list: vec![step],
            patch: String::new(),
        }
    }

    #[test]
    fn a_replay_that_shows_nothing_accuses_nobody() {
        use crate::replay::Outcome as Seen;
        let other = PATCH.replace("/a", "/b");
        let (no, yes) = (Grade::new("t", Outcome::Unresolved, ""), Grade::new("t", Outcome::Resolved, ""));
        let found = |outcome: Seen, is_recorded: bool| {
            let mut replay = replay(outcome);
            if outcome == Seen::Foreign {
                replay.compared = 3;
            }
            let evidence = Evidence {
                trajectory: &trajectory(Some(true)),
                replay: Ok(&replay),
                broken_task: None,
                recorded: is_recorded.then(|| judged(PATCH, &yes)),
                replayed: Some(Judged { again: Some(&no), ..judged(&other, &no) }),
            };
            decide(&evidence).0
        };
        assert_eq!(found(Seen::Matched, true), Verdict::PatchNotOfSteps);
        assert_eq!(found(Seen::Matched, false), Verdict::LabelWrong);
        // A cell of a notebook that changed a file, and a record without observations.
        for outcome in [Seen::Foreign, Seen::NotRecorded] {
            assert_eq!(found(outcome, true), Verdict::Confirmed, "{outcome:?}");
            assert_eq!(found(outcome, false), Verdict::Unverified, "{outcome:?}");
        }
    }

    #[test]
    fn the_hosts_failures_accuse_nobody() {
        for label in [Some(true), Some(false), None] {
            assert_eq!(verdict(label, Outcome::Infrastructure, None), Verdict::Unverified);
            assert!(!verdict(label, Outcome::TimedOut, None).is_accusation());
        }
        for label in [true, false] {
            assert_eq!(verdict(Some(label), Outcome::TimedOut, None), Verdict::Unverified);
        }
        let grade = Grade::new("t", Outcome::Unresolved, "");
        let evidence = Evidence {
            trajectory: &trajectory(Some(true)),
            replay: Err("lost".to_owned()),
            broken_task: Some("its own solution fails".to_owned()),
            recorded: Some(judged(PATCH, &grade)),
            replayed: None,
        };
        assert_eq!(decide(&evidence).0, Verdict::Unverified);
        let nothing = Evidence { broken_task: None, recorded: None, ..evidence };
        assert_eq!(decide(&nothing).0, Verdict::Unverified);
    }

    #[test]
    fn a_patch_that_does_not_apply_contradicts_a_label_of_success() {
        assert_eq!(verdict(Some(true), Outcome::PatchDoesNotApply, None), Verdict::PatchDoesNotApply);
        assert_eq!(verdict(Some(false), Outcome::PatchDoesNotApply, None), Verdict::Confirmed);
    }

    #[test]
    fn a_patch_that_lacks_the_bytes_of_a_binary_file_tells_nothing() {
        let patch =
            "diff --git a/a.png b/a.png\nindex 1..2 100644\nBinary files a/a.png and b/a.png differ\n";
        let grade = Grade::new("t", Outcome::PatchDoesNotApply, "");
        let evidence = Evidence {
            trajectory: &trajectory(Some(true)),
            replay: Err("lost".to_owned()),
            broken_task: None,
            recorded: Some(judged(patch, &grade)),
            replayed: None,
        };
        assert_eq!(decide(&evidence).0, Verdict::Unverified);
    }

    #[test]
    fn scratch_files_may_be_missing_and_changes_may_not() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a", "test_a"] {
            fs_err::write(dir.path().join(path), "x\n").unwrap();
        }
        let of = |text: &str| Effect::of(dir.path(), text).unwrap();
        let scratch = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n";
        let test = PATCH.replace("/a", "/test_a");
        let all = of(&format!("{PATCH}{scratch}{test}"));
        assert_eq!(difference(&of(PATCH), &all), None);
        assert!(difference(&all, &of(PATCH)).unwrap().contains("do not make the recorded change of `n`"));
        assert!(difference(&of(scratch), &all).unwrap().contains("lacks the steps' change of `a`"));
        assert!(difference(&of(&PATCH.replace("+y", "+z")), &of(PATCH)).is_some());
        assert!(difference_of_texts(scratch, PATCH).unwrap().contains("do not change `n`"));
        assert_eq!(difference_of_texts(&PATCH.replace("+y", "+z"), PATCH), None);
    }
}
