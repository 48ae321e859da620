//! OlympiadBench: open problems of olympiads in mathematics and physics, with lists of solutions and of final answers.
//! <https://github.com/OpenBMB/OlympiadBench>

use super::super::row::Row;
use super::{Problem, Set, Solution, without_dollars};

pub(super) static SET: Set = Set { name: "olympiad-bench", recognizes, read };

fn recognizes(row: &Row) -> bool {
    row.has("question") && row.has("solution") && (row.has("final_answer") || row.has("question_type"))
}

fn read(row: &Row) -> Result<Problem, String> {
    if row.text("modality").is_some_and(|modality| modality.eq_ignore_ascii_case("multimodal"))
        || row.has("image_1")
    {
        return Err("image_1: the problem needs a picture".to_owned());
    }
    let question = row.need("question")?;
    let asked = match row.text("context") {
        Some(context) => format!("{}\n\n{question}", context.trim()),
        None => question.to_owned(),
    };
    let answers = row.list("final_answer")?;
    let answers: Vec<&str> = answers
        .iter()
        .map(|answer| without_dollars(answer.trim()))
        .filter(|answer| !answer.is_empty())
        .collect();
    let answer = match answers[..] {
        [] => Err("final_answer: it is empty, as for proofs".to_owned()),
        _ => Ok(answers.join(", ")),
    };
    let solutions = row.list("solution")?.iter().map(|text| Solution::reference(text)).collect();
    let difficulty = row.scalar("difficulty");
    Ok(Problem { solutions, difficulty, ..Problem::new("olympiad-bench", &asked, answer) })
}
