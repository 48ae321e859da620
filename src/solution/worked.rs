//! A solution as an expert's trajectory: each step an action, nothing run and nothing seen.

use super::Solution;
use crate::trajectory::{Action, Step};

impl Solution<'_> {
    /// The steps as actions; the preamble belongs to the first (Fig. 3 of the paper).
    pub fn actions(&self) -> Vec<Step> {
        let texts = self.steps.iter().enumerate().map(|(index, step)| match index {
            0 => format!("{}{}", self.preamble, step.text),
            _ => step.text.to_owned(),
        });
        texts.map(|text| Step::new("", Action::Answer { text: text.trim().to_owned() })).collect()
    }

    /// The final answer as it stands after the steps.
    pub fn answer(&self) -> Option<String> {
        let answer = self.ending.trim();
        (!answer.is_empty()).then(|| answer.to_owned())
    }
}
