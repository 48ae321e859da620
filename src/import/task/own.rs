//! A repository of the user's instead of the row's image: for hosts without that image.
//!
//! The tests then run with the sandbox's own pytest, so only tasks of pytest can be taken.

use super::commands::{shell_word, test_files};
use super::row::Row;
use crate::task::{Parser, Repo, SandboxChoice, Task};

/// Where the repository comes from, and where it is worked on.
#[derive(Debug, Clone)]
pub struct Own {
    /// The source; GitHub at the base commit where it is absent.
    pub repo: Option<Repo>,
    /// The sandbox's name.
    pub sandbox: String,
}

impl Own {
    /// Makes a task use it.
    pub(super) fn take(&self, task: &mut Task, row: &Row) -> Result<(), String> {
        let base_commit = row.text("base_commit").map(str::to_owned);
        let github = || Repo {
            git: row.repo().map(|name| format!("https://github.com/{name}.git")),
            ..Repo::default()
        };
        let mut repo = self.repo.clone().unwrap_or_else(github);
        if repo.git.is_some() || repo.bundle.is_some() {
            repo.base_commit = base_commit;
        }
        let planted = task.repo.take().and_then(|repo| repo.patch);
        task.repo = Some(Repo { patch: planted, ..repo });
        task.sandbox = Some(SandboxChoice::from(self.sandbox.as_str()));
        task.setup.clear();
        let tests = task.tests.as_mut().ok_or("it has no tests")?;
        if tests.fail_to_pass.is_empty() {
            return Err("its tests are not pytest's: it has a map of endings".to_owned());
        }
        if let Some(id) = tests.fail_to_pass.iter().find(|id| !id.contains("::")) {
            return Err(format!("its tests are not pytest's: `{id}`"));
        }
        let mut files = match &tests.patch {
            Some(patch) => test_files(patch),
            None => tests.restore.clone(),
        };
        files.sort_unstable();
        files.dedup();
        if files.is_empty() {
            return Err("test_patch: it changes no test file".to_owned());
        }
        let files: Vec<String> = files.iter().map(|file| shell_word(file)).collect();
        tests.command = format!("python3 -m pytest -rA -p no:cacheprovider {}", files.join(" "));
        tests.parser = Parser::Pytest;
        Ok(())
    }
}
