//! Reading files: each record becomes trajectories or a reject, in the file's order.
//!
//! Guarantees that memory holds a few records at a time, however long the file, and that threads change
//! nothing but the time: records are read in batches by several at once and handed on in order.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::trajectory::Trajectory;

use super::cursor::MOST_BYTES;
use super::json::Json;
use super::source::{self, Record, Records};
use super::{Imported, Options, Origin, RecordError, Reject, sniff, unknown};

/// What a record gave: trajectories, or why it cannot be read.
pub type Outcome = Result<Trajectory, Reject>;

/// Bytes of records that one thread takes at a time.
const BATCH_BYTES: usize = 2 << 20;
/// Threads that parse; more would wait for the one that writes.
const MOST_THREADS: usize = 8;

/// Reads the records of `path` one by one and hands each on, until `take` breaks.
///
/// # Errors
/// When the file itself cannot be read; what is wrong with a record is a [`Reject`].
pub fn each(
    path: &Path,
    options: Options<'_>,
    take: &mut dyn FnMut(Outcome) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    each_as(path, options, &|outcome| outcome, take)
}

/// Reads as [`each`] does and hands on what `make` makes of each outcome, which the threads do that parse.
///
/// # Errors
/// When the file itself cannot be read.
pub fn each_as<T: Send>(
    path: &Path,
    options: Options<'_>,
    make: &(dyn Fn(Outcome) -> T + Sync),
    take: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let made = |record: &Record| outcomes(path, record, options).into_iter().map(make);
    let mut records = source::records(path)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let first = batch(&mut records)?;
    if threads == 1
        || first.is_empty()
        || first.iter().map(|record| record.bytes.len()).sum::<usize>() < BATCH_BYTES
    {
        // A small file is read before a thread would have started.
        for record in first.into_iter().map(Ok).chain(records) {
            if made(&record?).try_for_each(&mut *take).is_break() {
                break;
            }
        }
        return Ok(());
    }
    in_parallel((first, records), threads, &made, take)
}

/// The next records, few and large or many and small; none at the end.
fn batch(records: &mut Records) -> anyhow::Result<Vec<Record>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
        let Some(record) = records.next() else { break };
        let record = record?;
        bytes += record.bytes.len() + 64;
        batch.push(record);
    }
    Ok(batch)
}

/// One thread cuts batches, `threads` parse them in turn, and this one hands on in the same turn.
fn in_parallel<T: Send, M: Iterator<Item = T>>(
    (first, mut records): (Vec<Record>, Records),
    threads: usize,
    made: &(impl Fn(&Record) -> M + Sync),
    take: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let mut inputs: Vec<SyncSender<Vec<Record>>> = Vec::new();
        let mut outputs: Vec<Receiver<Vec<T>>> = Vec::new();
        for _ in 0..threads {
            let (input, batches) = sync_channel::<Vec<Record>>(1);
            let (done, output) = sync_channel(1);
            inputs.push(input);
            outputs.push(output);
            scope.spawn(move || {
                for batch in batches {
                    if done.send(batch.iter().flat_map(made).collect()).is_err() {
                        return;
                    }
                }
            });
        }
        let cutter = scope.spawn(move || -> anyhow::Result<()> {
            let mut next = first;
            for input in inputs.iter().cycle() {
                // Nobody listens any more once the consumer has enough.
                if next.is_empty() || input.send(next).is_err() {
                    break;
                }
                next = batch(&mut records)?;
            }
            Ok(())
        });
        for turn in (0..threads).cycle() {
            let Ok(parsed) = outputs[turn].recv() else { break };
            if parsed.into_iter().try_for_each(&mut *take).is_break() {
                break;
            }
        }
        drop(outputs);
        cutter.join().expect("invariant: reading does not panic")
    })
}

/// Reads all records of `path` and keeps them: for files of a few trajectories.
///
/// # Errors
/// When the file itself cannot be read; what is wrong with a record is a [`Reject`].
pub fn read_file(path: &Path, options: Options<'_>) -> anyhow::Result<Imported> {
    let mut imported = Imported::default();
    each(path, options, &mut |outcome| {
        match outcome {
            Ok(trajectory) => imported.trajectories.push(trajectory),
            Err(reject) => imported.rejects.push(reject),
        }
        ControlFlow::Continue(())
    })?;
    Ok(imported)
}

fn outcomes(path: &Path, record: &Record, options: Options<'_>) -> Vec<Outcome> {
    let line = (!record.is_whole).then_some(record.line);
    let origin = Origin { file: path.to_owned(), line, task: options.task.map(str::to_owned) };
    match trajectories(record, &origin, options) {
        Ok(trajectories) => trajectories.into_iter().map(Ok).collect(),
        Err(located) => vec![Err(reject(path, record, &located))],
    }
}

/// An error and its place in the record's text: line and column, from 1.
struct Located {
    place: Option<(usize, usize)>,
    error: RecordError,
}

impl From<RecordError> for Located {
    fn from(error: RecordError) -> Self {
        Self { place: None, error }
    }
}

fn trajectories(record: &Record, origin: &Origin, options: Options<'_>) -> Result<Vec<Trajectory>, Located> {
    if record.is_too_large {
        return Err(RecordError::TooLarge { most_mib: MOST_BYTES >> 20 }.into());
    }
    let text = std::str::from_utf8(&record.bytes).map_err(|error| {
        let reason = format!("the text is not UTF-8 after {} bytes", error.valid_up_to());
        RecordError::Json { reason, truncated: error.error_len().is_none() }
    })?;
    let json = Json::parse(text).map_err(|error| Located {
        place: Some((error.line, error.column)),
        error: RecordError::Json { reason: error.reason, truncated: error.truncated },
    })?;
    let format = match options.format {
        Some(format) => format,
        None => sniff(&json).ok_or_else(|| unknown(&json))?,
    };
    Ok(format.parse(&json, origin)?)
}

fn reject(path: &Path, record: &Record, located: &Located) -> Reject {
    let place = located.place.filter(|(line, _)| 0 < *line);
    let step = match located.error {
        RecordError::Step { step, .. } => Some(step),
        _ => None,
    };
    Reject {
        file: path.to_owned(),
        line: record.line + place.map_or(0, |(line, _)| line as u64 - 1),
        byte: record.byte,
        column: place.map(|(_, column)| column),
        step,
        no_steps: matches!(located.error, RecordError::NoSteps { .. }),
        reason: located.error.to_string(),
        remedy: located.error.remedy(),
    }
}
