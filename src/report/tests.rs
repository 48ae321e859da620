//! Tests of reports, over a run directory as a quickstart leaves it.

use serde_json::json;

use super::*;
use crate::event::{EventSink, ExpertStep, SampledAttempt};
use crate::run::RunDir;

fn trained(phase: &str, step: u64, reward: f64) -> Event {
    let metrics = [("reward", reward), ("loss", 1.0 / (step + 1) as f64), ("kept", 12.0), ("dropped", 4.0)];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    Event::StepTrained { phase: phase.to_owned(), step, metrics }
}

fn graded(phase: &str, task: &str, attempt: u64, outcome: &str) -> Event {
    let (phase, task, outcome) = (phase.to_owned(), task.to_owned(), outcome.to_owned());
    Event::TaskGraded { phase, task, attempt, outcome }
}

fn measured(method: &str, resolved: u64) -> Event {
    Event::MethodMeasured(MethodRow {
        method: method.to_owned(),
        set: None,
        tasks: 40,
        resolved,
        rate: resolved as f64 / 40.0,
        low: 0.1,
        high: 0.9,
        reward: Some(0.5),
        tokens_per_reply: None,
    })
}

fn run_with(directory: &Path, events: &[Event]) -> PathBuf {
    let path = directory.join("a <run>");
    let manifest = Manifest::new(["apprentice".to_owned(), "it's me".to_owned()], json!({"steps": 3}));
    let mut sink = RunDir::create(&path, manifest).unwrap().events().unwrap();
    for event in events {
        sink.emit(event).unwrap();
    }
    path
}

#[test]
fn a_resumed_run_says_things_twice_and_is_shown_once() {
    let directory = tempfile::tempdir().unwrap();
    let sampled = |reward| {
        let attempts = vec![SampledAttempt { reward, replies: vec!["a".to_owned()] }];
        let (phase, task) = ("srl".to_owned(), "t".to_owned());
        Event::GroupSampled(GroupSample { phase, step: 1, task, expert: None, kept: true, attempts })
    };
    let events = [
        trained("srl", 0, 0.1),
        sampled(0.5),
        sampled(0.75),
        trained("srl", 1, 0.2),
        trained("srl", 1, 0.3),
        measured("srl", 3),
        measured("srl", 4),
    ];
    let report = gather(&[run_with(directory.path(), &events)]).unwrap();
    let run = &report.runs[0];
    assert_eq!(run.phases[0].metrics["reward"], BTreeMap::from([(0, 0.1), (1, 0.3)]));
    assert_eq!(run.samples.iter().map(|sample| sample.attempts[0].reward).collect::<Vec<_>>(), [0.75]);
    assert_eq!(run.rows.iter().map(|row| row.resolved).collect::<Vec<_>>(), [4]);
}

/// The first page.
fn page_of(report: &Report) -> String {
    page::pages(report, "report.html", 0).unwrap().main
}

#[test]
fn each_metric_of_a_phase_has_a_picture_and_runs_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    let events = [trained("sft", 0, 0.1), trained("srl", 0, 0.1)];
    let report = gather(&[run_with(&first, &events), run_with(&second, &events)]).unwrap();
    let curves = report.curves();
    let titles: Vec<&str> = curves.iter().map(|curve| curve.chart.title.as_str()).collect();
    assert_eq!(titles[..4], ["sft: reward", "sft: groups kept", "sft: groups dropped", "sft: loss"]);
    assert_eq!(curves.len(), 8);
    assert!(curves.iter().all(|curve| curve.chart.series.len() == 2));
}

#[test]
fn numbers_that_never_change_are_no_curves() {
    let directory = tempfile::tempdir().unwrap();
    let step = |step: u64| {
        let metrics = [("lost".to_owned(), 0.0), ("rounds".to_owned(), step as f64)].into();
        Event::StepTrained { phase: "srl".to_owned(), step, metrics }
    };
    let page = page_of(&gather(&[run_with(directory.path(), &[step(0), step(1)])]).unwrap());
    assert!(page.contains("The same at every update: lost 0."), "{page}");
    assert!(page.contains("srl: rounds by update") && !page.contains("srl: lost by update"));
}

/// What a page must never hold, wherever it stands in a run.
const HOSTILE: &str = "</script><script>owned=1</script><img src=x onerror=owned=1>\"'\u{202e}abc\u{2066}\u{1b}[31m\0</pre></details>";

#[test]
fn the_page_stands_alone_and_lets_no_word_of_an_agent_break_out() {
    let directory = tempfile::tempdir().unwrap();
    let sample = GroupSample {
        phase: HOSTILE.to_owned(),
        step: 0,
        task: HOSTILE.to_owned(),
        expert: Some(ExpertStep {
            trajectory: HOSTILE.to_owned(),
            step: 1,
            thought: HOSTILE.to_owned(),
            action: HOSTILE.to_owned(),
        }),
        kept: true,
        attempts: [format!("<think>{HOSTILE}</think>{HOSTILE}"), HOSTILE.to_owned()]
            .map(|said| SampledAttempt { reward: 0.5, replies: vec![said] })
            .to_vec(),
    };
    let by_itself = GroupSample { expert: None, ..sample.clone() };
    let events = [
        trained(HOSTILE, 0, 0.1),
        graded(&format!("measure {HOSTILE}"), HOSTILE, 0, HOSTILE),
        measured(HOSTILE, 3),
        Event::Note { text: HOSTILE.to_owned() },
        Event::GroupSampled(sample),
        Event::GroupSampled(by_itself),
    ];
    let path = run_with(directory.path(), &events);
    let verdicts = ["a", HOSTILE].map(|id| json!({"id": id, "outcome": HOSTILE, "reason": HOSTILE}));
    fsio::write_json_lines(&path.join("grades.jsonl"), verdicts).unwrap();
    let mut trajectory = episode("a.0", "a");
    trajectory["id"] = HOSTILE.into();
    fsio::write_json_lines(&path.join("trajectories.jsonl"), [trajectory]).unwrap();
    let out = directory.path().join("report.html");
    let written = gather(&[path]).unwrap().write(&out, EPISODES).unwrap();
    assert_eq!((written.parts.len(), written.curves.len()), (1, 4));
    let page = fs_err::read_to_string(&out).unwrap();
    for forbidden in [
        "<script",
        "<img",
        "onerror=owned=1>",
        "\u{202e}",
        "\u{2066}",
        "\u{1b}",
        "\0",
        "a <run>",
        "src=",
        "url(",
    ] {
        assert!(
            !page.contains(forbidden) || page.contains(&crate::viewer::escape(forbidden)),
            "{forbidden:?}"
        );
    }
    assert!(
        !page.contains("<script")
            && !page.contains("<img")
            && !page.contains('\u{202e}')
            && !page.contains('\0')
    );
    assert!(page.contains("default-src 'none'") && !page.contains("script-src"));
    let links: Vec<&str> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.iter().all(|link| link.starts_with('#') || link.starts_with("report-parts/")), "{links:?}");
    assert!(
        page.contains("apprentice &#39;it&#39;\\&#39;&#39;s me&#39;"),
        "the command line can be pasted into a shell"
    );
}

#[test]
fn a_task_has_a_sign_for_each_try_and_its_reasons_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let path = run_with(directory.path(), &[]);
    let rows =
        [("a", "resolved", ""), ("a", "unresolved", "1 test fails"), ("b", "infrastructure", "no disk")];
    let rows = rows.map(|(id, outcome, reason)| json!({"id": id, "outcome": outcome, "reason": reason}));
    fsio::write_json_lines(&path.join("grades.jsonl"), rows).unwrap();
    let lost = json!({"format": "apprentice.trajectory/1", "id": "a.0", "task": "a", "steps": [], "end": "sandbox_lost"});
    let episodes = [lost, episode("a.1", "a"), episode("a.2", "a")];
    fsio::write_json_lines(&path.join("trajectories.jsonl"), episodes).unwrap();
    let report = gather(&[path]).unwrap();
    let pages = page::pages(&report, "a b.html", 1).unwrap();
    let page = &pages.main;
    let row = "<details><summary><code>a</code><span class=\"cells\" data-name=\"a &lt;run&gt;\"><b class=r>✓</b><b class=u>×</b></span></summary>";
    assert!(page.contains(row), "{page}");
    assert!(page.contains("<b class=l>?</b>") && page.contains("infrastructure: no disk"));
    // The lost episode has no grade, so the first grade is about the second episode, of which there is a page.
    assert!(page.contains("resolved <a href=\"a%20b-parts/trajectory-1.html\">2 steps</a>"), "{page}");
    assert!(page.contains("unresolved: 1 test fails <span class=\"soft\">2 steps: <code>a.2</code></span>"));
    assert_eq!(
        pages.parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["a b-parts/trajectory-1.html"]
    );
    assert!(pages.parts[0].1.contains("a.1") && page.contains("pass@2 100.0 %"));
}

#[test]
fn a_file_that_is_still_written_lacks_its_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.jsonl");
    fs_err::write(&file, format!("{}\n{{\"id\": \"b", episode("a", "t"))).unwrap();
    assert_eq!(episodes::read(&file).unwrap().len(), 1);
    fs_err::write(&file, format!("{{\"id\"\n{}\n", episode("a", "t"))).unwrap();
    assert!(episodes::read(&file).unwrap_err().to_string().contains("line 1"));
}

/// An episode of two steps.
fn episode(id: &str, task: &str) -> serde_json::Value {
    let step = json!({"thought": "look", "action": {"kind": "bash", "command": "ls"}, "observation": {"output": "a\n"}});
    json!({"format": "apprentice.trajectory/1", "id": id, "task": task, "steps": [step, step], "end": "submitted", "patch": ""})
}

#[test]
fn a_directory_without_a_run_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = gather(&[directory.path().to_owned()]).unwrap_err();
    assert!(matches!(refused, RunError::NotARun { .. }));
}

/// A run with one try at each task.
fn graded_run(directory: &Path, name: &str, (seed, grades): (u64, &[(&str, &str)])) -> PathBuf {
    let path = directory.join(name);
    let mut manifest = Manifest::new(["apprentice".to_owned()], json!({"policy": "a"}));
    manifest.seeds.insert("run".to_owned(), seed);
    RunDir::create(&path, manifest).unwrap();
    let rows = grades.iter().map(|(id, outcome)| json!({"id": id, "outcome": outcome}));
    fsio::write_json_lines(&path.join("grades.jsonl"), rows).unwrap();
    path
}

#[test]
fn graded_runs_are_compared_task_by_task_and_their_seeds_have_a_mean() {
    let directory = tempfile::tempdir().unwrap();
    let (yes, no, lost) = ("resolved", "unresolved", "infrastructure");
    let one = graded_run(directory.path(), "one", (1, &[("a", yes), ("b", no), ("c", no), ("d", yes)]));
    let two = graded_run(directory.path(), "two", (2, &[("a", yes), ("b", yes), ("c", yes), ("d", lost)]));
    let report = gather(&[one, two]).unwrap();
    let pair = &report.comparisons[0];
    assert_eq!(
        (pair.comparison.tasks, &*pair.comparison.second_only),
        (3, &["b".to_owned(), "c".to_owned()][..])
    );
    assert_eq!(pair.comparison.left_out, ["d"]);
    assert_eq!(report.seeds[0].rates, [0.5, 1.0]);
    insta::assert_snapshot!(report.grades_text(), @r"
    one: resolved 2 of 4: 50.0 % (95 %: 15.0 to 85.0)
    two: resolved 3 of 3: 100.0 % (95 %: 43.9 to 100.0); 1 not judged
    one → two: 33.3 % → 100.0 % on 3 tasks; 0 lost, 2 won, p = 0.500 (McNemar, exact)
      won: b, c
      not compared: d
    Mean of 2 seeds: 75.0 % (95 %: 0.0 to 100.0): one, two
    ");
    let page = page_of(&report);
    assert!(
        page.contains("McNemar")
            && page
                .contains("<th scope=\"row\">one → two</th><td>3</td><td>33.3 → 100.0 %</td><td>+66.7</td>"),
        "{page}"
    );
}

#[test]
fn the_same_run_given_twice_is_no_second_seed() {
    let directory = tempfile::tempdir().unwrap();
    let one = graded_run(directory.path(), "one", (1, &[("a", "resolved")]));
    let report = gather(&[one.clone(), one]).unwrap();
    assert!(report.seeds.is_empty());
    assert_eq!((report.comparisons.len(), report.comparisons[0].comparison.tasks), (1, 1));
}

/// A run of 10,000 episodes and 3,000 updates, written as its files.
fn long_run(directory: &Path) -> PathBuf {
    let path = directory.join("long");
    let manifest = Manifest::new(["apprentice".to_owned()], json!({"policy": "checkpoint:x"}));
    RunDir::create(&path, manifest).unwrap();
    let (mut grades, mut episodes, mut events) = (String::new(), String::new(), String::new());
    for task in 0..2500 {
        for attempt in 0..4 {
            let outcome =
                ["resolved", "unresolved", "empty_patch", "timed_out"][(task * 7 + attempt * 3) % 11 % 4];
            let id = format!("owner__repository-{task:05}");
            let reason = "2 of 3 tests that must pass do not: tests/test_module.py::TestClass::test_case, tests/test_module.py::test_other";
            grades += &format!("{}\n", json!({"id": id, "outcome": outcome, "reason": reason}));
            episodes += &format!("{}\n", episode(&format!("{id}.{attempt}"), &id));
        }
    }
    for step in 0..3000 {
        let metric =
            |number: usize| (format!("metric_{number:02}"), ((step * (number + 1)) as f64 / 90.0).sin());
        let mut metrics: BTreeMap<String, f64> = (0..22).map(metric).collect();
        metrics.extend(
            ["reward", "loss", "entropy", "kept"].map(|name| (name.to_owned(), (step as f64).sqrt())),
        );
        let event = Event::StepTrained { phase: "srl".to_owned(), step: step as u64, metrics };
        let mut event = serde_json::to_value(event).unwrap();
        event["format"] = run::EVENT_FORMAT.into();
        events += &format!("{event}\n");
    }
    let text = "sed -n '1,40p' src/module.py && python -m pytest -q tests/test_module.py # ".repeat(20);
    let attempts =
        (0..8).map(|at| json!({"reward": 0.5, "replies": [format!("<think>{at} {text}</think>{at}{text}")]}));
    let attempts: Vec<_> = attempts.collect();
    let sample = |step: u64| {
        json!({"format": run::GROUPS_FORMAT, "phase": "srl", "step": step, "task": "t", "kept": true, "attempts": attempts,
            "expert": {"trajectory": "e", "step": 1, "thought": text, "action": text}})
    };
    fsio::write_json_lines(&path.join("groups.jsonl"), (0..90).map(sample)).unwrap();
    fs_err::write(path.join("grades.jsonl"), grades).unwrap();
    fs_err::write(path.join("trajectories.jsonl"), episodes).unwrap();
    fs_err::write(path.join("events.jsonl"), events).unwrap();
    path
}

#[test]
fn a_run_of_ten_thousand_episodes_is_a_small_page_with_parts_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let report = gather(&[long_run(directory.path())]).unwrap();
    let pages = page::pages(&report, "report.html", EPISODES).unwrap();
    assert!(pages.main.len() < 5_000_000, "{} bytes", pages.main.len());
    let rows: Vec<&(String, String)> =
        pages.parts.iter().filter(|(name, _)| name.contains("/tasks-")).collect();
    assert_eq!((rows.len(), pages.parts.len()), (10, 10 + EPISODES));
    assert!(pages.parts.iter().all(|(_, page)| page.len() < 5_000_000));
    let tries: usize = rows.iter().map(|(_, page)| page.matches("<li><b>").count()).sum();
    assert_eq!(tries, 10_000, "every try stands on one of the pages");
    for (name, page) in &rows {
        assert!(
            pages.main.contains(&format!("href=\"{name}\""))
                && page.contains("href=\"../report.html#tasks\"")
        );
    }
    // Kept for whoever measures how long it takes to open: docs/report.md.
    if let Ok(out) = std::env::var("REPORT_OUT") {
        report.write(Path::new(&out), EPISODES).unwrap();
    }
}
