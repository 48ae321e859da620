//! A state that an expert acted in: its sandbox, and how it looks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::act::Actor;
use crate::patch::{self, Change, File};
use crate::replay::normal;
use crate::reward::effect::Effect;
use crate::sandbox::{Exec, SandboxError, Session};
use crate::trajectory::{Action, Observation};

/// Tells directory and exported variables.
const PROBE: &str = "pwd -P; export -p";
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of that.
const PROBE_BYTES: usize = 1 << 20;
/// What begins a variable there.
const VARIABLE: &str = "declare -x ";
/// Variables that bash sets by itself: the directory is told apart.
const OF_BASH: [&str; 5] = ["PWD", "OLDPWD", "SHLVL", "_", "BASH_ENV"];
/// Directories and files that tools leave for their next run; nobody means them.
const BY_PRODUCTS: [&str; 8] = [
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".coverage",
    ".tox",
    ".nyc_output",
];

/// An agent at work, and how its sandbox looks.
pub(super) struct State {
    pub(super) actor: Actor,
    pub(super) look: Look,
}

/// How a sandbox looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// What differs from the base, by path.
    files: BTreeMap<String, Change>,
    /// The directory as `PWD`, and exported variables.
    shell: BTreeMap<String, String>,
}

/// What an action came to.
pub(super) struct Done {
    pub(super) state: State,
    pub(super) effect: Effect,
    pub(super) seconds: f64,
}

impl State {
    /// An agent, looked at.
    pub(super) async fn of(mut actor: Actor) -> Result<Self, SandboxError> {
        match look(&mut actor).await {
            Ok(look) => Ok(Self { actor, look }),
            Err(error) => {
                // The first failure is the one to report.
                drop(actor.stop().await);
                Err(error)
            }
        }
    }

    /// The same state once more.
    pub(super) async fn fork(&mut self) -> Result<Self, SandboxError> {
        Ok(Self { actor: self.actor.fork().await?, look: self.look.clone() })
    }

    /// Takes an action here.
    pub(super) async fn perform(self, action: &Action) -> Result<Done, SandboxError> {
        let started = Instant::now();
        let Self { mut actor, look: before } = self;
        let observation = match actor.perform(action).await {
            Ok(observation) => observation,
            Err(error) => {
                drop(actor.stop().await);
                return Err(error);
            }
        };
        let state = Self::of(actor).await?;
        let effect = effect(&before, &state.look, &observation);
        Ok(Done { state, effect, seconds: started.elapsed().as_secs_f64() })
    }

    /// Ends its sandbox. What is left behind is for `sandbox prune`, and nothing else waits for it.
    pub(super) async fn stop(self) {
        if let Err(error) = self.actor.stop().await {
            tracing::warn!(%error, "could not stop a sandbox");
        }
    }
}

impl Look {
    /// What differs from the base, as a patch.
    pub(super) fn patch(&self) -> Result<String, SandboxError> {
        let changes: Vec<Change> = self.files.values().cloned().collect();
        patch::between(&changes).map_err(|error| SandboxError::Patch {
            path: changes.first().map(|change| change.path.clone()).unwrap_or_default(),
            reason: error.message().to_owned(),
        })
    }
}

async fn look(actor: &mut Actor) -> Result<Look, SandboxError> {
    let told = actor.changes().await?.into_iter().filter(|change| !is_by_product(change));
    let files = told.map(|change| (change.path.clone(), change)).collect();
    let shell = match actor.session() {
        Session::Fresh => BTreeMap::new(),
        Session::Carried => {
            let probe = Exec::new(PROBE, PATIENCE, PROBE_BYTES);
            shell_of(&actor.sandbox().exec(&probe).await?.output)
        }
    };
    Ok(Look { files, shell })
}

fn is_by_product(change: &Change) -> bool {
    let is_new = change.before.is_none();
    let mut names = change.path.split('/');
    let is_compiled = std::path::Path::new(&change.path).extension().is_some_and(|end| end == "pyc");
    is_new && (is_compiled || names.any(|name| BY_PRODUCTS.contains(&name)))
}

/// The directory and the variables that the probe printed.
fn shell_of(printed: &str) -> BTreeMap<String, String> {
    let mut parts = format!("\n{printed}");
    let variables = parts.find(&format!("\n{VARIABLE}")).map(|at| parts.split_off(at)).unwrap_or_default();
    let split = format!("\n{VARIABLE}");
    let named = variables.split(&split).filter(|text| !text.is_empty()).map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.trim_end().to_owned(), value.trim_end_matches('\n').to_owned())
    });
    let mut shell: BTreeMap<String, String> =
        named.filter(|(name, _)| !OF_BASH.contains(&name.as_str())).collect();
    shell.insert("PWD".to_owned(), parts.trim().to_owned());
    shell
}

/// What an action did between two looks.
fn effect(before: &Look, after: &Look, observation: &Observation) -> Effect {
    let mut names: Vec<&String> = before.shell.keys().chain(after.shell.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = names.into_iter().filter(|name| before.shell.get(*name) != after.shell.get(*name));
    let shell = differs.map(|name| (name.clone(), after.shell.get(name).cloned())).collect();
    Effect {
        files: changes(&before.files, &after.files),
        shell,
        output: normal::everywhere(&observation.output),
        exit: observation.exit,
        submitted: false,
        potential: None,
        outcome: None,
    }
}

/// What differs between two sets of differences from the base.
fn changes(before: &BTreeMap<String, Change>, after: &BTreeMap<String, Change>) -> Vec<Change> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let change = |path: &String| {
        let (was, is) = (before.get(path), after.get(path));
        // Where one look does not tell of a path, it has what the base has.
        let base = was.or(is).and_then(|change| change.before.clone());
        let had = was.map_or_else(|| base.clone(), |change| change.after.clone());
        let has = is.map_or(base, |change| change.after.clone());
        let is_new = had.is_none();
        (had != has).then(|| Change {
            path: path.clone(),
            before: had,
            after: if is_new { has.map(timeless) } else { has },
        })
    };
    paths.into_iter().filter_map(change).collect()
}

/// A new file without what depends on the run: steps write logs with a clock at hand.
fn timeless(file: File) -> File {
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => File { bytes: normal::everywhere(text).into_bytes(), ..file },
        Err(_) => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Mode;

    #[expect(clippy::unnecessary_wraps, reason = "a change has a file or none")]
    fn file(text: &str) -> Option<File> {
        Some(File { bytes: text.into(), mode: Mode::File })
    }

    fn look(files: &[(&str, Option<File>, Option<File>)]) -> BTreeMap<String, Change> {
        let change = |(path, before, after): &(&str, Option<File>, Option<File>)| {
            (
                (*path).to_owned(),
                Change { path: (*path).to_owned(), before: before.clone(), after: after.clone() },
            )
        };
        files.iter().map(change).collect()
    }

    #[test]
    fn changes_are_told_from_the_state_before_and_not_from_the_base() {
        let before =
            look(&[("a", file("0"), file("1")), ("b", file("0"), file("1")), ("n", None, file("1"))]);
        let after = look(&[("a", file("0"), file("2")), ("c", file("0"), None), ("n", None, file("1"))]);
        let told = changes(&before, &after);
        let expected =
            look(&[("a", file("1"), file("2")), ("b", file("1"), file("0")), ("c", file("0"), None)]);
        assert_eq!(told, expected.into_values().collect::<Vec<_>>());
        assert_eq!(changes(&after, &after), []);
    }

    #[test]
    fn a_clock_does_not_show_in_a_new_file() {
        let log = |text: &str| changes(&BTreeMap::new(), &look(&[("log", None, file(text))]));
        assert_eq!(log("done in 0.21s\n"), log("done in 0.99s\n"));
        assert_ne!(log("done in 0.21s\n"), log("lost in 0.21s\n"));
    }

    #[test]
    fn the_probe_tells_directory_and_variables() {
        let shell = shell_of(
            "/testbed/src\ndeclare -x A=\"1\"\ndeclare -x B=\"two\nlines\"\ndeclare -x PWD=\"/x\"\ndeclare -x C\n",
        );
        let expected = [("A", "\"1\""), ("B", "\"two\nlines\""), ("C", ""), ("PWD", "/testbed/src")];
        assert_eq!(shell, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_tools_leave_for_themselves_is_nobodys_change() {
        let new = |path: &str| Change { path: path.to_owned(), before: None, after: file("") };
        assert!(is_by_product(&new("src/__pycache__/a.pyc")) && is_by_product(&new(".pytest_cache/v/x")));
        assert!(!is_by_product(&new("src/a.py")));
        assert!(!is_by_product(&Change { before: file(""), ..new("a.pyc") }));
    }
}
