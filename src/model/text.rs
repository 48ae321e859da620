//! A reply's text while it grows, and the words that end it.
//!
//! Guarantees that what it tells is never taken back: bytes of an unfinished character wait for the rest, and the
//! beginning of a stop waits until it is one or is none. All together is what [`ChatTokenizer::decode`] gives.

use super::tokenizer::ChatTokenizer;

/// Tokens that may wait for the rest of a character, which has four bytes at most; more are no character.
const WAITING: usize = 4;

/// The text of one reply.
#[derive(Debug, Clone, Default)]
pub struct ReplyText {
    stops: Vec<String>,
    /// Tokens whose text waits.
    waiting: Vec<u32>,
    text: String,
    /// Bytes of the text that were told.
    told: usize,
    stop: Option<String>,
}

impl ReplyText {
    /// A text that ends before the first of `stops`; none of them is empty.
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, ..Self::default() }
    }

    /// Takes a token; true when the text ends in a stop.
    pub fn push(&mut self, tokenizer: &ChatTokenizer, token: u32) -> bool {
        self.waiting.push(token);
        let text = tokenizer.decode(&self.waiting);
        if !text.ends_with('\u{fffd}') || self.waiting.len() > WAITING {
            self.append(&text);
        }
        self.stop.is_some()
    }

    /// What can be told since the last time.
    pub fn news(&mut self) -> String {
        let sure = if self.stop.is_some() { self.text.len() } else { self.text.len() - self.held() };
        let news = self.text[self.told..sure.max(self.told)].to_owned();
        self.told += news.len();
        news
    }

    /// What is left to tell when no token follows.
    pub fn rest(&mut self, tokenizer: &ChatTokenizer) -> String {
        if self.stop.is_none() {
            let text = tokenizer.decode(&self.waiting);
            self.append(&text);
        }
        let rest = self.text[self.told..].to_owned();
        self.told = self.text.len();
        rest
    }

    /// The stop that ended it.
    pub fn stop(&self) -> Option<&str> {
        self.stop.as_deref()
    }

    fn append(&mut self, text: &str) {
        self.waiting.clear();
        // A stop may have begun in what was there.
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.text.len().saturating_sub(longest);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        self.text.push_str(text);
        let found = self.stops.iter().filter_map(|stop| Some((self.text[from..].find(stop)?, stop)));
        // Of stops at one place, the first named counts.
        if let Some((at, stop)) = found.min_by_key(|(at, _)| *at) {
            self.stop = Some(stop.clone());
            self.text.truncate(from + at);
        }
    }

    /// Bytes at the end of the text that may be the beginning of a stop.
    fn held(&self) -> usize {
        let begins = |stop: &String| {
            let mut lengths = stop.char_indices().map(|(at, _)| at).rev();
            lengths.find(|length| self.text.ends_with(&stop[..*length])).unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokenizer::Pieces;

    fn tokenizer() -> ChatTokenizer {
        // No text teaches it anything, so each byte is a token.
        ChatTokenizer::train(std::iter::empty(), 300, Pieces::Words).unwrap()
    }

    /// What is told token by token, until a stop or the end.
    fn told(text: &str, stops: &[&str]) -> (Vec<String>, Option<String>) {
        let tokenizer = tokenizer();
        let mut reply = ReplyText::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut told = Vec::new();
        for token in tokenizer.encode_text(text).unwrap() {
            let stopped = reply.push(&tokenizer, token);
            told.push(reply.news());
            if stopped {
                break;
            }
        }
        told.push(reply.rest(&tokenizer));
        (told, reply.stop().map(str::to_owned))
    }

    #[test]
    fn a_character_is_told_when_it_is_whole() {
        let (told, stop) = told("aé🦀b", &[]);
        assert_eq!(told, ["a", "", "é", "", "", "", "🦀", "b", ""]);
        assert_eq!(stop, None);
    }

    #[test]
    fn a_stop_ends_the_text_before_it() {
        let (told, stop) = told("one\n\ntwo", &["two", "\n\n"]);
        assert_eq!(told.concat(), "one");
        assert_eq!(stop.as_deref(), Some("\n\n"));
    }

    #[test]
    fn the_beginning_of_a_stop_waits_and_is_told_when_it_is_none() {
        let (told, stop) = told("a<end?", &["<end>"]);
        assert_eq!(told, ["a", "", "", "", "", "<end?", ""]);
        assert_eq!(stop, None);
        assert_eq!(self::told("a<en", &["<end>"]).0.last().map(String::as_str), Some("<en"));
    }

    #[test]
    fn bytes_that_are_no_character_do_not_wait_for_ever() {
        let tokenizer = tokenizer();
        let byte = tokenizer.encode_text("é").unwrap()[1];
        let mut reply = ReplyText::new(Vec::new());
        let mut text = String::new();
        for _ in 0..40 {
            reply.push(&tokenizer, byte);
            text += &reply.news();
        }
        assert!(text.chars().count() >= 35, "{text}");
        text += &reply.rest(&tokenizer);
        assert_eq!(text, tokenizer.decode(&[byte; 40]));
    }
}
