//! Following a plan: each command is run, and what it shows becomes the trajectory.

use crate::act::Actor;
use crate::sandbox::SandboxError;
use crate::trajectory::{self, Action, End, Source, Step, Trajectory};

use super::expert::Planned;

/// Runs the plan of task `id` and gives the trajectory, which ends with what was changed.
pub(super) async fn follow(
    actor: &mut Actor,
    id: &str,
    plan: &[Planned],
) -> Result<Trajectory, SandboxError> {
    let mut steps = Vec::with_capacity(plan.len() + 1);
    for Planned { thought, command } in plan {
        let action = Action::bash(command);
        let seen = actor.perform(&action).await?;
        steps.push(Step::new(thought, action).seeing(seen));
    }
    steps.push(Step::new("All tests pass.", Action::Submit));
    Ok(Trajectory {
        format: trajectory::FORMAT.to_owned(),
        id: format!("synth-{id}"),
        task: id.to_owned(),
        source: Source { format: "synth".to_owned(), ..Source::default() },
        problem: None,
        steps,
        end: End::Submitted,
        patch: Some(actor.patch().await?.patch),
        answer: None,
        resolved: None,
    })
}
