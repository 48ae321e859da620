//! Commands that look the answer up instead of finding it.
//!
//! A small list of rules, each with a name that the user reads. Guarantees that what the repository held before the fix
//! is no leak. Reads words only: a program of the agent's own that fetches the fix under another name is not found.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::shell::{self, Command};
use crate::patch::Patch;
use crate::task::Task;
use crate::trajectory::{Action, Trajectory};

/// How an answer was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leak {
    /// The known patch was read.
    GoldPatch,
    /// A commit, branch or tag was read that is not in the history of the one the task starts from.
    FutureCommits,
    /// A release of the project itself was fetched.
    FixedVersion,
    /// The project's page, its issues or its repository was fetched.
    Upstream,
    /// A test file was read that only the grader has.
    GraderTests,
}

impl Leak {
    /// Every rule.
    pub const ALL: [Self; 5] =
        [Self::GoldPatch, Self::FutureCommits, Self::FixedVersion, Self::Upstream, Self::GraderTests];
}

/// The leaks of a trajectory, in order: which step, from 0, and how.
pub fn leaks(task: &Task, trajectory: &Trajectory) -> Vec<(usize, Leak)> {
    let mut reader = Reader::new(task, trajectory);
    let mut found = Vec::new();
    for (index, step) in trajectory.steps.iter().enumerate() {
        match reader.leak(&step.action) {
            Some(leak) => found.push((index, leak)),
            None => reader.learn(&step.action, step.observation.as_ref().map_or("", |seen| &seen.output)),
        }
    }
    found
}

/// What is known of the task, and what the agent came by honestly.
struct Reader {
    /// The project's names, in lower case with `-` for `_`.
    names: BTreeSet<String>,
    /// Test files that the grader adds.
    tests: Vec<String>,
    /// Words of earlier observations and files that the agent wrote.
    known: BTreeSet<String>,
}

impl Reader {
    fn new(task: &Task, trajectory: &Trajectory) -> Self {
        let tests = task.tests.as_ref().and_then(|tests| tests.patch.as_deref()).unwrap_or_default();
        let added =
            Patch::parse(tests).unwrap_or_default().files.into_iter().filter(|file| file.old.is_none());
        Self {
            names: names(task, trajectory),
            tests: added.filter_map(|file| file.new).collect(),
            known: BTreeSet::new(),
        }
    }

    fn leak(&self, action: &Action) -> Option<Leak> {
        match action {
            Action::Bash { command } => {
                let commands = shell::commands(command);
                let found = commands.iter().find_map(|found| self.of_command(found));
                found.or_else(|| self.fetches(command).then_some(Leak::Upstream))
            }
            Action::Editor(call) => {
                let path = call.arguments.get("path").and_then(|path| path.as_str());
                // The first words are the program and its operands; what is written may say anything.
                let line = call.text.lines().next().unwrap_or_default();
                line.split_whitespace().take(4).chain(path).find_map(|word| self.of_path(word))
            }
            Action::Submit | Action::Answer { .. } => None,
        }
    }

    fn of_command(&self, command: &Command) -> Option<Leak> {
        let found = match command.program() {
            "git" => self.of_git(command),
            "pip" | "pip3" | "uv" | "python" | "python3" | "npm" | "gem" => self.of_installer(command),
            "gh" => Some(Leak::Upstream),
            "curl" | "wget" => {
                command.arguments().iter().any(|word| self.is_upstream(word)).then_some(Leak::Upstream)
            }
            _ => None,
        };
        found.or_else(|| command.arguments().iter().find_map(|word| self.of_path(word)))
    }

    fn of_git(&self, command: &Command) -> Option<Leak> {
        let (verb, words) = command.git_arguments().split_first()?;
        let everywhere = ["--all", "--branches", "--remotes", "--tags", "--reflog", "-g", "--lost-found"];
        let is_everywhere = || everywhere.iter().any(|flag| command.has(flag));
        match verb.as_str() {
            "reflog" => Some(Leak::FutureCommits),
            "fetch" | "pull" | "clone" => Some(Leak::Upstream),
            "remote" if command.has("add") => Some(Leak::Upstream),
            "log" | "rev-list" | "fsck" | "grep" | "shortlog" if is_everywhere() => Some(Leak::FutureCommits),
            "log" | "show" | "diff" | "checkout" | "switch" | "cherry-pick" | "cat-file" | "format-patch"
            | "rev-list" => {
                // What stands behind `--` are files.
                let words = words.iter().map(String::as_str).take_while(|word| *word != "--");
                let mut revisions = words.filter(|word| !word.starts_with('-'));
                revisions.any(|word| self.is_future(word)).then_some(Leak::FutureCommits)
            }
            _ => None,
        }
    }

    /// Whether a revision may lie outside of the history of the one that is checked out.
    fn is_future(&self, revision: &str) -> bool {
        let name = revision.split([':', '~', '^', '@']).next().unwrap_or_default();
        let branches = ["main", "master", "develop", "FETCH_HEAD"];
        let is_hash = (7..=40).contains(&name.len()) && name.chars().all(|letter| letter.is_ascii_hexdigit());
        branches.contains(&name)
            || name.starts_with("origin/")
            || name.starts_with("upstream/")
            || name
                .split_once("..")
                .is_some_and(|(from, to)| self.is_future(from) || self.is_future(to.trim_start_matches('.')))
            || (is_hash && !self.known.iter().any(|known| known.starts_with(name) || name.starts_with(known)))
    }

    fn of_installer(&self, command: &Command) -> Option<Leak> {
        let mut operands = command.operands().skip_while(|word| ["pip", "-m"].contains(word));
        let verb = operands.next()?;
        let is_fetch = ["install", "download", "pack", "view", "fetch", "add"].contains(&verb);
        let is_own = |word: &str| {
            let name = word.split(['=', '<', '>', '~', '!', '[', '@']).next().unwrap_or_default();
            // A path is what is here already.
            !word.contains('/') && self.names.contains(&normal(name))
        };
        (is_fetch && operands.any(is_own)).then_some(Leak::FixedVersion)
    }

    fn of_path(&self, word: &str) -> Option<Leak> {
        static GOLD: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?i)(?:^|/)(?:gold|golden|oracle|solution|reference)[._-]?(?:patch|diff)?\.(?:patch|diff)$|gold_patch")
                .expect("invariant: the pattern is fixed")
        });
        if GOLD.is_match(word) && !self.known.contains(word) {
            return Some(Leak::GoldPatch);
        }
        let path = word.split("::").next().unwrap_or_default().trim_start_matches("./");
        let is_test = |test: &String| path == test || path.ends_with(&format!("/{test}"));
        (self.tests.iter().any(is_test) && !self.known.contains(path)).then_some(Leak::GraderTests)
    }

    /// Whether a program in the script opens a page of the project.
    fn fetches(&self, script: &str) -> bool {
        let opens = ["urlopen", "urlretrieve", "requests.get", "httpx.get", "fetch("];
        opens.iter().any(|call| script.contains(call))
            && script.split(['\'', '"', ' ', '\n', '(', ')']).any(|word| self.is_upstream(word))
    }

    /// Whether a word is an address where the project's fix may be found.
    fn is_upstream(&self, word: &str) -> bool {
        const HOSTS: [&str; 7] =
            ["github", "gitlab", "bitbucket", "sourceforge", "pypi", "pythonhosted", "swebench"];
        let word = word.to_lowercase();
        let is_address = word.contains("://") || word.starts_with("www.");
        let is_host = HOSTS.iter().any(|host| word.contains(host));
        is_address
            && is_host
            && word.split(['/', '.', '?', '=']).any(|part| self.names.contains(&normal(part)))
    }

    /// Remembers what the agent saw and wrote.
    fn learn(&mut self, action: &Action, observation: &str) {
        let is_hash = |word: &&str| {
            (7..=40).contains(&word.len()) && word.chars().all(|letter| letter.is_ascii_hexdigit())
        };
        let words = observation.split(|letter: char| !letter.is_alphanumeric());
        self.known.extend(words.filter(is_hash).map(str::to_owned));
        if let Action::Bash { command } = action {
            self.known.extend(shell::commands(command).into_iter().flat_map(|found| found.writes));
        }
        if let Action::Editor(call) = action {
            let path = call.arguments.get("path").and_then(|path| path.as_str());
            let is_new = call.text.contains("create");
            self.known.extend(
                call.text.split_whitespace().take(4).chain(path).filter(|_| is_new).map(str::to_owned),
            );
        }
    }
}

/// What the project may be called: by its task's id, its repository and its directory.
fn names(task: &Task, trajectory: &Trajectory) -> BTreeSet<String> {
    let id = trajectory.task.split_once("__").map_or(trajectory.task.as_str(), |(_, rest)| rest);
    let of_id = id.split('.').next().unwrap_or_default();
    let of_id =
        of_id.rsplit_once('-').filter(|(_, n)| n.parse::<u64>().is_ok()).map_or(of_id, |(name, _)| name);
    let repo = task.repo.as_ref();
    let paths = [
        repo.and_then(|repo| repo.git.as_deref()),
        repo.and_then(|repo| repo.path.as_deref()),
        trajectory.source.workdir.as_deref(),
    ];
    let of_paths =
        paths.into_iter().flatten().filter_map(|path| path.trim_end_matches(".git").rsplit('/').next());
    // Where every repository is called the same, its name says nothing.
    let general = ["testbed", "repo", "workspace", "app", "src", "code", ""];
    let names = of_paths.chain([of_id]).map(|name| normal(name.rsplit("__").next().unwrap_or(name)));
    names.filter(|name| !general.contains(&name.as_str())).collect()
}

/// Package indexes hold `_` and `-` for the same.
fn normal(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::{End, FORMAT, Observation, Source, Step};

    fn task() -> Task {
        let tests = "diff --git a/tests/test_new.py b/tests/test_new.py\nnew file mode 100644\n--- /dev/null\n+++ b/tests/test_new.py\n@@ -0,0 +1 @@\n+x\n";
        let yaml = format!(
            "format: apprentice.task/1\nid: a\nkind: code\nproblem: p\nsandbox: python\nrepo: {{path: r}}\ntests: {{command: t, parser: pytest, fail_to_pass: [x], patch: {}}}\n",
            serde_json::to_string(tests).unwrap()
        );
        Task::parse(&yaml, "t").unwrap()
    }

    fn trajectory(steps: &[(&str, &str)]) -> Trajectory {
        let step = |(command, seen): &(&str, &str)| {
            Step::new("", Action::bash(*command)).seeing(Observation::recorded(*seen))
        };
        Trajectory {
            format: FORMAT.into(),
            id: "t".into(),
            task: "marshmallow-code__marshmallow-1867".into(),
            source: Source::default(),
            problem: None,
            steps: steps.iter().map(step).collect(),
            end: End::Submitted,
            patch: None,
            answer: None,
            resolved: None,
        }
    }

    fn leak(command: &str) -> Option<Leak> {
        leaks(&task(), &trajectory(&[(command, "")])).first().map(|(_, leak)| *leak)
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        for (command, expected) in [
            ("cat /eval/gold.patch", Leak::GoldPatch),
            ("git apply ../solution.diff", Leak::GoldPatch),
            ("cd /testbed && git log --all --oneline", Leak::FutureCommits),
            ("git show origin/dev:src/a.py", Leak::FutureCommits),
            ("git -C /testbed -c core.pager= show origin/main", Leak::FutureCommits),
            ("git show 1a2b3c4d5e", Leak::FutureCommits),
            ("git log HEAD..main", Leak::FutureCommits),
            ("git reflog | head", Leak::FutureCommits),
            ("pip download marshmallow==3.13.0 --no-deps", Leak::FixedVersion),
            ("python -m pip install -U marshmallow", Leak::FixedVersion),
            ("curl -s https://api.github.com/repos/marshmallow-code/marshmallow/pulls/1868", Leak::Upstream),
            ("git clone https://example.org/x.git", Leak::Upstream),
            (
                "python -c \"import requests; requests.get('https://github.com/x/marshmallow')\"",
                Leak::Upstream,
            ),
            ("echo \"$(git fetch origin)\"", Leak::Upstream),
            ("pytest /testbed/tests/test_new.py::test_x", Leak::GraderTests),
        ] {
            assert_eq!(leak(command), Some(expected), "{command}");
        }
    }

    #[test]
    fn honest_work_is_no_leak() {
        for command in [
            "git log --oneline -5",
            "git show HEAD~1",
            "git diff -- src/main.py",
            "git -C main log -1 -- develop",
            "git checkout -- a.py",
            "git stash && git stash pop",
            "pip install pytest",
            "pip install -e .",
            "pip install ./marshmallow",
            "curl http://localhost:8000",
            "cat tests/test_old.py",
            "git diff > fix.patch",
            "cat > notes.md <<'E'\nSee https://github.com/marshmallow-code/marshmallow/issues/1\nE",
        ] {
            assert_eq!(leak(command), None, "{command}");
        }
    }

    #[test]
    fn what_was_seen_or_written_before_is_known() {
        let steps = [
            ("git log -1", "commit 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"),
            ("git show 1a2b3c4d5e", ""),
            ("cat > tests/test_new.py", ""),
            ("pytest tests/test_new.py", ""),
            ("git show feedbee", ""),
        ];
        assert_eq!(leaks(&task(), &trajectory(&steps)), [(4, Leak::FutureCommits)]);
    }
}
