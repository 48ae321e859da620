//! Mathematics through the command line and the trainer's own path: import, synthesis, examples, evaluation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use apprentice::chat::{MathScaffold, Scaffold, conversation, render_reply};
use apprentice::curate::hint;
use apprentice::example::examples;
use apprentice::fsio;
use apprentice::group::Reward;
use apprentice::policy::Sample;
use apprentice::reward::{StepReward as _, TextReward};
use apprentice::synth::math::{Options, Problems, problems};
use apprentice::trajectory::Trajectory;
use serde_json::{Value, json};

fn few() -> Problems {
    problems(&Options { seed: 5, train: 26, new_numbers: 13, new_templates: 14 }).unwrap()
}

/// Runs the program and gives its exit code, what it printed as JSON, and its words.
fn run(dir: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = assert_cmd::Command::cargo_bin("apprentice").unwrap();
    let output = command.current_dir(dir).arg("--json").args(arguments).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(if said.is_empty() { &words } else { &said }).unwrap_or_default();
    (output.status.code().unwrap(), value, words)
}

/// The invariant: an expert's own step earns 1.0, rendered, encoded, decoded, read and rewarded.
#[cfg(feature = "train")]
#[test]
fn an_experts_own_step_earns_one_through_the_whole_path() {
    use apprentice::model::tokenizer::{ChatTokenizer, Pieces};

    let made = few();
    let known = made.train.iter().flat_map(|problem| [problem.text.clone(), problem.solution.clone()]);
    let tokenizer = ChatTokenizer::train(known, 400, Pieces::Words).unwrap();
    let mut rewarded = 0;
    for (name, problems) in made.named() {
        for problem in problems {
            let (task, expert) = (problem.task(name), problem.expert());
            for example in examples(&task, &expert) {
                assert!(example.is_learnable() && example.is_imitable());
                let tokens = tokenizer.encode_reply(&render_reply(example.expert)).unwrap();
                let reply = Sample::from_text(tokenizer.decode(&tokens[..tokens.len() - 1]));
                let rewards = TextReward::default().rewards(&example, &[reply]).unwrap();
                assert_eq!(rewards, [Reward::new(1.0)], "{problem:?}");
                rewarded += 1;
            }
        }
    }
    assert!(150 < rewarded, "{rewarded} steps");
}

#[test]
fn a_prompt_is_the_problem_with_the_solution_so_far_and_the_title_where_it_is_told() {
    let problem = &few().train[0];
    let (task, expert) = (problem.task("train"), problem.expert());
    let all = examples(&task, &expert);
    let scaffold = Scaffold::default();
    let first = conversation(&scaffold, &task, all[0].history);
    assert_eq!((first.len(), first[1].content.as_str()), (2, task.problem.as_str()));
    assert!(first[0].content.contains("<think>"), "{}", first[0].content);
    let steps: Vec<String> = expert.steps.iter().map(|step| step.action.text().into_owned()).collect();
    let mut second = conversation(&scaffold, &task, all[1].history);
    let so_far = format!("{}\n\nSolution so far:\n\n{}", task.problem, steps[0]);
    assert_eq!(second[1].content, so_far);
    hint::add(&mut second, &all[1]);
    let title = steps[1].split("**").nth(1).unwrap();
    assert_eq!(second[1].content, format!("{so_far}\n\nThe next step: 2. {title}"));
    let told = Scaffold { math: MathScaffold { system: "Go on.".to_owned(), title_hint: true }, ..scaffold };
    assert_eq!(conversation(&told, &task, &[])[0].content, "Go on.");
}

/// What the trainer shows a student is what `trajectory examples --hint` writes.
#[cfg(feature = "train")]
#[test]
fn a_recipe_that_asks_for_titles_shows_them_in_training() {
    use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
    use apprentice::recipe;
    use apprentice::train::data::Prompter;

    let recipe =
        "format: apprentice.recipe/1\nmethod: srl\nmodel: {dir: m}\ndata: {trajectories: [a], tasks: t}\n";
    let problem = &few().train[0];
    let (task, expert) = (problem.task("train"), problem.expert());
    let all = examples(&task, &expert);
    let tokenizer =
        ChatTokenizer::train(std::iter::once(problem.solution.clone()), 400, Pieces::Words).unwrap();
    let shown = |setting: &str| {
        let recipe = recipe::Course::parse(recipe, Path::new("r.yaml"), &[setting.to_owned()])
            .unwrap()
            .stages
            .remove(0);
        let prompter = Prompter { scaffold: recipe.train_config().scaffold, max_tokens: 4096 };
        let fitted = prompter.prompt(&tokenizer, &all[1]).unwrap().unwrap();
        tokenizer.decode(&fitted.tokens)
    };
    let (told, untold) = (shown("math.title_hint=true"), shown("math.title_hint=false"));
    let title = problem.solution.lines().nth(1).unwrap().split("**").nth(1).unwrap();
    assert!(told.contains(&format!("The next step: 2. {title}")), "{told}");
    assert!(!untold.contains("The next step") && untold.contains("Solution so far:"), "{untold}");
    let unknown =
        recipe::Course::parse(recipe, Path::new("r.yaml"), &["math.titel_hint=true".to_owned()]).unwrap_err();
    assert!(unknown.to_string().ends_with("did you mean `math.title_hint`?"), "{unknown}");
}

#[test]
fn rows_become_tasks_and_experts_that_fit_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        json!({"question": "Clips in all?", "answer": "May: 48/2 = <<48/2=24>>24.\nIn all 48+24 = 72.\n#### 72"}),
        json!({"problem": "Half of 4?", "level": "Level 1", "type": "Algebra", "solution": "It is $\\boxed{2}$."}),
        json!({"problem": "2 + 2?", "solution": "Let us see.\n1. **Add**: 4\n2. **Box**: \\boxed{4}", "answer": "4"}),
    ];
    fsio::write_json_lines(&dir.path().join("rows.jsonl"), &rows).unwrap();
    let (code, said, words) = run(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks"]);
    assert_eq!((code, &said["imported"]), (0, &json!(3)), "{words}");
    let (code, said, words) =
        run(dir.path(), &["trajectory", "import", "rows.jsonl", "--out", "experts.jsonl"]);
    assert_eq!((code, &said["imported"], &said["no_steps"]), (0, &json!(2), &json!(1)), "{words}");
    let rejects: Vec<Value> = fsio::read_json_lines(&dir.path().join("rejects.jsonl")).unwrap();
    assert_eq!((&rejects[0]["line"], &rejects[0]["no_steps"]), (&json!(2), &json!(true)));
    assert_eq!(rejects[0]["reason"], "the solution has 0 numbered steps, fewer than two");
    let examples =
        ["trajectory", "examples", "experts.jsonl", "--tasks", "tasks", "--hint", "--out", "examples.jsonl"];
    let (code, said, words) = run(dir.path(), &examples);
    assert_eq!((code, &said["examples"]), (0, &json!(4)), "{words}");
    let lines: Vec<Value> = fsio::read_json_lines(&dir.path().join("examples.jsonl")).unwrap();
    let user = |line: &Value| line["messages"][1]["content"].as_str().unwrap().to_owned();
    assert_eq!(user(&lines[2]), "2 + 2?\n\nThe next step: 1. Add");
    assert_eq!(
        user(&lines[3]),
        "2 + 2?\n\nSolution so far:\n\nLet us see.\n1. **Add**: 4\n\nThe next step: 2. Box"
    );
    let (code, _, words) = run(
        dir.path(),
        &["trajectory", "export", "experts.jsonl", "--to", "sft", "--tasks", "tasks", "--out", "chats.jsonl"],
    );
    assert_eq!(code, 0, "{words}");
    let chats: Vec<Value> = fsio::read_json_lines(&dir.path().join("chats.jsonl")).unwrap();
    let messages = chats[0]["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[2]["role"]), (3, &json!("assistant")));
    assert_eq!(
        messages[2]["content"],
        "1. May: 48/2 = 24.\n\n2. In all 48+24 = 72.\n\n**Final Answer**: \\boxed{72}"
    );
}

#[test]
fn problems_that_none_has_solved_in_steps_are_an_error_that_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    fsio::write_json_lines(&dir.path().join("a.jsonl"), &[json!({"problem": "P", "answer": "1", "id": "0"})])
        .unwrap();
    let (code, failure, _) = run(dir.path(), &["trajectory", "import", "a.jsonl", "--out", "b.jsonl"]);
    assert_eq!((code, &failure["error"]), (4, &json!("none of 1 problems has a solution in numbered steps")));
}

#[test]
fn synthesised_problems_are_solved_by_their_experts_and_by_nobody_who_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said, words) =
        run(dir.path(), &["task", "synth", "--math", "--count", "26", "--seed", "2", "--out", "made"]);
    let counts = json!([said["train"], said["new_numbers"], said["new_templates"]]);
    assert_eq!((code, counts), (0, json!([26, 7, 7])), "{words}");
    let eval = |policy: &str, out: &str| {
        run(
            dir.path(),
            &["eval", "--policy", policy, "--tasks", "made/new-templates", "--samples", "4", "--out", out],
        )
    };
    let (code, said, words) = eval("expert:made/new-templates/trajectories.jsonl", "runs/expert");
    assert_eq!(
        (code, &said["format"], &said["rate"]),
        (0, &json!("apprentice.grade/1"), &json!(1.0)),
        "{words}"
    );
    let benchmark = &said["benchmarks"]["new-templates"];
    assert_eq!((&benchmark["problems"], &benchmark["greedy"]["rate"]), (&json!(7), &json!(1.0)));
    assert_eq!((&benchmark["avg_at"]["k"], &benchmark["maj_at"]["rate"]), (&json!(4), &json!(1.0)));
    assert_eq!(said["instances"].as_array().unwrap().len(), 28);
    let kept: Vec<Trajectory> =
        fsio::read_json_lines(&dir.path().join("runs/expert/trajectories.jsonl")).unwrap();
    assert_eq!(
        kept.iter().filter(|one| one.resolved == Some(true)).count(),
        35,
        "four draws and the most probable"
    );
    assert_eq!(eval("gold", "runs/gold").0, 0);
    let (code, said, _) = eval("noop", "runs/noop");
    assert_eq!(
        (code, &said["rate"], &said["benchmarks"]["new-templates"]["greedy"]["rate"]),
        (1, &json!(0.0), &json!(0.0))
    );
}

#[test]
fn a_directory_of_code_and_mathematics_is_not_evaluated_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let task = |id: &str, rest: &str| {
        let text = format!("format: apprentice.task/1\nid: {id}\nproblem: P\n{rest}");
        fs_err::create_dir_all(dir.path().join("tasks").join(id)).unwrap();
        fs_err::write(dir.path().join("tasks").join(id).join("task.yaml"), text).unwrap();
    };
    task("m", "kind: math\nanswer: '1'\n");
    task(
        "c",
        "kind: code\nsandbox: shell\nrepo: {path: repo}\ntests: {command: ./run, parser: tap, fail_to_pass: [adds]}\n",
    );
    let (code, failure, _) =
        run(dir.path(), &["eval", "--policy", "gold", "--tasks", "tasks", "--out", "run"]);
    assert_eq!((code, &failure["error"]), (2, &json!("`tasks` holds tasks of code and of mathematics")));
}

#[test]
fn mathematics_is_not_rolled_out_or_graded_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["task", "synth", "--math", "--count", "13", "--out", "made"]);
    fs_err::write(dir.path().join("predictions.jsonl"), "").unwrap();
    for command in [
        &["rollout", "--policy", "noop", "--tasks", "made/train", "--out", "run"][..],
        &["grade", "--predictions", "predictions.jsonl", "--tasks", "made/train", "--out", "run"],
    ] {
        let (code, failure, _) = run(dir.path(), command);
        assert_eq!(
            (code, &failure["error"]),
            (4, &json!("`made/train` holds mathematics only, which runs nothing"))
        );
        assert!(failure["hint"].as_str().unwrap().contains("apprentice eval"), "{failure}");
    }
}

#[test]
fn solutions_in_words_are_rewritten_by_a_teacher_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        json!({"problem": "2 + 2?", "solution": "Clearly $\\boxed{4}$."}),
        json!({"problem": "Half of 4?", "solution": "Clearly $\\boxed{2}$."}),
        json!({"problem": "3?", "solution": "1. **Look**: 3\n2. **Box**: \\boxed{3}"}),
        json!({"problem": "4?", "answer": "4"}),
    ];
    fsio::write_json_lines(&dir.path().join("rows.jsonl"), &rows).unwrap();
    run(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks"]);
    let id = |problem: &str| format!("problems-{}", &fsio::sha256_hex(problem.as_bytes())[..12]);
    let script = [
        json!({"task": id("2 + 2?"), "replies": ["4", "SOLUTION:\n1. **Add** 2 + 2 = 4\n2. **Box** \\boxed{4}"]}),
        json!({"task": id("Half of 4?"), "replies": ["SOLUTION:\n1. **Halve** 4\n2. **Box** \\boxed{3}"]}),
    ];
    fsio::write_json_lines(&dir.path().join("teacher.script"), &script).unwrap();
    let rewrite = || {
        run(
            dir.path(),
            &[
                "trajectory",
                "rewrite",
                "rows.jsonl",
                "--teacher",
                "scripted:teacher.script",
                "--out",
                "out/experts.jsonl",
            ],
        )
    };
    let (code, said, words) = rewrite();
    let counts = json!([said["rewritten"], said["in_steps"], said["rejected"]]);
    assert_eq!((code, counts), (0, json!([1, 1, 2])), "{words}");
    let bytes = || fs_err::read(dir.path().join("out/experts.jsonl")).unwrap();
    let (first, kept) = (bytes(), fs_err::read(dir.path().join("out/teacher.jsonl")).unwrap());
    let experts: Vec<Trajectory> = fsio::read_json_lines(&dir.path().join("out/experts.jsonl")).unwrap();
    assert_eq!(
        experts.iter().map(|expert| expert.source.format.as_str()).collect::<Vec<_>>(),
        ["problems", "rewrite"]
    );
    assert!(experts.iter().all(|expert| dir.path().join("tasks").join(&expert.task).is_dir()));
    let rejects: Vec<Value> = fsio::read_json_lines(&dir.path().join("out/rejects.jsonl")).unwrap();
    assert_eq!(rejects[0]["reason"], "the row has no worked solution");
    assert_eq!(rejects[1]["reason"], "the teacher gave no whole reply", "its one reply was tried first");
    assert_eq!((rewrite().0, bytes()), (0, first));
    assert_eq!(fs_err::read(dir.path().join("out/teacher.jsonl")).unwrap(), kept, "nothing was asked twice");
}

/// A student's shape, two problems, and for each a solution that is right and one that is not.
#[cfg(feature = "train")]
fn practice(dir: &Path) {
    let config = json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 300, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": true,
        "hidden_act": "silu"
    });
    fs_err::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut experts = String::new();
    for name in ["alpha", "beta"] {
        let task =
            format!("format: apprentice.task/1\nid: {name}\nkind: math\nproblem: {name}\nanswer: '7'\n");
        fs_err::create_dir_all(dir.join("tasks").join(name)).unwrap();
        fs_err::write(dir.join("tasks").join(name).join("task.yaml"), task).unwrap();
        for answer in ["7", "8"] {
            let step = |text: String| json!({"action": {"kind": "answer", "text": text}});
            let expert = json!({
                "format": "apprentice.trajectory/1", "id": format!("{name}-{answer}"), "task": name,
                "end": "submitted", "steps": [step(format!("1. It is {answer}")), step(format!("\\boxed{{{answer}}}"))]
            });
            experts += &format!("{expert}\n");
        }
    }
    fs_err::write(dir.join("experts.jsonl"), experts).unwrap();
    fs_err::write(dir.join("recipe.yaml"), PRACTICE).unwrap();
}

#[cfg(feature = "train")]
const PRACTICE: &str = "format: apprentice.recipe/1
model: {config: config.json, std: 0.1, vocab_size: 300}
data: {trajectories: [experts.jsonl], tasks: tasks}
seed: 5
batch: {size: 4}
math: {system: Solve.}
limits: {context: 200, reply: 24}
stages:
  - {method: sft, budget: {steps: 60}, schedule: {rate: 0.01, shape: constant, warm_up: 0.0}}
  - method: rlvr
    budget: {steps: 8}
    batch: {size: 2}
    schedule: {rate: 0.002, shape: constant}
    rlvr: {group_size: 12, steps: 3, solve: steps}
";

#[cfg(feature = "train")]
#[test]
fn a_student_that_solves_by_itself_learns_which_answers_are_right_and_needs_no_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    practice(dir.path());
    let (code, said, words) = run(dir.path(), &["-q", "train", "recipe.yaml", "--out", "run"]);
    assert_eq!((code, &said["stages"]), (0, &json!(["1-sft", "2-rlvr"])), "{words}");
    let events: Vec<Value> = fsio::read_json_lines(&dir.path().join("run/events.jsonl")).unwrap();
    let trained = events
        .iter()
        .filter(|event| event["event"] == "step_trained" && event["phase"] == "2-rlvr")
        .map(|event| &event["metrics"]);
    let rewards: Vec<f64> = trained.clone().map(|metrics| metrics["reward"].as_f64().unwrap()).collect();
    let (first, last) = (rewards[0], rewards[rewards.len() - 1]);
    assert!(first < 0.8 && first + 0.15 < last, "{rewards:?}");
    assert!(trained.clone().all(|metrics| metrics["lost"] == 0.0));
    assert!(
        trained.clone().all(|metrics| 1.5 < metrics["replies"].as_f64().unwrap()),
        "a solution has two steps"
    );
    let manifest: Value =
        serde_json::from_slice(&fs_err::read(dir.path().join("run/manifest.json")).unwrap()).unwrap();
    assert!(
        manifest["protection"].is_null() && manifest["digests"]["data"]["task alpha"].is_string(),
        "{manifest}"
    );
}

#[cfg(feature = "train")]
#[test]
fn a_student_practises_on_tasks_of_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    practice(dir.path());
    fs_err::create_dir_all(dir.path().join("tasks/c")).unwrap();
    let code = "format: apprentice.task/1\nid: c\nkind: code\nproblem: P\nsandbox: shell\nrepo: {path: repo}\n\
        tests: {command: ./run, parser: tap, fail_to_pass: [adds]}\n";
    fs_err::write(dir.path().join("tasks/c/task.yaml"), code).unwrap();
    let (code, failure, _) = run(dir.path(), &["train", "recipe.yaml", "--out", "run"]);
    assert_eq!((code, &failure["error"]), (2, &json!("`data.tasks` holds tasks of code and of mathematics")));
    let (code, failure, _) =
        run(dir.path(), &["train", "recipe.yaml", "--set", "stages.2.rlvr.solve=twice", "--out", "run"]);
    assert_eq!(code, 2, "{failure}");
}
