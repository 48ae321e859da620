//! The student as a policy: conversations in, replies out.

use std::sync::Arc;

use super::{Prompt, SampleOptions, Student};
use crate::policy::{Draw, Policy, Sample, SampleRequest};

/// Answers with a student.
#[derive(Debug, Clone)]
pub struct StudentPolicy {
    /// Who answers.
    pub student: Student,
    /// How replies are drawn.
    pub options: SampleOptions,
    /// Its name in reports, such as `checkpoint:runs/a/checkpoints/step-40`.
    pub name: String,
}

impl Policy for StudentPolicy {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        Ok(self.student.answer(requests, &self.options)?)
    }

    fn draw_like(&mut self, draw: Draw) {
        self.options.temperature = draw.temperature;
        self.options.max_new_tokens = draw.reply_tokens.unwrap_or(self.options.max_new_tokens);
    }
}

impl Student {
    /// Draws the replies that the requests ask for; none to a conversation that no longer fits the model. Who asks together
    /// depends on whose commands were quick, so the replies do not depend on it, to the last bit.
    ///
    /// # Errors
    /// When a conversation cannot be rendered, or the device fails.
    pub fn answer(
        &self,
        requests: &[SampleRequest],
        options: &SampleOptions,
    ) -> Result<Vec<Vec<Sample>>, super::error::ModelError> {
        let mut replies = vec![Vec::new(); requests.len()];
        let (mut places, mut prompts) = (Vec::new(), Vec::new());
        for (place, request) in requests.iter().enumerate() {
            let tokens: Arc<[u32]> = self.tokenizer.encode_prompt(&request.messages)?.into();
            if tokens.len() + options.max_new_tokens <= self.config().max_positions {
                places.push(place);
                prompts.push(Prompt { tokens, n: request.n, seed: request.seed });
            }
        }
        for (place, samples) in places.into_iter().zip(self.generate_apart(&prompts, options)?) {
            replies[place] = samples;
        }
        Ok(replies)
    }
}
