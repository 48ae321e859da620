//! The measures: what is done, how often, and in which order.
//!
//! Guarantees that the contenders take turns, so that a change of the machine's load meets them all,
//! and that nothing counts before it was warmed up. Who fails leaves its column empty.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::contender::{Crowd, Entry, Work};
use crate::{processor, repository};

/// What a measure found for each entry, in their order.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) pairs: Pairs,
    pub(crate) values: Vec<Option<Value>>,
}

/// Which of ours is compared with which peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// Sessions with sessions, stateless commands with stateless commands.
    OfOneMode,
    /// Those who fork.
    OfForks,
}

/// Which direction is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// A median and what it is the median of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) median: f64,
    pub(crate) n: usize,
}

/// Readings of one entry; none after a failure.
struct Series<T> {
    readings: Vec<T>,
    busy_seconds: f64,
    spent: Duration,
    has_failed: bool,
}

/// How often the entries take their turn.
struct Plan {
    /// Whose readings do not count.
    warm_up: usize,
    turns: usize,
    /// An entry that used this much time gets no further turn.
    budget: Duration,
}

const COMMANDS: Plan = Plan { warm_up: 1, turns: 8, budget: Duration::from_secs(40) };
const COMMANDS_PER_TURN: usize = 8;
const STARTS: Plan = Plan { warm_up: 1, turns: 30, budget: Duration::from_secs(45) };
const CROWDS: Plan = Plan { warm_up: 0, turns: 5, budget: Duration::from_secs(40) };
const CROWD: usize = 32;
const COMMANDS_PER_SANDBOX: usize = 4;

const EXTERNAL: Work = Work { script: "/bin/true", prints: 0 };
const BUILTIN: Work = Work { script: ":", prints: 0 };
/// 12,500 lines of 8 bytes; a terminal's last line break may be missing.
const LONG_OUTPUT: Work = Work { script: "seq -f %07.0f 1 12500", prints: 99_999 };

/// Makes a sandbox and runs `true` in it.
pub(crate) fn first_command(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let series = in_turns(entries, &STARTS, |entry| {
        let seconds = entry.contender.start()?;
        entry.contender.stop()?;
        Ok(vec![seconds])
    })?;
    let cpu = cpu("CPU of a sandbox's start, first command and end", "CPU ms", &series);
    Ok(vec![milliseconds("first command in a fresh sandbox", &series), cpu])
}

/// A program in one sandbox.
pub(crate) fn external(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let series = commands(entries, EXTERNAL)?;
    Ok(vec![per_second("/bin/true", &series), cpu("CPU of /bin/true", "CPU ms/command", &series)])
}

/// A builtin of the shell in one sandbox.
pub(crate) fn builtin(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let series = commands(entries, BUILTIN)?;
    Ok(vec![per_second("the builtin `:`", &series)])
}

/// A command that prints 100 KB.
pub(crate) fn long_output(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let series = commands(entries, LONG_OUTPUT)?;
    Ok(vec![per_second("100 KB of output", &series)])
}

/// 32 sandboxes at once.
pub(crate) fn crowd(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let series = in_turns(entries, &CROWDS, |entry| {
        Ok(vec![entry.contender.crowd(CROWD, &EXTERNAL, COMMANDS_PER_SANDBOX)?])
    })?;
    let start = |crowd: &Crowd| crowd.start_seconds * 1e3;
    let rate = |crowd: &Crowd| crowd.commands_per_second;
    Ok(vec![
        figure("32 sandboxes at once, mean start", ("ms", Better::Less), &series, start),
        figure("32 sandboxes at once, /bin/true", ("commands/s in all", Better::More), &series, rate),
    ])
}

/// A fork of a sandbox with a changed repository, and the first command in it.
pub(crate) fn fork(entries: &mut [Entry]) -> Result<Vec<Figure>> {
    let tree = repository::write()?;
    let has_parent = open(entries, |entry| {
        entry.forks && is_done(entry, |entry| entry.contender.hold(tree.path(), repository::CHANGES))
    });
    let series = in_turns_of(entries, &STARTS, has_parent, |entry| {
        Ok(vec![entry.contender.fork(repository::CHECK)?])
    })?;
    close(entries);
    let figures = [
        milliseconds("fork with 27 changed of 5,000 files, and a first command", &series),
        cpu("CPU of a fork, first command and end", "CPU ms", &series),
    ];
    Ok(figures.map(|figure| Figure { pairs: Pairs::OfForks, ..figure }).into())
}

fn commands(entries: &mut [Entry], work: Work) -> Result<Vec<Series<f64>>> {
    let has_sandbox = open(entries, |entry| is_done(entry, |entry| entry.contender.start()));
    let series =
        in_turns_of(entries, &COMMANDS, has_sandbox, |entry| entry.contender.run(&work, COMMANDS_PER_TURN))?;
    close(entries);
    Ok(series)
}

fn open(entries: &mut [Entry], opens: impl FnMut(&mut Entry) -> bool) -> Vec<bool> {
    entries.iter_mut().map(opens).collect()
}

fn close(entries: &mut [Entry]) {
    for entry in entries {
        is_done(entry, |entry| entry.contender.stop());
    }
}

/// Whether it worked; says so when it did not.
fn is_done<T>(entry: &mut Entry, work: impl FnOnce(&mut Entry) -> Result<T>) -> bool {
    let done = work(entry);
    if let Err(error) = &done {
        println!("skipped: {}: {error:#}", entry.name);
    }
    done.is_ok()
}

fn in_turns<T>(
    entries: &mut [Entry],
    plan: &Plan,
    work: impl FnMut(&mut Entry) -> Result<Vec<T>>,
) -> Result<Vec<Series<T>>> {
    let all = vec![true; entries.len()];
    in_turns_of(entries, plan, all, work)
}

/// Lets those who take part work in turns.
fn in_turns_of<T>(
    entries: &mut [Entry],
    plan: &Plan,
    takes_part: Vec<bool>,
    mut work: impl FnMut(&mut Entry) -> Result<Vec<T>>,
) -> Result<Vec<Series<T>>> {
    let mut series: Vec<Series<T>> = takes_part.into_iter().map(Series::new).collect();
    for turn in 0..plan.warm_up + plan.turns {
        for (entry, series) in entries.iter_mut().zip(&mut series) {
            if series.has_failed || plan.budget < series.spent {
                continue;
            }
            let (begin, busy) = (Instant::now(), processor::busy_seconds()?);
            let is_done = is_done(entry, |entry| {
                let readings = work(entry)?;
                if plan.warm_up <= turn {
                    series.readings.extend(readings);
                    series.busy_seconds += processor::busy_seconds()? - busy;
                }
                Ok(())
            });
            series.spent += begin.elapsed();
            series.has_failed = !is_done;
        }
    }
    Ok(series)
}

impl<T> Series<T> {
    fn new(takes_part: bool) -> Self {
        Self { readings: Vec::new(), busy_seconds: 0.0, spent: Duration::ZERO, has_failed: !takes_part }
    }
}

fn per_second(name: &'static str, series: &[Series<f64>]) -> Figure {
    figure(name, ("commands/s", Better::More), series, |seconds| 1.0 / seconds)
}

fn milliseconds(name: &'static str, series: &[Series<f64>]) -> Figure {
    figure(name, ("ms", Better::Less), series, |seconds| seconds * 1e3)
}

fn figure<T>(
    name: &'static str,
    (unit, better): (&'static str, Better),
    series: &[Series<T>],
    of: impl Fn(&T) -> f64,
) -> Figure {
    let value = |series: &Series<T>| {
        let mut readings: Vec<f64> = series.readings.iter().map(&of).collect();
        readings.sort_by(f64::total_cmp);
        let n = readings.len();
        let median = (readings.get(n.checked_sub(1)? / 2)? + readings.get(n / 2)?) / 2.0;
        (!series.has_failed).then_some(Value { median, n })
    };
    Figure { name, unit, better, pairs: Pairs::OfOneMode, values: series.iter().map(value).collect() }
}

/// Processor time of the whole machine for each reading: a mean, because the kernel's clock is coarse.
fn cpu(name: &'static str, unit: &'static str, series: &[Series<f64>]) -> Figure {
    let value = |series: &Series<f64>| {
        let n = series.readings.len();
        let is_known = !series.has_failed && 0 < n;
        is_known.then(|| Value { median: series.busy_seconds / n as f64 * 1e3, n })
    };
    let values = series.iter().map(value).collect();
    Figure { name, unit, better: Better::Less, pairs: Pairs::OfOneMode, values }
}
