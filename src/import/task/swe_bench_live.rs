//! SWE-bench-Live and its MultiLang set: commands that rebuild, test and print, and the name of a parser.
//! <https://github.com/microsoft/SWE-bench-Live>
//!
//! Upstream forgives a test that keeps passing and is missing from the log; here it has to be there.

use super::TaskFormat;
use super::row::Row;
use super::swe_bench::{image, in_image, lists, mangled, readable};
use crate::task::{Limits, Parser, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-bench-live", recognizes, task };

/// Wall seconds of the tests, as in the harness.
const TEST_SECONDS: f64 = 9000.0;

fn recognizes(row: &Row) -> bool {
    row.has("test_cmds") && row.has("FAIL_TO_PASS")
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let image = image(row, || format!("starryzhang/sweb.eval.x86_64.{}", mangled(id, "_1776_")));
    if image.contains(".eval.win.") {
        return Err("docker_image: it runs on Windows only".to_owned());
    }
    match row.text("log_parser").or_else(|| row.text("parser")).map(str::trim) {
        Some(name) if name.eq_ignore_ascii_case("pytest") => {}
        Some(_) => return Err("log_parser: it is Python source, which is not run on the host".to_owned()),
        None => return Err("missing field `log_parser`".to_owned()),
    }
    let [rebuild, tests, print] = ["rebuild_cmds", "test_cmds", "print_cmds"].map(|key| row.commands(key));
    let (rebuild, tests, print) = (rebuild?, tests?, print?);
    if tests.is_empty() {
        return Err("test_cmds: it is empty".to_owned());
    }
    let mut task = in_image(row, id, row.need("problem_statement")?, &image);
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    task.tests = Some(Tests {
        command: command(&rebuild, &tests, &print),
        parser: Parser::from("swebench.parse_log_pytest".to_owned()),
        patch: row.text("test_patch").map(str::to_owned),
        ..lists(row)?
    });
    readable(&task)?;
    Ok(task)
}

/// Where something prints the log, only what it prints counts, as upstream; the rest goes nowhere.
fn command(rebuild: &[String], tests: &[String], print: &[String]) -> String {
    let joined = |commands: &[String]| commands.join("\n");
    if print.is_empty() {
        return format!("{}\n", joined(&[rebuild, tests].concat()));
    }
    let quiet = [rebuild, tests].concat();
    format!("{{\n{}\n}} > /dev/null 2>&1\n{}\n", joined(&quiet), joined(print))
}
