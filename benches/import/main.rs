//! Our import beside a reader built on Python's json module: `cargo bench --bench import`.
//!
//! Guarantees that everybody reads the same file, in turns, each in a process of its own whose time and memory
//! the kernel counts. Writes `target/bench/import.json`; docs/benches.md says what the figures mean. Without
//! the recordings in `../shared` or Python it says so and measures nothing.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

mod corpus;
#[path = "../process/mod.rs"]
mod process;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use process::Usage;

/// Rounds that count; one more before them warms the file's pages.
const ROUNDS: usize = 5;
const SPEED_BYTES: u64 = 200_000_000;
const MEMORY_BYTES: u64 = 2_000_000_000;
/// How much smaller all files are with the word `smoke`, which shows that the bench runs and nothing else.
const SMOKE: u64 = 100;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [word, file] = words.as_slice()
        && word == "read"
    {
        return read(Path::new(file));
    }
    let Some(recordings) = corpus::recordings()? else {
        println!("skipped: ../shared is not here");
        return Ok(());
    };
    // Cargo says where: a directory of the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("finding the target directory")?;
    let directory = target.join("bench");
    fs_err::create_dir_all(&directory)?;
    let smaller = if words.iter().any(|word| word == "smoke") { SMOKE } else { 1 };
    let measures: Vec<&String> = words.iter().filter(|word| *word != "smoke").collect();
    let is_chosen = |name: &str| measures.is_empty() || measures.iter().any(|word| *word == name);
    let mut rows = Vec::new();
    if is_chosen("speed") {
        for (name, records) in [("all recordings", &recordings.all), ("SWE-smith rows", &recordings.rows)] {
            let file = corpus::write(&directory, name, records, SPEED_BYTES / smaller)?;
            rows.extend(speed(name, &file, &directory)?);
        }
    }
    if is_chosen("memory") {
        rows.extend(memory(&recordings.all, &directory, smaller)?);
    }
    let file = directory.join("import.json");
    fs_err::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    println!("wrote {}", file.display());
    Ok(())
}

/// Our side of a turn: reads every record and writes nothing.
fn read(file: &Path) -> Result<()> {
    let (mut steps, mut rejects) = (0, 0);
    let count = |outcome: apprentice::import::Outcome| outcome.map(|trajectory| trajectory.steps.len());
    apprentice::import::each_as(file, apprentice::import::Options::default(), &count, &mut |counted| {
        match counted {
            Ok(count) => steps += count,
            Err(_) => rejects += 1,
        }
        std::ops::ControlFlow::Continue(())
    })?;
    if rejects != 0 {
        bail!("{rejects} records were rejected");
    }
    println!("{steps}");
    Ok(())
}

fn reader(file: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("read").arg(file);
    Ok(command)
}

fn python(mode: &str, file: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/import/reader.py")).arg(mode).arg(file);
    command
}

fn importer(file: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.args(["trajectory", "import", "--json", "--out"]).arg(out).arg(file);
    command
}

/// Megabytes a second of everybody, by the clock and by processor time.
fn speed(name: &str, file: &Path, directory: &Path) -> Result<Vec<Value>> {
    let out = directory.join("import-out.jsonl");
    let megabytes = fs_err::metadata(file)?.len() as f64 / 1e6;
    let contenders = ["ours, read", "ours, read and written", "json, walked", "json, steps"];
    let mut seconds: Vec<Vec<Usage>> = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        let commands = [reader(file)?, importer(file, &out), python("walk", file), python("steps", file)];
        for (command, usages) in commands.into_iter().zip(&mut seconds) {
            let (_, usage) = process::run(command)?;
            if 0 < round {
                usages.push(usage);
            }
        }
    }
    println!("\n{name}, {megabytes:.0} MB (MB/s by the clock, MB/s of processor time, MiB resident)\n");
    println!("| who | clock | processor | resident |\n|---|---|---|---|");
    let mut rates = Vec::new();
    for (who, usages) in contenders.iter().zip(&seconds) {
        let rate = |pick: fn(&Usage) -> f64| megabytes / process::median(usages.iter().map(pick));
        let (clock, processor) = (rate(|usage| usage.wall_seconds), rate(|usage| usage.processor_seconds));
        let resident = process::median(usages.iter().map(|usage| usage.resident_mib));
        println!("| {who} | {clock:.0} | {processor:.0} | {resident:.0} |");
        rates.push((clock, processor));
    }
    fs_err::remove_file(&out)?;
    let row = |ours: usize, peer: usize| {
        [("clock", rates[ours].0, rates[peer].0), ("processor time", rates[ours].1, rates[peer].1)].map(
            |(what, us, them)| {
                json!({
                    "name": format!("{name}: {}, by {what}", contenders[ours]),
                    "unit": "MB/s",
                    "ours": us,
                    "peer": them,
                    "peer_name": contenders[peer],
                    "ratio": us / them,
                    "n": ROUNDS,
                })
            },
        )
    };
    Ok([row(0, 2), row(0, 3), row(1, 3)].concat())
}

/// Resident memory at its highest, of a small and a large file.
fn memory(records: &[String], directory: &Path, smaller: u64) -> Result<Vec<Value>> {
    let out = directory.join("import-out.jsonl");
    let mut rows = Vec::new();
    println!("\nMemory of `trajectory import` (MiB resident at most)\n");
    for bytes in [SPEED_BYTES / smaller, MEMORY_BYTES / smaller] {
        let name = format!("memory {}", bytes / 1_000_000);
        let file = corpus::write(directory, &name, records, bytes)?;
        let (_, usage) = process::run(importer(&file, &out))?;
        println!(
            "| {} MB | {:.0} MiB | {:.1} s |",
            bytes / 1_000_000,
            usage.resident_mib,
            usage.wall_seconds
        );
        rows.push(json!({
            "name": format!("resident memory of an import of {} MB", bytes / 1_000_000),
            "unit": "MiB", "ours": usage.resident_mib, "peer": null, "peer_name": null, "ratio": null, "n": 1,
        }));
        fs_err::remove_file(&file)?;
        fs_err::remove_file(&out)?;
    }
    Ok(rows)
}
