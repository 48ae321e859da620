//! A repository in memory: its files, its tests, and patches between its texts.

use std::collections::BTreeMap;
use std::path::Path;

use similar::TextDiff;

use crate::mutate;
use crate::task::Parser;

/// A small repository whose tests pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Its name, the first part of its tasks' ids.
    pub name: String,
    /// Its text files, by path. Other files are copied to sandboxes but never changed.
    pub files: BTreeMap<String, String>,
    /// Where it lies on the host; embedded ones lie nowhere.
    pub root: Option<std::path::PathBuf>,
    /// The command that grades.
    pub test_command: String,
    /// The command that the expert runs: the same tests, perhaps in fewer words.
    pub expert_command: String,
    /// Who reads the grading command's output.
    pub parser: Parser,
    /// What is restored before grading.
    pub restore: Vec<String>,
}

impl Repository {
    /// Reads a directory; `.git` and files that are not UTF-8 are left out.
    pub(super) fn open(root: &Path, test_command: &str) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        read_dir(root, "", &mut files)?;
        let root = fs_err::canonicalize(root)?;
        let name = root.file_name().map_or("repo".to_owned(), |name| slug(&name.to_string_lossy()));
        let is_there = |dir: &&&str| files.keys().any(|path: &String| path.starts_with(&format!("{dir}/")));
        let restore =
            ["tests", "test", "t", "spec"].iter().filter(is_there).map(ToString::to_string).collect();
        Ok(Self {
            name,
            root: Some(root),
            test_command: test_command.to_owned(),
            expert_command: test_command.to_owned(),
            parser: Parser::Tap,
            restore,
            files,
        })
    }

    /// The files in which bugs are planted: sources that are not tests.
    pub fn sources(&self) -> BTreeMap<String, String> {
        let is_source = |path: &str| mutate::is_source(path) && !self.is_test(path);
        self.files.iter().filter(|(path, _)| is_source(path)).map(|(p, t)| (p.clone(), t.clone())).collect()
    }

    fn is_test(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let below = self.restore.iter().any(|dir| path.starts_with(&format!("{dir}/")) || path == dir);
        below || name.starts_with("test_") || name.contains("_test.") || name == "conftest.py"
    }

    /// Writes its files below `root`: a copy to start sandboxes from.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, root: &Path) -> anyhow::Result<()> {
        if let Some(source) = &self.root {
            return copy_dir(source, root);
        }
        for (path, text) in &self.files {
            let target = root.join(path);
            fs_err::create_dir_all(target.parent().unwrap_or(root))?;
            fs_err::write(target, text)?;
        }
        Ok(())
    }
}

fn read_dir(root: &Path, below: &str, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs_err::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && name != ".git" {
            read_dir(root, &path, files)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs_err::read(entry.path())?)
        {
            files.insert(path, text);
        }
    }
    Ok(())
}

fn copy_dir(source: &Path, target: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(target)?;
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, target.join(entry.file_name()));
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                copy_dir(&entry.path(), &to)?;
            }
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs_err::read_link(entry.path())?, to)?;
        } else {
            fs_err::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A file's name without directory and ending, as part of an id.
pub(super) fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    slug(name.split('.').next().unwrap_or(name))
}

fn slug(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(keep).collect::<String>().trim_matches('-').to_owned()
}

/// The patch from one text of a file to another, in git's format.
pub(super) fn patch(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let header = (format!("a/{path}"), format!("b/{path}"));
    let hunks = diff.unified_diff().context_radius(3).header(&header.0, &header.1).to_string();
    format!("diff --git a/{path} b/{path}\n{hunks}")
}
