//! Steps as they are gathered from replies and results.
//!
//! Guarantees that every call is one step, that a result goes to the call it names or else to the first that
//! waits for one, and that words without an action are the beginning of the next step's thought; the last
//! words of a record that ends with them are its answer.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;

use crate::trajectory::{Action, Dialect, End, Step};

use super::observed::Seen;
use super::tools::{self, Call, Meaning};

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Steps {
    done: Vec<Step>,
    /// Said since the last action.
    words: Vec<String>,
    /// Calls without a result: what their result names, and their step where they have one.
    waiting: Vec<(Option<String>, Option<usize>)>,
    /// The first step of the reply that was opened last.
    reply: usize,
    directory: Option<String>,
    /// Whether a command went elsewhere, so that later directories say nothing of the first.
    has_moved: bool,
}

impl Steps {
    /// Begins a reply with what was thought; the calls that follow are all its own.
    pub(super) fn open(&mut self, thought: &str) {
        self.say(thought);
        self.waiting.clear();
        self.reply = self.done.len();
    }

    /// A reply: what was thought, and what was called.
    pub(super) fn reply(&mut self, thought: &str, calls: Vec<Call>, dialect: Dialect) {
        self.open(thought);
        for call in calls {
            self.call(call, dialect);
        }
    }

    /// A call of the reply that was opened last.
    pub(super) fn call(&mut self, call: Call, dialect: Dialect) {
        let id = call.id.clone();
        if let Some(words) = tools::parting_words(&call) {
            self.say(&words);
        }
        match tools::meaning(call, dialect) {
            Meaning::Act(action) => self.step(Step::new("", action), id),
            Meaning::Foreign(action) => {
                self.step(Step { foreign: true, ..not_run(action) }, id);
            }
            Meaning::Apart(action) => self.step(not_run(action), id),
            Meaning::Thought(words) => {
                self.say(&words);
                self.waiting.push((id, None));
            }
        }
    }

    /// A reply with one action that is already understood.
    pub(super) fn act(&mut self, thought: &str, action: Action) {
        self.open(thought);
        self.step(Step::new("", action), None);
    }

    /// A reply that its scaffold would not run.
    pub(super) fn refused(&mut self, thought: &str, action: Action) {
        self.open(thought);
        self.step(not_run(action), None);
    }

    fn step(&mut self, step: Step, id: Option<String>) {
        self.waiting.push((id, Some(self.done.len())));
        let thought = self.thought();
        let continues = self.reply < self.done.len();
        self.done.push(Step { thought, continues, ..step });
    }

    /// What was said since the last action.
    fn thought(&mut self) -> String {
        if self.words.len() < 2 {
            return self.words.pop().unwrap_or_default();
        }
        std::mem::take(&mut self.words).join("\n\n")
    }

    /// Words that come before the next action.
    pub(super) fn say(&mut self, words: &str) {
        let words = without_tags(words);
        let words = words.trim();
        if !words.is_empty() && self.words.last().is_none_or(|last| last != words) {
            self.words.push(words.to_owned());
        }
    }

    /// What came back. Gives whether a call was waiting for it.
    pub(super) fn see(&mut self, id: Option<&str>, seen: Seen) -> bool {
        let Some(at) = self.waiting_at(id) else { return false };
        let (_, index) = self.waiting.remove(at);
        if self.directory.is_none() && !self.has_moved {
            self.has_moved = index.is_some_and(|index| is_move(&self.done[index].action));
            self.directory = if self.has_moved { None } else { seen.directory };
        }
        if let Some(index) = index {
            let step = &mut self.done[index];
            step.observation = Some(seen.observation);
            step.executed &= !seen.refused;
            step.foreign &= !seen.refused;
        }
        true
    }

    /// The call that `id` names; the first that names nothing, or any where the result names none.
    fn waiting_at(&self, id: Option<&str>) -> Option<usize> {
        let named = |(known, _): &(Option<String>, Option<usize>)| known.is_some() && known.as_deref() == id;
        let free = |(known, _): &(Option<String>, Option<usize>)| id.is_none() || known.is_none();
        self.waiting.iter().position(named).or_else(|| self.waiting.iter().position(free))
    }

    /// Marks the step that `id` names, else the first that waits, as one that was not run.
    pub(super) fn refuse(&mut self, id: Option<&str>) {
        let index = self.waiting_at(id).and_then(|at| self.waiting[at].1);
        if let Some(index) = index {
            self.done[index].executed = false;
            self.done[index].foreign = false;
        }
    }

    /// Whether no action was taken yet.
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.done.len()
    }

    /// The directory that an observation named before the agent went anywhere.
    pub(super) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// How a record ends that does not say so itself.
    pub(super) fn end(&self) -> End {
        match self.done.last() {
            Some(step) if step.action == Action::Submit && step.executed => End::Submitted,
            _ => End::Unknown,
        }
    }

    /// All steps; words without an action are the answer, unless the agent had already ended.
    pub(super) fn finish(mut self) -> Vec<Step> {
        let words = self.thought();
        match self.done.last_mut() {
            _ if words.is_empty() => {}
            Some(step) if step.action == Action::Submit => {
                step.thought = [step.thought.as_str(), &words]
                    .iter()
                    .filter(|text| !text.is_empty())
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n\n");
            }
            _ => self.done.push(Step::new("", Action::Answer { text: words })),
        }
        self.done
    }
}

/// Whether the shell may be elsewhere after this.
pub(super) fn is_move(action: &Action) -> bool {
    static MOVE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)(?:^|[;&|({`])\s*(?:cd|pushd|popd)\b").expect("invariant: the pattern is fixed")
    });
    matches!(action, Action::Bash { command } if MOVE.is_match(command))
}

fn not_run(action: Action) -> Step {
    Step { executed: false, ..Step::new("", action) }
}

/// A thought without the tags that some models write around it; ours are written when it is rendered.
pub(super) fn without_tags(thought: &str) -> Cow<'_, str> {
    static FINDER: LazyLock<memmem::Finder> = LazyLock::new(|| memmem::Finder::new("think>"));
    if FINDER.find(thought.as_bytes()).is_none() {
        return Cow::Borrowed(thought);
    }
    Cow::Owned(thought.replace("<think>", "").replace("</think>", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::observed::seen;

    fn bash(id: &str, command: &str) -> Call {
        let arguments = serde_json::json!({"command": command}).as_object().unwrap().clone();
        Call { name: "bash".to_owned(), arguments, id: Some(id.to_owned()) }
    }

    #[test]
    fn results_go_to_the_calls_that_they_name() {
        let mut steps = Steps::default();
        steps.reply("both", vec![bash("1", "a"), bash("2", "b"), bash("3", "c")], Dialect::OpenHands);
        assert!(steps.see(Some("2"), seen("B", &[])));
        assert!(steps.see(Some("1"), seen("A", &[])));
        let steps = steps.finish();
        let found: Vec<_> = steps
            .iter()
            .map(|step| {
                (step.thought.as_str(), step.continues, step.observation.as_ref().map(|o| o.output.as_str()))
            })
            .collect();
        assert_eq!(found, [("both", false, Some("A")), ("", true, Some("B")), ("", true, None)]);
    }

    #[test]
    fn a_think_tools_words_begin_the_next_thought_and_its_result_is_nobodys() {
        let mut steps = Steps::default();
        let arguments = serde_json::json!({"thought": "deep"}).as_object().unwrap().clone();
        steps.reply(
            "first",
            vec![Call { name: "think".to_owned(), arguments, id: None }],
            Dialect::OpenHands,
        );
        assert!(steps.see(None, seen("Your thought has been logged.", &[])));
        steps.reply("then", vec![bash("1", "ls")], Dialect::OpenHands);
        let steps = steps.finish();
        assert_eq!((steps.len(), steps[0].thought.as_str()), (1, "first\n\ndeep\n\nthen"));
        assert_eq!(steps[0].observation, None);
    }

    #[test]
    fn tags_around_a_thought_come_off() {
        let mut steps = Steps::default();
        steps.reply("<think>Deep.</think>Words.", vec![bash("1", "ls")], Dialect::OpenHands);
        assert_eq!(steps.finish()[0].thought, "Deep.\nWords.");
    }

    #[test]
    fn last_words_without_an_action_are_the_answer() {
        let mut steps = Steps::default();
        steps.reply("", vec![bash("1", "ls")], Dialect::OpenHands);
        steps.say("All done.");
        let steps = steps.finish();
        assert_eq!(steps[1].action, Action::Answer { text: "All done.".to_owned() });
    }
}
