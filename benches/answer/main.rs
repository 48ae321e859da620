//! Our verdicts on answers beside math-verify's: `cargo bench --bench answer`.
//!
//! Both judge the recorded cases that depend on no clock, from gold answer and reply to verdict, in one process and thread, one
//! side after the other. Installs math-verify in a virtual environment of the target directory. Writes
//! `target/bench/answer.json`; docs/benches.md says what the figures mean. Without the cases in `../shared`, Python or
//! math-verify it says so and measures nothing.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use apprentice::answer::compat::{self, Grader};
use apprentice::answer::{Profile, judge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The release whose verdicts `answer::compat` reproduces, with the parser it needs.
const REFERENCE: &str = "math-verify[antlr4-13-2]==0.9.0";
const ROUNDS: usize = 5;
/// Our side repeats the cases so often in a turn, so that a turn is long enough to measure.
const REPEATS: usize = 20;

#[derive(Serialize, Deserialize)]
struct Case {
    gold: String,
    response: String,
    #[serde(default, skip_serializing)]
    timing_dependent: bool,
}

/// One turn of a side over all cases.
#[derive(Deserialize)]
struct Turn {
    verdicts: Vec<bool>,
    seconds: f64,
}

fn main() -> Result<()> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures");
    let fixtures = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| shared.to_owned());
    let fixtures = Path::new(&fixtures).join("math/answers.json");
    if !fixtures.exists() {
        println!("skipped: ../shared is not here");
        return Ok(());
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("finding the target directory")?;
    let directory = target.join("bench");
    fs_err::create_dir_all(&directory)?;
    let Some(python) = python(&directory)? else {
        println!("skipped: `{REFERENCE}` cannot be installed");
        return Ok(());
    };
    let rounds = if std::env::args().any(|word| word == "smoke") { 1 } else { ROUNDS };
    let cases = cases(&fixtures)?;
    let (verdicts, theirs) = reference(&python, &cases, rounds, &directory)?;
    let rate = |seconds: f64| cases.len() as f64 / seconds;
    println!("| side | answers/s | ratio |\n|---|---|---|");
    println!("| {REFERENCE} | {:.0} | 1 |", rate(theirs));
    let mut rows = Vec::new();
    let sides: [(&str, Side); 3] = [
        ("strict", |case| judge(&case.gold, &case.response, Profile::Exact).extracted.is_some()),
        ("compat math-verify", |case| accepts(Grader::MathVerify, case)),
        ("compat qwen", |case| accepts(Grader::Qwen, case)),
    ];
    for (name, side) in sides {
        let ours = ours(&cases, rounds, side);
        println!("| {name} | {:.0} | {:.0} |", rate(ours), theirs / ours);
        rows.push(json!({
            "name": format!("answers, {name}"), "unit": "answers/s", "ours": rate(ours), "peer": rate(theirs),
            "peer_name": REFERENCE, "ratio": theirs / ours, "n": rounds,
        }));
    }
    let agreed =
        cases.iter().zip(&verdicts).filter(|(case, theirs)| accepts(Grader::MathVerify, case) == **theirs);
    println!("compat math-verify and the reference agree on {} of {} cases", agreed.count(), cases.len());
    let file = directory.join("answer.json");
    fs_err::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    println!("wrote {}", file.display());
    Ok(())
}

/// What one of our sides says of a case.
type Side = fn(&Case) -> bool;

fn accepts(grader: Grader, case: &Case) -> bool {
    compat::judge(grader, &case.gold, &case.response).is_accepted
}

/// The recorded cases that depend on no clock.
fn cases(fixtures: &Path) -> Result<Vec<Case>> {
    let mut recorded: Value = serde_json::from_str(&fs_err::read_to_string(fixtures)?)?;
    let cases: Vec<Case> = serde_json::from_value(recorded["cases"].take())?;
    Ok(cases.into_iter().filter(|case| !case.timing_dependent).collect())
}

/// The reference's Python, installed on the first run.
fn python(directory: &Path) -> Result<Option<PathBuf>> {
    let environment = directory.join("math-verify");
    let python = environment.join("bin/python");
    if python.exists() {
        return Ok(Some(python));
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).status();
    let install = || Command::new(&python).args(["-m", "pip", "-q", "install", REFERENCE]).status();
    if made.is_ok_and(|status| status.success()) && install()?.success() {
        return Ok(Some(python));
    }
    fs_err::remove_dir_all(&environment).ok();
    Ok(None)
}

/// The reference's verdicts, and the median seconds of a turn.
fn reference(python: &Path, cases: &[Case], rounds: usize, directory: &Path) -> Result<(Vec<bool>, f64)> {
    let file = directory.join("answer-cases.json");
    fs_err::write(&file, serde_json::to_string(cases)?)?;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/answer/reference.py");
    let output = Command::new(python).arg(program).arg(&file).arg(rounds.to_string()).output()?;
    if !output.status.success() {
        bail!("the reference failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs_err::remove_file(&file)?;
    let text = String::from_utf8(output.stdout)?;
    let turns = text.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Turn>>>()?;
    ensure!(turns.iter().all(|turn| turn.verdicts.len() == cases.len()), "a verdict for every case");
    let seconds = median(turns.iter().map(|turn| turn.seconds).collect());
    let verdicts = turns.into_iter().next().context("the reference has no turn")?.verdicts;
    Ok((verdicts, seconds))
}

/// The median seconds of a turn over all cases.
fn ours(cases: &[Case], rounds: usize, side: Side) -> f64 {
    // Compiles the patterns, which a process does once.
    side(&cases[0]);
    let turn = || {
        let begin = Instant::now();
        for _ in 0..REPEATS {
            for case in cases {
                std::hint::black_box(side(case));
            }
        }
        begin.elapsed().as_secs_f64() / REPEATS as f64
    };
    median((0..rounds).map(|_| turn()).collect())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
