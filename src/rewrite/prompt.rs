//! What a teacher is asked, with two examples of what is wanted.

use super::Prose;
use crate::chat::{Message, Role};

/// What stands before the steps in a reply.
pub(super) const MARK: &str = "SOLUTION:";

const SYSTEM: &str = "You teach mathematics and edit solutions for a textbook. You are given a problem and a solution \
that is right. Write the same solution as numbered steps. Keep its ideas and their order; do not solve the problem your \
own way, and leave no part of the work out. Each step is one logical move: a title in bold, an imperative of at most six \
words, and after it the equations and operations of that step. The last step holds the final answer in \\boxed{}. \
Reply with the word SOLUTION: on a line of its own and the steps below it, and with nothing else.";

/// Questions and the replies that are wanted.
const EXAMPLES: [(&str, &str, &str); 2] = [
    (
        "What is the sum of the first 20 positive odd numbers?",
        "The odd numbers are 1, 3, …, and the 20th is 39. Pairing first and last gives 40 each time and there are 10 \
         pairs, hence $10\\cdot 40=400$, i.e. $\\boxed{400}$.",
        "SOLUTION:\n1. **Find the last term** The 20th odd number is $2\\cdot 20-1=39$.\n2. **Pair the terms** First and \
         last add up to $1+39=40$, and 20 numbers make $20/2=10$ pairs.\n3. **Multiply** $10\\cdot 40=400$, so the sum is \
         $\\boxed{400}$.",
    ),
    (
        "Find all real $x$ with $x^2=5x-6$.",
        "Bring everything to one side, $x^2-5x+6=0$, which factors as $(x-2)(x-3)=0$. So $x=2$ or $x=3$: $\\boxed{2, 3}$.",
        "SOLUTION:\n1. **Collect the terms** $x^2-5x+6=0$.\n2. **Factor the quadratic** Since $2+3=5$ and $2\\cdot 3=6$, \
         $(x-2)(x-3)=0$.\n3. **Read off the roots** $x=2$ or $x=3$, so the answer is $\\boxed{2, 3}$.",
    ),
];

/// The conversation that a rewriting answers.
pub(super) fn messages(prose: &Prose) -> Vec<Message> {
    let message = |role, content: String| Message { role, content };
    let mut messages = vec![message(Role::System, SYSTEM.to_owned())];
    for (problem, solution, wanted) in EXAMPLES {
        messages.push(message(Role::User, question(problem, solution)));
        messages.push(message(Role::Assistant, wanted.to_owned()));
    }
    messages.push(message(Role::User, question(&prose.problem, &prose.solution)));
    messages
}

fn question(problem: &str, solution: &str) -> String {
    format!("PROBLEM:\n{}\n\nORIGINAL:\n{}", problem.trim(), solution.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::checked;
    use crate::solve::Strict;

    #[test]
    fn the_examples_are_what_is_asked_for() {
        for (problem, solution, wanted) in EXAMPLES {
            let answer = crate::solution::last_box(solution).unwrap().to_owned();
            let (id, problem, solution) = ("e".to_owned(), problem.to_owned(), solution.to_owned());
            let prose = Prose { id, problem, solution, answer };
            assert!(checked(&prose, Some(wanted), &Strict).is_ok(), "{wanted}");
        }
    }
}
