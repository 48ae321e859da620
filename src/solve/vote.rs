//! The vote of several replies for an answer.

use super::{Judge, Reply};

/// Whether the answer that most replies give is right; of several with as many votes, the one that was given first counts.
/// Replies without an answer do not vote.
pub(super) fn is_right(replies: &[Reply], judge: &dyn Judge) -> bool {
    let mut parties: Vec<(&str, &Reply, usize)> = Vec::new();
    for reply in replies {
        let Some(answer) = reply.judged.answer.as_deref() else { continue };
        match parties.iter_mut().find(|(known, ..)| judge.is_same(known, answer)) {
            Some((.., votes)) => *votes += 1,
            None => parties.push((answer, reply, 1)),
        }
    }
    // The later of two equal ones is the maximum, so the earliest comes last.
    parties.iter().rev().max_by_key(|(.., votes)| *votes).is_some_and(|(_, reply, _)| reply.is_right())
}
