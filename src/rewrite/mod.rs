//! Rewriting: a teacher puts a worked solution into numbered steps with titles, and what it writes is checked (the
//! paper's appendix B.3, v3).
//!
//! Guarantees that a rewriting has the form that `solution` reads, leads to the answer that the solution led to, and that
//! nothing is asked twice: what a teacher said is kept beside its name and the question.

mod cache;
mod prompt;

use crate::policy::{Policy, Sample, SampleRequest};
use crate::seed;
use crate::solution::{Style, last_box, split, without_thoughts};
use crate::solve::Judge;

pub use cache::Cache;

/// A problem with a solution that nobody numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose {
    /// The problem's id.
    pub id: String,
    /// What is asked.
    pub problem: String,
    /// How it is solved.
    pub solution: String,
    /// The answer that a rewriting must lead to.
    pub answer: String,
}

/// How a teacher is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How often about one solution, at most.
    pub tries: usize,
    /// The run's seed.
    pub seed: u64,
}

/// A rewriting, or why the last try gave none.
pub type Rewriting = Result<String, String>;

/// Questions that are asked at once.
const AT_ONCE: usize = 32;

/// Has every solution rewritten, in their order.
///
/// # Errors
/// When the teacher fails or the cache cannot be written; what a teacher says wrong is a [`Rewriting`].
pub fn rewrite(
    teacher: &mut dyn Policy,
    prose: &[Prose],
    judge: &dyn Judge,
    options: &Options,
    cache: &mut Cache,
) -> anyhow::Result<Vec<Rewriting>> {
    let mut found: Vec<Rewriting> = vec![Err("the teacher was not asked".to_owned()); prose.len()];
    for again in 0..options.tries {
        let open: Vec<usize> = (0..prose.len()).filter(|place| found[*place].is_err()).collect();
        for places in open.chunks(AT_ONCE) {
            let requests: Vec<SampleRequest> =
                places.iter().map(|place| request(&prose[*place], again, options)).collect();
            let replies = answers(teacher, requests, cache)?;
            for (place, reply) in places.iter().zip(replies) {
                found[*place] = checked(&prose[*place], reply.as_deref(), judge);
            }
        }
    }
    Ok(found)
}

fn request(prose: &Prose, again: usize, options: &Options) -> SampleRequest {
    SampleRequest {
        messages: prompt::messages(prose),
        task: prose.id.clone(),
        attempt: again,
        step: again,
        n: 1,
        seed: seed::derive(options.seed, &format!("rewrite {}", prose.id), &[again as u64]),
    }
}

/// What the teacher says to each request, from the cache where it said it before.
fn answers(
    teacher: &mut dyn Policy,
    requests: Vec<SampleRequest>,
    cache: &mut Cache,
) -> anyhow::Result<Vec<Option<String>>> {
    let name = teacher.name();
    let keys: Vec<String> = requests.iter().map(|request| cache::key(&name, request)).collect();
    let (fresh, requests): (Vec<&String>, Vec<SampleRequest>) =
        keys.iter().zip(requests).filter(|(key, _)| cache.get(key).is_none()).unzip();
    if !requests.is_empty() {
        let replies = teacher.sample(&requests)?;
        anyhow::ensure!(replies.len() == requests.len(), "teacher `{name}` left requests unanswered");
        for (key, replies) in fresh.into_iter().zip(replies) {
            // What a limit cut is no answer, and asking again may give a whole one.
            if let Some(Sample { text, finished: true, .. }) = replies.into_iter().next() {
                cache.put(key.clone(), text)?;
            }
        }
    }
    Ok(keys.iter().map(|key| cache.get(key).map(str::to_owned)).collect())
}

/// The rewriting in a reply, if it has the form and keeps the answer.
fn checked(prose: &Prose, reply: Option<&str>, judge: &dyn Judge) -> Rewriting {
    let reply = without_thoughts(reply.ok_or("the teacher gave no whole reply")?);
    let (_, text) =
        reply.split_once(prompt::MARK).ok_or_else(|| format!("the reply has no `{}`", prompt::MARK))?;
    let text = text.trim();
    let solution = split(text).map_err(|error| error.to_string())?;
    if solution.style != Style::NumberBold || !solution.preamble.trim().is_empty() {
        return Err("the reply does not begin with `1. **TITLE**`".to_owned());
    }
    if let Some(step) = solution.steps.iter().find(|step| step.body.is_empty()) {
        return Err(format!("step {} says nothing but its title", step.number));
    }
    let answer = last_box(text).ok_or("the reply has no `\\boxed` answer")?;
    if !judge.is_same(&prose.answer, answer) {
        return Err(format!("the answer became `{answer}`, and was `{}`", prose.answer));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
