//! The scripted expert: looks, tests, reads, repairs, tests again, submits.
//!
//! Its commands are what a shell runs; its thoughts say no more than what it saw. Guarantees that
//! every observation it records is what the command prints there.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use super::bench::Evidence;
use super::style::{Listing, Order, Reading, Repair, Style};
use super::{Candidate, Options, Repository, problem, repository, sed};
use crate::mutate::{Kind, Mutation, Slip};
use crate::seed;
use crate::trajectory::{self, Action, End, Observation, Source, Step, Trajectory};

/// The expert's trajectory on one bug.
pub(super) fn trajectory(
    repository: &Repository,
    candidate: &Candidate,
    evidence: &Evidence,
    options: &Options,
    gold: String,
) -> Trajectory {
    let mut place = seed::rng(options.seed, &format!("synth expert {}", candidate.id), &[]);
    let script = Script { repository, candidate, evidence, style: &options.style };
    Trajectory {
        format: trajectory::FORMAT.to_owned(),
        id: format!("synth-{}", candidate.id),
        task: candidate.id.clone(),
        source: Source { format: "synth".to_owned(), ..Source::default() },
        problem: None,
        steps: script.steps(&mut place),
        end: End::Submitted,
        patch: Some(gold),
        answer: None,
        resolved: Some(true),
    }
}

struct Script<'a> {
    repository: &'a Repository,
    candidate: &'a Candidate,
    evidence: &'a Evidence,
    style: &'a Style,
}

impl Script<'_> {
    fn steps(&self, rng: &mut ChaCha8Rng) -> Vec<Step> {
        let listing = pick(&self.style.listing, Listing::Skip, rng);
        let reading = pick(&self.style.reading, Reading::Grep, rng);
        let order = pick(&self.style.order, Order::TestsFirst, rng);
        let repair = pick(&self.style.repair, Repair::Part, rng);
        let mut steps = Vec::new();
        steps.extend(self.list(listing));
        if order == Order::TestsFirst {
            steps.push(self.test());
        }
        steps.extend(self.detours(reading, rng));
        steps.push(self.read(reading));
        if order == Order::ReadFirst {
            steps.push(self.test());
        }
        steps.push(self.repair(repair));
        let command = &self.repository.expert_command;
        steps.push(step("Check the repair.", command, self.evidence.passing.clone()));
        steps.push(Step::new("All tests pass.", Action::Submit));
        steps
    }

    fn list(&self, listing: Listing) -> Option<Step> {
        let file = &self.candidate.mutation.file;
        let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
        match listing {
            Listing::Skip => None,
            Listing::Sources if !dir.is_empty() => {
                Some(step("List the sources.", &format!("ls {dir}"), self.names_in(dir)))
            }
            Listing::Top | Listing::Sources => Some(step("See what is here.", "ls", self.names_in(""))),
        }
    }

    /// What `ls` prints in the C locale, which goes by bytes and leaves dot files out.
    fn names_in(&self, dir: &str) -> Observation {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below = self.repository.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: std::collections::BTreeSet<&str> =
            below.filter_map(|path| path.split('/').next()).filter(|name| !name.starts_with('.')).collect();
        Observation::new(names.into_iter().map(|name| format!("{name}\n")).collect::<String>(), 0)
    }

    fn test(&self) -> Step {
        step("Run the tests.", &self.repository.expert_command, self.evidence.failing.clone())
    }

    fn detours(&self, reading: Reading, rng: &mut ChaCha8Rng) -> Vec<Step> {
        let sources = self.repository.sources();
        let others: Vec<&String> =
            sources.keys().filter(|path| **path != self.candidate.mutation.file).collect();
        let wanted = rng.random_range(0..=self.style.detours);
        let chosen: Vec<&&String> = others.choose_multiple(rng, wanted).collect();
        let read = |path: &&&String| {
            let stem = repository::stem(path);
            step(&format!("Is {stem} right?"), &command(reading, path), shown(reading, &sources[**path]))
        };
        chosen.iter().map(read).collect()
    }

    fn read(&self, reading: Reading) -> Step {
        let file = &self.candidate.mutation.file;
        let name = match problem::example(&self.evidence.failing.output) {
            Some(example) => example.call.split(' ').next().unwrap_or("it").to_owned(),
            None => repository::stem(file),
        };
        let thought = format!("{name} is wrong. Read {file}.");
        step(&thought, &command(reading, file), shown(reading, &self.candidate.text))
    }

    fn repair(&self, repair: Repair) -> Step {
        let (mutation, wrong) = (&self.candidate.mutation, &self.candidate.text);
        let Mutation { file, line, .. } = mutation;
        let (thought, command) = match repair {
            Repair::Part => (diagnosis(mutation), sed::part(mutation, wrong)),
            Repair::Line => (format!("Write line {line} of {file}."), sed::whole(mutation, wrong)),
            Repair::File => (format!("Write {file} again."), rewrite(file, &self.repository.files[file])),
        };
        step(&thought, &command, Observation::new("", 0))
    }
}

fn pick<T: Copy>(choices: &[T], default: T, rng: &mut ChaCha8Rng) -> T {
    choices.choose(rng).copied().unwrap_or(default)
}

fn step(thought: &str, command: &str, observation: Observation) -> Step {
    Step::new(thought, Action::bash(command)).seeing(observation)
}

fn command(reading: Reading, path: &str) -> String {
    match reading {
        Reading::Cat => format!("cat {path}"),
        Reading::Numbered => format!("cat -n {path}"),
        Reading::Grep => format!("grep -n . {path}"),
    }
}

fn shown(reading: Reading, text: &str) -> Observation {
    let lines = text.lines().enumerate().map(|(idx, line)| (idx + 1, line));
    let output = match reading {
        Reading::Cat => text.to_owned(),
        Reading::Numbered => lines.map(|(number, line)| format!("{number:>6}\t{line}\n")).collect(),
        Reading::Grep => lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(number, line)| format!("{number}:{line}\n"))
            .collect(),
    };
    Observation::new(output, 0)
}

fn diagnosis(mutation: &Mutation) -> String {
    let line = mutation.line;
    match (mutation.kind, &mutation.slip) {
        (Kind::Dropped, _) => format!("Line {line} is missing."),
        (Kind::Swapped, _) => format!("Line {line} has its operands swapped."),
        (Kind::Negation, _) => format!("Line {line} turns the condition around."),
        (_, Some(Slip { from, to, .. })) => format!("Line {line} says {to}, should say {from}."),
        (_, None) => format!("Line {line} is wrong."),
    }
}

/// The command that writes a file's whole text.
fn rewrite(file: &str, text: &str) -> String {
    let mut end = "END".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("cat > {file} <<'{end}'\n{text}{end}")
}
