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

/// `str.splitlines()`.
pub(super) fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(is_line_end) {
        lines.push(&rest[..end]);
        let after = &rest[end..];
        let width = after.chars().next().map_or(0, char::len_utf8);
        rest = after.strip_prefix("\r\n").unwrap_or(&after[width..]);
    }
    lines.extend(Some(rest).filter(|rest| !rest.is_empty()));
    lines
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// `str(Path(path))`.
pub(super) fn path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let joined = parts.join("/");
    let is_double = path.starts_with("//") && !path.starts_with("///");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) if is_double => format!("//{joined}"),
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
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
    fn lines_are_split_as_python_does() {
        // [s.splitlines() for s in ("a\x0cb\r\nc\u2028d\n", "\n\n", "")]
        assert_eq!(split_lines("a\x0cb\r\nc\u{2028}d\n"), ["a", "b", "c", "d"]);
        assert_eq!((split_lines("\n\n"), split_lines("")), (vec!["", ""], vec![]));
        assert_eq!(strip(" \x1c\ta b\n\u{a0}"), "a b");
    }

    #[test]
    fn paths_are_written_as_python_does() {
        // [str(Path(p)) for p in ("a//b/", "./a", "", "/", "//a", "///a", "/a/./b/..")]
        let paths = ["a//b/", "./a", "", "/", "//a", "///a", "/a/./b/.."].map(path);
        assert_eq!(paths, ["a/b", "a", ".", "/", "//a", "/a", "/a/b/.."]);
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
