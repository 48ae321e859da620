//! Records of mini-swe-agent and of the data sets made with it, by us, and what becomes of them.

use apprentice::trajectory::{End, Exit};
use serde_json::{Value, json};

use super::{PATCH, actions, call, executed, one, outputs, say};

#[test]
fn mini_version_1() {
    let record = json!({
        "info": {"exit_status": "Submitted", "submission": PATCH, "model_stats": {}, "config": {"model": {"model_name": "m"}, "environment": {"cwd": "/testbed"}}},
        "messages": [
            say("system", "s"),
            say("user", "Please solve this issue: It breaks.\n\nYou can execute bash commands and edit files"),
            say("assistant", "THOUGHT: Two at once.\n\n```bash\nls\n```\n\n```bash\npwd\n```"),
            say("user", "Please always provide EXACTLY ONE action in triple backticks, found 2 actions."),
            say("assistant", "No action."),
            say("user", "Please always provide EXACTLY ONE action in triple backticks, found 0 actions."),
            say("assistant", "THOUGHT: Write.\n\n```bash\ncat > a.md <<'EOF'\n# a\n\nb\nEOF\n```"),
            say("user", "<returncode>0</returncode>\n<output>\n</output>"),
            say("assistant", "Wait.\n\n```bash\nsleep 100\n```"),
            say("user", "The last command <command>sleep 100</command> timed out and has been killed.\nThe output of the command was:\n <output>\n</output>"),
            say("assistant", "End.\n\n```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git add -A && git diff --cached\n```"),
            say("user", PATCH),
        ],
        "trajectory_format": "mini-swe-agent-1", "instance_id": "o__r-1",
    });
    let found = one("mini-swe-agent", &record);
    assert_eq!(
        actions(&found),
        ["ls\npwd", "No action.", "cat > a.md <<'EOF'\n# a\n\nb\nEOF", "sleep 100", "submit"]
    );
    assert_eq!(executed(&found), [false, false, true, true, true]);
    let exits: Vec<_> = found.steps.iter().map(|step| step.observation.as_ref().unwrap().exit).collect();
    assert_eq!(exits[2..4], [Some(Exit::Code(0)), Some(Exit::TimedOut)]);
    assert_eq!(found.steps[2].thought, "Write.");
    assert_eq!(
        (found.task.as_str(), found.patch.as_deref(), found.source.model.as_deref()),
        ("o__r-1", Some(PATCH), Some("m"))
    );
    assert_eq!(
        (found.source.workdir.as_deref(), found.source.fresh_shells, found.end),
        (Some("/testbed"), true, End::Submitted)
    );
    assert_eq!(found.problem.as_deref(), Some("It breaks."));
}

#[test]
fn mini_version_2_with_tool_calls() {
    let bash = |id: &str, command: &str| call(id, "bash", &json!({"command": command}));
    let seen = |id: &str, output: &str, code: i32, exception: &str| {
        json!({"role": "tool", "tool_call_id": id, "content": format!("<returncode>{code}</returncode>\n<output>\n{output}</output>"),
            "extra": {"raw_output": output, "returncode": code, "exception_info": exception}})
    };
    let listed = |content: Value, actions: &[(&str, &str)]| {
        let calls: Vec<Value> = actions.iter().map(|(id, command)| bash(id, command)).collect();
        let actions: Vec<Value> =
            actions.iter().map(|(id, command)| json!({"command": command, "tool_call_id": id})).collect();
        json!({"role": "assistant", "content": content, "tool_calls": calls, "extra": {"actions": actions}})
    };
    let record = json!({
        "trajectory_format": "mini-swe-agent-1.1", "info": {"exit_status": "Submitted", "submission": PATCH},
        "messages": [
            say("system", "s"), say("user", "It breaks."),
            listed(json!("Both."), &[("a", "ls"), ("b", "cat x")]),
            seen("b", "x\n", 0, ""),
            seen("a", "l\n", 1, ""),
            listed(Value::Null, &[("c", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"), ("d", "ls")]),
            seen("c", "", 0, ""),
            seen("d", "", -1, "action was not executed"),
            {"role": "exit", "content": PATCH, "extra": {"exit_status": "Submitted", "submission": PATCH}},
        ],
    });
    let found = one("mini-swe-agent", &record);
    assert_eq!(actions(&found), ["ls", "cat x", "submit", "ls"]);
    assert_eq!(outputs(&found), ["l\n", "x\n", "", ""]);
    assert_eq!(executed(&found), [true, true, true, false]);
    assert_eq!(found.steps.iter().map(|step| step.continues).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(found.steps[0].observation.as_ref().unwrap().exit, Some(Exit::Code(1)));
}

#[test]
fn mini_version_2_with_tags_and_responses() {
    let tags = json!({"trajectory_format": "mini-swe-agent-1.1", "info": {"exit_status": "LimitsExceeded"}, "messages": [
        say("user", "It breaks."),
        say("assistant", "Look.\n<mswea_bash_command>ls -la</mswea_bash_command>"),
        say("user", "<returncode>0</returncode>\n<output>\na\n</output>"),
    ]});
    let found = one("mini-swe-agent", &tags);
    assert_eq!(
        (actions(&found), found.steps[0].thought.as_str(), found.end),
        (vec!["ls -la".to_owned()], "Look.", End::StepLimit)
    );
    let responses = json!({"trajectory_format": "mini-swe-agent-1.1", "info": {}, "messages": [
        say("user", "It breaks."),
        {"object": "response", "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look."}]},
            {"type": "function_call", "call_id": "1", "name": "bash", "arguments": "{\"command\": \"ls\"}"},
        ]},
        {"type": "function_call_output", "call_id": "1", "output": "<returncode>0</returncode>\n<output>\na\n</output>"},
    ]});
    let found = one("mini-swe-agent", &responses);
    assert_eq!(
        (actions(&found), outputs(&found), found.steps[0].thought.as_str()),
        (vec!["ls".to_owned()], vec!["a\n"], "Hm.\n\nLook.")
    );
}

#[test]
fn data_sets_made_with_mini() {
    let ask = "Please solve this issue: It breaks.\n\nYou can execute bash commands";
    let coder = json!({"instance_id": "o__r-1", "model": "m", "patch": PATCH, "verified": true, "messages": [
        say("user", ask), say("assistant", "Look.\n\n```bash\nls\n```"), say("user", "<returncode>0</returncode>\n<output>\na\n</output>"),
    ]});
    let found = one("mini-coder", &coder);
    assert_eq!(
        (found.resolved, found.patch.as_deref(), found.source.fresh_shells),
        (Some(true), Some(PATCH), true)
    );
    let script = "old=$(cat <<'OLD'\na\nOLD\n)\nnew=$(cat <<'NEW'\nb\nNEW\n)\nedit_via_str_replace x.py -- \"$old\" \"$new\"";
    let klear = json!({"instance_id": "o__r-1", "messages": [
        say("user", "use edit_via_str_replace"), say("assistant", &format!("Edit.\n\n```bash\n{script}\n```")),
        say("user", "<returncode>2</returncode>\n<output>\nno match\n</output>"),
        say("assistant", "End.\n\n```bash\necho MINI_SWE_AGENT_FINAL_OUTPUT\n```"),
    ]});
    let found = one("kwai-klear", &klear);
    assert_eq!(actions(&found), [script, "submit"]);
}
