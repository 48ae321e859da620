//! A row of the table, and how it is made to hold.

use std::time::{Duration, Instant};

use apprentice::patch::File;
use apprentice::sandbox::{Exec, FileRead, FileWrite, Sandbox, Session};
use apprentice::trajectory::{Exit, Observation};

use crate::ground::Ground;
use crate::host::Host;

/// Bytes of output that are kept.
const OUTPUT_BYTES: usize = 64 * 1024;
/// More than this held in the manager's memory would let an agent end it.
const HELD_BYTES: usize = 300 << 20;

/// One hostile program.
pub(crate) struct Row {
    /// What it tries.
    pub(crate) name: &'static str,
    /// The mechanism that stops it.
    pub(crate) stopped_by: &'static str,
    /// What the agent runs, with the words of [`Host::fill`].
    pub(crate) script: &'static str,
    /// What must hold.
    pub(crate) must: &'static [Must],
    seconds: f64,
    only: Option<&'static str>,
}

impl Row {
    pub(crate) const fn new(
        name: &'static str,
        stopped_by: &'static str,
        script: &'static str,
        must: &'static [Must],
    ) -> Self {
        Self { name, stopped_by, script, must, seconds: 20.0, only: None }
    }

    /// With another deadline than 20 seconds.
    pub(crate) const fn within(self, seconds: f64) -> Self {
        Self { seconds, ..self }
    }

    /// For one backend only.
    pub(crate) const fn only(self, backend: &'static str) -> Self {
        Self { only: Some(backend), ..self }
    }
}

/// What must hold after a program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Must {
    /// It printed exactly this.
    Print(&'static str),
    /// Its output holds none of this.
    NeverSay(&'static str),
    /// It ended by itself with this code.
    Code(i32),
    /// It ended by itself or was killed, and not with success.
    Fail,
    /// Its deadline passed.
    TimeOut,
    /// It ended somehow.
    End,
    /// A fresh command of the same sandbox then prints exactly this.
    Then(&'static str, &'static str),
    /// So many fresh commands then print nothing.
    Often(usize, &'static str),
    /// A command of the same session then prints exactly this.
    Next(&'static str, &'static str),
    /// Reading this path gives a value without the host's canary and without the manager's environment.
    ReadNothing(&'static str),
    /// Reading this path gives exactly this.
    Read(&'static str, &'static str),
    /// Writing this path is refused.
    WriteRefused(&'static str),
    /// Reading and writing this path again and again gives values, without waiting.
    Race(&'static str),
    /// Exactly these paths differ.
    Change(&'static [&'static str]),
    /// The differences fit into the manager's memory.
    ChangesFit,
    /// No line of the patch begins with this.
    PatchLacks(&'static str),
    /// The session is the agent's to ruin: only fresh commands are expected to work afterwards.
    RuinsSession,
}

/// The files that every sandbox starts with.
const START: &[(&str, &[u8])] = &[("a", b"a\n"), ("dir/f", b"f\n"), ("tool!", b"#!/bin/sh\necho tool\n")];

/// Where the rows of a chapter run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandboxes {
    /// A sandbox for each, because they leave traces.
    OneEach,
    /// The same one, because what holds leaves nothing.
    OneForAll,
}

/// Runs the rows of a chapter, and says what did not hold.
pub(crate) async fn hold(mut ground: Ground, backend: &str, rows: &[Row], sandboxes: Sandboxes) {
    ground.spec.limits.disk_mib = 64;
    // Rows that print much are also written to files of the sandbox.
    ground.spec.limits.spill_mib = 4;
    // The image is too small to hold a locale, which perl deplores.
    ground.spec.env.insert("PERL_BADLANG".to_owned(), "0".to_owned());
    let mut host = Host::new();
    let mut broken = Vec::new();
    let mut kept = None;
    // A root of its own changes nothing of what stops a row.
    let family = if backend == "rootfs" { "namespaces" } else { backend };
    for row in rows.iter().filter(|row| row.only.is_none_or(|only| only == family)) {
        let begin = Instant::now();
        let mut sandbox = match kept.take() {
            Some(sandbox) => sandbox,
            None => ground.start(START).await,
        };
        let mut wrong = try_row(&mut sandbox, &mut host, row).await;
        if sandboxes == Sandboxes::OneForAll && wrong.is_empty() {
            kept = Some(sandbox);
        } else {
            wrong.extend(stop(sandbox).await);
        }
        let took = begin.elapsed().as_secs_f64();
        let verdict = if wrong.is_empty() { "holds" } else { "BROKEN" };
        println!("{backend}: {}: {verdict} in {took:.1} s; stopped by {}", row.name, row.stopped_by);
        broken.extend(wrong.into_iter().map(|wrong| format!("{backend}: {}: {wrong}", row.name)));
    }
    if let Some(sandbox) = kept {
        broken.extend(stop(sandbox).await);
    }
    assert!(broken.is_empty(), "{} claims do not hold:\n{}", broken.len(), broken.join("\n"));
}

async fn stop(sandbox: Box<dyn Sandbox>) -> Option<String> {
    let error = sandbox.stop().await.err()?;
    Some(format!("it could not be stopped: {:#}", anyhow::Error::new(error)))
}

async fn try_row(sandbox: &mut Box<dyn Sandbox>, host: &mut Host, row: &Row) -> Vec<String> {
    let script = host.fill(row.script);
    let exec = Exec::new(&script, Duration::from_secs_f64(row.seconds), OUTPUT_BYTES);
    let mut wrong = Vec::new();
    match sandbox.exec(&exec).await {
        Ok(seen) => {
            wrong.extend(bad_exit(row, &seen));
            for must in row.must {
                wrong.extend(after(*must, &seen, sandbox, host).await);
            }
        }
        Err(error) => wrong.push(format!("the command was lost: {:#}", anyhow::Error::new(error))),
    }
    wrong.extend(still_works(sandbox, row).await);
    wrong.extend(host.harm());
    wrong
}

/// Every row ends in one of the ways that it names, by default by itself and in time.
fn bad_exit(row: &Row, seen: &Observation) -> Option<String> {
    let fits = |must: &Must| match must {
        Must::Code(code) => Some(seen.exit == Some(Exit::Code(*code))),
        Must::Fail => {
            Some(!matches!(seen.exit, None | Some(Exit::TimedOut | Exit::Code(127))) && !is_success(seen))
        }
        Must::TimeOut => Some(seen.exit == Some(Exit::TimedOut)),
        Must::End => Some(true),
        _ => None,
    };
    let fits = row.must.iter().find_map(fits).unwrap_or(seen.exit != Some(Exit::TimedOut));
    let bounded = seen.output.len() <= OUTPUT_BYTES * 4;
    (!fits || !bounded).then(|| format!("it ended with {:?}, {}", seen.exit, excerpt(&seen.output)))
}

fn is_success(seen: &Observation) -> bool {
    seen.exit.is_some_and(Exit::is_success)
}

fn excerpt(output: &str) -> String {
    format!("printing {:?}", output.chars().take(400).collect::<String>())
}

async fn after(
    must: Must,
    seen: &Observation,
    sandbox: &mut Box<dyn Sandbox>,
    host: &Host,
) -> Option<String> {
    match must {
        Must::Print(text) => {
            let text = host.fill(text);
            (seen.output != text).then(|| format!("{}, not {text:?}", excerpt(&seen.output)))
        }
        Must::NeverSay(text) => seen
            .output
            .contains(&host.fill(text))
            .then(|| format!("it says {text:?}, {}", excerpt(&seen.output))),
        Must::Then(script, text) => says(sandbox, &host.fill(script), text, Session::Fresh).await,
        Must::Often(times, script) => often(times, sandbox, &host.fill(script)).await,
        Must::Next(script, text) => says(sandbox, &host.fill(script), text, Session::Carried).await,
        Must::ReadNothing(path) => reads_nothing(sandbox, &host.fill(path), host).await,
        Must::Read(path, text) => match sandbox.read(path).await {
            Ok(FileRead::File(bytes)) if bytes == text.as_bytes() => None,
            other => Some(format!("reading {path} gave {other:?}")),
        },
        Must::WriteRefused(path) => match sandbox.write(&host.fill(path), b"overwritten").await {
            Ok(FileWrite::Refused(_)) => None,
            other => Some(format!("writing {path} gave {other:?}")),
        },
        Must::Race(path) => races(sandbox, &host.fill(path), host).await,
        Must::Change(_) | Must::ChangesFit | Must::PatchLacks(_) => differs(must, sandbox).await,
        Must::Code(_) | Must::Fail | Must::TimeOut | Must::End | Must::RuinsSession => None,
    }
}

async fn says(sandbox: &mut Box<dyn Sandbox>, script: &str, text: &str, session: Session) -> Option<String> {
    let exec = Exec { session, ..Exec::new(script, Duration::from_secs(20), OUTPUT_BYTES) };
    match sandbox.exec(&exec).await {
        Ok(seen) if seen.output == text && is_success(&seen) => None,
        other => Some(format!("then `{script}` gave {other:?}, not {text:?}")),
    }
}

async fn often(times: usize, sandbox: &mut Box<dyn Sandbox>, script: &str) -> Option<String> {
    for _ in 0..times {
        if let Some(wrong) = says(sandbox, script, "", Session::Fresh).await {
            return Some(wrong);
        }
    }
    None
}

async fn still_works(sandbox: &mut Box<dyn Sandbox>, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(says(sandbox, "echo on; cat /dev/null", "on\n", Session::Fresh).await);
    if !row.must.iter().any(|must| matches!(must, Must::RuinsSession)) {
        wrong.extend(says(sandbox, "echo on", "on\n", Session::Carried).await);
    }
    wrong
}

async fn reads_nothing(sandbox: &mut Box<dyn Sandbox>, path: &str, host: &Host) -> Option<String> {
    // Cargo sets this for the manager, which is this test.
    let secrets = [host.fill("@canary@"), "CARGO_MANIFEST_DIR=".to_owned()];
    match sandbox.read(path).await {
        Ok(FileRead::File(bytes)) => {
            let text = String::from_utf8_lossy(&bytes);
            let leak = secrets.iter().find(|secret| text.contains(secret.as_str()))?;
            Some(format!("reading {path} leaks {leak:?}"))
        }
        Ok(_) => None,
        Err(error) => Some(format!("reading {path}: {:#}", anyhow::Error::new(error))),
    }
}

async fn races(sandbox: &mut Box<dyn Sandbox>, path: &str, host: &Host) -> Option<String> {
    let start = Instant::now();
    for round in 0..12 {
        let begin = Instant::now();
        // Where a pipe is waited for, a few rounds take long enough.
        if start.elapsed() > Duration::from_secs(15) {
            break;
        }
        if let Some(wrong) = reads_nothing(sandbox, path, host).await {
            return Some(wrong);
        }
        if let Err(error) = sandbox.write(path, b"ours").await {
            return Some(format!("writing {path}: {:#}", anyhow::Error::new(error)));
        }
        if begin.elapsed() > Duration::from_secs(30) {
            return Some(format!("round {round} of {path} took {:?}", begin.elapsed()));
        }
    }
    None
}

async fn differs(must: Must, sandbox: &mut Box<dyn Sandbox>) -> Option<String> {
    let changes = match sandbox.changes().await {
        Ok(changes) => changes,
        Err(error) => return Some(format!("changes: {:#}", anyhow::Error::new(error))),
    };
    match must {
        Must::Change(paths) => {
            let found: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            let sizes = |entry: &Option<File>| entry.as_ref().map(|entry| (entry.mode, entry.bytes.len()));
            let kinds: Vec<_> =
                changes.iter().map(|change| (sizes(&change.before), sizes(&change.after))).collect();
            (found != paths).then(|| format!("{found:?} differ, not {paths:?}: {kinds:?}"))
        }
        Must::PatchLacks(text) => match sandbox.diff().await {
            Ok(patch) => {
                patch.lines().any(|line| line.starts_with(text)).then(|| format!("the patch is {patch}"))
            }
            Err(error) => Some(format!("diff: {:#}", anyhow::Error::new(error))),
        },
        _ => {
            let held: usize = changes
                .iter()
                .filter_map(|change| change.after.as_ref())
                .map(|entry| entry.bytes.len())
                .sum();
            (held > HELD_BYTES).then(|| format!("{} differences hold {held} bytes", changes.len()))
        }
    }
}
