//! What is equal and what is not, kind by kind.

use super::{Judged, Profile, Rule, Verdict, judge, strict};

/// Compares both ways, which must agree.
fn compared(left: &str, right: &str) -> (Verdict, Rule) {
    let forth = strict::answers(left, right, Profile::Exact);
    let back = strict::answers(right, left, Profile::Exact);
    assert_eq!(forth.0, back.0, "{left} | {right}");
    forth
}

fn all(verdict: Verdict, pairs: &[(&str, &str)]) {
    for (left, right) in pairs {
        assert_eq!(compared(left, right).0, verdict, "{left} | {right}");
    }
}

fn extracted(reply: &str) -> Option<String> {
    judge("", reply, Profile::Exact).extracted
}

#[test]
fn expressions_are_equal_by_value() {
    let pairs = [
        ("\\sqrt{3+2\\sqrt2}", "1+\\sqrt2"),
        ("e^{i\\pi}", "-1"),
        ("\\frac{-1+i\\sqrt3}{2}", "e^{2\\pi i/3}"),
        ("\\cos\\frac{\\pi}{12}", "\\frac{\\sqrt6+\\sqrt2}{4}"),
        ("\\sin 30^\\circ", "1/2"),
        ("\\tan^{-1} 1", "\\frac\\pi4"),
        ("\\ln 8", "3\\ln 2"),
        ("\\log_2 8", "3"),
        ("3^{n+1}", "3\\cdot 3^n"),
        ("\\frac{n!}{(n-k)!k!}", "\\binom{n}{k}"),
        ("\\frac{1}{1+\\frac1x}", "\\frac{x}{x+1}"),
        ("\\sqrt{53}\\sqrt{59}", "\\sqrt{3127}"),
        ("\\sum_{k=1}^{100} k", "5050"),
    ];
    all(Verdict::Equal, &pairs);
}

#[test]
fn expressions_that_differ_anywhere_are_not_equal() {
    let pairs = [
        ("\\sqrt{x^2}", "x"),
        ("\\lfloor x \\rfloor", "x"),
        ("\\log 100", "2"),
        ("x", "X"),
        ("2^{\\sqrt2}", "\\sqrt2^{\\sqrt2}"),
        ("\\sin x", "x - \\frac{x^3}{6}"),
        ("-\\infty", "\\infty"),
        ("1/0", "2/0"),
    ];
    all(Verdict::NotEqual, &pairs);
}

#[test]
fn structures_are_equal_by_kind_and_entries() {
    let pairs = [
        ("(2,3)\\cup(3,4)", "2<x<4 \\text{ and } x\\ne3"),
        ("\\{x \\mid x > 2\\}", "(2, \\infty)"),
        ("x \\in \\{1,2\\}", "1,2"),
        ("y>2x+1", "2x-y<-1"),
        ("y = x^2", "f(x)=x^2"),
        ("x\\ge 0, y \\ge 0", "y \\ge 0, x\\geq 0"),
        ("\\text{(C)}", "C"),
        ("\\frac34 \\approx 0.75", "0.75"),
        ("10 + 15 = 25", "25"),
        ("3 \\text{ or } 4", "\\{4, 3\\}"),
    ];
    all(Verdict::Equal, &pairs);
    // A comma between conditions may mean "and" or "or".
    all(Verdict::Undecided, &[("(2,3)\\cup(3,4)", "2<x<4, x\\ne3")]);
    let different = [
        ("C", "(A) (B) (C)"),
        ("C", "(A) C"),
        ("9 = 1", "1"),
        ("3,4", "(3,4)"),
        ("[1,2]", "(1,2)"),
        ("[1,2,3]", "(1,2,3)"),
        ("y>2x+1", "2x-y>-1"),
        ("x+y=1", "x+z=1"),
    ];
    all(Verdict::NotEqual, &different);
}

#[test]
fn units_are_converted_or_refused() {
    all(Verdict::Equal, &[("1 \\text{ m}", "100 \\text{ cm}"), ("45^\\circ", "\\pi/4"), ("7.5\\%", "0.075")]);
    let different = [
        ("12\\text{ cm}", "12\\text{ m}"),
        ("5 \\text{ apples}", "5 \\text{ pears}"),
        ("\\$5", "5\\text{ m}"),
    ];
    all(Verdict::NotEqual, &different);
    assert_eq!(compared("12", "12\\text{ cm}"), (Verdict::Equal, Rule::UnitLeftOut));
}

#[test]
fn what_is_not_evaluated_is_undecided() {
    assert_eq!(compared("\\int_0^1 x\\,dx", "1"), (Verdict::Undecided, Rule::Unsupported));
    let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert_eq!(compared(&deep, "1"), (Verdict::Undecided, Rule::TooLarge));
    assert_eq!(compared("\\farc{1}{2}", "\\frac12"), (Verdict::NotEqual, Rule::Unreadable));
}

#[test]
fn the_answer_is_what_the_reply_says_last() {
    let found = |reply: &str, answer: &str| assert_eq!(extracted(reply).as_deref(), Some(answer), "{reply}");
    found("<think>\\boxed{4}</think> so $\\boxed{5}$", "5");
    found("\\boxed{4}, no: \\boxed{5}", "5");
    found("\\boxed{5} and $\\boxed{6}$", "5, 6");
    found("The final answer is $\\frac{1}{2}$. I hope it is correct.", "\\frac{1}{2}");
    found("**Answer:** 5", "5");
    found("It costs \\$1,000.", "\\$1,000");
    found("so x = 5", "x = 5");
    found("Hence\n\\[ x^2 + 1 \\]", " x^2 + 1 ".trim());
    let none = Judged { verdict: Verdict::NoAnswer, rule: Rule::NoAnswer, extracted: None };
    assert_eq!(judge("5", "<think>\\boxed{5}", Profile::Exact), none);
    assert_eq!(judge("5", "there are 5 of them, I think", Profile::Exact), none);
    assert_eq!(judge("5", "", Profile::Exact), none);
}
