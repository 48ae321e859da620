//! Our reading of logs beside the reference's own parsers: `cargo bench --bench testlog`.
//!
//! Guarantees that both read the same text in memory and give the same statuses, each in one process and thread, one
//! after the other. Installs the reference in a virtual environment of the target directory. Writes
//! `target/bench/testlog.json`; docs/benches.md says what the figures mean. Without the logs in `../shared`, Python or
//! the reference it says so and measures nothing.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use apprentice::testlog::{Context, compat};
use serde::Deserialize;
use serde_json::{Value, json};

/// The release whose parsers `testlog::compat` reproduces.
const REFERENCE: &str = "swebench==5.0.2";
/// The parsers of most rows of the published sets, one for each kind of runner.
const PARSERS: [&str; 12] = [
    "parse_log_pytest",
    "parse_log_pytest_v2",
    "parse_log_pytest_options",
    "parse_log_django",
    "parse_log_sympy",
    "parse_log_gotest",
    "parse_log_cargo",
    "parse_log_jest",
    "parse_log_vitest",
    "parse_log_tap",
    "parse_log_maven",
    "parse_log_ruby_unit",
];
const ROUNDS: usize = 5;
const TURN_SECONDS: f64 = 0.5;
/// How much shorter turns are with the word `smoke`, which shows that the bench runs and nothing else.
const SMOKE: f64 = 100.0;

/// What one side says of a log.
#[derive(Deserialize)]
struct Said {
    statuses: BTreeMap<String, String>,
    seconds: f64,
}

fn main() -> Result<()> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures");
    let fixtures = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| shared.to_owned());
    let fixtures = Path::new(&fixtures).join("log_parsers");
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
    let is_smoke = std::env::args().any(|word| word == "smoke");
    let turn_seconds = if is_smoke { TURN_SECONDS / SMOKE } else { TURN_SECONDS };
    let cases = cases(&fixtures)?;
    let theirs = reference(&python, &cases, turn_seconds, &directory)?;
    println!(
        "| parser | log | KB | tests | ours, MB/s | reference, MB/s | ratio |\n|---|---|---|---|---|---|---|"
    );
    let mut rows = Vec::new();
    for (Case { parser, name, log }, theirs) in cases.iter().zip(theirs) {
        let ours = ours(parser, log, turn_seconds)?;
        ensure!(ours.statuses == theirs.statuses, "`{parser}` on `{name}`: the statuses differ");
        let rate = |said: &Said| log.len() as f64 / 1e6 / said.seconds;
        let (us, them) = (rate(&ours), rate(&theirs));
        let (kilobytes, tests) = (log.len() as f64 / 1e3, ours.statuses.len());
        println!(
            "| `{parser}` | {name} | {kilobytes:.0} | {tests} | {us:.0} | {them:.1} | {:.0} |",
            us / them
        );
        rows.push(json!({
            "name": format!("{parser} on {name}"), "unit": "MB/s", "ours": us, "peer": them,
            "peer_name": REFERENCE, "ratio": us / them, "n": ROUNDS,
        }));
    }
    let file = directory.join("testlog.json");
    fs_err::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    println!("wrote {}", file.display());
    Ok(())
}

/// A parser and the largest log of which it reads tests.
struct Case {
    parser: &'static str,
    name: String,
    log: String,
}

fn cases(fixtures: &Path) -> Result<Vec<Case>> {
    let logs: Value = serde_json::from_str(&fs_err::read_to_string(fixtures.join("logs.json"))?)?;
    let case = |parser: &'static str| {
        let file = fixtures.join(format!("swebench__{parser}.json"));
        let known: Value = serde_json::from_str(&fs_err::read_to_string(file)?)?;
        let known = known["cases"].as_array().context("cases")?;
        let read =
            known.iter().filter(|case| case["expected"].as_object().is_some_and(|map| !map.is_empty()));
        let logs = read.filter_map(|case| {
            let name = case["log"].as_str()?;
            Some((name.to_owned(), logs[name]["log"].as_str()?.to_owned()))
        });
        let (name, log) =
            logs.max_by_key(|(_, log)| log.len()).with_context(|| format!("no log for `{parser}`"))?;
        Ok(Case { parser, name, log })
    };
    PARSERS.into_iter().map(case).collect()
}

/// The reference's Python, installed on the first run.
fn python(directory: &Path) -> Result<Option<std::path::PathBuf>> {
    let environment = directory.join("reference");
    let python = environment.join("bin/python");
    if python.exists() {
        return Ok(Some(python));
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).status();
    // What else the package asks for, its parsers do not import.
    let packages = ["-m", "pip", "-q", "install", "--no-deps", REFERENCE, "unidiff"];
    let install = || Command::new(&python).args(packages).status();
    if made.is_ok_and(|status| status.success()) && install()?.success() {
        return Ok(Some(python));
    }
    fs_err::remove_dir_all(&environment).ok();
    Ok(None)
}

fn reference(python: &Path, cases: &[Case], turn_seconds: f64, directory: &Path) -> Result<Vec<Said>> {
    let request: Vec<Value> = cases
        .iter()
        .map(|case| json!({"parser": case.parser, "log": case.log, "turn_seconds": turn_seconds}))
        .collect();
    let file = directory.join("testlog-cases.json");
    fs_err::write(&file, serde_json::to_string(&request)?)?;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/testlog/reference.py");
    let output = Command::new(python).arg(program).arg(&file).arg(ROUNDS.to_string()).output()?;
    if !output.status.success() {
        bail!("the reference failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs_err::remove_file(&file)?;
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn ours(parser: &str, log: &str, turn_seconds: f64) -> Result<Said> {
    let name = format!("swebench.{parser}");
    let read = || compat::read(&name, &Context::default(), log);
    // Compiles the patterns, which a process does once.
    let statuses = read()?.into_iter().map(|(id, status)| (id, status.into_owned())).collect();
    let begin = Instant::now();
    read()?;
    let calls = (turn_seconds / begin.elapsed().as_secs_f64().max(1e-7)).max(1.0) as usize;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..calls {
            std::hint::black_box(read()?);
        }
        seconds.push(begin.elapsed().as_secs_f64() / calls as f64);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Said { statuses, seconds: seconds[ROUNDS / 2] })
}
