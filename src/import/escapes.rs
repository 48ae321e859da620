//! The escapes of JSON's strings, undone.
//!
//! Guarantees that any text comes out as text: an escape that means nothing stays as it is, half of a surrogate
//! pair becomes U+FFFD. Recorded outputs have an escape in every line, so plain bytes are copied in words and
//! looked at on the way, which costs less than a search and a copy for each line.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

/// Bytes that are copied at a time.
const WORD: usize = 16;

/// What a backslash and a byte mean: a byte, or nothing that one byte says.
const MEANINGS: [u8; 256] = {
    let mut meanings = [0; 256];
    let pairs = b"n\nt\tr\rb\x08f\x0c\"\"\\\\//";
    let mut at = 0;
    while at < pairs.len() {
        meanings[pairs[at] as usize] = pairs[at + 1];
        at += 2;
    }
    meanings
};

/// What `raw` says, which stands between the quotes of a string.
pub(super) fn decoded(raw: &str) -> Cow<'_, str> {
    match memchr(b'\\', raw.as_bytes()) {
        Some(first) => Cow::Owned(decoded_from(first, raw, |_, _| {})),
        None => Cow::Borrowed(raw),
    }
}

/// The same without the carriage returns that a terminal writes before line ends.
pub(super) fn printed(raw: &str) -> String {
    let bytes = raw.as_bytes();
    match memchr(b'\\', bytes) {
        // A line end that is no escape, which JSON forbids, is found afterwards only.
        Some(first) if memchr(b'\n', bytes).is_none() => decoded_from(first, raw, |plain, byte| {
            if byte == b'\n' && plain.last() == Some(&b'\r') {
                plain.pop();
            }
        }),
        _ => {
            let mut text = decoded(raw).into_owned();
            plain_line_ends(&mut text);
            text
        }
    }
}

/// Undoes what a terminal does to line ends.
pub(super) fn plain_line_ends(text: &mut String) {
    let bytes = text.as_bytes();
    let mut returns = memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) == Some(&b'\n')).peekable();
    if returns.peek().is_none() {
        return;
    }
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for at in returns {
        plain.push_str(&text[from..at]);
        from = at + 1;
    }
    plain.push_str(&text[from..]);
    *text = plain;
}

/// Decodes `raw`, whose first backslash is at `first`; `before` sees each escape's byte before it is added.
#[inline]
fn decoded_from(first: usize, raw: &str, before: impl Fn(&mut Vec<u8>, u8)) -> String {
    let bytes = raw.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len() + WORD);
    plain.extend_from_slice(&bytes[..first]);
    let mut at = first;
    // Each turn begins at a backslash.
    while at < bytes.len() {
        at += unescape(&bytes[at..], &mut plain, &before);
        // Terminals write two escapes at the end of each line.
        if bytes.get(at) != Some(&b'\\') {
            at += copy_plain(&bytes[at..], &mut plain);
        }
    }
    String::from_utf8(plain).expect("invariant: text is cut at backslashes only")
}

/// Copies what stands before the first backslash and gives how much that was.
fn copy_plain(bytes: &[u8], plain: &mut Vec<u8>) -> usize {
    let mut words = bytes.chunks_exact(WORD);
    let mut copied = 0;
    for word in &mut words {
        plain.extend_from_slice(word);
        if let Some(found) = word.first_chunk().and_then(|word| find_in_word(b'\\', word)) {
            plain.truncate(plain.len() - WORD + found);
            return copied + found;
        }
        copied += WORD;
    }
    let rest = words.remainder();
    let end = rest.iter().position(|&byte| byte == b'\\').unwrap_or(rest.len());
    plain.extend_from_slice(&rest[..end]);
    copied + end
}

/// Where `byte` stands first in `word`.
pub(super) fn find_in_word(byte: u8, word: &[u8; WORD]) -> Option<usize> {
    let differing = u128::from_le_bytes(*word) ^ u128::from_le_bytes([byte; WORD]);
    // The lowest byte that is zero now is the one, and the first to borrow.
    let ones = u128::from_le_bytes([1; WORD]);
    let found = differing.wrapping_sub(ones) & !differing & (ones << 7);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Decodes the escape that `bytes` begin with and gives its length.
#[inline]
fn unescape(bytes: &[u8], plain: &mut Vec<u8>, before: impl Fn(&mut Vec<u8>, u8)) -> usize {
    let letter = bytes.get(1).copied().unwrap_or_default();
    match MEANINGS[usize::from(letter)] {
        0 if letter == b'u' => unescape_unit(bytes, plain, before),
        0 => {
            plain.push(b'\\');
            1
        }
        meaning => {
            before(plain, meaning);
            plain.push(meaning);
            2
        }
    }
}

fn unescape_unit(bytes: &[u8], plain: &mut Vec<u8>, before: impl Fn(&mut Vec<u8>, u8)) -> usize {
    let Some(first) = unit(bytes) else {
        plain.push(b'\\');
        return 1;
    };
    let second = if (0xd800..=0xdbff).contains(&first) { unit(&bytes[6..]) } else { None };
    let (point, length) = match second {
        Some(second @ 0xdc00..=0xdfff) => (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12),
        _ => (first, 6),
    };
    if let Ok(byte) = u8::try_from(point) {
        before(plain, byte);
    }
    let letter = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    length
}

/// The number of the `\uXXXX` that `bytes` begin with.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_wherever_they_stand_in_a_word() {
        for before in 0..2 * WORD {
            for after in 0..2 * WORD {
                let (head, tail) = ("ä".repeat(before), "b".repeat(after));
                let text = decoded(&format!(r#"{head}\r\n\"{tail}\\\/\t"#)).into_owned();
                assert_eq!(text, format!("{head}\r\n\"{tail}\\/\t"));
            }
        }
    }

    #[test]
    fn a_terminals_line_ends_are_plain_however_they_are_written() {
        for raw in [r"a\r\nb\rc\r\r\n", "a\\r\nb\rc\r\\r\n", "a\r\nb\rc\r\r\n", "a\r\\nb\rc\r\r\\n"] {
            assert_eq!(printed(raw), "a\nb\rc\r\n", "{raw:?}");
        }
        assert_eq!(printed(r"\u000d\n\r\u000a"), "\n\n");
    }

    #[test]
    fn units_pairs_and_halves_become_letters() {
        let text = decoded(r"\u00fc\u001b[0m \ud83d\ude00 \ud83d \ude00 \ud83d\u0041 \ud83dx");
        assert_eq!(text, "ü\u{1b}[0m 😀 \u{fffd} \u{fffd} \u{fffd}A \u{fffd}x");
    }

    #[test]
    fn an_escape_that_means_nothing_stays() {
        for text in [r"\x", r"a\", r"\u12", r"\u+123", r"\u12\n", r"\uüüüü", "plain"] {
            assert_eq!(decoded(text), text.replace(r"\n", "\n"), "{text}");
        }
    }
}
