//! What is kept of a command's output: the first and the last half of a byte bound.
//!
//! Guarantees that memory stays within the bound however much a command prints, and that the text
//! says how much is missing where it is missing.

use std::collections::VecDeque;

/// Output as it arrives.
#[derive(Debug)]
pub struct BoundedOutput {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl BoundedOutput {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), omitted: 0 }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let head_limit = self.limit.div_ceil(2);
        let (first, rest) = bytes.split_at(bytes.len().min(head_limit - self.head.len()));
        self.head.extend_from_slice(first);
        let tail_limit = self.limit - head_limit;
        let (skipped, kept) = rest.split_at(rest.len().saturating_sub(tail_limit));
        let surplus = (self.tail.len() + kept.len()).saturating_sub(tail_limit);
        self.tail.drain(..surplus);
        self.tail.extend(kept);
        self.omitted += (skipped.len() + surplus) as u64;
    }

    /// Bytes seen so far, kept or not.
    pub fn seen(&self) -> u64 {
        self.head.len() as u64 + self.tail.len() as u64 + self.omitted
    }

    /// Gives the text, invalid UTF-8 replaced, and how many bytes were left out of its middle.
    pub fn finish(self) -> (String, u64) {
        let tail: Vec<u8> = self.tail.into();
        if self.omitted == 0 {
            let mut whole = self.head;
            whole.extend_from_slice(&tail);
            return (text_of(whole), 0);
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        (format!("{head}\n[{} bytes omitted]\n{tail}", self.omitted), self.omitted)
    }
}

/// The text of `bytes`, copied only where invalid UTF-8 must be replaced.
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, chunks: &[&str]) -> (String, u64) {
        let mut output = BoundedOutput::new(limit);
        for chunk in chunks {
            output.push(chunk.as_bytes());
        }
        assert_eq!(output.seen(), chunks.concat().len() as u64);
        output.finish()
    }

    #[test]
    fn output_within_the_bound_is_whole() {
        assert_eq!(kept(5, &["ab", "cde"]), ("abcde".to_owned(), 0));
        assert_eq!(kept(5, &[]), (String::new(), 0));
    }

    #[test]
    fn the_middle_is_left_out_whatever_the_chunks() {
        let expected = ("abc\n[5 bytes omitted]\nij".to_owned(), 5);
        assert_eq!(kept(5, &["abcdefghij"]), expected);
        assert_eq!(kept(5, &["a", "bcde", "f", "ghi", "j"]), expected);
    }

    #[test]
    fn a_character_cut_in_two_chunks_stays_whole() {
        let mut output = BoundedOutput::new(100);
        output.push(&[0xc3]);
        output.push(&[0xa9]);
        assert_eq!(output.finish().0, "\u{e9}");
    }

    #[test]
    fn a_bound_of_zero_keeps_nothing() {
        assert_eq!(kept(0, &["abc"]), ("\n[3 bytes omitted]\n".to_owned(), 3));
    }
}
