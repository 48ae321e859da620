//! A patch's edits, made in a sandbox in which no student's command has run.
//!
//! Guarantees that a link or a file in the way of a path is replaced, never followed, and that directories
//! which become empty go, as git does it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;

use crate::patch::{Edit, Mode};
use crate::sandbox::session::quote;
use crate::sandbox::{Exec, FileWrite, Sandbox};
use crate::trajectory::Exit;

/// How long a script that removes and makes files may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Paths that one program is given.
const AT_A_TIME: usize = 200;

/// Makes the repository hold what `edits` say.
pub(super) async fn write(sandbox: &mut dyn Sandbox, edits: &[Edit]) -> anyhow::Result<()> {
    if edits.is_empty() {
        return Ok(());
    }
    run(sandbox, &clearing(edits)).await?;
    let mut executables = String::new();
    for edit in edits {
        let Some(file) = edit.after.as_ref().filter(|file| file.mode != Mode::Link) else { continue };
        if let FileWrite::Refused(reason) = sandbox.write(&edit.path, &file.bytes).await? {
            return Err(anyhow!("could not write `{}` into the sandbox: {reason}", edit.path));
        }
        if file.mode == Mode::Executable {
            executables.push_str(&format!("chmod 755 -- {}\n", quote(&edit.path)));
        }
    }
    if executables.is_empty() { Ok(()) } else { run(sandbox, &format!("set -e\n{executables}")).await }
}

/// The script that removes what goes or is in the way, and makes directories and links.
fn clearing(edits: &[Edit]) -> String {
    let mut script = "set -e\nway() { if [ -L \"$1\" ] || { [ -e \"$1\" ] && [ ! -d \"$1\" ]; }; then rm -f -- \"$1\"; fi; }\n"
        .to_owned();
    for edit in edits.iter().filter(|edit| edit.after.is_none()) {
        // A directory of that name holds files of its own.
        script.push_str(&format!("[ -d {0} ] && [ ! -L {0} ] || rm -f -- {0}\n", quote(&edit.path)));
        if let Some((parent, _)) = edit.path.rsplit_once('/') {
            script.push_str(&format!("rmdir -p -- {} 2>/dev/null || true\n", quote(parent)));
        }
    }
    let written = || edits.iter().filter(|edit| edit.after.is_some());
    let paths: Vec<String> = written().map(|edit| quote(&edit.path)).collect();
    for some in paths.chunks(AT_A_TIME) {
        // Python takes a compiled file for that of any source of the same size and second; the set-up may have
        // compiled the one that is replaced.
        script.push_str(&format!(
            "if stat -c %Y -- {} 2>/dev/null | grep -qx \"$(date +%s)\"; then sleep 1; fi\n",
            some.join(" ")
        ));
    }
    let ways: BTreeSet<&str> = written().flat_map(|edit| ancestors(&edit.path)).collect();
    // A directory comes before what it holds.
    for way in &ways {
        script.push_str(&format!("way {}\n", quote(way)));
    }
    for way in &ways {
        script.push_str(&format!("mkdir -p -- {}\n", quote(way)));
    }
    for edit in written() {
        script.push_str(&format!("rm -rf -- {}\n", quote(&edit.path)));
        if let Some(link) = edit.after.as_ref().filter(|file| file.mode == Mode::Link) {
            script.push_str(&format!("ln -s -- {} {}\n", target(&link.bytes), quote(&edit.path)));
        }
    }
    script
}

/// A link's target as a word of bash, which may be no text.
fn target(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => quote(text),
        Err(_) => format!("$'{}'", bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()),
    }
}

/// The directories above a path.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

async fn run(sandbox: &mut dyn Sandbox, script: &str) -> anyhow::Result<()> {
    let exec = Exec::new(script, PATIENCE, 4096).fresh();
    let done = sandbox.exec(&exec).await?;
    anyhow::ensure!(
        done.exit.is_some_and(Exit::is_success),
        "could not change files in the sandbox: {}",
        done.output.trim_end()
    );
    Ok(())
}
