//! Templates: texts with places, such as `{problem}`, that are filled.
//!
//! Guarantees that what is filled in is never read for places again, and that braces around anything but a place's name
//! stand for themselves.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::difflib::{Autojunk, ratio};

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

/// A stretch of a template.
#[derive(Debug, PartialEq)]
enum Part<'t> {
    Text(&'t str),
    Place(&'t str),
}

impl Template {
    /// The text with its places filled; one that nothing is given for stays empty.
    pub fn filled(&self, given: &[(&str, Cow<'_, str>)]) -> String {
        let mut text = String::new();
        for part in self.parts() {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::Place(name) => {
                    let value = given.iter().find(|(known, _)| *known == name);
                    text.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        text
    }

    /// Whether it has the place.
    pub fn has(&self, name: &str) -> bool {
        self.parts().contains(&Part::Place(name))
    }

    /// What is wrong with it where these places are known and one of them must be there.
    pub(super) fn fault(&self, known: &[&str], needed: &str) -> Option<String> {
        for part in self.parts() {
            let Part::Place(name) = part else { continue };
            if !known.contains(&name) {
                let likeness = |known: &&&str| ratio(name, known, Autojunk::Off);
                let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
                return Some(format!("`{{{name}}}` is not known; did you mean `{{{nearest}}}`?"));
            }
        }
        (!self.has(needed)).then(|| format!("`{{{needed}}}` is missing"))
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let (mut parts, mut rest) = (Vec::new(), self.0.as_str());
        let mut from = 0;
        while let Some(open) = rest[from..].find('{').map(|at| from + at) {
            let name = rest[open + 1..].split('}').next().unwrap_or_default();
            let is_place = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && rest[open + 1 + name.len()..].starts_with('}');
            if is_place {
                parts.push(Part::Text(&rest[..open]));
                parts.push(Part::Place(name));
                (rest, from) = (&rest[open + name.len() + 2..], 0);
            } else {
                from = open + 1;
            }
        }
        parts.push(Part::Text(rest));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_read_again_and_other_braces_stay() {
        let template = Template("{a}: { x } {} {\"k\": {b}} {a".to_owned());
        let text = template.filled(&[("a", "{b}".into()), ("b", "2".into())]);
        assert_eq!(text, "{b}: { x } {} {\"k\": 2} {a");
        assert!(template.has("a") && template.has("b") && !template.has("k"));
    }
}
