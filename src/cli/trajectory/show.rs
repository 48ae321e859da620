//! `apprentice trajectory show`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::curation::replays_file;
use super::each;
use crate::fsio;
use crate::trajectory::Trajectory;
use crate::viewer::terminal::{self, Extent};
use crate::viewer::{ReplayRecord, Rewarded, View, page};

/// Show trajectories step by step, in the terminal or as one HTML page
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of any known format
    file: PathBuf,
    /// Only the trajectory with this id
    #[arg(long)]
    id: Option<String>,
    /// Only this step, or these: `7` or `3..7`
    #[arg(long, value_name = "STEP", value_parser = steps, conflicts_with = "html")]
    step: Option<RangeInclusive<usize>>,
    /// Show long texts whole
    #[arg(long)]
    full: bool,
    /// What `trajectory replay --out` found, shown beside what was recorded: its directory, or its `replays.jsonl`
    #[arg(long)]
    replays: Option<PathBuf>,
    /// Rewards of replies, shown at their steps: JSON lines of {"trajectory": …, "step": …, "reward": …, "action": …}
    #[arg(long)]
    rewards: Option<PathBuf>,
    /// Write a page instead: one file that loads nothing
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn steps(text: &str) -> Result<RangeInclusive<usize>, String> {
    let number = |text: &str| text.parse().ok().filter(|number| 0 < *number);
    let range = match text.split_once("..") {
        Some((first, last)) => number(first).zip(number(last.trim_start_matches('='))),
        None => number(text).map(|step| (step, step)),
    };
    range
        .map(|(first, last)| first..=last)
        .ok_or_else(|| "use a step's number, such as 7, or 3..7".to_owned())
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let known = Known { replays: replays(args)?, rewards: rewards(args)?, none: BTreeMap::new() };
    if let Some(out) = &args.html {
        let trajectory = the_one(args)?;
        let html = page::html(&known.view(&trajectory));
        fsio::write_atomic(out, html.as_bytes()).map_err(Failure::host)?;
        let value = json!({"format": "apprentice.show/1", "trajectory": trajectory.id, "out": out.display().to_string()});
        output.result(&value, &format!("Wrote {}", out.display())).map_err(Failure::host)?;
        return Ok(Answer::Yes);
    }
    let extent = if args.full { Extent::Full } else { Extent::Clipped };
    let mut ids = Vec::new();
    let mut shown = 0;
    each(&args.file, |trajectory| {
        if !is_wanted(args, &trajectory) {
            ids.push(trajectory.id);
            return Ok(());
        }
        shown += 1;
        let text = terminal::text(&known.view(&trajectory), args.step.as_ref(), extent);
        output.result(&trajectory, &text).map_err(Failure::host)
    })?;
    if shown == 0 { Err(unknown(&ids)) } else { Ok(Answer::Yes) }
}

/// What is known of trajectories beside what was recorded.
struct Known {
    replays: BTreeMap<String, ReplayRecord>,
    rewards: BTreeMap<String, BTreeMap<usize, Vec<Rewarded>>>,
    none: BTreeMap<usize, Vec<Rewarded>>,
}

impl Known {
    fn view<'a>(&'a self, trajectory: &'a Trajectory) -> View<'a> {
        View {
            trajectory,
            replay: self.replays.get(&trajectory.id),
            rewards: self.rewards.get(&trajectory.id).unwrap_or(&self.none),
        }
    }
}

fn is_wanted(args: &Args, trajectory: &Trajectory) -> bool {
    args.id.as_ref().is_none_or(|id| *id == trajectory.id)
}

/// The one trajectory that a page can show.
fn the_one(args: &Args) -> Result<Trajectory, Failure> {
    let mut ids = Vec::new();
    let mut found = Vec::new();
    each(&args.file, |trajectory| {
        ids.push(trajectory.id.clone());
        if found.len() < 2 && is_wanted(args, &trajectory) {
            found.push(trajectory);
        }
        Ok(())
    })?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(unknown(&ids)),
        (Some(trajectory), true) => Ok(trajectory),
        (Some(_), false) => Err(Failure::usage(anyhow!(
            "a page shows one trajectory, and `{}` holds {}",
            args.file.display(),
            ids.len()
        ))
        .with_hint(format!("name one with `--id`: {}", listed(&ids)))),
    }
}

fn unknown(ids: &[String]) -> Failure {
    Failure::nothing(anyhow!("no trajectory has this id")).with_hint(format!("use one of: {}", listed(ids)))
}

fn listed(ids: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = if SHOWN < ids.len() { format!(", … {} more", ids.len() - SHOWN) } else { String::new() };
    format!("{}{more}", ids.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
}

fn replays(args: &Args) -> Result<BTreeMap<String, ReplayRecord>, Failure> {
    let path = args.replays.as_deref().map(replays_file);
    let records: Vec<ReplayRecord> = lines(path.as_deref())?;
    for record in &records {
        super::check_replay_format(&path.clone().unwrap_or_default(), &record.format)?;
    }
    Ok(records.into_iter().map(|record| (record.trajectory.clone(), record)).collect())
}

/// Rewards by trajectory and step.
fn rewards(args: &Args) -> Result<BTreeMap<String, BTreeMap<usize, Vec<Rewarded>>>, Failure> {
    let mut rewards: BTreeMap<String, BTreeMap<usize, Vec<Rewarded>>> = BTreeMap::new();
    for rewarded in lines::<Rewarded>(args.rewards.as_deref())? {
        let of_trajectory = rewards.entry(rewarded.trajectory.clone()).or_default();
        of_trajectory.entry(rewarded.step).or_default().push(rewarded);
    }
    Ok(rewards)
}

fn lines<T: DeserializeOwned>(path: Option<&Path>) -> Result<Vec<T>, Failure> {
    path.map_or(Ok(Vec::new()), |path| fsio::read_json_lines(path).map_err(Failure::input))
}
