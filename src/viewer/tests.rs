//! What the terminal and the page show, and what an agent cannot make them do.

use super::terminal::{Extent, text};
use super::*;
use crate::trajectory::{EditorCall, FORMAT, Observation, Source};

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
        resolved: Some(true),
    }
}

fn hostile() -> &'static str {
    "</script><script>alert(1)</script><img src=x onerror=\"alert(1)\">'\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\0\u{202e}abc\u{200b}\r\n</pre><!--"
}

/// A trajectory that is hostile wherever an agent or a record can be.
fn poisoned() -> (Trajectory, ReplayRecord, BTreeMap<usize, Vec<Rewarded>>) {
    let text = hostile().to_owned();
    let arguments = serde_json::json!({"path": text, "old_str": text, "new_str": "x"});
    let call = EditorCall {
        dialect: crate::trajectory::Dialect::SweAgentStrReplace,
        text: text.clone(),
        arguments: arguments.as_object().unwrap().clone(),
    };
    let steps = vec![
        Step::new(text.clone(), Action::bash(text.clone())).seeing(Observation::recorded(text.clone())),
        Step::new("", Action::Editor(call)),
    ];
    let mut trajectory = trajectory(steps);
    (trajectory.id, trajectory.task) = (text.clone(), text.clone());
    (trajectory.source.model, trajectory.answer) = (Some(text.clone()), Some(text.clone()));
    (trajectory.problem, trajectory.patch) = (Some(text.clone()), Some(text.clone()));
    let step = StepRecord {
        step: 1,
        outcome: text.clone(),
        normalisers: vec![text.clone()],
        difference: Some(DifferenceRecord { line: 1, diff: text.clone() }),
    };
    let replay = ReplayRecord { grade: Some(text.clone()), step_list: vec![step], ..ReplayRecord::default() };
    let reward = Rewarded { trajectory: text.clone(), step: 1, reward: 0.5, action: Some(text) };
    (trajectory, replay, BTreeMap::from([(1, vec![reward])]))
}

#[test]
fn what_an_agent_writes_cannot_become_markup() {
    let (trajectory, replay, rewards) = poisoned();
    let html = page::html(&View { trajectory: &trajectory, replay: Some(&replay), rewards: &rewards });
    // One script, ours, and the tags that we write: nothing of the text became one.
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("</script").count(), 1);
    assert_eq!(html.matches("<pre").count(), html.matches("</pre>").count());
    for tag in ["<img", "<!--", "onerror=\"", "\u{1b}", "\0", "\u{202e}", "\u{200b}", "\r"] {
        assert!(!html.contains(tag), "{tag:?}");
    }
    assert!(
        html.contains(
            "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;red␛]0;title␇␀[U+202E]abc[U+200B]\n"
        )
    );
}

#[test]
fn what_an_agent_writes_cannot_steer_the_terminal() {
    let (trajectory, replay, rewards) = poisoned();
    let shown =
        text(&View { trajectory: &trajectory, replay: Some(&replay), rewards: &rewards }, None, Extent::Full);
    assert!(shown.chars().all(|letter| letter == '\n' || !letter.is_control()), "{shown:?}");
    assert!(!shown.contains(['\u{202e}', '\u{200b}']));
}

#[test]
fn visible_text_is_the_same_text() {
    let plain = "a\tb\n  ü 🦀 👩\u{200d}🔬 ✔\u{fe0f}\n";
    assert_eq!(visible(plain), plain);
    assert_eq!(visible("\u{1b}[1;32mok\u{1b}[m\r\nx\r"), "ok\nx␍");
}

#[test]
fn long_outputs_are_clipped_and_counted() {
    let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
    let trajectory = trajectory(vec![
        Step::new("Look.", Action::bash("ls")).seeing(Observation::new(lines, 2)),
        Step::new("", Action::Submit),
    ]);
    let view = View { trajectory: &trajectory, replay: None, rewards: &BTreeMap::new() };
    let clipped = text(&view, None, Extent::Clipped);
    assert!(clipped.contains("step 1 of 2 · bash · exit 2 ─"), "{clipped}");
    assert!(
        clipped.contains(" thought │ Look.\n  action │ ls\n  output │ line 0\n         │ line 1\n"),
        "{clipped}"
    );
    assert!(clipped.contains(
        "│ line 13\n         ┊ … 80 lines (640 bytes) more, shown by `--full`\n         │ line 94\n"
    ));
    assert!(text(&view, None, Extent::Full).contains("│ line 50\n"));
    let second = text(&view, Some(&(2..=2)), Extent::Clipped);
    assert_eq!(second.lines().count(), 3, "{second}");
}

#[test]
fn a_replay_and_rewards_stand_beside_what_was_recorded() {
    let trajectory =
        trajectory(vec![Step::new("Look.", Action::bash("ls")).seeing(Observation::recorded("a"))]);
    let step = StepRecord {
        step: 1,
        outcome: "diverged".into(),
        normalisers: Vec::new(),
        difference: Some(DifferenceRecord { line: 1, diff: "-a\n+b".into() }),
    };
    let replay = ReplayRecord {
        first_divergence: Some(1),
        compared: 1,
        step_list: vec![step],
        ..ReplayRecord::default()
    };
    let reward = |reward| Rewarded { trajectory: "a".into(), step: 1, reward, action: None };
    let rewards = BTreeMap::from([(1, vec![reward(1.0), reward(-1.0)])]);
    let view = View { trajectory: &trajectory, replay: Some(&replay), rewards: &rewards };
    let shown = text(&view, None, Extent::Clipped);
    assert!(shown.contains("step 1 of 1 · bash · diverged"), "{shown}");
    assert!(shown.contains("  replay │ differs from line 1 on\n         │ -a\n         │ +b\n"), "{shown}");
    assert!(shown.contains("  reward │ 0.000 on average: 1.000 -1.000\n"), "{shown}");
    let html = page::html(&view);
    assert!(html.contains("<del>-a\n</del><ins>+b\n</ins>") && html.contains("data-step=\"1\""));
}
