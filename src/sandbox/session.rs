//! What one command leaves to the next: directory, exported variables and functions.
//!
//! Pure text. A command runs as plain `bash -c SCRIPT`; the session comes in through `BASH_ENV`, which
//! names a prelude that restores a state file and saves it again when the script exits. So the script,
//! its exit code and bash's own messages are those of plain bash. Guarantees that the state lives in
//! one directory of the sandbox, and so travels with a fork; whoever runs the command moves the saved
//! state into place ([`SessionDir::carry_on`]), which costs less than a process of its own. Does not carry aliases, options,
//! variables that are not exported, or processes; a script that is killed, replaces the shell
//! (`exec`) or sets its own `EXIT` trap leaves the state as it was.

mod state;

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use serde::{Deserialize, Serialize};

use super::{Exec, REPORT_VARIABLE, Session};

/// Scripts up to this size are an argument; Linux refuses arguments of 128 KiB.
const INLINE_BYTES: usize = 120_000;

/// What a state that was saved to its end ends with.
const END: &str = "# whole\n";

/// Where a sandbox keeps its session: a directory that its user may write, as seen from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDir {
    path: String,
}

/// A command as the sandbox starts it, in the work directory, with stdin closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables to set beside the sandbox's own.
    pub env: Vec<(String, String)>,
    /// A file of the sandbox that must hold these bytes first.
    pub script_file: Option<(String, String)>,
}

impl SessionDir {
    /// A session in the directory `path`.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into() }
    }

    /// The directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file that must hold [`SessionDir::prelude`].
    pub fn prelude_path(&self) -> String {
        format!("{}/prelude", self.path)
    }

    /// The state of the session, absent until the first command ended.
    pub fn state_path(&self) -> String {
        format!("{}/state", self.path)
    }

    /// The pipe that a command writes its report to, while it runs.
    pub fn report_path(&self) -> String {
        format!("{}/report", self.path)
    }

    /// Where a command saves the state.
    fn saved_path(&self) -> String {
        format!("{}/saved", self.path)
    }

    /// Whether there is a state, which brings all variables: then a command starts with none.
    pub fn has_begun(&self) -> bool {
        const READABLE: u32 = 0o400;
        std::fs::symlink_metadata(self.state_path())
            .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & READABLE != 0)
    }

    /// The directory and the variables of a state without functions, where they are written plainly;
    /// `None` when only bash can read them.
    pub fn state(&self) -> Option<(String, Vec<(String, String)>)> {
        state::read(&std::fs::read_to_string(self.state_path()).ok()?)
    }

    /// Makes what the command saved the state, if it saved all of it; a command that was killed or ran
    /// out of disk leaves the older state. Follows no link: the directory is the agent's.
    pub fn carry_on(&self) {
        let saved = self.saved_path();
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let Ok(mut file) = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&saved) else {
            return;
        };
        let mut end = [0; END.len()];
        let is_whole = file.metadata().is_ok_and(|metadata| metadata.is_file())
            && file.seek(SeekFrom::End(-(END.len() as i64))).is_ok()
            && file.read_exact(&mut end).is_ok()
            && end == *END.as_bytes();
        if is_whole {
            // Only the agent can be in the way, and it harms nobody but itself.
            std::fs::rename(&saved, self.state_path()).ok();
        }
    }

    /// What bash reads before every carried script.
    pub fn prelude(&self) -> String {
        let (state, saved) = (quote(&self.state_path()), quote(&self.saved_path()));
        // The state starts with the directory, because `cd` sets OLDPWD, which the variables restore; it
        // ends with the functions, because they may shadow the builtins used before. Only builtins save
        // it: a process would cost more than all the rest.
        let save = format!(
            r#"{{ builtin set +exuv; }} 2>/dev/null
{{
builtin printf "builtin cd -- %q 2>/dev/null\n" "$PWD"
builtin export -p
builtin printf '%s\n' '{}'
builtin declare -f
builtin declare -F
builtin printf '%s\n' '{}'
}} 2>/dev/null >|{saved}"#,
            state::WHOLE_DIRECTORY,
            END.trim_end()
        );
        format!(
            "unset BASH_ENV\nif [[ -r {state} ]]; then unset PWD OLDPWD SHLVL; . {state} >/dev/null 2>&1; fi\ntrap -- {} EXIT\n",
            quote(&save)
        )
    }

    /// How to run `exec` in this session.
    pub fn invocation(&self, exec: &Exec<'_>) -> Invocation {
        let mut env = match exec.session {
            Session::Carried => vec![("BASH_ENV".to_owned(), self.prelude_path())],
            Session::Fresh => Vec::new(),
        };
        let report = (exec.report_bytes > 0).then(|| (REPORT_VARIABLE.to_owned(), self.report_path()));
        env.extend(report);
        // No program takes a NUL in its arguments, and bash drops them from files.
        let script = exec.script.replace('\0', "");
        if script.len() <= INLINE_BYTES {
            return Invocation { argv: bash(script), env, script_file: None };
        }
        let path = format!("{}/script", self.path);
        let argv = bash(format!("eval \"$(<{})\"", quote(&path)));
        Invocation { argv, env, script_file: Some((path, script)) }
    }
}

fn bash(script: String) -> Vec<String> {
    vec!["bash".to_owned(), "-c".to_owned(), script]
}

/// Quotes `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};
    use std::time::Duration;

    use super::*;

    struct Host {
        dir: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let host = Self { dir: tempfile::tempdir().unwrap() };
            let session = host.session();
            fs_err::create_dir_all(session.path()).unwrap();
            fs_err::create_dir_all(host.dir.path().join("base/sub dir")).unwrap();
            fs_err::write(session.prelude_path(), session.prelude()).unwrap();
            host
        }

        fn session(&self) -> SessionDir {
            SessionDir::new(format!("{}/it's here", self.dir.path().display()))
        }

        fn run(&self, script: &str, session: Session) -> Output {
            let exec = Exec { session, ..Exec::new(script, Duration::from_secs(10), 1 << 20) };
            let invocation = self.session().invocation(&exec);
            if let Some((path, text)) = &invocation.script_file {
                fs_err::write(path, text).unwrap();
            }
            let mut command = Command::new(&invocation.argv[0]);
            command.args(&invocation.argv[1..]).env_clear();
            if session == Session::Fresh || !self.session().has_begun() {
                command.env("PATH", "/usr/bin:/bin").env("FROM_SPEC", "spec");
            }
            let output = command
                .envs(invocation.env)
                .current_dir(self.dir.path().join("base"))
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            self.session().carry_on();
            output
        }

        fn carried(&self, script: &str) -> String {
            let output = self.run(script, Session::Carried);
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "stderr of {script}");
            String::from_utf8(output.stdout).unwrap()
        }

        fn code(&self, script: &str) -> Option<i32> {
            self.run(script, Session::Carried).status.code()
        }
    }

    #[test]
    fn directory_carries_over_and_cd_dash_goes_back() {
        let host = Host::new();
        host.carried("cd 'sub dir'");
        assert!(host.carried("pwd").ends_with("/base/sub dir\n"));
        assert!(host.carried("cd - >/dev/null; pwd").ends_with("/base\n"));
    }

    #[test]
    fn exported_variables_carry_over_with_any_bytes() {
        let host = Host::new();
        host.carried("export A=$'tab\\t\"quote\\' $HOME `x`\\nline'; B=plain; export -n FROM_SPEC");
        assert_eq!(host.carried("printf %s \"$A\""), "tab\t\"quote' $HOME `x`\nline");
        assert_eq!(host.carried("printf '<%s>' \"$B\""), "<>");
    }

    #[test]
    fn a_variable_that_was_unset_stays_unset() {
        let host = Host::new();
        assert_eq!(host.carried("printf %s $FROM_SPEC; unset FROM_SPEC"), "spec");
        assert_eq!(host.carried("printf '<%s>' $FROM_SPEC"), "<>");
    }

    #[test]
    fn functions_carry_over_and_exported_ones_reach_child_shells() {
        let host = Host::new();
        host.carried("greet() { cat <<EOF\nhello $1\nEOF\n}; shout() { echo HEY; }; export -f shout");
        assert_eq!(host.carried("greet you"), "hello you\n");
        assert_eq!(host.carried("bash -c shout"), "HEY\n");
    }

    #[test]
    fn functions_that_shadow_builtins_do_not_break_the_session() {
        let host = Host::new();
        host.carried(
            "cd() { builtin cd \"$@\" && echo moved; }; declare() { echo no; }; cd 'sub dir' >/dev/null",
        );
        assert_eq!(host.carried("basename \"$PWD\"; cd .."), "sub dir\nmoved\n");
    }

    #[test]
    fn exit_codes_are_the_scripts_own() {
        let host = Host::new();
        assert_eq!(host.code("exit 7"), Some(7));
        assert_eq!(host.code("set -euo pipefail; cd 'sub dir'; false; echo never"), Some(1));
        assert!(host.carried("pwd").ends_with("sub dir\n"), "a failing script still saves");
        assert_eq!(host.code("true"), Some(0));
        assert_eq!(host.code("(exit 3)"), Some(3));
    }

    #[test]
    fn options_do_not_carry_over_and_tracing_shows_only_the_script() {
        let host = Host::new();
        let output = host.run("set -x; echo hi", Session::Carried);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "+ echo hi\n");
        assert_eq!(host.carried("echo $-"), "hBc\n");
    }

    #[test]
    fn messages_are_those_of_plain_bash() {
        let host = Host::new();
        let stderr = |script| String::from_utf8(host.run(script, Session::Carried).stderr).unwrap();
        assert_eq!(stderr("echo a; echo (b"), plain_stderr("echo a; echo (b"));
        assert_eq!(stderr("\nno-such-command"), plain_stderr("\nno-such-command"));
    }

    fn plain_stderr(script: &str) -> String {
        let output = Command::new("bash").args(["-c", script]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    #[test]
    fn a_vanished_directory_falls_back_to_the_work_directory() {
        let host = Host::new();
        host.carried("mkdir gone; cd gone; rmdir ../gone");
        assert!(host.carried("pwd").ends_with("/base\n"));
    }

    #[test]
    fn heredocs_and_scripts_beyond_the_argument_limit_run() {
        let host = Host::new();
        let script = format!(
            "cat > big <<'EOF'\n{}EOF\nwc -c < big; X=$(tail -c 3 big); export X",
            "0123456\n".repeat(40_000)
        );
        assert_eq!(host.carried(&script), "320000\n");
        assert_eq!(host.carried("echo $X"), "56\n");
    }

    #[test]
    fn a_fresh_script_sees_and_leaves_nothing() {
        let host = Host::new();
        host.carried("cd 'sub dir'; export A=1; f() { :; }");
        let fresh = host.run("pwd; echo ${A-none}; type -t f; cd /; export B=2", Session::Fresh);
        assert!(String::from_utf8(fresh.stdout).unwrap().ends_with("/base\nnone\n"));
        assert_eq!(host.carried("echo ${B-none}; type -t f"), "none\nfunction\n");
    }
}
