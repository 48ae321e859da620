//! Worked solutions: texts of numbered steps, taken apart and put together again.
//!
//! The grammar knows six styles of headers, tried in their order; numbers run 1, 2, 3 …, and nothing in a code fence or
//! in display math is a header. Guarantees that the parts, one after another, are the text byte for byte.
//! Does not say whether a solution is right.

mod boxed;
mod lines;
mod style;
#[cfg(test)]
mod tests;
mod thinking;
mod worked;

pub use boxed::last_box;
pub use style::Style;
pub use thinking::{Thinking, without_thoughts};

use style::Header;

/// A solution taken apart: preamble, steps and ending are neighbours in the text and all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution<'a> {
    /// How its steps begin.
    pub style: Style,
    /// What stands before the first step.
    pub preamble: &'a str,
    /// The steps, two at least.
    pub steps: Vec<Step<'a>>,
    /// The final answer from its heading on; empty where no heading sets it apart.
    pub ending: &'a str,
}

/// One numbered step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// What its header calls it; may be empty.
    pub title: &'a str,
    /// What follows the header, trimmed; may be empty.
    pub body: &'a str,
    /// All of it with the white space that follows.
    pub text: &'a str,
}

/// The text is no solution in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the solution has {found} numbered steps, fewer than two")]
pub struct TooFewSteps {
    /// Steps that the most fitting style finds.
    pub found: usize,
}

/// Takes a solution apart by the first style that finds two steps.
///
/// ```
/// let text = "We count.\n1. **Add**: 2 + 2 = 4.\n2. **Halve**: 4 / 2 = 2.\n\n**Final Answer**: 2";
/// let solution = apprentice::solution::split(text).unwrap();
/// assert_eq!(solution.steps[1].title, "Halve");
/// assert_eq!(solution.join(), text);
/// ```
///
/// # Errors
/// When no style finds two steps.
pub fn split(text: &str) -> Result<Solution<'_>, TooFewSteps> {
    let lines = lines::outside(text);
    let mut found = 0;
    for style in Style::ALL {
        let headers = headers(style, &lines);
        if 2 <= headers.len() {
            return Ok(Solution::new(text, style, &headers, &lines));
        }
        found = found.max(headers.len());
    }
    Err(TooFewSteps { found })
}

/// The headers of one style whose numbers run 1, 2, 3 …; others belong to the step before them.
fn headers(style: Style, lines: &[(usize, &str)]) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (start, line) in lines {
        if let Some(header) = style.header(*start, line)
            && header.number == headers.len() + 1
        {
            headers.push(header);
        }
    }
    headers
}

impl<'a> Solution<'a> {
    fn new(text: &'a str, style: Style, headers: &[Header], lines: &[(usize, &str)]) -> Self {
        let last = headers.last().expect("invariant: a solution has steps");
        let heading = lines.iter().find(|(start, line)| last.start < *start && style::is_ending(line));
        let ending = heading.map_or(text.len(), |(start, _)| *start);
        let starts = headers.iter().skip(1).map(|header| header.start);
        let steps = headers.iter().zip(starts.chain([ending])).map(|(header, end)| Step {
            number: header.number,
            title: text[header.title.clone()].trim(),
            body: text[header.body..end].trim(),
            text: &text[header.start..end],
        });
        Self { style, preamble: &text[..headers[0].start], steps: steps.collect(), ending: &text[ending..] }
    }

    /// The text that was taken apart.
    pub fn join(&self) -> String {
        let steps = self.steps.iter().map(|step| step.text);
        std::iter::once(self.preamble).chain(steps).chain([self.ending]).collect()
    }
}
