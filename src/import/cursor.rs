//! A place in a stream of JSON: reads a line, or a value by its brackets, and knows line and byte.
//!
//! Guarantees bounded memory: what is longer than [`MOST_BYTES`] is passed over and said to be too large.
//! Does not check what it cuts out; a string that a line end breaks off ends the value, so that one broken
//! record does not swallow those after it.

use std::io::BufRead;

use memchr::{memchr, memchr_iter, memchr3};

/// Bytes of one record that are read.
pub const MOST_BYTES: usize = 256 << 20;

/// A stream and the place where it stands.
pub(super) struct Cursor {
    reader: Box<dyn BufRead + Send>,
    /// The line, from 1.
    pub line: u64,
    /// Bytes before this place.
    pub byte: u64,
}

/// What was cut out; without its bytes when they are too many.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether there were too many.
    pub is_too_large: bool,
}

impl Cut {
    fn push(&mut self, bytes: &[u8]) {
        if MOST_BYTES < self.bytes.len() + bytes.len() {
            self.is_too_large = true;
            self.bytes = Vec::new();
        }
        if !self.is_too_large {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl Cursor {
    /// Begins at the beginning of `reader`, which is `byte` bytes into its file.
    pub(super) fn new(reader: Box<dyn BufRead + Send>, byte: u64) -> Self {
        Self { reader, line: 1, byte }
    }

    /// Passes over `count` bytes that hold no line end.
    pub(super) fn skip(&mut self, count: usize) {
        self.reader.consume(count);
        self.byte += count as u64;
    }

    /// The next byte that is no space, which is not taken.
    pub(super) fn peek(&mut self) -> std::io::Result<Option<u8>> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let space = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let (found, is_end) = (buffer.get(space).copied(), buffer.is_empty());
            self.line += memchr_iter(b'\n', &buffer[..space]).count() as u64;
            self.skip(space);
            if found.is_some() || is_end {
                return Ok(found);
            }
        }
    }

    /// All bytes to the line end, which is taken and left out.
    pub(super) fn line(&mut self) -> std::io::Result<Cut> {
        let mut cut = Cut::default();
        loop {
            let buffer = self.reader.fill_buf()?;
            let found = memchr(b'\n', buffer);
            let (end, is_end) = (found.unwrap_or(buffer.len()), buffer.is_empty());
            cut.push(&buffer[..end]);
            self.skip(end + usize::from(found.is_some()));
            if found.is_some() {
                self.line += 1;
            }
            if found.is_some() || is_end {
                return Ok(cut);
            }
        }
    }

    /// The list or object that begins here, to its closing bracket; for anything else, the rest of the line.
    pub(super) fn value(&mut self) -> std::io::Result<Cut> {
        if !matches!(self.peek()?, Some(b'{' | b'[')) {
            return self.line();
        }
        let mut cut = Cut::default();
        let mut brackets = Brackets::default();
        loop {
            let buffer = self.reader.fill_buf()?;
            let (taken, is_end) = (brackets.scan(buffer), buffer.is_empty());
            cut.push(&buffer[..taken]);
            self.line += memchr_iter(b'\n', &buffer[..taken]).count() as u64;
            self.skip(taken);
            if brackets.is_closed || is_end {
                return Ok(cut);
            }
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> std::io::Result<Cut> {
        let mut cut = Cut::default();
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(cut);
            }
            let length = buffer.len();
            cut.push(buffer);
            self.skip(length);
        }
    }
}

/// How far a value is read.
#[derive(Default)]
struct Brackets {
    depth: usize,
    in_string: bool,
    /// Whether the last byte was a backslash that escapes the next.
    is_escaping: bool,
    is_closed: bool,
}

impl Brackets {
    /// How many of `bytes` belong to the value.
    fn scan(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_closed {
            if self.is_escaping {
                self.is_escaping = false;
                at += 1;
            } else if self.in_string {
                let Some(found) = memchr3(b'"', b'\\', b'\n', &bytes[at..]) else { return bytes.len() };
                at += found + 1;
                match bytes[at - 1] {
                    b'"' => self.in_string = false,
                    b'\\' => self.is_escaping = true,
                    _ => {
                        self.is_closed = true;
                        return at - 1;
                    }
                }
            } else {
                self.outside(bytes[at]);
                at += 1;
            }
        }
        at
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_closed = self.depth == 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    #[test]
    fn what_is_too_long_is_passed_over_and_what_follows_is_read() {
        let long = std::io::repeat(b'x').take(MOST_BYTES as u64 + 1);
        let list = b"[".chain(std::io::repeat(b' ').take(MOST_BYTES as u64)).chain(&b"]{}"[..]);
        let mut cursor = Cursor::new(
            Box::new(BufReader::with_capacity(1 << 20, long.chain(&b"\n{}\n"[..]).chain(list))),
            0,
        );
        let cut = cursor.line().unwrap();
        assert!(cut.is_too_large && cut.bytes.is_empty());
        assert_eq!((cursor.line().unwrap().bytes.as_slice(), cursor.line), (&b"{}"[..], 3));
        let cut = cursor.value().unwrap();
        assert!(cut.is_too_large && cut.bytes.is_empty());
        assert_eq!(cursor.value().unwrap().bytes, b"{}");
    }
}
