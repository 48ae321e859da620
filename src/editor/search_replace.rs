//! SEARCH/REPLACE blocks: all edits of a reply in one text, each block below the path of its file.
//!
//! ```text
//! ### src/value.sh
//! <<<<<<< SEARCH
//! old lines
//! =======
//! new lines
//! >>>>>>> REPLACE
//! ```
//!
//! Guarantees that either every block applies or no file changes, that a block replaces whole lines which occur once, and
//! that line ends and a missing last one stay. An empty SEARCH makes a new file. What is wrong is said with the block's
//! number and what to do about it.

use std::collections::BTreeMap;

use super::{Files, Found, Outcome, absolute};

/// How a block begins, is divided and ends, each on a line of its own.
const MARKERS: [&str; 3] = ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"];
/// Places that are named when lines occur several times.
const PLACES: usize = 10;

/// One edit.
#[derive(Debug, PartialEq, Eq)]
struct Block<'t> {
    path: &'t str,
    search: Vec<&'t str>,
    replace: Vec<&'t str>,
}

pub(super) async fn perform<F: Files>(files: &mut F, text: &str) -> Result<Outcome, F::Error> {
    let blocks = match blocks(text) {
        Ok(blocks) => blocks,
        Err(error) => return Ok(failed(&error)),
    };
    // By absolute path: how the student calls it, and its bytes once the blocks so far are applied.
    let mut edited: BTreeMap<String, (&str, Vec<u8>, usize)> = BTreeMap::new();
    for (block_idx, block) in blocks.iter().enumerate() {
        let path = absolute(files, block.path).await?;
        let now = match edited.get(&path) {
            Some((_, bytes, _)) => Found::File(bytes.clone()),
            None => files.read(&path).await?,
        };
        match applied(block, now) {
            Ok(bytes) => {
                let entry = edited.entry(path).or_insert((block.path, Vec::new(), 0));
                (entry.1, entry.2) = (bytes, entry.2 + 1);
            }
            Err(error) => {
                let number = block_idx + 1;
                return Ok(failed(&format!(
                    "block {number}, `{}`: {error} No file was changed.",
                    block.path
                )));
            }
        }
    }
    let mut output = String::new();
    for (path, (name, bytes, count)) in &edited {
        if let Some(reason) = files.write(path, bytes).await? {
            return Ok(failed(&format!("{output}`{name}` cannot be written: {reason}.")));
        }
        let plural = if *count == 1 { "" } else { "s" };
        output.push_str(&format!("Edited {name} ({count} block{plural})\n"));
    }
    Ok(Outcome::done(output))
}

fn failed(error: &str) -> Outcome {
    Outcome::failed(format!("error: {error}\n"), 1)
}

/// Reads the blocks of a text; words around them are passed over.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let [begin, middle, end] = MARKERS;
    let (mut blocks, mut path) = (Vec::<Block<'_>>::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() != begin {
            path = named(line).or(path);
            continue;
        }
        let number = blocks.len() + 1;
        let path = path.ok_or_else(|| {
            format!("block {number} does not say its file. Write `### PATH` on the line above `{begin}`.")
        })?;
        let search = until(middle, &mut lines).ok_or_else(|| missing(number, path, middle))?;
        let replace = until(end, &mut lines).ok_or_else(|| missing(number, path, end))?;
        blocks.push(Block { path, search, replace });
    }
    if blocks.is_empty() {
        return Err(format!("there is no edit. Write a block from `{begin}` over `{middle}` to `{end}`."));
    }
    Ok(blocks)
}

fn missing(number: usize, path: &str, marker: &str) -> String {
    format!("block {number}, `{path}`: there is no line `{marker}`. No file was changed.")
}

/// The lines before `marker`; none where it never comes.
fn until<'t>(marker: &str, lines: &mut std::str::Lines<'t>) -> Option<Vec<&'t str>> {
    let mut part = Vec::new();
    for line in lines {
        if line.trim_end() == marker {
            return Some(part);
        }
        part.push(line);
    }
    None
}

/// The path that a line between blocks names, such as `### src/a.py`; a block without one edits the file of the one before.
fn named(line: &str) -> Option<&str> {
    let path = line.trim().trim_start_matches('#').trim().trim_matches('`').trim();
    let is_path = !path.is_empty() && !path.contains(char::is_whitespace);
    // What opens or closes a fence, such as "```python", is a word as well.
    (is_path && !line.trim_start().starts_with("```")).then_some(path)
}

/// The file after a block, or why it does not apply.
fn applied(block: &Block<'_>, now: Found) -> Result<Vec<u8>, String> {
    let replacement = |end: &str| -> String { block.replace.iter().flat_map(|line| [*line, end]).collect() };
    let bytes = match now {
        Found::Missing if block.search.is_empty() => return Ok(replacement("\n").into_bytes()),
        Found::Missing => {
            return Err("there is no such file. Check the path, or leave SEARCH empty to make it.".into());
        }
        Found::Directory => return Err("it is a directory. Name a file in it.".into()),
        Found::Refused(reason) => return Err(format!("it cannot be read: {reason}.")),
        Found::File(bytes) if bytes.is_empty() && block.search.is_empty() => {
            return Ok(replacement("\n").into_bytes());
        }
        Found::File(_) if block.search.is_empty() => {
            return Err("SEARCH is empty, which makes a new file, and the file exists. Copy the lines to replace from it.".into());
        }
        Found::File(bytes) => bytes,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text file.".to_owned())?;
    if block.search == block.replace {
        return Err("SEARCH and REPLACE are the same, so it changes nothing.".into());
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = place(&lines, &block.search)?;
    let (before, rest) = lines.split_at(first);
    let (replaced, after) = rest.split_at(block.search.len());
    let end = if replaced[0].ends_with("\r\n") { "\r\n" } else { "\n" };
    let mut new = replacement(end);
    if after.is_empty() && !text.ends_with('\n') {
        new.truncate(new.trim_end_matches('\n').trim_end_matches('\r').len());
    }
    Ok([before.concat(), new, after.concat()].concat().into_bytes())
}

/// Where `search` occurs in `lines`, from 0.
fn place(lines: &[&str], search: &[&str]) -> Result<usize, String> {
    let all = |same: fn(&str, &str) -> bool| -> Vec<usize> {
        let fits = |at: &(usize, &[&str])| at.1.iter().zip(search).all(|(line, wanted)| same(line, wanted));
        lines.windows(search.len()).enumerate().filter(fits).map(|(first, _)| first).collect()
    };
    let exact = all(|line, wanted| line.trim_end_matches(['\n', '\r']) == wanted.trim_end_matches('\r'));
    match exact[..] {
        [only] => Ok(only),
        [] => {
            let blurred = all(|line, wanted| line.trim() == wanted.trim());
            Err(match blurred.first() {
                Some(first) => format!(
                    "the SEARCH lines are not in the file; those from line {} on differ in white space only. Copy them as \
                     they are.",
                    first + 1
                ),
                None => "the SEARCH lines are not in the file. Copy them from it, whole lines and nothing left out.".into(),
            })
        }
        _ => {
            let places: Vec<String> =
                exact.iter().take(PLACES).map(|first| (first + 1).to_string()).collect();
            Err(format!(
                "the SEARCH lines occur {} times, from the lines {} on. Add lines around them until they occur once.",
                exact.len(),
                places.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;

    use super::*;

    /// Files by absolute path; the agent is in `/w`.
    struct Desk(BTreeMap<String, String>);

    #[async_trait]
    impl Files for Desk {
        type Error = String;

        async fn read(&mut self, path: &str) -> Result<Found, String> {
            Ok(self.0.get(path).map_or(Found::Missing, |text| Found::File(text.clone().into_bytes())))
        }

        async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Option<String>, String> {
            self.0.insert(path.to_owned(), String::from_utf8(bytes.to_vec()).unwrap());
            Ok(None)
        }

        async fn run(&mut self, _script: &str) -> Result<String, String> {
            Ok("/w\n".to_owned())
        }
    }

    fn block(path: &str, search: &str, replace: &str) -> String {
        format!("### {path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n")
    }

    /// What is said, and what `a` holds afterwards.
    async fn edit(a: &str, text: &str) -> (Outcome, String) {
        let mut files = Desk(BTreeMap::from([("/w/a".to_owned(), a.to_owned())]));
        let outcome = perform(&mut files, text).await.unwrap();
        (outcome, files.0.remove("/w/a").unwrap())
    }

    #[tokio::test]
    async fn a_block_replaces_whole_lines_and_leaves_the_ends_of_lines_as_they_are() {
        for (before, search, replace, after) in [
            ("1\n2\n3\n", "2\n", "b\nc\n", "1\nb\nc\n3\n"),
            ("1\n2\n3\n", "2\n3\n", "", "1\n"),
            ("1\r\n2\r\n", "2\n", "b\n", "1\r\nb\r\n"),
            ("1\n2", "2\n", "b\n", "1\nb"),
            ("12\n2\n", "2\n", "b\n", "12\nb\n"),
            ("=\n====\n", "====\n", "x\n", "=\nx\n"),
        ] {
            let (outcome, a) = edit(before, &block("a", search, replace)).await;
            assert_eq!((outcome.code, a.as_str()), (0, after), "{before:?} {outcome:?}");
        }
    }

    #[tokio::test]
    async fn blocks_of_a_file_apply_one_after_the_other_and_may_stand_in_fences() {
        let second = block("a", "b\n", "c\n").replace("### a\n", "");
        let text = format!("First:\n```\n{}```\nthen\n\n```sh\n{second}```\n", block("`a`", "2\n", "b\n"));
        // `then` is one word, as a path would be.
        let text = text.replace("then\n", "and then that\n");
        let (outcome, a) = edit("1\n2\n", &text).await;
        assert_eq!((outcome, a.as_str()), (Outcome::done("Edited a (2 blocks)\n"), "1\nc\n"));
    }

    #[tokio::test]
    async fn what_does_not_apply_is_said_and_changes_nothing() {
        let good = block("a", "1\n", "one\n");
        for (text, said) in [
            ("I give up.".to_owned(), "there is no edit."),
            (good.replace("### a\n", ""), "block 1 does not say its file."),
            (good.replace("=======\n", ""), "block 1, `a`: there is no line `=======`."),
            (good.replace(">>>>>>> REPLACE", ""), "there is no line `>>>>>>> REPLACE`."),
            (
                format!("{good}{}", block("a", "9\n", "x\n")),
                "block 2, `a`: the SEARCH lines are not in the file.",
            ),
            (
                format!("{good}{}", block("a", "2\n", "x\n")),
                "the SEARCH lines occur 2 times, from the lines 2, 4 on.",
            ),
            (block("a", " 1\n", "x\n"), "those from line 1 on differ in white space only."),
            (block("a", "1\n", "1\n"), "SEARCH and REPLACE are the same"),
            (block("a", "", "1\n"), "SEARCH is empty"),
            (block("b", "1\n", "x\n"), "block 1, `b`: there is no such file."),
        ] {
            let (outcome, a) = edit("1\n2\n3\n2\n", &text).await;
            assert!(outcome.code == 1 && outcome.output.contains(said), "{text}\n{}", outcome.output);
            assert_eq!(a, "1\n2\n3\n2\n", "{text}");
        }
    }

    #[tokio::test]
    async fn an_empty_search_makes_a_file() {
        let mut files = Desk(BTreeMap::new());
        let outcome = perform(&mut files, &block("new/b", "", "1\n")).await.unwrap();
        assert_eq!((outcome.code, files.0["/w/new/b"].as_str()), (0, "1\n"));
    }
}
