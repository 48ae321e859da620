//! Our verdict, on which rewards rest: exact, or in a named profile to the digits of a measured gold answer.

use super::compare;
use super::extract;
use super::fuel::Fuel;
use super::minerva;
use super::modular::mix;
use super::rule::Rule;
use super::scalar::{Context, Outcome};
use super::token::Unreadable;
use super::value::{self, Value};
use super::{Judged, Profile, Verdict};

/// Judges a reply by the gold answer.
///
/// The gold answer may be LaTeX, with or without `$` and a box, or plain text.
pub fn judge(gold: &str, reply: &str, profile: Profile) -> Judged {
    let Some(extracted) = extract::answer(reply) else {
        return Judged { verdict: Verdict::NoAnswer, rule: Rule::NoAnswer, extracted: None };
    };
    let (verdict, rule) = answers(gold, &extracted, profile);
    Judged { verdict, rule, extracted: Some(extracted) }
}

/// Compares two answers without extraction.
pub fn answers(gold: &str, answer: &str, profile: Profile) -> (Verdict, Rule) {
    let (gold_text, answer_text) = (spaceless(gold), spaceless(answer));
    if gold_text.is_empty() || answer_text.is_empty() {
        return (Verdict::NotEqual, Rule::Unreadable);
    }
    if gold_text == answer_text {
        return (Verdict::Equal, Rule::SameText);
    }
    let context = Context { seed: seed(&gold_text) ^ seed(&answer_text), fuel: Fuel::full() };
    match (value::read(gold), value::read(answer)) {
        (Ok(gold_value), Ok(answer_value)) => {
            // One order for both, so that fuel that runs out does so alike.
            let exact = if gold_text <= answer_text {
                compare::compare(&gold_value, &answer_value, &context)
            } else {
                compare::compare(&answer_value, &gold_value, &context)
            };
            match profile {
                Profile::Exact => exact,
                Profile::Minerva => rounded((gold, &gold_value), &answer_value, exact),
            }
        }
        (Err(fault), Ok(_)) | (Ok(_), Err(fault)) => unread(fault),
        // The same words without regard to case, where neither is mathematics.
        (Err(one), Err(other)) if gold_text.to_lowercase() == answer_text.to_lowercase() => {
            match (one, other) {
                (Unreadable::Malformed, Unreadable::Malformed) => (Verdict::Equal, Rule::Words),
                _ => unread(if one == Unreadable::Malformed { other } else { one }),
            }
        }
        (Err(one), Err(other)) => unread(if one == Unreadable::Malformed { other } else { one }),
    }
}

fn rounded((text, gold): (&str, &Value), answer: &Value, exact: Outcome) -> Outcome {
    if exact.0 != Verdict::Equal && minerva::is_within(text, gold, answer) {
        return (Verdict::Equal, Rule::SignificantDigits);
    }
    exact
}

fn unread(fault: Unreadable) -> Outcome {
    match fault {
        Unreadable::Malformed => (Verdict::NotEqual, Rule::Unreadable),
        Unreadable::Unsupported => (Verdict::Undecided, Rule::Unsupported),
        Unreadable::TooLarge => (Verdict::Undecided, Rule::TooLarge),
    }
}

fn spaceless(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace() && *letter != '$').collect()
}

fn seed(text: &str) -> u64 {
    text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}
