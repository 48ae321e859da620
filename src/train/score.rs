//! Log-probabilities of replies under weights other than the sampler's, which some losses need before an update.

use anyhow::Result;

use super::batch::{Answer, Sequence, collate, split};
use super::loss::{Correction, Kl, Loss};
use super::update::{Tokens, attended};
use crate::model::Student;

/// Who is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Scorer<'a> {
    /// The trainer.
    pub student: &'a Student,
    /// The first weights, where a loss keeps near them.
    pub reference: Option<&'a Student>,
    /// The temperature at which the replies were sampled.
    pub temperature: f64,
    /// Tokens that pass a model at once, after sharing.
    pub micro_batch_tokens: usize,
}

impl Scorer<'_> {
    /// Fills in what `loss` reads beyond the sampler's log-probabilities; gives the tokens that this took.
    ///
    /// # Errors
    /// When a model refuses the tokens, or the device fails.
    ///
    /// # Panics
    /// When the loss wants a reference and there is none.
    pub fn fill(&self, loss: &Loss, sequences: &mut [Sequence]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        if loss.correction != Correction::None {
            let logprobs = self.logprobs(self.student, sequences, &mut tokens)?;
            each_answer(sequences, &logprobs, |answer, trainer| {
                let sampler = std::mem::replace(&mut answer.old_logprobs, trainer.to_vec());
                let importance =
                    std::iter::zip(trainer, sampler).map(|(t, s)| loss.correction.importance(*t, s));
                answer.importance = importance.collect();
            });
        }
        if loss.kl != Kl::None {
            let reference = self.reference.expect("invariant: who asks for a distance brings the reference");
            let logprobs = self.logprobs(reference, sequences, &mut tokens)?;
            each_answer(sequences, &logprobs, |answer, reference| {
                answer.reference_logprobs = reference.to_vec();
            });
        }
        Ok(tokens)
    }

    /// One entry a token of a reply, in order.
    fn logprobs(&self, model: &Student, sequences: &[Sequence], tokens: &mut Tokens) -> Result<Vec<f32>> {
        let mut logprobs = Vec::new();
        for run in split(sequences, self.micro_batch_tokens) {
            let sequences = &sequences[run];
            let unweighed = vec![0.0; sequences.iter().map(Sequence::reply_len).sum()];
            let batch = collate(sequences, &unweighed, model.network().device())?;
            let answers = model.logprobs(&batch.packed, &batch.rows, &batch.targets, self.temperature)?;
            logprobs.extend(answers.detach().to_vec1::<f32>()?);
            *tokens += Tokens {
                forward: batch.packed.tokens().len() as u64,
                without_sharing: sequences.iter().map(|sequence| sequence.rows() as u64).sum(),
                pairs: attended(&batch.packed),
                predictions: batch.rows.len() as u64,
                ..Tokens::default()
            };
        }
        Ok(logprobs)
    }
}

/// Calls `f` with every answer and its part of `values`, which has one entry a token.
fn each_answer(sequences: &mut [Sequence], values: &[f32], mut f: impl FnMut(&mut Answer, &[f32])) {
    let mut rest = values;
    for answer in sequences.iter_mut().flat_map(|sequence| &mut sequence.answers) {
        let (own, after) = rest.split_at(answer.reply.len());
        f(answer, own);
        rest = after;
    }
}
