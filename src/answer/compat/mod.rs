//! The verdicts of graders that papers use, for comparison with their numbers. No reward rests on them.
//!
//! Pure functions on text. Guarantees the reference's verdict on the recorded cases but for those that docs/answers.md
//! lists with their reason, defects included: hundredfold answers, 1e-4 of slack, absolute thresholds. Their symbolic
//! engines are not reproduced but their notation is: what it leaves open is not accepted, as with a timeout of theirs.

mod mathverify;
mod mathverify_extract;
mod notation;
mod qwen;
mod qwen_normal;
mod qwen_units;

/// A grader that is reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grader {
    /// The harness of Qwen2.5-Math, at its commit a45202b.
    Qwen,
    /// math-verify 0.9.0 with its defaults.
    MathVerify,
}

impl Grader {
    /// Every grader.
    pub const ALL: [Self; 2] = [Self::Qwen, Self::MathVerify];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen => "qwen",
            Self::MathVerify => "math-verify",
        }
    }
}

/// What a grader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it accepts the reply.
    pub is_accepted: bool,
    /// Which of its rules decided.
    pub rule: &'static str,
    /// The answer that it finds in the reply, in its own spelling.
    pub extracted: String,
}

/// Judges a reply as a grader does.
pub fn judge(grader: Grader, gold: &str, reply: &str) -> Said {
    match grader {
        Grader::Qwen => qwen::judge(gold, reply),
        Grader::MathVerify => mathverify::judge(gold, reply),
    }
}
