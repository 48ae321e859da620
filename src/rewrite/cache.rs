//! What a teacher said, kept in a file: one question and its reply a line.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fsio::{self, JsonLines};
use crate::policy::SampleRequest;

/// Name and version in the first field of every line.
const FORMAT: &str = "apprentice.teacher/1";

/// Replies by what was asked; they outlive the process, so a run that was stopped goes on.
pub struct Cache {
    replies: BTreeMap<String, String>,
    file: JsonLines,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: String,
    key: String,
    reply: String,
}

impl Cache {
    /// Reads what is there and appends to it.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = JsonLines::append_to(path)?;
        let lines: Vec<Line> = fsio::read_json_lines(path)?;
        let mut replies = BTreeMap::new();
        for Line { format, key, reply } in lines {
            anyhow::ensure!(format == FORMAT, "`{}` has format `{format}`, not `{FORMAT}`", path.display());
            replies.insert(key, reply);
        }
        Ok(Self { replies, file })
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.replies.get(key).map(String::as_str)
    }

    pub(super) fn put(&mut self, key: String, reply: String) -> anyhow::Result<()> {
        self.file.push(&Line { format: FORMAT.to_owned(), key: key.clone(), reply: reply.clone() })?;
        self.replies.insert(key, reply);
        Ok(())
    }
}

/// A digest of who is asked what, and how often it was before.
pub(super) fn key(teacher: &str, request: &SampleRequest) -> String {
    let asked = serde_json::json!([teacher, request.messages, request.attempt, request.seed]);
    fsio::sha256_hex(asked.to_string().as_bytes())
}
