//! `str_replace_editor` as SWE-agent ships it (its `edit_anthropic` tools).
//!
//! Its quirks are kept: tabs of the whole file become spaces on an edit, and `undo_edit` never has anything to
//! undo, because the original's history is lost after every call. Window expansion, file maps and the linter
//! are options that SWE-agent leaves off; so do we.

use super::call::Call;
use super::python::{Encoding, decode, encode, expand_tabs};
use super::{Files, Found, Outcome, directory, quoted};

/// Characters of a file that are shown.
const MOST: usize = 16_000;
const CLIPPED: &str = "<response clipped><NOTE>To save on context only part of this file has been shown to you. \
You should retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers \
of what you are looking for.</NOTE>";
/// Lines shown around an edit.
const AROUND: usize = 4;

/// What a sub-command gives, or what it says when it stops early: both are for the agent.
type Said = Result<String, Outcome>;

fn stop(message: &str, code: i32) -> Outcome {
    Outcome::failed(format!("{message}\n"), code)
}

pub(super) async fn perform<F: Files>(files: &mut F, call: &Call) -> Result<Outcome, F::Error> {
    let Some(path) = call.words.first() else {
        return Ok(stop("str_replace_editor: error: the following arguments are required: path", 2));
    };
    let said = match checked(files, &call.name, path).await? {
        Ok(found) => run(files, call, path, found).await?,
        Err(outcome) => Err(outcome),
    };
    Ok(said.map_or_else(|outcome| outcome, |text| Outcome::done(text + "\n")))
}

async fn checked<F: Files>(
    files: &mut F,
    command: &str,
    path: &str,
) -> Result<Result<Found, Outcome>, F::Error> {
    if !path.starts_with('/') {
        let suggested = format!("{}/{path}", directory(files).await?);
        let message = format!(
            "The path {path} is not an absolute path, it should start with `/`. Maybe you meant {suggested}?"
        );
        return Ok(Err(stop(&message, 6)));
    }
    let found = files.read(path).await?;
    let (message, code) = match (&found, command) {
        (Found::Missing, "create") => return Ok(Ok(found)),
        (Found::Missing, _) => (format!("The path {path} does not exist. Please provide a valid path."), 7),
        (_, "create") => {
            (format!("File already exists at: {path}. Cannot overwrite files using command `create`."), 8)
        }
        (Found::Directory, command) if command != "view" => (
            format!("The path {path} is a directory and only the `view` command can be used on directories"),
            9,
        ),
        (Found::Refused(reason), _) => (format!("Ran into {reason} while trying to read {path}"), 19),
        _ => return Ok(Ok(found)),
    };
    Ok(Err(stop(&message, code)))
}

async fn run<F: Files>(files: &mut F, call: &Call, path: &str, found: Found) -> Result<Said, F::Error> {
    let flag = |name: &str| call.flags.get(name).map(String::as_str);
    let required = |name: &str, code: i32| {
        let command = &call.name;
        flag(name)
            .ok_or_else(|| stop(&format!("Parameter `{name}` is required for command: {command}"), code))
    };
    let (text, encoding) = match found {
        Found::File(bytes) => decode(bytes),
        _ if call.name == "view" => return view_directory(files, path, flag("view_range")).await,
        _ => (String::new(), Encoding::Utf8),
    };
    let edited = match call.name.as_str() {
        "view" => return Ok(view(path, &text, flag("view_range"))),
        "create" => match required("file_text", 1) {
            Ok(text) => return create(files, path, text).await,
            Err(outcome) => return Ok(Err(outcome)),
        },
        "str_replace" => required("old_str", 2)
            .and_then(|old| str_replace(path, &text, old, flag("new_str").unwrap_or_default())),
        "insert" => required("insert_line", 3)
            .and_then(|line| Ok((line, required("new_str", 4)?)))
            .and_then(|(line, new)| insert(path, &text, line, new)),
        "undo_edit" => return Ok(Err(stop(&format!("No edit history found for {path}."), 18))),
        command => Err(stop(
            &format!(
                "Unrecognized command {command}. The allowed commands for the str_replace_editor tool are: \
                 \"view\", \"create\", \"str_replace\", \"insert\", \"undo_edit\""
            ),
            5,
        )),
    };
    match edited {
        Err(outcome) => Ok(Err(outcome)),
        Ok((new, message)) => Ok(written(files, path, &encode(&new, encoding)).await?.map(|()| message)),
    }
}

async fn written<F: Files>(files: &mut F, path: &str, bytes: &[u8]) -> Result<Result<(), Outcome>, F::Error> {
    Ok(match files.write(path, bytes).await? {
        None => Ok(()),
        Some(reason) => Err(stop(&format!("Ran into {reason} while trying to write to {path}"), 20)),
    })
}

async fn create<F: Files>(files: &mut F, path: &str, text: &str) -> Result<Said, F::Error> {
    let parent =
        path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
    if files.read(parent).await? == Found::Missing {
        let message = format!("The parent directory {parent} does not exist. Please create it first.");
        return Ok(Err(stop(&message, 21)));
    }
    let done = written(files, path, text.as_bytes()).await?;
    Ok(done.map(|()| format!("File created successfully at: {path}")))
}

async fn view_directory<F: Files>(files: &mut F, path: &str, range: Option<&str>) -> Result<Said, F::Error> {
    if range.is_some() {
        let message = "The `view_range` parameter is not allowed when `path` points to a directory.";
        return Ok(Err(stop(message, 10)));
    }
    let listed = files.run(&format!(r"find {} -maxdepth 2 -not -path '*/\.*'", quoted(path))).await?;
    Ok(Ok(format!(
        "Here's the files and directories up to 2 levels deep in {path}, excluding hidden items:\n{listed}\n"
    )))
}

fn view(path: &str, text: &str, range: Option<&str>) -> Said {
    let Some(range) = range else { return Ok(numbered(text, path, 1)) };
    let ends: Vec<i64> = range.split([' ', ',', '[', ']']).filter_map(|word| word.parse().ok()).collect();
    let &[first, last] = ends.as_slice() else {
        return Err(stop("Invalid `view_range`. It should be a list of two integers.", 11));
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let total = lines.len() as i64;
    let invalid =
        |what: String, code| Err(stop(&format!("Invalid `view_range`: [{first}, {last}]. Its {what}"), code));
    if first < 1 || total < first {
        let range = format!("should be within the range of lines of the file: [1, {total}]");
        return invalid(format!("first element `{first}` {range}"), 12);
    }
    if total < last {
        let range = format!("should be smaller than the number of lines in the file: `{total}`");
        return invalid(format!("second element `{last}` {range}"), 13);
    }
    if last != -1 && last < first {
        let range = format!("should be larger or equal than its first `{first}`");
        return invalid(format!("second element `{last}` {range}"), 14);
    }
    let last = if last == -1 { total } else { last };
    Ok(numbered(&lines[first as usize - 1..last as usize].join("\n"), path, first as usize))
}

fn str_replace(path: &str, text: &str, old: &str, new: &str) -> Result<(String, String), Outcome> {
    let (text, old, new) = (expand_tabs(text), expand_tabs(old), expand_tabs(new));
    let at = match text.matches(&old).count() {
        1 => text.find(&old).expect("invariant: it was counted"),
        0 => {
            let what = format!("old_str `{old}` did not appear verbatim in {path}.");
            return Err(stop(&format!("No replacement was performed, {what}"), 15));
        }
        _ => {
            let holds = |(at, line): (usize, &str)| line.contains(&old).then(|| (at + 1).to_string());
            let lines: Vec<String> = text.split('\n').enumerate().filter_map(holds).collect();
            let what = format!("Multiple occurrences of old_str `{old}` in lines [{}].", lines.join(", "));
            return Err(stop(
                &format!("No replacement was performed. {what} Please ensure it is unique"),
                16,
            ));
        }
    };
    if old == new {
        let what = format!("old_str `{old}` is the same as new_str `{new}`.");
        return Err(stop(&format!("No replacement was performed, {what}"), 161));
    }
    let edited = format!("{}{new}{}", &text[..at], &text[at + old.len()..]);
    let line = text[..at].matches('\n').count();
    let lines: Vec<&str> = edited.split('\n').collect();
    let first = line.saturating_sub(AROUND).max(1);
    let last = (line + AROUND + new.matches('\n').count()).min(super::python::count_lines(&edited));
    let snippet = lines.get(first - 1..last).unwrap_or_default().join("\n");
    let message = format!(
        "The file {path} has been edited. {}Review the changes and make sure they are as expected. \
         Edit the file again if necessary.",
        numbered(&snippet, &format!("a snippet of {path}"), first)
    );
    Ok((edited, message))
}

fn insert(path: &str, text: &str, line: &str, new: &str) -> Result<(String, String), Outcome> {
    let (text, new) = (expand_tabs(text), expand_tabs(new));
    let lines: Vec<&str> = text.split('\n').collect();
    let at = match line.trim().parse::<usize>() {
        Ok(at) if at <= lines.len() => at,
        _ => {
            let range = format!("It should be within the range of lines of the file: [0, {}]", lines.len());
            return Err(stop(&format!("Invalid `insert_line` parameter: {line}. {range}"), 17));
        }
    };
    let edited = [&lines[..at], &[new.as_str()], &lines[at..]].concat().join("\n");
    let (before, after) = (at.saturating_sub(AROUND), (at + AROUND).min(lines.len()));
    let snippet = [&lines[before..at], &[new.as_str()], &lines[at..after]].concat().join("\n");
    let first = (at + 1).saturating_sub(AROUND).max(1);
    let message = format!(
        "The file {path} has been edited. {}Review the changes and make sure they are as expected (correct \
         indentation, no duplicate lines, etc). Edit the file again if necessary.",
        numbered(&snippet, "a snippet of the edited file", first)
    );
    Ok((edited, message))
}

/// Lines as `cat -n` numbers them, with the heading that the original prints.
fn numbered(text: &str, what: &str, first: usize) -> String {
    let clipped = match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}{CLIPPED}", &text[..at]),
        None => text.to_owned(),
    };
    let mut shown = format!("Here's the result of running `cat -n` on {what}:\n");
    for (at, line) in expand_tabs(&clipped).split('\n').enumerate() {
        shown.push_str(&format!("{:6}\t{line}\n", at + first));
    }
    shown
}
