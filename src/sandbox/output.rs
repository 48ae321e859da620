//! What is kept of a command's output: the first and the last half of a byte bound.
//!
//! Guarantees that memory stays within a small multiple of the bound however much a command prints, that the
//! text says how much is missing where it is missing, and that every kept byte has its stream where the two
//! are told apart.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::trajectory::{Apart, Piece, Stream};

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

    /// Whether `n_bytes` more would leave something out for the first time: then what is kept is all.
    pub fn is_about_to_omit(&self, n_bytes: usize) -> bool {
        self.omitted == 0 && self.head.len() + self.tail.len() + n_bytes > self.limit
    }

    /// What is kept, in three parts.
    pub fn kept(&self) -> [&[u8]; 3] {
        let (tail, rest) = self.tail.as_slices();
        [&self.head, tail, rest]
    }

    /// Gives the text, invalid UTF-8 replaced, and how many bytes were left out of its middle.
    pub fn finish(self) -> (String, u64) {
        self.finish_with(None)
    }

    /// The same; the text says `whereabouts` of what is left out.
    pub fn finish_with(self, whereabouts: Option<&str>) -> (String, u64) {
        let tail: Vec<u8> = self.tail.into();
        if self.omitted == 0 {
            let mut whole = self.head;
            whole.extend_from_slice(&tail);
            return (text_of(whole), 0);
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        (format!("{head}{}{tail}", gap(self.omitted, whereabouts)), self.omitted)
    }
}

/// What stands in place of what is left out.
fn gap(omitted: u64, whereabouts: Option<&str>) -> String {
    match whereabouts {
        Some(whereabouts) => format!("\n[{omitted} bytes omitted; {whereabouts}]\n"),
        None => format!("\n[{omitted} bytes omitted]\n"),
    }
}

/// Which stream printed each byte of a bounded output.
#[derive(Debug)]
pub struct Voices {
    head_room: usize,
    head: Runs,
    tail_limit: usize,
    tail: Runs,
    omitted: [u64; 2],
}

impl Voices {
    /// For an output that keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let head_room = limit.div_ceil(2);
        let tail_limit = limit - head_room;
        Self { head_room, head: Runs::default(), tail_limit, tail: Runs::default(), omitted: [0; 2] }
    }

    /// The next `n_bytes` are of `stream`.
    pub fn push(&mut self, stream: Stream, n_bytes: usize) {
        let first = n_bytes.min(self.head_room);
        self.head_room -= first;
        self.head.push(stream, first);
        self.tail.push(stream, n_bytes - first);
        while self.tail.bytes > self.tail_limit {
            let (stream, n_bytes) = self.tail.drop_first(self.tail.bytes - self.tail_limit);
            self.omitted[stream as usize] += n_bytes as u64;
        }
    }

    /// Who printed what was kept, and how much of each was not.
    pub fn finish(self) -> Parts {
        Parts { head: self.head.lengths(), tail: self.tail.lengths(), omitted: self.omitted }
    }
}

/// Stretches of one stream.
#[derive(Debug, Default)]
struct Runs {
    runs: VecDeque<(Stream, usize)>,
    bytes: usize,
}

impl Runs {
    fn push(&mut self, stream: Stream, n_bytes: usize) {
        self.bytes += n_bytes;
        match self.runs.back_mut() {
            _ if n_bytes == 0 => {}
            Some((last, bytes)) if *last == stream => *bytes += n_bytes,
            _ => self.runs.push_back((stream, n_bytes)),
        }
    }

    /// Drops at most `n_bytes` of the first stretch; says how many of which stream.
    fn drop_first(&mut self, n_bytes: usize) -> (Stream, usize) {
        let Some((stream, bytes)) = self.runs.front_mut() else { return (Stream::Stdout, 0) };
        let (stream, dropped) = (*stream, n_bytes.min(*bytes));
        *bytes -= dropped;
        self.bytes -= dropped;
        if *bytes == 0 {
            self.runs.pop_front();
        }
        (stream, dropped)
    }

    /// Their lengths, by turns of stdout and stderr.
    fn lengths(self) -> Vec<usize> {
        let starts_late = self.runs.front().is_some_and(|(stream, _)| *stream == Stream::Stderr);
        let first = starts_late.then_some(0);
        first.into_iter().chain(self.runs.into_iter().map(|(_, bytes)| bytes)).collect()
    }
}

/// The streams of a bounded output, in few words: lengths, by turns of stdout and stderr.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    head: Vec<usize>,
    tail: Vec<usize>,
    omitted: [u64; 2],
}

impl Parts {
    /// The whole text of `kept`, the head and the tail, and each stream by itself.
    pub fn tell(&self, kept: &[u8], whereabouts: Option<&str>) -> (String, Apart) {
        let (mut output, mut apart) = (String::new(), Apart::default());
        let tail = tell_half(&self.head, kept, &mut output, &mut apart);
        let omitted: u64 = self.omitted.iter().sum();
        if omitted > 0 {
            output.push_str(&gap(omitted, whereabouts));
            for (stream, omitted) in [&mut apart.stdout, &mut apart.stderr].into_iter().zip(self.omitted) {
                if omitted > 0 {
                    stream.extend_from_slice(gap(omitted, whereabouts).as_bytes());
                }
            }
        }
        tell_half(&self.tail, tail, &mut output, &mut apart);
        (output, apart)
    }
}

/// Appends the stretches of one half, and gives what is left of `kept`.
fn tell_half<'a>(lengths: &[usize], kept: &'a [u8], output: &mut String, apart: &mut Apart) -> &'a [u8] {
    let mut rest = kept;
    for (stream, length) in [Stream::Stdout, Stream::Stderr].into_iter().cycle().zip(lengths) {
        let (bytes, later) = rest.split_at((*length).min(rest.len()));
        rest = later;
        let start = output.len();
        output.push_str(&String::from_utf8_lossy(bytes));
        if start < output.len() {
            apart.pieces.push(Piece { stream, start, end: output.len() });
        }
        match stream {
            Stream::Stdout => apart.stdout.extend_from_slice(bytes),
            Stream::Stderr => apart.stderr.extend_from_slice(bytes),
        }
    }
    rest
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

    #[test]
    fn what_is_about_to_be_left_out_is_still_there() {
        let mut output = BoundedOutput::new(5);
        output.push(b"abcd");
        assert!(!output.is_about_to_omit(1) && output.is_about_to_omit(2));
        assert_eq!(output.kept().concat(), b"abcd");
        output.push(b"efg");
        assert!(!output.is_about_to_omit(1), "only once");
    }

    fn told(limit: usize, chunks: &[(Stream, &str)]) -> (String, Apart) {
        let (mut output, mut voices) = (BoundedOutput::new(limit), Voices::new(limit));
        for (stream, chunk) in chunks {
            output.push(chunk.as_bytes());
            voices.push(*stream, chunk.len());
        }
        let kept = output.kept().concat();
        let (text, apart) = voices.finish().tell(&kept, None);
        let (joint, omitted) = output.finish();
        assert_eq!(text, joint, "told apart or together, the text is the same");
        assert!(omitted > 0 || apart.stdout.len() + apart.stderr.len() == kept.len());
        (text, apart)
    }

    fn pieces(text: &str, apart: &Apart) -> Vec<(Stream, String)> {
        apart.pieces.iter().map(|piece| (piece.stream, text[piece.start..piece.end].to_owned())).collect()
    }

    #[test]
    fn each_piece_has_its_stream() {
        use Stream::{Stderr, Stdout};
        let (text, apart) = told(100, &[(Stderr, "e"), (Stdout, "a"), (Stdout, "b"), (Stderr, "f")]);
        assert_eq!((apart.stdout.as_slice(), apart.stderr.as_slice()), (&b"ab"[..], &b"ef"[..]));
        let expected = [(Stderr, "e"), (Stdout, "ab"), (Stderr, "f")];
        assert_eq!(pieces(&text, &apart), expected.map(|(stream, text)| (stream, text.to_owned())));
    }

    #[test]
    fn each_stream_says_what_of_it_is_left_out() {
        use Stream::{Stderr, Stdout};
        let (text, apart) = told(4, &[(Stdout, "abcd"), (Stderr, "efg"), (Stdout, "h")]);
        assert_eq!(text, "ab\n[4 bytes omitted]\ngh");
        assert_eq!(String::from_utf8(apart.stdout.clone()).unwrap(), "ab\n[2 bytes omitted]\nh");
        assert_eq!(String::from_utf8(apart.stderr.clone()).unwrap(), "\n[2 bytes omitted]\ng");
        assert_eq!(pieces(&text, &apart).len(), 3);
    }
}
