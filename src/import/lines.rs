//! Lines of a stream, cut out of large blocks without copying them.
//!
//! Guarantees bounded memory: blocks that nobody holds any more are filled again, and a line that is longer than
//! [`MOST_BYTES`] is passed over and said to be too large. Blank lines are left out.

use std::io::Read;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memchr::memchr;

use super::cursor::MOST_BYTES;
use super::source::Record;

/// Bytes of a block; one that holds a longer line is larger.
const BLOCK_BYTES: usize = 2 << 20;
/// Bytes of all blocks that are kept to be filled again: about what the threads of a reader hold at once.
const MOST_KEPT_BYTES: usize = 64 << 20;

/// The bytes of one record: a part of a block that other records share.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes {
    block: Arc<Vec<u8>>,
    part: Range<usize>,
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block[self.part.clone()]
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { part: 0..bytes.len(), block: Arc::new(bytes) }
    }
}

/// The lines of a stream.
pub(super) struct Lines {
    reader: Box<dyn Read + Send>,
    block: Arc<Vec<u8>>,
    /// What of the block is filled and not yet given.
    left: Range<usize>,
    /// Blocks that were given away in parts.
    kept: Vec<Arc<Vec<u8>>>,
    line: u64,
    byte: u64,
}

impl Lines {
    /// Begins at the beginning of `reader`, which is `byte` bytes into its file.
    pub(super) fn new(reader: Box<dyn Read + Send>, byte: u64) -> Self {
        Self { reader, block: Arc::default(), left: 0..0, kept: Vec::new(), line: 1, byte }
    }

    /// The next line, be it blank; none at the end.
    fn line(&mut self) -> std::io::Result<Option<Record>> {
        let mut searched = 0;
        let end = loop {
            match memchr(b'\n', &self.block[self.left.clone()][searched..]) {
                Some(found) => break Some(searched + found),
                None if MOST_BYTES < self.left.len() => return self.pass_over().map(Some),
                None => searched = self.left.len(),
            }
            if !self.fill()? {
                break None;
            }
        };
        if end.is_none() && self.left.is_empty() {
            return Ok(None);
        }
        let length = end.unwrap_or(self.left.len());
        let part = self.left.start..self.left.start + length;
        let record = self.record(Bytes { block: Arc::clone(&self.block), part }, MOST_BYTES < length);
        self.pass(length + usize::from(end.is_some()));
        Ok(Some(record))
    }

    fn record(&self, bytes: Bytes, is_too_large: bool) -> Record {
        let bytes = if is_too_large { Bytes::default() } else { bytes };
        Record { bytes, line: self.line, byte: self.byte, is_whole: false, is_too_large }
    }

    /// Leaves `count` bytes of the block behind, the last of which ends a line.
    fn pass(&mut self, count: usize) {
        self.left.start += count;
        self.byte += count as u64;
        self.line += 1;
    }

    /// Reads on to the end of a line that is too large, keeping nothing of it.
    fn pass_over(&mut self) -> std::io::Result<Record> {
        let record = self.record(Bytes::default(), true);
        loop {
            if let Some(found) = memchr(b'\n', &self.block[self.left.clone()]) {
                self.pass(found + 1);
                return Ok(record);
            }
            self.byte += self.left.len() as u64;
            self.left = 0..0;
            if !self.fill()? {
                return Ok(record);
            }
        }
    }

    /// Fills the block behind what is left, which moves to the beginning of another one where this one is full or its
    /// records are held. Streams give little at a time, and a block for each little would be large memory.
    fn fill(&mut self) -> std::io::Result<bool> {
        if self.left.end == self.block.len() || Arc::get_mut(&mut self.block).is_none() {
            self.turn_over();
        }
        let block = Arc::get_mut(&mut self.block).expect("invariant: nobody holds a new block");
        let from = self.left.end;
        while self.left.end < block.len() {
            match self.reader.read(&mut block[self.left.end..]) {
                Ok(0) => break,
                Ok(read) => self.left.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(from < self.left.end)
    }

    /// Puts what is left at the beginning of a block that has room behind it.
    fn turn_over(&mut self) {
        let left = &self.block[self.left.clone()];
        let free = self.kept.iter_mut().position(|block| Arc::get_mut(block).is_some());
        let mut next = free.map_or_else(Arc::default, |free| self.kept.swap_remove(free));
        let block = Arc::get_mut(&mut next).expect("invariant: nobody holds a free block");
        let size = BLOCK_BYTES.max(2 * left.len());
        if block.len() < size {
            *block = vec![0; size];
        }
        block[..left.len()].copy_from_slice(left);
        self.left = 0..left.len();
        let full = std::mem::replace(&mut self.block, next);
        if full.len() + self.kept.iter().map(|block| block.len()).sum::<usize>() <= MOST_KEPT_BYTES {
            self.kept.push(full);
        }
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line() {
                Err(error) => return Some(Err(error.into())),
                Ok(None) => return None,
                Ok(Some(record)) if !record.is_too_large && record.bytes.trim_ascii().is_empty() => {}
                Ok(Some(record)) => return Some(Ok(record)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: impl Read + Send + 'static) -> Vec<(u64, u64, usize, bool)> {
        Lines::new(Box::new(stream), 0)
            .map(|record| record.unwrap())
            .map(|record| (record.line, record.byte, record.bytes.len(), record.is_too_large))
            .collect()
    }

    #[test]
    fn lines_longer_than_a_block_are_whole() {
        let long = 3 * BLOCK_BYTES + 7;
        let stream = b"a\n".chain(std::io::repeat(b'x').take(long as u64)).chain(&b"\n\nb"[..]);
        let after = 2 + long as u64;
        assert_eq!(read(stream), [(1, 0, 1, false), (2, 2, long, false), (4, after + 2, 1, false)]);
    }

    #[test]
    fn what_is_too_long_is_passed_over_and_what_follows_is_read() {
        let long = MOST_BYTES as u64 + 1;
        let stream = std::io::repeat(b'x').take(long).chain(&b"\n{}\n"[..]);
        assert_eq!(read(stream), [(1, 0, 0, true), (2, long + 1, 2, false)]);
        assert_eq!(read(std::io::repeat(b'x').take(long)), [(1, 0, 0, true)]);
    }

    /// Gives few bytes at a time, as decompression does.
    struct Trickle<R>(R);

    impl<R: Read> Read for Trickle<R> {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let most = bytes.len().min(1000);
            self.0.read(&mut bytes[..most])
        }
    }

    #[test]
    fn a_stream_of_little_pieces_fills_whole_blocks() {
        let stream = Trickle(std::io::Cursor::new(("x".repeat(99) + "\n").repeat(50_000)));
        let records: Vec<Record> = Lines::new(Box::new(stream), 0).map(|record| record.unwrap()).collect();
        let blocks: std::collections::HashSet<_> =
            records.iter().map(|record| Arc::as_ptr(&record.bytes.block)).collect();
        assert_eq!((records.len(), blocks.len()), (50_000, 3));
    }

    #[test]
    fn blocks_that_nobody_holds_are_filled_again() {
        let text = "x".repeat(9900) + "\n";
        let stream = text.repeat(2000);
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(stream)), 0);
        let held: Vec<Bytes> = lines.by_ref().take(3).map(|record| record.unwrap().bytes).collect();
        assert_eq!(
            lines.by_ref().filter(|record| record.as_ref().unwrap().bytes.len() == 9900).count(),
            1997
        );
        assert!(lines.kept.len() <= 2, "{}", lines.kept.len());
        assert!(held.iter().all(|bytes| bytes.iter().all(|byte| *byte == b'x')));
    }
}
