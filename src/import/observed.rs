//! What agents were shown after an action, freed of what their scaffold wrote around it.
//!
//! Guarantees that only the wrappers that a format names are taken off, each at its place (the head or the
//! tail): what a command itself printed stays. Exit codes are read where a wrapper states them.

use std::sync::LazyLock;

use regex::Regex;

use crate::trajectory::{Exit, Observation};

use super::escapes::plain_line_ends;

/// What a scaffold writes around an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// A terminal's carriage returns before line ends.
    Terminal,
    /// `OBSERVATION:` in front.
    Label,
    /// `EXECUTION RESULT of [tool]:` in front.
    Execution,
    /// SWE-agent's words for silence.
    Silence,
    /// SWE-agent's `(Open file: …)`, `(Current directory: …)` and `bash-$` at the end.
    Prompt,
    /// OpenHands' prompt and `[Command finished with exit code 0]` at the end.
    Finished,
    /// mini-swe-agent's `<returncode>` and `<output>`.
    Returncode,
    /// R2E-Gym's `Exit code:` and `[STDOUT]`.
    Streams,
}

/// An observation without its wrappers, and what they said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// What was printed, and the exit code where the wrappers state it.
    pub observation: Observation,
    /// The directory after the command.
    pub directory: Option<String>,
    /// Whether the scaffold says that it did not run the action.
    pub refused: bool,
}

/// Takes `wrappers` off, in their order.
pub(super) fn seen(text: impl Into<String>, wrappers: &[Wrapper]) -> Seen {
    without(text.into(), wrappers.iter().copied())
}

/// The same of a text without a terminal's carriage returns.
pub(super) fn seen_plain(text: String, wrappers: &[Wrapper]) -> Seen {
    without(text, wrappers.iter().copied().filter(|wrapper| *wrapper != Wrapper::Terminal))
}

fn without(text: String, wrappers: impl Iterator<Item = Wrapper>) -> Seen {
    let refused = is_refusal(&text);
    let mut seen = Seen { observation: Observation::recorded(text), directory: None, refused };
    for wrapper in wrappers {
        unwrap(wrapper, &mut seen);
    }
    seen.refused |= is_refusal(&seen.observation.output);
    if is_timeout(&seen.observation.output) {
        seen.observation.exit = Some(Exit::TimedOut);
    }
    seen
}

fn unwrap(wrapper: Wrapper, seen: &mut Seen) {
    let output = &mut seen.observation.output;
    match wrapper {
        Wrapper::Terminal => plain_line_ends(output),
        Wrapper::Label => cut_head(output, after_label),
        Wrapper::Execution => cut_head(output, after_execution),
        Wrapper::Silence => {
            if output.trim() == "Your command ran successfully and did not produce any output." {
                output.clear();
            }
        }
        Wrapper::Prompt => prompt(seen),
        Wrapper::Finished => finished(seen),
        Wrapper::Returncode => returncode(seen),
        Wrapper::Streams => streams(seen),
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is fixed")
}

/// Keeps what stands after a head, where there is one.
fn cut_head(output: &mut String, after: fn(&str) -> Option<&str>) {
    if let Some(rest) = after(output) {
        let head = output.len() - rest.len();
        output.drain(..head);
    }
}

fn after_label(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("OBSERVATION:").or_else(|| text.strip_prefix("Observation:"))?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    Some(rest.strip_prefix('\n').unwrap_or(rest))
}

fn after_execution(text: &str) -> Option<&str> {
    let tool = text.strip_prefix("EXECUTION RESULT of [")?;
    let end = tool.find([']', '\n'])?;
    let rest = tool[end..].strip_prefix("]:")?;
    Some(rest.strip_prefix('\n').unwrap_or(rest))
}

fn prompt(seen: &mut Seen) {
    static TAIL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\n?\(Open file: [^\n]*\)\r?\n\(Current directory: ([^\n)]*)\)\r?\nbash-\$\s*\z")
    });
    // The tail is short but for its paths; the rest of a long output is not looked at.
    let output = &mut seen.observation.output;
    if !output.trim_end().ends_with("bash-$") {
        return;
    }
    let from = output.rfind("(Open file: ").map_or(output.len(), |at| at.saturating_sub(1));
    let Some(found) = output.get(from..).and_then(|tail| TAIL.captures(tail)) else { return };
    seen.directory = Some(found[1].to_owned());
    let cut = from + found.get(0).map_or(0, |found| found.start());
    output.truncate(cut);
}

/// OpenHands' tail, line by line from the end: releases write different parts of it.
fn finished(seen: &mut Seen) {
    static EXIT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"\n*\[(?:Command finished with exit code (-?\d+)|The command completed with exit code (-?\d+)\.[^\]\n]*)\]\s*\z",
        )
    });
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\n?\[(?:Current working directory: ([^\]\n]*)|[Pp]ython [Ii]nterpreter: [^\]\n]*)\]\s*\z")
    });
    static PROMPT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\[Python Interpreter: [^\]\n]*\]\s*\n[^\n]*@[^\n:]*:[^\n]*[#$] ?\s*\z"));
    static WAITING: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\n*\[The command (?:has no new output|timed out) after [^\]]*\]\s*\z"));
    let output = &mut seen.observation.output;
    if let Some(rest) = output.strip_prefix("[Below is the output of the previous command.]\n") {
        *output = rest.to_owned();
    }
    loop {
        let from = tail_start(output);
        let tail = &output[from..];
        if let Some(found) = EXIT.captures(tail) {
            let code = found.get(1).or(found.get(2)).and_then(|code| code.as_str().parse::<i32>().ok());
            // −1 says that it still runs.
            seen.observation.exit = code.filter(|code| 0 <= *code).map(Exit::Code).or(seen.observation.exit);
            output.truncate(from + found.get(0).map_or(0, |found| found.start()));
        } else if let Some(found) = PLACE.captures(tail) {
            seen.directory = found.get(1).map(|path| path.as_str().to_owned()).or(seen.directory.take());
            output.truncate(from + found.get(0).map_or(0, |found| found.start()));
        } else if let Some(found) = PROMPT.find(tail).or_else(|| WAITING.find(tail)) {
            output.truncate(from + found.start());
        } else {
            return;
        }
    }
}

/// Where the last kilobyte begins: no scaffold's tail is longer.
fn tail_start(text: &str) -> usize {
    let from = text.len().saturating_sub(1024);
    (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

fn returncode(seen: &mut Seen) {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\A(?:<exception>[^<]*</exception>\s*)?<returncode>(-?\d+)</returncode>\s*")
    });
    let text = &seen.observation.output;
    let Some(found) = HEAD.captures(text) else { return };
    let code = found[1].parse().ok();
    let rest = &text[found.get(0).map_or(0, |found| found.end())..];
    let omitted: u64 = between(rest, "<elided_chars>", "</elided_chars>")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let part = |tag: &str| between(rest, &format!("<{tag}>\n"), &format!("</{tag}>"));
    let output = match (part("output"), part("output_head"), part("output_tail")) {
        (Some(output), ..) => output.to_owned(),
        (None, Some(head), Some(tail)) => format!("{head}{tail}"),
        _ => rest.to_owned(),
    };
    seen.observation =
        Observation { exit: code.map(Exit::Code), omitted_bytes: omitted, ..Observation::recorded(output) };
}

/// The text from the first `open` to the last `close`.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = text.find(open)? + open.len();
    let end = text.rfind(close).filter(|end| start <= *end)?;
    Some(&text[start..end])
}

fn streams(seen: &mut Seen) {
    static HEAD: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\AExit code: (-?\d+)\s*\nExecution output of \[[^\]\n]*\]:\s*\n?"));
    static BARE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\AExecution output of \[[^\]\n]*\]:\s*\n?"));
    let text = &seen.observation.output;
    let (code, rest) = match (HEAD.captures(text), BARE.find(text)) {
        (Some(found), _) => (found[1].parse().ok(), &text[found.get(0).map_or(0, |found| found.end())..]),
        (None, Some(found)) => (None, &text[found.end()..]),
        _ => return,
    };
    let output = match (rest.strip_prefix("[STDOUT]"), rest.rsplit_once("[STDERR]")) {
        (Some(out), Some((_, err))) => {
            let out = out.rsplit_once("[STDERR]").map_or(out, |(out, _)| out);
            [out.trim_matches('\n'), err.trim_matches('\n')]
                .iter()
                .filter(|part| !part.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join("\n")
        }
        (Some(out), None) => out.trim_matches('\n').to_owned(),
        _ => rest.to_owned(),
    };
    let exit = code.map(Exit::Code);
    seen.observation = Observation { exit, ..Observation::recorded(output) };
}

/// How scaffolds begin when they did not run what was asked.
const REFUSALS: &[&str] = &[
    "Operation '",
    "Your bash command contained syntax errors and was NOT executed",
    "ERROR: Cannot execute multiple commands at once",
    "Cannot execute multiple commands at once",
    "Your output was not formatted correctly",
    "Please always provide EXACTLY ONE action",
    "Please always provide **EXACTLY ONE action",
    "Invalid XML format",
    "Function call validation error",
    "Missing required parameters for function",
    "Your last output did not use any tool calls",
    "Your last output did not use the correct format",
    "Your command was blocked",
    "action was not executed",
    "No function call was detected in the model response",
    "Your previous command has been blocked",
];

fn is_refusal(text: &str) -> bool {
    let text = text.trim_start();
    REFUSALS.iter().any(|refusal| match *refusal {
        // SWE-agent names the command between these words.
        "Operation '" => text.starts_with(refusal) && text.contains("' is not supported by this environment"),
        refusal => text.starts_with(refusal),
    })
}

/// Whether the scaffold says that it ended a command whose time was over.
fn is_timeout(text: &str) -> bool {
    static KILLED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?s)\A(?:The last command <command>.*</command> timed out and has been killed|EXECUTION TIMED OUT|The command '.*' was cancelled because it took more than \d+|The command took too long to execute \(>\d+s\))",
        )
    });
    let head = ["The last command <", "EXECUTION TIMED OUT", "The command '", "The command took too long"];
    head.iter().any(|head| text.starts_with(head)) && KILLED.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wrappers: &[Wrapper], output: &str, exit: Option<Exit>, directory: Option<&str>) {
        let seen = seen(text, wrappers);
        assert_eq!(seen.observation.output, output, "{text}");
        assert_eq!((seen.observation.exit, seen.directory.as_deref()), (exit, directory), "{text}");
    }

    #[test]
    fn every_wrapper_comes_off_at_its_place() {
        use Wrapper::{Execution, Finished, Label, Prompt, Returncode, Silence, Streams, Terminal};
        let ok = Some(Exit::Code(0));
        check("OBSERVATION:\na\r\nb", &[Label, Terminal], "a\nb", None, None);
        check("Observation: a OBSERVATION:\n", &[Label], "a OBSERVATION:\n", None, None);
        check("EXECUTION RESULT of [execute_bash]:\nx", &[Execution], "x", None, None);
        check("Your command ran successfully and did not produce any output.", &[Silence], "", None, None);
        check("x\n(Open file: n/a)\n(Current directory: /r)\nbash-$", &[Prompt], "x", None, Some("/r"));
        check("(Open file: a)\nmore", &[Prompt], "(Open file: a)\nmore", None, None);
        check(
            "out\n[The command completed with exit code 0.]\n[Current working directory: /w]\n[Python interpreter: /p]\n[Command finished with exit code 0]",
            &[Finished],
            "out",
            ok,
            Some("/w"),
        );
        check(
            "out[Python Interpreter: /p/python]\nroot@openhands-workspace:/workspace/x # \n[Command finished with exit code 2]",
            &[Finished],
            "out",
            Some(Exit::Code(2)),
            None,
        );
        check(
            "a\n[The command has no new output after 30 seconds. You may wait longer.]\n[Command finished with exit code -1]",
            &[Finished],
            "a",
            None,
            None,
        );
        check(
            "<returncode>1</returncode>\n<output>\na\n</output>",
            &[Returncode],
            "a\n",
            Some(Exit::Code(1)),
            None,
        );
        check(
            "Exit code: 3\nExecution output of [execute_bash]:\n[STDOUT]\n\na\n\n[STDERR]\n\nb",
            &[Streams],
            "a\nb",
            Some(Exit::Code(3)),
            None,
        );
    }

    #[test]
    fn long_outputs_of_mini_say_what_was_left_out() {
        let text = "<returncode>0</returncode>\n<warning>\nlong\n</warning>\n<output_head>\na\n</output_head>\n<elided_chars>\n7 characters elided\n</elided_chars>\n<output_tail>\nb\n</output_tail>";
        let seen = seen(text, &[Wrapper::Returncode]).observation;
        assert_eq!((seen.output.as_str(), seen.omitted_bytes), ("a\nb\n", 7));
    }

    #[test]
    fn refusals_and_timeouts_are_told_from_output() {
        assert!(seen("Operation 'vim a' is not supported by this environment.", &[]).refused);
        assert!(!seen("Operation 'x' done", &[]).refused);
        let killed = seen("The last command <command>x\ny</command> timed out and has been killed.", &[]);
        assert_eq!(killed.observation.exit, Some(Exit::TimedOut));
    }
}
