//! SWE-rebench, first version: classic rows that bring the commands of their environment along.
//! <https://huggingface.co/datasets/nebius/SWE-rebench>

use serde_json::Value;

use super::TaskFormat;
use super::commands::{conda, shell_word, test_files};
use super::row::Row;
use super::swe_bench::{classic, image, known_parser, mangled};
use crate::task::Task;

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-rebench", recognizes, task };

fn recognizes(row: &Row) -> bool {
    row.has("install_config") && row.has("FAIL_TO_PASS")
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let image = image(row, || format!("swerebench/sweb.eval.x86_64.{}:latest", mangled(id, "_1776_")));
    let config = row.object("install_config")?;
    let config = Row::new(&config);
    let within = |fault: String| format!("install_config: {fault}");
    let parser = known_parser("swebench", config.text("log_parser").unwrap_or("parse_log_pytest"))?;
    let prepare = config.commands("eval_commands").map_err(within)?;
    let install = config.commands("install").map_err(within)?.join("\n");
    let files = test_files(row.need("test_patch")?);
    if files.is_empty() {
        return Err("test_patch: it changes no test file".to_owned());
    }
    let files: Vec<String> = files.iter().map(|file| shell_word(file)).collect();
    let mut script = conda(prepare.iter().map(String::as_str), Some(&install));
    script.tests = vec![format!("{} {}", config.need("test_cmd").map_err(within)?, files.join(" "))];
    let mut task = classic(row, &image, &script, parser)?;
    task.difficulty = task.difficulty.or_else(|| difficulty(row));
    Ok(task)
}

/// The score that a language model gave.
fn difficulty(row: &Row) -> Option<String> {
    let meta = row.object("meta").ok()?;
    match &meta.get("llm_score")?["difficulty_score"] {
        Value::Number(score) => Some(score.to_string()),
        Value::String(score) => Some(score.clone()),
        _ => None,
    }
}
