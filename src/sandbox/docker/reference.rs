//! The name of an image: a repository with a tag, a digest, or both.
//!
//! Guarantees that a name without either means the tag `latest`: an engine would pull every tag of the
//! repository. Knows nothing of what an engine has.

use std::fmt;

/// The algorithm of every digest that registries use.
const DIGEST: &str = "sha256:";
/// As many characters of a name as tell a reader which it is.
const READABLE: usize = 80;

/// An image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The registry and the repository.
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !digest.strip_prefix(DIGEST).is_some_and(is_hex) {
                return Err(format!("the digest of `{text}` is not `{DIGEST}` and 64 hexadecimal digits"));
            }
        }
        // A colon before the last slash is a port's.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        if repository.is_empty() || tag.is_some_and(str::is_empty) || text.contains(char::is_whitespace) {
            return Err(format!("`{text}` is no name of an image"));
        }
        let tag = tag.or_else(|| digest.is_none().then_some("latest"));
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The digest, where the name has one.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The repository, as short as engines write it.
    pub(super) fn repository(&self) -> String {
        let name = self.repository.strip_prefix("docker.io/").unwrap_or(&self.repository);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    }

    /// The same repository's image of this digest: what an engine is asked for.
    pub(super) fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// What an engine is asked for: by the digest alone where there is one.
    pub(super) fn asked(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => self.pinned(digest),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => self.repository.clone(),
        }
    }

    /// A tag that no other name has and that a reader knows again: the last part of the name, and a digest
    /// of all of it.
    pub(super) fn mark(&self) -> String {
        let whole = self.to_string();
        let last = whole.rsplit('/').next().unwrap_or(&whole).split('@').next().unwrap_or_default();
        let readable: String = last
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
            .take(READABLE)
            .collect();
        let digest = crate::fsio::sha256_hex(whole.as_bytes());
        format!("{}-{}", readable.trim_start_matches(['-', '.']), &digest[..12])
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A name or a digest as people read it: twelve digits of a digest tell it from another.
pub fn short(text: &str) -> String {
    match text.split_once(DIGEST) {
        Some((before, digits)) if 12 < digits.len() && digits.is_ascii() => {
            format!("{before}{DIGEST}{}…", &digits[..12])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "c7db1147071705ec220088195a8433d68f3fa63c855de78359a6395b8e5f763a";

    #[test]
    fn a_port_is_no_tag_and_no_tag_is_latest() {
        let asked = |text: &str| Reference::parse(text).unwrap().asked();
        assert_eq!(asked("python"), "python:latest");
        assert_eq!(asked("127.0.0.1:5000/a/b"), "127.0.0.1:5000/a/b:latest");
        assert_eq!(asked("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000/a/b:1");
        assert_eq!(asked(&format!("a/b:1@sha256:{DIGITS}")), format!("a/b@sha256:{DIGITS}"));
        assert_eq!(asked(&format!("a/b@sha256:{DIGITS}")), format!("a/b@sha256:{DIGITS}"));
    }

    #[test]
    fn the_long_name_of_a_repository_is_the_short_one() {
        let repository = |text: &str| Reference::parse(text).unwrap().repository();
        assert_eq!(repository("docker.io/library/python:3"), repository("python"));
        assert_ne!(repository("registry.example/python"), repository("python"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", ":1", "a:", "a b", "a@sha256:12", "a@md5:aaaa", &format!("a@sha256:{}z", &DIGITS[1..])]
        {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_name_has_a_mark_of_its_own() {
        let mark = |text: &str| Reference::parse(text).unwrap().mark();
        let marks =
            ["a/python:3.11", "b/python:3.11", "python-3.11", &format!("a/python:3.11@sha256:{DIGITS}")]
                .map(mark);
        assert!(marks[0].starts_with("python-3.11-"), "{}", marks[0]);
        assert_eq!(std::collections::BTreeSet::from(marks).len(), 4);
        assert!(mark(&format!("x/{}", "-".repeat(200))).len() < 128);
    }

    #[test]
    fn a_digest_is_shown_by_twelve_digits() {
        assert_eq!(short(&format!("a/b@sha256:{DIGITS}")), "a/b@sha256:c7db11470717…");
        assert_eq!(short("with the host's programs"), "with the host's programs");
    }
}
