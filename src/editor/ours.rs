//! `str_replace_editor` of our own, for students: the same five commands without the faults of the others.
//!
//! Guarantees that an edit changes what was asked for and nothing else: no tab is expanded, line ends of the file are
//! kept, a missing last line end stays missing, bytes that are no UTF-8 survive. A file is replaced as a whole or not
//! at all, keeps its mode and stays behind its link. Every edit can be taken back, a creation too. What goes wrong is
//! said with what to do about it.

use std::sync::Arc;

use super::call::Call;
use super::history::Before;
use super::{Files, Found, Outcome, State, absolute, quoted};

/// Characters of a file that are shown.
const MOST: usize = 16_000;
/// Entries of a directory that are shown.
const ENTRIES: usize = 400;
/// Lines shown around an edit.
const AROUND: usize = 4;
/// Edits of a file that can be taken back.
const PAST: usize = 100;
/// Places that are named when a text occurs several times.
const PLACES: usize = 20;

/// What a sub-command gives, or what is wrong and what to do about it.
type Said = Result<String, String>;

pub(super) async fn perform<F: Files>(
    files: &mut F,
    state: &mut State,
    call: &Call,
) -> Result<Outcome, F::Error> {
    let said = match call.words.first() {
        Some(path) => {
            let path = absolute(files, path).await?;
            Editor { files, state, path }.run(call).await?
        }
        None => Err("which file? Give a path after the command.".to_owned()),
    };
    Ok(match said {
        Ok(output) => Outcome::done(output),
        Err(error) => Outcome::failed(format!("error: {error}\n"), 1),
    })
}

struct Editor<'a, F> {
    files: &'a mut F,
    state: &'a mut State,
    /// Absolute.
    path: String,
}

impl<F: Files> Editor<'_, F> {
    async fn run(&mut self, call: &Call) -> Result<Said, F::Error> {
        let flag = |name: &str| call.flags.get(name).map(String::as_str);
        let required = |name: &str| flag(name).ok_or_else(|| format!("`{}` needs `--{name}`.", call.name));
        let found = self.files.read(&self.path).await?;
        match (call.name.as_str(), found) {
            ("view", Found::Directory) => self.view_directory(flag("view_range")).await,
            ("undo_edit", found) => self.undo(found).await,
            ("create", found) => match required("file_text") {
                Ok(text) => self.create(found, text).await,
                Err(error) => Ok(Err(error)),
            },
            (command @ ("view" | "str_replace" | "insert"), found) => {
                let bytes = match self.bytes(found) {
                    Ok(bytes) => bytes,
                    Err(error) => return Ok(Err(error)),
                };
                let edit = match command {
                    "view" => return Ok(self.view(&bytes, flag("view_range"))),
                    "str_replace" => required("old_str").and_then(|old| {
                        replaced(&bytes, old, flag("new_str").unwrap_or_default(), &self.path)
                    }),
                    _ => required("insert_line")
                        .and_then(|line| inserted(&bytes, line, required("new_str")?, &self.path)),
                };
                match edit {
                    Ok(edit) => self.write(&bytes, &edit).await,
                    Err(error) => Ok(Err(error)),
                }
            }
            (command, _) => Ok(Err(format!(
                "there is no command `{command}`. Use view, create, str_replace, insert or undo_edit."
            ))),
        }
    }

    fn bytes(&self, found: Found) -> Result<Vec<u8>, String> {
        let path = &self.path;
        match found {
            Found::File(bytes) if bytes.contains(&0) => {
                Err(format!("`{path}` is binary. Look at it with `file` or `xxd`, edit it with a program."))
            }
            Found::File(bytes) => Ok(bytes),
            Found::Directory => {
                Err(format!("`{path}` is a directory. Name a file in it; `view` lists them."))
            }
            Found::Missing => Err(format!(
                "`{path}` does not exist. Check the path with `view` on its directory, or `create` it."
            )),
            Found::Refused(reason) => {
                Err(format!("`{path}` cannot be read: {reason}. Look at it with `ls -l`."))
            }
        }
    }

    fn view(&self, bytes: &[u8], range: Option<&str>) -> Said {
        let lines = lines(bytes);
        let total = lines.len();
        let (first, last) = match range {
            None => (1, total),
            Some(range) => span(range, total, &self.path)?,
        };
        let mut said = format!("{} ({})\n", self.path, describe(bytes, total));
        let (shown, upto) = numbered(&lines, first, last);
        said.push_str(&shown);
        if upto < last {
            said.push_str(&format!(
                "(lines {} to {last} are not shown; see them with `--view_range {} {last}`)\n",
                upto + 1,
                upto + 1
            ));
        }
        Ok(said)
    }

    async fn view_directory(&mut self, range: Option<&str>) -> Result<Said, F::Error> {
        let path = &self.path;
        if range.is_some() {
            return Ok(Err(format!("`{path}` is a directory. Leave `--view_range` out.")));
        }
        let inside = r"-not -path '*/.*'";
        let find = |what: &str| format!("(cd {} && find . -mindepth 1 -maxdepth 2 {what})", quoted(path));
        let all = self
            .files
            .run(&find(&format!("{inside} -type d -exec printf '%s/\\n' {{}} + -o {inside} -print")))
            .await?;
        let hidden = self.files.run(&find(r"-maxdepth 1 -name '.*'")).await?.lines().count();
        let mut all: Vec<&str> = all.lines().map(|line| line.strip_prefix("./").unwrap_or(line)).collect();
        all.sort_unstable();
        let mut said =
            format!("{path}/ ({} entries two levels deep, {hidden} hidden ones left out)\n", all.len());
        for entry in all.iter().take(ENTRIES) {
            said.push_str(&format!("{entry}\n"));
        }
        if ENTRIES < all.len() {
            said.push_str(&format!("({} more; view a directory in it)\n", all.len() - ENTRIES));
        }
        Ok(Ok(said))
    }

    async fn create(&mut self, found: Found, text: &str) -> Result<Said, F::Error> {
        let path = self.path.clone();
        if found != Found::Missing {
            return Ok(Err(format!(
                "`{path}` exists. Change it with str_replace or insert, or remove it first with `rm`."
            )));
        }
        if let Err(error) = self.put(text.as_bytes()).await? {
            return Ok(Err(error));
        }
        self.state.history.push(&path, Before::Missing, PAST);
        let lines = lines(text.as_bytes()).len();
        Ok(Ok(format!("Created {path} ({})\n", describe(text.as_bytes(), lines))))
    }

    async fn write(&mut self, before: &[u8], edit: &Edit) -> Result<Said, F::Error> {
        if let Err(error) = self.put(&edit.bytes).await? {
            return Ok(Err(error));
        }
        self.state.history.push(&self.path, Before::File(Arc::from(before)), PAST);
        let lines = lines(&edit.bytes);
        let first = edit.first.saturating_sub(AROUND).max(1);
        let last = (edit.last + AROUND).min(lines.len());
        let (shown, _) = numbered(&lines, first, last);
        Ok(Ok(format!("Edited {} ({})\n{shown}", self.path, describe(&edit.bytes, lines.len()))))
    }

    async fn undo(&mut self, found: Found) -> Result<Said, F::Error> {
        let path = self.path.clone();
        if found == Found::Directory {
            return Ok(Err(format!("`{path}` is a directory. Name the file whose edit is taken back.")));
        }
        let said = match self.state.history.pop(&path) {
            None => {
                return Ok(Err(format!("no edit of `{path}` is left to take back. Edit it, or use git.")));
            }
            Some(Before::Missing) => {
                let trouble = self.files.run(&format!("rm -f -- {} 2>&1", quoted(&path))).await?;
                if !trouble.is_empty() {
                    self.state.history.push(&path, Before::Missing, PAST);
                    return Ok(Err(format!("`{path}` cannot be removed: {}", trouble.trim_end())));
                }
                format!("Took back the creation of {path}\n")
            }
            Some(Before::File(bytes)) => {
                if let Err(error) = self.put(&bytes).await? {
                    self.state.history.push(&path, Before::File(bytes), PAST);
                    return Ok(Err(error));
                }
                format!("Took back the last edit of {path} ({})\n", describe(&bytes, lines(&bytes).len()))
            }
        };
        Ok(Ok(said))
    }

    /// Replaces the file as a whole: what reads it sees the old text or the new one.
    async fn put(&mut self, bytes: &[u8]) -> Result<Result<(), String>, F::Error> {
        let path = &self.path;
        let target = self.files.run(&format!("readlink -f -- {0} || printf '%s' {0}", quoted(path))).await?;
        let target = target.trim_end_matches('\n');
        let (directory, name) = target.rsplit_once('/').unwrap_or(("", target));
        let fresh = format!("{directory}/.{name}.new");
        if let Some(reason) = self.files.write(&fresh, bytes).await? {
            return Ok(Err(format!("`{path}` cannot be written: {reason}. Look at it with `ls -ld`.")));
        }
        let (target, fresh) = (quoted(target), quoted(&fresh));
        let moved = format!(
            "{{ [ ! -e {target} ] || chmod --reference={target} -- {fresh}; }} && mv -fT -- {fresh} {target} || rm -f -- {fresh}"
        );
        let trouble = self.files.run(&format!("({moved}) 2>&1")).await?;
        Ok(if trouble.is_empty() {
            Ok(())
        } else {
            Err(format!("`{path}` cannot be written: {}", trouble.trim_end()))
        })
    }
}

/// A file after an edit, and the lines, from 1, that hold what is new.
struct Edit {
    bytes: Vec<u8>,
    first: usize,
    last: usize,
}

/// Lines with their ends; an empty file has none.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// Whether every line of the file ends as on Windows.
fn is_crlf(bytes: &[u8]) -> bool {
    let ends = line_ends(bytes);
    0 < ends && ends == bytes.windows(2).filter(|pair| pair == b"\r\n").count()
}

fn describe(bytes: &[u8], total: usize) -> String {
    let mut words = vec![format!("{total} line{}", if total == 1 { "" } else { "s" })];
    words.extend(is_crlf(bytes).then(|| "line ends are CRLF".to_owned()));
    words.extend(
        (!bytes.is_empty() && !bytes.ends_with(b"\n")).then(|| "no line end after the last line".to_owned()),
    );
    words.extend(std::str::from_utf8(bytes).is_err().then(|| "not UTF-8".to_owned()));
    words.join(", ")
}

/// Lines with their numbers as far as they fit, at least one, and the last of them.
fn numbered(lines: &[&[u8]], first: usize, last: usize) -> (String, usize) {
    let (mut shown, mut room) = (String::new(), MOST);
    for number in first..=last {
        let line = String::from_utf8_lossy(lines[number - 1]);
        let line = line.trim_end_matches('\n').trim_end_matches('\r');
        let width = line.chars().count();
        if room < width && number != first {
            return (shown, number - 1);
        }
        room = room.saturating_sub(width);
        let cut: String = line.chars().take(MOST).collect();
        let more = if cut.len() < line.len() { " …(cut)" } else { "" };
        shown.push_str(&format!("{number:6}\t{cut}{more}\n"));
    }
    (shown, last)
}

/// The lines that a range names; its end is moved to the file's.
fn span(range: &str, total: usize, path: &str) -> Result<(usize, usize), String> {
    let words = range.split([' ', ',', '[', ']']).filter(|word| !word.is_empty());
    let ends: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
    let &[first, last] = ends.as_slice() else {
        return Err(
            "`--view_range` takes two numbers, such as `--view_range 10 40`; -1 is the last line.".to_owned()
        );
    };
    let last = if last == -1 { total as i64 } else { last.min(total as i64) };
    if first < 1 || total as i64 + i64::from(total == 0) < first {
        return Err(format!("`{path}` has {total} lines. Start the range at 1 to {}.", total.max(1)));
    }
    // An empty file has a range from 1 to its end, which holds no line.
    if last < first && (total != 0 || last < 0) {
        return Err(format!("the range ends at {last}, before it starts at {first}. Swap its ends."));
    }
    Ok((first as usize, last as usize))
}

/// `text` with the line ends that the file has.
fn fitting(text: &str, bytes: &[u8]) -> Vec<u8> {
    let text =
        if is_crlf(bytes) { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() };
    text.into_bytes()
}

fn replaced(bytes: &[u8], old: &str, new: &str, path: &str) -> Result<Edit, String> {
    if old.is_empty() {
        return Err("`--old_str` is empty. Give the text to replace, or use insert.".to_owned());
    }
    let (fitted, new) = (fitting(old, bytes), fitting(new, bytes));
    if fitted == new {
        return Err("`--old_str` and `--new_str` are the same. Nothing would change.".to_owned());
    }
    let places: Vec<usize> = places(bytes, &fitted);
    let line = |at: usize| line_ends(&bytes[..at]) + 1;
    let &[at] = places.as_slice() else {
        return Err(match places.as_slice() {
            [] => not_found(bytes, old, path),
            places => {
                let named: Vec<String> = places.iter().take(PLACES).map(|at| line(*at).to_string()).collect();
                let more = if PLACES < places.len() { ", …" } else { "" };
                format!(
                    "`--old_str` occurs {} times in `{path}`, at lines {}{more}. Add lines around it until it occurs once.",
                    places.len(),
                    named.join(", ")
                )
            }
        });
    };
    let edited = [&bytes[..at], &new, &bytes[at + fitted.len()..]].concat();
    let first = line(at);
    let last = first + line_ends(&new);
    let total = lines(&edited).len();
    Ok(Edit { bytes: edited, first: first.min(total.max(1)), last: last.min(total) })
}

/// Every place, also those that overlap: a text that could be meant in two ways is not unique.
fn places(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let start = wanted[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == start).map(|(at, _)| at);
    starts.filter(|at| bytes[*at..].starts_with(wanted)).collect()
}

/// What is nearest to a text that does not occur.
fn not_found(bytes: &[u8], old: &str, path: &str) -> String {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = old.lines().map(squeezed).filter(|line| !line.is_empty()).collect();
    let text = String::from_utf8_lossy(bytes);
    let there: Vec<(usize, String)> =
        text.lines().map(squeezed).enumerate().filter(|(_, line)| !line.is_empty()).collect();
    let is_alike = |window: &&[(usize, String)]| window.iter().map(|(_, line)| line).eq(&wanted);
    let alike = (!wanted.is_empty()).then(|| there.windows(wanted.len()).find(is_alike)).flatten();
    match alike {
        Some(window) => format!(
            "`--old_str` does not occur in `{path}`, but line {} and what follows differ from it in white space only. \
             Copy them from `view` as they are, without the numbers.",
            window[0].0 + 1
        ),
        None => {
            format!("`--old_str` does not occur in `{path}`. Look at the file with `view` and copy the text.")
        }
    }
}

fn inserted(bytes: &[u8], line: &str, new: &str, path: &str) -> Result<Edit, String> {
    let lines = lines(bytes);
    let total = lines.len();
    let at = line.trim().parse::<usize>().ok().filter(|at| *at <= total).ok_or_else(|| {
        format!(
            "`--insert_line` is {line}, and `{path}` has {total} lines. Give 0 (before the first) to {total}."
        )
    })?;
    if new.is_empty() {
        return Err("`--new_str` is empty. Give the lines to insert; an empty line is a line end.".to_owned());
    }
    let mut new = fitting(new, bytes);
    let end: &[u8] = if is_crlf(bytes) { b"\r\n" } else { b"\n" };
    let is_open = !bytes.is_empty() && !bytes.ends_with(b"\n");
    let before = lines[..at].concat();
    if at == total && is_open {
        // The last line gets an end, and what follows it now lacks one in its place.
        if new.ends_with(b"\n") {
            new.truncate(new.len() - end.len().min(new.len()));
        }
        new = [end, &new].concat();
    } else if !new.ends_with(b"\n") {
        new.extend(end);
    }
    let n_new = line_ends(&new);
    let edited = [before, new, lines[at..].concat()].concat();
    Ok(Edit { bytes: edited, first: at + 1, last: at + n_new })
}
