//! The table of what becomes of each recorded action, row by row: command, editor call, end, thought, or kept apart.

use apprentice::trajectory::{Action, Dialect, Exit, Step};
use serde_json::{Value, json};

use super::one;

/// The steps of one reply with these tool calls of OpenHands, all results the same.
fn steps(calls: &[(&str, Value)], seen: &str) -> Vec<Step> {
    let ids = 0..calls.len();
    let tool_calls: Vec<Value> = calls
        .iter()
        .zip(ids.clone())
        .map(|((name, arguments), id)| json!({"id": id.to_string(), "function": {"name": name, "arguments": arguments}}))
        .collect();
    let mut messages = vec![
        json!({"role": "user", "content": "It breaks."}),
        json!({"role": "assistant", "content": "Words.", "tool_calls": tool_calls}),
    ];
    messages.extend(ids.map(|id| json!({"role": "tool", "tool_call_id": id.to_string(), "content": seen})));
    one("openhands", &json!({"messages": messages})).steps
}

fn step(name: &str, arguments: Value, seen: &str) -> Step {
    let mut found = steps(&[(name, arguments)], seen);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn scripts_are_kept_verbatim() {
    for script in ["cat <<'EOF' > a\n$x `y`\n\nEOF\n", "cd a &&\n  ls &", "echo '```'", &"x".repeat(200_000)]
    {
        let found = step("execute_bash", json!({"command": script}), "");
        assert_eq!(found.action, Action::bash(script));
    }
}

#[test]
fn several_calls_in_one_reply_are_steps_that_continue_it() {
    let found = steps(
        &[("execute_bash", json!({"command": "ls"})), ("execute_bash", json!({"command": "pwd"}))],
        "x",
    );
    let told: Vec<_> = found
        .iter()
        .map(|step| (step.thought.as_str(), step.continues, step.observation.is_some()))
        .collect();
    assert_eq!(told, [("Words.", false, true), ("", true, true)]);
}

#[test]
fn session_control_and_input_are_kept_and_not_executed() {
    for arguments in [
        json!({"command": ""}),
        json!({"command": "C-c"}),
        json!({"command": "C-z", "is_input": false}),
        json!({"command": "yes", "is_input": "true"}),
    ] {
        let found = step("execute_bash", arguments.clone(), "^C");
        assert!(!found.executed && found.foreign && found.observation.is_some(), "{arguments}");
        assert_eq!(found.action.text(), arguments["command"].as_str().unwrap());
    }
}

#[test]
fn every_sub_command_of_the_editor_keeps_its_arguments() {
    for arguments in [
        json!({"command": "view", "path": "/a", "view_range": [1, -1]}),
        json!({"command": "create", "path": "/a b", "file_text": "it's\n\tx\n"}),
        json!({"command": "str_replace", "path": "/a", "old_str": "  x", "new_str": ""}),
        json!({"command": "insert", "path": "/a", "insert_line": 0, "new_str": "x"}),
        json!({"command": "undo_edit", "path": "/a"}),
    ] {
        let found = step("str_replace_editor", arguments.clone(), "");
        let Action::Editor(call) = found.action else { panic!("an editor's call") };
        assert_eq!((call.dialect, Value::Object(call.arguments.clone())), (Dialect::OpenHands, arguments));
        // The line says the same as the arguments.
        let from_text =
            apprentice::trajectory::EditorCall { arguments: serde_json::Map::new(), ..call.clone() };
        assert_eq!(apprentice::editor::read_call(&from_text), apprentice::editor::read_call(&call));
        assert!(apprentice::editor::is_call(Dialect::OpenHands, &call.text));
    }
}

#[test]
fn the_end_has_many_names() {
    for name in ["finish", "exit_forfeit", "task_complete"] {
        assert_eq!(step(name, json!({}), "").action, Action::Submit);
    }
}

#[test]
fn thoughts_and_plans_are_no_steps() {
    let found =
        steps(&[("think", json!({"thought": "Deep."})), ("execute_bash", json!({"command": "ls"}))], "x");
    assert_eq!((found.len(), found[0].thought.as_str()), (1, "Words.\n\nDeep."));
}

#[test]
fn browsers_notebooks_and_strangers_are_kept_and_not_executed() {
    for name in ["browser", "web_read", "execute_ipython_cell", "call_my_tool"] {
        let found = step(name, json!({"code": "x = 1"}), "seen");
        assert!(!found.executed && found.foreign && found.action.text().contains("x = 1"), "{name}");
        assert_eq!(found.observation.unwrap().output, "seen");
    }
}

#[test]
fn a_result_of_no_call_is_a_reject_that_names_its_step() {
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "a"});
    let call = json!({"id": "1", "function": {"name": "execute_bash", "arguments": {"command": "ls"}}});
    let messages = [
        json!({"role": "user", "content": "It breaks."}),
        json!({"role": "assistant", "content": "", "tool_calls": [call]}),
        result("1"),
        result("2"),
    ];
    let (found, rejects) = super::written("t.jsonl", json!({"messages": messages}).to_string());
    assert_eq!((found.len(), rejects.len(), rejects[0].step), (0, 1, Some(2)));
    assert!(rejects[0].reason.contains("`2`"), "{}", rejects[0].reason);
    let (found, rejects) = super::written("t.jsonl", json!({"messages": messages[..3]}).to_string());
    assert_eq!((found.len(), rejects), (1, Vec::new()));
}

#[test]
fn what_nobody_ran_is_not_foreign() {
    let refused = step("execute_ipython_cell", json!({"code": "x = 1"}), "Function call validation error: x");
    let no_command = step("execute_bash", json!({}), "seen");
    let no_json = step("browser", json!("{\"code"), "seen");
    let ran = step("execute_bash", json!({"command": "ls"}), "seen");
    assert!([refused, no_command, no_json].iter().all(|step| !step.executed && !step.foreign));
    assert!(ran.executed && !ran.foreign);
}

#[test]
fn searches_become_commands() {
    assert_eq!(
        step("grep", json!({"pattern": "def x", "path": "/w"}), "").action.text(),
        "grep -rnI -E -- 'def x' /w"
    );
    assert_eq!(
        step("glob", json!({"pattern": "*.py", "path": "/w"}), "").action.text(),
        "find /w -type f -path '/w/*.py'"
    );
    assert_eq!(step("read", json!({"path": "/w/a"}), "").action.text(), "str_replace_editor view /w/a");
}

#[test]
fn arguments_that_are_no_json_are_the_agents_mistake_and_kept() {
    let found = step("execute_bash", json!("{\"command\": \"ls"), "error");
    assert!(!found.executed && found.action.text().contains("ls"));
}

#[test]
fn blocked_and_timed_out_commands_are_told_from_what_the_scaffold_says() {
    let blocked = step(
        "execute_bash",
        json!({"command": "a\nb"}),
        "ERROR: Cannot execute multiple commands at once.\nPlease run each",
    );
    assert!(!blocked.executed);
    let killed = step("execute_bash", json!({"command": "x"}), "EXECUTION TIMED OUT because no output");
    assert_eq!(killed.observation.unwrap().exit, Some(Exit::TimedOut));
    let interrupted =
        step("execute_bash", json!({"command": "x"}), "a\n[The command completed with exit code 130.]");
    assert_eq!(interrupted.observation.unwrap().exit, Some(Exit::Code(130)));
}

#[test]
fn a_record_that_holds_no_conversation_is_refused_with_its_step() {
    let rejected = |messages: Value| {
        let (_, rejects) =
            super::written("a.jsonl", json!({"messages": messages, "run_id": "r"}).to_string());
        rejects.into_iter().next().unwrap()
    };
    let user = json!({"role": "user", "content": "x"});
    let ran = json!({"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "bash", "arguments": {"command": "ls"}}}]});
    let nameless =
        rejected(json!([user, ran, {"role": "assistant", "content": "", "tool_calls": [{"id": "2"}]}]));
    assert_eq!((nameless.step, nameless.reason.as_str()), (Some(2), "step 2: a tool call has no name"));
    assert_eq!(
        rejected(json!([user, ran, {"role": "narrator", "content": ""}])).reason,
        "step 2: `role` is `narrator`, which nobody has"
    );
    assert_eq!(rejected(json!([user])).reason, "it has no steps");
    let numbers = rejected(
        json!([user, {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "bash", "arguments": 3}}]}]),
    );
    assert_eq!(numbers.reason, "step 1: the arguments of `bash` must be an object, found a number");
}
