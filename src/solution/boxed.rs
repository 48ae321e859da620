//! The answer in a box, as solutions mark it.

/// What the last `\boxed{…}` or `\fbox{…}` of a text holds, trimmed; none where its braces do not close or hold nothing.
pub fn last_box(text: &str) -> Option<&str> {
    let opening = ["\\boxed", "\\fbox"];
    let (at, name) = opening.iter().filter_map(|name| Some((text.rfind(name)?, name))).max()?;
    let rest = text[at + name.len()..].trim_start().strip_prefix('{')?;
    let (mut depth, mut is_escaped) = (1, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => {}
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
        if depth == 0 {
            return Some(rest[..at].trim()).filter(|held| !held.is_empty());
        }
    }
    None
}
