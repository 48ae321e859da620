//! Which action a reply is under each scaffold, and what a student reads.

use super::*;
use crate::trajectory::Dialect as Editor;

fn task(problem: &str) -> Task {
    Task { problem: problem.to_owned(), ..Task::default() }
}

fn editor(dialect: Editor, text: &str) -> Action {
    Action::Editor(EditorCall { dialect, text: text.to_owned(), arguments: serde_json::Map::new() })
}

#[test]
fn a_reply_is_the_action_that_the_scaffold_has_a_tool_for() {
    let load = |name| Scaffold::load(name).unwrap();
    let (view, edit) = ("str_replace_editor view a", "### a\n<<<<<<< SEARCH\n1\n=======\n>>>>>>> REPLACE");
    for (name, text, action) in [
        ("bash", "submit", Some(Action::Submit)),
        ("bash", view, Some(Action::bash(view))),
        ("bash", edit, Some(Action::bash(edit))),
        ("editor", "submit", Some(Action::Submit)),
        ("editor", "ls", Some(Action::bash("ls"))),
        ("editor", view, Some(editor(Editor::Ours, view))),
        ("oracle-edit", edit, Some(editor(Editor::SearchReplace, edit))),
        ("oracle-edit", "submit", Some(editor(Editor::SearchReplace, "submit"))),
        ("localize-edit", "a\nb", Some(editor(Editor::NamedFiles, "a\nb"))),
        ("localize-edit", edit, Some(editor(Editor::SearchReplace, edit))),
        (
            "bash",
            r#"<tool_call>{"name":"bash","arguments":{"command":"ls"}}</tool_call>"#,
            Some(Action::bash("ls")),
        ),
        ("bash", r#"<tool_call>{"name":"name_files","arguments":{"paths":"a"}}</tool_call>"#, None),
    ] {
        assert_eq!(load(name).action(text), action, "{name}: {text}");
    }
    let calls = Scaffold { dialect: Dialect::ToolCalls, ..Scaffold::default() };
    assert_eq!(calls.action("ls"), None);
}

#[test]
fn what_a_student_says_reads_back_in_both_dialects() {
    for dialect in [Dialect::Text, Dialect::ToolCalls] {
        for name in Scaffold::names() {
            let scaffold = Scaffold { dialect, ..Scaffold::load(name).unwrap() };
            for text in [
                "ls",
                "submit",
                "str_replace_editor view a",
                "### a\n<<<<<<< SEARCH\n1\n=======\n>>>>>>> REPLACE",
            ] {
                // What the text asks for, as bare text.
                let bare_scaffold = Scaffold { dialect: Dialect::Text, ..scaffold.clone() };
                let action = bare_scaffold.action(text).unwrap();
                let reply = scaffold.reply(&Step::new("Look.", action.clone()));
                let read = parse_reply(&reply).unwrap();
                assert_eq!(scaffold.action(read.action), Some(action), "{name}: {reply}");
                assert_eq!(bare(read.action), text);
            }
        }
    }
}

#[test]
fn a_tool_call_that_cannot_be_read_is_malformed() {
    for reply in ["<think>a</think><tool_call>ls</tool_call>", "<think>a</think><tool_call>{}"] {
        assert_eq!(parse_reply(reply), Err(FormatError::UnreadableCall));
    }
}

#[test]
fn a_problem_that_was_opened_is_shown_as_it_is() {
    let scaffold = Scaffold::load("oracle-edit").unwrap();
    let opened = scaffold.opened("It fails on {files}.\n", "### a\n```\n1\n```\n");
    assert_eq!(opened, "It fails on {files}.\n\nThe files that must change:\n\n### a\n```\n1\n```");
    assert_eq!(conversation(&scaffold, &task(&opened), &[])[1].content, opened);
    let clipped = Scaffold { shown_chars: 4, ..scaffold }.opened("p", "0123456789");
    assert!(clipped.ends_with("01\n[… 6 characters left out …]\n89"), "{clipped}");
}
