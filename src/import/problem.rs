//! The problem, as the prompts of agents state it.
//!
//! Guarantees a part of the prompt, word for word; the whole prompt where no known frame is around it.

use memchr::memmem;

/// What stands before and after the problem in the prompts of known scaffolds.
const FRAMES: &[(&str, &str)] = &[
    ("<pr_description>", "</pr_description>"),
    ("<issue_description>", "</issue_description>"),
    ("<github_issue>", "</github_issue>"),
    ("<problem_statement>", "</problem_statement>"),
    ("\nISSUE:\n", "\nINSTRUCTIONS:\n"),
    ("Please solve this issue: ", "\n\nYou can execute bash commands"),
];

/// What OpenHands writes around the task after an example of how to call its tools.
const AFTER_EXAMPLE: (&str, &str) =
    ("NEW TASK DESCRIPTION ---------------------", "--------------------- END OF NEW TASK DESCRIPTION");

/// The problem in `prompt`.
pub(super) fn problem(prompt: &str) -> Option<String> {
    let prompt = after_example(prompt);
    let framed = FRAMES.iter().find_map(|(open, close)| framed(prompt, open, close));
    let text = framed.unwrap_or(prompt).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn framed<'a>(prompt: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = memmem::find(prompt.as_bytes(), open.as_bytes())? + open.len();
    let end = memmem::rfind(prompt.as_bytes(), close.as_bytes()).filter(|end| start <= *end)?;
    Some(&prompt[start..end])
}

/// The prompt without the example that it begins with.
fn after_example(prompt: &str) -> &str {
    let (open, close) = AFTER_EXAMPLE;
    let Some(end) = memmem::rfind(prompt.as_bytes(), close.as_bytes()) else { return prompt };
    let before = &prompt[..end];
    before.rsplit_once(open).map_or(before, |(_, task)| task)
}

/// The directory that a prompt names as the repository's, or that the agent is told to be in.
pub(super) fn directory(prompt: &str) -> Option<String> {
    uploaded(prompt).or_else(|| {
        let (_, rest) = after_example(prompt).rsplit_once("(Current directory: ")?;
        let (path, after) = rest.split_once(')')?;
        let is_end = matches!(after.trim(), "" | "bash-$");
        (is_end && path.starts_with('/') && !path.contains('\n')).then(|| path.to_owned())
    })
}

fn uploaded(prompt: &str) -> Option<String> {
    let inner = framed(prompt, "<uploaded_files>", "</uploaded_files>")?;
    let path = inner.split("</uploaded_files>").next()?.trim();
    (path.starts_with('/') && !path.contains('\n')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_frames_come_off() {
        let is =
            |prompt: &str, expected: &str| assert_eq!(problem(prompt).as_deref(), Some(expected), "{prompt}");
        is("Solve:\n<pr_description>\nIt breaks.\n</pr_description>\nGo.", "It breaks.");
        is("x\nISSUE:\nIt breaks.\n\nINSTRUCTIONS:\nGo.", "It breaks.");
        is("just words", "just words");
        is(
            "<pr_description>an example</pr_description> NEW TASK DESCRIPTION ---------------------\nIt breaks.\n--------------------- END OF NEW TASK DESCRIPTION -----\nGo",
            "It breaks.",
        );
        assert_eq!(problem(" "), None);
    }

    #[test]
    fn the_repository_is_where_it_was_uploaded() {
        let prompt = "<uploaded_files>\n/workspace/a__1\n</uploaded_files>\nI've uploaded …";
        assert_eq!(uploaded(prompt).as_deref(), Some("/workspace/a__1"));
        assert_eq!(uploaded("<uploaded_files>\na.py\n</uploaded_files>"), None);
        let prompt = "ISSUE:\nIt says (Current directory: /x)\n\nINSTRUCTIONS:\nGo.\n(Open file: n/a)\n(Current directory: /r)\nbash-$";
        assert_eq!(directory(prompt).as_deref(), Some("/r"));
        assert_eq!(directory("(Current directory: r)"), None);
        assert_eq!(directory("It printed (Current directory: /x) and failed."), None);
    }
}
