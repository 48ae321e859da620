//! Verdicts on the recorded cases beside what docs/answers.md says of them.

use apprentice::answer::compat::{self, Grader};
use apprentice::answer::{Profile, Rule, Verdict, judge, strict};

use super::cases;

/// The rows of the table under a heading of docs/answers.md: the case of each.
fn documented(heading: &str) -> Vec<String> {
    let text = include_str!("../../docs/answers.md");
    let section = text.split(&format!("\n### {heading}\n")).nth(1).unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut rows: Vec<String> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    rows.sort();
    rows
}

#[test]
fn strict_agrees_with_our_labels_and_accepts_nothing_false() {
    let Some(cases) = cases() else { return };
    let labelled: Vec<_> = cases.iter().filter(|case| case.label != "arguable").collect();
    let mut differing = Vec::new();
    for case in &labelled {
        let found = judge(&case.gold, &case.response, Profile::Exact);
        let is_equal = case.label == "equal";
        assert!(is_equal || found.verdict != Verdict::Equal, "{} is accepted: {found:?}", case.id);
        if is_equal != (found.verdict == Verdict::Equal) || found.verdict == Verdict::Undecided {
            differing.push(case.id.clone());
        }
    }
    assert!(differing.len() * 100 <= labelled.len(), "{differing:?}");
    differing.sort();
    assert_eq!(differing, documented("strict"), "docs/answers.md lists the cases that differ");
    println!("strict: {} of {} labelled cases differ, no false accept", differing.len(), labelled.len());
}

#[test]
fn strict_is_symmetric_on_the_recorded_cases() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        let Some(answer) = judge(&case.gold, &case.response, Profile::Exact).extracted else { continue };
        let forth = strict::answers(&case.gold, &answer, Profile::Exact);
        let back = strict::answers(&answer, &case.gold, Profile::Exact);
        assert_eq!(forth.0, back.0, "{}", case.id);
    }
}

#[test]
fn the_other_graders_are_reproduced_but_for_documented_cases() {
    let Some(cases) = cases() else { return };
    let timeless: Vec<_> = cases.iter().filter(|case| !case.timing_dependent).collect();
    for (grader, column) in [(Grader::Qwen, "qwen25"), (Grader::MathVerify, "math_verify")] {
        let is_differing = |case: &&&super::Case| {
            compat::judge(grader, &case.gold, &case.response).is_accepted != (case.verdicts[column] == true)
        };
        let mut differing: Vec<String> =
            timeless.iter().filter(is_differing).map(|case| case.id.clone()).collect();
        assert!(differing.len() * 100 <= timeless.len(), "{}: {differing:?}", grader.name());
        differing.sort();
        assert_eq!(differing, documented(grader.name()), "docs/answers.md lists the cases that differ");
        println!("{}: {} of {} cases differ", grader.name(), differing.len(), timeless.len());
    }
}

#[test]
fn every_rule_is_documented() {
    let mut rules: Vec<String> = Rule::ALL.iter().map(|rule| rule.name().to_owned()).collect();
    rules.sort();
    assert_eq!(rules, documented("Rules"));
}
