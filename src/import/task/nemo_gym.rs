//! Rows of NeMo Gym, as Nemotron's SWE sets have them: another data set's row in a wrapper.
//! <https://github.com/NVIDIA-NeMo/Gym>
//!
//! The wrapped row is a JSON text under `responses_create_params.metadata.instance_dict`, and `dataset_name` says whose
//! it is; some sets put the row beside `responses_create_params` instead, with `subset`.

use serde_json::{Map, Value};

use super::row::Row;
use super::{TaskFormat, origin, sniff};
use crate::task::Task;

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "nemo-gym", recognizes, task };

fn recognizes(row: &Row) -> bool {
    row.has("responses_create_params") && !row.has("response")
}

/// Words of `dataset_name`, and whose rows they are; the first that fits counts.
const ROUTES: [(&str, &str); 9] = [
    ("SWE-Gym", "swe-gym"),
    ("R2E-Gym", "r2e-gym"),
    ("SWE-rebench-V2", "swe-rebench-v2"),
    ("SWE-rebench", "swe-rebench"),
    ("SWE-smith", "swe-smith"),
    ("Multi-SWE", "multi-swe-bench"),
    ("SWE-bench-Live", "swe-bench-live"),
    ("SWE-bench_Pro", "swe-bench-pro"),
    ("SWE-bench", "swe-bench"),
];

fn task(row: &Row) -> Result<Task, String> {
    let params = row.object("responses_create_params")?;
    let metadata = params.get("metadata").and_then(Value::as_object);
    let Some(metadata) = metadata.filter(|metadata| metadata.contains_key("instance_dict")) else {
        return flat(row);
    };
    let metadata = Row::new(metadata);
    let instance = metadata.object("instance_dict")?;
    let name = metadata.need("dataset_name")?;
    let route = ROUTES.iter().find(|(word, _)| name.contains(word));
    let (_, format) = route.ok_or_else(|| format!("dataset_name: no importer reads the rows of `{name}`"))?;
    wrapped(&instance, super::format(format).ok_or("dataset_name: its importer is missing")?)
}

/// The row beside its wrapper.
fn flat(row: &Row) -> Result<Task, String> {
    let instance = row.without("responses_create_params");
    if !instance.contains_key("FAIL_TO_PASS") && !instance.contains_key("expected_output_json") {
        return Err("responses_create_params.metadata: it holds no `instance_dict`".to_owned());
    }
    let format = sniff(&Row::new(&instance))?;
    wrapped(&instance, format)
}

fn wrapped(instance: &Map<String, Value>, format: &'static TaskFormat) -> Result<Task, String> {
    let row = Row::new(instance);
    let mut task = (format.task)(&row)?;
    // Of the wrapped row, so that it is the same task whichever file it came in.
    task.origin = Some(origin(format.name, &row, &task.id));
    Ok(task)
}
