//! A contest: sides in turns, each in a process of its own, and what their figures come to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::process::{self, median};

/// Both sides have so many threads.
const THREADS: &str = "2";

/// Something that all sides do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contest {
    pub(crate) name: &'static str,
    /// Our ways; the first one is compared with the others and with the peer.
    pub(crate) ours: &'static [&'static str],
    /// The peers' ways.
    pub(crate) peers: &'static [&'static str],
    pub(crate) rounds: usize,
}

/// Who runs the peers.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) python: PathBuf,
}

/// What a side says of itself.
#[derive(Debug, Deserialize)]
struct Said {
    /// Seconds by the clock, one a repetition.
    wall: Vec<f64>,
    /// Seconds of processor time, one a repetition.
    processor: Vec<f64>,
    /// Whatever else both sides should agree on.
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// One side's figures over all rounds.
#[derive(Debug, Default)]
struct Score {
    wall: Vec<f64>,
    processor: Vec<f64>,
    resident_mib: Vec<f64>,
    other: BTreeMap<String, Value>,
}

impl Contest {
    /// Lets all sides take turns; gives the rows of the file.
    pub(crate) fn hold(&self, directory: &Path, peer: Option<&Peer>) -> Result<Vec<Value>> {
        let mut sides: Vec<String> = self.ours.iter().map(|side| format!("ours, {side}")).collect();
        let peers = peer.map(|peer| self.peers.iter().map(move |side| (*side, peer)));
        let peers: Vec<(&str, &Peer)> = peers.into_iter().flatten().collect();
        sides.extend(peers.iter().map(|(side, _)| (*side).to_owned()));
        let mut scores: Vec<Score> = sides.iter().map(|_| Score::default()).collect();
        for _ in 0..self.rounds {
            let ours = self.ours.iter().map(|side| self.our_turn(side, directory));
            let turns =
                ours.chain(peers.iter().map(|(side, peer)| Ok(self.peers_turn(side, peer, directory))));
            for (turn, score) in turns.zip(&mut scores) {
                score.add(turn?).with_context(|| format!("in `{}`", self.name))?;
            }
        }
        println!(
            "\n{}\n\n| who | wall, s | processor, s | resident, MiB | n | |\n|---|---|---|---|---|---|",
            self.name
        );
        for (side, score) in sides.iter().zip(&scores) {
            println!("{}", score.line(side));
        }
        let rows = (1..sides.len())
            .flat_map(|other| self.rows((&sides[0], &scores[0]), (&sides[other], &scores[other])));
        Ok(rows.collect())
    }

    fn our_turn(&self, side: &str, directory: &Path) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["ours", side, self.name]).arg(directory).env("RAYON_NUM_THREADS", THREADS);
        Ok(command)
    }

    fn peers_turn(&self, side: &str, peer: &Peer, directory: &Path) -> Command {
        let mut command = Command::new(&peer.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/train/peer.py"));
        command.args([side, self.name]).arg(directory);
        // Threads that wait without spinning: otherwise a busy host would count against the peer.
        command.env("OMP_NUM_THREADS", THREADS).env("OMP_WAIT_POLICY", "passive").env("HF_HUB_OFFLINE", "1");
        command
    }

    fn rows(&self, ours: (&str, &Score), other: (&str, &Score)) -> Vec<Value> {
        let row = |what: &str, unit: &str, pick: fn(&Score) -> &Vec<f64>| {
            let (us, them) = (median(pick(ours.1).iter().copied()), median(pick(other.1).iter().copied()));
            json!({
                "name": format!("{}, {what}: {}", self.name, ours.0), "unit": unit, "ours": us, "peer": them,
                "peer_name": other.0, "ratio": them / us, "n": pick(ours.1).len(),
            })
        };
        vec![
            row("by the clock", "s", |score| &score.wall),
            row("processor time", "s", |score| &score.processor),
            row("resident memory", "MiB", |score| &score.resident_mib),
        ]
    }
}

impl Score {
    fn add(&mut self, command: Command) -> Result<()> {
        let (said, usage) = process::run(command)?;
        let last = said.lines().last().context("a side said nothing")?;
        let said: Said = serde_json::from_str(last).with_context(|| format!("reading `{last}`"))?;
        self.wall.extend(said.wall);
        self.processor.extend(said.processor);
        self.resident_mib.push(usage.resident_mib);
        self.other = said.other;
        Ok(())
    }

    fn line(&self, side: &str) -> String {
        let of = |values: &[f64]| median(values.iter().copied());
        let other: Vec<String> = self.other.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let (wall, processor, n) = (of(&self.wall), of(&self.processor), self.wall.len());
        format!(
            "| {side} | {wall:.4} | {processor:.4} | {:.0} | {n} | {} |",
            of(&self.resident_mib),
            other.join(", ")
        )
    }
}
