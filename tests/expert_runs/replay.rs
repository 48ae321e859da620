//! Many replays by the program: shared beginnings, resumes, dry runs.

use std::collections::BTreeMap;

use apprentice::trajectory::{Action, Observation, Source, Step, Trajectory};
use serde_json::Value;

use crate::workshop::{Workshop, failing, insert_step, lines};

/// What does not depend on the clock.
fn timeless(mut replay: Value) -> Value {
    for step in replay["step_list"].as_array_mut().unwrap() {
        step["seconds"] = Value::Null;
    }
    replay
}

/// Every task's expert, a failing attempt that begins alike, and an expert who does one thing more.
fn trajectories(workshop: &Workshop) -> Vec<Trajectory> {
    let of = |task: &apprentice::synth::SynthTask| {
        let mut longer = Trajectory { id: format!("longer-{}", task.task.id), ..task.expert.clone() };
        insert_step(&mut longer, "true");
        [task.expert.clone(), failing(task), longer]
    };
    workshop.tasks.iter().step_by(4).flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_beginnings_run_once_and_a_stopped_replay_goes_on() {
    let Some(workshop) = Workshop::new(1).await else { return };
    let all = trajectories(&workshop);
    workshop.write("all.jsonl", &all);

    let plan = &lines(&workshop.trajectory("replay", &["all.jsonl", "--dry-run"]))[0];
    assert_eq!(plan["format"], "apprentice.replay-plan/1");
    assert_eq!(plan["starts"].as_array().unwrap().len(), all.len() / 3);
    assert_eq!(plan["forks"], 2 * all.len() / 3);
    let (steps, run) = (plan["steps"].as_u64().unwrap(), plan["run"].as_u64().unwrap());
    // All but the repair and what follows it is shared, and the repair by two of three.
    assert_eq!(steps - run, plan["starts"].as_array().unwrap().iter().map(saved).sum::<u64>());
    assert!(2 * run < 3 * steps && run < steps, "{run} of {steps}");
    println!("{run} of {steps} steps are run, {} forks", plan["forks"]);

    let first = workshop.trajectory("replay", &["all.jsonl", "--out", "one", "--parallel", "3"]);
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let printed = lines(&first);
    let ids: Vec<&str> = printed.iter().map(|replay| replay["trajectory"].as_str().unwrap()).collect();
    assert_eq!(ids, all.iter().map(|trajectory| trajectory.id.as_str()).collect::<Vec<_>>());
    assert!(printed.iter().all(|replay| replay["divergence"] == 0.0), "{printed:?}");
    assert!(printed.iter().all(|replay| 0 < replay["shared_steps"].as_u64().unwrap()));
    let grades: BTreeMap<&str, &str> =
        printed.iter().map(|r| (r["trajectory"].as_str().unwrap(), r["grade"].as_str().unwrap())).collect();
    assert!(
        grades.iter().all(|(id, grade)| (*grade == "resolved") != id.starts_with("failing")),
        "{grades:?}"
    );

    // What is shared was run once: even the clock says the same of it.
    let seconds = |replay: &Value, at: usize| replay["step_list"][at]["seconds"].clone();
    for three in printed.chunks(3) {
        for at in 0..three[1]["shared_steps"].as_u64().unwrap() as usize {
            assert_ne!(seconds(&three[0], at), 0.0);
            assert!(three[1..].iter().all(|replay| seconds(replay, at) == seconds(&three[0], at)));
        }
    }

    // Killed after three and a half.
    let path = workshop.path("two/replays.jsonl");
    let whole = fs_err::read_to_string(workshop.path("one/replays.jsonl")).unwrap();
    let cut: String = whole.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, format!("{cut}{{\"format\": \"appr")).unwrap();
    let second = workshop.trajectory("replay", &["all.jsonl", "--out", "two"]);
    assert_eq!(lines(&second).len(), all.len() - 3);
    let read = |name: &str| -> Vec<Value> {
        let text = fs_err::read_to_string(workshop.path(name)).unwrap();
        text.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect()
    };
    let (one, mut two) = (read("one/replays.jsonl"), read("two/replays.jsonl"));
    // How much was shared depends on what was left.
    for (replay, other) in two.iter_mut().zip(&one) {
        replay["shared_steps"] = other["shared_steps"].clone();
    }
    assert_eq!(one, two);

    let third = workshop.trajectory("replay", &["all.jsonl", "--out", "one"]);
    assert_eq!((third.status.code(), third.stdout.len()), (Some(0), 0));
    let mut other = all.clone();
    other[0].steps.remove(0);
    workshop.write("all.jsonl", &other);
    let refused = workshop.trajectory("replay", &["all.jsonl", "--out", "one"]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_shells_are_honoured_and_a_recorded_directory_is_kept() {
    let Some(workshop) = Workshop::new(1).await else { return };
    let step =
        |command: &str, seen: &str| Step::new("", Action::bash(command)).seeing(Observation::recorded(seen));
    let expert = &workshop.tasks[0].expert;
    let walk = |id: &str, fresh_shells: bool, after: &str| Trajectory {
        id: id.to_owned(),
        steps: vec![
            step("cd src && export A=1", ""),
            step("pwd; echo \"[$A]\"", after),
            Step::new("", Action::Submit),
        ],
        source: Source {
            fresh_shells,
            workdir: Some("/workspace/demo__1.0".to_owned()),
            ..Source::default()
        },
        patch: None,
        ..expert.clone()
    };
    let all = [
        walk("carried", false, "/workspace/demo__1.0/src\n[1]\n"),
        walk("fresh", true, "/workspace/demo__1.0\n[]\n"),
    ];
    workshop.write("walks.jsonl", &all);
    let output = workshop.trajectory("replay", &["walks.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(lines(&output).iter().all(|replay| replay["shared_steps"] == 0));
}

/// Steps that a start saves.
fn saved(start: &Value) -> u64 {
    start["steps"].as_u64().unwrap() - start["run"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_some_keeps_the_others_and_grades_what_was_not_graded() {
    let Some(workshop) = Workshop::new(1).await else { return };
    let expert = &workshop.tasks[0].expert;
    let named = |id: &str| Trajectory { id: id.to_owned(), ..expert.clone() };
    let strange = "../../../x";
    workshop.write("all.jsonl", &[named("a"), named(strange)]);
    let replays = |out: &str| -> BTreeMap<String, Value> {
        let text = fs_err::read_to_string(workshop.path(out)).unwrap();
        let replay = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        text.lines().map(replay).map(|r| (r["trajectory"].as_str().unwrap().to_owned(), r)).collect()
    };
    let run =
        |more: &[&str]| workshop.trajectory("replay", &[&["all.jsonl", "--out", "o/u/t"], more].concat());
    assert_eq!(run(&[]).status.code(), Some(0));
    let files = || apprentice::fsio::files_below(&workshop.path(".")).unwrap();
    let patches: Vec<_> =
        files().into_iter().filter(|path| path.to_string_lossy().ends_with(".patch")).collect();
    let is_inside =
        |path: &std::path::PathBuf| path.parent().is_some_and(|parent| parent.ends_with("o/u/t/patches"));
    assert_eq!(patches.iter().filter(|path| is_inside(path)).count(), 2, "{patches:?}");

    // One that the host could not grade is made again, alone; the other stays.
    let path = "o/u/t/replays.jsonl";
    let mut ungraded = replays(path);
    let replay = ungraded.get_mut("a").unwrap().as_object_mut().unwrap();
    replay.insert("grade".to_owned(), Value::Null);
    replay.insert("grade_error".to_owned(), "the sandbox was lost".into());
    apprentice::fsio::write_json_lines(&workshop.path(path), ungraded.values()).unwrap();
    let again = run(&["--id", "a"]);
    assert_eq!((again.status.code(), lines(&again).len()), (Some(0), 1));
    let after = replays(path);
    assert_eq!(after.keys().collect::<Vec<_>>(), [strange, "a"]);
    assert!(
        after.values().all(|replay| replay["grade"] == "resolved" && replay.get("grade_error").is_none())
    );
    assert_eq!(run(&[]).stdout.len(), 0);

    workshop.write("all.jsonl", &[named("a"), named("a")]);
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stdout));
}
