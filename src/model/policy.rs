//! The student as a policy: conversations in, replies out.

use std::sync::Arc;

use super::{Prompt, SampleOptions, Student};
use crate::policy::{Policy, Sample, SampleRequest};

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
}

impl Student {
    /// Draws the replies that the requests ask for.
    ///
    /// # Errors
    /// When a conversation cannot be rendered or is too long, or the device fails.
    pub fn answer(
        &self,
        requests: &[SampleRequest],
        options: &SampleOptions,
    ) -> Result<Vec<Vec<Sample>>, super::error::ModelError> {
        let mut prompts = Vec::with_capacity(requests.len());
        for request in requests {
            let tokens: Arc<[u32]> = self.tokenizer.encode_prompt(&request.messages)?.into();
            prompts.push(Prompt { tokens, n: request.n, seed: request.seed });
        }
        self.generate(&prompts, options)
    }
}
