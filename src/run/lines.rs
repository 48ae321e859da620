//! Files of JSON lines that are only ever appended to.
//!
//! Guarantees that every line is whole: a half-written one is cut off when the file is opened, and
//! when a write fails. Lines are flushed to the operating system one by one, not to the disk.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// A file of JSON lines, open for appending.
#[derive(Debug)]
pub struct Lines {
    file: fs_err::File,
    length: u64,
}

impl Lines {
    /// Opens or makes the file at `path`, cutting off a half-written last line.
    ///
    /// # Errors
    /// When the file cannot be opened or cut; the message names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            fs_err::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let written = file.metadata()?.len();
        let length = whole_length(&mut file, written)?;
        if length < written {
            file.set_len(length)?;
        }
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { file, length })
    }

    /// Appends `record` as one line.
    ///
    /// # Errors
    /// When the disk is full or the file is gone; the message names it and earlier lines stay whole.
    pub fn append(&mut self, record: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(failed) = self.file.write_all(&line) {
            // Best effort: opening the file again cuts off what stays here.
            if self.file.set_len(self.length).is_ok() {
                self.file.seek(SeekFrom::Start(self.length))?;
            }
            return Err(failed);
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// How many of the first `written` bytes are whole lines.
fn whole_length(file: &mut fs_err::File, written: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = written;
    while 0 < end {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).expect("invariant: a block fits in memory")];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The time of day in UTC, such as `2026-01-31T23:59:59.123Z`.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(since.as_secs(), since.subsec_millis())
}

/// Days to a date: the civil calendar from a March-based year, exact from 1970 on.
fn timestamp(seconds: u64, millis: u32) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_civil_dates() {
        // `date -u -d @SECONDS +%FT%TZ` gave these.
        assert_eq!(timestamp(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400, 5), "2000-02-29T00:00:00.005Z");
        assert_eq!(timestamp(1_798_761_599, 999), "2026-12-31T23:59:59.999Z");
    }

    #[test]
    fn opening_cuts_off_a_half_written_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        fs_err::write(&path, "{\"a\":1}\n{\"a\":").unwrap();
        Lines::open(&path).unwrap().append(&2).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "{\"a\":1}\n2\n");
    }

    #[test]
    fn a_long_half_line_is_found_across_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        fs_err::write(&path, format!("1\n{}", "x".repeat(200_000))).unwrap();
        Lines::open(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let failed = Lines::open(&path).unwrap().append(&1).unwrap_err().to_string();
        assert!(failed.contains("events.jsonl") && failed.contains("No space left"), "{failed}");
    }
}
