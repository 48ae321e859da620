//! Files shown whole, for students who see no sandbox: those that they name, those that a task is about, and the list of
//! all paths.
//!
//! Guarantees the same text of a file wherever it is shown. Does not bound how much: the scaffold does.

use super::{Files, Found, Outcome, absolute};

/// Files that a student may ask for at once.
const MOST: usize = 5;
/// Lists what is not git's own, regular files only.
const LIST: &str = "find . -type d -name .git -prune -o -type f -print";

/// Shows the files that a text names, one a line.
pub(super) async fn named<F: Files>(files: &mut F, text: &str) -> Result<Outcome, F::Error> {
    let paths: Vec<&str> = text.lines().map(path).filter(|path| !path.is_empty()).collect();
    let (mut output, mut found) = (String::new(), 0);
    for path in paths.iter().take(MOST) {
        let shown = one(files, path).await?;
        found += usize::from(shown.is_ok());
        output.push_str(&shown.unwrap_or_else(|error| format!("### {path}\n({error})\n")));
    }
    if MOST < paths.len() {
        output.push_str(&format!("(only the first {MOST} files are shown)\n"));
    }
    Ok(if found == 0 { Outcome::failed(output, 1) } else { Outcome::done(output) })
}

/// The path of a line: a list's mark and quotes are passed over.
fn path(line: &str) -> &str {
    let line = line.trim().trim_start_matches(['-', '*', '#']).trim();
    line.strip_prefix("```").map_or_else(|| line.trim_matches('`'), |_| "")
}

/// Those of `paths` that are there, whole.
///
/// # Errors
/// Only when the machine fails.
pub async fn show<F: Files>(files: &mut F, paths: &[&str]) -> Result<String, F::Error> {
    let mut output = String::new();
    for path in paths {
        output.push_str(&one(files, path).await?.unwrap_or_default());
    }
    Ok(output)
}

/// Every regular file below the agent's directory, one a line, sorted; what is git's own is left out.
///
/// # Errors
/// Only when the machine fails.
pub async fn structure<F: Files>(files: &mut F) -> Result<String, F::Error> {
    let listed = files.run(LIST).await?;
    let mut paths: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("./")).collect();
    paths.sort_unstable();
    Ok(paths.into_iter().flat_map(|path| [path, "\n"]).collect())
}

/// A file with its path above it, or why it is not shown.
async fn one<F: Files>(files: &mut F, path: &str) -> Result<Result<String, String>, F::Error> {
    let place = absolute(files, path).await?;
    Ok(match files.read(&place).await? {
        Found::File(bytes) if bytes.contains(&0) => Err("it is binary".to_owned()),
        Found::File(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Ok(format!("### {path}\n```\n{text}{end}```\n"))
        }
        Found::Directory => Err("it is a directory".to_owned()),
        Found::Missing => Err("there is no such file".to_owned()),
        Found::Refused(reason) => Err(format!("it cannot be read: {reason}")),
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// Holds `/w/a` and `/w/b`; the agent is in `/w`.
    struct Two;

    #[async_trait]
    impl Files for Two {
        type Error = String;

        async fn read(&mut self, path: &str) -> Result<Found, String> {
            Ok(match path {
                "/w/a" => Found::File(b"1\n".to_vec()),
                "/w/b" => Found::File(b"2".to_vec()),
                "/w" => Found::Directory,
                _ => Found::Missing,
            })
        }

        async fn write(&mut self, _path: &str, _bytes: &[u8]) -> Result<Option<String>, String> {
            Ok(None)
        }

        async fn run(&mut self, script: &str) -> Result<String, String> {
            Ok(if script == LIST { "./b\n./a\n" } else { "/w\n" }.to_owned())
        }
    }

    #[tokio::test]
    async fn files_are_shown_alike_whoever_names_them() {
        let both = "### a\n```\n1\n```\n### b\n```\n2\n```\n";
        assert_eq!(show(&mut Two, &["a", "new", "b"]).await.unwrap(), both);
        assert_eq!(named(&mut Two, "- a\n\n- `b`\n").await.unwrap(), Outcome::done(both));
        assert_eq!(structure(&mut Two).await.unwrap(), "a\nb\n");
    }

    #[tokio::test]
    async fn a_student_that_names_no_file_is_told_so() {
        let outcome = named(&mut Two, "c\n.\n").await.unwrap();
        assert_eq!(outcome.output, "### c\n(there is no such file)\n### .\n(it is a directory)\n");
        assert_eq!(outcome.code, 1);
        let many = named(&mut Two, "a\nb\na\nb\na\nb\n").await.unwrap();
        assert!(many.output.ends_with("(only the first 5 files are shown)\n"), "{}", many.output);
    }
}
