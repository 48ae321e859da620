//! What the base's `.gitignore` files ignore.
//!
//! Guarantees that only files of the base decide: neither a `.gitignore` that the student wrote, nor
//! `.git/info/exclude`, nor anyone's configuration.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The name of the files that say it.
const NAME: &str = ".gitignore";

/// The rules of a base, by the directory whose `.gitignore` holds them.
#[derive(Debug, Default)]
pub struct Rules(BTreeMap<String, Gitignore>);

impl Rules {
    /// Reads the rules of a directory of the host.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_tree(tree: &Path) -> io::Result<Self> {
        let mut rules = Self::default();
        let mut pending = vec![String::new()];
        while let Some(directory) = pending.pop() {
            for entry in fs_err::read_dir(tree.join(&directory))? {
                let entry = entry?;
                // A name that is no text is in no patch.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let kind = entry.file_type()?;
                if kind.is_dir() && name != ".git" {
                    pending.push(if directory.is_empty() { name } else { format!("{directory}/{name}") });
                } else if kind.is_file() && name == NAME {
                    rules.add(&directory, &fs_err::read(entry.path())?);
                }
            }
        }
        Ok(rules)
    }

    /// Whether a path is where rules stand.
    pub fn stand_at(path: &str) -> bool {
        path == NAME || path.strip_suffix(NAME).is_some_and(|directory| directory.ends_with('/'))
    }

    /// Adds what the `.gitignore` of `directory` says. As in git, a line that is no pattern counts for nothing.
    pub fn add(&mut self, directory: &str, contents: &[u8]) {
        let text = String::from_utf8_lossy(contents);
        let mut builder = GitignoreBuilder::new(directory);
        builder.allow_unclosed_class(false);
        for line in text.trim_start_matches('\u{feff}').lines() {
            drop(builder.add_line(None, line));
        }
        if let Ok(rules) = builder.build() {
            self.0.insert(directory.to_owned(), rules);
        }
    }

    /// Whether a file that the base does not hold is ignored.
    pub fn ignore(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        // What lies in an ignored directory stays ignored, whatever is said of itself.
        ends.into_iter().any(|end| self.name(&path[..end], end < path.len()))
    }

    /// Whether the rule that counts for a path, the last of the deepest directory, ignores it.
    fn name(&self, path: &str, is_directory: bool) -> bool {
        let above = path.rmatch_indices('/').map(|(end, _)| &path[..end]).chain([""]);
        let said = above.filter_map(|directory| self.0.get(directory)).find_map(|rules| {
            match rules.matched(path, is_directory) {
                Match::None => None,
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
            }
        });
        said.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What git itself says of the same files is the standard.
    #[test]
    fn git_ignores_the_same() {
        const RULES: [(&str, &str); 3] = [
            (
                "",
                "\u{feff}*.pyc\n__pycache__/\n/build\n!keep.pyc\n# no\n\\#yes\ndoc/**/out\ntrail \nspace\\ \nlogs/*\n!logs/keep\n*.[oa]\n[bad\n",
            ),
            ("sub", "/local\r\n!*.pyc\n*.log\n"),
            ("sub/deep", "*\n!*.txt\n"),
        ];
        const PATHS: [&str; 28] = [
            "a.pyc",
            "keep.pyc",
            "x/keep.pyc",
            "__pycache__/x",
            "x/__pycache__/y/z",
            "__pycache__",
            "build",
            "build/x",
            "x/build",
            "#yes",
            "# no",
            "doc/out",
            "doc/a/b/out",
            "doc/a/b/out/x",
            "trail",
            "space ",
            "logs/a",
            "logs/keep",
            "m.o",
            "m.c",
            "[bad",
            "sub/local",
            "sub/x/local",
            "sub/a.pyc",
            "sub/a.log",
            "a.log",
            "sub/deep/a",
            "sub/deep/a.txt",
        ];
        let dir = tempfile::tempdir().unwrap();
        for (directory, text) in RULES {
            fs_err::create_dir_all(dir.path().join(directory)).unwrap();
            fs_err::write(dir.path().join(directory).join(NAME), text).unwrap();
        }
        let rules = Rules::of_tree(dir.path()).unwrap();
        let git = |args: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "core.excludesFile=/dev/null"]).args(args).current_dir(dir.path());
            git.env("HOME", dir.path()).output().unwrap().status.code().unwrap()
        };
        assert_eq!(git(&["init", "-q"]), 0);
        for path in PATHS {
            assert_eq!(rules.ignore(path), git(&["check-ignore", "-q", "--", path]) == 0, "{path}");
        }
    }

    #[test]
    fn rules_stand_in_files_of_that_name_only() {
        assert!(Rules::stand_at(".gitignore") && Rules::stand_at("a/.gitignore"));
        assert!(!Rules::stand_at("x.gitignore") && !Rules::stand_at("a/.gitignore/b"));
    }
}
