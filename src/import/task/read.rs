//! Reading files of rows: each becomes a task or a refusal, in the file's order, one at a time.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::row::{Row, kind};
use super::{Options, Place, Refusal, task};
use crate::import::cursor::MOST_BYTES;
use crate::import::json::Json;
use crate::import::source::{self, Record};
use crate::task::Task;

/// What a row gave: a task and where it stood, or why there is none.
pub type Outcome = Result<(Task, Place), Refusal>;

/// Reads the rows of `path` and hands each on, until `take` breaks: JSON, JSONL, an array, gzip or Parquet.
///
/// # Errors
/// When the file itself cannot be read; what is wrong with a row is a [`Refusal`].
pub fn each(
    path: &Path,
    options: &Options,
    take: &mut dyn FnMut(Outcome) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    for record in source::records(path)? {
        if take(outcome(path, &record?, options)).is_break() {
            break;
        }
    }
    Ok(())
}

fn outcome(path: &Path, record: &Record, options: &Options) -> Outcome {
    let place = Place { file: path.to_owned(), line: record.line };
    let refused = |id: Option<String>, reason: String| {
        let Place { file, line } = place.clone();
        Refusal { file, line, id, reason }
    };
    let value = value(record).map_err(|reason| refused(None, reason))?;
    let Value::Object(row) = value else {
        return Err(refused(None, format!("a row must be an object, found {}", kind(&value))));
    };
    match task(&row, options) {
        Ok(task) => Ok((task, place)),
        Err(reason) => Err(refused(Row::new(&row).id(), reason)),
    }
}

/// A record as JSON, or why it is none.
pub(super) fn value(record: &Record) -> Result<Value, String> {
    if record.is_too_large {
        return Err(format!("the row is larger than {} MiB", MOST_BYTES >> 20));
    }
    let text = std::str::from_utf8(&record.bytes)
        .map_err(|error| format!("the text is not UTF-8 after {} bytes", error.valid_up_to()))?;
    match Json::parse(text) {
        Ok(json) => Ok(json.to_value()),
        Err(error) => Err(format!("not JSON: {}", error.reason)),
    }
}
