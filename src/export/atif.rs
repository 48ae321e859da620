//! ATIF, the Agent Trajectory Interchange Format, version 1.7.
//!
//! Guarantees that nothing is lost: what ATIF has no place for stands under `extra.apprentice` of the record, of a call or of a
//! result, and `import::atif_own` reads it back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{ExportFormat, Options, Sink, TrajectorySink};
use crate::fsio;
use crate::fsio::whole::WholeFile;
use crate::trajectory::{Action, Observation, Step, Trajectory};

/// The format's version.
const VERSION: &str = "ATIF-v1.7";

/// ATIF.
pub(super) struct Atif;

impl ExportFormat for Atif {
    fn name(&self) -> &'static str {
        "atif"
    }

    fn about(&self) -> &'static str {
        "ATIF 1.7: a .jsonl file with one record a line, else a directory with one file each"
    }

    fn open(&self, out: &Path, _options: Options) -> anyhow::Result<Sink> {
        let is_lines = out.extension().is_some_and(|extension| extension == "jsonl");
        Ok(Sink::Trajectories(if is_lines {
            Box::new(Lines(WholeFile::create(out)?))
        } else {
            Box::new(Files { dir: out.to_owned(), names: BTreeSet::new(), written: Vec::new() })
        }))
    }
}

struct Lines(WholeFile);

impl TrajectorySink for Lines {
    fn push(&mut self, trajectory: &Trajectory) -> anyhow::Result<()> {
        self.0.push(&record(trajectory))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.0.finish()?])
    }
}

struct Files {
    dir: PathBuf,
    names: BTreeSet<String>,
    written: Vec<PathBuf>,
}

impl TrajectorySink for Files {
    fn push(&mut self, trajectory: &Trajectory) -> anyhow::Result<()> {
        let name = fsio::plain_name(&trajectory.id);
        // A file may hold an id twice; the later ones get a number.
        let mut numbered = name.clone();
        while !self.names.insert(numbered.clone()) {
            numbered = format!("{name}-{}", self.names.len());
        }
        let path = self.dir.join(format!("{numbered}.json"));
        fsio::write_json(&path, &record(trajectory))?;
        self.written.push(path);
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        Ok(self.written)
    }
}

/// A trajectory in ATIF.
fn record(trajectory: &Trajectory) -> Value {
    let source = &trajectory.source;
    let name = if source.format.is_empty() { "unknown" } else { &source.format };
    let mut agent = json!({"name": name, "version": "unknown"});
    if let Some(model) = &source.model {
        agent["model_name"] = model.as_str().into();
    }
    let steps = steps(trajectory);
    let mut own = json!({
        "format": trajectory.format,
        "task": trajectory.task,
        "source": source,
        "end": trajectory.end,
        "patch": trajectory.patch,
        "resolved": trajectory.resolved,
    });
    if let Some(answer) = &trajectory.answer {
        own["answer"] = answer.as_str().into();
    }
    json!({
        "schema_version": VERSION,
        "session_id": trajectory.id,
        "trajectory_id": trajectory.id,
        "agent": agent,
        "final_metrics": {"total_steps": steps.len()},
        "steps": steps,
        "extra": {"apprentice": own},
    })
}

fn steps(trajectory: &Trajectory) -> Vec<Value> {
    let mut steps: Vec<Value> = Vec::new();
    if let Some(problem) = &trajectory.problem {
        steps.push(json!({"source": "user", "message": problem}));
    } else if trajectory.steps.is_empty() {
        // ATIF asks for a step.
        steps.push(json!({"source": "system", "message": ""}));
    }
    let mut first = true;
    for (index, step) in trajectory.steps.iter().enumerate() {
        let call = call(step, index + 1, first);
        let same_reply =
            steps.last_mut().filter(|last| step.continues && !first && last["tool_calls"].is_array());
        if let Some(last) = same_reply {
            join(last, call, step, index + 1);
        } else {
            let mut new = json!({"source": "agent", "message": step.thought, "tool_calls": [call]});
            observe(&mut new, step, index + 1);
            steps.push(new);
        }
        first = false;
    }
    for (index, step) in steps.iter_mut().enumerate() {
        let mut numbered = Map::new();
        numbered.insert("step_id".to_owned(), (index + 1).into());
        if let Value::Object(fields) = step.take() {
            numbered.extend(fields);
        }
        *step = Value::Object(numbered);
    }
    steps
}

/// Adds a call to the step of the same reply.
fn join(last: &mut Value, call: Value, step: &Step, number: usize) {
    if let Some(calls) = last["tool_calls"].as_array_mut() {
        calls.push(call);
    }
    observe(last, step, number);
}

fn id(number: usize) -> String {
    format!("call_{number}")
}

fn call(step: &Step, number: usize, is_first: bool) -> Value {
    let mut own = Map::new();
    let (name, arguments) = match &step.action {
        Action::Bash { command } => ("bash", json!({"command": command})),
        Action::Submit => ("submit", json!({})),
        Action::Answer { text } => ("answer", json!({"text": text})),
        Action::Editor(call) => {
            own.insert("dialect".to_owned(), json!(call.dialect));
            own.insert("text".to_owned(), call.text.as_str().into());
            // The editor's first word is its name: `str_replace_editor`, or the windowed editor's verb.
            (call.text.split_whitespace().next().unwrap_or("editor"), json!(call.arguments))
        }
    };
    if !step.executed {
        own.insert("executed".to_owned(), false.into());
    }
    if step.foreign {
        own.insert("foreign".to_owned(), true.into());
    }
    // A first step continues nothing that ATIF could show; a later one has its thought in another's message.
    if step.continues {
        own.insert("continues".to_owned(), true.into());
        if !is_first && !step.thought.is_empty() {
            own.insert("thought".to_owned(), step.thought.as_str().into());
        }
    }
    let mut call = json!({"tool_call_id": id(number), "function_name": name, "arguments": arguments});
    if !own.is_empty() {
        call["extra"] = json!({"apprentice": own});
    }
    call
}

fn observe(into: &mut Value, step: &Step, number: usize) {
    let Some(observation) = &step.observation else { return };
    let mut result = json!({"source_call_id": id(number), "content": observation.output});
    // All fields but the output, where one says more than a recorded text does.
    if *observation != Observation::recorded(observation.output.as_str()) {
        let mut own = json!(observation);
        own.as_object_mut().map(|fields| fields.remove("output"));
        result["extra"] = json!({"apprentice": own});
    }
    match into["observation"]["results"].as_array_mut() {
        Some(results) => results.push(result),
        None => into["observation"] = json!({"results": [result]}),
    }
}
