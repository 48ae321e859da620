//! R2E-Gym: its runs' `trajectory_steps`, and its messages for fine-tuning.
//!
//! Its own reader strips values, so indentation at the beginning of `old_str` was lost before the tool saw
//! it; what is imported is what the tool saw. Commands ran in fresh shells in the repository. Relative
//! paths of its editor are made absolute, as the tool ran there.

use crate::trajectory::{Action, Dialect, Trajectory};

use super::chat::{self, Blocks, Conversation, Manner, Silent, Written};
use super::family::{Family, Fields, MESSAGES, has_messages, speaks, text};
use super::json::Json;
use super::markup::Trim;
use super::observed::{self, Wrapper};
use super::steps::Steps;
use super::tools;
use super::{Origin, RecordError, TrajectoryFormat};

/// Where R2E-Gym keeps the repository.
const WORKDIR: &str = "/testbed";

/// Runs and messages.
pub(super) struct R2eGym;

const FAMILY: Family = Family {
    name: "r2e-gym",
    recognizes,
    manner: Manner {
        dialect: Dialect::OpenHands,
        wrappers: &[Wrapper::Streams],
        trim: Trim::Space,
        blocks: Blocks::Last,
        silent: Silent::Mistake,
    },
    fresh_shells: true,
    fields: Fields {
        task: &["ds.instance_id", "instance_id", "docker_image", "ds.docker_image"],
        model: &["agent_args.llm_name", "model"],
        patch: &["output_patch"],
        resolved: &["reward"],
        status: &["exit_reason"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    record["trajectory_steps"].is_list()
        || (has_messages(record)
            && ["<function=file_editor>", "<parameter=cmd>"].iter().any(|word| speaks(record, word)))
}

impl TrajectoryFormat for R2eGym {
    fn name(&self) -> &'static str {
        FAMILY.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        recognizes(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let mut found = match &record["trajectory_steps"] {
            Json::List(steps) => vec![FAMILY.trajectory(record, origin, run(steps)?)?],
            _ => FAMILY.parse(record, origin)?,
        };
        for trajectory in &mut found {
            trajectory.source.workdir.get_or_insert_with(|| WORKDIR.to_owned());
            trajectory.steps.iter_mut().for_each(|step| make_absolute(&mut step.action));
        }
        Ok(found)
    }
}

fn run(recorded: &[Json]) -> Result<Conversation, RecordError> {
    let mut steps = Steps::default();
    for (index, step) in recorded.iter().enumerate() {
        let Some(action) = step["action"].text() else {
            let reason = format!("`action` must be text, found {}", step["action"].kind());
            return Err(RecordError::Step { step: index + 1, reason });
        };
        steps.open(chat::unlabelled(&step["thought"].text().unwrap_or_default()));
        chat::reply(&mut steps, &action, Vec::new(), Written::Functions, FAMILY.manner);
        if let Some(observation) = text(step, &["observation"]) {
            steps.see(None, observed::seen(observation, FAMILY.manner.wrappers));
        }
    }
    Ok(Conversation { steps, prompt: None, written: Written::Functions })
}

fn make_absolute(action: &mut Action) {
    let Action::Editor(call) = action else { return };
    let Some(path) = call.arguments.get("path").and_then(|path| path.as_str()) else { return };
    if path.starts_with('/') {
        return;
    }
    let relative = path.trim_start_matches("./");
    let whole = if relative.is_empty() || relative == "." {
        WORKDIR.to_owned()
    } else {
        format!("{WORKDIR}/{relative}")
    };
    call.arguments.insert("path".to_owned(), whole.into());
    *action = tools::editor(std::mem::take(&mut call.arguments), call.dialect);
}
