//! SWE-bench Pro. <https://github.com/scaleapi/SWE-bench_Pro-os>
//!
//! Its rows do not say how their tests run: each has a shell script and a Python program in the project's repository,
//! `run_scripts/<id>/{run_script.sh,parser.py}`. A row to which the two were added, as texts under `run_script` and
//! `parser`, becomes a task; the program runs in the sandbox, after the tests, and what it says is printed as a log.

use super::TaskFormat;
use super::commands::shell_word;
use super::row::Row;
use super::swe_bench::{in_image, readable};
use crate::task::{Limits, Parser, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-bench-pro", recognizes, task };

/// Wall seconds of the tests, as in the harness.
const TEST_SECONDS: f64 = 3600.0;
const WORKDIR: &str = "/app";

fn recognizes(row: &Row) -> bool {
    row.has("before_repo_set_cmd") || row.has("selected_test_files_to_run")
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let tag = row.need("dockerhub_tag")?;
    let (Some(script), Some(parser)) = (row.text("run_script"), row.text("parser")) else {
        return Err(format!(
            "it does not say how its tests run: add `run_scripts/{id}/run_script.sh` and `parser.py` of the data \
             set's repository as `run_script` and `parser`"
        ));
    };
    let mut task = in_image(row, id, &problem(row)?, &format!("jefzda/sweap-images:{tag}"));
    if let Some(sandbox) = &mut task.sandbox {
        sandbox.workdir = Some(WORKDIR.to_owned());
    }
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    let files = row.list("selected_test_files_to_run")?;
    let (fail_to_pass, mut pass_to_pass) = (either(row, "fail_to_pass")?, either(row, "pass_to_pass")?);
    if fail_to_pass.is_empty() {
        return Err("fail_to_pass is empty: nothing would tell a repair".to_owned());
    }
    pass_to_pass.retain(|id| !fail_to_pass.contains(id));
    task.tests = Some(Tests {
        command: command(&env(row), script, parser, &files),
        parser: Parser::from("swebench.parse_log_jest_json".to_owned()),
        patch: row.text("test_patch").map(str::to_owned),
        restore: files,
        fail_to_pass,
        pass_to_pass,
        ..Tests::default()
    });
    readable(&task)?;
    Ok(task)
}

/// The statement with what it asks for and the names it needs, as upstream shows it.
fn problem(row: &Row) -> Result<String, String> {
    let mut problem = row.need("problem_statement")?.to_owned();
    for (title, key) in [("Requirements", "requirements"), ("New interfaces introduced", "interface")] {
        if let Some(text) = row.text(key) {
            problem.push_str(&format!("\n\n{title}:\n{text}"));
        }
    }
    Ok(problem)
}

/// The lists are written in either case.
fn either(row: &Row, key: &str) -> Result<Vec<String>, String> {
    let upper = key.to_uppercase();
    row.list(if row.has(&upper) { &upper } else { key })
}

/// The variables of the two images, which a command of a sandbox does not have.
fn env(row: &Row) -> String {
    let files = ["base_dockerfile", "instance_dockerfile"].into_iter().filter_map(|key| row.text(key));
    let lines = files.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("ENV "));
    lines.map(|line| format!("export {}\n", assignments(line.trim()))).collect()
}

/// `ENV KEY VALUE` is the old way to write `ENV KEY=VALUE`.
fn assignments(line: &str) -> String {
    match line.split_once(char::is_whitespace) {
        Some((key, value)) if !key.contains('=') => format!("{key}={}", shell_word(value.trim())),
        _ => line.to_owned(),
    }
}

fn command(env: &str, script: &str, parser: &str, files: &[String]) -> String {
    const SAY: &str = "import json, sys\n\
        for test in json.load(open(sys.argv[1])).get('tests', []):\n    \
        if test['status'] in ('PASSED', 'FAILED'):\n        \
        print('[%s] %s' % (test['status'], test['name']))\n";
    let files = shell_word(&files.join(","));
    let (script, parser, say) = (shell_word(script), shell_word(parser), shell_word(SAY));
    format!(
        "{env}work=$(mktemp -d)\npython=$(command -v python || command -v python3)\n\
         printf %s {script} > \"$work/run_script.sh\"\n\
         bash \"$work/run_script.sh\" {files} > \"$work/stdout.log\" 2> \"$work/stderr.log\"\n\
         printf %s {parser} > \"$work/parser.py\"\n\
         \"$python\" \"$work/parser.py\" \"$work/stdout.log\" \"$work/stderr.log\" \"$work/output.json\" > /dev/null\n\
         \"$python\" -c {say} \"$work/output.json\"\n"
    )
}
