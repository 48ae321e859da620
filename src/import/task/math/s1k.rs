//! s1K and s1K-1.1: a thousand questions with a reference and models' attempts. <https://github.com/simplescaling/s1>
//!
//! The worked solution is the attempt, not the long thinking before it: that of DeepSeek-R1 in 1.1, that of Gemini before.

use super::super::row::Row;
use super::{Problem, Set, Solution, boxed, without_dollars};

pub(super) static SET: Set = Set { name: "s1k", recognizes, read };

/// A reference of at most so many characters is itself the answer.
const SHORT: usize = 80;

fn recognizes(row: &Row) -> bool {
    row.has("question") && row.has("solution") && (row.has("deepseek_attempt") || row.has("cot_type"))
}

fn read(row: &Row) -> Result<Problem, String> {
    let attempts = [
        ("deepseek_attempt", "deepseek_grade", "deepseek-r1"),
        ("gemini_attempt", "gemini_grade", "gemini"),
        ("attempt", "grade", "gemini"),
    ];
    let attempt = attempts.into_iter().find_map(|(key, grade, model)| {
        let is_right = row.text(grade).map(|grade| grade.trim().eq_ignore_ascii_case("yes"));
        row.text(key).map(|text| Solution { text: text.to_owned(), model: Some(model), is_right })
    });
    let problem = Problem::new("s1k", row.need("question")?, answer(row.need("solution")?, attempt.as_ref()));
    Ok(Problem { solutions: attempt.into_iter().collect(), ..problem })
}

/// The reference's box, or all of a short reference, or the box of an attempt that is graded right: references are
/// numbers, texts and whole proofs.
fn answer(reference: &str, attempt: Option<&Solution>) -> Result<String, String> {
    let reference = reference.trim();
    if let Ok(answer) = boxed("solution", reference) {
        return Ok(answer);
    }
    if !reference.contains('\n') && reference.chars().count() <= SHORT {
        return Ok(without_dollars(reference).to_owned());
    }
    let right = attempt.filter(|attempt| attempt.is_right == Some(true));
    right.and_then(|attempt| boxed("attempt", &attempt.text).ok()).ok_or_else(|| {
        "solution: it has no `\\boxed` answer and is no short one, and no attempt that is graded right has one".to_owned()
    })
}
