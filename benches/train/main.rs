//! Our trainer beside TRL and PyTorch: `cargo bench --bench train`.
//!
//! Guarantees that both sides have the same weights, tokens and number of threads, each in a process of its own that
//! warms up and times itself, in turns. Installs the peers in a virtual environment of the target directory. Writes
//! `target/bench/train.json`; docs/benches.md says what the figures mean. Without the recordings in `../shared` or
//! the peers it says so and measures what it can.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

mod inputs;
mod ours;
#[path = "../process/mod.rs"]
#[allow(dead_code, reason = "sides time themselves here")]
mod process;
mod turns;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use turns::{Contest, Peer};

/// What is measured.
const CONTESTS: [Contest; 7] = [
    // One SRL update of a real trajectory's steps 1 to 8: 64 replies drawn, rewarded and learnt from.
    contest("update", &["tree", "separate"], &["trl"], 2),
    // Forward, backward and AdamW over sequences that share nothing.
    contest("batch 8x256", &["step"], &["step"], 4),
    contest("batch 32x256", &["step"], &["step"], 3),
    contest("0.5B 1x512", &["step"], &["step"], 2),
    // Sixteen replies of 256 tokens to one prompt each.
    contest("generate", &["generate"], &["generate"], 4),
    // The similarity of 64 pairs of texts of 200 to 4,000 characters.
    contest("similarity", &["similarity"], &["difflib", "cydifflib"], 4),
    // What 4,096 log-probabilities over 151,936 tokens take beside one of them: their memory is what counts.
    contest("vocabulary", &["vocabulary one", "vocabulary all"], &[], 2),
];

const fn contest(
    name: &'static str,
    ours: &'static [&'static str],
    peers: &'static [&'static str],
    rounds: usize,
) -> Contest {
    Contest { name, ours, peers, rounds }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [word, side, contest, directory] = words.as_slice()
        && word == "ours"
    {
        println!("{}", ours::run(side, contest, Path::new(directory))?);
        return Ok(());
    }
    // Cargo says where: a directory of the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("finding the target directory")?;
    let directory = target.join("bench/train");
    fs_err::create_dir_all(&directory)?;
    let peer = peer(&target.join("bench/trainers"));
    let mut rows = Vec::new();
    for contest in CONTESTS {
        if !words.is_empty() && !words.iter().any(|word| contest.name.starts_with(word.as_str())) {
            continue;
        }
        if let Err(missing) = inputs::prepare(contest.name, &directory) {
            println!("skipped: {}: {missing:#}", contest.name);
            continue;
        }
        rows.extend(contest.hold(&directory, peer.as_ref())?);
    }
    let file = target.join("bench/train.json");
    fs_err::write(&file, serde_json::to_string_pretty(&Value::from(rows))? + "\n")?;
    println!("wrote {}", file.display());
    Ok(())
}

/// The Python that has the peers, installed on the first call; absent where they cannot be.
fn peer(environment: &Path) -> Option<Peer> {
    let python = environment.join("bin/python");
    let has = |python: &Path| {
        let mut ask = Command::new(python);
        ask.args(["-c", "import torch, transformers, trl, cydifflib"]);
        ask.output().is_ok_and(|answer| answer.status.success())
    };
    if !has(&python) {
        let packages = ["torch", "transformers==5.24.0", "trl==1.16.0", "cydifflib==1.2.0"];
        let made = Command::new("python3").args(["-m", "venv"]).arg(environment).status();
        let install = Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages).status();
        if !made.is_ok_and(|status| status.success()) || !install.is_ok_and(|status| status.success()) {
            println!("skipped: the peers cannot be installed");
            return None;
        }
    }
    Some(Peer { python })
}
