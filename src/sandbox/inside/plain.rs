//! Commands that need no shell: a program and its words, as in `python -m pytest tests/test_x.py`.
//!
//! Starting bash only to start a program costs more than the program's own start. Guarantees that what is
//! taken for plain means to bash just these words: no expansion, no builtin, no function, no assignment; all
//! else, and whatever cannot be started so, goes to bash. (GNU make does the same.)

use std::ffi::CString;
use std::path::Path;

use crate::sandbox::session::SessionDir;
use crate::trajectory::Exit;

/// First words that bash does not look for in files.
const OF_BASH: &[&str] = &[
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// Where bash looks for programs when nobody says so.
pub(in crate::sandbox) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The words of a script that are nothing but a program and its arguments.
fn words(script: &str) -> Option<Vec<&str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" \t_./:,@%+-=".contains(&byte);
    let line = script.trim_end_matches(['\n', ' ', '\t']);
    if !line.bytes().all(is_plain) {
        return None;
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let first = words.first()?;
    let is_program = !first.contains('=') && !first.starts_with(['-', '%']) && !OF_BASH.contains(first);
    is_program.then_some(words)
}

/// A program as the kernel takes it.
#[derive(Debug)]
pub(in crate::sandbox) struct Plain {
    /// The line, as bash would show it.
    line: String,
    /// Files to try, in order; the first that is there is run.
    pub(in crate::sandbox) files: Vec<CString>,
    pub(in crate::sandbox) arguments: Vec<CString>,
    /// For each file, what `_` says of it.
    pub(in crate::sandbox) env: Vec<CString>,
    pub(in crate::sandbox) directory: CString,
}

/// What a command inherits when no session has begun.
pub(in crate::sandbox) struct Beginning<'a> {
    pub(in crate::sandbox) env: &'a [(String, String)],
    pub(in crate::sandbox) workdir: &'a Path,
}

impl Plain {
    /// What `argv`, which is `bash -c SCRIPT`, runs without bash; `None` when it needs bash.
    pub(in crate::sandbox) fn of(
        argv: &[String],
        session: Option<&SessionDir>,
        beginning: &Beginning<'_>,
    ) -> Option<Self> {
        let [_, _, script] = argv else { return None };
        let words = words(script)?;
        let begun = session.filter(|session| session.has_begun());
        let (directory, mut env) = if let Some(session) = begun {
            session.state()?
        } else {
            // Bash counts shells, and counts itself out when it becomes the program.
            let level = if session.is_some() { "1" } else { "0" };
            let directory = beginning.workdir.to_str()?;
            let mut env = beginning.env.to_vec();
            env.extend([("PWD", directory), ("SHLVL", level)].map(|(k, v)| (k.to_owned(), v.to_owned())));
            (directory.to_owned(), env)
        };
        let files = candidates(words[0], path_of(&env));
        env.retain(|(name, _)| name != "_");
        if let [only] = &files[..] {
            env.push(("_".to_owned(), only.clone()));
        }
        let c = |text: &str| CString::new(text).ok();
        Some(Self {
            files: files.iter().map(|file| c(file)).collect::<Option<_>>()?,
            arguments: words.iter().map(|word| c(word)).collect::<Option<_>>()?,
            env: env.iter().map(|(name, value)| c(&format!("{name}={value}"))).collect::<Option<_>>()?,
            directory: c(&directory)?,
            line: words.join(" "),
        })
    }

    /// What bash says, and how it exits, when a program that it waited for is killed.
    pub(in crate::sandbox) fn farewell(&self, pid: i32, exit: Exit) -> Option<(String, Exit)> {
        let Exit::Signal(number) = exit else { return None };
        if number == libc::SIGINT || number == libc::SIGPIPE {
            return Some((String::new(), Exit::Code(128 + number)));
        }
        let description = description(number);
        let said = format!("bash: line 1: {pid:5} {description:<23} {}\n", self.line);
        Some((said, Exit::Code(128 + number)))
    }
}

/// Where programs are looked for.
pub(in crate::sandbox) fn path_of(env: &[(String, String)]) -> &str {
    env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path)
}

/// The files that `program` may be, in the order of the directories in `path`.
pub(in crate::sandbox) fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let directories = path.split(':').map(|directory| if directory.is_empty() { "." } else { directory });
    directories.map(|directory| format!("{directory}/{program}")).collect()
}

fn description(signal: i32) -> String {
    // SAFETY: the C library gives a terminated string, which is copied at once; this process has one thread.
    unsafe {
        let text = libc::strsignal(signal);
        if text.is_null() {
            return format!("Signal {signal}");
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_mean_themselves_are_plain() {
        for script in ["/bin/true", "python -m pytest tests/test_x.py -k a\n", "git log -1 --format=%H", "ls"]
        {
            assert!(words(script).is_some(), "{script}");
        }
        for script in [
            "", "cd src", "A=1 env", "ls *.py", "ls ~", "echo hi", "ls | wc", "ls;", "ls &", "a\nb",
            "ls $HOME", "cat 'x'", "time ls", "[ -f x ]", "ls > x", "(ls)", "# ls", "! ls", "ls {a,b}",
            "./a\\ b", "%1",
        ] {
            assert!(words(script).is_none(), "{script}");
        }
    }

    #[test]
    fn every_builtin_and_keyword_of_this_bash_is_known() {
        let output =
            std::process::Command::new("bash").args(["-c", "compgen -b; compgen -k"]).output().unwrap();
        for word in String::from_utf8(output.stdout).unwrap().lines() {
            assert!(words(word).is_none(), "{word}");
        }
    }

    #[test]
    fn a_killed_program_is_told_as_bash_tells_it() {
        let argv = ["bash", "-c", "/bin/sleep 5"].map(str::to_owned);
        let beginning = Beginning { env: &[], workdir: Path::new("/") };
        let plain = Plain::of(&argv, None, &beginning).unwrap();
        let (said, exit) = plain.farewell(123, Exit::Signal(libc::SIGKILL)).unwrap();
        assert_eq!(exit, Exit::Code(137));
        let script = "/bin/sh -c 'kill -9 $$'; :";
        let output = std::process::Command::new("bash").args(["-c", script]).output().unwrap();
        let theirs = String::from_utf8(output.stderr).unwrap();
        let shape = |text: &str| {
            let (start, rest) = text.split_once("Killed").unwrap();
            (start.len(), rest.len() - rest.trim_start().len())
        };
        // Their process number may have another length than five.
        assert_eq!(shape(&said).1, shape(&theirs).1, "{said:?} {theirs:?}");
        assert!(theirs.starts_with("bash: line 1: ") && said.starts_with("bash: line 1: "));
    }
}
