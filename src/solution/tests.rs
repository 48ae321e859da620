//! The grammar against its fixtures, and what must hold for any text.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::trajectory::Action;

#[test]
fn every_text_of_the_fixtures_splits_as_expected() {
    let name = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| "../shared/fixtures".to_owned());
    let path = std::path::Path::new(&name).join("math/steps.json");
    let Ok(text) = fs_err::read_to_string(&path) else {
        eprintln!("skipped: `{}` cannot be read; set APPRENTICE_FIXTURES", path.display());
        return;
    };
    let fixtures: Value = serde_json::from_str(&text).unwrap();
    let cases = fixtures["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 34);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let found = split(text);
        assert_eq!(described(&found), case["expected_ref"], "{}", case["id"]);
        if let Ok(solution) = found {
            assert_eq!(solution.join(), text, "{}", case["id"]);
        }
    }
}

/// A split in the words of the fixtures.
fn described(found: &Result<Solution<'_>, TooFewSteps>) -> Value {
    let names = ["num_bold", "bold_step", "head_step", "head_num", "plain_step", "num_plain"];
    let Ok(solution) = found else { return Value::Null };
    let step = |step: &Step<'_>| {
        let raw = step.text.trim_end();
        serde_json::json!({"n": step.number, "title": step.title, "body": step.body, "raw": raw})
    };
    serde_json::json!({
        "style": names[solution.style as usize],
        "preamble": solution.preamble.trim(),
        "steps": solution.steps.iter().map(step).collect::<Vec<_>>(),
        "final": solution.ending.trim(),
    })
}

#[test]
fn numbers_in_fences_and_display_math_are_no_headers() {
    let texts = [
        "1. a\n```\n2. b\n```\n2. c",
        "1. a\n~~~~\n2. b\n~~~\n2. b\n~~~~\n2. c",
        "1. a\n\\[\n2. b \\\\[2pt]\n2. b\n\\]\n2. c",
        "1. a $$\n2. b\n$$ then\n2. c",
        "1. a\n  ```python\n2. b\n  ```\n2. c",
    ];
    for text in texts {
        let solution = split(text).unwrap();
        assert_eq!(solution.steps.len(), 2, "{text}");
        assert_eq!(solution.steps[1].body, "c", "{text}");
    }
}

#[test]
fn display_math_that_nothing_closes_hides_no_step() {
    for slip in ["costs $$ 5", "see \\[ here", "```inline``` code", "\\$$ and $5"] {
        let text = format!("1. {slip}\n2. b\n3. c");
        assert_eq!(split(&text).map(|solution| solution.steps.len()), Ok(3), "{slip}");
    }
}

#[test]
fn the_ending_is_a_heading_and_not_a_word_that_begins_like_one() {
    let ending = |text: &str| split(&format!("1. a\n2. b\n{text}")).unwrap().ending.to_owned();
    for heading in
        ["Answer: 5", "**Answer:** 5", "### Conclusion\n5", "**Final answer**\n\\boxed{5}", "Answer"]
    {
        assert_eq!(ending(heading), heading);
    }
    for text in ["Answers vary.", "The answer is 5.", "Conclusions follow.", "```\nAnswer: 5\n```"] {
        assert_eq!(ending(text), "", "{text}");
    }
}

#[test]
fn too_few_steps_are_counted() {
    let found = |text| split(text).unwrap_err().found;
    assert_eq!((found(""), found("1. a"), found("1. a\n3. b"), found("Step 1: a\n2. b")), (0, 1, 1, 1));
    assert_eq!(split("x").unwrap_err().to_string(), "the solution has 0 numbered steps, fewer than two");
}

#[test]
fn the_preamble_is_part_of_the_first_action_and_the_ending_of_none() {
    let text = "We count.\n\n1. **Add**: 4\n\n2. **Halve**: 2\n\n**Final Answer**: \\boxed{2}\n";
    let solution = split(text).unwrap();
    let actions: Vec<Action> = solution.actions().into_iter().map(|step| step.action).collect();
    let answer = |text: &str| Action::Answer { text: text.to_owned() };
    assert_eq!(actions, [answer("We count.\n\n1. **Add**: 4"), answer("2. **Halve**: 2")]);
    assert_eq!(solution.answer().as_deref(), Some("**Final Answer**: \\boxed{2}"));
    assert_eq!(split("1. a\n2. b").unwrap().answer(), None);
}

#[test]
fn the_last_box_is_read_with_its_braces() {
    let cases = [
        ("so \\boxed{5}.", Some("5")),
        ("\\boxed{4} no, \\boxed{\\frac{1}{2}}", Some("\\frac{1}{2}")),
        ("\\boxed{4} or \\fbox{ a\\}b }", Some("a\\}b")),
        ("\\boxed {7}", Some("7")),
        ("\\boxed{ }", None),
        ("\\boxed{1", None),
        ("none", None),
    ];
    for (text, expected) in cases {
        assert_eq!(last_box(text), expected, "{text}");
    }
}

#[test]
fn thoughts_are_counted_and_left_out() {
    let cases = [
        ("<think>a</think>b", "b", 1),
        ("<think>a</think>b<think>c</think>d", "bd", 2),
        ("a</think>b", "b", 0),
        ("a</think>b<think>c</think>d", "bd", 1),
        ("b<think>a", "b", 0),
        ("b", "b", 0),
    ];
    for (text, said, blocks) in cases {
        assert_eq!((without_thoughts(text).as_str(), Thinking::of(text).blocks), (said, blocks), "{text}");
    }
    let reply = "Wait, 5? Let me double-check: plug it back in. The waiter waits.";
    let Thinking { words, self_checks, .. } = Thinking::of(reply);
    assert_eq!((words, self_checks), (12, 3));
}

proptest! {
    /// Lines of the grammar's own words in any order: splitting loses and moves nothing.
    #[test]
    fn splitting_and_joining_gives_the_text_back(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "1. **A**: x", "2. **B** y", "3) **C**:", "**Step 1: A**", "**Step 2** b", "### Step 1: A", "## 2. B",
                "Step 1: a", "STEP 2. b", "1. a", "2. b", "12. l", "   2. **B**", "    1. x", "```", "$$", "\\[", "\\]",
                "\\\\[", "**Final Answer**: 1", "Answer", "", "é 结论", "<think>", "1.5 m", "\t", "\\boxed{1}",
            ]),
            0..14,
        ),
        end in prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r"]),
    ) {
        let text = lines.join(end);
        if let Ok(solution) = split(&text) {
            prop_assert_eq!(solution.join(), text.as_str());
            prop_assert!(2 <= solution.steps.len());
            for (index, step) in solution.steps.iter().enumerate() {
                prop_assert_eq!(step.number, index + 1);
                prop_assert!(step.text.trim_end().ends_with(step.body));
            }
        }
    }

    #[test]
    fn any_text_is_split_or_refused(text in "\\PC*") {
        if let Ok(solution) = split(&text) {
            prop_assert_eq!(solution.join(), text.as_str());
        }
        let _ = (without_thoughts(&text), last_box(&text), Thinking::of(&text));
    }
}
