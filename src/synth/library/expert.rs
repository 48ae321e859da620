//! What the expert of a library does: lists, tests, reads the failing test, finds the function, repairs, tests again.
//!
//! A plan is thoughts and commands; what they show is recorded when the plan is followed (`recorded`). Its thoughts say
//! no more than what it has seen by then.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use super::statement;
use super::trial::Caught;
use crate::mutate::{self, Mutation, Slip};
use crate::seed;
use crate::synth::{Repository, sed};

/// Lines read before and after the place.
const AROUND: usize = 12;
/// Lines of the tests' output that the expert reads: runners end with what matters.
const TAIL: usize = 25;
/// Lines of a failing test that are read.
const OF_TEST: usize = 14;

/// One step before it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) thought: String,
    pub(super) command: String,
}

/// The expert's way; `wrong` is the file's text with the mistake in it.
pub(super) fn plan(
    library: &Repository,
    mutation: &Mutation,
    (wrong, evidence): (&str, &Caught),
    seed: u64,
) -> Vec<Planned> {
    let place = format!("synth library expert {} {}", mutation.file, mutation.slug());
    let mut rng = seed::rng(seed, &place, &[mutation.line as u64]);
    let first = || evidence.fail_to_pass.first().map_or("", String::as_str);
    let test = statement::shown(evidence).map_or_else(first, |symptom| &symptom.test);
    let way = Way { library, mutation, wrong, test };
    way.steps(&mut rng)
}

struct Way<'a> {
    library: &'a Repository,
    mutation: &'a Mutation,
    wrong: &'a str,
    /// The failing test that is looked at.
    test: &'a str,
}

impl Way<'_> {
    fn steps(&self, rng: &mut ChaCha8Rng) -> Vec<Planned> {
        let mut steps = Vec::new();
        if rng.random_bool(0.5) {
            steps.push(step("See what is here.", "ls".to_owned()));
        }
        let run = pick(&["Run the tests.", "See what the tests say.", "Which tests fail?"], rng);
        steps.push(step(run, self.tests()));
        steps.extend(self.read_test());
        steps.extend(self.find());
        steps.push(self.read());
        steps.push(self.repair(rng));
        let again = pick(&["Run the tests again.", "Check the repair.", "Do the tests pass now?"], rng);
        steps.push(step(again, self.tests()));
        steps
    }

    fn tests(&self) -> String {
        format!("({}) 2>&1 | tail -n {TAIL}", self.library.test_command)
    }

    /// Reads the failing test, where its name stands in a file of tests.
    fn read_test(&self) -> Option<Planned> {
        let name = self.test.split('[').next()?.rsplit([':', '.', '/', ' ']).find(|word| word.len() > 2)?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let holds = |text: &str| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
        };
        let files = self.library.files.iter().filter(|(path, _)| self.library.is_test(path));
        // The file that the id names comes first, if it names one.
        let mut files: Vec<&String> = files.filter(|(_, text)| holds(text)).map(|(path, _)| path).collect();
        files.sort_by_key(|path| !self.test.starts_with(path.as_str()));
        let path = files.first().filter(|_| is_name)?;
        let command = format!("grep -n -w -m 1 -A {OF_TEST} {name} {path}");
        Some(step(&format!("`{}` fails. Read it.", self.test), command))
    }

    /// Finds the function around the mistake, where it has a name.
    fn find(&self) -> Option<Planned> {
        let (name, _) = self.definition()?;
        let ending = self.mutation.file.rsplit_once('.').map_or("*", |(_, ending)| ending);
        let command = format!("grep -rnw '{name}' --include='*.{ending}' . | head -n 20");
        Some(step(&format!("Where is {name}?"), command))
    }

    fn definition(&self) -> Option<(String, usize)> {
        mutate::definition(&self.mutation.file, self.wrong, self.mutation.line)
    }

    /// Reads the function, or the lines around the place where it is long.
    fn read(&self) -> Planned {
        let Mutation { file, line, .. } = self.mutation;
        let head = self.definition().map_or(1, |(_, head)| head);
        let first = if line.saturating_sub(head) <= 4 * AROUND { head } else { line - AROUND };
        let last = (line + self.mutation.lines() + AROUND).min(self.wrong.lines().count());
        step(&format!("Read {file} there."), format!("sed -n '{first},{last}p' {file}"))
    }

    fn repair(&self, rng: &mut ChaCha8Rng) -> Planned {
        let Mutation { line, after, slip, .. } = self.mutation;
        let thought = match (slip, after) {
            (Some(Slip { from, to, .. }), _) => format!("Line {line} says `{to}`; it should say `{from}`."),
            (None, None) => format!("Something is missing before line {line}."),
            (None, Some(_)) => format!("Line {line} and what follows it should say something else."),
        };
        let command = match rng.random_bool(0.5) {
            true => sed::part(self.mutation, self.wrong),
            false => sed::whole(self.mutation, self.wrong),
        };
        step(&thought, command)
    }
}

fn step(thought: &str, command: String) -> Planned {
    Planned { thought: thought.to_owned(), command }
}

fn pick<'a>(words: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::library::tests::{evidence, library, mutation};

    #[test]
    fn the_expert_reads_the_failing_test_before_the_source_and_repairs_in_place() {
        let (library, mutation) = (library(), mutation());
        let wrong = mutation.apply(&library.files[&mutation.file]);
        let steps = plan(&library, &mutation, (&wrong, &evidence("assert size(1) == 2")), 0);
        let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        insta::assert_snapshot!(commands.join("\n"), @r"
        (pytest -rA) 2>&1 | tail -n 25
        grep -n -w -m 1 -A 14 test_size tests/test_box.py
        grep -rnw 'size' --include='*.py' . | head -n 20
        sed -n '1,14p' box.py
        sed -i '2s/-/+/' box.py
        (pytest -rA) 2>&1 | tail -n 25
        ");
    }

    #[test]
    fn each_repair_gives_the_right_file_back() {
        let (library, dir) = (library(), tempfile::tempdir().unwrap());
        let text = &library.files["box.py"];
        for mutation in mutate::enumerate(&library.sources()) {
            let wrong = mutation.apply(text);
            for repair in [sed::part(&mutation, &wrong), sed::whole(&mutation, &wrong)] {
                fs_err::write(dir.path().join("box.py"), &wrong).unwrap();
                let status = std::process::Command::new("sh")
                    .args(["-c", &repair])
                    .current_dir(dir.path())
                    .status()
                    .unwrap();
                let after = fs_err::read_to_string(dir.path().join("box.py")).unwrap();
                assert!(status.success() && after == *text, "{mutation:?}: {repair}\n{after}");
            }
        }
    }
}
