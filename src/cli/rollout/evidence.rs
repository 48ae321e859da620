//! What a rollout leaves in its run directory, and what a resumed one finds there.
//!
//! An episode's lines are appended when it ends; that of `episodes.jsonl` comes last, and an episode without it never
//! ended. When all are over the files are replaced once, in the order of the jobs, so that they say nothing of who came first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::fsio::{self, JsonLines};
use crate::policy::Sample;
use crate::rate::Cost;
use crate::rollout::Finished;
use crate::run::RunDir;
use crate::trajectory::{End, Trajectory};

/// Name and version of a line of `episodes.jsonl`.
const EPISODE: &str = "apprentice.episode/1";
/// Name and version of a line of `samples.jsonl`.
const SAMPLES: &str = "apprentice.samples/1";

const TRAJECTORIES: &str = "trajectories.jsonl";
const PREDICTIONS: &str = "predictions.jsonl";
const EPISODES: &str = "episodes.jsonl";
const REPLIES: &str = "samples.jsonl";

/// The files, open.
pub(super) struct Evidence {
    dir: PathBuf,
    trajectories: JsonLines,
    predictions: JsonLines,
    samples: JsonLines,
    episodes: JsonLines,
}

/// An episode that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Over {
    pub(super) trajectory: Trajectory,
    pub(super) cost: Cost,
}

/// A line of `episodes.jsonl`: that an episode is over, and what its trajectory does not say.
#[derive(Serialize, Deserialize)]
struct Line {
    format: String,
    id: String,
    end: End,
    cost: Cost,
    /// Why its sandbox was lost, in this try or before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<String>,
}

/// What an episode's policy said, a line of `samples.jsonl`.
#[derive(Serialize)]
struct Answers<'a> {
    format: &'static str,
    id: &'a str,
    replies: Vec<Said<'a>>,
}

/// One reply. Its prompt's tokens are the first `shared` of the prompt before it and its reply, then `prompt`: a conversation
/// only grows, so nothing is written twice.
#[derive(Serialize)]
struct Said<'a> {
    shared: usize,
    prompt: &'a [u32],
    tokens: &'a [u32],
    logprobs: &'a [f32],
    entropy: f64,
    text: &'a str,
    finished: bool,
}

impl Evidence {
    /// Opens the files after what is in them.
    pub(super) fn open(run: &RunDir) -> anyhow::Result<Self> {
        Ok(Self {
            dir: run.path().to_owned(),
            trajectories: run.trajectories()?,
            predictions: run.predictions()?,
            samples: run.lines(REPLIES)?,
            episodes: run.lines(EPISODES)?,
        })
    }

    /// The episodes that are over, by id; one whose sandbox was lost is to begin again.
    pub(super) fn over(&self) -> anyhow::Result<BTreeMap<String, Over>> {
        let lines: Vec<Line> = fsio::read_json_lines(self.episodes.path())?;
        let costs: BTreeMap<String, Cost> = lines
            .into_iter()
            .filter(|line| line.end != End::SandboxLost)
            .map(|line| (line.id, line.cost))
            .collect();
        let trajectories: Vec<Trajectory> = fsio::read_json_lines(self.trajectories.path())?;
        let over = trajectories.into_iter().filter_map(|trajectory| {
            let cost = *costs.get(&trajectory.id)?;
            Some((trajectory.id.clone(), Over { trajectory, cost }))
        });
        Ok(over.collect())
    }

    /// Takes an episode that has just ended.
    pub(super) fn push(&mut self, episode: &Finished) -> anyhow::Result<()> {
        let trajectory = &episode.trajectory;
        self.trajectories.push(trajectory)?;
        if let Some(row) = prediction(trajectory) {
            self.predictions.push(&row)?;
        }
        let answers = Answers { format: SAMPLES, id: &trajectory.id, replies: said(&episode.samples) };
        self.samples.push(&answers)?;
        let lost = episode.lost_before.iter().chain(&episode.lost);
        self.episodes.push(&Line {
            format: EPISODE.to_owned(),
            id: trajectory.id.clone(),
            end: trajectory.end,
            cost: episode.cost,
            lost: lost.map(crate::sandbox::SandboxError::with_causes).collect(),
        })
    }

    /// Puts the lines of the episodes into the order of `ids`, of each the last one.
    pub(super) fn settle(self, ids: &[String]) -> anyhow::Result<()> {
        let Self { dir, .. } = self;
        for name in [TRAJECTORIES, REPLIES, EPISODES] {
            let path = dir.join(name);
            let mut lines = by_id(&path)?;
            let ordered: Vec<String> = ids.iter().filter_map(|id| lines.remove(id)).collect();
            fsio::write_atomic(&path, ordered.concat().as_bytes())?;
        }
        let trajectories: Vec<Trajectory> = fsio::read_json_lines(&dir.join(TRAJECTORIES))?;
        fsio::write_json_lines(&dir.join(PREDICTIONS), trajectories.iter().filter_map(prediction))
    }
}

/// The lines of a file, each with its line end, by their `id`; of several, the last.
fn by_id(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let text = fs_err::read_to_string(path)?;
    let named = |line: &str| Ok((serde_json::from_str::<Named>(line)?.id, line.to_owned()));
    text.split_inclusive('\n').map(named).collect()
}

fn prediction(trajectory: &Trajectory) -> Option<serde_json::Value> {
    Some(json!({
        "instance_id": trajectory.task,
        "model_name_or_path": trajectory.source.model,
        "model_patch": trajectory.patch.as_ref()?,
    }))
}

fn said(samples: &[Sample]) -> Vec<Said<'_>> {
    let mut before: Vec<u32> = Vec::new();
    let mut all = Vec::with_capacity(samples.len());
    for sample in samples {
        let shared = std::iter::zip(&before, &*sample.prompt).take_while(|(a, b)| a == b).count();
        all.push(Said {
            shared,
            prompt: &sample.prompt[shared..],
            tokens: &sample.tokens,
            logprobs: &sample.logprobs,
            entropy: sample.entropy,
            text: &sample.text,
            finished: sample.finished,
        });
        before = [&*sample.prompt, &sample.tokens].concat();
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::run::Manifest;
    use crate::trajectory::{FORMAT, Source};

    fn finished(id: &str, end: End, patch: Option<&str>) -> Finished {
        let trajectory = Trajectory {
            format: FORMAT.to_owned(),
            id: id.to_owned(),
            task: id.split('.').next().unwrap().to_owned(),
            source: Source::default(),
            problem: None,
            steps: Vec::new(),
            end,
            patch: patch.map(str::to_owned),
            answer: None,
            resolved: None,
        };
        Finished {
            trajectory,
            lost: None,
            lost_before: Vec::new(),
            contacts: Vec::new(),
            left_out: Vec::new(),
            cost: Cost { reply_tokens: Some(3), ..Cost::default() },
            samples: vec![Sample::from_text(id)],
        }
    }

    #[test]
    fn what_ended_is_found_again_and_what_was_lost_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(&dir.path().join("run"), Manifest::new([], json!({}))).unwrap();
        let mut evidence = Evidence::open(&run).unwrap();
        for (id, end, patch) in [
            ("b.0", End::Submitted, Some("+b")),
            ("a.1", End::SandboxLost, None),
            ("a.0", End::StepLimit, Some("")),
        ] {
            evidence.push(&finished(id, end, patch)).unwrap();
        }
        // Killed between its trajectory and its last line.
        evidence.trajectories.push(&finished("c.0", End::Submitted, None).trajectory).unwrap();
        let evidence = Evidence::open(&run).unwrap();
        let over = evidence.over().unwrap();
        assert_eq!(over.keys().collect::<Vec<_>>(), ["a.0", "b.0"]);
        assert_eq!(over["a.0"].cost.reply_tokens, Some(3));
    }

    #[test]
    fn the_files_of_a_settled_run_do_not_tell_who_ended_first() {
        let ids = ["a.0", "a.1", "b.0"].map(str::to_owned);
        let bytes = |order: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let run = RunDir::create(&dir.path().join("run"), Manifest::new([], json!({}))).unwrap();
            let mut evidence = Evidence::open(&run).unwrap();
            // One that was lost is begun again.
            evidence.push(&finished("a.1", End::SandboxLost, None)).unwrap();
            for id in order {
                evidence.push(&finished(id, End::Submitted, Some("+"))).unwrap();
            }
            evidence.settle(&ids).unwrap();
            [TRAJECTORIES, PREDICTIONS, REPLIES, EPISODES]
                .map(|name| fs_err::read_to_string(run.path().join(name)).unwrap())
        };
        let files = bytes(&["b.0", "a.1", "a.0"]);
        assert_eq!(files, bytes(&["a.0", "a.1", "b.0"]));
        assert!(files.iter().all(|file| file.lines().count() == 3), "{files:?}");
    }

    #[test]
    fn a_prompt_is_written_once_and_can_be_put_together_again() {
        let sample = |prompt: &[u32], tokens: &[u32]| Sample {
            prompt: Arc::from(prompt),
            tokens: tokens.to_vec(),
            ..Sample::from_text("")
        };
        let samples = [sample(&[1, 2], &[3]), sample(&[1, 2, 3, 4], &[5]), sample(&[1, 7], &[])];
        let (mut before, said) = (Vec::new(), said(&samples));
        assert_eq!(said.iter().map(|said| said.prompt).collect::<Vec<_>>(), [&[1, 2][..], &[4], &[7]]);
        for (said, sample) in said.iter().zip(&samples) {
            let prompt = [&before[..said.shared], said.prompt].concat();
            assert_eq!(prompt[..], *sample.prompt);
            before = [&prompt[..], said.tokens].concat();
        }
    }
}
