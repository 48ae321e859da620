//! What a terminal or a scaffold adds to an output.

use std::borrow::Cow;

use super::pattern;

/// A terminal writes `\r\n`.
pub(super) fn carriage_returns(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

/// What scaffolds put around what the agent saw: SWE-agent its state, OpenHands its prompt, directory and interpreter.
pub(super) fn scaffold_prompt(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\A(?:OBSERVATION:\n|EXECUTION RESULT of \[\w+\]:\n)").replace(text, "");
    let text = pattern!(r"(?:\n?\(Open file: [^\n]*\))?\n?\(Current directory: [^\n]*\)\n(?:bash-)?\$\s*$")
        .replace(&text, "");
    pattern!(
        r"\n?(?:\[(?:The command completed with exit code -?\d+\.|Current working directory: [^\n]*|[Pp]ython [Ii]nterpreter: [^\n]*|Command finished with exit code -?\d+)\]\s*|[\w.-]+@openhands-workspace:[^\n]*[#$] ?\n?)+\z"
    )
    .replace(&text, "")
    .into_owned()
    .into()
}

/// The exit code that a scaffold wrote at the end of what the agent saw.
pub(in crate::replay) fn exit_code(text: &str) -> Option<i32> {
    let written = pattern!(
        r"\[(?:The command completed with exit code (-?\d+)\.|Command finished with exit code (-?\d+))\]"
    );
    let last = written.captures_iter(text).last()?;
    // A command may print such words; the scaffold's are those that its normaliser takes away.
    if scaffold_prompt(text).len() >= last.get(0)?.end() {
        return None;
    }
    last.get(1).or_else(|| last.get(2))?.as_str().parse().ok()
}

/// Spaces before a line end and empty lines around the text.
pub(super) fn trailing_space(text: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned().into()
}

/// Colours, cursor movements, and what a backspace wiped out.
pub(super) fn terminal_control(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-_])").replace_all(text, "");
    if !text.contains('\x08') {
        return text;
    }
    let mut line = String::new();
    for c in text.chars() {
        match c {
            '\x08' => drop(line.pop()),
            c => line.push(c),
        }
    }
    line.into()
}
