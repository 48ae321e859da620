//! Rewards: what a reply to an example is worth.
//!
//! Guarantees that rewards are similarities in [0, 1], or −1 for a reply that cannot be read, and that a failure
//! of ours is an error and never a reward. [`effect`] compares what actions did; what runs them (`branch`) brings its own
//! [`StepReward`].

pub mod effect;
pub mod potential;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chat::{FormatError, Reply, bare, parse_reply};
use crate::difflib::{Autojunk, ratio};
use crate::example::Example;
use crate::group::Reward;
use crate::policy::Sample;

/// Judges replies to an example.
pub trait StepReward {
    /// One reward a reply, in order.
    ///
    /// # Errors
    /// When the judge itself fails (a sandbox is lost); never for what a reply says.
    fn rewards(&self, example: &Example<'_>, replies: &[Sample]) -> anyhow::Result<Vec<Reward>>;

    /// What judging cost since this was last asked, by name; depends on the clock and on what was judged before.
    fn cost(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// Similarity of the student's and the expert's action as texts (paper Eq. 2 and 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextReward {
    /// Python's heuristic for long texts.
    pub autojunk: Autojunk,
    /// Which text is compared.
    pub scope: Scope,
}

/// Which text of an action is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The bare action: the command, or the arguments of an edit.
    #[default]
    Action,
    /// The action inside the tags of a function call, which lift every reward.
    Wrapped,
}

impl StepReward for TextReward {
    fn rewards(&self, example: &Example<'_>, replies: &[Sample]) -> anyhow::Result<Vec<Reward>> {
        let expert = example.action().text();
        Ok(replies.iter().map(|reply| self.reward(&expert, reply)).collect())
    }
}

impl TextReward {
    /// What one reply earns where the expert's action was `expert`.
    pub fn reward(self, expert: &str, reply: &Sample) -> Reward {
        match read(reply) {
            Ok(Reply { action, .. }) => Reward::new(self.similarity(expert, &bare(action))),
            Err(_) => Reward::MALFORMED,
        }
    }

    /// How alike two actions are, in [0, 1].
    pub fn similarity(self, expert: &str, student: &str) -> f64 {
        // A reply's action is read without the white space around it, so the expert's is, too.
        let (expert, student) = (self.scope.text(expert.trim()), self.scope.text(student.trim()));
        ratio(&student, &expert, self.autojunk)
    }
}

impl Scope {
    /// The text that is compared where an action is `action`.
    pub fn text(self, action: &str) -> Cow<'_, str> {
        match (self, action) {
            (Self::Action, _) => Cow::Borrowed(action),
            (Self::Wrapped, "submit") => Cow::Borrowed("<function=submit>\n</function>"),
            (Self::Wrapped, command) => {
                let call = format!("<function=bash>\n<parameter=command>{command}</parameter>\n</function>");
                Cow::Owned(call)
            }
        }
    }
}

/// Reads a sampled reply; one that the length limit cut is malformed, however it begins.
///
/// # Errors
/// A [`FormatError`], which is data: it earns the penalty.
pub fn read(reply: &Sample) -> Result<Reply<'_>, FormatError> {
    if reply.finished { parse_reply(&reply.text) } else { Err(FormatError::Unfinished) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::render_reply;
    use crate::trajectory::{Action, Step};

    fn step(command: &str) -> Step {
        Step::new("Look first.", Action::bash(command))
    }

    #[test]
    fn the_experts_own_reply_earns_exactly_one() {
        for command in ["ls", "  cat <<'E' > a\n x\nE\n", "sed -n '1,9p' ünï.py", &"x = 1\n".repeat(300)] {
            for autojunk in [Autojunk::On, Autojunk::Off] {
                for scope in [Scope::Action, Scope::Wrapped] {
                    let expert = step(command);
                    let reply = Sample::from_text(render_reply(&expert));
                    let reward = TextReward { autojunk, scope }.reward(&expert.action.text(), &reply);
                    assert_eq!(reward, Reward::new(1.0), "{command:?}");
                }
            }
        }
    }

    #[test]
    fn malformed_and_unfinished_replies_earn_the_penalty() {
        let reward = TextReward::default();
        for text in ["ls", "<think></think>ls", "<think>a</think>", "<think>a</think>ls</think>"] {
            assert_eq!(reward.reward("ls", &Sample::from_text(text)), Reward::MALFORMED, "{text:?}");
        }
        let cut = Sample { finished: false, ..Sample::from_text("<think>a</think>ls") };
        assert_eq!(reward.reward("ls", &cut), Reward::MALFORMED);
    }

    #[test]
    fn only_the_action_is_compared() {
        let reply = Sample::from_text("<think>A long thought about nothing.</think>ls -a");
        // 2 · 2 / (5 + 2) for "ls -a" against "ls".
        assert_eq!(TextReward::default().reward("ls", &reply).value, 4.0 / 7.0);
    }

    #[test]
    fn wrapping_lifts_the_similarity_of_unlike_actions() {
        let (expert, student) = ("grep -rn foo src", "python -m pytest tests/x.py");
        let bare = TextReward::default().similarity(expert, student);
        let wrapped = TextReward { scope: Scope::Wrapped, ..Default::default() }.similarity(expert, student);
        assert!(bare < 0.35 && 0.7 < wrapped, "{bare} {wrapped}");
    }
}
