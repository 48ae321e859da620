//! Applying a patch to files in memory, at the strictest level that works.
//!
//! The levels are tried in order for each hunk and the loosest one is recorded. Unlike GNU
//! `patch --batch` it never reverses a patch, leaves no `.rej` and never guesses a place for a hunk
//! of which nothing matches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FilePatch, Hunk, Line, LineKind, Mode, Patch, binary};

/// Lines of context that may differ at each end of a hunk, as in the SWE-bench harness.
const MAX_FUZZ: usize = 5;

/// A file or link, as git sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Contents, or a link's target.
    pub bytes: Vec<u8>,
    /// What kind it is.
    pub mode: Mode,
}

/// What a path holds afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Relative to the tree's root.
    pub path: String,
    /// Nothing where the file is deleted.
    pub after: Option<File>,
}

/// How a patch was made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every hunk was where it said, byte for byte.
    Exact,
    /// A hunk was found on other lines.
    Offset,
    /// Line endings differed.
    LineEndings,
    /// Lines of context differed.
    Fuzz,
}

/// A patch that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What to write, sorted by path.
    pub edits: Vec<Edit>,
    /// The loosest level that any hunk needed.
    pub level: Level,
}

/// Why a patch does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It changes a file that is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// It makes a file that is already there.
    #[error("`{0}` already exists")]
    Exists(String),
    /// It writes through a symbolic link.
    #[error("`{0}` lies behind a symbolic link")]
    ThroughLink(String),
    /// Lines that it changes are not there.
    #[error("hunk {hunk} of `{path}` does not match")]
    Hunk {
        /// The file.
        path: String,
        /// From 1.
        hunk: usize,
    },
    /// Bytes that it changes are not there.
    #[error("the binary change of `{path}` does not match: {reason}")]
    Bytes {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The tree already holds what it makes.
    #[error("the patch is already applied")]
    AlreadyApplied,
}

/// Applies `patch` to `files`, which hold what [`Patch::paths`] names as far as it exists, and every
/// link on the way to it.
///
/// # Errors
/// When a file does not fit; then nothing is applied.
pub fn apply(patch: &Patch, files: &BTreeMap<String, File>) -> Result<Applied, Reject> {
    apply_within(patch, files, Level::Fuzz).map_err(|reject| {
        let undone = apply_within(&patch.reversed(), files, Level::Offset);
        if undone.is_ok() && !patch.files.is_empty() { Reject::AlreadyApplied } else { reject }
    })
}

fn apply_within(patch: &Patch, files: &BTreeMap<String, File>, loosest: Level) -> Result<Applied, Reject> {
    let mut now: BTreeMap<&str, Option<File>> = BTreeMap::new();
    let mut level = Level::Exact;
    for change in &patch.files {
        let at = |path: &str| now.get(path).cloned().unwrap_or_else(|| files.get(path).cloned());
        // Where a link takes a directory's place, what lay in the directory goes with the same patch.
        if let Some(old) =
            change.old.as_ref().filter(|old| is_behind_link(old, |dir| files.get(dir).cloned()))
        {
            return Err(Reject::ThroughLink(old.clone()));
        }
        let before = match &change.old {
            Some(old) => Some(at(old).ok_or_else(|| Reject::Missing(old.clone()))?),
            None => None,
        };
        if let Some(new) = &change.new
            && change.old.as_ref() != Some(new)
            && at(new).is_some()
        {
            return Err(Reject::Exists(new.clone()));
        }
        let (after, needed) = change_file(change, before.as_ref(), loosest)?;
        level = level.max(needed);
        if let Some(old) = change.old.as_deref().filter(|_| !change.copied) {
            now.insert(old, None);
        }
        if let Some(new) = change.new.as_deref() {
            now.insert(new, Some(after));
        }
    }
    let at = |path: &str| now.get(path).cloned().unwrap_or_else(|| files.get(path).cloned());
    let written = now.iter().filter(|(_, after)| after.is_some());
    if let Some((path, _)) = written.into_iter().find(|(path, _)| is_behind_link(path, at)) {
        return Err(Reject::ThroughLink((*path).to_owned()));
    }
    let edits = now.into_iter().map(|(path, after)| Edit { path: path.to_owned(), after }).collect();
    Ok(Applied { edits, level })
}

/// Whether a directory above `path` is a link.
fn is_behind_link(path: &str, at: impl Fn(&str) -> Option<File>) -> bool {
    path.match_indices('/').any(|(end, _)| at(&path[..end]).is_some_and(|file| file.mode == Mode::Link))
}

fn change_file(change: &FilePatch, before: Option<&File>, loosest: Level) -> Result<(File, Level), Reject> {
    let old_mode = before.map_or(Mode::File, |file| file.mode);
    let mode = change.new_mode.unwrap_or(old_mode);
    let old_bytes = before.map_or(&[][..], |file| &file.bytes);
    if change.binary.is_some() {
        let bytes = binary::apply(change, before.map(|file| &*file.bytes)).map_err(|error| {
            Reject::Bytes { path: change.path().to_owned(), reason: error.message().to_owned() }
        })?;
        return Ok((File { bytes, mode }, Level::Exact));
    }
    let mut text = Text::new(old_bytes, loosest);
    for (hunk_idx, hunk) in change.hunks.iter().enumerate() {
        text.change(hunk)
            .ok_or_else(|| Reject::Hunk { path: change.path().to_owned(), hunk: hunk_idx + 1 })?;
    }
    let level = text.level;
    let bytes = text.finish();
    if change.new.is_none() && !bytes.is_empty() && !change.hunks.is_empty() {
        return Err(Reject::Hunk { path: change.path().to_owned(), hunk: change.hunks.len() });
    }
    Ok((File { bytes, mode }, level))
}

/// A file while its hunks are applied from top to bottom.
struct Text<'a> {
    lines: Vec<&'a [u8]>,
    /// Lines that are already written.
    done: usize,
    /// How far the last hunk was from where it said.
    drift: isize,
    out: Vec<u8>,
    level: Level,
    loosest: Level,
}

/// A place where a hunk fits.
struct Place {
    /// First line that the hunk covers.
    start: usize,
    /// Context lines left out at its start and end.
    fuzz: (usize, usize),
    level: Level,
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8], loosest: Level) -> Self {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        Self { lines, done: 0, drift: 0, out: Vec::with_capacity(bytes.len()), level: Level::Exact, loosest }
    }

    /// Applies one hunk, or gives nothing where it fits nowhere.
    fn change(&mut self, hunk: &Hunk) -> Option<()> {
        let place = self.place(hunk)?;
        self.level = self.level.max(place.level);
        self.copy_to(place.start);
        let kept = &hunk.lines[place.fuzz.0..hunk.lines.len() - place.fuzz.1];
        for line in kept {
            match line.kind {
                LineKind::Context => self.copy_to(self.done + 1),
                LineKind::Removed => self.done += 1,
                LineKind::Added => self.add(line, place.level),
            }
        }
        Some(())
    }

    fn copy_to(&mut self, end: usize) {
        for line in &self.lines[self.done..end] {
            self.out.extend_from_slice(line);
        }
        self.done = end;
    }

    fn add(&mut self, line: &Line, level: Level) {
        if self.out.last().is_some_and(|byte| *byte != b'\n') {
            self.out.push(b'\n');
        }
        if level < Level::LineEndings {
            self.out.extend_from_slice(line.text.as_bytes());
            return;
        }
        // The file's own line endings, not the patch's.
        let crlf = self.lines.first().is_some_and(|line| line.ends_with(b"\r\n"));
        self.out.extend_from_slice(bare(line.text.as_bytes()));
        if line.text.ends_with('\n') {
            self.out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
        }
    }

    fn place(&mut self, hunk: &Hunk) -> Option<Place> {
        let old: Vec<&[u8]> = hunk
            .lines
            .iter()
            .filter(|line| line.kind != LineKind::Added)
            .map(|line| line.text.as_bytes())
            .collect();
        // Without old lines, the header names the line before.
        let named = if old.is_empty() { hunk.old_start } else { hunk.old_start.saturating_sub(1) };
        let expected = named.saturating_add_signed(self.drift);
        let is_context = |line: &&Line| line.kind == LineKind::Context;
        let head = hunk.lines.iter().take_while(is_context).count();
        let tail = hunk.lines.iter().rev().take_while(is_context).count();
        let place = self.search(&old, expected, Level::Offset, (0, 0)).or_else(|| {
            let most = head.max(tail).min(MAX_FUZZ);
            (0..=most).find_map(|fuzz| {
                let level = if fuzz == 0 { Level::LineEndings } else { Level::Fuzz };
                self.search(&old, expected, level, (fuzz.min(head), fuzz.min(tail)))
            })
        })?;
        self.drift = (place.start - place.fuzz.0) as isize - named as isize;
        Some(place)
    }

    /// Looks for `old` at one level, nearest to `expected` first.
    fn search(&self, old: &[&[u8]], expected: usize, level: Level, fuzz: (usize, usize)) -> Option<Place> {
        if level > self.loosest || (fuzz.0 + fuzz.1 >= old.len() && fuzz != (0, 0)) {
            return None;
        }
        let wanted = &old[fuzz.0..old.len() - fuzz.1];
        let last = self.lines.len().checked_sub(wanted.len())?;
        let equal = |line: &[u8], want: &[u8]| match level {
            Level::Exact | Level::Offset => line == want,
            Level::LineEndings | Level::Fuzz => bare(line) == bare(want),
        };
        let fits = |start: usize| {
            (self.done..=last).contains(&start)
                && std::iter::zip(&self.lines[start..], wanted).all(|(line, want)| equal(line, want))
        };
        let expected = expected + fuzz.0;
        let near = |distance: usize| {
            let below = expected.checked_sub(distance).filter(|start| fits(*start));
            below.or_else(|| Some(expected + distance).filter(|start| fits(*start)))
        };
        let reach = if wanted.is_empty() { 0 } else { self.lines.len().max(expected) };
        let start = (0..=reach).find_map(near)?;
        let level = if level == Level::Offset && start == expected { Level::Exact } else { level };
        Some(Place { start, fuzz, level })
    }

    fn finish(mut self) -> Vec<u8> {
        self.copy_to(self.lines.len());
        self.out
    }
}

/// A line without its ending.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
