//! The windowed editors of SWE-agent from 1.0 on, which are programs: line ranges, and search and replace.
//!
//! The window is known by its first line, from 0. Exit codes are the originals'.

use crate::trajectory::{Dialect, Edition};

use super::call::Call;
use super::lint::{self, Above, Replaced};
use super::python::{self, Encoding, decode, encode};
use super::{Files, Found, Outcome, State, absolute, window};

const RULE: &str = "------------------------------------------------";
const SHORT_ADVICE: &str = "Please review the changes and make sure they are correct\n\
(correct indentation, no duplicate lines, etc). Edit the file again if necessary.";
const LONG_ADVICE: &str = "Please review the changes and make sure they are correct:\n\n\
1. The edited file is correctly indented\n\
2. The edited file does not contain duplicate lines\n\
3. The edit does not break existing functionality\n\n\
Edit the file again if necessary.";

pub(super) async fn perform<F: Files>(
    files: &mut F,
    state: &mut State,
    dialect: Dialect,
    call: &Call,
) -> Result<Outcome, F::Error> {
    let mut editor = Editor { files, state, dialect };
    let result = match (call.name.as_str(), dialect) {
        ("open", _) => editor.open(&call.words).await?,
        ("create", _) => editor.create(&call.words).await?,
        ("goto", _) => editor.goto(&call.words).await?,
        ("scroll_up", _) => editor.scroll(-1).await?,
        ("scroll_down", _) => editor.scroll(1).await?,
        ("insert", _) => editor.insert(&call.words).await?,
        ("edit", Dialect::SweAgentReplace) => editor.replace(&call.words).await?,
        ("edit", _) => editor.edit_range(call).await?,
        (name, _) => Err(Outcome::failed(format!("bash: {name}: command not found\n"), 127)),
    };
    Ok(result.unwrap_or_else(|outcome| outcome))
}

/// What a command gives, or what it says when it stops early: both are for the agent.
type Said = Result<Outcome, Outcome>;

struct Editor<'a, F> {
    files: &'a mut F,
    state: &'a mut State,
    dialect: Dialect,
}

/// The open file as one command sees it.
struct Opened {
    /// The absolute path.
    path: String,
    /// The path as it is shown.
    shown: String,
    text: String,
    encoding: Encoding,
}

/// An edit that was made and is now checked.
struct Edit {
    opened: Opened,
    edited: String,
    replaced: Replaced,
    /// The window's first line before the edit.
    first: i64,
}

fn stop(message: &str, code: i32) -> Outcome {
    Outcome::failed(format!("{message}\n"), code)
}

impl<F: Files> Editor<'_, F> {
    async fn open(&mut self, words: &[String]) -> Result<Said, F::Error> {
        let Some(path) = words.first() else {
            return Ok(match self.opened("Usage: open \"<file>\"", None).await? {
                Ok(opened) => Ok(self.window(&opened.shown, &opened.text)),
                Err(outcome) => Err(outcome),
            });
        };
        let opened = match self.opened("", Some(path)).await? {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let total = python::count_lines(&opened.text) as i64;
        let mut said = String::new();
        let line = match words.get(1).map(|word| word.trim().parse::<i64>()) {
            None => self.state.line,
            Some(Err(_)) => {
                let usage = "Usage: open \"<file>\" [<line_number>]\nError: <line_number> must be a number";
                return Ok(Err(stop(usage, 1)));
            }
            Some(Ok(line)) if total < line => {
                said = format!(
                    "Warning: <line_number> ({line}) is greater than the number of lines in the file ({total})\n\
                     Warning: Setting <line_number> to {total}\n"
                );
                total
            }
            Some(Ok(line)) if line < 1 => {
                said = format!(
                    "Warning: <line_number> ({line}) is less than 1\nWarning: Setting <line_number> to 1\n"
                );
                1
            }
            Some(Ok(line)) => line,
        };
        self.goto_line(line - 1, &opened.text);
        let window = self.window(&opened.shown, &opened.text);
        Ok(Ok(Outcome::done(said + &window.output)))
    }

    async fn create(&mut self, words: &[String]) -> Result<Said, F::Error> {
        let Some(path) = words.first() else { return Ok(Err(stop("Usage: create <filename>", 1))) };
        let found = absolute(self.files, path).await?;
        if self.files.read(&found).await? != Found::Missing {
            return Ok(Err(stop(&format!("Warning: File '{}' already exists.", python::path(path)), 1)));
        }
        let first: &[u8] = if Edition::ToolsLatest <= self.state.setup.edition { b"" } else { b"\n" };
        if let Some(reason) = self.files.write(&found, first).await? {
            return Ok(Err(stop(&format!("{path}: {reason}"), 1)));
        }
        Ok(match self.opened("", Some(path)).await? {
            Ok(opened) => {
                self.state.line = 0;
                Ok(self.window(&opened.shown, &opened.text))
            }
            Err(outcome) => Err(outcome),
        })
    }

    async fn goto(&mut self, words: &[String]) -> Result<Said, F::Error> {
        let line = match words {
            [] => return Ok(Err(stop("Usage: goto <line>", 1))),
            [word] => word.trim().parse::<i64>(),
            _ => return Ok(Err(stop("goto allows only one line number at a time.", 1))),
        };
        let Ok(line) = line else {
            return Ok(Err(stop("Usage: goto <line>\nError: <line> must be a number", 1)));
        };
        let opened = match self.opened(NO_FILE, None).await? {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let total = python::count_lines(&opened.text) as i64;
        if total < line {
            return Ok(Err(stop(&format!("Error: <line> must be less than or equal to {total}"), 1)));
        }
        self.goto_line(line - 1, &opened.text);
        Ok(Ok(self.window(&opened.shown, &opened.text)))
    }

    async fn scroll(&mut self, direction: i64) -> Result<Said, F::Error> {
        let opened = match self.opened(NO_FILE, None).await? {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let step = self.state.setup.window as i64 - self.state.setup.overlap as i64;
        self.look_from(self.state.line + direction * step, &opened.text);
        Ok(Ok(self.window(&opened.shown, &opened.text)))
    }

    async fn edit_range(&mut self, call: &Call) -> Result<Said, F::Error> {
        let opened = match self.opened("No file opened. Use the `open` command first.", None).await? {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let Some((start, end)) = call.words.first().and_then(|range| read_range(range)) else {
            return Ok(Err(stop("Usage: edit <start_line>:<end_line>\n<replacement_text>\nend_of_edit", 1)));
        };
        let body = call.body.as_deref().unwrap_or_default();
        let body = body.strip_suffix('\n').unwrap_or(body);
        let mut lines: Vec<&str> = opened.text.split('\n').collect();
        let cut = |at: i64| python_index(at, lines.len());
        let (from, to) = (cut(start), cut(end + 1));
        let new = body.split('\n').filter(|_| !body.is_empty());
        drop(lines.splice(from..to.max(from), new));
        let edited = lines.join("\n");
        let replaced = Replaced { first: start, last: end, lines: python::count_lines(body) as i64 };
        let edit = Edit { opened, edited, replaced, first: self.state.line };
        Ok(match self.check(edit).await? {
            Err(outcome) => Err(outcome),
            Ok(edit) => {
                self.goto_line(start, &edit.edited);
                let window = self.window(&edit.opened.shown, &edit.edited).output;
                Ok(Outcome::done(format!("File updated. {SHORT_ADVICE}\n{window}")))
            }
        })
    }

    async fn replace(&mut self, words: &[String]) -> Result<Said, F::Error> {
        let (search, replace, all) = match words {
            [search, replace] => (search, replace, false),
            [search, replace, all] => (search, replace, !matches!(all.as_str(), "" | "false")),
            _ => {
                let usage = "usage: edit [-h] search replace [replace_all]\n\
                             edit: error: the following arguments are required: search, replace";
                return Ok(Err(stop(usage, 2)));
            }
        };
        let opened =
            match self.opened("No file opened. Either `open` or `create` a file first.", None).await? {
                Ok(opened) => opened,
                Err(outcome) => return Ok(Err(outcome)),
            };
        if search == replace {
            let same = "Your search and replace strings are the same. No changes were made. \
                        Please modify your search or replace strings.";
            return Ok(Err(stop(same, 2)));
        }
        let first = self.state.line;
        let (edited, line) = match self.replaced(&opened, search, replace, all) {
            Ok(edited) => edited,
            Err(outcome) => return Ok(Err(outcome)),
        };
        self.goto_line(line, &edited);
        let count = |text: &str| text.split('\n').count() as i64;
        let replaced = Replaced { first: line, last: line + count(search) - 1, lines: count(replace) };
        let n = opened.text.matches(search.as_str()).count();
        let edit = Edit { opened, edited, replaced, first };
        Ok(match self.check(edit).await? {
            Err(outcome) => Err(outcome),
            Ok(edit) => {
                let done =
                    if all { format!("Replaced {n} occurrences.") } else { "Text replaced.".to_owned() };
                let window = self.window(&edit.opened.shown, &edit.edited).output;
                Ok(Outcome::done(format!("{done} {}\n{window}", self.advice())))
            }
        })
    }

    /// The text with the replacement made, and the line, from 0, that the window then goes to.
    fn replaced(
        &self,
        opened: &Opened,
        search: &str,
        replace: &str,
        all: bool,
    ) -> Result<(String, i64), Outcome> {
        let text = &opened.text;
        let line_of = |at: usize| text[..at].matches('\n').count() as i64;
        let off_by_one = i64::from(self.state.setup.edition == Edition::ToolsDev);
        if all {
            let at = text.find(search).ok_or_else(|| not_found(text, search))?;
            return Ok((text.replace(search, replace), line_of(at) + 1));
        }
        let (from, to) = self.window_span(text);
        let seen = &text[from..to];
        match seen.matches(search).count() {
            0 => Err(not_found(text, search)),
            1 => {
                let at = from + seen.find(search).expect("invariant: it was counted");
                let edited = format!("{}{replace}{}", &text[..at], &text[at + search.len()..]);
                Ok((edited, line_of(at) + off_by_one))
            }
            _ => Err(Outcome::failed(
                format!(
                    "Your edit was not applied (file not modified): Found more than one occurrence of {} in the \
                     currently displayed lines.\nPlease make your search string more specific (for example, by \
                     including more lines of context).\n\n",
                    python::repr(search)
                ),
                4,
            )),
        }
    }

    async fn insert(&mut self, words: &[String]) -> Result<Said, F::Error> {
        let no_file = "No file opened. Use the `create` or `open` command first.";
        let opened = match self.opened(no_file, None).await? {
            Ok(opened) => opened,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let line = words.get(1).and_then(|word| word.trim().parse::<i64>().ok());
        let text = words.first().map_or("", String::as_str);
        let text = text.strip_suffix('\n').unwrap_or(text);
        let first = self.state.line;
        let (edited, at) = inserted(&opened.text, text, line);
        if !text.is_empty() {
            self.goto_line(at, &edited);
        }
        let lines = if text.is_empty() { 0 } else { text.split('\n').count() as i64 };
        let replaced = Replaced { first: at, last: at, lines };
        Ok(match self.check(Edit { opened, edited, replaced, first }).await? {
            Err(outcome) => Err(outcome),
            Ok(edit) => Ok(self.window(&edit.opened.shown, &edit.edited)),
        })
    }

    /// Writes an edit, and takes it back when it brought problems.
    async fn check(&mut self, edit: Edit) -> Result<Result<Edit, Outcome>, F::Error> {
        let Opened { path, shown, text, encoding } = &edit.opened;
        let before = lint::problems(self.files, path).await?;
        if let Some(reason) = self.files.write(path, &encode(&edit.edited, *encoding)).await? {
            return Ok(Err(stop(&format!("{path}: {reason}"), 1)));
        }
        let after = lint::problems(self.files, path).await?;
        let problems = lint::brought(&before, &after, edit.replaced, Above::WasHidden);
        if problems.is_empty() {
            return Ok(Ok(edit));
        }
        self.look_from(self.state.line, &edit.edited);
        let applied = self.window(shown, &edit.edited).output;
        self.files.write(path, &encode(text, *encoding)).await?;
        self.look_from(edit.first, text);
        let original = self.window(shown, text).output;
        Ok(Err(Outcome::failed(self.refusal(&lint::list(&problems), &applied, &original), 4)))
    }

    fn refusal(&self, problems: &str, applied: &str, original: &str) -> String {
        // Where the errors stand changed with the release of the search-and-replace editor only.
        let listed = match (self.state.setup.edition, self.dialect == Dialect::SweAgentReplace) {
            (_, false) => format!("{problems}\n\n"),
            (Edition::ToolsDev, true) => format!("\n{problems}\n"),
            (_, true) => format!("\n{problems}\n\n"),
        };
        format!(
            "Your proposed edit has introduced new syntax error(s). Please read this error message carefully and then \
             retry editing the file.\n\nERRORS:\n{listed}This is how your edit would have looked if applied\n{RULE}\n\
             {applied}{RULE}\n\nThis is the original code before your edit\n{RULE}\n{original}{RULE}\n\n\
             Your changes have NOT been applied. Please fix your edit command and try again.\n\
             DO NOT re-run the same failed edit command. Running it again will lead to the same error.\n"
        )
    }

    fn advice(&self) -> &'static str {
        if self.state.setup.edition < Edition::Tools { SHORT_ADVICE } else { LONG_ADVICE }
    }

    /// The file at `path`, or the open one, which becomes the open file.
    async fn opened(
        &mut self,
        no_file: &str,
        path: Option<&str>,
    ) -> Result<Result<Opened, Outcome>, F::Error> {
        let (path, shown) = match (path, &self.state.file) {
            (Some(path), _) => (absolute(self.files, path).await?, python::path(path)),
            (None, Some(file)) => (file.clone(), file.clone()),
            (None, None) => return Ok(Err(stop(no_file, 1))),
        };
        let bytes = match self.files.read(&path).await? {
            Found::File(bytes) => bytes,
            Found::Directory => {
                let message = format!(
                    "Error: {shown} is a directory. You can only open files. Use cd or ls to navigate directories."
                );
                return Ok(Err(stop(&message, 1)));
            }
            Found::Missing => return Ok(Err(stop(&format!("Error: File {shown} not found"), 1))),
            Found::Refused(reason) => return Ok(Err(stop(&format!("{shown}: {reason}"), 1))),
        };
        let (text, encoding) = decode(bytes);
        self.state.file = Some(path.clone());
        self.look_from(self.state.line, &text);
        Ok(Ok(Opened { path, shown, text, encoding }))
    }

    /// Shows `line`, from 0, in the upper sixth of the window.
    fn goto_line(&mut self, line: i64, text: &str) {
        let offset = self.state.setup.window as f64 / 6.0;
        // Python's int() cuts towards zero.
        self.look_from((line as f64 - offset) as i64, text);
    }

    fn look_from(&mut self, first: i64, text: &str) {
        let total = python::count_lines(text) as i64;
        let spare = i64::from(self.state.setup.edition < Edition::ToolsLatest);
        self.state.line = first.min(total - spare - self.state.setup.window as i64).max(0);
    }

    fn window(&self, shown: &str, text: &str) -> Outcome {
        Outcome::done(window::show_from(shown, text, self.state.line, self.state.setup.window) + "\n")
    }

    /// The bytes of the lines that the window shows.
    fn window_span(&self, text: &str) -> (usize, usize) {
        let total = python::count_lines(text) as i64;
        let first = self.state.line;
        let last = (first + self.state.setup.window as i64 - 1).min(total - 1);
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let from = starts.get(first as usize).copied().unwrap_or(text.len());
        let to = starts.get((last + 1).max(0) as usize).map_or(text.len(), |start| start - 1);
        (from, to.max(from))
    }
}

const NO_FILE: &str = "No file open. Use the open command first.";

fn read_range(range: &str) -> Option<(i64, i64)> {
    let (start, end) = range.split_once(':')?;
    Some((start.trim().parse::<i64>().ok()? - 1, end.trim().parse::<i64>().ok()? - 1))
}

/// Where a Python slice cuts a list of `length` items: negative positions count from its end.
fn python_index(at: i64, length: usize) -> usize {
    let from_start = if at < 0 { at + length as i64 } else { at };
    (from_start.max(0) as usize).min(length)
}

fn inserted(text: &str, new: &str, line: Option<i64>) -> (String, i64) {
    let total = python::count_lines(text) as i64;
    if new.is_empty() {
        return (text.to_owned(), line.unwrap_or(total));
    }
    match line {
        _ if text.is_empty() && line.is_none_or(|line| line < 0) => (new.to_owned(), 0),
        None => (format!("{}\n{new}", text.strip_suffix('\n').unwrap_or(text)), total),
        Some(line) if line < 0 => (format!("{new}\n{}", text.strip_prefix('\n').unwrap_or(text)), 0),
        Some(line) => {
            let mut lines: Vec<&str> = text.split('\n').collect();
            lines.insert(python_index(line, lines.len()), new);
            (lines.join("\n"), line)
        }
    }
}

fn not_found(text: &str, search: &str) -> Outcome {
    let repr = python::repr(search);
    let lines: Vec<String> = text
        .match_indices(search)
        .filter(|_| !search.is_empty())
        .map(|(at, _)| format!("- line {}", text[..at].matches('\n').count() + 1))
        .collect();
    let message = if lines.is_empty() {
        format!(
            "Your edit was not applied (file not modified): Text {repr} not found in displayed lines (or anywhere \
             in the file).\nPlease modify your search string. Did you forget to properly handle \
             whitespace/indentation?\nYou can also call `open` again to re-display the file with the correct \
             context.\n\n"
        )
    } else {
        format!(
            "Your edit was not applied (file not modified): Text {repr} not found in displayed lines.\n\n\
             However, we found the following occurrences of your search string in the file:\n\n{}\n\n\
             You can use the `goto` command to navigate to these locations before running the edit command \
             again.\n\n",
            lines.join("\n")
        )
    };
    Outcome::failed(message, 3)
}
