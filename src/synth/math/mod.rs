//! Problems of mathematics with worked steps: equations, fractions, rates, remainders, sequences.
//!
//! A template draws numbers, writes the problem and computes every step from them, so the solution is right by
//! construction. Guarantees that the same seed gives the same problems, that no text comes twice, and that
//! held-out templates are never trained on. Needs no sandbox.

mod equations;
mod fractions;
mod modular;
mod rates;
mod ratio;
mod sequences;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use rand_chacha::ChaCha8Rng;

use crate::fsio;
use crate::seed;
use crate::solution;
use crate::task::{self, Kind, Origin, Task};
use crate::task_dir;
use crate::trajectory::{self, End, Source, Trajectory};

/// A way to make problems.
struct Template {
    name: &'static str,
    /// Whether its problems are only measured on.
    is_held_out: bool,
    make: fn(&mut ChaCha8Rng) -> Problem,
}

const fn known(name: &'static str, make: fn(&mut ChaCha8Rng) -> Problem) -> Template {
    Template { name, is_held_out: false, make }
}

const fn held_out(name: &'static str, make: fn(&mut ChaCha8Rng) -> Problem) -> Template {
    Template { name, is_held_out: true, make }
}

/// Every template; each of those held out has a relative that is known, so that its steps can be transferred.
static TEMPLATES: [Template; 20] = [
    known("equation-one-side", equations::one_side),
    known("equation-both-sides", equations::both_sides),
    held_out("equation-brackets", equations::brackets),
    known("equation-sum-difference", equations::sum_and_difference),
    held_out("equation-rectangle", equations::rectangle),
    known("fraction-sum", fractions::sum),
    held_out("fraction-difference", fractions::difference),
    known("fraction-product", fractions::product),
    held_out("fraction-quotient", fractions::quotient),
    known("fraction-left-over", fractions::left_over),
    known("rate-distance", rates::distance),
    held_out("rate-mean-speed", rates::mean_speed),
    known("rate-together", rates::together),
    known("rate-percent", rates::percent),
    known("remainder-sum", modular::sum),
    known("remainder-product", modular::product),
    held_out("remainder-power", modular::power),
    known("sequence-term", sequences::term),
    held_out("sequence-sum", sequences::sum),
    known("sequence-geometric", sequences::geometric),
];

/// A problem with its worked solution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What made it, such as `fraction-sum`.
    pub template: &'static str,
    /// What is asked.
    pub text: String,
    /// The numbered steps, and the final answer in a box.
    pub solution: String,
    /// The right answer.
    pub answer: String,
}

/// How many problems are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Decides on all numbers.
    pub seed: u64,
    /// Problems to train on.
    pub train: usize,
    /// Problems of known templates with numbers that are not trained on.
    pub new_numbers: usize,
    /// Problems of held-out templates.
    pub new_templates: usize,
}

/// Problems by what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// To train on.
    pub train: Vec<Problem>,
    /// Known templates, new numbers.
    pub new_numbers: Vec<Problem>,
    /// Templates that are never trained on.
    pub new_templates: Vec<Problem>,
}

/// Makes problems, from one template after another; those to measure on do not depend on how many there are to train on.
///
/// # Errors
/// When the templates have no more problems that differ.
pub fn problems(options: &Options) -> anyhow::Result<Problems> {
    let mut texts = BTreeSet::new();
    let mut make = |place: &str, is_held_out: bool, count: usize| {
        let templates: Vec<&Template> =
            TEMPLATES.iter().filter(|template| template.is_held_out == is_held_out).collect();
        (0..count)
            .map(|index| {
                templates[index % templates.len()].new_problem((options.seed, place, index), &mut texts)
            })
            .collect::<anyhow::Result<Vec<_>>>()
    };
    Ok(Problems {
        new_templates: make("new template", true, options.new_templates)?,
        new_numbers: make("new numbers", false, options.new_numbers)?,
        train: make("train", false, options.train)?,
    })
}

impl Problems {
    /// The three kinds with their names, which are those of their directories and of their benchmarks.
    pub fn named(&self) -> [(&'static str, &[Problem]); 3] {
        [("train", &self.train), ("new-numbers", &self.new_numbers), ("new-templates", &self.new_templates)]
    }

    /// Writes a directory for each kind into `out`: tasks, and the worked solutions as `trajectories.jsonl`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        self.named().into_iter().try_for_each(|(name, problems)| write(problems, name, &out.join(name)))
    }
}

/// Writes the tasks of problems, which count for `benchmark`, and their worked solutions into `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(problems: &[Problem], benchmark: &str, dir: &Path) -> anyhow::Result<()> {
    for problem in problems {
        let task = problem.task(benchmark);
        fs_err::create_dir_all(dir.join(&task.id))?;
        fs_err::write(dir.join(&task.id).join(task_dir::FILE), task.to_yaml())?;
    }
    write_experts(problems, dir)
}

/// Writes the worked solutions of problems as `trajectories.jsonl` into `dir`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_experts(problems: &[Problem], dir: &Path) -> anyhow::Result<()> {
    let experts: Vec<Trajectory> = problems.iter().map(Problem::expert).collect();
    fsio::write_json_lines(&dir.join("trajectories.jsonl"), &experts)
}

/// Draws of one template until it counts as used up.
const TRIES: u64 = 200;

impl Template {
    /// A problem whose text is not among `texts`.
    fn new_problem(
        &self,
        (seed, place, index): (u64, &str, usize),
        texts: &mut BTreeSet<String>,
    ) -> anyhow::Result<Problem> {
        for again in 0..TRIES {
            let place = format!("problem {place} {}", self.name);
            let mut rng = seed::rng(seed, &place, &[index as u64, again]);
            let problem = Problem { template: self.name, ..(self.make)(&mut rng) };
            if texts.insert(problem.text.clone()) {
                return Ok(problem);
            }
        }
        anyhow::bail!("template `{}` has no more problems that differ; ask for fewer", self.name)
    }
}

/// Steps as they are worked out.
struct Work {
    steps: Vec<String>,
}

impl Work {
    fn new() -> Self {
        Self { steps: Vec::new() }
    }

    fn step(mut self, title: &str, mut body: String) -> Self {
        body.insert_str(0, &format!("{}. **{title}**: ", self.steps.len() + 1));
        self.steps.push(body);
        self
    }

    fn problem(self, text: String, answer: impl ToString + Copy) -> Problem {
        let answer = answer.to_string();
        let solution = format!("{}\n\n**Final Answer**: \\boxed{{{answer}}}", self.steps.join("\n"));
        Problem { template: "", text, solution, answer }
    }
}

impl Problem {
    /// Its template and a digest of its text.
    pub fn id(&self) -> String {
        format!("{}-{}", self.template, &fsio::sha256_hex(self.text.as_bytes())[..12])
    }

    /// The problem as a task that counts for `benchmark`.
    pub fn task(&self, benchmark: &str) -> Task {
        let row_hash = fsio::sha256_hex(self.text.as_bytes());
        Task {
            format: task::FORMAT.to_owned(),
            id: self.id(),
            kind: Kind::Math,
            problem: self.text.clone(),
            answer: Some(self.answer.clone()),
            origin: Some(Origin { dataset: "synth".to_owned(), repo: benchmark.to_owned(), row_hash }),
            ..Task::default()
        }
    }

    /// The worked solution as an expert's trajectory.
    pub fn expert(&self) -> Trajectory {
        let id = self.id();
        let solution = solution::split(&self.solution).expect("invariant: it was written in steps");
        Trajectory {
            format: trajectory::FORMAT.to_owned(),
            id: format!("synth-{id}"),
            task: id,
            source: Source { format: "synth".to_owned(), ..Source::default() },
            problem: Some(self.text.clone()),
            steps: solution.actions(),
            end: End::Submitted,
            patch: None,
            answer: solution.answer(),
            resolved: Some(true),
        }
    }
}
