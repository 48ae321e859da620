//! The page in a browser: headless Chromium, asked over a pipe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use apprentice::trajectory::{Action, End, FORMAT, Observation, Source, Step, Trajectory};
use apprentice::viewer::{DifferenceRecord, ReplayRecord, StepRecord, View, page, visible};
use browser::{Browser, DRAWN, chromium};
use serde_json::{Value, json};

mod browser;

const HERE: &str = "document.querySelector('article.here').id";

fn trajectory(steps: Vec<Step>) -> Trajectory {
    Trajectory {
        format: FORMAT.into(),
        id: "a".into(),
        task: "t".into(),
        source: Source::default(),
        problem: Some("Fix it.".into()),
        steps,
        end: End::Submitted,
        patch: None,
        answer: None,
        resolved: None,
    }
}

/// Writes the page of a trajectory whose replay diverged at these steps.
fn write(dir: &Path, trajectory: &Trajectory, diverged: &[usize]) -> std::path::PathBuf {
    let step = |number: &usize| StepRecord {
        step: *number,
        outcome: "diverged".into(),
        normalisers: Vec::new(),
        difference: Some(DifferenceRecord { line: 1, diff: "-a\n+b".into() }),
    };
    let replay = ReplayRecord {
        first_divergence: diverged.first().copied(),
        step_list: diverged.iter().map(step).collect(),
        ..ReplayRecord::default()
    };
    let view = View { trajectory, replay: Some(&replay), rewards: &BTreeMap::new() };
    let path = dir.join("page.html");
    fs_err::write(&path, page::html(&view)).unwrap();
    path
}

/// 100 steps of 50 KB.
fn long() -> Trajectory {
    let output = |step: usize| -> String {
        let lines = (0..1000)
            .map(|line| format!("{line:>5}  some output of step {step}, as long as a line often is\n"));
        lines.collect()
    };
    let mut steps: Vec<Step> = (1..=100)
        .map(|step| {
            Step::new("I look.", Action::bash(format!("cat {step}")))
                .seeing(Observation::new(output(step), 0))
        })
        .collect();
    if let Some(observation) = &mut steps[87].observation {
        observation.output.push_str("the Needle is here\n");
    }
    trajectory(steps)
}

fn show(dir: &Path, more: &[&str]) -> (i32, String) {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_apprentice"));
    let output =
        command.current_dir(dir).args(["trajectory", "show", "in.jsonl"]).args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn the_command_shows_steps_and_writes_the_page_of_one_trajectory() {
    let dir = tempfile::tempdir().unwrap();
    let one = trajectory(vec![Step::new("Look.", Action::bash("ls")), Step::new("", Action::Submit)]);
    let other = Trajectory { id: "b".into(), ..one.clone() };
    apprentice::fsio::write_json_lines(&dir.path().join("in.jsonl"), [&one, &other]).unwrap();
    let replay = json!({"format": "apprentice.replay/1", "trajectory": "b", "step_list": [{"step": 2, "outcome": "not_recorded"}]});
    fs_err::write(dir.path().join("replays.jsonl"), format!("{replay}\n")).unwrap();
    let (code, said) = show(dir.path(), &["--id", "b", "--step", "2", "--replays", "."]);
    assert_eq!(code, 0);
    assert!(said.contains("── step 2 of 2 · submit · not recorded ─") && !said.contains("Look."), "{said}");
    let (code, said) = show(dir.path(), &["--html", "a.html"]);
    assert_eq!(code, 2);
    assert!(said.contains("hint: name one with `--id`: a, b"), "{said}");
    assert_eq!(show(dir.path(), &["--html", "a.html", "--id", "a"]).0, 0);
    assert!(fs_err::read_to_string(dir.path().join("a.html")).unwrap().contains("<article id=\"s2\""));
    assert_eq!(show(dir.path(), &["--id", "c"]).0, 4);
}

#[test]
fn a_replays_own_line_is_shown() {
    use apprentice::replay::{Difference, FORMAT as REPLAY, Outcome, Replay, StepReplay};
    let dir = tempfile::tempdir().unwrap();
    let one = trajectory(vec![Step::new("Look.", Action::bash("ls")).seeing(Observation::new("a", 0))]);
    let difference =
        Difference { line: 1, recorded: Some("a".into()), replayed: Some("b".into()), diff: "-a\n+b".into() };
    let step = StepReplay {
        step: 1,
        continues: false,
        action: "ls".into(),
        outcome: Outcome::Diverged,
        normalisers: Vec::new(),
        similarity: Some(0.0),
        difference: Some(difference),
        seconds: 0.5,
    };
    let replay = Replay {
        format: REPLAY.into(),
        trajectory: "a".into(),
        task: "t".into(),
        input: String::new(),
        steps: 1,
        shared_steps: 0,
        remapped: None,
        compared: 1,
        matched: 0,
        divergence: Some(1.0),
        first_divergence: Some(1),
        patch_matches: Some(false),
        grade: None,
        grade_error: Some("the sandbox was lost".into()),
        normalisers: Vec::new(),
        step_list: vec![step],
        patch: String::new(),
    };
    apprentice::fsio::write_json_lines(&dir.path().join("in.jsonl"), [&one]).unwrap();
    apprentice::fsio::write_json_lines(&dir.path().join("replays.jsonl"), [&replay]).unwrap();
    let (code, said) = show(dir.path(), &["--replays", "."]);
    assert_eq!(code, 0, "{said}");
    let whole = "0 of 1 observations as recorded, first other one at step 1, another patch, not graded: the sandbox was lost";
    assert!(said.contains(whole) && said.contains("differs from line 1 on"), "{said}");
    let other = Replay { format: "apprentice.replay/9".into(), ..replay };
    apprentice::fsio::write_json_lines(&dir.path().join("replays.jsonl"), [&other]).unwrap();
    let (code, said) = show(dir.path(), &["--replays", "."]);
    assert!(code == 3 && said.contains("apprentice.replay/9"), "{said}");
}

#[test]
fn five_megabytes_are_laid_out_only_where_they_are_seen() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), &long(), &[42, 60]);
    assert!(5_000_000 < fs_err::metadata(&page).unwrap().len());
    let mut browser = Browser::start(&chromium);
    browser.open(&page);
    let load = browser.value("performance.getEntriesByType('navigation')[0].duration");
    let seen = browser.value(
        "[...document.querySelectorAll('article.step > pre')].filter((text) => text.checkVisibility({contentVisibilityAuto: true})).length",
    );
    // Two texts a step, and a few steps around the window.
    assert!(seen.as_u64().unwrap() < 20, "{seen} texts are laid out");
    let search = browser.value(
        "(async () => { const field = document.getElementById('search'); field.value = 'needle'; const began = performance.now();\
         field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));\
         await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))); return performance.now() - began; })()",
    );
    println!("loaded in {load} ms, searched in {search} ms");
    assert_eq!(browser.value("document.getElementById('found').textContent"), "1/1");
    assert_eq!(browser.value(HERE), "s88");
    let is_in_sight = "(() => { const [range] = CSS.highlights.get('current'); const at = range.getBoundingClientRect(); const box = range.startContainer.parentElement.closest('pre').getBoundingClientRect();\
                       return range.toString() + ' ' + (at.top >= Math.max(0, box.top) && at.bottom <= Math.min(innerHeight, box.bottom)); })()";
    browser.value(DRAWN);
    assert_eq!(browser.value(is_in_sight), "Needle true");
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
}

#[test]
fn keys_move_to_steps_divergences_and_matches() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), &long(), &[42, 60]);
    let mut browser = Browser::start(&chromium);
    browser.open(&page);
    let top = "Math.abs(document.querySelector('article.here').getBoundingClientRect().top - document.querySelector('header').offsetHeight) < 40";
    for (key, expected) in [
        ("j", "s1"),
        ("j", "s2"),
        ("k", "s1"),
        ("d", "s42"),
        ("D", "s60"),
        ("G", "s100"),
        ("k", "s99"),
        ("g", "s1"),
    ] {
        browser.press(key);
        assert_eq!((browser.value(HERE), browser.value(top)), (json!(expected), json!(true)), "{key}");
    }
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "search");
    for letter in ["s", "t", "e", "p", " ", "7", "7"] {
        browser.press(letter);
    }
    browser.press("\r");
    browser.value("document.getElementById('search').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))");
    assert_eq!(browser.value(HERE), "s77");
    browser.value("document.activeElement.blur()");
    browser.press("e");
    assert_eq!(
        browser.value("document.querySelector('article.here pre.long').classList.contains('open')"),
        true
    );
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
}

#[test]
fn what_an_agent_writes_runs_and_loads_nothing() {
    let Some(chromium) = chromium() else { return };
    let hostile = "</script><script>owned = 1</script><img src=\"http://127.0.0.1:9/x\" onerror=\"owned = 1\">\
                   <svg onload=owned=1>'\"><a href=javascript:owned=1>x</a></pre></article><!--\u{1b}[31mred\u{1b}[0m\u{1b}]0;t\u{7}\0\u{202e}abc\u{2066}\r\n&lt;b&gt; ${owned=1} ]]>";
    let mut trajectory =
        trajectory(vec![Step::new(hostile, Action::bash(hostile)).seeing(Observation::recorded(hostile))]);
    (trajectory.id, trajectory.problem) = (hostile.into(), Some(hostile.into()));
    (trajectory.patch, trajectory.source.model) = (Some(hostile.into()), Some(hostile.into()));
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), &trajectory, &[1]);
    let mut browser = Browser::start(&chromium);
    browser.open(&page);
    browser.value(DRAWN);
    assert_eq!(browser.value("typeof owned"), "undefined");
    assert_eq!(browser.value("document.querySelectorAll('img, svg, main a:not([href^=\"#s\"])').length"), 0);
    let shown = |class: &str| format!("document.querySelector('pre.{class}').textContent");
    for class in ["thought", "action", "output", "problem"] {
        assert_eq!(browser.value(&shown(class)), visible(hostile).trim_end(), "{class}");
    }
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    // Were there a hole in the escaping, the page's own policy would still stop the script.
    browser.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"owned = 1\">')");
    browser.value(DRAWN);
    assert_eq!(browser.value("typeof owned"), "undefined");
}

#[test]
fn the_page_is_whole_without_its_script() {
    let Some(chromium) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = write(dir.path(), &long(), &[42]);
    let mut browser = Browser::start(&chromium);
    browser.ask("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&page);
    let document = browser.ask("DOM.getDocument", &json!({"depth": 0}));
    let root = document["root"]["nodeId"].clone();
    let found = browser.ask("DOM.querySelectorAll", &json!({"nodeId": root, "selector": "article.step"}));
    assert_eq!(found["nodeIds"].as_array().unwrap().len(), 100);
    let tools = browser.ask("DOM.querySelectorAll", &json!({"nodeId": root, "selector": "#tools[hidden]"}));
    assert_eq!(tools["nodeIds"].as_array().unwrap().len(), 1);
}
