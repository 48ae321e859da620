//! Rewards by effects: the table of pairs, in live sandboxes; what must hold for any of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips, and prints its table")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use apprentice::branch::{Branches, Judging};
use apprentice::chat::render_reply;
use apprentice::example::examples;
use apprentice::group::Reward;
use apprentice::policy::Sample;
use apprentice::ready::Ready;
use apprentice::replay::{Options, Work};
use apprentice::reward::effect::{EffectReward, MixReward};
use apprentice::reward::{StepReward, TextReward};
use apprentice::sandbox::Backend;
use apprentice::sandbox::scripted::{Reply, ScriptedBackend};
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::task::{LoadedTask, Task};
use apprentice::trajectory::{
    Action, Dialect, EditorCall, End, FORMAT, Observation, Source, Step, Trajectory,
};
use serde::Deserialize;
use tokio::runtime::Runtime;

mod training;

#[path = "../backends/mod.rs"]
mod backends;

const PAIRS: &str = include_str!("pairs.yaml");
/// From here on an action counts as doing what the expert did.
const THRESHOLD: f64 = 0.75;
/// Pairs of the table that the similarity of texts puts on the wrong side of the threshold.
const TEXT_IS_WRONG: usize = 56;

const YAML: &str = "format: apprentice.task/1\nid: shop\nkind: code\nproblem: A cart of 10 items is full.\n\
                    sandbox: shell\nrepo: {path: repo}\ntests: {command: sh tests/run.sh, parser: tap, restore: [tests], \
                    fail_to_pass: [full], pass_to_pass: [total, discount]}\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    format: String,
    files: BTreeMap<String, String>,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    expert: String,
    student: String,
    right: Right,
    #[serde(default)]
    tests: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Right {
    Same,
    Different,
}

impl Right {
    fn is_side_of(self, reward: f64) -> bool {
        (self == Self::Same) == (THRESHOLD <= reward)
    }
}

fn table() -> Table {
    let table: Table = serde_yaml_ng::from_str(PAIRS).unwrap();
    assert_eq!(table.format, "apprentice.effect-pairs/1");
    table
}

/// A repository with its task, and what runs it.
struct Shop {
    dir: tempfile::TempDir,
    task: Arc<LoadedTask>,
    spec: Arc<SandboxSpec>,
    backend: Arc<dyn Backend>,
    runtime: Arc<Runtime>,
}

impl Shop {
    fn new(backend: Arc<dyn Backend>, runtime: Runtime) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in table().files {
            let path = dir.path().join("shop/repo").join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let task = LoadedTask { task: Task::parse(YAML, "shop").unwrap(), dir: dir.path().join("shop") };
        Self { dir, task: Arc::new(task), spec: Arc::new(spec()), backend, runtime: Arc::new(runtime) }
    }

    /// In namespaces, where they work here.
    fn live() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let backend = runtime.block_on(backends::backend(BackendKind::Namespaces, &spec()))?;
        Some(Self::new(backend, runtime))
    }

    fn scripted(backend: ScriptedBackend) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        Self::new(Arc::new(backend), runtime)
    }

    fn branches(&self, experts: &[Trajectory], judging: Judging, parallel: usize) -> Branches {
        let work = |trajectory: &Trajectory| Work {
            trajectory: Arc::new(trajectory.clone()),
            task: self.task.clone(),
            spec: self.spec.clone(),
            backend: self.backend.clone(),
        };
        let cache = self.dir.path().join("cache");
        let options = Options { ready: Arc::new(Ready::below(&cache)), cache, parallel };
        let works = experts.iter().map(work).collect();
        Branches::new(works, options, judging, self.runtime.clone()).unwrap()
    }

    fn rewards(&self, branches: &Branches, expert: &Trajectory, step: usize, said: &[&str]) -> Vec<Reward> {
        self.try_rewards(branches, expert, step, said).unwrap()
    }

    fn try_rewards(
        &self,
        branches: &Branches,
        expert: &Trajectory,
        step: usize,
        said: &[&str],
    ) -> anyhow::Result<Vec<Reward>> {
        let examples = examples(&self.task.task, expert);
        let example = examples.iter().find(|example| example.index == step).unwrap();
        let replies: Vec<Sample> =
            said.iter().map(|said| Sample::from_text(format!("<think>so</think>\n{said}"))).collect();
        branches.rewards(example, &replies)
    }
}

fn spec() -> SandboxSpec {
    SandboxSpec::load("shell", Path::new("sandboxes")).unwrap()
}

fn action(text: &str) -> Action {
    match text.starts_with("str_replace_editor") {
        true => Action::Editor(editor_call(text)),
        false if text == "submit" => Action::Submit,
        false => Action::bash(text),
    }
}

fn editor_call(text: &str) -> EditorCall {
    EditorCall { dialect: Dialect::Ours, text: text.to_owned(), arguments: serde_json::Map::new() }
}

/// An expert that had an editor, too.
fn expert(id: &str, actions: &[&str]) -> Trajectory {
    let had =
        Step { executed: false, ..Step::new("", Action::Editor(editor_call("str_replace_editor view /"))) };
    Trajectory {
        format: FORMAT.to_owned(),
        id: id.to_owned(),
        task: "shop".to_owned(),
        source: Source::default(),
        problem: None,
        steps: actions.iter().map(|text| Step::new("so", action(text))).chain([had]).collect(),
        end: End::Submitted,
        patch: None,
        answer: None,
        resolved: None,
    }
}

fn by_effect(tests: f64) -> Judging {
    Judging::Effect(EffectReward { tests })
}

#[test]
fn effects_are_on_the_right_side_of_every_pair_where_texts_often_are_not() {
    let Some(shop) = Shop::live() else { return };
    let pairs = table().pairs;
    assert!(50 <= pairs.len());
    let experts: Vec<Trajectory> =
        pairs.iter().enumerate().map(|(at, pair)| expert(&at.to_string(), &[&pair.expert])).collect();
    let (plain, tested) =
        (shop.branches(&experts, by_effect(0.0), 2), shop.branches(&experts, by_effect(0.5), 2));
    let mut rows = String::from("| expert | student | right | text | effect |\n|---|---|---|---|---|\n");
    let (mut wrong, mut text_is_wrong) = (Vec::new(), 0);
    for (pair, expert) in std::iter::zip(&pairs, &experts) {
        let branches = if pair.tests { &tested } else { &plain };
        let rewards = shop.rewards(branches, expert, 0, &[&pair.expert, &pair.student]);
        assert_eq!(rewards[0].value, 1.0, "the expert's own: {}", pair.expert);
        let (text, effect) =
            (TextReward::default().similarity(&pair.expert, &pair.student), rewards[1].value);
        text_is_wrong += usize::from(!pair.right.is_side_of(text));
        if !pair.right.is_side_of(effect) {
            wrong.push(format!("{:?} {effect:.2}: {} | {}", pair.right, pair.expert, pair.student));
        }
        let right = if pair.right == Right::Same { "same" } else { "different" };
        let with = if pair.tests { ", with tests" } else { "" };
        let cells = [cell(&pair.expert), cell(&pair.student)];
        rows += &format!("| {} | {} | {right}{with} | {text:.2} | {effect:.2} |\n", cells[0], cells[1]);
    }
    println!("{rows}\ntext is on the wrong side of {text_is_wrong} of {}", pairs.len());
    println!("{:?}", tested.cost());
    assert!(wrong.is_empty(), "on the wrong side:\n{}", wrong.join("\n"));
    assert_eq!(text_is_wrong, TEXT_IS_WRONG);
    documented(&rows);
}

fn cell(text: &str) -> String {
    format!("`{}`", text.trim().replace('\n', " ⏎ ").replace('|', "\\|"))
}

/// The table stands in docs/effect.md as it is printed; `APPRENTICE_UPDATE=1` puts it there.
fn documented(rows: &str) {
    const START: &str = "<!-- pairs -->\n";
    let path = Path::new("docs/effect.md");
    let text = fs_err::read_to_string(path).unwrap();
    let (before, _) = text.split_once(START).unwrap();
    let written = format!("{before}{START}{rows}");
    if std::env::var_os("APPRENTICE_UPDATE").is_some() {
        fs_err::write(path, &written).unwrap();
    }
    assert_eq!(fs_err::read_to_string(path).unwrap(), written, "run again with APPRENTICE_UPDATE=1");
}

const REPAIR: [&str; 5] = [
    "sh tests/run.sh",
    "sed -i 's/price/cost/' src/price.sh",
    "sed -i 's/-gt/-ge/' src/cart.sh",
    "sed -i 's/cost/price/' src/price.sh",
    "submit",
];

#[test]
fn outcomes_along_a_path_add_up_and_every_step_of_the_expert_earns_one() {
    let Some(shop) = Shop::live() else { return };
    let expert = expert("repair", &REPAIR);
    let branches = shop.branches(std::slice::from_ref(&expert), by_effect(0.5), 2);
    let outcomes: Vec<f64> = (0..REPAIR.len())
        .map(|step| {
            assert_eq!(
                shop.rewards(&branches, &expert, step, &[REPAIR[step]])[0],
                Reward::new(1.0),
                "step {step}"
            );
            branches.expert("repair", step).unwrap().outcome.unwrap()
        })
        .collect();
    // The repair takes the one test that must start to pass.
    assert_eq!(outcomes[2], 0.75);
    // From 0.25, where the other tests pass, to 1.
    assert!((outcomes.iter().sum::<f64>() - 0.75).abs() < 1e-12, "{outcomes:?}");
    let cost = branches.cost();
    // Each of the four actions ran once, and one sandbox was started; each other state was the expert's own fork.
    assert_eq!(
        (cost["sandbox_actions"], cost["sandbox_forks"], cost["sandbox_starts"]),
        (4.0, 4.0, 1.0),
        "{cost:?}"
    );
    assert_eq!(branches.cost()["sandbox_actions"], 0.0);
}

#[test]
fn rewards_do_not_depend_on_order_company_or_parallelism() {
    let Some(shop) = Shop::live() else { return };
    let expert = expert("repair", &REPAIR);
    let said = [
        "sed -i 's/-gt/-ge/' src/cart.sh",
        "sleep 0.2; date; echo $$; mktemp",
        "sed -i 's/-gt/-le/' src/cart.sh",
        "submit",
        "sed -i 's/-gt/-ge/' src/cart.sh",
        "time true; date +%s%N > log; ls",
        "rm -rf .",
    ];
    let judging = Judging::Mix(MixReward::default());
    let judge = |parallel, said: &[&str]| {
        let branches = shop.branches(std::slice::from_ref(&expert), judging, parallel);
        (shop.rewards(&branches, &expert, 2, said), branches.cost())
    };
    let (first, cost) = judge(1, &said);
    assert_eq!((first[0], first[4]), (Reward::new(1.0), Reward::new(1.0)));
    assert_eq!((cost["sandbox_actions"], cost["sandbox_shared_actions"]), (5.0, 2.0), "{cost:?}");
    let turned: Vec<&str> = said.iter().rev().copied().collect();
    let mut second = judge(4, &turned).0;
    second.reverse();
    assert_eq!(first, second);
    for (at, said) in said.iter().enumerate() {
        assert_eq!(judge(2, &[said]).0[0], first[at], "{said}");
    }
}

#[test]
fn what_cannot_be_read_earns_the_penalty_and_starts_nothing() {
    let backend = ScriptedBackend::default().losing(u64::MAX);
    let shop = Shop::scripted(backend.clone());
    let expert = expert("e", &["ls"]);
    let branches = shop.branches(std::slice::from_ref(&expert), by_effect(0.5), 2);
    let examples = examples(&shop.task.task, &expert);
    let cut = Sample { finished: false, ..Sample::from_text(render_reply(&expert.steps[0])) };
    let rewards = branches.rewards(&examples[0], &[Sample::from_text("ls"), cut]).unwrap();
    assert_eq!((rewards, backend.n_started()), (vec![Reward::MALFORMED; 2], 0));
}

fn scripted() -> ScriptedBackend {
    let prints = |name: &str| (name.to_owned(), Reply::from(Observation::new(format!("{name}\n"), 0)));
    ScriptedBackend::new(["a", "b", "c"].map(prints))
        .answering("pwd -P; export -p", Reply::from(Observation::new("/testbed\n", 0)))
}

#[test]
fn a_sandbox_that_is_lost_is_made_again_and_one_that_stays_lost_is_an_error() {
    let expert = expert("e", &["a", "b"]);
    let rewards = |backend: ScriptedBackend, tests| {
        let shop = Shop::scripted(backend);
        let branches = shop.branches(std::slice::from_ref(&expert), by_effect(tests), 2);
        shop.try_rewards(&branches, &expert, 1, &["b", "c"])
    };
    let calm = rewards(scripted(), 0.0).unwrap();
    assert_eq!([calm[0].value, calm[1].value], [1.0, 0.0]);
    for n_lost in 1..=2 {
        assert_eq!(rewards(scripted().losing(n_lost), 0.0).unwrap(), calm, "{n_lost}");
    }
    for tests in [0.0, 0.5] {
        let error = format!("{:#}", rewards(scripted().losing(u64::MAX), tests).unwrap_err());
        assert!(error.starts_with("could not run the replies to step 2 of trajectory `e`: "), "{error}");
    }
}
