//! The grades of a run directory: those that are there already are found, the others are made, and each is kept
//! the moment it is made, so that a grader which is killed loses only what it was at.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::Failure;
use super::grade::{save_log, tell};
use super::output::Output;
use super::sandboxes::{Benches, HostArgs};
use crate::fsio::{self, JsonLines};
use crate::grade::{self, Job, Options, Verdict};

/// The verdicts, one a line, below the output.
pub(super) const GRADES: &str = "grades.jsonl";

/// Where predictions are graded.
pub(super) struct Desk<'a> {
    pub(super) host: &'a HostArgs,
    pub(super) benches: &'a Benches,
    /// Where grades are kept; without it all are made.
    pub(super) out: Option<&'a Path>,
    /// How often each prediction is graded.
    pub(super) repeat: u8,
}

impl Desk<'_> {
    /// Grades what is not graded yet, and gives all verdicts in the order of their jobs.
    ///
    /// # Errors
    /// When earlier grades cannot be read or a new one cannot be written.
    pub(super) async fn graded(&self, jobs: Vec<Job>, output: Output) -> Result<Vec<Verdict>, Failure> {
        let (inputs, mut made, mut lines) = match self.out {
            Some(out) => {
                let inputs: Vec<String> = jobs.iter().map(|job| self.input(job)).collect();
                let made = found(out, &inputs)?;
                (inputs, made, Some(JsonLines::append_to(&out.join(GRADES)).map_err(Failure::host)?))
            }
            // Nothing is kept, so nothing need be found again.
            None => (vec![String::new(); jobs.len()], vec![None; jobs.len()], None),
        };
        let (n_found, n_all) = (made.iter().flatten().count(), made.len());
        if n_found > 0 {
            output.say(&format!("{:>9} {n_found} of {n_all} grades, made before", "Found"));
        }
        self.benches.lines().for_each(|line| output.say(line));
        let repeat = usize::from(self.repeat);
        let is_left = |(number, job): (usize, Job)| made[number].is_none().then_some((number, job));
        let left: Vec<(usize, Job)> = jobs.into_iter().enumerate().filter_map(is_left).collect();
        let numbers: Vec<usize> = left.iter().map(|(number, _)| *number).collect();
        let jobs = left.into_iter().flat_map(|(_, job)| vec![job; repeat]).collect();
        let mut tries: BTreeMap<usize, Vec<Verdict>> = BTreeMap::new();
        let mut failed = None;
        let done = |job_idx: usize, verdict: &Verdict| {
            let number = numbers[job_idx / repeat];
            let of_one = tries.entry(number).or_default();
            of_one.push(verdict.clone());
            if of_one.len() < repeat {
                return;
            }
            let verdict = grade::agreed(std::mem::take(of_one));
            let verdict = Verdict { input: inputs[number].clone(), ..verdict };
            tell(&verdict, output);
            if let (Some(out), Some(lines)) = (self.out, &mut lines)
                && let Err(error) = save_log(out, number, &verdict).and_then(|()| lines.push(&verdict))
            {
                failed.get_or_insert(error);
            }
            made[number] = Some(verdict);
        };
        let options = Options { cache: self.host.cache(), ready: self.host.ready(output) };
        let verdicts = grade::grade_each(jobs, self.host.parallel(), &options, done).await;
        if let Some(error) = failed {
            return Err(Failure::host(error).with_hint("run the command again with the same `--out`"));
        }
        // Only a grader that broke down was not told of.
        for (job_idx, verdict) in verdicts.into_iter().enumerate() {
            made[numbers[job_idx / repeat]].get_or_insert(verdict);
        }
        Ok(made.into_iter().flatten().collect())
    }

    /// What decides on a job's verdict; nothing where its repository cannot be had, which its grade will say.
    fn input(&self, job: &Job) -> String {
        let made_of = &self.benches.of(&job.task).selection.made_of;
        match grade::input(job, made_of, &self.host.cache()) {
            Ok(input) if self.repeat > 1 => format!("{input} {} times", self.repeat),
            Ok(input) => input,
            Err(_) => String::new(),
        }
    }
}

/// The verdicts of an earlier start, in the places of the predictions that they are about. One that the host could
/// not make is made again.
fn found(out: &Path, inputs: &[String]) -> Result<Vec<Option<Verdict>>, Failure> {
    let path = out.join(GRADES);
    let mut earlier: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    if path.is_file() {
        // Opening cuts off half a line.
        JsonLines::append_to(&path).map_err(Failure::host)?;
        let hint = "name a new directory with `--out`";
        for verdict in
            fsio::read_json_lines::<Verdict>(&path).map_err(|error| Failure::input(error).with_hint(hint))?
        {
            if verdict.outcome.is_valid() && !verdict.input.is_empty() {
                earlier.entry(verdict.input.clone()).or_default().push(verdict);
            }
        }
    }
    // Each verdict is that of one prediction: several tries of one policy may be the same patch.
    Ok(inputs.iter().map(|input| earlier.get_mut(input)?.pop()).collect())
}
