//! Listings whose order means nothing: the file system's own.

use std::borrow::Cow;

use crate::trajectory::Action;

/// Commands that print names in the order in which they come upon them.
const WALKERS: [&str; 4] = ["find", "rg", "grep", "ls"];
/// Commands that may follow one without giving its order a meaning.
const FILTERS: [&str; 4] = ["grep", "egrep", "sort", "uniq"];

/// Whether `action` is an `ls` whose names a terminal shows in columns.
pub(super) fn lists_names(action: &Action) -> bool {
    let Action::Bash { command } = action else { return false };
    let mut words = command.split_whitespace();
    words.next() == Some("ls") && words.all(|word| word.starts_with('-') && !word.contains('l'))
}

/// Whether `action` prints what a walk over directories comes upon, and nothing that depends on its order.
pub(super) fn lists_paths(action: &Action) -> bool {
    match action {
        Action::Bash { command } => is_walk(command),
        Action::Editor(call) => {
            let name = call.text.split_whitespace().next().unwrap_or_default();
            matches!(name, "find_file" | "search_dir") || is_view(call)
        }
        Action::Submit | Action::Answer { .. } => false,
    }
}

/// The editor's view of a directory numbers no lines, so that sorting a file's view changes nothing but moves it.
fn is_view(call: &crate::trajectory::EditorCall) -> bool {
    crate::editor::read_call(call)
        .is_ok_and(|call| call.name == "view" && !call.flags.contains_key("view_range"))
}

/// A walk, then only filters; before it only directories are changed, because whatever else prints is sorted along.
fn is_walk(command: &str) -> bool {
    let command = command.trim();
    if command.contains(['\n', ';', '`']) || command.contains("||") || command.contains("$(") {
        return false;
    }
    let (before, last) = command.rsplit_once("&&").unwrap_or(("", command));
    let changes_directory =
        |part: &str| part.split_whitespace().next() == Some("cd") && !part.contains(['|', '&']);
    if !before.is_empty() && !before.split("&&").all(changes_directory) {
        return false;
    }
    // A walk that hands its names to a program prints what that one does, as does one beside another command.
    if last.contains("-exec") || last.contains("-ok") || last.replace(">&", "").contains('&') {
        return false;
    }
    let mut stages = last.split('|').map(|stage| stage.split_whitespace());
    let Some(mut first) = stages.next() else { return false };
    let name = first.next().unwrap_or_default();
    let is_deep = match name {
        "grep" => {
            first.any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(['r', 'R']))
        }
        "ls" => first.any(|word| word.starts_with('-') && word.contains('R')),
        name => WALKERS.contains(&name),
    };
    is_deep && stages.all(|mut stage| stage.next().is_some_and(|name| FILTERS.contains(&name)))
}

/// A terminal shows names in columns, a pipe one a line; their order is the same but for the layout.
pub(super) fn columns(text: &str) -> Cow<'_, str> {
    let mut names: Vec<&str> = text.split_whitespace().collect();
    names.sort_unstable();
    names.join("\n").into()
}

/// The same lines in one order; none is lost, added or counted once.
pub(super) fn sorted(text: &str) -> Cow<'_, str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.sort_unstable();
    lines.join("\n").into()
}
