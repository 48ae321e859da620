//! Patches in git's format: read, written, compared, reversed and applied.
//!
//! Pure functions on text. Guarantees that no accepted path leaves the tree (`..`, absolute paths,
//! `.git`) and that [`apply`] changes either every file of a patch or none. Does not touch the file
//! system: `workspace` reads and writes for it.

mod apply;
mod binary;
mod left_out;
mod parse;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub use apply::{Applied, Edit, File, Level, Reject, apply};
pub use left_out::{LeftOut, Why};
pub use parse::is_sayable;
pub use write::{Change, between};

/// Changes to files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// One entry a file, in the patch's order.
    pub files: Vec<FilePatch>,
}

/// The changes to one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilePatch {
    /// Its path before; absent for a new file.
    pub old: Option<String>,
    /// Its path after; absent for a deleted file.
    pub new: Option<String>,
    /// Its mode before, where the patch says it.
    pub old_mode: Option<Mode>,
    /// Its mode after, where the patch says it.
    pub new_mode: Option<Mode>,
    /// Whether the old file stays (a copy).
    pub copied: bool,
    /// Changes of lines, in order.
    pub hunks: Vec<Hunk>,
    /// Changes of bytes.
    pub binary: Option<Binary>,
}

/// The modes that git knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 100644.
    File,
    /// 100755.
    Executable,
    /// 120000.
    Link,
}

/// A run of changed lines with their context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// First line before, from 1 (0 in an empty file).
    pub old_start: usize,
    /// First line after, from 1 (0 in an empty file).
    pub new_start: usize,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What happens to it.
    pub kind: LineKind,
    /// Its text with its line ending, which only a file's last line may lack.
    pub text: String,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// It stays.
    Context,
    /// It goes.
    Removed,
    /// It comes.
    Added,
}

/// A binary change in git's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Object ids before and after, from the index line.
    pub ids: (String, String),
    /// The encoded block that makes the new file, and the one that makes the old file.
    pub blocks: (String, String),
}

/// Why a text is no patch that we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// It holds no change at all, but words.
    #[error("the text holds no diff")]
    NoDiff,
    /// A path leaves the tree or enters `.git`.
    #[error("the patch writes outside of the repository: `{path}`")]
    Escapes {
        /// The path.
        path: String,
    },
    /// A binary file differs, but the patch does not hold its bytes.
    #[error("the patch names the binary file `{path}` without its contents (made without `--binary`)")]
    NoBytes {
        /// The path.
        path: String,
    },
    /// A line cannot be read.
    #[error("line {line} of the patch: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

impl Patch {
    /// Reads a patch; words before, between and after its diffs are skipped.
    ///
    /// # Errors
    /// When there is no diff in a text that is not blank, or a path leaves the tree.
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        parse::parse(text)
    }

    /// Every path that is read, written or deleted, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> =
            self.files.iter().flat_map(|file| [&file.old, &file.new]).flatten().map(String::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The patch that takes this one back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { files: self.files.iter().map(FilePatch::reversed).collect() }
    }
}

impl FilePatch {
    /// The path after, or before where the file is deleted.
    pub fn path(&self) -> &str {
        self.new
            .as_deref()
            .or(self.old.as_deref())
            .expect("invariant: the parser refuses a file without a path")
    }

    fn reversed(&self) -> Self {
        let binary = self.binary.as_ref().map(|Binary { ids, blocks }| Binary {
            ids: (ids.1.clone(), ids.0.clone()),
            blocks: (blocks.1.clone(), blocks.0.clone()),
        });
        // The reverse of a copy deletes it; its source never changed.
        let old = if self.copied { None } else { self.old.clone() };
        Self {
            old: self.new.clone(),
            new: old,
            old_mode: self.new_mode,
            new_mode: self.old_mode,
            copied: false,
            hunks: self.hunks.iter().map(Hunk::reversed).collect(),
            binary,
        }
    }
}

impl Hunk {
    /// How many lines it covers before and after.
    fn counts(&self) -> (usize, usize) {
        let old = self.lines.iter().filter(|line| line.kind != LineKind::Added).count();
        let new = self.lines.iter().filter(|line| line.kind != LineKind::Removed).count();
        (old, new)
    }

    fn reversed(&self) -> Self {
        let mut lines: Vec<Line> = Vec::with_capacity(self.lines.len());
        for run in self.lines.chunk_by(|a, b| (a.kind == LineKind::Context) == (b.kind == LineKind::Context))
        {
            let turned = |from, to| {
                run.iter()
                    .filter(move |line| line.kind == from)
                    .map(move |line| Line { kind: to, text: line.text.clone() })
            };
            if run[0].kind == LineKind::Context {
                lines.extend_from_slice(run);
            } else {
                lines.extend(turned(LineKind::Added, LineKind::Removed));
                lines.extend(turned(LineKind::Removed, LineKind::Added));
            }
        }
        Self { old_start: self.new_start, new_start: self.old_start, lines }
    }
}

impl Mode {
    /// The mode of a regular file with the permission bits `bits`.
    pub fn of_file(bits: u32) -> Self {
        if bits & 0o100 == 0 { Self::File } else { Self::Executable }
    }

    /// Git's octal digits.
    pub fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
        }
    }
}

/// Whether two patches make the same change: index lines, hunk headings, the order of files and
/// line endings aside. Texts that are no patches are the same when they are equal.
pub fn same(a: &str, b: &str) -> bool {
    match (Patch::parse(a), Patch::parse(b)) {
        (Ok(a), Ok(b)) => comparable(a) == comparable(b),
        (Err(_), Err(_)) => a.lines().eq(b.lines()),
        _ => false,
    }
}

fn comparable(mut patch: Patch) -> Vec<FilePatch> {
    for file in &mut patch.files {
        for line in file.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines) {
            line.text = line.text.replace("\r\n", "\n");
        }
        if let Some(binary) = &mut file.binary {
            binary.ids = (String::new(), String::new());
        }
    }
    patch.files.sort_by(|a, b| a.path().cmp(b.path()));
    patch.files
}

impl fmt::Display for Patch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| write!(out, "{file}"))
    }
}

impl fmt::Display for FilePatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (self.old.as_deref().unwrap_or(self.path()), self.path());
        writeln!(out, "diff --git {} {}", quoted("a/", old), quoted("b/", new))?;
        self.write_modes(out)?;
        if self.old.is_some() && self.new.is_some() && old != new {
            let verb = if self.copied { "copy" } else { "rename" };
            writeln!(out, "{verb} from {}\n{verb} to {}", quoted("", old), quoted("", new))?;
        }
        if let Some(Binary { ids, blocks }) = &self.binary {
            let mode = if self.old.is_some() && self.new.is_some() && self.old_mode.is_none() {
                " 100644"
            } else {
                ""
            };
            writeln!(out, "index {}..{}{mode}\nGIT binary patch", ids.0, ids.1)?;
            return write!(out, "{}\n{}\n", blocks.0, blocks.1);
        }
        if self.hunks.is_empty() {
            return Ok(());
        }
        let side = |prefix, path: &Option<String>| {
            path.as_deref().map_or("/dev/null".to_owned(), |path| quoted(prefix, path))
        };
        let tab = |name: &str| if name.contains(' ') { "\t" } else { "" };
        let (minus, plus) = (side("a/", &self.old), side("b/", &self.new));
        writeln!(out, "--- {minus}{}\n+++ {plus}{}", tab(&minus), tab(&plus))?;
        self.hunks.iter().try_for_each(|hunk| write!(out, "{hunk}"))
    }
}

impl FilePatch {
    fn write_modes(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octal = |mode: Option<Mode>| mode.unwrap_or(Mode::File).octal();
        match (&self.old, &self.new) {
            (None, _) => writeln!(out, "new file mode {}", octal(self.new_mode)),
            (_, None) => writeln!(out, "deleted file mode {}", octal(self.old_mode)),
            _ if self.old_mode == self.new_mode => Ok(()),
            _ => writeln!(out, "old mode {}\nnew mode {}", octal(self.old_mode), octal(self.new_mode)),
        }
    }
}

impl fmt::Display for Hunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |start: usize, count: usize| {
            if count == 1 { start.to_string() } else { format!("{start},{count}") }
        };
        let (old, new) = self.counts();
        writeln!(out, "@@ -{} +{} @@", span(self.old_start, old), span(self.new_start, new))?;
        for line in &self.lines {
            let sign = match line.kind {
                LineKind::Context => ' ',
                LineKind::Removed => '-',
                LineKind::Added => '+',
            };
            write!(out, "{sign}{}", line.text)?;
            if !line.text.ends_with('\n') {
                writeln!(out, "\n\\ No newline at end of file")?;
            }
        }
        Ok(())
    }
}

/// A path as git writes it: in quotes when it holds bytes that would end or break the line.
fn quoted(prefix: &str, path: &str) -> String {
    let plain = path.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\');
    if plain {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b' '..0x7f => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}
