//! What replies to problems of mathematics amount to, benchmark by benchmark, and how they think.
//!
//! Guarantees that intervals are over problems: tries at one problem are no independent evidence of a policy.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{PassAt, within_shares};
use crate::solution::Thinking;
use crate::stats::{self, Mean, Rate};

/// All replies to one problem, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What the problem counts for, such as `aime24`.
    pub benchmark: String,
    /// Whether the most probable reply is right, where it was asked for.
    pub greedy: Option<bool>,
    /// Whether each drawn reply is right.
    pub right: Vec<bool>,
    /// Whether the answer that most drawn replies give is right.
    pub majority: bool,
}

/// The rates of one benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Benchmark {
    /// How many problems it has.
    pub problems: usize,
    /// Problems that the most probable reply solves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greedy: Option<Rate>,
    /// The share of right replies among `k` (avg@k), its mean over problems.
    pub avg_at: PassAt,
    /// The chance that one of fewer or as many replies is right.
    pub pass_at: Vec<PassAt>,
    /// Problems that the vote of `k` replies solves (maj@k).
    pub maj_at: MajorityAt,
}

/// How often the majority is right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MajorityAt {
    /// Replies that vote.
    pub k: usize,
    /// Over problems.
    #[serde(flatten)]
    pub rate: Rate,
}

/// Sums sheets up by benchmark; those of one benchmark have equally many replies, one at least.
pub fn benchmarks(sheets: &[Sheet]) -> BTreeMap<String, Benchmark> {
    let mut groups: BTreeMap<&str, Vec<&Sheet>> = BTreeMap::new();
    for sheet in sheets {
        groups.entry(&sheet.benchmark).or_default().push(sheet);
    }
    groups.into_iter().map(|(name, sheets)| (name.to_owned(), Benchmark::of(&sheets))).collect()
}

impl Benchmark {
    fn of(sheets: &[&Sheet]) -> Self {
        let k = sheets[0].right.len();
        let share = |sheet: &&Sheet| right(sheet) as f64 / k as f64;
        let over = |each: Vec<f64>| within_shares(stats::mean(&each).expect("invariant: there is a sheet"));
        let count = |holds: &dyn Fn(&Sheet) -> bool| sheets.iter().filter(|sheet| holds(sheet)).count();
        let pass_at = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|at| *at < k).chain([k]);
        Self {
            problems: sheets.len(),
            greedy: sheets[0]
                .greedy
                .map(|_| stats::wilson(count(&|sheet| sheet.greedy == Some(true)), sheets.len())),
            avg_at: PassAt { k, mean: over(sheets.iter().map(share).collect()) },
            pass_at: pass_at
                .map(|at| PassAt {
                    k: at,
                    mean: over(sheets.iter().map(|sheet| stats::pass_at_k(k, right(sheet), at)).collect()),
                })
                .collect(),
            maj_at: MajorityAt { k, rate: stats::wilson(count(&|sheet| sheet.majority), sheets.len()) },
        }
    }

    /// Its lines for people, below its name.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(greedy) = self.greedy {
            text.push_str(&format!("  greedy   {}\n", super::text::rate(greedy)));
        }
        text.push_str(&line("avg", self.avg_at));
        for at in self.pass_at.iter().filter(|at| 1 < at.k) {
            text.push_str(&line("pass", *at));
        }
        text + &format!("  {:<8} {}\n", format!("maj@{}", self.maj_at.k), super::text::rate(self.maj_at.rate))
    }
}

fn right(sheet: &Sheet) -> usize {
    sheet.right.iter().filter(|is_right| **is_right).count()
}

fn line(name: &str, at: PassAt) -> String {
    format!("  {:<8} {}\n", format!("{name}@{}", at.k), super::text::mean(at.mean))
}

/// How the replies to problems look: their length, and their thinking (the paper's section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Replies {
    /// How many there are.
    pub replies: usize,
    /// Words, thoughts included.
    pub words: Mean,
    /// Half of the replies have at most so many words.
    pub median_words: usize,
    /// The most words of a reply.
    pub most_words: usize,
    /// Share of those that a length limit cut.
    pub cut: f64,
    /// Share of those that think in a block of its own.
    pub thinking: f64,
    /// Share of those with several such blocks: interleaved thinking.
    pub interleaved: f64,
    /// Blocks of a reply, in the mean.
    pub blocks: f64,
    /// Share of those that go back over their own work, told by their words.
    pub self_checking: f64,
    /// Places of a reply that do, in the mean.
    pub self_checks: f64,
}

impl Replies {
    /// Sums replies up, each with whether it was cut; absent without any.
    pub fn of(replies: &[(Thinking, bool)]) -> Option<Self> {
        let mut words: Vec<usize> = replies.iter().map(|(thinking, _)| thinking.words).collect();
        words.sort_unstable();
        let n = replies.len() as f64;
        let share = |holds: &dyn Fn(&Thinking) -> bool| {
            replies.iter().filter(|(thinking, _)| holds(thinking)).count() as f64 / n
        };
        let mean = |count: fn(&Thinking) -> usize| {
            replies.iter().map(|(thinking, _)| count(thinking)).sum::<usize>() as f64 / n
        };
        Some(Self {
            replies: replies.len(),
            words: stats::mean(&words.iter().map(|words| *words as f64).collect::<Vec<_>>())?,
            median_words: words[(words.len() - 1) / 2],
            most_words: words[words.len() - 1],
            cut: replies.iter().filter(|(_, is_cut)| *is_cut).count() as f64 / n,
            thinking: share(&|thinking| 0 < thinking.blocks),
            interleaved: share(&|thinking| 1 < thinking.blocks),
            blocks: mean(|thinking| thinking.blocks),
            self_checking: share(&|thinking| 0 < thinking.self_checks),
            self_checks: mean(|thinking| thinking.self_checks),
        })
    }

    /// Its lines for people.
    pub fn text(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        format!(
            "Replies: {} words in the mean, half have at most {}, none more than {}; {} were cut\n\
             Thinking: {} have a block, {} several; {} check themselves, {:.2} times in the mean\n",
            self.words.mean.round(),
            self.median_words,
            self.most_words,
            percent(self.cut),
            percent(self.thinking),
            percent(self.interleaved),
            percent(self.self_checking),
            self.self_checks,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(benchmark: &str, greedy: bool, right: &[bool], majority: bool) -> Sheet {
        Sheet { benchmark: benchmark.to_owned(), greedy: Some(greedy), right: right.to_vec(), majority }
    }

    #[test]
    fn rates_are_over_the_problems_of_each_benchmark() {
        let sheets = [
            sheet("aime24", true, &[true, true, false, true], true),
            sheet("aime24", false, &[false, false, true, false], false),
            sheet("amc23", false, &[false; 4], false),
        ];
        let found = benchmarks(&sheets);
        let aime = &found["aime24"];
        assert_eq!((aime.problems, aime.greedy), (2, Some(stats::wilson(1, 2))));
        assert_eq!(
            (aime.avg_at.k, aime.avg_at.mean),
            (4, within_shares(stats::mean(&[0.75, 0.25]).unwrap()))
        );
        // pass@2 of three and of one right reply among four: 1 and 1 − C(3, 2) / C(4, 2).
        let pass: Vec<(usize, f64)> = aime.pass_at.iter().map(|at| (at.k, at.mean.mean)).collect();
        assert_eq!(pass, [(1, 0.5), (2, 0.75), (4, 1.0)]);
        assert_eq!((aime.maj_at.k, aime.maj_at.rate), (4, stats::wilson(1, 2)));
        assert_eq!((found["amc23"].problems, found["amc23"].avg_at.mean.mean), (1, 0.0));
        assert!(found["amc23"].text().contains("maj@4"), "{}", found["amc23"].text());
    }

    #[test]
    fn replies_are_told_by_their_length_and_thoughts() {
        let replies = ["<think>a</think>b<think>Wait</think>c d", "a b c", "<think>a</think>b"];
        let seen: Vec<(Thinking, bool)> =
            replies.iter().enumerate().map(|(index, reply)| (Thinking::of(reply), index == 1)).collect();
        let found = Replies::of(&seen).unwrap();
        assert_eq!((found.replies, found.median_words, found.most_words), (3, 2, 3));
        let third = 1.0 / 3.0;
        assert_eq!((found.cut, found.interleaved, found.self_checking), (third, third, third));
        assert_eq!((found.thinking, found.blocks), (2.0 / 3.0, 1.0));
        assert_eq!(Replies::of(&[]), None);
    }
}
