//! Recorded trajectories: every published variant is read whole, and the editors say what SWE-agent's said.
//!
//! The records are those of the SWE-agent project; they are not part of this repository.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apprentice::editor::{self, Files, Found, State};
use apprentice::import::{self, Options, Reject};
use apprentice::trajectory::{Action, Dialect, Edition, End, Trajectory};
use async_trait::async_trait;

fn fixtures() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    let root = std::env::var_os("APPRENTICE_FIXTURES").map_or_else(beside, PathBuf::from);
    let found = root.join("trajectories");
    if !found.is_dir() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(found)
}

fn read(path: &Path) -> Trajectory {
    let mut imported = import::read_file(path, Options::default()).unwrap();
    assert_eq!(imported.rejects, [], "{}", path.display());
    assert_eq!(imported.trajectories.len(), 1);
    imported.trajectories.remove(0)
}

/// File, steps, calls of the editor, task, work directory.
const SWE_AGENT: &[(&str, usize, usize, &str, &str)] = &[
    ("history-only", 5, 3, "history-only", "/SWE-agent__test-repo"),
    ("humanevalfix-python-0", 5, 2, "swe-bench__humanevalfix-python-0", "/swe-bench__humanevalfix-python"),
    ("marshmallow-1867.default.from_source", 14, 7, MARSHMALLOW, OLD),
    ("marshmallow-1867.default_sys-env_cursors_window100", 12, 7, MARSHMALLOW, OLD),
    ("marshmallow-1867.default_sys-env_window100", 11, 6, MARSHMALLOW, OLD),
    ("marshmallow-1867.function_calling", 11, 6, MARSHMALLOW, "/testbed"),
    ("marshmallow-1867.function_calling_replace", 11, 6, MARSHMALLOW, "/testbed"),
    ("marshmallow-1867.function_calling_replace_from_source", 13, 6, MARSHMALLOW, "/testbed"),
    ("marshmallow-1867.xml_sys-env_cursors_window100", 12, 7, MARSHMALLOW, OLD),
    ("marshmallow-1867.xml_sys-env_window100", 11, 6, MARSHMALLOW, OLD),
];
const MARSHMALLOW: &str = "marshmallow-code__marshmallow-1867";
const OLD: &str = "/marshmallow-code__marshmallow";

fn swe_agent(name: &str) -> Option<Trajectory> {
    Some(read(&fixtures()?.join("swe-agent").join(format!("{name}.traj"))))
}

#[test]
fn every_variant_of_swe_agent_gives_its_steps() {
    for (name, steps, edits, task, workdir) in SWE_AGENT {
        let Some(trajectory) = swe_agent(name) else { return };
        let found = trajectory.steps.iter().filter(|step| matches!(step.action, Action::Editor(_))).count();
        assert_eq!(trajectory.steps.len(), *steps, "{name}");
        assert_eq!(found, *edits, "{name}");
        assert_eq!(trajectory.task, *task, "{name}");
        assert_eq!(trajectory.source.workdir.as_deref(), Some(*workdir), "{name}");
        assert_eq!(trajectory.end, End::Submitted, "{name}");
        assert_eq!(trajectory.steps.last().unwrap().action, Action::Submit, "{name}");
        assert!(trajectory.patch.as_ref().unwrap().starts_with("diff --git a/"), "{name}");
        assert!(!trajectory.patch.as_ref().unwrap().contains('\r'), "{name}");
        assert!(trajectory.steps.iter().all(|step| step.executed && step.observation.is_some()), "{name}");
    }
}

#[test]
fn swe_smith_trajectories_of_swe_agent_1_are_read() {
    let Some(root) = fixtures() else { return };
    let trajectory = read(&root.join("swe-smith/pydantic-pr_8316.traj"));
    let edits = trajectory.steps.iter().filter(|step| matches!(step.action, Action::Editor(_))).count();
    assert_eq!((trajectory.steps.len(), edits), (22, 9));
    assert_eq!(trajectory.task, "pydantic__pydantic.acb0f10f.pr_8316");
}

#[test]
fn releases_and_dialects_of_the_editor_are_told_apart() {
    let told = |name| {
        let trajectory = swe_agent(name)?;
        let dialect = trajectory.steps.iter().find_map(|step| match &step.action {
            Action::Editor(call) => Some(call.dialect),
            _ => None,
        });
        let setup = trajectory.source.editor.unwrap();
        Some((dialect.unwrap(), setup.edition, setup.window))
    };
    let Some(range) = told("marshmallow-1867.default_sys-env_window100") else { return };
    assert_eq!(range, (Dialect::SweAgentRange, Edition::ShellEarly, 100));
    let check = |name, expected| assert_eq!(told(name), Some(expected), "{name}");
    check(
        "marshmallow-1867.xml_sys-env_cursors_window100",
        (Dialect::SweAgentCursors, Edition::ShellEarly, 200),
    );
    check("marshmallow-1867.function_calling", (Dialect::SweAgentRange, Edition::ToolsDev, 100));
    check("marshmallow-1867.function_calling_replace", (Dialect::SweAgentReplace, Edition::ToolsDev, 100));
    check(
        "marshmallow-1867.function_calling_replace_from_source",
        (Dialect::SweAgentReplace, Edition::ToolsBeta, 100),
    );
    check("history-only", (Dialect::SweAgentReplace, Edition::Tools, 100));
}

#[test]
fn tool_calls_keep_their_lossless_arguments() {
    let Some(trajectory) = swe_agent("marshmallow-1867.function_calling_replace") else { return };
    let Action::Editor(call) = &trajectory.steps[7].action else { panic!("step 8 is an edit") };
    assert_eq!(
        call.arguments["replace"],
        "# round to nearest int\n        return int(round(value.total_seconds() / base_unit.total_seconds()))"
    );
}

#[test]
fn a_native_file_is_read_back_equal() {
    if fixtures().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.jsonl");
    let all: Vec<Trajectory> = SWE_AGENT.iter().map(|(name, ..)| swe_agent(name).unwrap()).collect();
    apprentice::fsio::write_json_lines(&path, &all).unwrap();
    let imported = import::read_file(&path, Options::default()).unwrap();
    assert_eq!(imported.rejects, []);
    assert_eq!(imported.trajectories, all);
}

/// The rejects of a file with this name and text.
fn rejects(name: &str, text: &str) -> Vec<Reject> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs_err::write(&path, text).unwrap();
    let imported = import::read_file(&path, Options::default()).unwrap();
    imported.rejects.into_iter().map(|reject| Reject { file: name.into(), ..reject }).collect()
}

#[test]
fn a_truncated_file_is_named_with_line_and_column() {
    let found = rejects("cut.traj", "{\"trajectory\": [\n  {\"action\": \"ls\", \"obs");
    let [reject] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((reject.line, reject.column), (2, Some(23)));
    assert!(reject.to_string().starts_with("cut.traj: line 2: column 23: not JSON: EOF"), "{reject}");
    assert_eq!(reject.remedy, "get the file again: its end is missing");
}

#[test]
fn an_unknown_format_says_what_was_found() {
    let found = rejects("odd.jsonl", "\n{\"prompt\": 1, \"answer\": 2}\n");
    let [reject] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        reject.to_string(),
        "odd.jsonl: line 2: no known trajectory format: found an object with the keys `prompt`, `answer`; \
         known are native, atif, swe-agent, nebius, swe-rebench, openhands-events, r2e-gym, nemo-gym, nemotron, \
         swe-gym, coderforge, sera, mini-coder, kwai-klear, mini-swe-agent, swe-smith, openhands, s1k, gsm8k, \
         olympiad-bench, minerva, math, aime, problems"
    );
    assert_eq!((reject.byte, reject.remedy), (1, "name the format with `--from`"));
}

#[test]
fn a_bad_step_is_named_and_the_other_records_are_kept() {
    let step = r#"{"action": "ls", "observation": "a", "thought": "", "response": "", "state": {}}"#;
    let good = format!("{{\"trajectory\": [{step}], \"history\": [], \"info\": {{}}}}");
    let bad = good.replace("[{", &format!("[{step}, {{")).replacen(
        "\"observation\": \"a\"",
        "\"observation\": 7",
        2,
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.jsonl");
    fs_err::write(&path, format!("{good}\n{bad}\n{good}\n")).unwrap();
    let imported = import::read_file(&path, Options::default()).unwrap();
    assert_eq!(imported.trajectories.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["some:1", "some:3"]);
    let [reject] = imported.rejects.as_slice() else { panic!("{:?}", imported.rejects) };
    assert_eq!((reject.line, reject.step), (2, Some(1)));
    assert_eq!(reject.reason, "step 1: `observation` must be text, found a number");
}

#[test]
fn a_refused_step_is_kept_and_marked() {
    let step = |action: &str, observation: &str| serde_json::json!({"action": action, "observation": observation, "response": action, "thought": "", "state": {}});
    let record = serde_json::json!({
        "trajectory": [step("vim a", ""), step("rm a", ""), step("submit", "")],
        "history": [
            {"role": "system", "content": ""},
            {"role": "assistant", "content": "rm a", "action": "rm a"},
            {"role": "assistant", "content": "submit", "action": "submit"},
        ],
        "info": {},
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.traj");
    fs_err::write(&path, record.to_string()).unwrap();
    let executed: Vec<bool> = read(&path).steps.iter().map(|step| step.executed).collect();
    assert_eq!(executed, [false, true, true]);
}

/// A machine in memory that knows what a recording shows of its files.
struct Memory {
    workdir: String,
    files: BTreeMap<String, Vec<u8>>,
}

#[async_trait]
impl Files for Memory {
    type Error = std::convert::Infallible;

    async fn read(&mut self, path: &str) -> Result<Found, Self::Error> {
        let is_directory = self.files.keys().any(|file| file.starts_with(&format!("{path}/")));
        Ok(match self.files.get(path) {
            Some(bytes) => Found::File(bytes.clone()),
            None if is_directory || path == self.workdir => Found::Directory,
            None => Found::Missing,
        })
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Option<String>, Self::Error> {
        self.files.insert(path.to_owned(), bytes.to_vec());
        Ok(None)
    }

    async fn run(&mut self, script: &str) -> Result<String, Self::Error> {
        if script == "pwd -P" {
            return Ok(format!("{}\n", self.workdir));
        }
        if let Some(rest) = script.strip_prefix("find ") {
            let words = editor::split_words(rest).unwrap();
            let (directory, name) = (&words[0], &words[4]);
            let is_wanted =
                |path: &&String| path.starts_with(directory) && path.ends_with(&format!("/{name}"));
            return Ok(self.files.keys().filter(is_wanted).map(|path| format!("{path}\n")).collect());
        }
        assert!(script.contains("flake8"), "{script}");
        // The one problem that the recordings have: a statement of a method without its indentation.
        let faulty = self.files.iter().find(|(path, bytes)| {
            script.contains(path.as_str()) && String::from_utf8_lossy(bytes).contains("\nreturn int(")
        });
        Ok(faulty.map_or(String::new(), |(path, _)| {
            format!("{path}:1477:5: E999 IndentationError: unexpected indent\n")
        }))
    }
}

/// Path in the repository → lines by number: all that the `open` calls of any recording show.
fn lines_shown() -> BTreeMap<String, BTreeMap<usize, String>> {
    let mut shown: BTreeMap<String, BTreeMap<usize, String>> = BTreeMap::new();
    for (name, .., workdir) in SWE_AGENT {
        for step in swe_agent(name).unwrap().steps {
            let text = step.observation.unwrap().output.replace("\r\n", "\n");
            if !step.action.text().starts_with("open ") {
                continue;
            }
            let (path, rest) = text.strip_prefix("[File: ").unwrap().split_once(" (").unwrap();
            let total: usize = rest.split_once(" lines total)").unwrap().0.parse().unwrap();
            let path = path.strip_prefix(&format!("{workdir}/")).unwrap_or(path);
            let lines = shown.entry(path.to_owned()).or_default();
            lines.entry(total).or_default();
            let numbered = text.lines().filter_map(|line| line.split_once(':'));
            lines.extend(numbered.filter_map(|(number, text)| Some((number.parse().ok()?, text.to_owned()))));
        }
    }
    shown
}

/// The files as far as the recordings show them; their other lines are empty.
fn files_shown(workdir: &str) -> BTreeMap<String, Vec<u8>> {
    let file = |(path, lines): (String, BTreeMap<usize, String>)| {
        let total = *lines.keys().last().unwrap();
        let text: String = (1..=total)
            .map(|number| lines.get(&number).map_or("\n".into(), |line| format!("{line}\n")))
            .collect();
        (format!("{workdir}/{path}"), text.into_bytes())
    };
    lines_shown().into_iter().map(file).collect()
}

/// How many editor calls there are, how many outputs are equal byte for byte, and how many are equal but for
/// what the terminal did to them: carriage returns, and the last line end.
async fn editor_matches(name: &str) -> Option<(usize, usize, usize)> {
    let trajectory = swe_agent(name)?;
    let workdir = trajectory.source.workdir.clone().unwrap();
    let mut machine = Memory { files: files_shown(&workdir), workdir };
    let mut state = State::new(trajectory.source.editor.unwrap());
    let (mut calls, mut bytes, mut text) = (0, 0, 0);
    for step in &trajectory.steps {
        let Action::Editor(call) = &step.action else { continue };
        let said = editor::perform(&mut machine, &mut state, call).await.unwrap().output;
        let recorded = &step.observation.as_ref().unwrap().output;
        let plain = |text: &str| text.replace("\r\n", "\n").trim_end_matches('\n').to_owned();
        calls += 1;
        bytes += usize::from(said == *recorded);
        text += usize::from(plain(&said) == plain(recorded));
        if plain(&said) != plain(recorded) {
            let (recorded, said) = (plain(recorded), plain(&said));
            let diff = similar::TextDiff::from_lines(&recorded, &said);
            println!("{name}: {}\n{}", call.text, diff.unified_diff());
        }
    }
    Some((calls, bytes, text))
}

#[tokio::test]
async fn the_shell_editors_say_byte_for_byte_what_was_recorded() {
    for (name, expected) in [
        ("humanevalfix-python-0", 2),
        ("marshmallow-1867.default.from_source", 7),
        ("marshmallow-1867.default_sys-env_cursors_window100", 7),
        ("marshmallow-1867.default_sys-env_window100", 6),
        ("marshmallow-1867.xml_sys-env_cursors_window100", 7),
        ("marshmallow-1867.xml_sys-env_window100", 6),
    ] {
        let Some(found) = editor_matches(name).await else { return };
        assert_eq!(found, (expected, expected, expected), "{name}");
    }
}

#[tokio::test]
async fn the_programs_say_what_was_recorded_but_for_the_terminal() {
    for (name, calls) in [
        ("history-only", 3),
        ("marshmallow-1867.function_calling", 6),
        ("marshmallow-1867.function_calling_replace", 6),
        ("marshmallow-1867.function_calling_replace_from_source", 6),
    ] {
        let Some((found, _, text)) = editor_matches(name).await else { return };
        assert_eq!((found, text), (calls, calls), "{name}");
    }
}

/// The text that a view of a whole file shows.
fn text_viewed(observation: &str) -> String {
    let plain = observation.replace("\r\n", "\n");
    let lines: Vec<&str> =
        plain.lines().skip(1).map(|line| line.split_once('\t').map_or("", |(_, text)| text)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn str_replace_editor_says_what_was_recorded_but_for_the_terminal() {
    let Some(root) = fixtures() else { return };
    let trajectory = read(&root.join("swe-smith/pydantic-pr_8316.traj"));
    let first = text_viewed(&trajectory.steps[1].observation.as_ref().unwrap().output);
    let files = BTreeMap::from([("/testbed/pydantic/alias_generators.py".to_owned(), first.into_bytes())]);
    let mut machine = Memory { workdir: "/testbed".to_owned(), files };
    let mut state = State::new(trajectory.source.editor.unwrap());
    let mut equal = 0;
    for step in &trajectory.steps {
        let Action::Editor(call) = &step.action else { continue };
        let said = editor::perform(&mut machine, &mut state, call).await.unwrap().output;
        let recorded = step.observation.as_ref().unwrap().output.replace("\r\n", "\n");
        assert_eq!(said.trim_end(), recorded.trim_end(), "{}", call.text);
        // The arguments and the text say the same.
        let from_text =
            apprentice::trajectory::EditorCall { arguments: serde_json::Map::default(), ..call.clone() };
        assert_eq!(editor::read_call(&from_text), editor::read_call(call));
        equal += 1;
    }
    assert_eq!(equal, 9);
}

fn apprentice() -> assert_cmd::Command {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_apprentice"))
}

#[test]
fn import_keeps_going_and_lists_what_it_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let step = r#"{"action": "ls", "observation": "a", "thought": "", "response": "", "state": {}}"#;
    let good = format!("{{\"trajectory\": [{step}], \"history\": [], \"info\": {{}}}}");
    fs_err::write(dir.path().join("a.jsonl"), format!("{good}\n{{\"cut\": \n")).unwrap();
    let import = |more: &[&str]| {
        let mut command = apprentice();
        command
            .current_dir(dir.path())
            .args(["trajectory", "import", "a.jsonl", "--out", "out/all.jsonl"])
            .args(more);
        command.output().unwrap()
    };
    let refused = import(&[]);
    assert_eq!(refused.status.code(), Some(3));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("a.jsonl: line 2: column 8: not JSON: EOF while parsing"), "{stderr}");
    assert!(stderr.contains("hint: get the file again"), "{stderr}");
    assert!(!dir.path().join("out/all.jsonl").exists());

    assert_eq!(import(&["--keep-going"]).status.code(), Some(0));
    let rejects: Vec<serde_json::Value> =
        apprentice::fsio::read_json_lines(&dir.path().join("out/rejects.jsonl")).unwrap();
    assert_eq!(
        (rejects.len(), &rejects[0]["line"], &rejects[0]["byte"]),
        (1, &2.into(), &(good.len() + 1).into())
    );
    let kept: Vec<Trajectory> = apprentice::fsio::read_json_lines(&dir.path().join("out/all.jsonl")).unwrap();
    assert_eq!(kept.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["a:1"]);
}

#[test]
fn a_format_that_is_not_known_is_a_usage_error() {
    let output =
        apprentice().args(["trajectory", "import", "--from", "swagent", "x", "--out", "y"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("hint: use one of: native, atif, swe-agent,"), "{stderr}");
}
