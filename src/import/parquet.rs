//! Parquet: each row as the text of a JSON object, row group by row group.
//!
//! Nested lists and structs become lists and objects; lists of structs so become lists of messages.
//! Guarantees that memory is bounded by a row group's pages. Reads uncompressed and Snappy pages, as the hubs
//! of data sets write them; another compression is an error that names it.

use std::path::Path;

use anyhow::Context as _;
use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;

use super::cursor::MOST_BYTES;
use super::source::{Record, Records};

/// The rows of `path`.
///
/// # Errors
/// When the file is no Parquet.
pub(super) fn rows(path: &Path) -> anyhow::Result<Records> {
    let failed = format!("could not read `{}`", path.display());
    let file = fs_err::File::open(path)?.into_file();
    let reader = SerializedFileReader::new(file).with_context(|| failed.clone())?;
    let rows = RowIter::from_file_into(Box::new(reader));
    Ok(Box::new(rows.zip(1..).map(move |(row, number)| {
        let bytes = serde_json::to_vec(&row.with_context(|| failed.clone())?.to_json_value())?;
        let is_too_large = MOST_BYTES < bytes.len();
        let bytes = if is_too_large { Vec::new() } else { bytes };
        Ok(Record { bytes: bytes.into(), line: number, byte: 0, is_whole: false, is_too_large })
    })))
}
