//! Every template, judged by what reads the words and not by what wrote them.

use super::ratio::Ratio;
use super::*;
use crate::trajectory::Action;

const OPTIONS: Options = Options { seed: 3, train: 1300, new_numbers: 130, new_templates: 350 };

fn all(problems: &Problems) -> impl Iterator<Item = &Problem> {
    problems.train.iter().chain(&problems.new_numbers).chain(&problems.new_templates)
}

#[test]
fn the_same_seed_gives_the_same_problems_and_another_seed_others() {
    let made = problems(&OPTIONS).unwrap();
    assert_eq!(made, problems(&OPTIONS).unwrap());
    assert_ne!(made, problems(&Options { seed: 4, ..OPTIONS }).unwrap());
    let fewer = problems(&Options { train: 20, ..OPTIONS }).unwrap();
    assert_eq!((&made.new_numbers, &made.train[..20]), (&fewer.new_numbers, &fewer.train[..]));
}

#[test]
fn no_problem_comes_twice_and_held_out_templates_are_never_trained_on() {
    let made = problems(&OPTIONS).unwrap();
    let texts: BTreeSet<&str> = all(&made).map(|problem| problem.text.as_str()).collect();
    assert_eq!(texts.len(), 1300 + 130 + 350);
    let templates =
        |problems: &[Problem]| problems.iter().map(|problem| problem.template).collect::<BTreeSet<_>>();
    let (trained, held_out) = (templates(&made.train), templates(&made.new_templates));
    assert_eq!((trained.len(), held_out.len()), (13, 7));
    assert!(trained.is_disjoint(&held_out));
    assert_eq!(templates(&made.new_numbers), trained);
}

#[test]
fn more_problems_than_there_are_is_an_error() {
    let error = problems(&Options { train: 1_000_000, ..OPTIONS }).unwrap_err().to_string();
    assert!(error.ends_with("has no more problems that differ; ask for fewer"), "{error}");
}

#[test]
fn every_solution_splits_and_ends_with_its_answer() {
    for problem in all(&problems(&OPTIONS).unwrap()) {
        let solution = solution::split(&problem.solution).unwrap();
        assert_eq!(solution.join(), problem.solution);
        assert_eq!(solution::last_box(solution.ending), Some(problem.answer.as_str()), "{problem:?}");
        assert!(
            solution.steps.iter().all(|step| !step.title.is_empty() && !step.body.is_empty()),
            "{problem:?}"
        );
        let expert = problem.expert();
        assert_eq!(expert.steps.len(), solution.steps.len());
        assert!(
            expert
                .steps
                .iter()
                .all(|step| matches!(&step.action, Action::Answer { text } if !text.contains("boxed")))
        );
        assert_eq!((problem.task("t").fault(), problem.task("t").id), (None, expert.task));
    }
}

#[test]
fn every_equation_of_numbers_in_a_step_holds() {
    for problem in all(&problems(&OPTIONS).unwrap()) {
        let solution = solution::split(&problem.solution).unwrap();
        let held: usize = solution.steps.iter().map(|step| equations(step.body)).sum();
        assert!(2 <= held, "too little to check: {problem:?}");
    }
}

/// Checks `1 + 2 = 3` and the like in a text, and counts what was checked.
fn equations(text: &str) -> usize {
    let mut held = 0;
    let clauses = [" is ", " so ", " and ", " are ", " takes "]
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, ","));
    for clause in clauses.split(',') {
        let sides: Vec<Ratio> = clause.split(" = ").filter_map(value).collect();
        assert!(sides.windows(2).all(|pair| pair[0] == pair[1]), "`{clause}` in `{text}`");
        held += sides.len().saturating_sub(1);
    }
    held
}

/// The value of sums, differences, products and quotients of numbers, without the unit after it.
fn value(text: &str) -> Option<Ratio> {
    let text = text.trim();
    let text = [" km/h", " km", " hours"].iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(text);
    let tokens: Vec<char> = text.chars().filter(|letter| *letter != ' ').collect();
    let mut at = 0;
    let value = sum(&tokens, &mut at)?;
    (at == tokens.len()).then_some(value)
}

fn sum(tokens: &[char], at: &mut usize) -> Option<Ratio> {
    let mut value = product(tokens, at)?;
    while let Some(sign @ ('+' | '-')) = tokens.get(*at) {
        *at += 1;
        let next = product(tokens, at)?;
        value = if *sign == '+' { value + next } else { value - next };
    }
    Some(value)
}

fn product(tokens: &[char], at: &mut usize) -> Option<Ratio> {
    let mut value = number(tokens, at)?;
    while let Some(sign @ ('*' | '/')) = tokens.get(*at) {
        *at += 1;
        let next = number(tokens, at)?;
        value = if *sign == '*' { value * next } else { value / next };
    }
    Some(value)
}

fn number(tokens: &[char], at: &mut usize) -> Option<Ratio> {
    match tokens.get(*at)? {
        '(' => {
            *at += 1;
            let value = sum(tokens, at)?;
            *at += 1;
            Some(value)
        }
        '-' => {
            *at += 1;
            Some(Ratio::new(0, 1) - number(tokens, at)?)
        }
        _ => {
            let digits: String = tokens[*at..].iter().take_while(|letter| letter.is_ascii_digit()).collect();
            *at += digits.len();
            digits.parse().ok().map(|number| Ratio::new(number, 1))
        }
    }
}

/// The whole numbers that stand in a problem, in order.
fn numbers(text: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(letter) = chars.next() {
        if let Some(digit) = letter.to_digit(10) {
            let mut number = i64::from(digit);
            while let Some(digit) = chars.peek().and_then(|letter| letter.to_digit(10)) {
                number = 10 * number + i64::from(digit);
                chars.next();
            }
            numbers.push(number);
        }
    }
    numbers
}

/// The answer found another way: from the words of the problem, by trying or by a formula that no template uses.
fn other_way(problem: &Problem) -> Ratio {
    let n = numbers(&problem.text);
    let whole = |number: i64| Ratio::new(number, 1);
    let tried = |holds: &dyn Fn(i64) -> bool| whole((-9999..9999).find(|x| holds(*x)).unwrap());
    let sign_after_equals = if problem.text.contains("= -") { -1 } else { 1 };
    match problem.template {
        "equation-one-side" => tried(&|x| n[0] * x + n[1] == sign_after_equals * n[2]),
        "equation-both-sides" => {
            let sign = if problem.text.contains("x - ") { -1 } else { 1 };
            tried(&|x| n[0] * x + n[1] == n[2] * x + sign * n[3])
        }
        "equation-brackets" => tried(&|x| n[0] * (x + n[1]) == sign_after_equals * n[2]),
        "equation-sum-difference" => whole((n[0] * n[0] - n[1] * n[1]) / 4),
        "equation-rectangle" => {
            let width = (1..n[0]).find(|width| 2 * (width + width + n[1]) == n[0]).unwrap();
            whole(width * (width + n[1]))
        }
        "fraction-sum" => Ratio::new(n[0] * n[3] + n[2] * n[1], n[1] * n[3]),
        "fraction-difference" => Ratio::new(n[0] * n[3] - n[2] * n[1], n[1] * n[3]),
        "fraction-product" => Ratio::new(n[0] * n[2], n[1] * n[3]),
        "fraction-quotient" => Ratio::new(n[0] * n[3], n[1] * n[2]),
        "fraction-left-over" => Ratio::new(n[0] * (n[2] - 1) * (n[4] - 1), n[2] * n[4]),
        "rate-distance" => whole(n[0] * n[1] + n[2] * n[3]),
        "rate-mean-speed" => Ratio::new(n[0] * n[1] + n[2] * n[3], n[0] + n[2]),
        "rate-together" => Ratio::new(n[0] * n[1], n[0] + n[1]),
        "rate-percent" => Ratio::new(n[0] * (100 + n[1]) * (100 - n[2]), 10_000),
        "remainder-sum" => whole((n[0] + n[1]).rem_euclid(n[2])),
        "remainder-product" => whole((n[0] * n[1]).rem_euclid(n[2])),
        "remainder-power" => whole(n[0].pow(u32::try_from(n[1]).unwrap()).rem_euclid(n[2])),
        "sequence-term" => whole((1..n[3]).fold(n[0], |term, _| term + n[1] - n[0])),
        "sequence-sum" => whole((0..n[3]).map(|index| n[0] + index * (n[1] - n[0])).sum()),
        "sequence-geometric" => whole((1..n[3]).fold(n[0], |term, _| term * (n[1] / n[0]))),
        other => panic!("`{other}` has no other way"),
    }
}

#[test]
fn every_answer_is_found_another_way() {
    for problem in all(&problems(&OPTIONS).unwrap()) {
        assert_eq!(problem.answer, other_way(problem).to_string(), "{}", problem.text);
    }
}
