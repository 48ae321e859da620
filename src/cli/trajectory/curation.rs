//! What `trajectory examples` and `trajectory export` share: which trajectories, which steps of them, and how they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::tokens::Counter;
use crate::chat::{Context, Scaffold};
use crate::curate::lesson::{Hint, Lesson, Style};
use crate::curate::{self, Curated, Filter, Learning, Replayed, Rules, Tally, Targets};
use crate::reward::Scope;
use crate::task::{self, LoadedTask, Task};
use crate::trajectory::{Action, Trajectory};
use crate::{fsio, task_dir};

/// Which examples are made, and what the student sees.
#[derive(Debug, clap::Args)]
pub(super) struct CurationArgs {
    /// The directory of the tasks (default: the problem as the record states it)
    #[arg(long)]
    tasks: Option<PathBuf>,
    /// Which steps are targets: `1..N` (all), `first..last-1` or `second..last`
    #[arg(long, default_value = "1..N", value_parser = targets)]
    targets: Targets,
    /// How much of the history the student sees: `full`, or `last:N` steps
    #[arg(long, default_value = "full", value_parser = context)]
    context: Context,
    /// Characters kept of one observation: the first and the last half
    #[arg(long, default_value_t = Scaffold::default().observation_chars)]
    observation_chars: usize,
    /// Which text of an action is compared: `action` (bare), or `wrapped` in the tags of a function call
    #[arg(long, default_value = "action", value_parser = scope)]
    scope: Scope,
    /// Tell the student the title of the step that it is to write, where it has one (mathematics)
    #[arg(long)]
    hint: bool,
    /// What is left out: `unresolved` trajectories, steps after a replay `diverged`, those that see a `leaking` command,
    /// `idle` steps (no-ops and loops), `wasted` steps after the last edit. All are counted, also when not left out
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = filter)]
    drop: Vec<Filter>,
    /// What `trajectory replay --out` found: its directory, or its `replays.jsonl`
    #[arg(long)]
    replays: Option<PathBuf>,
    /// Count the tokens that this model (a directory with `tokenizer.json`) makes of each example
    #[arg(long)]
    model: Option<PathBuf>,
    /// Tokens of a prompt at most: a longer one loses its oldest steps, whole
    #[arg(long, requires = "model")]
    max_tokens: Option<usize>,
}

fn targets(text: &str) -> Result<Targets, String> {
    match text {
        "1..N" | "all" => Ok(Targets::All),
        "first..last-1" => Ok(Targets::AllButLast),
        "second..last" => Ok(Targets::AllButFirst),
        _ => Err("use one of: 1..N, first..last-1, second..last".to_owned()),
    }
}

fn context(text: &str) -> Result<Context, String> {
    let last = || text.strip_prefix("last:")?.parse().ok().map(Context::Last);
    if text == "full" { Ok(Context::Full) } else { last().ok_or_else(|| "use `full` or `last:N`".to_owned()) }
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "action" => Ok(Scope::Action),
        "wrapped" => Ok(Scope::Wrapped),
        _ => Err("use `action` or `wrapped`".to_owned()),
    }
}

fn filter(text: &str) -> Result<Filter, String> {
    Filter::ALL.into_iter().find(|filter| filter.name() == text).ok_or_else(|| {
        let names: Vec<&str> = Filter::ALL.iter().map(|filter| filter.name()).collect();
        format!("use some of: {}", names.join(", "))
    })
}

/// Makes lessons of trajectories and counts what it leaves out.
pub(super) struct Curator {
    rules: Rules,
    style: Style,
    /// Which text is compared.
    pub(super) scope: Scope,
    tasks: Option<(PathBuf, BTreeMap<String, LoadedTask>)>,
    replays: BTreeMap<String, Replayed>,
    counter: Option<Counter>,
    tally: Tally,
    /// Lessons that were taken: the tally's, less those that no prompt fits.
    taken: usize,
}

/// A lesson with its tokens.
pub(super) struct Counted<'a> {
    /// The lesson.
    pub(super) lesson: Lesson<'a>,
    /// Its tokens, where a model counts them.
    pub(super) tokens: Option<Tokens>,
}

/// The tokens of a lesson.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    /// Of the prompt.
    pub(super) prompt: usize,
    /// Of the reply, the end of its turn included.
    pub(super) reply: usize,
    /// Whole steps that the prompt lost.
    pub(super) lost: usize,
}

impl CurationArgs {
    /// The options that were given and are not what they are by themselves.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let given = [
            ("--tasks", self.tasks.is_some()),
            ("--targets", self.targets != Targets::default()),
            ("--context", self.context != Context::default()),
            ("--observation-chars", self.observation_chars != Scaffold::default().observation_chars),
            ("--scope", self.scope != Scope::default()),
            ("--hint", self.hint),
            ("--drop", !self.drop.is_empty()),
            ("--replays", self.replays.is_some()),
            ("--model", self.model.is_some()),
            ("--max-tokens", self.max_tokens.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect()
    }

    /// Reads what the options name.
    pub(super) fn curator(&self) -> Result<Curator, Failure> {
        if self.drop.contains(&Filter::Diverged) && self.replays.is_none() {
            let refused = anyhow::anyhow!("`--drop diverged` needs to know what a replay found");
            return Err(Failure::usage(refused)
                .with_hint("name what `trajectory replay --out` wrote with `--replays`"));
        }
        let tasks = match &self.tasks {
            Some(dir) => Some((dir.clone(), task_dir::load_all(dir).map_err(Failure::input)?)),
            None => None,
        };
        let model = self.model.as_deref();
        let counter =
            model.map(|dir| Counter::open(dir, self.max_tokens.unwrap_or(usize::MAX))).transpose()?;
        let scaffold = Scaffold {
            context: self.context,
            observation_chars: self.observation_chars,
            ..Scaffold::default()
        };
        Ok(Curator {
            rules: Rules {
                targets: self.targets,
                filters: self.drop.iter().copied().collect(),
                learning: Learning::default(),
            },
            style: Style { scaffold, hint: if self.hint { Hint::Title } else { Hint::Off } },
            scope: self.scope,
            tasks,
            replays: self
                .replays
                .as_deref()
                .map(|path| replays(path, &self.drop))
                .transpose()?
                .unwrap_or_default(),
            counter,
            tally: Tally::default(),
            taken: 0,
        })
    }
}

impl Curator {
    /// Says what the examples are for.
    pub(super) fn learning(&mut self, learning: Learning) {
        self.rules.learning = learning;
    }

    /// Takes each lesson of a trajectory.
    pub(super) fn lessons(
        &mut self,
        trajectory: &Trajectory,
        mut take: impl FnMut(Counted<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let task = self.task(trajectory)?.into_owned();
        let curated: Curated<'_> =
            curate::curate(&task, trajectory, self.replays.get(&trajectory.id), &self.rules);
        self.tally.add(&curated.tally);
        for (number, example) in curated.examples(&task) {
            let tokens = match &mut self.counter {
                None => None,
                Some(counter) => match counter.count(&self.style, &example)? {
                    None => continue,
                    counted => counted,
                },
            };
            let lost = tokens.map_or(0, |tokens| tokens.lost);
            self.taken += 1;
            take(Counted { lesson: self.style.lesson(number, &example, lost), tokens })?;
        }
        self.counter.iter_mut().for_each(Counter::end_trajectory);
        Ok(())
    }

    /// What is learned from a trajectory as one conversation: the curated steps up to the last example that is left.
    /// Gives them with the indices of those that are targets.
    pub(super) fn chat(
        &mut self,
        trajectory: &Trajectory,
    ) -> Result<Option<(Task, Trajectory, Vec<usize>)>, Failure> {
        let task = self.task(trajectory)?.into_owned();
        let curated = curate::curate(&task, trajectory, self.replays.get(&trajectory.id), &self.rules);
        self.tally.add(&curated.tally);
        let targets: Vec<usize> =
            curated.examples(&task).into_iter().map(|(_, example)| example.index).collect();
        let Some(last) = targets.last() else { return Ok(None) };
        self.taken += curated.tally.kept;
        let mut chat = curated.trajectory().clone();
        chat.steps.truncate(last + 1);
        Ok(Some((task, chat, targets)))
    }

    /// What the student is told, and how much of an observation it sees.
    pub(super) fn scaffold(&self) -> &Scaffold {
        &self.style.scaffold
    }

    /// The task of a trajectory: the user's, or the problem as the record states it.
    pub(super) fn task(&self, trajectory: &Trajectory) -> Result<Cow<'_, Task>, Failure> {
        if let Some((dir, tasks)) = &self.tasks {
            let found = tasks.get(&trajectory.task);
            return Ok(Cow::Borrowed(&found.ok_or_else(|| super::unknown_task(trajectory, dir))?.task));
        }
        let problem = trajectory.problem.clone().ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("trajectory `{}`: its record states no problem", trajectory.id))
                .with_hint("name the directory of its task with `--tasks`")
        })?;
        Ok(Cow::Owned(stated(trajectory, problem)))
    }

    /// Examples taken so far.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// What was counted, for `--json`.
    pub(super) fn summary(&self) -> Value {
        let filters: Vec<Value> = self
            .tally
            .concerned
            .iter()
            .map(|(filter, n)| json!({"filter": filter, "on": self.rules.filters.contains(filter), "examples": n}))
            .collect();
        json!({
            "examples": self.taken,
            "trajectories": self.tally.trajectories,
            "replayed": self.tally.replayed,
            "targets": self.tally.targets,
            "unreadable": self.tally.unreadable,
            "thoughtless": self.tally.thoughtless,
            "filters": filters,
            "leaks": self.tally.leaks,
            "tokens": self.counter.as_ref().map(Counter::summary),
        })
    }

    /// What was counted, in words.
    pub(super) fn described(&self) -> String {
        let tally = &self.tally;
        let mut text = format!(
            "  {:<11} {:>7}  executed steps of {} trajectories\n",
            "targets", tally.targets, tally.trajectories
        );
        text.push_str(&format!(
            "  {:<11} {:>7}  left out: the expert's own reply cannot be read back\n",
            "unreadable", tally.unreadable
        ));
        let what = match self.rules.learning {
            Learning::Action => "kept",
            Learning::Reply => "left out",
        };
        text.push_str(&format!(
            "  {:<11} {:>7}  {what}: further actions of a reply, without a thought of their own\n",
            "thoughtless", tally.thoughtless
        ));
        for (filter, n) in &tally.concerned {
            let what = if self.rules.filters.contains(filter) { "left out" } else { "kept" };
            text.push_str(&format!("  {:<11} {n:>7}  {what}\n", filter.name()));
        }
        for (leak, n) in &tally.leaks {
            let name = json!(leak);
            text.push_str(&format!(
                "  {:<11} {n:>7}  leaking steps by `{}`\n",
                "",
                name.as_str().unwrap_or_default()
            ));
        }
        text.push_str(&self.counter.as_ref().map(Counter::described).unwrap_or_default());
        text
    }
}

/// A task that is only what the record states.
fn stated(trajectory: &Trajectory, problem: String) -> Task {
    let is_math = trajectory.steps.iter().all(|step| matches!(step.action, Action::Answer { .. }));
    Task {
        format: task::FORMAT.to_owned(),
        id: trajectory.task.clone(),
        kind: if is_math { task::Kind::Math } else { task::Kind::Code },
        problem,
        ..Task::default()
    }
}

/// What a replay found, by trajectory, as far as what is dropped asks for it.
fn replays(path: &Path, drop: &[Filter]) -> Result<BTreeMap<String, Replayed>, Failure> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(default)]
        format: String,
        trajectory: String,
        first_divergence: Option<usize>,
        grade: Option<String>,
        grade_error: Option<String>,
    }
    let path = replays_file(path);
    let records: Vec<Record> = fsio::read_json_lines(&path).map_err(Failure::input)?;
    for Record { format, trajectory, grade_error, .. } in &records {
        super::check_replay_format(&path, format)?;
        // Without a grade the published label would be believed, which is what a replay is to check.
        if let Some(reason) = grade_error.as_ref().filter(|_| drop.contains(&Filter::Unresolved)) {
            let refused =
                anyhow::anyhow!("`{}`: `{trajectory}` could not be graded: {reason}", path.display());
            return Err(
                Failure::input(refused).with_hint("run `trajectory replay` again with the same `--out`")
            );
        }
    }
    let found = |record: Record| {
        (record.trajectory, Replayed { first_divergence: record.first_divergence, grade: record.grade })
    };
    Ok(records.into_iter().map(found).collect())
}

/// The file that a replay's output directory holds, or the file itself.
pub(super) fn replays_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("replays.jsonl") } else { path.to_owned() }
}
