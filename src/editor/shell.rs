//! The windowed editors of SWE-agent up to 0.7, which were shell functions: with line ranges, and with cursors.
//!
//! Every call exits with 0, as the functions did.

use crate::trajectory::{Dialect, Edition};

use super::call::Call;
use super::lint::{self, Above, Problem, Replaced};
use super::window::{self, View};
use super::{Files, Found, Outcome, State, absolute};

const NO_FILE: &str = "No file open. Use the open command first.\n";
const UPDATED: &str = "File updated. Please review the changes and make sure they are correct (correct indentation, \
no duplicate lines, etc). Edit the file again if necessary.\n";
const RULE: &str = "-------------------------------------------------\n";
const NOT_APPLIED: &str = "Your changes have NOT been applied. Please fix your edit command and try again.\n\
You either need to 1) Specify the correct start/end line arguments or 2) Correct your edit code.\n\
DO NOT re-run the same failed edit command. Running it again will lead to the same error.\n";
/// Scroll calls in a row from which the editor advises against it.
const SCROLLS: usize = 3;

pub(super) async fn perform<F: Files>(
    files: &mut F,
    state: &mut State,
    dialect: Dialect,
    call: &Call,
) -> Result<Outcome, F::Error> {
    let mut editor = Editor { files, state, dialect };
    let output = match call.name.as_str() {
        "open" => editor.open(&call.words).await?,
        "create" => editor.create(&call.words).await?,
        "goto" => editor.goto(&call.words).await?,
        "scroll_up" => editor.scroll(-1).await?,
        "scroll_down" => editor.scroll(1).await?,
        "set_cursors" => editor.set_cursors(&call.words).await?,
        "edit" => editor.edit(call).await?,
        name => format!("bash: {name}: command not found\n"),
    };
    Ok(Outcome::done(output))
}

struct Editor<'a, F> {
    files: &'a mut F,
    state: &'a mut State,
    dialect: Dialect,
}

/// An edit of lines `first..last`, from 0, end excluded.
struct Edit {
    first: i64,
    last: i64,
    lines: Vec<String>,
}

impl<F: Files> Editor<'_, F> {
    async fn open(&mut self, words: &[String]) -> Result<String, F::Error> {
        let Some(path) = words.first().filter(|path| !path.is_empty()) else {
            return Ok(format!("Usage: open {}\n", self.file_word()));
        };
        let found = absolute(self.files, path).await?;
        let content = self.files.read(&found).await?;
        let text = match &content {
            Found::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        };
        let total = window::lines(&text).len() as i64;
        let mut output = String::new();
        let line = match words.get(1).map(|word| number(word)) {
            None => self.window() / 2,
            Some(None) => {
                return Ok(format!(
                    "Usage: open {} [<line_number>]\nError: <line_number> must be a number\n",
                    self.file_word()
                ));
            }
            Some(Some(line)) if total < line => {
                output = out_of_file(
                    line,
                    &format!("greater than the number of lines in the file ({total})"),
                    total,
                );
                total
            }
            Some(Some(line)) if line < 1 => {
                output = out_of_file(line, "less than 1", 1);
                1
            }
            Some(Some(line)) if self.dialect == Dialect::SweAgentCursors => line,
            Some(Some(line)) => self.below_offset(line),
        };
        match content {
            Found::File(_) => {
                self.state.file = Some(found);
                self.state.line = line;
                Ok(output + &self.show(&text))
            }
            Found::Directory if self.dialect == Dialect::SweAgentRange => Ok(format!(
                "{output}Error: {path} is a directory. You can only open files. Use cd or ls to navigate directories.\n"
            )),
            _ => Ok(format!("{output}File {path} not found\n")),
        }
    }

    async fn create(&mut self, words: &[String]) -> Result<String, F::Error> {
        let Some(path) = words.first().filter(|path| !path.is_empty()) else {
            return Ok("Usage: create <filename>\n".to_owned());
        };
        let found = absolute(self.files, path).await?;
        let mut output = String::new();
        if self.files.read(&found).await? == Found::Missing {
            if let Some(reason) = self.files.write(&found, b"\n").await? {
                return Ok(format!("bash: {path}: {reason}\nFile {path} not found\n"));
            }
        } else {
            output = format!("Error: File '{path}' already exists.\n");
        }
        Ok(output + &self.open(&words[..1]).await?)
    }

    async fn goto(&mut self, words: &[String]) -> Result<String, F::Error> {
        if 1 < words.len() {
            return Ok("goto allows only one line number at a time.\n".to_owned());
        }
        let Some(text) = self.text().await? else { return Ok(NO_FILE.to_owned()) };
        let line = match words.first().map(|word| number(word)) {
            None => return Ok("Usage: goto <line>\n".to_owned()),
            Some(None) => return Ok("Usage: goto <line>\nError: <line> must be a number\n".to_owned()),
            Some(Some(line)) => line,
        };
        let total = window::lines(&text).len() as i64;
        if total < line {
            return Ok(format!("Error: <line> must be less than or equal to {total}\n"));
        }
        self.state.line = self.below_offset(line);
        Ok(self.show(&text))
    }

    async fn scroll(&mut self, direction: i64) -> Result<String, F::Error> {
        let Some(text) = self.text().await? else { return Ok(NO_FILE.to_owned()) };
        self.state.line += direction * (self.window() - self.state.setup.overlap as i64);
        self.state.scrolls += 1;
        let mut output = self.show(&text);
        if self.dialect == Dialect::SweAgentRange && SCROLLS <= self.state.scrolls {
            output.push_str(
                "\nWARNING: Scrolling many times in a row is very inefficient.\n\
                 If you know what you are looking for, use `search_file <pattern>` instead.\n\n",
            );
        }
        Ok(output)
    }

    async fn set_cursors(&mut self, words: &[String]) -> Result<String, F::Error> {
        const USAGE: &str = "Usage: set_cursors <start_line> <end_line>\n";
        let Some(text) = self.text().await? else { return Ok(NO_FILE.to_owned()) };
        let [start, end, ..] = words else { return Ok(USAGE.to_owned()) };
        let (start, end) = match (number(start), number(end)) {
            (None, _) => return Ok(format!("{USAGE}Error: start_line must be a number\n")),
            (_, None) => return Ok(format!("{USAGE}Error: end_line must be a number\n")),
            (Some(start), Some(end)) => (start, end),
        };
        if end < start {
            return Ok(format!("{USAGE}Error: start_line must be less than or equal to end_line\n"));
        }
        self.state.cursors = (start, end);
        let view = View { line: self.state.line, window: self.window() };
        Ok(self.render(&text, view))
    }

    async fn edit(&mut self, call: &Call) -> Result<String, F::Error> {
        let Some(text) = self.text().await? else {
            return Ok("No file open. Use the `open` command first.\n".to_owned());
        };
        let (first, last) = match self.edited_lines(&call.words) {
            Ok(lines) => lines,
            Err(usage) => return Ok(usage),
        };
        let body = call.body.as_deref().unwrap_or_default();
        let lines = window::lines(body).into_iter().map(str::to_owned).collect();
        let edit = Edit { first, last, lines };
        let path = self.state.file.clone().expect("invariant: the text is the open file's");
        let before = match self.dialect {
            Dialect::SweAgentCursors => Vec::new(),
            _ => lint::problems(self.files, &path).await?,
        };
        let edited = edit.apply(&text);
        if let Some(reason) = self.files.write(&path, edited.as_bytes()).await? {
            return Ok(format!("bash: {path}: {reason}\n"));
        }
        let after = lint::problems(self.files, &path).await?;
        let replaced = Replaced { first: first + 1, last, lines: edit.lines.len() as i64 };
        let problems = lint::brought(&before, &after, replaced, Above::Counts);
        if problems.is_empty() {
            return Ok(self.updated(&edited, &edit));
        }
        self.files.write(&path, text.as_bytes()).await?;
        Ok(self.refused(&problems, &text, &edited, &edit))
    }

    fn edited_lines(&self, words: &[String]) -> Result<(i64, i64), String> {
        const USAGE: &str = "Usage: edit <start_line>:<end_line>\n";
        if self.dialect == Dialect::SweAgentCursors {
            return Ok(((self.state.cursors.0 - 1).max(0), self.state.cursors.1.max(0)));
        }
        let range = words.first().map_or("", String::as_str);
        let mut ends = range.split(':');
        let (start, end) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
        if start.is_empty() || end.is_empty() {
            return Err(USAGE.to_owned());
        }
        match (number(start), number(end)) {
            (None, _) => Err(format!("{USAGE}Error: start_line must be a number\n")),
            (_, None) => Err(format!("{USAGE}Error: end_line must be a number\n")),
            (Some(start), Some(end)) => Ok((start - 1, end)),
        }
    }

    fn updated(&mut self, edited: &str, edit: &Edit) -> String {
        if self.dialect == Dialect::SweAgentCursors {
            self.state.cursors.1 = self.end_of(edit);
        } else {
            self.state.line = edit.first;
        }
        self.show(edited) + UPDATED
    }

    fn end_of(&self, edit: &Edit) -> i64 {
        self.state.cursors.0 + (edit.lines.len() as i64 - 1).max(0)
    }

    /// What is printed when an edit brought problems: both versions, five lines around the edit.
    fn refused(&mut self, problems: &[Problem], text: &str, edited: &str, edit: &Edit) -> String {
        let cursors = self.state.cursors;
        let count = edit.lines.len() as i64;
        let removed = edit.last - edit.first;
        self.state.cursors.1 =
            if self.dialect == Dialect::SweAgentCursors { self.end_of(edit) } else { cursors.1 };
        let applied = self.around(edited, count / 2 + edit.first, count + 10);
        self.state.cursors.1 = cursors.1;
        let middle = match self.dialect {
            Dialect::SweAgentCursors => removed / 2,
            _ => (removed + 1) / 2,
        };
        let original = self.around(text, middle + edit.first, removed + 10);
        self.state.cursors.1 = cursors.1;
        let advice = match self.state.setup.edition {
            Edition::ShellEarly => "Please understand the fixes and retry your edit commmand.",
            _ => "Please read this error message carefully and then retry editing the file.",
        };
        let listed = lint::list(problems);
        format!(
            "Your proposed edit has introduced new syntax error(s). {advice}\n\nERRORS:\n{listed}\n\n\
             This is how your edit would have looked if applied\n{RULE}{applied}{RULE}\n\
             This is the original code before your edit\n{RULE}{original}{RULE}{NOT_APPLIED}"
        )
    }

    fn around(&mut self, text: &str, line: i64, window: i64) -> String {
        let view = View { line, window }.constrained(window::lines(text).len() as i64);
        self.render(text, view)
    }

    fn show(&mut self, text: &str) -> String {
        let view = View { line: self.state.line, window: self.window() };
        let view = view.constrained(window::lines(text).len() as i64);
        self.state.line = view.line;
        self.render(text, view)
    }

    fn render(&mut self, text: &str, view: View) -> String {
        let path = self.state.file.as_deref().unwrap_or_default();
        match self.dialect {
            Dialect::SweAgentCursors => window::show_cursors(path, text, view, &mut self.state.cursors),
            _ => window::show(path, text, view),
        }
    }

    /// The open file's text; absent when no file is open. A file that is gone reads as empty.
    async fn text(&mut self) -> Result<Option<String>, F::Error> {
        let Some(path) = self.state.file.clone() else { return Ok(None) };
        Ok(Some(match self.files.read(&path).await? {
            Found::File(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        }))
    }

    fn window(&self) -> i64 {
        self.state.setup.window as i64
    }

    /// The middle line of a window that shows `line` in its upper third.
    fn below_offset(&self, line: i64) -> i64 {
        (line + self.window() / 2 - self.window() / 6).max(1)
    }

    fn file_word(&self) -> &'static str {
        if self.dialect == Dialect::SweAgentCursors { "<file>" } else { "\"<file>\"" }
    }
}

impl Edit {
    fn apply(&self, text: &str) -> String {
        let lines = window::lines(text);
        let cut = |at: i64| (at.max(0) as usize).min(lines.len());
        let mut edited = String::with_capacity(text.len());
        let kept = lines[..cut(self.first)].iter().copied();
        let new = self.lines.iter().map(String::as_str);
        for line in kept.chain(new).chain(lines[cut(self.last)..].iter().copied()) {
            edited.push_str(line);
            edited.push('\n');
        }
        // `printf "%s\n"` of nothing prints one line end.
        if edited.is_empty() { "\n".to_owned() } else { edited }
    }
}

fn out_of_file(line: i64, what: &str, set: i64) -> String {
    format!("Warning: <line_number> ({line}) is {what}\nWarning: Setting <line_number> to {set}\n")
}

fn number(word: &str) -> Option<i64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}
