//! SWE-Gym and SWE-Gym Lite: classic rows with lists, whose images and commands its fork of the harness knows.
//! <https://github.com/SWE-Gym/SWE-Bench-Fork>

use super::TaskFormat;
use super::commands::{self, Wanted, is_gyms};
use super::row::Row;
use super::swe_bench::{classic, image, mangled};
use crate::task::Task;

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-gym", recognizes, task };

fn recognizes(row: &Row) -> bool {
    row.has("FAIL_TO_PASS") && !row.has("eval_script") && row.repo().is_some_and(|repo| is_gyms(&repo))
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let image = image(row, || format!("xingyaoww/sweb.eval.x86_64.{}:latest", mangled(id, "_s_")));
    let (script, parser) = commands::swe_gym(&Wanted {
        repo: row.need("repo")?,
        version: &row.scalar("version").unwrap_or_default(),
        test_patch: row.need("test_patch")?,
    })?;
    classic(row, &image, &script, parser)
}
