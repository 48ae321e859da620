//! Rows made by hand in the shapes of the published files, and what becomes of them.

use serde_json::{Map, Value, json};

use crate::import::task::{Options, format, sniff, task};
use crate::import::{self, Json, Origin, RecordError, task::row::Row};
use crate::task::{Kind, Task};
use crate::trajectory::{Action, Trajectory};

fn row(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn set(value: &Value) -> Result<&'static str, String> {
    sniff(&Row::new(&row(value))).map(|format| format.name)
}

fn imported(value: &Value) -> Task {
    let task = task(&row(value), &Options::default()).unwrap();
    assert_eq!(Task::parse(&task.to_yaml(), "t").unwrap(), task, "it does not survive its file");
    task
}

fn refusal(value: &Value) -> String {
    task(&row(value), &Options::default()).unwrap_err()
}

/// Data set, benchmark, problem and answer of a row.
fn read(value: &Value) -> (&'static str, String, String, String) {
    let task = imported(value);
    assert_eq!(task.kind, Kind::Math);
    let origin = task.origin.unwrap();
    assert_eq!(origin.dataset, set(value).unwrap());
    assert!(task.id.starts_with(&format!("{}-", origin.repo)), "{}", task.id);
    (set(value).unwrap(), origin.repo, task.problem, task.answer.unwrap())
}

fn said(
    dataset: &'static str,
    benchmark: &str,
    problem: &str,
    answer: &str,
) -> (&'static str, String, String, String) {
    (dataset, benchmark.to_owned(), problem.to_owned(), answer.to_owned())
}

fn experts(value: &Value) -> Result<Vec<Trajectory>, RecordError> {
    let text = value.to_string();
    let record = Json::parse(&text).unwrap();
    let origin = Origin { file: "rows.jsonl".into(), line: Some(7), task: None };
    import::sniff(&record).unwrap().parse(&record, &origin)
}

fn steps(trajectory: &Trajectory) -> Vec<String> {
    let text = |action: &Action| match action {
        Action::Answer { text } => text.clone(),
        other => panic!("{other:?} is no step of a solution"),
    };
    trajectory.steps.iter().map(|step| text(&step.action)).collect()
}

const WORKED: &str =
    "We count.\n\n1. **Add**: $2+2=4$.\n\n2. **Halve**: $4/2=2$.\n\n**Final Answer**\n\\boxed{2}";

fn s1k_1_1() -> Value {
    json!({
        "solution": "2", "question": "Half of 2 + 2?", "cot_type": "math", "source_type": "AI-MO/NuminaMath-CoT/aops_forum",
        "metadata": "{'url': None}", "gemini_thinking_trajectory": "g", "gemini_attempt": "1. a\n2. b \\boxed{3}",
        "deepseek_thinking_trajectory": "Okay, so…", "deepseek_attempt": WORKED, "gemini_grade": "No",
        "gemini_grade_reason": "r", "deepseek_grade": "Yes", "deepseek_grade_reason": "r",
    })
}

fn s1k() -> Value {
    json!({
        "solution": "It is \\boxed{2}.", "question": "Half of 2 + 2?", "cot_type": "math", "source_type": "qq8933/AIME_1983_2024",
        "metadata": "{}", "cot": null, "thinking_trajectories": ["t"], "attempt": "1. a\n2. b \\boxed{2}",
    })
}

#[test]
fn rows_of_every_published_shape_are_found_and_read() {
    let aops =
        |page: &str| format!("https://artofproblemsolving.com/wiki/index.php/{page}_Problems/Problem_1");
    let cases = [
        (s1k_1_1(), said("s1k", "s1k", "Half of 2 + 2?", "2")),
        (s1k(), said("s1k", "s1k", "Half of 2 + 2?", "2")),
        (
            json!({"question": "How many?", "answer": "48/2 = <<48/2=24>>24.\n48+24 = <<48+24=72>>72.\n#### 1,072"}),
            said("gsm8k", "gsm8k", "How many?", "1072"),
        ),
        (
            json!({"problem": "P", "level": "Level 5", "type": "Algebra", "solution": "So $\\boxed{\\frac{1}{2}}$."}),
            said("math", "math", "P", "\\frac{1}{2}"),
        ),
        (
            json!({"problem": "P", "solution": "So $\\boxed{x}$.", "answer": "(3,\\frac{\\pi}{2})", "subject": "Precalculus",
                   "level": 2, "unique_id": "test/precalculus/807.json"}),
            said("math", "math500", "P", "(3,\\frac{\\pi}{2})"),
        ),
        (
            json!({"ID": "2024-II-4", "Problem": "P", "Solution": "S", "Answer": 33}),
            said("aime", "aime24", "P", "33"),
        ),
        (
            json!({"id": 60, "problem": "P", "solution": "S", "answer": "025", "url": aops("2024_AIME_I"), "year": "2024"}),
            said("aime", "aime24", "P", "025"),
        ),
        (
            json!({"id": 0, "problem": "P", "solution": "S", "answer": "116", "url": aops("2022_AIME_I")}),
            said("aime", "aime22", "P", "116"),
        ),
        (
            json!({"id": 0, "problem": "P", "answer": 27.0, "url": aops("2023_AMC_12A"), "question": "P"}),
            said("amc23", "amc23", "P", "27.0"),
        ),
        (
            json!({"id": 3, "problem": "P", "answer": 142.0, "url": aops("2022_AMC_12A")}),
            said("amc23", "amc22", "P", "142.0"),
        ),
        (
            json!({"problem": "P", "solution": "So \\boxed{4.5e33}.", "type": "Astronomy", "idx": 0}),
            said("minerva", "minerva", "P", "4.5e33"),
        ),
        (
            json!({"id": 1606, "subfield": "Algebra", "context": "Let $n$ be odd.", "question": "Find $n$.", "solution": ["S", "T"],
                   "final_answer": ["$2$", "$3$"], "is_multiple_answer": true, "unit": null, "answer_type": "Numerical",
                   "error": null, "question_type": "Open-ended", "modality": "Text-only", "difficulty": "Competition"}),
            said("olympiad-bench", "olympiad-bench", "Let $n$ be odd.\n\nFind $n$.", "2, 3"),
        ),
        (json!({"problem": "P", "answer": "$7$", "id": "0"}), said("problems", "problems", "P", "7")),
        (json!({"question": "P", "solution": "So \\boxed{7}."}), said("problems", "problems", "P", "7")),
    ];
    for (value, expected) in cases {
        assert_eq!(read(&value), expected, "{value}");
    }
}

#[test]
fn rows_of_aime_2025_are_read_by_name() {
    let options = Options { format: format("aime25"), ..Options::default() };
    for value in
        [json!({"problem": "P", "answer": "70", "id": "0"}), json!({"question": "P", "answer": "70"})]
    {
        let task = task(&row(&value), &options).unwrap();
        assert_eq!((task.origin.unwrap().repo.as_str(), task.answer.as_deref()), ("aime25", Some("70")));
    }
}

#[test]
fn rows_without_an_answer_are_refused_with_the_key() {
    let long = "We show it by induction.\n".repeat(9);
    let mut ungraded = s1k_1_1();
    ungraded["solution"] = json!(long);
    assert_eq!(imported(&ungraded).answer.as_deref(), Some("2"), "the attempt is graded right");
    ungraded["deepseek_grade"] = json!("No");
    let aops = "https://artofproblemsolving.com/wiki/index.php/2024_AIME_I_Problems/Problem_1";
    let cases = [
        (
            ungraded,
            "solution: it has no `\\boxed` answer and is no short one, and no attempt that is graded right has one",
        ),
        (json!({"question": "Q", "answer": "x\n####  "}), "answer: nothing follows its `####`"),
        (
            json!({"problem": "P", "level": "Level 1", "type": "Algebra", "solution": "S"}),
            "solution: it has no `\\boxed` answer",
        ),
        (json!({"problem": "P", "url": aops, "answer": ""}), "missing field `answer`"),
        (json!({"problem": "P", "answer": "$$"}), "answer: it is empty"),
        (json!({"problem": " ", "answer": "1"}), "no known data set has the keys "),
        (
            json!({"question": "Q", "solution": ["S"], "final_answer": null, "question_type": "Theorem proof"}),
            "final_answer: it is empty, as for proofs",
        ),
        (
            json!({"question": "Q", "solution": ["S"], "final_answer": ["1"], "modality": "Multimodal"}),
            "image_1: the problem needs a picture",
        ),
    ];
    for (value, reason) in cases {
        let found = refusal(&value);
        assert!(found.starts_with(reason), "{value}: {found}");
    }
}

#[test]
fn the_attempt_of_s1k_becomes_an_expert_of_its_task() {
    let found = experts(&s1k_1_1()).unwrap();
    let [expert] = &found[..] else { panic!("{found:?}") };
    assert_eq!(expert.task, imported(&s1k_1_1()).id);
    assert_eq!(steps(expert), ["We count.\n\n1. **Add**: $2+2=4$.", "2. **Halve**: $4/2=2$."]);
    assert_eq!(expert.answer.as_deref(), Some("**Final Answer**\n\\boxed{2}"));
    assert_eq!((expert.resolved, expert.source.model.as_deref()), (Some(true), Some("deepseek-r1")));
    assert_eq!((expert.source.format.as_str(), expert.source.record), ("s1k", Some(7)));
    assert_eq!(expert.problem.as_deref(), Some("Half of 2 + 2?"));
    let before = experts(&s1k()).unwrap();
    assert_eq!((before[0].resolved, before[0].source.model.as_deref()), (None, Some("gemini")));
}

#[test]
fn thoughts_before_and_between_the_steps_are_no_part_of_them() {
    let mut value = s1k_1_1();
    value["deepseek_attempt"] =
        json!("<think>1. **no**: a\n2. **no**: b</think>\n1. **A**: x\n<think>hm</think>2. **B**: y");
    assert_eq!(steps(&experts(&value).unwrap()[0]), ["1. **A**: x", "2. **B**: y"]);
}

#[test]
fn the_lines_of_gsm8k_are_steps() {
    let plain = json!({"question": "Q", "answer": "In May 48/2 = <<48/2=24>>24 clips.\nIn all 48+24 = <<48+24=72>>72.\n#### 72"});
    let expert = &experts(&plain).unwrap()[0];
    assert_eq!(steps(expert), ["1. In May 48/2 = 24 clips.", "2. In all 48+24 = 72."]);
    assert_eq!(
        (expert.answer.as_deref(), expert.resolved),
        (Some("**Final Answer**: \\boxed{72}"), Some(true))
    );
    let asked = json!({"question": "Q", "answer": "How many in May? ** 48/2 = <<48/2=24>>24.\nIn all? ** 24+48 = 72.\n#### 72"});
    assert_eq!(
        steps(&experts(&asked).unwrap()[0]),
        ["1. **How many in May?** 48/2 = 24.", "2. **In all?** 24+48 = 72."]
    );
}

#[test]
fn every_solution_of_a_row_that_has_steps_is_an_expert() {
    let value = json!({
        "question": "Q", "solution": ["1. a\n2. b", "In one go.", "Step 1: c\nStep 2: d"], "final_answer": ["1"],
        "question_type": "Open-ended",
    });
    let found = experts(&value).unwrap();
    assert_eq!(found.iter().map(steps).collect::<Vec<_>>(), [["1. a", "2. b"], ["Step 1: c", "Step 2: d"]]);
}

#[test]
fn problems_without_a_solution_in_steps_say_so() {
    let reason = |value: Value| match experts(&value) {
        Err(RecordError::NoSteps { reason }) => reason,
        other => panic!("{other:?}"),
    };
    let one = json!({"problem": "P", "solution": "1. All at once: \\boxed{1}"});
    assert_eq!(reason(one), "the solution has 1 numbered steps, fewer than two");
    assert_eq!(reason(json!({"problem": "P", "answer": "1"})), "the row has no worked solution");
}

#[test]
fn the_same_problem_has_the_same_id_in_every_file() {
    let id = |value: Value| imported(&value).id;
    let one = json!({"id": "3", "problem": "P", "answer": "1"});
    assert_eq!(id(one), id(json!({"id": "9", "question": " P\n", "answer": "1", "note": "x"})));
    assert_ne!(id(json!({"problem": "P", "answer": "1"})), id(json!({"problem": "Q", "answer": "1"})));
}
