//! Sequences to learn from, collated for one pass through the model.
//!
//! The only place that shifts, masks and weighs: token `t` is predicted by the row of token `t − 1`, only tokens of
//! replies count, and a token's weight is its share of the average over the *whole* batch, not the micro-batch.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::loss::{Known, Members};
use crate::model::tree::Packed;
use crate::policy::Sample;

/// What is learned from as one: a reply, or the replies of an episode. It has one advantage, one share of an average
/// over sequences, and one ratio where ratios are of sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// What it answers, for messages: `trajectory#step`, or a task.
    pub example: Arc<str>,
    /// The replies with their prompts; at least one.
    pub answers: Vec<Answer>,
    /// The same for every token of the replies.
    pub advantage: f64,
}

/// A prompt with the reply to it. Lists have one entry a token of the reply.
///
/// The prompt of an episode's next answer repeats this one and its reply; the prefix tree makes nothing of that. So
/// each reply is learned after the very tokens that the student read, even where a text that is encoded again gives
/// others than were sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The prompt; at least one token.
    pub prompt: Arc<[u32]>,
    /// The reply, its end token included; at least one token.
    pub reply: Vec<u32>,
    /// Log-probabilities that ratios are taken against; zeros where nothing was sampled.
    pub old_logprobs: Vec<f32>,
    /// Log-probabilities of the first weights; zeros where nothing asks for them.
    pub reference_logprobs: Vec<f32>,
    /// What policy losses are multiplied by.
    pub importance: Vec<f32>,
}

impl Sequence {
    /// A single reply that nobody sampled, such as an expert's.
    pub fn imitated(example: Arc<str>, prompt: Arc<[u32]>, reply: Vec<u32>) -> Self {
        let old_logprobs = vec![0.0; reply.len()];
        Self { example, answers: vec![Answer::new(prompt, reply, old_logprobs)], advantage: 1.0 }
    }

    /// Replies that were sampled.
    pub fn sampled<'s>(
        example: Arc<str>,
        replies: impl IntoIterator<Item = &'s Sample>,
        advantage: f64,
    ) -> Self {
        let answer = |reply: &Sample| {
            Answer::new(Arc::clone(&reply.prompt), reply.tokens.clone(), reply.logprobs.clone())
        };
        Self { example, answers: replies.into_iter().map(answer).collect(), advantage }
    }

    /// The tokens of its replies.
    pub fn reply_len(&self) -> usize {
        self.answers.iter().map(|answer| answer.reply.len()).sum()
    }

    /// The rows that it needs without sharing any.
    pub fn rows(&self) -> usize {
        self.answers.iter().map(|answer| answer.prompt.len() + answer.reply.len() - 1).sum()
    }
}

impl Answer {
    /// A reply that is learned from as it was sampled.
    pub fn new(prompt: Arc<[u32]>, reply: Vec<u32>, old_logprobs: Vec<f32>) -> Self {
        let n = reply.len();
        Self { prompt, reply, old_logprobs, reference_logprobs: vec![0.0; n], importance: vec![1.0; n] }
    }

    /// The tokens that predict another one.
    pub(super) fn inputs(&self) -> Vec<u32> {
        let mut tokens = self.prompt.to_vec();
        tokens.extend_from_slice(&self.reply[..self.reply.len() - 1]);
        tokens
    }
}

/// What a loss averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Tokens of each sequence, then sequences (Eq. 1 of the paper).
    #[default]
    Sequences,
    /// All tokens alike.
    Tokens,
    /// A sequence's tokens are summed and divided by this length, then sequences are averaged (Dr. GRPO).
    Fixed(usize),
}

/// The weight of each token of sequences with these lengths, one sequence after the other.
pub fn weights(lengths: &[usize], average: Average) -> Vec<f64> {
    let total: usize = lengths.iter().sum();
    let weight = |length: usize| match average {
        Average::Sequences => 1.0 / (length * lengths.len()) as f64,
        Average::Tokens => 1.0 / total as f64,
        Average::Fixed(same) => 1.0 / (same * lengths.len()) as f64,
    };
    lengths.iter().flat_map(|&length| std::iter::repeat_n(weight(length), length)).collect()
}

/// Part of a batch that passes the model at once. Lists have one entry a token of a reply.
#[derive(Debug)]
pub struct MicroBatch {
    /// All tokens but the last of each reply, which predicts nothing.
    pub packed: Packed,
    /// The row that predicts each token.
    pub rows: Vec<u32>,
    /// The tokens.
    pub targets: Vec<u32>,
    /// What the loss reads of them.
    pub known: Known,
}

/// Collates sequences whose tokens weigh `weights`.
///
/// # Errors
/// When the device has no memory.
pub fn collate(sequences: &[Sequence], weights: &[f64], device: &Device) -> Result<MicroBatch> {
    let answers = || sequences.iter().flat_map(|sequence| &sequence.answers);
    let inputs: Vec<Vec<u32>> = answers().map(Answer::inputs).collect();
    let packed = Packed::new(inputs.iter().map(Vec::as_slice));
    let mut rows = Vec::new();
    for (answer_idx, answer) in answers().enumerate() {
        let first = answer.prompt.len() - 1;
        rows.extend((first..first + answer.reply.len()).map(|position| packed.row(answer_idx, position)));
    }
    let tensor = |values: Vec<f32>| Tensor::new(values, device);
    let of_tokens = |list: fn(&Answer) -> &[f32]| tensor(answers().flat_map(list).copied().collect());
    let of_sequences = |value: fn(&Sequence) -> f64| {
        let each = |sequence: &Sequence| std::iter::repeat_n(value(sequence) as f32, sequence.reply_len());
        tensor(sequences.iter().flat_map(each).collect())
    };
    let known = Known {
        old_logprobs: of_tokens(|answer| &answer.old_logprobs)?,
        reference_logprobs: of_tokens(|answer| &answer.reference_logprobs)?,
        importance: of_tokens(|answer| &answer.importance)?,
        advantages: of_sequences(|sequence| sequence.advantage)?,
        weights: tensor(weights.iter().map(|&weight| weight as f32).collect())?,
        members: Members {
            sequences: Tensor::new(members(sequences), device)?,
            shares: of_sequences(|sequence| 1.0 / sequence.reply_len() as f64)?,
            count: sequences.len(),
        },
    };
    let targets = answers().flat_map(|answer| &answer.reply).copied().collect();
    Ok(MicroBatch { packed, rows, targets, known })
}

/// The sequence of each token.
fn members(sequences: &[Sequence]) -> Vec<u32> {
    let each = |(sequence_idx, sequence): (usize, &Sequence)| {
        std::iter::repeat_n(sequence_idx as u32, sequence.reply_len())
    };
    sequences.iter().enumerate().flat_map(each).collect()
}

/// Cuts sequences, in order, into runs whose packed tokens fit `limit`; a longer sequence is a run of its own, because
/// the ratio of a sequence needs all its tokens.
pub fn split(sequences: &[Sequence], limit: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut run = Trunk::default();
    for (sequence_idx, sequence) in sequences.iter().enumerate() {
        run.push(sequence);
        if limit < run.rows && start < sequence_idx {
            runs.push(start..sequence_idx);
            start = sequence_idx;
            run = Trunk::default();
            run.push(sequence);
        }
    }
    if start < sequences.len() {
        runs.push(start..sequences.len());
    }
    runs
}

/// Counts the rows of a run, sharing each answer's beginning with its predecessor's: an upper bound of the
/// tree's, and equal to it where answers come in the order of a trajectory.
#[derive(Default)]
struct Trunk {
    rows: usize,
    last: Vec<u32>,
}

impl Trunk {
    fn push(&mut self, sequence: &Sequence) {
        for answer in &sequence.answers {
            let tokens = answer.inputs();
            let shared = std::iter::zip(&self.last, &tokens).take_while(|(a, b)| a == b).count();
            self.rows += tokens.len() - shared;
            self.last = tokens;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(answers: &[(&[u32], &[u32])]) -> Sequence {
        let answer = |(prompt, reply): &(&[u32], &[u32])| {
            Answer::new((*prompt).into(), reply.to_vec(), vec![-1.0; reply.len()])
        };
        Sequence { example: "t#0".into(), answers: answers.iter().map(answer).collect(), advantage: 0.5 }
    }

    fn predictors(batch: &MicroBatch) -> Vec<u32> {
        batch.rows.iter().map(|&row| batch.packed.tokens()[row as usize]).collect()
    }

    #[test]
    fn each_reply_token_is_predicted_by_the_row_before_it() {
        let sequences = [sequence(&[(&[1, 2], &[3, 4])]), sequence(&[(&[1, 2], &[3, 5, 6])])];
        let weights = weights(&[2, 3], Average::Sequences);
        let batch = collate(&sequences, &weights, &Device::Cpu).unwrap();
        assert_eq!(batch.targets, [3, 4, 3, 5, 6]);
        assert_eq!(predictors(&batch), [2, 3, 2, 3, 5]);
        // 1 2 3 is shared, 5 belongs to the second, and the last tokens predict nothing.
        assert_eq!(batch.packed.tokens().len(), 4);
        assert_eq!(batch.known.old_logprobs.dims(), [5]);
        assert_eq!(batch.known.members.sequences.to_vec1::<u32>().unwrap(), [0, 0, 1, 1, 1]);
    }

    #[test]
    fn an_episode_is_one_sequence_whose_replies_alone_count_and_whose_rows_are_shared() {
        // Observations 5 and 8 stand between the replies; the prompts only grow.
        let episode =
            sequence(&[(&[1, 2], &[3, 4]), (&[1, 2, 3, 4, 5], &[6, 7]), (&[1, 2, 3, 4, 5, 6, 7, 8], &[9])]);
        assert_eq!((episode.reply_len(), episode.rows()), (5, 3 + 6 + 8));
        let weights = weights(&[5], Average::Sequences);
        let batch = collate(std::slice::from_ref(&episode), &weights, &Device::Cpu).unwrap();
        assert_eq!(batch.targets, [3, 4, 6, 7, 9]);
        assert_eq!(predictors(&batch), [2, 3, 5, 6, 8]);
        assert_eq!(batch.packed.tokens(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(batch.known.members.sequences.to_vec1::<u32>().unwrap(), [0; 5]);
        assert_eq!(batch.known.members.shares.to_vec1::<f32>().unwrap(), [0.2; 5]);
    }

    #[test]
    fn weights_sum_to_one() {
        for average in [Average::Sequences, Average::Tokens] {
            let sum: f64 = weights(&[3, 1, 7], average).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn runs_fit_the_limit_and_cover_everything_in_order() {
        let sequences: Vec<Sequence> = (0..10).map(|n| sequence(&[(&[1, 2, 3, 4], &[n, n, n])])).collect();
        // 6 rows for the first of a run, 2 for each other.
        assert_eq!(split(&sequences, 10), [0..3, 3..6, 6..9, 9..10]);
        assert_eq!(split(&sequences, 1000), vec![0..10]);
        assert_eq!(split(&sequences, 1).len(), 10);
        assert!(split(&[], 10).is_empty());
        // The second answer adds 3 rows to the 5 of the first.
        let episodes: Vec<Sequence> = (0..4)
            .map(|n| sequence(&[(&[1, 2, 3, 4], &[n, n]), (&[1, 2, 3, 4, n, n], &[n, n, n])]))
            .collect();
        assert_eq!(split(&episodes, 12), [0..2, 2..4]);
    }
}
