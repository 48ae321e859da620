//! What a repository holds beside its one commit: nothing, or the first thing that is too much.
//!
//! For repositories that we made and that no student has touched. Looks at every file and every object, reachable
//! or not.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{Odb, Oid, Repository};

/// All that a repository holds, read on the host or told by a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every `.git` in the work directory, relative to it.
    pub repositories: Vec<String>,
    /// Every file of the repository, relative to its `.git`.
    pub files: Vec<String>,
    /// Every object, with its type.
    pub objects: Vec<(String, String)>,
    /// The objects of the commit that is checked out, without its parents.
    pub reachable: BTreeSet<String>,
    /// Every reference.
    pub references: Vec<String>,
}

/// Files that say nothing of history: libgit2 makes three of them in each new repository.
const HARMLESS: [&str; 8] = [
    "HEAD",
    "config",
    "index",
    "shallow",
    "refs/heads/main",
    "description",
    "hooks/README.sample",
    "info/exclude",
];

impl Inventory {
    /// What the repository at the top of `tree` holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(tree: &Path) -> anyhow::Result<Self> {
        let repo = Repository::open(tree)?;
        let mut inventory = Self::default();
        find(tree, Path::new(""), &mut inventory)?;
        let odb = repo.odb()?;
        inventory.objects = objects(&odb)?;
        let commit = repo.head()?.peel_to_commit()?;
        inventory.reachable.insert(commit.id().to_string());
        reach(&repo, commit.tree_id(), &mut inventory.reachable)?;
        for reference in repo.references()? {
            inventory.references.push(String::from_utf8_lossy(reference?.name_bytes()).into_owned());
        }
        Ok(inventory)
    }

    /// The first thing that is not of the base commit, in words.
    pub fn leak(&self) -> Option<String> {
        let other = |name: &&String| name.as_str() != ".git";
        let strange = |file: &&String| !HARMLESS.contains(&file.as_str()) && !is_object_file(file);
        let unreachable = |(id, _): &&(String, String)| !self.reachable.contains(id);
        let repository =
            || self.repositories.iter().find(other).map(|name| format!("another repository, `{name}`"));
        let reference = || self.references.iter().find(|name| *name != "refs/heads/main");
        let commits = || self.objects.iter().filter(|(_, kind)| kind == "commit").count();
        repository()
            .or_else(|| self.objects.iter().find(unreachable).map(|(id, kind)| format!("the {kind} {id}")))
            .or_else(|| reference().map(|name| format!("the reference `{name}`")))
            .or_else(|| self.files.iter().find(strange).map(|file| format!("the file `.git/{file}`")))
            .or_else(|| (1 < commits()).then(|| format!("{} commits", commits())))
    }
}

/// Whether a file of `.git` holds objects and nothing else; lists of other stores do not.
fn is_object_file(file: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match file.strip_prefix("objects/").and_then(|file| file.split_once('/')) {
        Some(("pack", name)) => [".pack", ".idx", ".rev"].iter().any(|end| name.ends_with(end)),
        Some((fan, rest)) => fan.len() == 2 && is_hex(fan) && is_hex(rest),
        None => false,
    }
}

/// Lists the repositories below a directory, and the files of the one at the top.
fn find(tree: &Path, below: &Path, inventory: &mut Inventory) -> anyhow::Result<()> {
    for entry in fs_err::read_dir(tree.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let is_directory = entry.file_type()?.is_dir();
        let name = path.to_string_lossy().into_owned();
        if entry.file_name() == ".git" {
            inventory.repositories.push(name);
        }
        match path.strip_prefix(".git") {
            Ok(file) if !is_directory => inventory.files.push(file.to_string_lossy().into_owned()),
            _ => {}
        }
        if is_directory {
            find(tree, &path, inventory)?;
        }
    }
    Ok(())
}

fn objects(odb: &Odb<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let mut ids: Vec<Oid> = Vec::new();
    odb.foreach(|id| {
        ids.push(*id);
        true
    })?;
    let described = |id: Oid| Ok((id.to_string(), odb.read_header(id)?.1.str().to_owned()));
    ids.into_iter().map(described).collect()
}

/// Adds a directory's object and all below it.
fn reach(repo: &Repository, tree: Oid, reachable: &mut BTreeSet<String>) -> Result<(), git2::Error> {
    if !reachable.insert(tree.to_string()) {
        return Ok(());
    }
    for entry in &repo.find_tree(tree)? {
        match entry.kind() {
            Some(git2::ObjectType::Tree) => reach(repo, entry.id(), reachable)?,
            Some(git2::ObjectType::Blob) => drop(reachable.insert(entry.id().to_string())),
            // A submodule's commit is another repository's.
            _ => {}
        }
    }
    Ok(())
}
