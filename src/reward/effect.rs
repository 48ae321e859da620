//! Effects: what an action did to the world, and how alike two of them are.
//!
//! A pure function on data that somebody else gathered (`branch`). Guarantees that an effect is exactly 1 like itself,
//! and that nothing depends on a clock or on the order of a map. Formula and reasons: docs/effect.md.

mod files;
mod output;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TextReward;
use crate::patch::Change;
use crate::trajectory::Exit;

/// How much the files that an action changed weigh beside what it printed: they stay, a print does not.
const FILES: f64 = 8.0;
/// How much what it printed weighs.
const OUTPUT: f64 = 2.0;
/// How much the shell's directory and variables weigh beside a print: whoever reads from elsewhere reads the same.
const SHELL: f64 = 0.5;
/// How much an exit code weighs: a pipe hides it.
const EXIT: f64 = 0.25;
/// How much it weighs that a command was cut short: nothing could follow it.
const CUT_SHORT: f64 = 2.0;

/// What an action did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effect {
    /// The files that it changed, from how they were before it, sorted by path.
    pub files: Vec<Change>,
    /// What it changed of the shell, by name: the directory (`PWD`) and exported variables; nothing for one that is gone.
    pub shell: BTreeMap<String, Option<String>>,
    /// What it printed, without what depends on the run.
    pub output: String,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Whether it said that the work is done.
    pub submitted: bool,
    /// The potential of the repository after it, in [0, 1], where the task's tests were asked.
    pub potential: Option<f64>,
    /// By how much it raised the potential, in [−1, 1]: along a path these add up to the difference of its ends.
    pub outcome: Option<f64>,
}

/// Similarity of what the student's and the expert's action did, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EffectReward {
    /// The share of the reward that the task's tests decide, in [0, 1]; 0 runs none.
    pub tests: f64,
}

impl Default for EffectReward {
    fn default() -> Self {
        // From here on a repair that looks unlike the expert's outranks one that looks alike and repairs nothing.
        Self { tests: 0.5 }
    }
}

/// Text and effect together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixReward {
    /// How texts are compared.
    pub text: TextReward,
    /// How effects are compared.
    pub effect: EffectReward,
    /// The share of the effect, in [0, 1]; the text has the rest.
    pub weight: f64,
}

impl Default for MixReward {
    fn default() -> Self {
        Self { text: TextReward::default(), effect: EffectReward::default(), weight: 0.5 }
    }
}

impl MixReward {
    /// The weighted mean of two rewards in [0, 1].
    pub fn of(self, text: f64, effect: f64) -> f64 {
        // Equal rewards must give exactly their own value.
        if text == effect { text } else { (1.0 - self.weight) * text + self.weight * effect }
    }
}

/// How alike two effects are, part by part: each in [0, 1], absent where neither effect has that part.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Likeness {
    /// The files that were changed.
    pub files: Option<f64>,
    /// What was printed.
    pub output: Option<f64>,
    /// Directory and variables of the shell.
    pub shell: Option<f64>,
    /// How the commands ended, where one of them did not succeed.
    pub exit: Option<f64>,
    /// The actions' texts, where nothing else is to be seen.
    pub text: Option<f64>,
    /// By how much less the student's action raised the potential than the expert's; 0 where it raised it as much.
    pub shortfall: Option<f64>,
    /// The reward.
    pub value: f64,
}

impl EffectReward {
    /// Compares what the student did with what the expert did in the same state; `text` says how alike the actions'
    /// texts are, and is asked where no effect of either can be seen.
    pub fn likeness(self, expert: &Effect, student: &Effect, text: impl FnOnce() -> f64) -> Likeness {
        let mut likeness = compare(expert, student, text);
        if let (Some(of_expert), Some(of_student)) = (expert.potential, student.potential) {
            let shortfall = (of_expert - of_student).max(0.0);
            likeness.shortfall = Some(shortfall);
            // Written as what is lost, so that nothing lost is exactly nothing.
            let lost = (1.0 - self.tests) * (1.0 - likeness.value) + self.tests * shortfall;
            likeness.value = (1.0 - lost).clamp(0.0, 1.0);
        }
        likeness
    }
}

/// Everything but the potentials: the weighted mean of the parts that either effect has.
fn compare(expert: &Effect, student: &Effect, text: impl FnOnce() -> f64) -> Likeness {
    if expert.submitted || student.submitted {
        let is_same = expert.submitted == student.submitted;
        return Likeness { value: f64::from(u8::from(is_same)), ..Likeness::default() };
    }
    let has = |of: fn(&Effect) -> bool| of(expert) || of(student);
    let mut likeness = Likeness {
        files: has(|effect| !effect.files.is_empty()).then(|| files::likeness(&expert.files, &student.files)),
        output: has(|effect| !effect.output.trim().is_empty())
            .then(|| output::likeness(&expert.output, &student.output)),
        shell: has(|effect| !effect.shell.is_empty())
            .then(|| f64::from(u8::from(expert.shell == student.shell))),
        exit: has(|effect| !effect.exit.is_some_and(Exit::is_success))
            .then(|| f64::from(u8::from(expert.exit == student.exit))),
        ..Likeness::default()
    };
    let was_cut = has(|effect| matches!(effect.exit, Some(Exit::TimedOut | Exit::OutOfMemory)));
    let parts = [
        (FILES, likeness.files),
        (OUTPUT, likeness.output),
        (SHELL, likeness.shell),
        (if was_cut { CUT_SHORT } else { EXIT }, likeness.exit),
    ];
    let seen = || parts.iter().filter_map(|(weight, part)| Some((weight, (*part)?)));
    let weights: f64 = seen().map(|(weight, _)| weight).sum();
    if weights == 0.0 {
        likeness.text = Some(text());
        likeness.value = likeness.text.unwrap_or_default();
    } else {
        let lost: f64 = seen().map(|(weight, part)| weight * (1.0 - part)).sum();
        likeness.value = 1.0 - lost / weights;
    }
    likeness
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::{File, Mode};

    #[expect(clippy::unnecessary_wraps, reason = "a change has a file or none")]
    fn file(text: &str) -> Option<File> {
        Some(File { bytes: text.into(), mode: Mode::File })
    }

    fn edit(path: &str, before: &str, after: &str) -> Change {
        Change { path: path.to_owned(), before: file(before), after: file(after) }
    }

    fn printed(output: &str) -> Effect {
        Effect { output: output.to_owned(), exit: Some(Exit::Code(0)), ..Effect::default() }
    }

    fn value(expert: &Effect, student: &Effect) -> f64 {
        EffectReward::default().likeness(expert, student, || 0.25).value
    }

    fn effects() -> Vec<Effect> {
        let edited = Effect { files: vec![edit("a", "x\ny\n", "x\nz\n")], ..printed("") };
        let moved = Effect { shell: [("PWD".to_owned(), Some("/b".to_owned()))].into(), ..printed("") };
        let failed = Effect { exit: Some(Exit::Code(1)), ..printed("") };
        let hung = Effect { exit: Some(Exit::TimedOut), ..printed("a\n") };
        let submitted = Effect { submitted: true, ..printed("") };
        vec![printed("a\nb\n"), edited, moved, failed, hung, submitted]
    }

    #[test]
    fn every_effect_is_exactly_one_like_itself_and_less_like_every_other() {
        for (at, expert) in effects().iter().enumerate() {
            for (other, student) in effects().iter().enumerate() {
                for potential in [None, Some(0.1), Some(0.7)] {
                    let with = |effect: &Effect| Effect { potential, ..effect.clone() };
                    let value = value(&with(expert), &with(student));
                    assert!((0.0..=1.0).contains(&value));
                    assert_eq!(value == 1.0, at == other, "{expert:?} {student:?} {value}");
                }
            }
        }
    }

    #[test]
    fn where_nothing_can_be_seen_the_texts_are_compared() {
        let likeness = EffectReward::default().likeness(&printed(""), &printed(" \n"), || 0.25);
        assert_eq!((likeness.text, likeness.value), (Some(0.25), 0.25));
    }

    #[test]
    fn files_weigh_more_than_what_is_printed() {
        let expert = Effect { files: vec![edit("a", "x\n", "y\n")], ..printed("") };
        let shown = Effect { output: "a was edited\n".to_owned(), ..expert.clone() };
        let only_shown = Effect { files: Vec::new(), ..shown.clone() };
        // 8 of 10, and nothing of what stays.
        assert_eq!(value(&expert, &shown), 0.8);
        assert!((value(&shown, &only_shown) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_repair_in_other_words_outranks_one_that_looks_alike_and_repairs_nothing() {
        let with = |after: &str, potential| Effect {
            files: vec![edit("a", "1\n2\n3\n4\n", after)],
            potential: Some(potential),
            ..printed("")
        };
        let expert = with("1\n2\n9\n4\n", 1.0);
        let other_words = with("0\n0\n0\n0\n", 1.0);
        let alike = with("1\n2\n8\n4\n", 0.25);
        assert!(value(&expert, &alike) < 0.5 && 0.5 <= value(&expert, &other_words));
        // More than the expert reached is worth no more than what the expert reached.
        assert_eq!(value(&with("1\n2\n9\n4\n", 0.5), &with("1\n2\n9\n4\n", 1.0)), 1.0);
    }

    #[test]
    fn a_mix_lies_between_its_parts_and_is_exactly_one_where_both_are() {
        for weight in [0.0, 0.1, 1.0 / 3.0, 0.7, 1.0] {
            let mix = MixReward { weight, ..MixReward::default() };
            assert_eq!((mix.of(1.0, 1.0), mix.of(0.3, 0.3)), (1.0, 0.3));
            let between = mix.of(0.2, 0.9);
            assert!((0.2..=0.9).contains(&between));
        }
    }
}
