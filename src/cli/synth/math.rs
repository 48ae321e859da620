//! `apprentice task synth --math`.

use serde_json::json;

use super::Args;
use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::synth::math::{self, Options};

/// Makes problems of mathematics.
pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let held_out = args.count.div_ceil(4);
    let options =
        Options { seed: args.seed, train: args.count, new_numbers: held_out, new_templates: held_out };
    let problems = math::problems(&options).map_err(Failure::usage)?;
    problems.write(&args.out).map_err(Failure::host)?;
    let counts = problems.named().map(|(name, problems)| (name, problems.len()));
    let tasks: usize = counts.iter().map(|(_, count)| count).sum();
    let mut value = json!({"format": "apprentice.synth/1", "tasks": tasks, "out": args.out});
    for (name, count) in counts {
        value[name.replace('-', "_")] = count.into();
    }
    let human = format!(
        "Wrote {tasks} problems and their solutions to {}: {}",
        args.out.display(),
        counts.map(|(name, count)| format!("{count} in {name}")).join(", ")
    );
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}
