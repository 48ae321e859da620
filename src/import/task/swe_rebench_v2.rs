//! SWE-rebench V2: twenty languages, with image, commands and parser in the row.
//! <https://github.com/SWE-rebench/SWE-rebench-V2>
//!
//! Upstream wants the tests that pass to be exactly those of the lists; here they have to be among them, so that a
//! student's own test costs nothing.

use super::TaskFormat;
use super::row::Row;
use super::swe_bench::{in_image, known_parser, lists, readable};
use crate::task::{Limits, Parser, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-rebench-v2", recognizes, task };

/// Wall seconds of the tests; upstream bounds nothing.
const TEST_SECONDS: f64 = 3600.0;

fn recognizes(row: &Row) -> bool {
    row.has("install_config") && row.has("image_name") && row.has("language")
}

fn task(row: &Row) -> Result<Task, String> {
    let image = row.need("image_name")?;
    let (_, name) = row.need("repo")?.split_once('/').ok_or("repo: it is not `owner/name`")?;
    let config = row.object("install_config")?;
    let config = Row::new(&config);
    let within = |fault: String| format!("install_config: {fault}");
    let commands = config.commands("test_cmd").map_err(within)?;
    if commands.is_empty() {
        return Err("install_config: test_cmd: it is empty".to_owned());
    }
    let parser = known_parser("rebenchv2", config.need("log_parser").map_err(within)?)?;
    let mut task = in_image(row, row.need("instance_id")?, row.need("problem_statement")?, image);
    if let Some(sandbox) = &mut task.sandbox {
        sandbox.workdir = Some(format!("/{name}"));
    }
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    task.difficulty = difficulty(row);
    task.tests = Some(Tests {
        command: format!("set -e\n{}\n", commands.join("\n")),
        parser: Parser::from(parser),
        patch: Some(row.need("test_patch")?.to_owned()),
        ..lists(row)?
    });
    readable(&task)?;
    Ok(task)
}

/// What the first language model said.
fn difficulty(row: &Row) -> Option<String> {
    let meta = row.object("meta").ok()?;
    let said = meta.get("llm_metadata")?;
    let said = said.get(0).unwrap_or(said);
    said.get("difficulty")?.as_str().map(str::to_owned)
}
