//! Looks at batches as the trainers would cut and share them.

use std::sync::Arc;

use anyhow::Result;

use super::Load;
use crate::example::Example;
use crate::model::Prompt;
use crate::model::tokenizer::ChatTokenizer;
use crate::model::tree::Packed;
use crate::train::batch::{Answer, Sequence, split};
use crate::train::data::Prompter;
use crate::train::{TrainConfig, sft};

pub(super) struct Look<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) prompter: Prompter,
    pub(super) tokenizer: &'a ChatTokenizer,
}

/// What the batches were like: sums of tokens, and the largest of what is held at once.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) left_out: u64,
    pub(super) update: Load,
    pub(super) sampling: Load,
    /// Tokens of the largest micro-batch.
    pub(super) rows: usize,
    /// Tokens that the head is asked about in one.
    pub(super) predictions: usize,
    /// Whether a batch has several.
    pub(super) has_several: bool,
    /// Tokens of prompts that are answered together.
    pub(super) prompt_rows: usize,
    /// Replies that are drawn together.
    pub(super) replies: usize,
}

/// A prompt and how long its replies are.
struct Asked {
    prompt: Arc<[u32]>,
    reply: usize,
}

/// A micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    rows: usize,
    without_sharing: usize,
    predictions: usize,
}

impl Look<'_> {
    /// A batch of the experts' own replies: what SFT makes of it.
    pub(super) fn at_experts(&self, examples: &[&Example<'_>], seen: &mut Seen) -> Result<()> {
        let sequences = sft::sequences(self.config, &self.prompter, self.tokenizer, examples)?;
        seen.left_out += (examples.len() - sequences.len()) as u64;
        let runs = split(&sequences, self.config.batch.micro_batch_tokens);
        seen.has_several |= 1 < runs.len();
        for run in runs {
            let sequences = &sequences[run];
            let rows = rows(sequences.iter().flat_map(|sequence| &sequence.answers).map(Answer::inputs));
            seen.update.add(rows, sequences.iter().map(Sequence::rows).sum());
            seen.hold(rows, sequences.iter().map(Sequence::reply_len).sum());
        }
        Ok(())
    }

    /// A batch of groups, whose replies are yet to be sampled.
    pub(super) fn at_groups(&self, examples: &[&Example<'_>], group: usize, seen: &mut Seen) -> Result<()> {
        let mut asked = self.asked(examples)?;
        seen.left_out += (examples.len() - asked.len()) as u64;
        for part in asked.chunks(Prompt::AT_ONCE) {
            let shared = seen.answer(part, group);
            let replies: usize = part.iter().map(|asked| group * (asked.reply - 1)).sum();
            let prompts: usize = part.iter().map(|asked| group * asked.prompt.len()).sum();
            seen.sampling.add(shared + replies, prompts + replies);
        }
        let limit = self.config.batch.micro_batch_tokens;
        for run in runs(&asked, group, limit) {
            seen.update.add(run.rows, run.without_sharing);
        }
        for asked in &mut asked {
            asked.reply = self.config.limits.reply;
        }
        let longest = runs(&asked, group, limit);
        seen.has_several |= 1 < longest.len();
        for run in longest {
            seen.hold(run.rows, run.predictions);
        }
        Ok(())
    }

    /// Held-out examples, of which each is answered.
    pub(super) fn at_validation(&self, examples: &[&Example<'_>], seen: &mut Seen) -> Result<()> {
        for part in self.asked(examples)?.chunks(Prompt::AT_ONCE) {
            seen.answer(part, 1);
        }
        Ok(())
    }

    /// The prompts that fit, with replies as long as the experts'.
    fn asked(&self, examples: &[&Example<'_>]) -> Result<Vec<Asked>> {
        let mut asked = Vec::with_capacity(examples.len());
        for example in examples {
            let Some(fitted) = self.prompter.prompt(self.tokenizer, example)? else { continue };
            let reply = self.tokenizer.encode_reply(&self.config.scaffold.reply(example.expert))?.len();
            let reply = reply.clamp(1, self.config.limits.reply);
            asked.push(Asked { prompt: fitted.tokens, reply });
        }
        Ok(asked)
    }
}

impl Seen {
    fn hold(&mut self, rows: usize, predictions: usize) {
        (self.rows, self.predictions) = (self.rows.max(rows), self.predictions.max(predictions));
    }

    /// Prompts that get so many replies each, together; gives their tokens after sharing.
    fn answer(&mut self, asked: &[Asked], each: usize) -> usize {
        let rows = rows(asked.iter().map(|asked| asked.prompt.to_vec()));
        self.prompt_rows = self.prompt_rows.max(rows);
        self.replies = self.replies.max(each * asked.len());
        rows
    }
}

/// Tokens of sequences after sharing.
fn rows(sequences: impl Iterator<Item = Vec<u32>>) -> usize {
    let sequences: Vec<Vec<u32>> = sequences.collect();
    Packed::new(sequences.iter().map(Vec::as_slice)).tokens().len()
}

/// Micro-batches of `group` replies to each prompt that share no more than the prompts' beginnings, cut as [`split`] cuts.
fn runs(asked: &[Asked], group: usize, limit: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut last: &[u32] = &[];
    for Asked { prompt, reply } in asked {
        for _ in 0..group {
            // A reply's last token predicts nothing.
            let whole = prompt.len() + reply - 1;
            let shared = std::iter::zip(last, &**prompt).take_while(|(a, b)| a == b).count();
            match runs.last_mut().filter(|run| run.rows + whole - shared <= limit) {
                Some(run) => {
                    run.add(Run { rows: whole - shared, without_sharing: whole, predictions: *reply });
                }
                None => runs.push(Run { rows: whole, without_sharing: whole, predictions: *reply }),
            }
            last = prompt;
        }
    }
    runs
}

impl Run {
    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.without_sharing += more.without_sharing;
        self.predictions += more.predictions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_cut_as_the_update_cuts_their_replies() {
        let prompts: [&[u32]; 3] = [&[1, 2, 3, 4], &[1, 2, 3, 4, 5, 6], &[1, 9]];
        let (group, reply) = (3, 4);
        let asked: Vec<Asked> =
            prompts.iter().map(|&prompt| Asked { prompt: prompt.into(), reply }).collect();
        // Replies that differ in their first token, as sampled ones would after some.
        let sequences: Vec<Sequence> = prompts
            .iter()
            .flat_map(|&prompt| {
                (0..group as u32)
                    .map(move |idx| Sequence::imitated("t#1".into(), prompt.into(), vec![100 + idx; reply]))
            })
            .collect();
        for limit in [1, 12, 20, 1000] {
            let expected: Vec<Run> = split(&sequences, limit)
                .into_iter()
                .map(|run| Run {
                    rows: rows(
                        sequences[run.clone()].iter().flat_map(|one| &one.answers).map(Answer::inputs),
                    ),
                    without_sharing: sequences[run.clone()].iter().map(Sequence::rows).sum(),
                    predictions: reply * run.len(),
                })
                .collect();
            assert_eq!(runs(&asked, group, limit), expected, "limit {limit}");
        }
    }
}
