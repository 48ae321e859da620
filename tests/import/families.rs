//! One record of each family, by us, and what becomes of it.

use apprentice::import;
use apprentice::trajectory::{Action, Dialect, Edition, End, Exit};
use serde_json::{Value, json};

use super::{PATCH, TASK, actions, call, calls, editor_calls, executed, one, outputs, result, say, written};

#[test]
fn swe_smith_as_xml() {
    let messages = json!([
        say("system", "tools"),
        say("user", TASK),
        say(
            "assistant",
            "Look.\n\n<function=bash>\n<parameter=command>cd /testbed && ls</parameter>\n</function>"
        ),
        say("user", "OBSERVATION:\na.py\r\nb.py"),
        say(
            "assistant",
            "<function=str_replace_editor>\n<parameter=command>insert</parameter>\n<parameter=path>/testbed/a.py</parameter>\n<parameter=insert_line>2</parameter>\n<parameter=new_str>\n    x\n</parameter>\n</function>"
        ),
        say("user", "Observation: The file /testbed/a.py has been edited."),
        say("assistant", "Done.\n\n<function=submit>\n</function>"),
        say("user", "OBSERVATION:\nThank you for your work. Run submit again."),
        say("assistant", "<function=bash>\n<parameter=command>rm /testbed/b.py</parameter>\n</function>"),
        say("user", "Your command ran successfully and did not produce any output."),
        say("assistant", "<function=submit>\n</function>"),
    ]);
    let record = json!({
        "messages": messages.to_string(), "instance_id": "a__b.1.pr_1", "resolved": true, "model": "m", "traj_id": "a__b.1.pr_1.x",
        "patch": PATCH,
    });
    let found = one("swe-smith", &record);
    assert_eq!(
        actions(&found),
        [
            "cd /testbed && ls",
            "str_replace_editor insert /testbed/a.py    --new_str '    x' --insert_line 2",
            "submit",
            "rm /testbed/b.py",
            "submit"
        ]
    );
    let Action::Editor(edit) = &found.steps[1].action else { panic!("step 2 is an edit") };
    assert_eq!((edit.dialect, &edit.arguments["insert_line"]), (Dialect::SweAgentStrReplace, &json!(2)));
    assert_eq!(
        outputs(&found),
        [
            "a.py\nb.py",
            "The file /testbed/a.py has been edited.",
            "Thank you for your work. Run submit again.",
            "",
            "-"
        ]
    );
    assert_eq!(
        (found.id.as_str(), found.task.as_str(), found.end),
        ("a__b.1.pr_1.x", "a__b.1.pr_1", End::Submitted)
    );
    assert_eq!(
        (found.resolved, found.patch.as_deref(), found.source.model.as_deref()),
        (Some(true), Some(PATCH), Some("m"))
    );
    assert_eq!(
        (found.problem.as_deref(), found.source.workdir.as_deref()),
        (Some("It breaks."), Some("/testbed"))
    );
    // Without the published columns it is told from its calls.
    let bare = one("swe-smith", &json!({"messages": messages, "instance_id": "a__b.1.pr_1"}));
    assert_eq!(bare.steps, found.steps);
}

#[test]
fn swe_smith_as_ticks_and_as_tool_calls_is_the_same_run() {
    let ticks = json!({"traj_id": "t", "messages": [
        say("user", TASK),
        say("assistant", "Look.\n\n```\nstr_replace_editor view /testbed/a.py\n```"),
        say("user", "OBSERVATION:\n1\tx"),
        say("assistant", "Done.\n\n```\nsubmit\n```"),
    ]});
    let own = |mut message: Value, action: &str| {
        message["action"] = action.into();
        message["content"] = json!([{"type": "text", "text": message["content"]}]);
        json!([message])
    };
    let tool = json!({"traj_id": "t", "messages": json!([
        [say("user", TASK)],
        own(calls("Look.", &[call("1", "str_replace_editor", &json!({"command": "view", "path": "/testbed/a.py"}))]), "x"),
        {"role": "tool", "tool_call_ids": ["1"], "content": [{"type": "text", "text": "OBSERVATION:\n1\tx"}]},
        own(calls("Done.", &[call("2", "submit", &json!({}))]), "submit"),
    ]).to_string()});
    let (ticks, tool) = (one("swe-smith", &ticks), one("swe-smith", &tool));
    assert_eq!(
        (ticks.source.tools.as_deref(), tool.source.tools.as_deref()),
        (Some("ticks"), Some("tool calls"))
    );
    assert_eq!((actions(&ticks), outputs(&ticks)), (actions(&tool), outputs(&tool)));
    assert_eq!(actions(&ticks), ["str_replace_editor view /testbed/a.py", "submit"]);
    assert_eq!(ticks.steps[0].thought, "Look.");
}

#[test]
fn swe_agents_attempts_are_a_trajectory_each() {
    let run = |action: &str, submission: &str| {
        json!({
            "trajectory": [{"action": action, "observation": "", "thought": "", "response": action, "state": {}}],
            "history": [], "info": {"exit_status": "submitted", "submission": submission},
        })
    };
    let mut record = run("two", "diff --git a/2 b/2\n");
    record["attempts"] = json!([run("one", "diff --git a/1 b/1\n"), run("two", "diff --git a/2 b/2\n")]);
    let (found, rejects) = written("r.traj", record.to_string());
    assert_eq!(rejects, []);
    let told: Vec<_> = found.iter().map(|t| (t.id.as_str(), t.steps[0].action.text().into_owned())).collect();
    assert_eq!(told, [("r.attempt-1", "one".to_owned()), ("r", "two".to_owned())]);
    record.as_object_mut().unwrap().remove("trajectory");
    assert_eq!(written("r.traj", record.to_string()).0.len(), 2);
}

#[test]
fn swe_agents_demonstrations_in_yaml() {
    let yaml = "history:\n- role: system\n  content: 'edit <search>'\n- role: user\n  content: do it\n- role: assistant\n  content: |\n    DISCUSSION\n    Look.\n    ```\n    ls\n    ```\n- role: user\n  content: |-\n    a.py\n    (Open file: n/a)\n    (Current directory: /o__r)\n    bash-$\n- role: assistant\n  content: 'Done.'\n  action: submit\n  thought: Done.\n";
    let (found, rejects) = written("o__r-1.demo.yaml", yaml);
    assert_eq!(rejects, []);
    assert_eq!(
        (actions(&found[0]), outputs(&found[0])),
        (vec!["ls".to_owned(), "submit".to_owned()], vec!["a.py", "-"])
    );
    assert_eq!((found[0].task.as_str(), found[0].steps[0].thought.as_str()), ("o__r-1", "Look."));
    assert_eq!(found[0].source.workdir.as_deref(), Some("/o__r"));
}

#[test]
fn swe_agents_refused_step_says_so() {
    let step = |action: &str, seen: &str| json!({"action": action, "observation": seen, "thought": "", "response": "", "state": {}});
    let record = json!({"trajectory": [step("vim a", "Operation 'vim a' is not supported by this environment."), step("submit", "")], "history": []});
    assert_eq!(executed(&one("swe-agent", &record)), [false, true]);
}

#[test]
fn openhands_with_tool_calls_as_swe_gym_published_it() {
    let tail = "[Python Interpreter: /opt/python]\nroot@openhands-workspace:/workspace/o__r__1 # \n[Command finished with exit code 1]";
    let record = json!({
        "instance_id": "o__r-1", "run_id": "gpt-4o_run_1", "resolved": true,
        "test_result": {"git_patch": PATCH.replace('\n', "\r\n"), "report": {"resolved": true}},
        "messages": [
            say("system", "s"), say("user", "<uploaded_files>\n/workspace/o__r__1\n</uploaded_files>\n<issue_description>It breaks.</issue_description>"),
            calls("Look.", &[call("1", "execute_bash", &json!({"command": "python x.py"}))]),
            result("1", &format!("OBSERVATION:\noops\r\n{tail}")),
            calls("", &[call("2", "str_replace_editor", &json!({"command": "undo_edit", "path": "/workspace/o__r__1/x.py"}))]),
            result("2", "OBSERVATION:\nNo edit history found."),
            calls("", &[call("3", "execute_bash", &json!({"command": "C-c", "is_input": "true"}))]),
            result("3", "OBSERVATION:\n^C\n[The command completed with exit code 130. CTRL+C was sent.]"),
            say("assistant", "Is this right?"), say("user", "Please continue."),
            calls("", &[call("4", "finish", &json!({"message": "All done."}))]),
        ],
    });
    let found = one("swe-gym", &record);
    assert_eq!(
        actions(&found),
        ["python x.py", "str_replace_editor undo_edit /workspace/o__r__1/x.py", "C-c", "submit"]
    );
    assert_eq!(executed(&found), [true, true, false, true]);
    assert_eq!(outputs(&found)[..3], ["oops\n", "No edit history found.", "^C"]);
    assert_eq!(found.steps[0].observation.as_ref().unwrap().exit, Some(Exit::Code(1)));
    let Action::Editor(edit) = &found.steps[1].action else { panic!("step 2 is an edit") };
    assert_eq!(edit.dialect, Dialect::OpenHands);
    assert_eq!(found.steps[3].thought, "Is this right?\n\nAll done.");
    assert_eq!(
        (found.patch.as_deref(), found.resolved, found.source.workdir.as_deref()),
        (Some(PATCH), Some(true), Some("/workspace/o__r__1"))
    );
    assert_eq!(found.problem.as_deref(), Some("It breaks."));
}

#[test]
fn openhands_with_calls_as_text() {
    let task = "Here's a running example\n<function=execute_bash>…\n--------------------- NEW TASK DESCRIPTION ---------------------\n<issue_description>It breaks.</issue_description>\n--------------------- END OF NEW TASK DESCRIPTION ---------------------\nPLEASE follow";
    let record = json!({"messages": [
        say("system", "s"), say("user", task),
        say("assistant", "Look.\n<function=execute_bash>\n<parameter=command>ls</parameter>\n"),
        say("user", "EXECUTION RESULT of [execute_bash]:\na\n[Command finished with exit code 0]"),
        say("assistant", "<function=str_replace_editor>\n<parameter=command=view</parameter>\n<parameter=path>/w/a</parameter>\n</function"),
        say("user", "EXECUTION RESULT of [str_replace_editor]:\n1\tx"),
        say("assistant", "I am done here."),
    ]});
    let found = one("openhands", &record);
    assert_eq!(actions(&found), ["ls", "str_replace_editor view /w/a", "I am done here."]);
    assert_eq!(outputs(&found), ["a", "1\tx", "-"]);
    assert_eq!(found.steps[2].action, Action::Answer { text: "I am done here.".to_owned() });
    assert_eq!((found.problem.as_deref(), found.end), (Some("It breaks."), End::Unknown));
}

#[test]
fn openhands_events_of_evaluations_and_of_2024() {
    let row = json!({"instance_id": "o__r-1", "instance": {"problem_statement": "It breaks."}, "test_result": {"git_patch": PATCH}, "error": null,
    "metadata": {"llm_config": {"model": "m"}},
    "history": [
        {"id": 0, "source": "user", "action": "message", "args": {"content": "Fix it."}},
        {"id": 1, "source": "environment", "observation": "agent_state_changed", "content": "", "extras": {}},
        {"id": 2, "source": "agent", "action": "run", "args": {"command": "ls", "thought": "Look."}},
        {"id": 3, "source": "agent", "observation": "run", "cause": 2, "content": "a", "extras": {"exit_code": 0}},
        {"id": 4, "source": "agent", "action": "edit", "args": {"command": "str_replace", "path": "/w/a", "old_str": "a", "new_str": "b"}},
        {"id": 5, "source": "agent", "observation": "edit", "cause": 4, "content": "edited", "extras": {}},
        {"id": 6, "source": "agent", "action": "run_ipython", "args": {"code": "1 + 1"}},
        {"id": 7, "source": "agent", "observation": "run_ipython", "cause": 6, "content": "2"},
        {"id": 8, "source": "agent", "action": "browse", "args": {"url": "http://a"}},
        {"id": 9, "source": "agent", "action": "read", "args": {"path": "/w/a", "start": 4, "end": 9}},
        {"id": 10, "source": "agent", "action": "finish", "args": {"thought": "Done."}},
    ]});
    let found = one("openhands-events", &row);
    assert_eq!(
        actions(&found),
        [
            "ls",
            "str_replace_editor str_replace /w/a --old_str a --new_str b",
            "python3 - <<'CELL'\n1 + 1\nCELL",
            "browse {\"url\":\"http://a\"}",
            "str_replace_editor view /w/a --view_range 5 9",
            "submit",
        ]
    );
    assert_eq!(executed(&found), [true, true, false, false, true, true]);
    assert_eq!(outputs(&found), ["a", "edited", "2", "-", "-", "-"]);
    assert_eq!(
        (found.problem.as_deref(), found.patch.as_deref(), found.task.as_str()),
        (Some("It breaks."), Some(PATCH), "o__r-1")
    );
    for (error, end) in [
        ("AgentRuntimeError: container died", End::SandboxLost),
        (
            "RuntimeError: Agent reached maximum iteration in headless mode. Current iteration: 30",
            End::StepLimit,
        ),
        ("ValueError: wrong time in the context of a submitted form", End::Submitted),
    ] {
        let mut failed = row.clone();
        failed["error"] = json!(error);
        assert_eq!(one("openhands-events", &failed).end, end, "{error}");
    }
    let flat = json!({"instance_id": "o__r-1", "history": [
        [{"action": "message", "source": "user", "content": "Fix it."}, {"observation": "null", "content": ""}],
        [{"action": "run", "command": "ls", "thought": "Look."}, {"observation": "run", "content": "a", "extras": {"exit_code": 1}}],
        [{"action": "finish", "thought": "Done."}, {"observation": "null", "content": ""}],
    ]});
    let found = one("openhands-events", &flat);
    assert_eq!(
        (actions(&found), outputs(&found)),
        (vec!["ls".to_owned(), "submit".to_owned()], vec!["a", "-"])
    );
    assert_eq!(found.steps[0].observation.as_ref().unwrap().exit, Some(Exit::Code(1)));
}

#[test]
fn nebius_rows() {
    let turn = |role: &str, text: &str| json!({"role": role, "text": text, "system_prompt": null, "mask": role == "ai", "cutoff_date": null});
    let record = json!({
        "instance_id": "o__r-1", "model_name": "m", "target": false, "exit_status": "submitted (exit_context)", "generated_patch": PATCH, "eval_logs": "",
        "trajectory": [
            {"role": "system", "text": null, "system_prompt": "an editor that shows you 50 lines of a file", "mask": false},
            turn("user", "text\nISSUE:\nIt breaks.\n\nINSTRUCTIONS:\nGo."),
            turn("ai", "DISCUSSION\nFind it.\n```\nfind_file \"a.py\" r\n```"),
            turn("user", "Found 1 matches\n\n(Open file: n/a)\n(Current directory: /r)\nbash-$"),
            turn("ai", "Edit it.\n```\nedit 1:1\nx = 1\nend_of_edit\n```"),
            turn("user", "edited\n(Open file: /r/a.py)\n(Current directory: /r)\nbash-$"),
            turn("ai", "nothing here"),
            turn("user", "Your output was not formatted correctly. You must always include one discussion and one command."),
            turn("ai", "```\npython a.py\n```"),
        ],
    });
    let found = one("nebius", &record);
    assert_eq!(
        actions(&found),
        ["find_file \"a.py\" r", "edit 1:1\nx = 1\nend_of_edit", "nothing here", "python a.py"]
    );
    assert_eq!((executed(&found), editor_calls(&found)), (vec![true, true, false, true], 2));
    assert_eq!(outputs(&found)[..2], ["Found 1 matches\n", "edited"]);
    assert_eq!(
        (found.end, found.resolved, found.source.workdir.as_deref()),
        (End::ContextLimit, Some(false), Some("/r"))
    );
    let setup = found.source.editor.unwrap();
    assert_eq!(
        (setup.edition, setup.window, found.problem.as_deref()),
        (Edition::Shell, 50, Some("It breaks."))
    );
    assert_eq!((found.steps[0].thought.as_str(), found.patch.as_deref()), ("Find it.", Some(PATCH)));
}

#[test]
fn the_repository_lies_where_the_agent_was_before_it_went_anywhere() {
    let tail = |directory: &str| format!("(Open file: n/a)\n(Current directory: {directory})\nbash-$");
    let workdir = |prompt_tail: &str, command: &str, then: &str| {
        let turn = |role: &str, text: &str| json!({"role": role, "text": text, "system_prompt": null, "mask": role == "ai"});
        let record = json!({"instance_id": "o__r-1", "target": false, "exit_status": "submitted", "generated_patch": PATCH, "trajectory": [
            {"role": "system", "text": null, "system_prompt": "s", "mask": false},
            turn("user", &format!("ISSUE:\nIt breaks.\n\nINSTRUCTIONS:\nGo.\n{prompt_tail}")),
            turn("ai", &format!("Go.\n```\n{command}\n```")),
            turn("user", &tail(then)),
            turn("ai", "Look.\n```\nls\n```"),
            turn("user", &format!("a.py\n{}", tail(then))),
        ]});
        one("nebius", &record).source.workdir
    };
    assert_eq!(workdir(&tail("/r"), "cd src", "/r/src").as_deref(), Some("/r"));
    assert_eq!(workdir("", "cd src && ls", "/r/src"), None);
    assert_eq!(workdir("", "grep -rn cd .", "/r").as_deref(), Some("/r"));
    let chat = json!({"messages": [
        say("user", "It breaks."),
        calls("Go.", &[call("1", "execute_bash", &json!({"command": "cd src"}))]),
        result("1", "[Current working directory: /w/r/src]\n[Command finished with exit code 0]"),
    ]});
    assert_eq!(one("openhands", &chat).source.workdir, None);
}

#[test]
fn swe_rebench_rows() {
    let tail = "[The command completed with exit code 0.]\n[Current working directory: /workspace/r]\n[Python interpreter: /p]\n[Command finished with exit code 0]";
    let record = json!({
        "trajectory_id": "chatcmpl-1", "instance_id": "o__r-1", "repo": "o/r", "resolved": 1, "exit_status": "submit", "model_patch": PATCH, "tools": [],
        "trajectory": [
            say("system", "s"), say("user", "<uploaded_files>\n/workspace/r\n</uploaded_files>"),
            calls("", &[call("1", "think", &json!({"thought": "Deep."}))]), result("1", "Your thought has been logged."),
            calls("", &[call("2", "task_tracker", &json!({"command": "plan", "task_list": [{"title": "look", "status": "todo"}]}))]), result("2", "ok"),
            calls("Run.", &[call("3", "execute_bash", &json!({"command": "ls"}))]), result("3", &format!("a\n{tail}")),
        ],
    });
    let found = one("swe-rebench", &record);
    assert_eq!((found.id.as_str(), found.resolved, found.end), ("chatcmpl-1", Some(true), End::Submitted));
    assert_eq!((actions(&found), outputs(&found)), (vec!["ls".to_owned()], vec!["a"]));
    assert_eq!(found.steps[0].thought, "Deep.\n\n- [todo] look\n\nRun.");
}

#[test]
fn r2e_gym_runs_and_messages() {
    let step = |thought: &str, action: &str, seen: &str| json!({"step_idx": 0, "thought": thought, "action": action, "observation": seen, "done": false, "info": {}});
    let record = json!({
        "problem_statement": "It breaks.", "docker_image": "r2e/sympy:1", "ds": {"instance_id": "o__r-1"}, "exit_reason": "agent", "output_patch": PATCH, "reward": 1.0,
        "trajectory_steps": [
            step("Look.", "<function=file_editor>\n  <parameter=command>view</parameter>\n  <parameter=path>./a/b.py</parameter>\n  <parameter=concise>True</parameter>\n</function>", "Here's a"),
            step("", "<function=execute_bash>\n  <parameter=cmd>ls</parameter>\n</function>", "Exit code: 0\nExecution output of [execute_bash]:\n[STDOUT]\n\na\n\n[STDERR]\n\n"),
            step("", "<function=search>\n  <parameter=search_term>x</parameter>\n  <parameter=path>/testbed</parameter>\n</function>", "Found"),
            step("", "<function=finish>\n  <parameter=command>submit</parameter>\n  <parameter=result>Done.</parameter>\n</function>", "<<< Finished >>>"),
        ],
    });
    let found = one("r2e-gym", &record);
    assert_eq!(
        actions(&found),
        ["str_replace_editor view /testbed/a/b.py", "ls", "grep -rnI -- x /testbed", "submit"]
    );
    assert_eq!(outputs(&found)[..2], ["Here's a", "a"]);
    assert_eq!(found.steps[1].observation.as_ref().unwrap().exit, Some(Exit::Code(0)));
    assert_eq!((found.resolved, found.end, found.source.fresh_shells), (Some(true), End::Submitted, true));
    assert_eq!(
        (found.problem.as_deref(), found.task.as_str(), found.source.workdir.as_deref()),
        (Some("It breaks."), "o__r-1", Some("/testbed"))
    );
    let messages = json!({"messages": [
        say("system", "s"), say("user", "<github_issue>\nIt breaks.\n</github_issue>"),
        say("assistant", "Look.\n\n<function=execute_bash>\n  <parameter=cmd>ls</parameter>\n</function>"),
        say("user", "Execution output of [execute_bash]:\n[STDOUT]\n\na"),
    ]});
    let found = one("r2e-gym", &messages);
    assert_eq!(
        (actions(&found), outputs(&found), found.problem.as_deref()),
        (vec!["ls".to_owned()], vec!["a"], Some("It breaks."))
    );
}

#[test]
fn coder_forge_rows() {
    let call = |id: &str, command: &str| json!({"id": id, "type": "function", "function": {"name": "execute_bash", "arguments": {"command": command}}});
    let messages = json!([
        say("user", "It breaks."),
        calls("Both.", &[call("1", "ls"), call("2", "pwd")]),
        result("1", "a"),
        result("2", "b"),
    ]);
    let record = json!({"trajectory_id": "t", "finish_reason": "stop", "image": "o__r-1", "messages": messages.to_string(), "reward": 0.0, "tools": "[]", "license": "MIT"});
    let found = one("coderforge", &record);
    assert_eq!((actions(&found), outputs(&found)), (vec!["ls".to_owned(), "pwd".to_owned()], vec!["a", "b"]));
    assert_eq!((found.id.as_str(), found.task.as_str(), found.resolved), ("t", "o__r-1", Some(false)));
    assert!(found.steps[1].continues);
}

#[test]
fn sera_rows() {
    let messages = json!([
        say("user", TASK),
        calls("Look.", &[call("1", "str_replace_editor", &json!({"command": "view", "path": "/testbed"}))]),
        result("1", "OBSERVATION:\nfiles"),
        calls("", &[call("2", "submit", &json!({}))]),
    ]);
    for messages in [messages.clone(), messages.to_string().into()] {
        let record = json!({"instance_id": "o__r-1", "messages": messages, "problem_statement": "It breaks.", "rollout_patch": PATCH, "target_patch": "", "func_path": "a.py"});
        let found = one("sera", &record);
        assert_eq!(actions(&found), ["str_replace_editor view /testbed", "submit"]);
        assert_eq!(
            (found.patch.as_deref(), found.problem.as_deref(), editor_calls(&found)),
            (Some(PATCH), Some("It breaks."), 1)
        );
    }
}

#[test]
fn nemotrons_single_replies_are_refused_with_the_reason() {
    let record = json!({"messages": [say("user", "Fix"), say("assistant", "<think>hm</think>patch")], "category": "swe", "source": "s", "generator": "g", "thinking": true, "patch": PATCH});
    let (found, rejects) = written("a.jsonl", record.to_string());
    assert!(found.is_empty());
    assert_eq!(rejects[0].reason, "it is a single reply without a command: there is nothing to replay");
}

#[test]
fn nemo_gym_rollouts() {
    let record = json!({
        "responses_create_params": {"input": [{"role": "user", "content": "It breaks."}], "tools": []},
        "response": {"model": "m", "output": [
            {"type": "reasoning", "summary": [{"text": "Hm."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look."}]},
            {"type": "function_call", "call_id": "1", "name": "Read", "arguments": "{\"file_path\": \"/w/a\"}"},
            {"type": "function_call", "call_id": "2", "name": "Bash", "arguments": "{\"command\": \"ls\"}"},
            {"type": "function_call_output", "call_id": "1", "output": "A"},
            {"type": "function_call_output", "call_id": "2", "output": "B"},
            {"type": "function_call", "call_id": "3", "name": "edit", "arguments": "{\"filePath\": \"/w/a\", \"oldString\": \"a\", \"newString\": \"b\"}"},
            {"type": "function_call_output", "call_id": "3", "output": "C"},
        ]},
        "reward": 1.0, "resolved": true, "patch_exists": true, "model_patch": PATCH, "instance_config": {"instance_id": "o__r-1"}, "agent_timed_out": false,
    });
    let found = one("nemo-gym", &record);
    assert_eq!(
        actions(&found),
        ["str_replace_editor view /w/a", "ls", "str_replace_editor str_replace /w/a --old_str a --new_str b"]
    );
    assert_eq!((outputs(&found), found.steps[0].thought.as_str()), (vec!["A", "B", "C"], "Hm.\n\nLook."));
    assert_eq!(found.steps.iter().map(|step| step.continues).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(
        (found.task.as_str(), found.resolved, found.problem.as_deref()),
        ("o__r-1", Some(true), Some("It breaks."))
    );
}

#[test]
fn atif_of_several_agents() {
    let record = |agent: &str| {
        json!({
            "schema_version": "ATIF-v1.7", "session_id": "s", "agent": {"name": agent, "version": "1", "model_name": "m"},
            "steps": [
                {"step_id": 1, "source": "user", "message": [{"type": "text", "text": "It breaks."}]},
                {"step_id": 2, "source": "agent", "message": "Look.", "reasoning_content": "Hm.", "tool_calls": [
                    {"tool_call_id": "1", "function_name": "bash", "arguments": {"command": "ls"}},
                    {"tool_call_id": "2", "function_name": "str_replace_editor", "arguments": {"command": "view", "path": "/a"}},
                ], "observation": {"results": [{"source_call_id": "2", "content": "B"}, {"source_call_id": "1", "content": "A"}]}},
                {"step_id": 3, "source": "agent", "message": "", "tool_calls": [
                    {"tool_call_id": "3", "function_name": "bash_command", "arguments": {"keystrokes": "pwd\n"}},
                    {"tool_call_id": "4", "function_name": "bash_command", "arguments": {"keystrokes": "C-c"}},
                ], "observation": {"results": [{"content": "screen"}]}},
                {"step_id": 4, "source": "agent", "message": "", "tool_calls": [{"tool_call_id": "5", "function_name": "submit", "arguments": {}}]},
            ],
        })
    };
    let found = one("atif", &record("openhands"));
    assert_eq!(actions(&found), ["ls", "str_replace_editor view /a", "pwd", "C-c", "submit"]);
    assert_eq!(outputs(&found), ["A", "B", "-", "screen", "-"]);
    assert_eq!(
        (executed(&found), found.steps[0].thought.as_str()),
        (vec![true, true, true, false, true], "Hm.\n\nLook.")
    );
    assert_eq!(
        (found.id.as_str(), found.end, found.problem.as_deref()),
        ("s", End::Submitted, Some("It breaks."))
    );
    let Action::Editor(edit) = &one("atif", &record("swe-agent")).steps[1].action else {
        panic!("step 2 is an edit")
    };
    assert_eq!(edit.dialect, Dialect::SweAgentStrReplace);
    assert!(one("atif", &record("mini-swe-agent")).source.fresh_shells);
}

#[test]
fn every_format_has_a_name_of_its_own_and_finds_itself_by_it() {
    let mut names: Vec<&str> = import::FORMATS.iter().map(|format| format.name()).collect();
    assert!(names.iter().all(|name| import::format(name).is_some_and(|format| format.name() == *name)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), import::FORMATS.len());
}
