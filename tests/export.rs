//! Exports: what is written can be read back, by us and by those it is for, and earns what our own reward gives.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::{Path, PathBuf};
use std::process::Command;

use apprentice::chat::{Scaffold, render_reply};
use apprentice::curate::lesson::Style;
use apprentice::curate::{Rules, curate};
use apprentice::export::{self, Chat, Options, Rows, Sink, Thoughts};
use apprentice::import::json::Json;
use apprentice::import::{self, Origin, RecordError};
use apprentice::policy::Sample;
use apprentice::reward::{Scope, TextReward};
use apprentice::task::{Kind, Task};
use apprentice::trajectory::{
    Action, Dialect, EditorCall, EditorSetup, End, Exit, FORMAT, Observation, Source, Step, Trajectory,
};
use serde_json::{Value, json};

/// A trajectory that uses every field of the format.
fn everything() -> Trajectory {
    let editor = |text: &str, arguments: Value| {
        let arguments = arguments.as_object().unwrap().clone();
        Action::Editor(EditorCall { dialect: Dialect::SweAgentStrReplace, text: text.into(), arguments })
    };
    let seen = Observation {
        output: "a\r\n\u{1b}[31mü\u{0}\n".into(),
        exit: Some(Exit::Signal(9)),
        omitted_bytes: 7,
        elapsed_seconds: 0.1 + 0.2,
        background: vec!["sleep 9".into()],
        apart: None,
        report: None,
    };
    let view = json!({"command": "view", "path": "/a", "view_range": [1, 2]});
    let steps = vec![
        Step { continues: true, ..Step::new("First.", Action::bash("ls")) }.seeing(Observation::new("", 0)),
        Step { continues: true, ..Step::new("", Action::bash("pwd")) }.seeing(seen),
        Step {
            continues: true,
            ..Step::new("Also.", editor("str_replace_editor view /a --view_range 1 2", view))
        },
        Step { executed: false, ..Step::new("", Action::bash("vim </think>")) },
        Step { executed: false, foreign: true, ..Step::new("", Action::bash("browser {}")) },
        Step::new("  spaces \n", editor("open a.py", json!({}))).seeing(Observation::recorded("x")),
        Step::new("", Action::Answer { text: "4".into() }),
        Step::new("Done.", Action::Submit).seeing(Observation::recorded("diff")),
    ];
    Trajectory {
        format: FORMAT.into(),
        id: "a/b:1".into(),
        task: "owner__repo-1".into(),
        source: Source {
            format: "swe-agent".into(),
            file: "x.traj".into(),
            record: Some(3),
            workdir: Some("/testbed".into()),
            model: Some("m".into()),
            tools: Some("xml".into()),
            fresh_shells: true,
            editor: Some(EditorSetup::default()),
        },
        problem: Some("Fix it.\n".into()),
        steps,
        end: End::StepLimit,
        patch: Some("diff --git a/x b/x\n".into()),
        answer: Some("\\boxed{42}".to_owned()),
        resolved: Some(false),
    }
}

fn fixtures() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    let root = std::env::var_os("APPRENTICE_FIXTURES").map_or_else(beside, PathBuf::from);
    if !root.is_dir() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(root)
}

/// Recorded trajectories, and one that has everything.
fn trajectories() -> Vec<Trajectory> {
    let mut all = vec![everything(), Trajectory { problem: None, steps: Vec::new(), ..everything() }];
    let Some(root) = fixtures() else { return all };
    for path in apprentice::fsio::files_below(&root.join("trajectories/swe-agent")).unwrap() {
        all.extend(import::read_file(&path, import::Options::default()).unwrap().trajectories);
    }
    all
}

/// Exports whole records and gives the lines.
fn records(format: &str, trajectories: &[Trajectory]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.jsonl");
    let sink = export::format(format).unwrap().open(&out, Options::default()).unwrap();
    let Sink::Trajectories(mut sink) = sink else { panic!("{format} keeps whole records") };
    for trajectory in trajectories {
        sink.push(trajectory).unwrap();
    }
    assert_eq!(sink.finish().unwrap(), [out.as_path()]);
    apprentice::fsio::read_json_lines(&out).unwrap()
}

/// What our importer makes of a record.
fn imported(record: &Value) -> Result<Trajectory, RecordError> {
    let text = record.to_string();
    let record = Json::parse(&text).unwrap();
    let origin = Origin { file: "records.jsonl".into(), line: Some(1), task: None };
    let mut all = import::sniff(&record).unwrap().parse(&record, &origin)?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

#[test]
fn our_own_lines_are_read_back_equal() {
    let all = trajectories();
    let read: Vec<Trajectory> =
        records("native", &all).into_iter().map(|line| serde_json::from_value(line).unwrap()).collect();
    assert_eq!(read, all);
}

#[test]
fn atif_is_read_back_equal() {
    let all = trajectories();
    for (record, trajectory) in records("atif", &all).iter().zip(&all) {
        assert_eq!(&imported(record).unwrap(), trajectory);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_lost_in_atif(
        texts in proptest::collection::vec((".{0,20}", ".{0,20}", proptest::option::of(".{0,20}"), 0u8..16), 0..8)
    ) {
        let step = |(thought, command, output, flags): (String, String, Option<String>, u8)| Step {
            executed: flags & 1 == 0,
            foreign: flags & 8 != 0,
            continues: flags & 2 == 0,
            observation: output.map(Observation::recorded),
            ..Step::new(thought, if flags & 4 == 0 { Action::bash(command) } else { Action::Answer { text: command } })
        };
        let trajectory = Trajectory { steps: texts.into_iter().map(step).collect(), ..everything() };
        let record = &records("atif", std::slice::from_ref(&trajectory))[0];
        proptest::prop_assert_eq!(imported(record).unwrap(), trajectory);
    }
}

#[test]
fn atif_shows_what_other_readers_look_for() {
    let record = &records("atif", &[everything()])[0];
    assert_eq!(record["schema_version"], "ATIF-v1.7");
    assert_eq!(record["agent"], json!({"name": "swe-agent", "version": "unknown", "model_name": "m"}));
    let numbers: Vec<u64> =
        record["steps"].as_array().unwrap().iter().map(|s| s["step_id"].as_u64().unwrap()).collect();
    // The problem, one reply with three calls, and five more.
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(record["steps"][0]["message"], "Fix it.\n");
    let reply = &record["steps"][1];
    assert_eq!(reply["tool_calls"][1]["function_name"], "bash");
    assert_eq!(reply["tool_calls"][1]["arguments"], json!({"command": "pwd"}));
    assert_eq!(reply["observation"]["results"][1]["source_call_id"], reply["tool_calls"][1]["tool_call_id"]);
}

#[test]
fn a_damaged_record_of_ours_is_refused() {
    let damaged =
        json!({"schema_version": "ATIF-v1.7", "steps": [], "extra": {"apprentice": {"format": FORMAT}}});
    let error = imported(&damaged).unwrap_err().to_string();
    assert!(error.contains("extra.apprentice"), "{error}");
}

fn task() -> Task {
    let yaml = "format: apprentice.task/1\nid: owner__repo-1\nkind: math\nproblem: Fix it.\nanswer: '1'\n";
    // Without a repository, which a prompt does not need.
    Task { kind: Kind::Code, answer: None, ..Task::parse(yaml, "t").unwrap() }
}

/// Exports the examples of the trajectory that has everything, and gives the directory.
fn trained(format: &str, options: Options) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let Sink::Lessons(mut sink) = export::format(format).unwrap().open(dir.path(), options).unwrap() else {
        panic!("{format} is made of examples")
    };
    let (task, trajectory) = (task(), everything());
    let curated = curate(&task, &trajectory, None, &Rules::default());
    for (number, example) in curated.examples(&task) {
        sink.push(&Style::default().lesson(number, &example, 0)).unwrap();
    }
    sink.finish().unwrap();
    dir
}

const JSONL: Options = Options { scope: Scope::Action, thoughts: Thoughts::Tags, rows: Rows::Jsonl };

#[test]
fn every_trainer_gets_the_prompt_and_the_experts_step() {
    for (format, file, step) in [
        ("trl", "train.jsonl", "/expert_step"),
        ("verl", "train.jsonl", "/reward_model/ground_truth"),
        ("skyrl", "train.jsonl", "/reward_spec/ground_truth"),
        ("prime", "apprentice_srl/data.jsonl", "/expert_step"),
        ("openrlhf", "train.jsonl", "/label"),
    ] {
        let dir = trained(format, JSONL);
        let rows: Vec<Value> = apprentice::fsio::read_json_lines(&dir.path().join(file)).unwrap();
        // Seven steps, of which one was not executed.
        assert_eq!(rows.len(), 6, "{format}");
        assert_eq!(rows[1].pointer(step).unwrap(), "pwd", "{format}");
        assert_eq!(
            rows[1]["prompt"][2],
            json!({"role": "assistant", "content": "<think>First.</think>\nls"})
        );
        assert!(
            rows.iter().all(|row| row.as_object().unwrap().keys().eq(rows[0].as_object().unwrap().keys()))
        );
    }
}

#[test]
fn a_chat_ends_with_the_expert_and_leaves_out_what_was_not_executed() {
    let dir = tempfile::tempdir().unwrap();
    let (task, everything) = (task(), everything());
    let chat = |thoughts| {
        let out = dir.path().join("chats.jsonl");
        let Sink::Chats(mut sink) =
            export::format("sft").unwrap().open(&out, Options { thoughts, ..JSONL }).unwrap()
        else {
            panic!("chats")
        };
        let scaffold = Scaffold { observation_chars: 4, ..Scaffold::default() };
        let chat =
            Chat { task: &task, trajectory: &everything, targets: &[0, 2, 5, 6, 7], scaffold: &scaffold };
        sink.push(chat).unwrap();
        sink.finish().unwrap();
        let chat: Vec<Value> = apprentice::fsio::read_json_lines(&out).unwrap();
        chat[0]["messages"].as_array().unwrap().clone()
    };
    let tags = chat(Thoughts::Tags);
    assert_eq!(
        tags.last().unwrap(),
        &json!({"role": "assistant", "content": "<think>Done.</think>\nsubmit"})
    );
    assert_eq!(tags.iter().filter(|message| message["role"] == "assistant").count(), 6);
    assert_eq!(chat(Thoughts::Plain).last().unwrap()["content"], "Done.\n\nsubmit");
    assert_eq!(chat(Thoughts::Off).last().unwrap()["content"], "submit");
    // The second action of the first reply has no thought to learn.
    let marked: Vec<&Value> = tags.iter().filter(|message| message["weight"] == 0).collect();
    assert_eq!(marked, [&json!({"role": "assistant", "content": "<think>…</think>\npwd", "weight": 0})]);
    assert!(tags.iter().any(|message| message["content"].as_str().unwrap().contains("characters left out")));
}

/// A Python with `modules`; none, and a word about it, where there is none.
fn python(modules: &[&str]) -> Option<String> {
    let python = std::env::var("APPRENTICE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import: String = modules.iter().map(|module| format!("import {module}\n")).collect();
    let found =
        Command::new(&python).args(["-c", &import]).output().is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        // What trainers bring is looked at where it is; Python itself can be asked for.
        let is_required = modules.is_empty() && required.split(',').any(|name| name == "python");
        assert!(!is_required, "no {python} with {modules:?}");
        println!("skipped: there is no {python} with {modules:?} (set APPRENTICE_PYTHON)");
        return None;
    }
    Some(python)
}

/// Runs a program in `dir` and gives what it prints.
fn run(python: &str, dir: &Path, program: &str, input: &str, apprentice: &str) -> String {
    let mut command = assert_cmd::Command::new(python);
    command
        .args(["-c", program])
        .current_dir(dir)
        .env("APPRENTICE", apprentice)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.write_stdin(input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_apprentice");
/// A program that is not there.
const NONE: &str = "/nonexistent/apprentice";

#[test]
fn the_plug_in_is_bit_equal_to_ours_with_and_without_the_program() {
    let (Some(root), Some(python)) = (fixtures(), python(&[])) else { return };
    let dir = trained("trl", JSONL);
    let pairs = fs_err::read_to_string(root.join("difflib.jsonl")).unwrap();
    // The plug-in compares without `autojunk`, as our reward does.
    let pairs: Vec<&str> = pairs.lines().filter(|line| line.contains("\"autojunk\": false")).collect();
    // Python alone would take half a minute for the longest.
    let short: Vec<&str> = pairs.iter().copied().filter(|line| line.len() < 3000).collect();
    assert_eq!((pairs.len(), short.len()), (753, 692));
    for (pairs, apprentice, served) in [(&pairs, PROGRAM, "True"), (&short, NONE, "False")] {
        let said = run(&python, dir.path(), SIMILARITIES, &pairs.join("\n"), apprentice);
        assert_eq!(said.lines().count(), pairs.len());
        for (pair, said) in pairs.iter().zip(said.lines()) {
            let text: Value = serde_json::from_str(pair).unwrap();
            let (expert, student) = (text["expert"].as_str().unwrap(), text["student"].as_str().unwrap());
            let ours = TextReward::default().similarity(expert, student);
            let (theirs, by_program) = said.split_once(' ').unwrap();
            assert_eq!((hex(theirs).to_bits(), by_program), (ours.to_bits(), served), "{pair}");
        }
    }
}

const SIMILARITIES: &str = "import sys, json, srl_reward
for line in sys.stdin:
    pair = json.loads(line)
    print(srl_reward.similarity(pair['expert'], pair['student']).hex(), srl_reward._server.process is not None)";

/// Reads Python's `float.hex`.
fn hex(text: &str) -> f64 {
    let (mantissa, exponent) = text.trim_start_matches("0x").split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let bits = u64::from_str_radix(fraction, 16).unwrap() as f64 / 16f64.powi(fraction.len() as i32);
    (whole.parse::<f64>().unwrap() + bits) * 2f64.powi(exponent.parse().unwrap())
}

#[test]
fn the_plug_in_reads_replies_as_we_do() {
    let Some(python) = python(&[]) else { return };
    let replies = [
        "ls",
        "<think>a</think>ls",
        " \u{a0}\n<think>a</think>\nls \u{2028}",
        "<think>a</think>",
        "<think> </think>ls",
        "<think>a</think>l<think>s",
        "<think>a<think>b</think>ls",
        "x<think>a</think>ls",
        "<think>a</think>\u{1c}ls\u{1f}",
        "<think>\u{85}</think>ls",
        "<think>a</think>ls</think>",
        "",
        "<think>é</think>lş -a 🦀\u{0}",
        "\u{feff}<think>a</think>ls",
    ];
    let program = "import sys, json, srl_reward\nfor reply in json.load(sys.stdin):\n    print(repr(srl_reward.step_reward(reply, ' ls -a\\n')))";
    for scope in [Scope::Action, Scope::Wrapped] {
        let dir = trained("trl", Options { scope, ..JSONL });
        let ours: Vec<f64> = replies
            .map(|reply| {
                TextReward { scope, ..Default::default() }.reward(" ls -a\n", &Sample::from_text(reply)).value
            })
            .to_vec();
        for apprentice in [PROGRAM, NONE] {
            let said = run(&python, dir.path(), program, &json!(replies).to_string(), apprentice);
            let theirs: Vec<f64> = said.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(theirs, ours, "{scope:?} {apprentice}");
        }
    }
}

#[test]
fn the_experts_own_reply_earns_one_through_every_trainers_function() {
    let Some(python) = python(&[]) else { return };
    // Stand-ins for what a trainer brings, as far as the plug-ins touch it.
    let skyrl = "import sys, types\nfor n in ('skyrl_gym', 'skyrl_gym.envs', 'skyrl_gym.envs.base_text_env', 'skyrl_gym.envs.registration'):\n    sys.modules[n] = types.ModuleType(n)\nb = sys.modules['skyrl_gym.envs.base_text_env']; b.BaseTextEnv = type('BaseTextEnv', (), {}); b.BaseTextEnvStepOutput = dict\nr = sys.modules['skyrl_gym.envs.registration']; r.registry = {}; r.register = lambda id, entry_point: r.registry.update({id: entry_point})\n";
    let checks = [
        (
            "trl",
            String::new(),
            "srl_reward.srl_reward(prompts=[None], completions=[[{'role': 'assistant', 'content': reply}]], completion_ids=[[1]], expert_step=[expert], trainer_state=None)[0]",
        ),
        (
            "verl",
            String::new(),
            "srl_reward.compute_score(data_source='s', solution_str=reply, ground_truth=expert, extra_info={'step': 1})['score']",
        ),
        (
            "skyrl",
            skyrl.to_owned(),
            "srl_reward.SRLEnv(env_config={}, extras={'reward_spec': {'method': 'rule', 'ground_truth': expert}}).step(reply)['reward']",
        ),
        (
            "openrlhf",
            String::new(),
            "srl_reward.step_rewards(queries=['<|im_start|>user p<|im_end|>' + reply + '<|im_end|>\\n'], prompts=['<|im_start|>user p<|im_end|>'], labels=[expert])[0]",
        ),
    ];
    let steps: Vec<(String, String)> = everything()
        .steps
        .iter()
        .filter(|step| step.executed)
        .map(|step| (render_reply(step), step.action.text().into_owned()))
        .collect();
    for (format, before, call) in checks {
        let dir = trained(format, JSONL);
        let program = format!(
            "{before}import sys, json, srl_reward\nfor reply, expert in json.load(sys.stdin):\n    print({call})"
        );
        let said = run(&python, dir.path(), &program, &json!(steps).to_string(), PROGRAM);
        assert_eq!(said, "1.0\n".repeat(steps.len()), "{format}");
    }
}

#[test]
fn a_forked_worker_and_a_killed_program_still_get_the_reward() {
    let Some(python) = python(&[]) else { return };
    let dir = trained("verl", JSONL);
    let program = "import os, srl_reward as s\nassert s.similarity('diet', 'tide') == 0.25\nfirst = s._server.process.pid\nif os.fork() == 0:\n    ok = s.similarity('diet', 'tide') == 0.25 and s._server.process.pid != first\n    os._exit(0 if ok else 1)\nassert os.wait()[1] == 0\ns._server.process.kill()\ns._server.process.wait()\nassert s.similarity('diet', 'tide') == 0.25 and s._server.process.pid != first\nassert s.similarity('\\ud800', 'x') == 0.0\nimport copy\nother = copy.copy(s._server)\nassert other.ask('diet', 'tide') == 0.25 and other.process.pid != s._server.process.pid\nother.stop()\nprint('ok')";
    assert_eq!(run(&python, dir.path(), program, "", PROGRAM), "ok\n");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_read_by_arrow_as_the_same_rows() {
    let Some(python) = python(&["pyarrow.parquet"]) else { return };
    for format in ["verl", "skyrl"] {
        let lines = trained(format, JSONL);
        let table = trained(format, Options { rows: Rows::Parquet, ..JSONL });
        let program = "import json, pyarrow.parquet as p\nfor row in p.read_table('train.parquet').to_pylist():\n    print(json.dumps(row))";
        let read: Vec<Value> = run(&python, table.path(), program, "", NONE)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let written: Vec<Value> =
            apprentice::fsio::read_json_lines(&lines.path().join("train.jsonl")).unwrap();
        assert_eq!(read, written, "{format}");
    }
}

#[test]
fn datasets_loads_every_trainers_rows() {
    let Some(python) = python(&["datasets"]) else { return };
    for (format, file) in [
        ("trl", "train.jsonl"),
        ("verl", "train.jsonl"),
        ("skyrl", "train.jsonl"),
        ("openrlhf", "train.jsonl"),
        ("prime", "apprentice_srl/data.jsonl"),
    ] {
        let dir = trained(format, JSONL);
        let program = format!(
            "import json, datasets\nrows = datasets.load_dataset('json', data_files='{file}', cache_dir='cache')['train']\nfor row in rows: print(json.dumps(row))"
        );
        let read: Vec<Value> = run(&python, dir.path(), &program, "", NONE)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let written: Vec<Value> = apprentice::fsio::read_json_lines(&dir.path().join(file)).unwrap();
        assert_eq!(read, written, "{format}");
    }
}

#[test]
fn harbor_accepts_our_atif() {
    let Some(python) = python(&["harbor.models.trajectories.trajectory"]) else { return };
    let lines: String = records("atif", &trajectories()).iter().map(|record| format!("{record}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    let program = "import sys, json\nfrom harbor.models.trajectories.trajectory import Trajectory\nfor line in sys.stdin:\n    Trajectory.model_validate(json.loads(line))\nprint('ok')";
    assert_eq!(run(&python, dir.path(), program, &lines, NONE), "ok\n");
}

#[test]
fn skyrl_makes_the_environment() {
    let Some(python) = python(&["skyrl_gym"]) else { return };
    let dir = trained("skyrl", JSONL);
    let program = "import srl_reward, skyrl_gym\nenv = skyrl_gym.make('srl', env_config={}, extras={'reward_spec': {'method': 'rule', 'ground_truth': 'diet'}})\nenv.init([{'role': 'user', 'content': 'x'}])\nmade = env.step('<think>a</think>tide')\nprint(made['reward'], made['done'], made['observations'])";
    assert_eq!(run(&python, dir.path(), program, "", PROGRAM), "0.25 True []\n");
}

#[test]
fn verifiers_loads_the_package_and_scores_with_it() {
    let Some(python) = python(&["verifiers.v1"]) else { return };
    let dir = trained("prime", JSONL);
    let program = "import asyncio\nfrom types import SimpleNamespace\nfrom verifiers.v1.configs.taskset import TasksetConfig\nfrom verifiers.v1.utils.loaders import load_taskset\nimport sys; sys.path.insert(0, '.')\ntasks = list(load_taskset(TasksetConfig(id='apprentice-srl')))\nwhole = SimpleNamespace(assistant_messages=[SimpleNamespace(reasoning_content=None)], last_reply='<think>a</think>\\npwd')\nparted = SimpleNamespace(assistant_messages=[SimpleNamespace(reasoning_content='a')], last_reply='pwd')\nprint(len(tasks), [asyncio.run(tasks[1].similarity(t)) for t in (whole, parted)])";
    assert_eq!(run(&python, dir.path(), program, "", PROGRAM), "6 [1.0, 1.0]\n");
}
