//! Records of a file, one after another: lines, whole JSON values, elements of an array, YAML, gzip, Parquet.
//!
//! The content decides, not the name, but for `.jsonl`, which is read by lines whatever it holds, so that a
//! bad line costs itself only, and for YAML. Guarantees that memory does not grow with the file. Knows no
//! format of trajectories but where a list is one record.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::cursor::{Cursor, Cut};
use super::json::Json;
use super::lines::{Bytes, Lines};

/// Bytes that are read at a time; less than a block of lines, which so is filled past this buffer.
const READ_BYTES: usize = 1 << 16;

/// One record's text, and where it stands.
#[derive(Debug)]
pub(super) struct Record {
    /// Its bytes; none when it is too large.
    pub bytes: Bytes,
    /// Its line, from 1; its row in Parquet.
    pub line: u64,
    /// Where it starts in the file, in bytes.
    pub byte: u64,
    /// Whether it is all that the file holds.
    pub is_whole: bool,
    /// Whether it is beyond what is read of one record.
    pub is_too_large: bool,
}

/// The records of a file, in order.
pub(super) type Records = Box<dyn Iterator<Item = anyhow::Result<Record>> + Send>;

/// Opens `path` and looks at how it begins.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn records(path: &Path) -> anyhow::Result<Records> {
    let mut reader = BufReader::with_capacity(READ_BYTES, fs_err::File::open(path)?);
    let head = reader.fill_buf()?;
    if head.starts_with(b"PAR1") {
        return parquet(path);
    }
    let mut reader: Box<dyn BufRead + Send> = if head.starts_with(b"\x1f\x8b") {
        Box::new(BufReader::with_capacity(READ_BYTES, flate2::read::MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    };
    let mark = skip_mark(&mut reader)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let is = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if is(&[".jsonl", ".ndjson"]) {
        return Ok(Box::new(Lines::new(reader, mark)));
    }
    let mut cursor = Cursor::new(reader, mark);
    if is(&[".yaml", ".yml"]) { Ok(Box::new(std::iter::once(yaml(&mut cursor)))) } else { values(cursor) }
}

/// Passes over a byte order mark, and gives its length.
fn skip_mark(reader: &mut dyn BufRead) -> std::io::Result<u64> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let length = if reader.fill_buf()?.starts_with(MARK) { MARK.len() } else { 0 };
    reader.consume(length);
    Ok(length as u64)
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> anyhow::Result<Records> {
    super::parquet::rows(path)
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path) -> anyhow::Result<Records> {
    anyhow::bail!("`{}` is Parquet, and this program was built without the feature `parquet`", path.display())
}

fn record(cut: Cut, line: u64, byte: u64) -> Record {
    Record { bytes: cut.bytes.into(), line, byte, is_whole: false, is_too_large: cut.is_too_large }
}

/// YAML becomes JSON; what is no YAML stays as it is and is refused as JSON, with its place.
fn yaml(cursor: &mut Cursor) -> anyhow::Result<Record> {
    let cut = cursor.rest()?;
    let bytes = match serde_yaml_ng::from_slice::<serde_json::Value>(&cut.bytes) {
        Ok(value) => serde_json::to_vec(&value)?,
        Err(_) => cut.bytes,
    };
    Ok(Record { is_whole: true, ..record(Cut { bytes, ..cut }, 1, 0) })
}

/// JSON values one after another, an array of records, or one array that is a record.
fn values(mut cursor: Cursor) -> anyhow::Result<Records> {
    if cursor.peek()? != Some(b'[') {
        return Ok(Box::new(Values { cursor, given: 0, ahead: None, is_array: false }));
    }
    let (line, byte) = (cursor.line, cursor.byte);
    cursor.skip(1);
    let (first_line, first_byte, mut first) = match cursor.peek()? {
        Some(b'{' | b'[') => (cursor.line, cursor.byte, cursor.value()?),
        _ => (line, byte, Cut::default()),
    };
    if first.is_too_large || (!first.bytes.is_empty() && !is_part(&first.bytes)) {
        let ahead = Some(record(first, first_line, first_byte));
        return Ok(Box::new(Values { cursor, given: 0, ahead, is_array: true }));
    }
    first.bytes.insert(0, b'[');
    // The lines between the bracket and the first element count for the place of an error.
    let blank = usize::try_from(first_line - line).unwrap_or_default();
    first.bytes.splice(1..1, std::iter::repeat_n(b'\n', blank));
    let rest = cursor.rest()?;
    first.is_too_large |= rest.is_too_large;
    first.bytes.extend_from_slice(&rest.bytes);
    let whole = Record { is_whole: true, ..record(first, line, byte) };
    Ok(Box::new(std::iter::once(Ok(whole))))
}

/// Whether the first element of an array is a part of one record: a message, an event, or a pair of events.
fn is_part(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(element) = Json::parse(&text) else { return false };
    let has = |key: &str| element[key].is_text();
    element.is_list()
        || (has("role") && (element.has("content") || element.has("tool_calls")))
        || (!element.has("trajectory") && !element.has("history") && (has("action") || has("observation")))
        || (has("object") && element.has("output"))
        || has("type") && (element.has("content") || element.has("call_id"))
}

struct Values {
    cursor: Cursor,
    given: usize,
    /// A record that was read to look at it.
    ahead: Option<Record>,
    is_array: bool,
}

impl Values {
    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        if let Some(record) = self.ahead.take() {
            return Ok(Some(record));
        }
        while let Some(token) = self.cursor.peek()? {
            if !self.is_array || !matches!(token, b',' | b']') {
                let (line, byte) = (self.cursor.line, self.cursor.byte);
                let mut record = record(self.cursor.value()?, line, byte);
                record.is_whole = self.given == 0 && !self.is_array && self.cursor.peek()?.is_none();
                return Ok(Some(record));
            }
            self.is_array &= token == b',';
            self.cursor.skip(1);
        }
        Ok(None)
    }
}

impl Iterator for Values {
    type Item = anyhow::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read().transpose();
        self.given += 1;
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, line, byte and wholeness of the records of a file with this name and content.
    fn read(name: &str, content: &[u8]) -> Vec<(String, u64, u64, bool)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs_err::write(&path, content).unwrap();
        let text = |record: Record| String::from_utf8_lossy(&record.bytes).into_owned();
        records(&path)
            .unwrap()
            .map(|record| record.unwrap())
            .map(|record| (record.line, record.byte, record.is_whole, text(record)))
            .map(|(line, byte, is_whole, text)| (text, line, byte, is_whole))
            .collect()
    }

    fn at(text: &str, line: u64, byte: u64) -> (String, u64, u64, bool) {
        (text.to_owned(), line, byte, false)
    }

    fn whole(text: &str) -> Vec<(String, u64, u64, bool)> {
        vec![(text.to_owned(), 1, 0, true)]
    }

    #[test]
    fn lines_are_records_in_jsonl() {
        let found = read("a.jsonl", b"\xef\xbb\xbf{\"a\": 1}\r\n\n  [2]\nx");
        assert_eq!(found, [at("{\"a\": 1}\r", 1, 3), at("  [2]", 3, 14), at("x", 4, 20)]);
    }

    #[test]
    fn values_are_records_elsewhere() {
        assert_eq!(read("a.json", b"{\n\"a\": \"}\\\"\"}"), whole("{\n\"a\": \"}\\\"\"}"));
        assert_eq!(read("a.json", b" {\n} {}\n"), [at("{\n}", 1, 1), at("{}", 2, 5)]);
        assert_eq!(
            read("a.traj", b"{\"a\": \"cut\n{\"b\": 1}"),
            [at("{\"a\": \"cut", 1, 0), at("{\"b\": 1}", 2, 11)]
        );
        assert_eq!(read("a.json", b"{\"a\""), whole("{\"a\""));
        assert_eq!(read("a.json", b""), []);
    }

    #[test]
    fn arrays_are_read_element_by_element_unless_they_are_a_conversation() {
        let found = read("a.json", b"[\n {\"id\": [1]},\n {\"id\": 2}\n]\n");
        assert_eq!(found, [at("{\"id\": [1]}", 2, 3), at("{\"id\": 2}", 3, 17)]);
        let chat = "[\n{\"role\": \"user\", \"content\": \"\"},\n{}]";
        assert_eq!(read("a.json", chat.as_bytes()), whole(chat));
        assert_eq!(read("a.json", b"[]"), whole("[]"));
        assert_eq!(read("a.json", b"[1, 2]"), whole("[1, 2]"));
    }

    #[test]
    fn gzip_and_yaml_are_read() {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{}\n{}\n").unwrap();
        assert_eq!(read("a.jsonl.gz", &packed.finish().unwrap()), [at("{}", 1, 0), at("{}", 2, 3)]);
        assert_eq!(
            read("a.demo.yaml", b"history:\n- role: user\n"),
            whole("{\"history\":[{\"role\":\"user\"}]}")
        );
    }
}
