//! What an action can have changed, judged by its words alone.
//!
//! Guarantees to err on one side: what is not known to leave everything as it was counts as an edit, so that nothing is
//! dropped as useless that may not have been.

use super::shell::{self, Command};
use crate::trajectory::{Action, EditorCall};

/// What an action can have changed, from nothing to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It neither changes nor shows anything.
    Nothing,
    /// It shows something.
    Reads,
    /// It runs tests or a program of the repository.
    Runs,
    /// It changes where the agent is: its directory, or what its editor shows.
    Moves,
    /// It may change files.
    Edits,
    /// It ends the episode, or answers.
    Ends,
}

impl Effect {
    /// The effect of an action.
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Submit | Action::Answer { .. } => Self::Ends,
            Action::Editor(call) => of_editor(call),
            Action::Bash { command } => {
                let commands = shell::commands(command);
                commands.iter().map(|found| of_command(found, command)).max().unwrap_or(Self::Nothing)
            }
        }
    }
}

fn of_editor(call: &EditorCall) -> Effect {
    let mut words = call.text.split_whitespace();
    let program = words.next().unwrap_or_default();
    let verb = call.arguments.get("command").and_then(|verb| verb.as_str());
    match (program, verb.or_else(|| words.next()).unwrap_or_default()) {
        ("open" | "goto" | "scroll_up" | "scroll_down" | "set_cursors", _) => Effect::Moves,
        ("search_dir" | "search_file" | "find_file", _) | (_, "view") => Effect::Reads,
        _ => Effect::Edits,
    }
}

fn of_command(command: &Command, script: &str) -> Effect {
    if !command.writes.is_empty() {
        return Effect::Edits;
    }
    match command.program() {
        "" | ":" | "true" | "false" | "sleep" | "clear" | "echo" | "printf" | "wait" | "for" | "done"
        | "fi" | "}" => Effect::Nothing,
        "cd" => match command.operands().next() {
            // What is shown after it does not hang on where the agent was; whoever compares looks at the place.
            Some(place) if place.starts_with('/') => Effect::Reads,
            _ => Effect::Moves,
        },
        "ls" | "cat" | "head" | "tail" | "less" | "more" | "grep" | "egrep" | "fgrep" | "rg" | "ag"
        | "wc" | "cut" | "tr" | "nl" | "diff" | "cmp" | "file" | "stat" | "du" | "df" | "pwd"
        | "printenv" | "which" | "type" | "whereis" | "date" | "whoami" | "uname" | "id" | "ps" | "test"
        | "[" | "[[" | "basename" | "dirname" | "realpath" | "readlink" | "od" | "hexdump" | "strings"
        | "md5sum" | "sha256sum" => Effect::Reads,
        program @ ("uniq" | "xxd" | "sort" | "tree" | "sed" | "awk" | "find")
            if !writes(program, command) =>
        {
            Effect::Reads
        }
        "xargs" => of_rest(command, script),
        "git" => of_git(command),
        "pip" | "pip3"
            if command.operands().next().is_some_and(|verb| ["list", "show", "freeze"].contains(&verb)) =>
        {
            Effect::Reads
        }
        _ => of_program(command, script),
    }
}

/// Whether a program that reads as a rule is told to write a file.
fn writes(program: &str, command: &Command) -> bool {
    let mut words = command.arguments().iter();
    match program {
        // The second file is the one that is written.
        "uniq" | "xxd" => command.operands().nth(1).is_some(),
        "sort" | "tree" => command.has_short('o') || words.any(|word| word.starts_with("--output")),
        "sed" => command.has_short('i') || words.any(|word| word.starts_with("--in-place")),
        "awk" => words.any(|word| ["inplace", ">", "system"].iter().any(|sign| word.contains(sign))),
        _ => {
            let actions = ["-delete", "-exec", "-ok", "-fprint", "-fls"];
            words.any(|word| actions.iter().any(|action| word.starts_with(action)))
        }
    }
}

/// Where the shell is after a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it was.
    Same,
    /// In this directory.
    At(String),
    /// Somewhere else.
    Unknown,
}

/// Where the shell is after an action, as far as its words say.
pub(super) fn place(action: &Action) -> Place {
    let Action::Bash { command } = action else { return Place::Same };
    let mut place = Place::Same;
    for found in shell::commands(command) {
        place = match (found.program(), found.operands().next()) {
            ("cd", Some(path)) if path.starts_with('/') => Place::At(path.to_owned()),
            ("cd" | "pushd" | "popd", _) => Place::Unknown,
            _ => place,
        };
    }
    place
}

/// What `xargs` runs.
fn of_rest(command: &Command, script: &str) -> Effect {
    let words: Vec<String> =
        command.arguments().iter().skip_while(|word| word.starts_with('-')).cloned().collect();
    if words.is_empty() { Effect::Reads } else { of_command(&Command { words, writes: Vec::new() }, script) }
}

fn of_git(command: &Command) -> Effect {
    const READS: [&str; 12] = [
        "status",
        "log",
        "show",
        "diff",
        "blame",
        "grep",
        "ls-files",
        "rev-parse",
        "describe",
        "cat-file",
        "reflog",
        "shortlog",
    ];
    let verb = command.git_arguments().first().map_or("", String::as_str);
    if READS.contains(&verb) && !command.arguments().iter().any(|word| word.starts_with("--output")) {
        Effect::Reads
    } else {
        Effect::Edits
    }
}

/// Programs that test or check; a script in a file counts as a test where its name says so.
fn of_program(command: &Command, script: &str) -> Effect {
    let arguments = command.arguments();
    let first = arguments.first().map_or("", String::as_str);
    let is_test = match command.program() {
        "pytest" | "py.test" | "tox" | "nosetests" | "flake8" | "mypy" | "pylint" | "pyright" => true,
        "ruff" => !command.has("--fix") && first == "check",
        "python" | "python3" => match first {
            "-m" => arguments.get(1).is_some_and(|module| {
                ["pytest", "unittest", "doctest", "flake8", "mypy", "py_compile", "nose"]
                    .contains(&module.as_str())
            }),
            // An inline program is read for what writes files.
            "-c" | "-" | "" => !["write", "open(", "unlink", "remove", "subprocess", "shutil", "system("]
                .iter()
                .any(|word| script.contains(word)),
            "--version" | "-V" => true,
            file => {
                !file.starts_with('-')
                    && ["test", "repro", "check", "verif", "debug"].iter().any(|word| file.contains(word))
            }
        },
        "cargo" => ["test", "check", "clippy"].contains(&first),
        "go" => ["test", "vet"].contains(&first),
        "npm" | "yarn" | "pnpm" => first == "test",
        "make" => ["test", "check"].contains(&first),
        _ => false,
    };
    if is_test { Effect::Runs } else { Effect::Edits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::Dialect;

    fn of(command: &str) -> Effect {
        Effect::of(&Action::bash(command))
    }

    #[test]
    fn reading_running_and_editing_are_told_apart() {
        for command in [
            "sed -n '/i/p' x",
            "sort -u x",
            "xxd x",
            "git -C /testbed log",
            "ls -la | head",
            "cd /testbed && git log -3",
            "find . -name x | xargs grep y 2>/dev/null",
        ] {
            assert_eq!(of(command), Effect::Reads, "{command}");
        }
        for command in
            ["cd /testbed && python -m pytest a.py -q", "python reproduce.py", "python -c 'print(1)'"]
        {
            assert_eq!(of(command), Effect::Runs, "{command}");
        }
        for command in [
            "sed -i s/a/b/ x",
            "cat > a <<E\nx\nE",
            "rm x",
            "make",
            "find . -delete",
            "python -c 'open(\"a\", \"w\")'",
            "sed -Ei s/a/b/ x",
            "sed -ri.bak s/a/b/ x",
            "sed -n -e p --in-place x",
            "awk -i inplace '{print}' x",
            "find . -fprintf out %p",
            "find . -okdir rm {} ;",
            "sort -uo x x",
            "sort --output=x x",
            "xxd -r a b",
            "uniq a b",
            "python fix.py",
            "git -C /testbed checkout .",
        ] {
            assert_eq!(of(command), Effect::Edits, "{command}");
        }
        for command in ["", "# nothing", "true; sleep 3", "echo done"] {
            assert_eq!(of(command), Effect::Nothing, "{command}");
        }
        assert_eq!(of("cd src"), Effect::Moves);
    }

    #[test]
    fn editors_move_read_and_edit() {
        let of = |text: &str| {
            let call = EditorCall {
                dialect: Dialect::SweAgentRange,
                text: text.into(),
                arguments: serde_json::Map::default(),
            };
            Effect::of(&Action::Editor(call))
        };
        assert_eq!(of("open a.py 3"), Effect::Moves);
        assert_eq!(of("search_dir foo"), Effect::Reads);
        assert_eq!(of("str_replace_editor view /a"), Effect::Reads);
        assert_eq!(of("str_replace_editor create /a --file_text x"), Effect::Edits);
        assert_eq!(of("edit 1:2\nx\nend_of_edit"), Effect::Edits);
    }
}
