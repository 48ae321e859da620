//! Tests of reports, over a run directory as a quickstart leaves it.

use serde_json::json;

use super::*;
use crate::event::EventSink;
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
    let events = [
        trained("srl", 0, 0.1),
        trained("srl", 1, 0.2),
        trained("srl", 1, 0.3),
        measured("srl", 3),
        measured("srl", 4),
    ];
    let report = gather(&[run_with(directory.path(), &events)]).unwrap();
    let run = &report.runs[0];
    assert_eq!(run.phases[0].metrics["reward"], BTreeMap::from([(0, 0.1), (1, 0.3)]));
    assert_eq!(run.rows.iter().map(|row| row.resolved).collect::<Vec<_>>(), [4]);
}

#[test]
fn each_metric_of_a_phase_has_a_picture_and_runs_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    let events = [trained("sft", 0, 0.1), trained("srl", 0, 0.1)];
    let report = gather(&[run_with(&first, &events), run_with(&second, &events)]).unwrap();
    let charts = report.charts();
    let titles: Vec<&str> = charts.iter().map(|(_, chart)| chart.title.as_str()).collect();
    assert_eq!(titles[..4], ["sft: reward", "sft: loss", "sft: groups kept", "sft: groups dropped"]);
    assert_eq!(charts.len(), 8);
    assert!(charts.iter().all(|(_, chart)| chart.series.len() == 2));
}

#[test]
fn the_page_stands_alone_and_lets_no_name_break_out() {
    let directory = tempfile::tempdir().unwrap();
    let events = [trained("srl", 0, 0.1), graded("eval", "<b>task</b>", 0, "resolved"), measured("srl", 3)];
    let path = run_with(directory.path(), &events);
    let out = directory.path().join("report.html");
    let written = gather(&[path]).unwrap().write(&out).unwrap();
    let page = fs_err::read_to_string(&out).unwrap();
    assert_eq!(written.len(), 5);
    assert!(!page.contains("<b>task") && !page.contains("a <run>") && !page.contains("<script"));
    assert!(!page.contains("href=") && !page.contains("src=") && !page.contains("url("));
    assert!(page.contains("apprentice 'it'\\''s me'"), "the command line can be pasted into a shell");
}

#[test]
fn a_task_shows_how_many_of_its_attempts_resolved_it() {
    let directory = tempfile::tempdir().unwrap();
    let events = [
        graded("eval", "a", 0, "resolved"),
        graded("eval", "a", 1, "unresolved"),
        graded("eval", "b", 0, "sandbox_lost"),
        graded("eval", "c", 0, "unresolved"),
    ];
    let page = page::html(&gather(&[run_with(directory.path(), &events)]).unwrap());
    assert!(
        page.contains("<i class=\"some\" style=\"--share:50%\" title=\"a: 1 resolved, 1 unresolved\">"),
        "{page}"
    );
    assert!(page.contains("<i class=\"lost\" title=\"b: sandbox_lost\">"));
    assert!(page.contains("<i title=\"c: unresolved\">"));
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
    assert!(page::html(&report).contains("McNemar"));
}

#[test]
fn the_same_run_given_twice_is_no_second_seed() {
    let directory = tempfile::tempdir().unwrap();
    let one = graded_run(directory.path(), "one", (1, &[("a", "resolved")]));
    let report = gather(&[one.clone(), one]).unwrap();
    assert!(report.seeds.is_empty());
    assert_eq!((report.comparisons.len(), report.comparisons[0].comparison.tasks), (1, 1));
}
