//! Replay and acting, on sandboxes that answer from a list: what is compared, what is not, and what forks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use apprentice::act::Actor;
use apprentice::replay::{self, Outcome, Replay};
use apprentice::sandbox::scripted::{Reply, ScriptedBackend};
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Start};
use apprentice::trajectory::{
    Action, Dialect, EditorCall, End, FORMAT, Observation, Source, Step, Trajectory,
};

const WORKDIR: &str = "/testbed";

async fn actor<const N: usize>(replies: [(&str, &str); N]) -> Actor {
    let reply =
        |(script, output): (&str, &str)| (script.to_owned(), Reply::from(Observation::new(output, 0)));
    let spec = SandboxSpec::load("shell", std::path::Path::new("sandboxes")).unwrap();
    let spec = SandboxSpec { workdir: WORKDIR.to_owned(), ..spec };
    let backend = ScriptedBackend::new(replies.map(reply));
    let sandbox = backend.start(&Start { spec: &spec, tree: None }).await.unwrap();
    Actor::new(sandbox, spec.limits.clone())
}

fn step(action: Action, recorded: &str) -> Step {
    Step::new("", action).seeing(Observation::recorded(recorded))
}

fn call(text: &str) -> Action {
    let arguments = serde_json::Map::new();
    Action::Editor(EditorCall { dialect: Dialect::SweAgentReplace, text: text.to_owned(), arguments })
}

fn trajectory(steps: Vec<Step>, patch: Option<&str>) -> Trajectory {
    Trajectory {
        format: FORMAT.to_owned(),
        id: "a".to_owned(),
        task: "t".to_owned(),
        source: Source { workdir: Some(WORKDIR.to_owned()), ..Source::default() },
        problem: None,
        steps,
        end: End::Submitted,
        patch: patch.map(str::to_owned),
        answer: None,
        resolved: None,
    }
}

fn outcomes(replay: &Replay) -> Vec<Outcome> {
    replay.step_list.iter().map(|step| step.outcome).collect()
}

#[tokio::test]
async fn the_first_divergence_is_reported_with_its_line() {
    let mut actor = actor([("ls", "a\nb\n"), ("python x.py", "one\n344\n")]).await;
    let steps = vec![
        step(Action::bash("ls"), "a\r\nb"),
        step(Action::bash("python x.py"), "one\n345\n"),
        step(Action::Submit, ""),
    ];
    let replay = replay::replay(&trajectory(steps, None), &mut actor, WORKDIR).await.unwrap();
    assert_eq!(outcomes(&replay), [Outcome::Matched, Outcome::Diverged, Outcome::Matched]);
    assert_eq!((replay.steps, replay.matched, replay.first_divergence), (3, 2, Some(2)));
    assert_eq!(replay.step_list[0].normalisers, ["carriage returns", "trailing space"]);
    let difference = replay.step_list[1].difference.as_ref().unwrap();
    assert_eq!(
        (difference.line, difference.recorded.as_deref(), difference.replayed.as_deref()),
        (2, Some("345"), Some("344"))
    );
    assert_eq!(replay.patch_matches, None);
    assert!(!replay.is_faithful());
}

#[tokio::test]
async fn what_was_refused_or_reviewed_is_not_run_again() {
    let mut actor = actor([]).await;
    let refused = Step { executed: false, ..step(Action::bash("vim"), "") };
    let steps = vec![refused, step(Action::Submit, "Thank you for your work"), step(Action::Submit, "")];
    let replay = replay::replay(&trajectory(steps, None), &mut actor, WORKDIR).await.unwrap();
    assert_eq!(outcomes(&replay), [Outcome::NotExecuted, Outcome::NotRecorded, Outcome::Matched]);
    assert!(replay.is_faithful());
}

#[tokio::test]
async fn what_ran_where_it_was_recorded_and_cannot_run_here_is_no_refusal() {
    let mut actor = actor([("ls", "a\n")]).await;
    let cell = Step { executed: false, foreign: true, ..step(Action::bash("open('a', 'w')"), "") };
    let steps = vec![cell, step(Action::bash("ls"), "a\n")];
    let replay = replay::replay(&trajectory(steps, None), &mut actor, WORKDIR).await.unwrap();
    assert_eq!(outcomes(&replay), [Outcome::Foreign, Outcome::Matched]);
    assert_eq!((replay.first_foreign(), replay.first_divergence), (Some(1), None));
    assert!(!replay.is_faithful());
}

#[tokio::test]
async fn a_command_that_ended_otherwise_diverges() {
    let mut actor = actor([("grep -q a b", ""), ("test -f a", "")]).await;
    let steps = || {
        vec![
            Step::new("", Action::bash("grep -q a b")).seeing(Observation::new("", 1)),
            step(Action::bash("test -f a"), "[The command completed with exit code 1.]"),
            step(Action::bash("test -f a"), "[The command completed with exit code -1.]"),
            step(Action::bash("test -f a"), ""),
            Step::new("", Action::bash("no such")).seeing(Observation::new("", 127)),
        ]
    };
    let replay = replay::replay(&trajectory(steps(), None), &mut actor, WORKDIR).await.unwrap();
    let (matched, diverged) = (Outcome::Matched, Outcome::Diverged);
    assert_eq!(outcomes(&replay)[..4], [diverged, diverged, matched, matched]);
    let first = replay.step_list[0].difference.as_ref().unwrap();
    assert_eq!(
        (first.recorded.as_deref(), first.replayed.as_deref()),
        (Some("[exit code 1]"), Some("[exit code 0]"))
    );
    // Another output, the same end.
    assert!(!replay.step_list[4].difference.as_ref().unwrap().diff.contains("exit code"));
}

#[tokio::test]
async fn paths_of_the_recording_are_moved_to_the_sandbox() {
    let mut actor = actor([("cat /testbed/a", "/testbed/a\n")]).await;
    let mut trajectory = trajectory(vec![step(Action::bash("cat /old__repo/a"), "/old__repo/a\n")], None);
    trajectory.source.workdir = Some("/old__repo".to_owned());
    let replay = replay::replay(&trajectory, &mut actor, WORKDIR).await.unwrap();
    assert_eq!(outcomes(&replay), [Outcome::Matched]);
    assert_eq!(replay.normalisers, ["work directory"]);
}

#[tokio::test]
async fn a_directory_that_only_the_commands_name_is_moved_too() {
    let mut actor = actor([("cd /testbed && ls", "/testbed/a\n")]).await;
    let steps = vec![step(Action::bash("cd /workspace/repo__1.2 && ls"), "/workspace/repo__1.2/a\n")];
    let trajectory = Trajectory { source: Source::default(), ..trajectory(steps, None) };
    assert_eq!(replay::recorded_workdir(&trajectory).as_deref(), Some("/workspace/repo__1.2"));
    let replay = replay::replay(&trajectory, &mut actor, WORKDIR).await.unwrap();
    assert_eq!(outcomes(&replay), [Outcome::Matched]);
    assert_eq!(replay.remapped.unwrap().recorded, "/workspace/repo__1.2");
}

#[tokio::test]
async fn a_directory_that_no_sandbox_can_have_is_not_believed() {
    for workdir in ["/", "..", "/testbed/../..", "/.", "repo", ""] {
        let mut actor = actor([("ls /", "bin\n")]).await;
        let mut trajectory = trajectory(vec![step(Action::bash("ls /"), "bin\n")], None);
        trajectory.source.workdir = Some(workdir.to_owned());
        assert_eq!(replay::recorded_workdir(&trajectory), None, "{workdir}");
        let replay = replay::replay(&trajectory, &mut actor, WORKDIR).await.unwrap();
        assert_eq!((outcomes(&replay), replay.remapped), (vec![Outcome::Matched], None), "{workdir}");
    }
}

#[tokio::test]
async fn the_divergence_is_the_mean_share_of_lines_that_are_not_common() {
    let mut actor = actor([("a", "1\n2\n3\n"), ("b", "1\n2\n3\n"), ("c", "x\n")]).await;
    let steps = vec![
        step(Action::bash("a"), "1\n2\n3\n"),
        // Two of three lines are common: 1 - 4/6.
        step(Action::bash("b"), "1\n2\nthree\n"),
        step(Action::bash("c"), "y\n"),
    ];
    let replay = replay::replay(&trajectory(steps, None), &mut actor, WORKDIR).await.unwrap();
    let similarities: Vec<f64> = replay.step_list.iter().map(|step| step.similarity.unwrap()).collect();
    assert_eq!(similarities, [1.0, 2.0 / 3.0, 0.0]);
    assert!((replay.divergence.unwrap() - (0.0 + 1.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
}

#[tokio::test]
async fn the_patch_is_compared_apart_from_index_lines_and_line_ends() {
    let patch = "diff --git a/new.txt b/new.txt\nnew file mode 100644\nindex 0000000..1111111\n--- /dev/null\n\
                 +++ b/new.txt\n@@ -0,0 +1 @@\n+a\n";
    for (content, matches) in [("a\n", true), ("b\n", false)] {
        let mut actor = actor([]).await;
        actor.sandbox().write("new.txt", content.as_bytes()).await.unwrap();
        let steps = vec![step(Action::Submit, &patch.replace('\n', "\r\n"))];
        let replay = replay::replay(&trajectory(steps, Some(patch)), &mut actor, WORKDIR).await.unwrap();
        assert_eq!(replay.patch_matches, Some(matches));
        assert_eq!(replay.is_faithful(), matches);
    }
}

#[tokio::test]
async fn a_fork_takes_the_editor_along_and_leaves_the_trunk_alone() {
    let mut trunk = actor([]).await;
    let lines: String = (1..=300).map(|line| format!("line {line}\n")).collect();
    trunk.sandbox().write("a.txt", lines.as_bytes()).await.unwrap();
    let opened = trunk.perform(&call("open /testbed/a.txt")).await.unwrap().output;
    assert!(opened.starts_with("[File: /testbed/a.txt (300 lines total)]\n1:line 1\n"), "{opened}");

    let mut branch = trunk.fork().await.unwrap();
    let there = branch.perform(&call("goto 200")).await.unwrap().output;
    assert!(there.contains("\n(182 more lines above)\n183:line 183\n"), "{there}");
    branch.perform(&call("edit 'line 200' 'changed'")).await.unwrap();
    let here = trunk.perform(&call("scroll_down")).await.unwrap().output;
    assert!(here.contains("\n(98 more lines above)\n99:line 99\n"), "{here}");
    assert!(branch.patch().await.unwrap().patch.contains("+changed"));
    assert!(!trunk.patch().await.unwrap().patch.contains("changed"));
}

#[test]
fn a_line_that_asks_for_more_than_the_editor_is_the_shells() {
    let is_call = |text, dialect| apprentice::editor::is_call(dialect, text);
    assert!(is_call("open a.py 3", Dialect::SweAgentRange));
    assert!(is_call("str_replace_editor view /a", Dialect::SweAgentStrReplace));
    assert!(!is_call("open a.py | head", Dialect::SweAgentRange));
    assert!(!is_call("insert 'a'", Dialect::SweAgentRange));
}
