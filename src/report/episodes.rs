//! The episodes that a run directory records, as far as a report needs them: who they are, how they ended, and where in
//! which file they stand.
//!
//! Reads files line by line and keeps no step, so that memory does not grow with what was observed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::fsio;
use crate::trajectory::{End, Source, Trajectory};

/// A recorded episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// Its id.
    pub id: String,
    /// Steps that it took.
    pub steps: usize,
    /// How it ended.
    pub end: End,
    /// The file that it stands in.
    pub file: PathBuf,
    /// Which line of it, from 1.
    pub line: u64,
}

/// An episode with what else its line says.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The task that it worked on.
    pub task: String,
    /// The episode.
    pub episode: Episode,
    /// Whether a grade is about it.
    pub is_graded: bool,
    /// The verdict beside it, where there is one: its name and its reason.
    pub verdict: Option<(String, String)>,
}

/// A line that holds a trajectory beside its verdict.
#[derive(Deserialize)]
struct Judged<T> {
    trajectory: T,
    #[serde(default)]
    verdict: Option<BriefVerdict>,
}

#[derive(Deserialize)]
struct Brief {
    id: String,
    task: String,
    #[serde(default)]
    source: Source,
    steps: Vec<IgnoredAny>,
    end: End,
    #[serde(default)]
    patch: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct BriefVerdict {
    outcome: String,
    #[serde(default)]
    reason: String,
}

/// The episodes in `file`, in its order; none where it is absent. A half-written last line is left out.
///
/// # Errors
/// When it cannot be read, or a whole line is no episode.
pub fn read(file: &Path) -> anyhow::Result<Vec<Recorded>> {
    let mut episodes = Vec::new();
    if !file.is_file() {
        return Ok(episodes);
    }
    let mut lines = fsio::lines(file)?.peekable();
    while let Some(line) = lines.next() {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        match parsed::<Brief>(&line.text) {
            Ok((brief, verdict)) => episodes.push(recorded(brief, verdict, (file, line.number))),
            Err(_) if lines.peek().is_none() && !ends_whole(file)? => break,
            Err(error) => {
                return Err(error).with_context(|| format!("{}: line {}", file.display(), line.number));
            }
        }
    }
    Ok(episodes)
}

/// A line's trajectory and the verdict beside it.
fn parsed<T: DeserializeOwned>(line: &str) -> serde_json::Result<(T, Option<BriefVerdict>)> {
    if line.trim_start().starts_with("{\"trajectory\":{") {
        let Judged { trajectory, verdict } = serde_json::from_str(line)?;
        return Ok((trajectory, verdict));
    }
    Ok((serde_json::from_str(line)?, None))
}

/// Whether a file ends in a line end.
fn ends_whole(file: &Path) -> anyhow::Result<bool> {
    let mut file = fs_err::File::open(file)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn recorded(brief: Brief, verdict: Option<BriefVerdict>, (file, line): (&Path, u64)) -> Recorded {
    let Brief { id, task, source, steps, end, patch } = brief;
    // Episodes whose sandbox was lost left no patch; of replies to a problem of mathematics, the most probable one is
    // told apart from those that are counted.
    let is_graded = patch.is_some() || (source.format == "solve" && !id.ends_with(".greedy"));
    let episode = Episode { id, steps: steps.len(), end, file: file.to_owned(), line };
    Recorded { task, episode, is_graded, verdict: verdict.map(|verdict| (verdict.outcome, verdict.reason)) }
}

/// The whole trajectories of episodes, by file and line.
///
/// # Errors
/// When a file changed since its episodes were read.
pub fn trajectories(wanted: &[&Episode]) -> anyhow::Result<BTreeMap<(PathBuf, u64), Trajectory>> {
    let mut by_file: BTreeMap<&Path, BTreeSet<u64>> = BTreeMap::new();
    for episode in wanted {
        by_file.entry(&episode.file).or_default().insert(episode.line);
    }
    let mut found = BTreeMap::new();
    for (file, numbers) in by_file {
        for line in fsio::lines(file)? {
            let line = line?;
            if numbers.last().is_some_and(|last| *last < line.number) {
                break;
            }
            if numbers.contains(&line.number) {
                let place = || format!("{}: line {}", file.display(), line.number);
                let (trajectory, _) = parsed(&line.text).with_context(place)?;
                found.insert((file.to_owned(), line.number), trajectory);
            }
        }
    }
    Ok(found)
}
