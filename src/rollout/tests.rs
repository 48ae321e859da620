//! Episodes whose sandbox is lost: which start again, and as what they end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::chat::{self, Context, Dialect, Message};
use crate::curate::lesson::Style;
use crate::example::examples;
use crate::policy::{SampleRequest, Scripted};

use crate::remote::{self, AdapterVersions, Client, RemoteError, RemotePolicy, Sampling};
use crate::sandbox::PAUSES;
use crate::sandbox::admission::Admission;
use crate::sandbox::capacity::Capacity;
use crate::sandbox::scripted::{Reply, ScriptedBackend};
use crate::trajectory::{End, Observation, Step};

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    setup: [prepare]\ntests: {command: check, parser: tap, fail_to_pass: [a]}\n";

/// Knows the set-up and one command, which writes a file.
fn backend() -> ScriptedBackend {
    let wrote = Reply::Observe {
        observation: Observation::new("wrote\n", 0),
        writes: vec![("a".to_owned(), b"b\n".to_vec())],
    };
    ScriptedBackend::new([("prepare", Observation::new("", 0).into()), ("work", wrote)])
}

fn job(backend: impl Backend + 'static, task: &Task) -> Job {
    Job {
        backend: Arc::new(backend),
        task: Arc::new(task.clone()),
        spec: Arc::new(SandboxSpec::load("shell", Path::new("no directory")).unwrap()),
        workspace: Workspace { tree: None, identity: String::new() },
        attempt: 0,
    }
}

fn options(parallel: usize) -> Options {
    Options {
        scaffold: Scaffold::default(),
        budget: Budget::of_steps(40),
        seed: 0,
        parallel,
        samples: Samples::Kept,
        ready: Arc::new(Ready::anew()),
    }
}

fn replies(actions: &[&str]) -> Vec<String> {
    actions.iter().map(|action| format!("<think>Go on.</think>\n{action}")).collect()
}

async fn episodes(backend: ScriptedBackend, count: usize) -> Vec<Finished> {
    in_places(backend, count, 4).await
}

async fn in_places(backend: impl Backend + 'static, count: usize, parallel: usize) -> Vec<Finished> {
    let task = Task::parse(YAML, "t").unwrap();
    let mut policy =
        Scripted::new("script", BTreeMap::from([("t".to_owned(), replies(&["work", "submit"]))]));
    let job = job(backend, &task);
    let jobs: Vec<Job> = (0..count).map(|attempt| Job { attempt, ..job.clone() }).collect();
    run(&mut policy, &jobs, &options(parallel), |_| Ok(())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_episode_whose_sandbox_is_lost_ends_as_if_it_had_not_been() {
    let calm = episodes(backend(), 3).await;
    assert!(calm.iter().all(|done| done.trajectory.patch.as_ref().is_some_and(|patch| patch.contains("+b"))));
    let stormy = episodes(backend().losing(2), 3).await;
    for (calm, stormy) in calm.iter().zip(&stormy) {
        assert_eq!(calm.trajectory, stormy.trajectory);
    }
    let lost: Vec<usize> = stormy.iter().map(|done| done.lost_before.len()).collect();
    assert_eq!(lost, [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_is_lost_every_time_is_no_result() {
    let (backend, begin) = (backend().losing(u64::MAX), Instant::now());
    let finished = episodes(backend.clone(), 1).await.remove(0);
    assert_eq!((finished.trajectory.end, finished.trajectory.patch), (End::SandboxLost, None));
    assert!(finished.lost.is_some());
    assert_eq!((finished.lost_before.len(), backend.n_started()), (2, 3));
    assert_eq!(begin.elapsed(), PAUSES.iter().sum());
}

#[tokio::test]
async fn an_endpoint_that_is_down_ends_the_rollout_and_no_episode() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("openai:http://{closed}#m").parse().unwrap();
    let once = remote::Options { tries: 1, ..remote::Options::default() };
    let mut policy = RemotePolicy {
        client: Client::new(endpoint, once, remote::budget::Budget::default()),
        sampling: Sampling::default(),
        encode: None,
        parallel: 2,
        adapters: AdapterVersions::default(),
    };
    let jobs = [job(backend(), &Task::parse(YAML, "t").unwrap())];
    let mut heard = 0;
    let alone = options(1);
    let ended = run(&mut policy, &jobs, &alone, |_| {
        heard += 1;
        Ok(())
    });
    let error = ended.await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RemoteError::Unreachable { .. })), "{error}");
    assert_eq!(heard, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_set_up_fails_is_not_tried_again() {
    let backend = ScriptedBackend::default();
    let finished = episodes(backend.clone(), 1).await.remove(0);
    assert!(matches!(finished.lost, Some(SandboxError::SetUp { .. })), "{:?}", finished.lost);
    assert_eq!((finished.lost_before.len(), backend.n_started()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn few_places_give_the_episodes_of_many_and_start_no_sandbox_too_many() {
    let many = in_places(backend(), 7, 7).await;
    let backend = backend();
    let few = in_places(backend.clone(), 7, 3).await;
    for (many, few) in many.iter().zip(&few) {
        assert_eq!(many.trajectory, few.trajectory);
    }
    assert_eq!((few.len(), backend.n_started()), (7, 7));
}

/// Says the next command by the seed of the request alone.
struct Seeded;

impl Policy for Seeded {
    fn name(&self) -> String {
        "seeded".to_owned()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        let reply = |request: &SampleRequest| {
            let action =
                if request.step == 9 { "submit".to_owned() } else { format!("{}", request.seed % 3) };
            vec![Sample::from_text(format!("<think>{}</think>\n{action}", request.messages.len()))]
        };
        Ok(requests.iter().map(reply).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_episode_becomes_does_not_depend_on_who_is_quick() {
    let mut all: Vec<(Vec<Trajectory>, Vec<String>)> = Vec::new();
    for seconds in [[0, 0, 0], [1, 2, 3], [7, 2, 0]] {
        let mut backend = backend();
        for (script, seconds) in ["0", "1", "2"].into_iter().zip(seconds) {
            backend = backend.taking(script, Duration::from_secs(seconds));
        }
        let job = job(backend, &Task::parse(YAML, "t").unwrap());
        let jobs: Vec<Job> = (0..8).map(|attempt| Job { attempt, ..job.clone() }).collect();
        let mut order = Vec::new();
        let hear = |news: News<'_>| {
            if let News::Ended(episode) = news {
                order.push(episode.trajectory.id.clone());
            }
            Ok(())
        };
        let finished = run(&mut Seeded, &jobs, &options(5), hear).await.unwrap();
        all.push((finished.into_iter().map(|done| done.trajectory).collect(), order));
    }
    let ids: Vec<&str> = all[0].0.iter().map(|trajectory| &*trajectory.id).collect();
    assert_eq!(ids, ["t.0", "t.1", "t.2", "t.3", "t.4", "t.5", "t.6", "t.7"]);
    assert!(all.iter().all(|(trajectories, _)| *trajectories == all[0].0));
    assert_ne!(all[1].1, all[2].1, "they ended in another order");
}

#[tokio::test(start_paused = true)]
async fn a_slow_command_keeps_nobody_else_waiting() {
    let backend = backend().taking("slow", Duration::from_secs(10)).taking("quick", Duration::from_secs(1));
    let tasks =
        ["slow", "quick"].map(|id| Task::parse(&YAML.replace("id: t", &format!("id: {id}")), id).unwrap());
    let scripts = BTreeMap::from([
        ("slow".to_owned(), replies(&["slow"; 3])),
        ("quick".to_owned(), replies(&["quick"; 30])),
    ]);
    let jobs = tasks.each_ref().map(|task| job(backend.clone(), task));
    let begin = Instant::now();
    let finished = run(&mut Scripted::new("script", scripts), &jobs, &options(2), |_| Ok(())).await.unwrap();
    let steps: Vec<usize> = finished.iter().map(|done| done.trajectory.steps.len()).collect();
    assert_eq!(steps, [3, 30]);
    // Turn by turn together it would be 57 seconds.
    assert_eq!(begin.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn the_tasks_own_steps_and_the_sandboxs_seconds_end_an_episode() {
    let slow = Observation { elapsed_seconds: 1000.0, ..Observation::new("", 0) };
    let backend = ScriptedBackend::new([("prepare", Observation::new("", 0).into()), ("wait", slow.into())]);
    let limited = Task::parse(&format!("{YAML}limits: {{steps: 1}}\n"), "t").unwrap();
    for (task, n_steps, end) in
        [(limited, 1, End::StepLimit), (Task::parse(YAML, "t").unwrap(), 2, End::TimeLimit)]
    {
        let script = BTreeMap::from([("t".to_owned(), replies(&["wait"; 9]))]);
        let jobs = [job(backend.clone(), &task)];
        let done = run(&mut Scripted::new("script", script), &jobs, &options(1), |_| Ok(())).await.unwrap();
        assert_eq!((done[0].trajectory.steps.len(), done[0].trajectory.end), (n_steps, end));
        assert_eq!(done[0].samples.len(), n_steps);
    }
}

#[tokio::test(start_paused = true)]
async fn more_episodes_than_the_machine_bears_run_in_turn_and_lost_ones_find_a_place_again() {
    let one = SandboxSpec::load("shell", Path::new("no directory")).unwrap().limits.memory_mib;
    for n_bearable in [1, 2, 3] {
        let capacity = Capacity {
            memory_mib: one * n_bearable,
            free_memory_mib: one * n_bearable + one * n_bearable / 10,
            ..Capacity::boundless()
        };
        let backend = backend().losing(2).with_capacity(capacity);
        let bounded = Admission::new(Arc::new(backend.clone()), Arc::default());
        let done = in_places(bounded, 5, 8).await;
        assert!(done.iter().all(|done| done.trajectory.patch.is_some()), "{done:?}");
        assert_eq!(backend.n_started(), 7);
    }
}

/// Says what was written down, and remembers what it was asked.
struct Recording {
    replies: Vec<String>,
    asked: Vec<Vec<Message>>,
}

impl Policy for Recording {
    fn name(&self) -> String {
        "recording".to_owned()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        let mut answer = |request: &SampleRequest| {
            self.asked.push(request.messages.clone());
            self.replies.get(request.step).map(|text| vec![Sample::from_text(text)]).unwrap_or_default()
        };
        Ok(requests.iter().map(&mut answer).collect())
    }
}

const GOLD: &str = "--- a/src/a.sh\n+++ b/src/a.sh\n@@ -1 +1 @@\n-one\n+two\n";
const EDIT: &str = "### src/a.sh\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE";

/// What a policy that says `actions` is asked under a scaffold, and what becomes of it; `src/a.sh` holds one line, `one`.
async fn under(scaffold: &Scaffold, actions: &[&str]) -> (Vec<Vec<Message>>, Task, Trajectory) {
    let tree = tempfile::tempdir().unwrap();
    fs_err::create_dir(tree.path().join("src")).unwrap();
    fs_err::write(tree.path().join("src/a.sh"), "one\n").unwrap();
    let task = Task { gold: Some(GOLD.to_owned()), ..Task::parse(YAML, "t").unwrap() };
    let list = "find . -type d -name .git -prune -o -type f -print";
    let seen = |output: &str| Reply::from(Observation::new(output, 0));
    let backend = ScriptedBackend::new([
        ("prepare", seen("")),
        ("pwd -P", seen("/testbed\n")),
        (list, seen("./src/a.sh\n./README\n")),
        ("look", seen("a long way to look at\n")),
    ]);
    let workspace = Workspace { tree: Some(tree.path().to_owned()), identity: "one".to_owned() };
    let jobs = [Job { workspace, ..job(backend, &task) }];
    // What students say in the scaffold's own dialect.
    let text = Scaffold { dialect: Dialect::Text, ..scaffold.clone() };
    let said = |action: &&str| scaffold.reply(&Step::new("Go on.", text.action(action).unwrap()));
    let mut policy = Recording { replies: actions.iter().map(said).collect(), asked: Vec::new() };
    let options = Options { scaffold: scaffold.clone(), ..options(1) };
    let done = run(&mut policy, &jobs, &options, |_| Ok(())).await.unwrap().remove(0);
    (policy.asked, task, done.trajectory)
}

#[tokio::test(start_paused = true)]
async fn a_student_reads_in_training_what_it_read_in_the_rollout() {
    let view = "str_replace_editor view src/a.sh";
    let flows: [(&str, &[&str]); 4] = [
        ("bash", &["look", "nowhere", "look", "submit"]),
        (
            "editor",
            &["look", view, "str_replace_editor str_replace src/a.sh --old_str one --new_str two", "submit"],
        ),
        ("oracle-edit", &["I give up", EDIT]),
        ("localize-edit", &["src/a.sh", EDIT]),
    ];
    for (name, actions) in flows {
        for (dialect, context) in [
            (Dialect::Text, Context::Full),
            (Dialect::Text, Context::Last(1)),
            (Dialect::ToolCalls, Context::Full),
        ] {
            let mut scaffold =
                Scaffold { context, dialect, observation_chars: 12, ..Scaffold::load(name).unwrap() };
            scaffold.tool_calls.get_or_insert_with(|| "Make one call.".to_owned());
            // Two tries at the edit, so that there is a second prompt.
            scaffold.limits.steps = Some(actions.len());
            let (asked, task, trajectory) = under(&scaffold, actions).await;
            assert_eq!(
                (asked.len(), trajectory.end),
                (actions.len(), End::Submitted),
                "{name} {trajectory:?}"
            );
            let problem = trajectory.problem.clone().unwrap_or(task.problem.clone());
            let learned = Task { problem, ..task };
            let style = Style { scaffold, ..Style::default() };
            for (example, asked) in examples(&learned, &trajectory).iter().zip(&asked) {
                assert_eq!(&style.messages(example, 0), asked, "{name}");
                let rendered = chat::conversation(&style.scaffold, example.task, example.history);
                assert_eq!(&rendered, asked, "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_papers_settings_show_files_and_end_with_an_edit_that_applies() {
    let load = |name| Scaffold::load(name).unwrap();
    let shown = "### src/a.sh\n```\none\n```";
    let (asked, _, trajectory) = under(&load("oracle-edit"), &[EDIT]).await;
    assert_eq!(asked[0][1].content, format!("p\n\nThe files that must change:\n\n{shown}"));
    assert_eq!(trajectory.problem.as_ref(), Some(&asked[0][1].content));
    assert_eq!(trajectory.end, End::Submitted);
    assert!(trajectory.patch.unwrap().contains("-one\n+two\n"));

    let (_, _, trajectory) = under(&load("oracle-edit"), &[&EDIT.replace("one", "three")]).await;
    let seen = trajectory.steps[0].observation.as_ref().unwrap();
    assert!(seen.output.contains("block 1, `src/a.sh`: the SEARCH lines are not in the file."), "{seen:?}");
    assert_eq!((trajectory.end, trajectory.patch.as_deref()), (End::StepLimit, Some("")));

    let (asked, _, trajectory) = under(&load("localize-edit"), &["src/a.sh\nsrc/b.sh", EDIT]).await;
    assert_eq!(asked[0][1].content, "p\n\nThe files of the repository:\n\nREADME\nsrc/a.sh");
    assert_eq!(asked[1][3].content, format!("{shown}\n### src/b.sh\n(there is no such file)"));
    assert_eq!(trajectory.end, End::Submitted);
    assert!(trajectory.patch.unwrap().contains("-one\n+two\n"));
}

#[test]
fn a_task_without_a_known_solution_cannot_show_its_files() {
    let task = Task::parse(YAML, "t").unwrap();
    assert!(unfit(&Scaffold::load("oracle-edit").unwrap(), &task).unwrap().contains("`t` has no `gold`"));
    for name in ["bash", "editor", "localize-edit"] {
        assert_eq!(unfit(&Scaffold::load(name).unwrap(), &task), None);
    }
}
