//! A root file system from a distribution's packages: the command that makes it.
//!
//! Guarantees that nothing of this host's name, resolver or package lists is in it. Leaves to the
//! callers where it goes: an image of Docker, or a directory.

use std::process::Stdio;

use super::session::quote;
use super::spec::Bootstrap;

/// The distribution's own mirror; `APPRENTICE_MIRROR` names another.
const MIRROR: &str = "http://deb.debian.org/debian";

/// What is left out: text for people.
const EXCLUDED: [&str; 5] = ["doc", "man", "locale", "info", "lintian"];

/// mmdebstrap copies these from the host, so that what runs in the new root has a network.
const OWN_NAMES: &str = "cd \"$1\"/etc && echo sandbox > hostname && : > resolv.conf \
                         && printf '127.0.0.1 localhost sandbox\\n::1 localhost\\n' > hosts";

/// The command that makes a root file system and writes it to stdout as tar.
pub(in crate::sandbox) fn command(bootstrap: &Bootstrap) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "--format=tar"]);
    for directory in EXCLUDED {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{directory}/*"));
    }
    if !bootstrap.packages.is_empty() {
        command.arg(format!("--include={}", bootstrap.packages.join(",")));
    }
    for script in &bootstrap.run {
        command.arg(format!("--customize-hook=chroot \"$1\" sh -euc {}", quote(script)));
    }
    command.arg(format!("--customize-hook={OWN_NAMES}"));
    let mirror = std::env::var("APPRENTICE_MIRROR").unwrap_or_else(|_| MIRROR.to_owned());
    command.args([&bootstrap.suite, "-", &mirror]);
    // When it fails it ends its whole process group, which must not be ours.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The last lines of what a program wrote: why it failed.
pub(in crate::sandbox) fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_says_why() {
        assert_eq!(last_words("1\n2\n3\n4\n5\n"), "2 / 3 / 4 / 5");
        assert_eq!(last_words(""), "");
    }
}
