//! Scripts that set an environment up and run tests, as SWE-bench's harness writes them: taken apart and put together.
//!
//! The published script also resets and patches the tests with git, inside of the sandbox. Here the grader does that
//! from outside, with files that the student's commands never reached, so those lines go; what prepares the
//! environment and what runs the tests stays as it is. The markers around the tests stay too: the reference's own
//! verdict is read between them. The script ends with the exit code of the tests.

use crate::patch::Patch;

const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";

/// What prepares, and what runs the tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Lines before the tests.
    pub(super) before: Vec<String>,
    /// Lines that run the tests.
    pub(super) tests: Vec<String>,
    /// The tests' patch that the script applied.
    pub(super) patch: Option<String>,
}

impl Script {
    /// Takes a published script apart.
    pub(super) fn parse(text: &str, base_commit: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let (mut lines, mut is_in_tests, mut is_whole) = (text.lines(), false, false);
        while let Some(line) = lines.next() {
            if line.contains(END) {
                is_whole = is_in_tests;
                break;
            }
            if line.contains(START) {
                is_in_tests = true;
            } else if is_in_tests {
                script.tests.push(line.to_owned());
            } else if line.starts_with("git apply") {
                let delimiter = heredoc(line)
                    .ok_or_else(|| format!("eval_script: it applies what is not in the row: `{line}`"))?;
                script.patch.get_or_insert_default().push_str(&body(&mut lines, delimiter)?);
            } else {
                script.before.push(line.to_owned());
            }
        }
        if !is_whole {
            return Err("eval_script: it does not mark where its tests start and end".to_owned());
        }
        let added = added(script.patch.as_deref().unwrap_or_default());
        script.before.retain(|line| !is_graders(line, base_commit, &added));
        if script.tests.iter().all(|line| line.trim().is_empty()) {
            return Err("eval_script: it runs nothing between its markers".to_owned());
        }
        Ok(script)
    }

    /// The command of a task.
    pub(super) fn command(&self) -> String {
        let mut command = "set -uxo pipefail\n".to_owned();
        for line in &self.before {
            command.push_str(line);
            command.push('\n');
        }
        command.push_str(&format!(": '{START}'\n"));
        for line in &self.tests {
            command.push_str(line);
            command.push('\n');
        }
        // `:` would end with 0 and hide how the tests ended.
        command.push_str(&format!("code=$?\n: '{END}'\nexit \"$code\"\n"));
        command
    }
}

/// The word that ends a here-document, where a line begins one.
fn heredoc(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("<<")?;
    Some(rest.trim_start_matches('-').trim().trim_matches(['\'', '"'])).filter(|word| !word.is_empty())
}

fn body<'a>(lines: &mut impl Iterator<Item = &'a str>, delimiter: &str) -> Result<String, String> {
    let mut body = String::new();
    for line in lines {
        if line == delimiter {
            return Ok(body);
        }
        body.push_str(line);
        body.push('\n');
    }
    Err(format!("eval_script: its patch has no end `{delimiter}`"))
}

/// The files that a patch adds.
fn added(patch: &str) -> Vec<String> {
    let patch = Patch::parse(patch).unwrap_or_default();
    patch.files.into_iter().filter(|file| file.old.is_none()).filter_map(|file| file.new).collect()
}

/// Whether a line does what the grader does itself, or only tells of it.
fn is_graders(line: &str, base_commit: &str, added: &[String]) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        []
        | ["#!/bin/bash"]
        | ["set", "-uxo", "pipefail"]
        | ["git", "status" | "show"]
        | ["git", "diff", _]
        | ["git", "-c", "core.fileMode=false", "diff", _] => true,
        ["git", "checkout", commit, ..] => commit == base_commit,
        ["rm", "-f", ref paths @ ..] => paths.iter().all(|path| added.iter().any(|file| file == path)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/t.py b/t.py\nnew file mode 100644\n--- /dev/null\n+++ b/t.py\n@@ -0,0 +1,2 @@\n+set -uxo pipefail\n+#!/bin/bash\n";

    fn published() -> String {
        format!(
            "#!/bin/bash\nset -uxo pipefail\nsource activate\ngit status\ngit show\ngit -c core.fileMode=false diff c0\n\
             export A=1\ngit checkout c0 t.py\nrm -f t.py\ngit apply -v - <<'EOF_1'\n{PATCH}EOF_1\nmake\n\
             : '{START}'\npytest -rA t.py\n: '{END}'\ngit checkout c0 t.py\n"
        )
    }

    #[test]
    fn what_the_grader_does_itself_goes_and_the_rest_stays() {
        let script = Script::parse(&published(), "c0").unwrap();
        assert_eq!(script.before, ["source activate", "export A=1", "make"]);
        assert_eq!(script.tests, ["pytest -rA t.py"]);
        // The harness drops such lines from the patch as well.
        assert_eq!(script.patch.as_deref(), Some(PATCH));
    }

    #[test]
    fn the_command_ends_with_the_code_of_its_tests() {
        let script = Script { tests: vec!["(exit 7)".to_owned()], ..Script::default() };
        let output = std::process::Command::new("bash").args(["-c", &script.command()]).output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(&format!("+ : '{START}'")) && log.contains(&format!("+ : '{END}'")), "{log}");
    }

    #[test]
    fn a_script_that_cannot_be_taken_apart_says_why() {
        let fault = |text: &str| Script::parse(text, "c0").unwrap_err();
        let unmarked = "eval_script: it does not mark where its tests start and end";
        assert_eq!(fault("pytest\n"), unmarked);
        assert_eq!(fault(&format!(": '{END}'\n: '{START}'\npytest\n")), unmarked);
        assert_eq!(
            fault(&format!("git apply /tmp/a.patch\n: '{START}'\npytest\n: '{END}'\n")),
            "eval_script: it applies what is not in the row: `git apply /tmp/a.patch`"
        );
        assert_eq!(fault("git apply - <<'E'\nx\n"), "eval_script: its patch has no end `E`");
        assert_eq!(
            fault(&format!(": '{START}'\n\n: '{END}'\n")),
            "eval_script: it runs nothing between its markers"
        );
    }
}
