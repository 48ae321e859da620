//! What a trainer learns from: examples, in which order they are dealt, and the prompts they make.
//!
//! Guarantees that the order depends on the seed and the number dealt only, so that a cursor resumes from a number.
//! An example that cannot be learned is left out and counted, never cut.

use std::cmp::Reverse;
use std::collections::BTreeSet;
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

    /// Those examples whose steps are named, by their trajectories' ids and numbers from 1.
    #[must_use]
    pub fn only(self, steps: &BTreeSet<(&str, usize)>) -> Self {
        let (mut examples, mut trunks) = (Vec::new(), Vec::new());
        for trunk in &self.trunks {
            let first = examples.len();
            let of_trunk = trunk.iter().map(|&index| self.examples[index]);
            examples
                .extend(of_trunk.filter(|example| steps.contains(&(example.trajectory, example.index + 1))));
            let trunk: Vec<usize> = (first..examples.len()).collect();
            trunks.extend((!trunk.is_empty()).then_some(trunk));
        }
        Self { examples, trunks, unreadable: self.unreadable }
    }

    /// How many examples of its trajectory come after each example.
    fn distances(&self) -> Vec<usize> {
        self.trunks.iter().flat_map(|trunk| (0..trunk.len()).rev()).collect()
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
    /// Single examples, the last steps of all trajectories before the steps before them, and so on back to the first ones: the
    /// reverse curriculum of R3 (arXiv 2402.05808), whose start slides from the end of a demonstration to its beginning.
    Reverse,
}

/// Deals examples, epoch after epoch.
#[derive(Debug)]
pub struct Cursor<'d, 'a> {
    data: &'d DataSet<'a>,
    deck: Deck,
}

impl<'d, 'a> Cursor<'d, 'a> {
    /// A cursor behind the first `dealt` examples; `data` must have examples.
    pub fn new(data: &'d DataSet<'a>, order: Order, seed: u64, dealt: u64) -> Self {
        let hands = match order {
            Order::Trajectories => data.trunks.clone(),
            Order::Examples | Order::Reverse => (0..data.examples.len()).map(|index| vec![index]).collect(),
        };
        let ranks = if order == Order::Reverse { data.distances() } else { Vec::new() };
        Self { data, deck: Deck::ranked(hands, ranks, seed, dealt) }
    }

    /// Examples dealt so far, over all epochs.
    pub fn dealt(&self) -> u64 {
        self.deck.dealt()
    }

    /// Examples of one epoch.
    pub fn epoch(&self) -> u64 {
        self.deck.epoch()
    }

    /// Deals at least `count` examples: exactly as many, or up to the end of the last trajectory.
    pub fn deal(&mut self, count: usize) -> Vec<&'d Example<'a>> {
        self.deck.deal(count).into_iter().map(|index| &self.data.examples[index]).collect()
    }
}

/// Deals indices in hands that stay together, epoch after epoch, each in an order of its own.
#[derive(Debug)]
pub struct Deck {
    hands: Vec<Vec<usize>>,
    /// By index: hands of low ones come first in an epoch. Empty where all are alike.
    ranks: Vec<usize>,
    epoch: u64,
    seed: u64,
    dealt: u64,
    /// This epoch's hands, the next one last.
    left: Vec<Vec<usize>>,
}

impl Deck {
    /// A deck behind the first `dealt` indices; there must be a hand, and none may be empty.
    pub fn new(hands: Vec<Vec<usize>>, seed: u64, dealt: u64) -> Self {
        Self::ranked(hands, Vec::new(), seed, dealt)
    }

    fn ranked(hands: Vec<Vec<usize>>, ranks: Vec<usize>, seed: u64, dealt: u64) -> Self {
        let epoch = hands.iter().map(|hand| hand.len() as u64).sum();
        let mut deck = Self { hands, ranks, epoch, seed, dealt, left: Vec::new() };
        let mut skipped = dealt % epoch;
        if 0 < skipped {
            deck.shuffle();
        }
        while 0 < skipped {
            let hand = deck.left.pop().expect("invariant: the hands of an epoch hold every index");
            skipped = skipped.saturating_sub(hand.len() as u64);
        }
        deck
    }

    /// Indices dealt so far, over all epochs.
    pub fn dealt(&self) -> u64 {
        self.dealt
    }

    /// Indices of one epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Deals at least `count` indices: exactly as many, or up to the end of the last hand.
    pub fn deal(&mut self, count: usize) -> Vec<usize> {
        let mut dealt = Vec::with_capacity(count);
        while dealt.len() < count {
            if self.left.is_empty() {
                self.shuffle();
            }
            let hand = self.left.pop().expect("invariant: an epoch has hands");
            self.dealt += hand.len() as u64;
            dealt.extend(hand);
        }
        dealt
    }

    fn shuffle(&mut self) {
        self.left = self.hands.clone();
        self.left.shuffle(&mut seed::rng(self.seed, "epoch", &[self.dealt / self.epoch]));
        if !self.ranks.is_empty() {
            // The next hand is the last one; hands of the same rank stay as they were shuffled.
            let Self { left, ranks, .. } = self;
            left.sort_by_key(|hand| Reverse(ranks[hand[0]]));
        }
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
