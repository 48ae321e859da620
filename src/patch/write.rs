//! The patch between two states of files, in git's own text.
//!
//! Guarantees a text from which [`apply`](super::apply()) makes the later state byte for byte: what is not UTF-8 is
//! written as git's binary patches, with its bytes. Nothing of the host's configuration takes part.

use std::collections::BTreeMap;

use git2::{
    Delta, Diff, DiffDelta, DiffFormat, DiffLine, DiffOptions, Error, FileMode, Odb, Repository, Tree,
};

use super::{File, Mode};

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the tree's root, with `/`.
    pub path: String,
    /// What was there before.
    pub before: Option<File>,
    /// What is there now.
    pub after: Option<File>,
}

/// One section of a patch: a change whose two sides are both files or both links.
#[derive(Clone, Copy)]
struct Section<'a> {
    path: &'a str,
    before: Option<&'a File>,
    after: Option<&'a File>,
}

impl Change {
    /// Git says that a file became a link, or a link a file, as one that goes and one that comes.
    fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        let (path, before, after) = (&*self.path, self.before.as_ref(), self.after.as_ref());
        let is_link = |file: Option<&File>| file.is_some_and(|file| file.mode == Mode::Link);
        let turns = before.is_some() && after.is_some() && is_link(before) != is_link(after);
        let goes = Section { path, before, after: after.filter(|_| !turns) };
        let comes = Section { path, before: None, after };
        std::iter::once(goes).chain(turns.then_some(comes))
    }
}

impl Section<'_> {
    /// Whether both sides are text that a patch can say line by line.
    fn is_text(&self) -> bool {
        let is_text = |file: &File| !file.bytes.contains(&0) && std::str::from_utf8(&file.bytes).is_ok();
        [self.before, self.after].into_iter().flatten().all(is_text)
    }
}

/// Writes `changes` as one patch in git's format, sorted by path.
///
/// # Errors
/// When libgit2 takes a path or contents for none.
pub fn between(changes: &[Change]) -> Result<String, Error> {
    if changes.is_empty() {
        return Ok(String::new());
    }
    // A repository in memory: the agent's `.git` is never asked.
    let odb = Odb::new()?;
    odb.add_new_mempack_backend(1)?;
    let repository = Repository::from_odb(odb)?;
    let (text, bytes): (Vec<Section<'_>>, Vec<Section<'_>>) =
        changes.iter().flat_map(Change::sections).partition(Section::is_text);
    let mut sections = Sections::new();
    for (some, is_binary) in [(text, false), (bytes, true)] {
        let mut options = DiffOptions::new();
        options.show_binary(true).indent_heuristic(true).force_text(!is_binary).force_binary(is_binary);
        let before =
            tree(&repository, some.iter().filter_map(|section| Some((section.path, section.before?))))?;
        let after =
            tree(&repository, some.iter().filter_map(|section| Some((section.path, section.after?))))?;
        print(
            &repository.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options))?,
            &mut sections,
        )?;
    }
    let text = sections.into_values().flatten().collect();
    // Paths are quoted, and what is not UTF-8 is encoded.
    String::from_utf8(text).map_err(|error| Error::from_str(&error.to_string()))
}

/// The text of each file's change: by path, what goes before what comes.
type Sections = BTreeMap<(Vec<u8>, bool), Vec<u8>>;

fn print(diff: &Diff<'_>, sections: &mut Sections) -> Result<(), Error> {
    diff.print(DiffFormat::Patch, |delta: DiffDelta<'_>, _, line: DiffLine<'_>| {
        let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default();
        let text = sections.entry((path.to_vec(), delta.status() == Delta::Added)).or_default();
        if matches!(line.origin(), '+' | '-' | ' ') {
            text.push(line.origin() as u8);
        }
        text.extend_from_slice(line.content());
        true
    })
}

fn tree<'repo, 'file>(
    repository: &'repo Repository,
    files: impl Iterator<Item = (&'file str, &'file File)>,
) -> Result<Tree<'repo>, Error> {
    let empty = repository.find_tree(repository.treebuilder(None)?.write()?)?;
    let mut builder = git2::build::TreeUpdateBuilder::new();
    for (path, file) in files {
        builder.upsert(path, repository.blob(&file.bytes)?, filemode(file.mode));
    }
    let tree = builder.create_updated(repository, &empty)?;
    repository.find_tree(tree)
}

fn filemode(mode: Mode) -> FileMode {
    match mode {
        Mode::File => FileMode::Blob,
        Mode::Executable => FileMode::BlobExecutable,
        Mode::Link => FileMode::Link,
    }
}
