//! Text that is shown as what it is.
//!
//! Guarantees that the result holds no control character but tabs and line ends, and no mark that changes the direction of
//! text or hides it. Colours of terminals are dropped: they say nothing that the text does not.

use std::borrow::Cow;

/// `text` with what cannot be seen made visible.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter: char| is_hidden(letter)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_hidden) {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = colour(rest) {
            rest = after;
            continue;
        }
        let letter = rest.chars().next().expect("invariant: a letter was found");
        rest = &rest[letter.len_utf8()..];
        if letter != '\r' || !rest.starts_with('\n') {
            show(letter, &mut shown);
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

fn is_hidden(letter: char) -> bool {
    let is_control = letter.is_control() && !matches!(letter, '\n' | '\t');
    // Directions, joiners and the like; variation selectors stay, because emoji are made of them.
    let is_format = matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    is_control || (is_format && letter != '\u{200d}')
}

/// What follows a colour's escape sequence, if `text` begins with one.
fn colour(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ';' | ':'));
    rest.strip_prefix('m')
}

fn show(letter: char, shown: &mut String) {
    match letter as u32 {
        // Unicode has a picture of each.
        code @ 0..=0x1f => shown.extend(char::from_u32(0x2400 + code)),
        0x7f => shown.push('\u{2421}'),
        code => shown.push_str(&format!("[U+{code:04X}]")),
    }
}
