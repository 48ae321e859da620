//! Python's text functions that the originals are written with, where Rust's differ.

/// `str.splitlines()`: also splits at form feeds, separators and the Unicode line ends.
pub(super) fn count_lines(text: &str) -> usize {
    let mut count = 0;
    let mut open = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        open = !is_line_end(c);
        if c == '\r' && chars.peek() == Some(&'\n') {
            chars.next();
        }
        count += usize::from(!open);
    }
    count + usize::from(open)
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `str.expandtabs()`: tabs become spaces up to the next multiple of eight columns.
pub(super) fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let width = 8 - column % 8;
                expanded.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\n' | '\r' => {
                expanded.push(c);
                column = 0;
            }
            c => {
                expanded.push(c);
                column += 1;
            }
        }
    }
    expanded
}

/// `repr(str)`.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut repr = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => repr.push_str("\\\\"),
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            c if c == quote => repr.extend(['\\', c]),
            c if c < ' ' || ('\x7f'..='\u{a0}').contains(&c) => {
                repr.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => repr.push(c),
        }
    }
    repr.push(quote);
    repr
}

/// A text file as `Path.read_text` gives it, and how to write it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8.
    Utf8,
    /// One byte a character: what is not UTF-8.
    Latin1,
}

/// Reads text with universal line ends: `\r\n` and `\r` become `\n`.
pub(super) fn decode(bytes: Vec<u8>) -> (String, Encoding) {
    let (text, encoding) = match String::from_utf8(bytes) {
        Ok(text) => (text, Encoding::Utf8),
        Err(error) => (error.as_bytes().iter().map(|&byte| char::from(byte)).collect(), Encoding::Latin1),
    };
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    (text, encoding)
}

/// The bytes of `text`; UTF-8 where a character does not fit the encoding.
pub(super) fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    let narrow = || text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>();
    match encoding {
        Encoding::Latin1 => narrow().unwrap_or_else(|_| text.as_bytes().to_vec()),
        Encoding::Utf8 => text.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_python_does() {
        // [len(s.splitlines()) for s in ("", "a", "a\n", "\n", "a\r\nb", "a\x0cb\n")]
        let counts = ["", "a", "a\n", "\n", "a\r\nb", "a\x0cb\n"].map(count_lines);
        assert_eq!(counts, [0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn tabs_expand_to_the_next_stop() {
        assert_eq!(expand_tabs("\ta\tb\n\tc"), "        a       b\n        c");
    }

    #[test]
    fn repr_chooses_its_quotes() {
        assert_eq!(["it's", "a\"b", "'\"\n"].map(repr), ["\"it's\"", "'a\"b'", "'\\'\"\\n'"]);
    }

    #[test]
    fn text_that_is_not_utf8_survives() {
        let (text, encoding) = decode(b"caf\xe9\r\n".to_vec());
        assert_eq!((text.as_str(), encode(&text, encoding)), ("café\n", b"caf\xe9\n".to_vec()));
    }
}
