//! What a trainer learns from: examples, in which order they are dealt, and the prompts they make.
//!
//! Guarantees that the order depends on the seed and the number dealt only, so that a cursor resumes from a number.
//! An example that cannot be learned is left out and counted, never cut.

use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::chat::{Scaffold, conversation};
use crate::curate::hint;
use crate::example::{Example, examples};
use crate::model::error::ModelError;
use crate::model::tokenizer::ChatTokenizer;
use crate::seed;
use crate::task::Task;
use crate::trajectory::Trajectory;

/// Every example's problem alone is longer than the context.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no example fits into {0} tokens")]
pub struct NothingFits(pub usize);

/// The examples of some trajectories.
#[derive(Debug, Default)]
pub struct DataSet<'a> {
    examples: Vec<Example<'a>>,
    /// The examples of each trajectory, as indices.
    trunks: Vec<Vec<usize>>,
    unreadable: usize,
}

impl<'a> DataSet<'a> {
    /// The examples of trajectories, each with its task.
    pub fn new(pairs: impl IntoIterator<Item = (&'a Task, &'a Trajectory)>) -> Self {
        let mut data = Self::default();
        for (task, trajectory) in pairs {
            let first = data.examples.len();
            for example in examples(task, trajectory) {
                if example.is_learnable() {
                    data.examples.push(example);
                } else {
                    data.unreadable += 1;
                }
            }
            let trunk: Vec<usize> = (first..data.examples.len()).collect();
            data.trunks.extend((!trunk.is_empty()).then_some(trunk));
        }
        data
    }

    /// All examples.
    pub fn examples(&self) -> &[Example<'a>] {
        &self.examples
    }

    /// Examples that were left out because the expert's own reply would be malformed.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

/// The order in which examples are dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Whole trajectories in random order, each in its own order: their steps share the trunk.
    #[default]
    Trajectories,
    /// Single examples in random order.
    Examples,
}

/// Deals examples, epoch after epoch.
#[derive(Debug)]
pub struct Cursor<'d, 'a> {
    data: &'d DataSet<'a>,
    order: Order,
    seed: u64,
    dealt: u64,
    /// This epoch's hands, the next one last.
    hands: Vec<Vec<usize>>,
}

impl<'d, 'a> Cursor<'d, 'a> {
    /// A cursor behind the first `dealt` examples; `data` must have examples.
    pub fn new(data: &'d DataSet<'a>, order: Order, seed: u64, dealt: u64) -> Self {
        let mut cursor = Self { data, order, seed, dealt, hands: Vec::new() };
        let mut skipped = dealt % data.examples.len() as u64;
        if 0 < skipped {
            cursor.shuffle();
        }
        while 0 < skipped {
            let hand = cursor.hands.pop().expect("invariant: the hands of an epoch hold every example");
            skipped = skipped.saturating_sub(hand.len() as u64);
        }
        cursor
    }

    /// Examples dealt so far, over all epochs.
    pub fn dealt(&self) -> u64 {
        self.dealt
    }

    /// Examples of one epoch.
    pub fn epoch(&self) -> u64 {
        self.data.examples.len() as u64
    }

    /// Deals at least `count` examples: exactly as many, or up to the end of the last trajectory.
    pub fn deal(&mut self, count: usize) -> Vec<&'d Example<'a>> {
        let mut dealt = Vec::with_capacity(count);
        while dealt.len() < count {
            if self.hands.is_empty() {
                self.shuffle();
            }
            let hand = self.hands.pop().expect("invariant: an epoch has hands");
            self.dealt += hand.len() as u64;
            dealt.extend(hand.into_iter().map(|index| &self.data.examples[index]));
        }
        dealt
    }

    fn shuffle(&mut self) {
        let epoch = self.dealt / self.epoch();
        self.hands = match self.order {
            Order::Trajectories => self.data.trunks.clone(),
            Order::Examples => (0..self.data.examples.len()).map(|index| vec![index]).collect(),
        };
        self.hands.shuffle(&mut seed::rng(self.seed, "epoch", &[epoch]));
    }
}

/// Makes prompts of examples.
#[derive(Debug, Clone)]
pub struct Prompter {
    /// What the student is told, and how much of the history it sees.
    pub scaffold: Scaffold,
    /// A longer prompt loses its oldest steps, whole.
    pub max_tokens: usize,
}

/// A prompt that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// Its tokens.
    pub tokens: Arc<[u32]>,
    /// Steps of the history that it lost.
    pub lost: usize,
}

impl Prompter {
    /// The longest prompt that fits; none if even the problem alone does not.
    ///
    /// # Errors
    /// When the tokenizer refuses the conversation.
    pub fn prompt(
        &self,
        tokenizer: &ChatTokenizer,
        example: &Example<'_>,
    ) -> Result<Option<Fitted>, ModelError> {
        let without = |lost: usize| {
            let mut messages = conversation(&self.scaffold, example.task, &example.history[lost..]);
            if self.scaffold.math.title_hint {
                hint::add(&mut messages, example);
            }
            tokenizer.encode_prompt(&messages)
        };
        fit(example.history.len(), self.max_tokens, without)
    }
}

/// The prompt that loses the fewest of `history` steps and has at most `max_tokens`, of those that `without` so many gives.
///
/// # Errors
/// When `without` does.
pub fn fit(
    history: usize,
    max_tokens: usize,
    mut without: impl FnMut(usize) -> Result<Vec<u32>, ModelError>,
) -> Result<Option<Fitted>, ModelError> {
    let whole = without(0)?;
    if whole.len() <= max_tokens {
        return Ok(Some(Fitted { tokens: whole.into(), lost: 0 }));
    }
    // Losing more makes it shorter, so the least loss that fits is found by halving.
    let (mut too_long, mut fitting) = (0, None);
    let mut end = history;
    while too_long < end {
        let lost = too_long + (end - too_long).div_ceil(2);
        let tokens = without(lost)?;
        if tokens.len() <= max_tokens {
            fitting = Some(Fitted { tokens: tokens.into(), lost });
            end = lost - 1;
        } else {
            too_long = lost;
        }
    }
    Ok(fitting)
}

/// What messages call an example.
pub fn name(example: &Example<'_>) -> Arc<str> {
    format!("{}#{}", example.trajectory, example.index + 1).into()
}
