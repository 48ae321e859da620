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
    /// Commands that prepare a sandbox, once.
    pub setup: Vec<String>,
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
        let restore = tests(&files);
        Ok(Self {
            name,
            root: Some(root),
            setup: Vec::new(),
            test_command: test_command.to_owned(),
            expert_command: test_command.to_owned(),
            parser: Parser::Tap,
            restore,
            files,
        })
    }

    /// The files in which bugs are planted: sources that are no tests, and neither foreign nor about the building.
    pub fn sources(&self) -> BTreeMap<String, String> {
        let is_source = |path: &str| mutate::is_source(path) && !is_aside(path) && !self.is_test(path);
        self.files.iter().filter(|(path, _)| is_source(path)).map(|(p, t)| (p.clone(), t.clone())).collect()
    }

    /// Whether it is a test or belongs to the tests.
    pub(super) fn is_test(&self, path: &str) -> bool {
        let below = self.restore.iter().any(|dir| path.starts_with(&format!("{dir}/")) || path == dir);
        below || is_test_file(path)
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

/// Directories of tests.
const TESTS: [&str; 5] = ["tests", "test", "t", "spec", "__tests__"];
/// Directories of what is not the library's own, or not the library.
const ASIDE: [&str; 12] = [
    "vendor",
    "node_modules",
    "third_party",
    "target",
    "build",
    "docs",
    "doc",
    "examples",
    "benches",
    "benchmarks",
    "fuzz",
    "debian",
];

/// The topmost directories of tests, and the files of tests outside of them.
fn tests(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for path in files.keys() {
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..parts.len() - 1].iter().position(|part| TESTS.contains(part)) {
            Some(depth) => found.insert(parts[..=depth].join("/")),
            None if is_test_file(path) => found.insert(path.clone()),
            None => false,
        };
    }
    found.into_iter().collect()
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let is_marked = stem.starts_with("test_") || stem.ends_with("_test") || stem == "tests" || stem == "test";
    let is_infix = name.contains(".test.") || name.contains(".spec.");
    mutate::is_source(path) && (is_marked || is_infix) || name == "conftest.py"
}

fn is_aside(path: &str) -> bool {
    const BUILDS: [&str; 4] = ["setup.py", "build.rs", "noxfile.py", "conf.py"];
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or(path);
    BUILDS.contains(&name) || parts.iter().any(|part| ASIDE.contains(part) || part.starts_with('.'))
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
