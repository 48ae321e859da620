//! `str_replace_editor` as OpenHands ships it (the package openhands-aci, 0.3).
//!
//! Its quirks are kept: an insertion after a last line without end runs into it, line ends of others become `\n` on an
//! edit, an insertion takes the execute bit, what does not occur is looked for again without the white space around
//! it, taking back a creation changes nothing, and the file before the tenth edit is forgotten. Documents (.pdf, .docx)
//! are not converted, and text that is neither UTF-8 nor Latin-1 is not guessed at: docs/editors.md lists both.

use std::sync::Arc;

use super::call::Call;
use super::history::Before;
use super::python::{self, Encoding};
use super::{Files, Found, Outcome, State, directory, quoted};

/// Characters of a file or a directory that are shown.
const MOST: usize = 16_000;
/// Lines shown around an edit.
const AROUND: usize = 4;
/// Edits of a file that can be taken back.
const PAST: usize = 10;
/// Larger files are refused.
const FILE_MIB: usize = 10;
const FILE_NOTICE: &str = "<response clipped><NOTE>Due to the max output limit, only part of this file has been \
shown to you. You should retry this tool after you have searched inside the file with `grep -n` in order to find the \
line numbers of what you are looking for.</NOTE>";
const DIRECTORY_NOTICE: &str = "<response clipped><NOTE>Due to the max output limit, only part of this directory \
has been shown to you. You should use `ls -la` instead to view large directories incrementally.</NOTE>";
const NOTICE: &str = "<response clipped><NOTE>Due to the max output limit, only part of the full response has been \
shown to you.</NOTE>";
/// Documents that the original converts.
const DOCUMENTS: [&str; 8] = ["docx", "xlsx", "pptx", "pdf", "mp3", "wav", "m4a", "flac"];

/// What a sub-command gives, or the error that it gives instead.
type Said = Result<String, String>;

pub(super) async fn perform<F: Files>(
    files: &mut F,
    state: &mut State,
    call: &Call,
) -> Result<Outcome, F::Error> {
    let said = match call.words.first() {
        Some(path) => Editor { files, state, path: python::path(path) }.run(call).await?,
        None => Err("str_replace_editor needs a `path`.".to_owned()),
    };
    Ok(match said {
        Ok(output) => Outcome::done(output),
        Err(error) => Outcome::failed(format!("ERROR:\n{error}"), 1),
    })
}

struct Editor<'a, F> {
    files: &'a mut F,
    state: &'a mut State,
    /// As the original writes it.
    path: String,
}

/// A file's text with the line ends that Python gives it.
struct Text {
    content: String,
    encoding: Encoding,
    mark: &'static [u8],
}

impl Text {
    fn lines(&self) -> Vec<&str> {
        self.content.split_inclusive('\n').collect()
    }

    fn encode(&self, text: &str) -> Vec<u8> {
        [self.mark, &python::encode(text, self.encoding)].concat()
    }
}

const MARK: &[u8] = b"\xef\xbb\xbf";

fn decoded(mut bytes: Vec<u8>) -> Text {
    let mark = if bytes.starts_with(MARK) { MARK } else { &[] };
    bytes.drain(..mark.len());
    let (content, encoding) = python::decode(bytes);
    Text { content, encoding, mark }
}

impl<F: Files> Editor<'_, F> {
    async fn run(&mut self, call: &Call) -> Result<Said, F::Error> {
        let found = match self.checked(&call.name).await? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let flag = |name: &str| call.flags.get(name).map(String::as_str);
        let required = |name: &str| {
            flag(name).ok_or_else(|| format!("Parameter `{name}` is required for command: {}.", call.name))
        };
        match call.name.as_str() {
            "view" if found == Found::Directory => self.view_directory(flag("view_range")).await,
            "view" => Ok(self.text(found).and_then(|text| self.view(&text, flag("view_range")))),
            "create" => match required("file_text") {
                Ok(text) => self.create(text).await,
                Err(error) => Ok(Err(error)),
            },
            "str_replace" => match required("old_str") {
                Ok(old) => self.str_replace(found, old, flag("new_str")).await,
                Err(error) => Ok(Err(error)),
            },
            "insert" => match required("insert_line").and_then(|line| Ok((line, required("new_str")?))) {
                Ok((line, new)) => self.insert(found, line, new).await,
                Err(error) => Ok(Err(error)),
            },
            "undo_edit" => self.undo(found).await,
            command => Ok(Err(format!(
                "Unrecognized command {command}. The allowed commands for the oh_editor tool are: view, create, \
                 str_replace, insert, undo_edit"
            ))),
        }
    }

    /// What is at the path, where the command may be used there.
    async fn checked(&mut self, command: &str) -> Result<Result<Found, String>, F::Error> {
        let path = &self.path;
        let invalid = |hint: String| Err(format!("Invalid `path` parameter: {path}. {hint}"));
        if !path.starts_with('/') {
            let meant = format!("{}/{path}", directory(self.files).await?.trim_end_matches('/'));
            let meant = match self.files.read(&meant).await? {
                Found::Missing => String::new(),
                _ => format!(" Maybe you meant {meant}?"),
            };
            return Ok(invalid(format!("The path should be an absolute path, starting with `/`.{meant}")));
        }
        let found = self.files.read(path).await?;
        let suffix = suffix(path);
        Ok(match (&found, command) {
            (Found::Missing, command) if command != "create" => {
                invalid(format!("The path {path} does not exist. Please provide a valid path."))
            }
            (Found::File(_) | Found::Directory | Found::Refused(_), "create") => invalid(format!(
                "File already exists at: {path}. Cannot overwrite files using command `create`."
            )),
            (_, "view") => Ok(found),
            (Found::Directory, _) => invalid(format!(
                "The path {path} is a directory and only the `view` command can be used on directories."
            )),
            _ if is_document(path) => invalid(format!(
                "The path {path} points to a binary file ({suffix}) and only the `view` command can be used on \
                 supported binary files."
            )),
            _ => Ok(found),
        })
    }

    /// The text of a file that may be read and edited.
    fn text(&self, found: Found) -> Result<Text, String> {
        let path = &self.path;
        let bytes = match found {
            Found::File(bytes) => bytes,
            Found::Refused(_) => {
                return Err(format!(
                    "Ran into [Errno 13] Permission denied: '{path}' while trying to read {path}"
                ));
            }
            Found::Directory | Found::Missing => Vec::new(),
        };
        let refused = |reason: String| Err(format!("File validation failed for {path}: {reason}"));
        if FILE_MIB << 20 < bytes.len() {
            let mib = bytes.len() as f64 / f64::from(1 << 20);
            return refused(format!("File is too large ({mib:.1}MB). Maximum allowed size is {FILE_MIB}MB."));
        }
        if is_document(path) {
            return Err(format!(
                "Error in converting file to Markdown: not supported. Please use Python code to read {path}"
            ));
        }
        if is_binary(&bytes) {
            let reason =
                "File appears to be binary and this file type cannot be read or edited by this tool.";
            return refused(reason.to_owned());
        }
        Ok(decoded(bytes))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Result<(), String>, F::Error> {
        let path = &self.path;
        Ok(match self.files.write(path, bytes).await? {
            None => Ok(()),
            Some(_) => Err(format!(
                "Ran into [Errno 13] Permission denied: '{path}' while trying to write to {path}"
            )),
        })
    }

    fn remember(&mut self, text: &str) {
        self.state.history.push(&self.path, Before::File(Arc::from(text.as_bytes())), PAST);
    }

    async fn view_directory(&mut self, range: Option<&str>) -> Result<Said, F::Error> {
        let path = &self.path;
        if let Some(range) = range.map(numbers).filter(|range| *range != Some(Vec::new())) {
            return Ok(Err(format!(
                "Invalid `view_range` parameter: {}. The `view_range` parameter is not allowed when `path` points to \
                 a directory.",
                list(range.as_deref().unwrap_or_default())
            )));
        }
        // The original leaves the path unquoted, so that one with a space is not found.
        let shown =
            format!(r"find -L {path} -maxdepth 2 -not \( -path '{path}/\.*' -o -path '{path}/*/\.*' \)");
        let hidden = format!("find -L {path} -mindepth 1 -maxdepth 1 -name '.*' 2>/dev/null");
        let trouble = self.files.run(&format!("{shown} 2>&1 >/dev/null")).await?;
        if !trouble.is_empty() {
            return Ok(Err(clipped(&trouble, NOTICE)));
        }
        let hidden = self.files.run(&hidden).await?.trim().lines().count();
        let directories = self.files.run(&format!("{shown} -type d")).await?;
        let directories: std::collections::BTreeSet<&str> = directories.lines().collect();
        let all = self.files.run(&shown).await?;
        let mut all: Vec<&str> = all.lines().collect();
        all.sort_unstable();
        let all = all.iter().map(|line| format!("{line}\n")).collect::<String>();
        let marked = |line| if directories.contains(line) { format!("{line}/") } else { str::to_owned(line) };
        let listed: Vec<String> = clipped(&all, DIRECTORY_NOTICE).trim().lines().map(marked).collect();
        let mut said = format!(
            "Here's the files and directories up to 2 levels deep in {path}, excluding hidden items:\n{}",
            listed.join("\n")
        );
        if 0 < hidden {
            said.push_str(&format!(
                "\n\n{hidden} hidden files/directories in this directory are excluded. You can use 'ls -la {path}' to \
                 see them."
            ));
        }
        Ok(Ok(said))
    }

    fn view(&self, text: &Text, range: Option<&str>) -> Said {
        let range = range.map(numbers);
        let (first, last) = match range.as_ref().map(Option::as_deref) {
            None | Some(Some([])) => return Ok(numbered(&text.content, &self.path, 1)),
            Some(Some(&[first, last])) => (first, last),
            Some(range) => {
                let range = list(range.unwrap_or_default());
                return Err(format!(
                    "Invalid `view_range` parameter: {range}. It should be a list of two integers."
                ));
            }
        };
        let lines = text.lines();
        let total = lines.len() as i64;
        let invalid = |what: String| {
            let range = list(&[first, last]);
            Err(format!("Invalid `view_range` parameter: {range}. Its {what}."))
        };
        if first < 1 || total < first {
            let range = list(&[1, total]);
            return invalid(format!(
                "first element `{first}` should be within the range of lines of the file: {range}"
            ));
        }
        let note = if total < last {
            format!("NOTE: We only show up to {total} since there're only {total} lines in this file.\n")
        } else {
            String::new()
        };
        let last = if last == -1 { total } else { last.min(total) };
        if last < first {
            return invalid(format!(
                "second element `{last}` should be greater than or equal to the first element `{first}`"
            ));
        }
        let part = lines[first as usize - 1..last as usize].concat();
        Ok(note + &numbered(&python::split_lines(&part).join("\n"), &self.path, first as usize))
    }

    async fn create(&mut self, text: &str) -> Result<Said, F::Error> {
        let path = &self.path;
        let parent =
            path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        let reason = match self.files.read(parent).await? {
            Found::Directory | Found::Refused(_) => None,
            Found::Missing => Some("[Errno 2] No such file or directory"),
            Found::File(_) => Some("[Errno 20] Not a directory"),
        };
        if let Some(reason) = reason {
            return Ok(Err(format!("Ran into {reason}: '{path}' while trying to write to {path}")));
        }
        if let Err(error) = self.write(text.as_bytes()).await? {
            return Ok(Err(error));
        }
        self.remember(text);
        Ok(Ok(format!("File created successfully at: {}", self.path)))
    }

    async fn str_replace(&mut self, found: Found, old: &str, new: Option<&str>) -> Result<Said, F::Error> {
        if new == Some(old) {
            return Ok(Err(format!(
                "Invalid `new_str` parameter: {old}. No replacement was performed. `new_str` and `old_str` must be \
                 different."
            )));
        }
        let text = match self.text(found) {
            Ok(text) => text,
            Err(error) => return Ok(Err(error)),
        };
        let (at, old, new) = match place_of(&text.content, old, new.unwrap_or_default(), &self.path) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = text.encode(&format!("{}{new}{}", &text.content[..at], &text.content[at + old.len()..]));
        if let Err(error) = self.write(&bytes).await? {
            return Ok(Err(error));
        }
        self.remember(&text.content);
        let line = text.content[..at].matches('\n').count() + 1;
        let first = line.saturating_sub(AROUND);
        let last = line + AROUND + new.matches('\n').count();
        let snippet =
            numbered(&span(&decoded(bytes), first, last), &format!("a snippet of {}", self.path), first + 1);
        Ok(Ok(format!(
            "The file {} has been edited. {snippet}Review the changes and make sure they are as expected. Edit the \
             file again if necessary.",
            self.path
        )))
    }

    async fn insert(&mut self, found: Found, line: &str, new: &str) -> Result<Said, F::Error> {
        let text = match self.text(found) {
            Ok(text) => text,
            Err(error) => return Ok(Err(error)),
        };
        let lines = text.lines();
        let at = match line.trim().parse::<i64>() {
            Ok(at) if (0..=lines.len() as i64).contains(&at) => at as usize,
            _ => {
                let range = list(&[0, lines.len() as i64]);
                return Ok(Err(format!(
                    "Invalid `insert_line` parameter: {line}. It should be within the range of allowed values: {range}"
                )));
            }
        };
        let n_new = new.split('\n').count();
        let bytes = text.encode(&format!("{}{new}\n{}", lines[..at].concat(), lines[at..].concat()));
        if let Err(error) = self.write(&bytes).await? {
            return Ok(Err(error));
        }
        // The original puts a private temporary file in the place of the old one.
        self.files.run(&format!("chmod 600 {}", quoted(&self.path))).await?;
        self.remember(&text.content);
        let first = at.saturating_sub(AROUND);
        let last = (lines.len() + n_new).min(at + AROUND + n_new);
        let label = (at + 1).saturating_sub(AROUND).max(1);
        let snippet = numbered(&span(&decoded(bytes), first, last), "a snippet of the edited file", label);
        Ok(Ok(format!(
            "The file {} has been edited. {snippet}Review the changes and make sure they are as expected (correct \
             indentation, no duplicate lines, etc). Edit the file again if necessary.",
            self.path
        )))
    }

    async fn undo(&mut self, found: Found) -> Result<Said, F::Error> {
        let current = match self.text(found) {
            Ok(text) => text,
            Err(error) => return Ok(Err(error)),
        };
        let Some(Before::File(before)) = self.state.history.pop(&self.path) else {
            return Ok(Err(format!("No edit history found for {}.", self.path)));
        };
        let before = String::from_utf8_lossy(&before).into_owned();
        if let Err(error) = self.write(&current.encode(&before)).await? {
            return Ok(Err(error));
        }
        Ok(Ok(format!(
            "Last edit to {} undone successfully. {}",
            self.path,
            numbered(&before, &self.path, 1)
        )))
    }
}

/// Where `old` stands, and what is replaced by what: without the white space around both where that is needed.
fn place_of<'a>(
    text: &str,
    old: &'a str,
    new: &'a str,
    path: &str,
) -> Result<(usize, &'a str, &'a str), String> {
    let places = |old: &str| text.match_indices(old).map(|(at, _)| at).collect::<Vec<_>>();
    let (mut found, mut old, mut new) = (places(old), old, new);
    if found.is_empty() {
        (old, new) = (python::strip(old), python::strip(new));
        found = places(old);
    }
    match found.as_slice() {
        [] => {
            Err(format!("No replacement was performed, old_str `{old}` did not appear verbatim in {path}."))
        }
        [at] => Ok((*at, old, new)),
        found => {
            let mut lines: Vec<i64> =
                found.iter().map(|at| text[..*at].matches('\n').count() as i64 + 1).collect();
            lines.dedup();
            Err(format!(
                "No replacement was performed. Multiple occurrences of old_str `{old}` in lines {}. Please ensure it \
                 is unique.",
                list(&lines)
            ))
        }
    }
}

/// The lines after `first` up to `last`.
fn span(text: &Text, first: usize, last: usize) -> String {
    text.lines().into_iter().take(last).skip(first).collect()
}

/// Lines as `cat -n` numbers them, with the heading that the original gives; one more after a last line end.
fn numbered(text: &str, what: &str, first: usize) -> String {
    let mut shown = format!("Here's the result of running `cat -n` on {what}:\n");
    for (at, line) in clipped(text, FILE_NOTICE).split('\n').enumerate() {
        shown.push_str(&format!("{:6}\t{line}\n", at + first));
    }
    shown
}

fn clipped(text: &str, notice: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}{notice}", &text[..at]),
        None => text.to_owned(),
    }
}

/// A list of numbers as a tool call or a command line gives it; absent when one is no number.
fn numbers(text: &str) -> Option<Vec<i64>> {
    let words = text.split([' ', ',', '[', ']']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

fn list(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

/// The last dot of a name and what follows it.
fn suffix(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').filter(|at| 0 < *at && *at + 1 < name.len()).map_or("", |at| &name[at..])
}

fn is_document(path: &str) -> bool {
    let suffix = suffix(path).to_lowercase();
    DOCUMENTS.iter().any(|known| suffix.strip_prefix('.') == Some(known))
}

/// The original's guess from the first kilobyte: shares of control and high bytes, and whether they are UTF-8.
fn is_binary(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(1024)];
    let share =
        |is: fn(&u8) -> bool| start.iter().filter(|byte| is(byte)).count() as f64 / start.len() as f64;
    let (odd, low) = (share(|byte| !is_printable(*byte)), share(|byte| *byte < 127));
    let is_likely = (0.3 < odd && low < 0.05) || (0.8 < odd && 0.8 < low);
    !start.is_empty()
        && !is_surely_utf8(start)
        && (is_likely || start.iter().any(|byte| matches!(byte, 0 | 0xff)))
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x08 | b' '..=b'~')
}

/// Whether a detector of encodings is sure enough: a mark, or four characters of several bytes.
fn is_surely_utf8(bytes: &[u8]) -> bool {
    let is_wide = |c: &char| !c.is_ascii();
    std::str::from_utf8(bytes)
        .is_ok_and(|text| bytes.starts_with(MARK) || 4 <= text.chars().filter(is_wide).take(4).count())
}
