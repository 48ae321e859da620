//! Rows that set traps for our reading, writing and comparing of files.

use crate::row::Must::{
    Change, Fail, NeverSay, PatchLacks, Print, Race, Read, ReadNothing, Then, WriteRefused,
};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "a link to the host's secrets, read and written by us",
        "links are followed inside the sandbox only",
        "ln -s @secret@ s; ln -s /etc/shadow shadow; ln -s ../../../../../../..@secret@ up; ln -s /proc/1/root@secret@ magic",
        &[
            ReadNothing("s"),
            ReadNothing("shadow"),
            ReadNothing("up"),
            ReadNothing("magic"),
            WriteRefused("shadow"),
            WriteRefused("magic"),
            Change(&["magic", "s", "shadow", "up"]),
        ],
    ),
    Row::new(
        "paths that climb",
        "mount namespace: above the root is the root",
        "true",
        &[
            ReadNothing("../../../../../../../..@secret@"),
            ReadNothing("dir/../../../../../../..@secret@"),
            ReadNothing("/../..@secret@"),
            WriteRefused("../../../../../../../../etc/passwd"),
            Change(&[]),
        ],
    ),
    Row::new(
        "a pipe as the target of our reading and writing",
        "pipes are refused without waiting",
        "rm a; mkfifo a; mkfifo pipe; cat pipe > caught & sleep 0.1",
        &[
            WriteRefused("a"),
            WriteRefused("pipe"),
            ReadNothing("a"),
            Then("cat caught", ""),
            Change(&["a", "caught"]),
        ],
    ),
    Row::new(
        "a file that turns into a pipe while we open it",
        "opened without waiting",
        r#"mkfifo pipe; perl -e '
        while (1) { rename "a", "b"; rename "pipe", "a"; rename "a", "pipe"; rename "b", "a" }' >/dev/null 2>&1 &"#,
        &[Race("a")],
    ),
    Row::new(
        "a directory that turns into a link while we write below it",
        "links are followed inside the sandbox only",
        r#"mkdir real; ln -s @secrets@ link; perl -e '
        while (1) { rename "real", "d"; rename "d", "real"; rename "link", "d"; rename "d", "link" }' >/dev/null 2>&1 &"#,
        &[Race("d/secret")],
    ),
    Row::new(
        "a file that turns into a link to /etc/passwd while we write it",
        "our writing has the agent's rights and no more",
        r#"ln -s /etc/passwd l; cat /etc/passwd > before; perl -e '
        while (1) { rename "a", "b"; rename "l", "a"; rename "a", "l"; rename "b", "a" }' >/dev/null 2>&1 &"#,
        &[Race("a"), Then("cmp before /etc/passwd && echo same", "same\n")],
    ),
    Row::new(
        "hard links to files of the system",
        "another file system, or protected links; not the agent's files",
        "ln /etc/passwd p 2>/dev/null; { echo x >> p; } 2>/dev/null; grep -c ^x /etc/passwd; exit 0",
        &[Print("0\n")],
    ),
    Row::new(
        "links in circles",
        "the kernel's bound on links",
        "ln -s l l; ln -s m n; ln -s n m; ln -s . d",
        &[
            WriteRefused("l"),
            WriteRefused("m"),
            ReadNothing("l"),
            ReadNothing("d/d/d/d/l"),
            Change(&["d", "l", "m", "n"]),
        ],
    ),
    Row::new(
        "names with line breaks, quotes and no text in them",
        "names are never lines of text; one that is no text is left out, and told",
        r#"touch $'line\nbreak' $'tab\there' 'quote"s' $'\303\251' ' ' -- '-rf' '$(id)' '*'; echo x > $'bad\377'; echo y > $'\r'"#,
        &[Change(&["\r", " ", "$(id)", "*", "-rf", "line\nbreak", "quote\"s", "tab\there", "\u{e9}"])],
    ),
    Row::new(
        "a name that forges a patch",
        "names are quoted in patches",
        r"mkdir -p $'x\ndiff --git a'; echo evil > $'x\ndiff --git a/forged b'; echo 'diff --git a/forged b/forged' > body",
        &[PatchLacks("diff --git a/forged")],
    ),
    Row::new(
        "files that nobody may read",
        "comparing does not depend on the agent's modes",
        "echo x > dir/new; chmod 000 dir/new dir; echo y > closed; chmod 000 closed",
        &[Change(&["closed", "dir/new"]), WriteRefused("closed")],
    ),
    Row::new(
        "pipes and sockets among the files",
        "what git cannot hold is left out without being opened",
        "mkfifo p; perl -e 'socket S, 1, 1, 0; bind S, pack \"Sa*\", 1, \"sock\"'; exit 0",
        &[Change(&[])],
    ),
    Row::new(
        "the device by which an overlay marks a deleted file",
        "what git cannot hold is left out without being opened",
        "mknod w c 0 0 2>/dev/null; exit 0",
        &[Change(&[])],
    ),
    Row::new(
        "marks of the overlay, to hide changes",
        "the overlay keeps its marks to itself",
        r#"perl -e '$d = "dir"; $y = "y"; for ("user.overlay.opaque", "trusted.overlay.opaque", "user.overlay.redirect", "user.overlay.whiteout") { my $n = "$_"; syscall(@SYS_setxattr@, $d, $n, $y, 1, 0) }'; cat dir/f"#,
        &[Print("f\n"), Change(&[])],
    ),
    Row::new(
        "the work directory replaced by a link",
        "its parent is not the agent's",
        "cd /; rm -rf /testbed/* 2>/dev/null; rmdir /testbed 2>/dev/null; mv /testbed /gone 2>/dev/null; ln -sT / /testbed 2>/dev/null; [ -L /testbed ] && echo replaced; cd /; exit 0",
        &[Print(""), Change(&["a", "dir/f", "tool"])],
    ),
    Row::new(
        "a repository whose .git runs programs",
        "the host never asks the agent's .git",
        "mkdir -p .git/hooks; printf '[core]\\n\\tfsmonitor = touch @secrets@/pwned\\n\\tworktree = @secrets@\\n' > .git/config; echo 'ref: refs/heads/x' > .git/HEAD; echo x >> a",
        &[Change(&["a"])],
    ),
    Row::new(
        "our start, changed through the sandbox",
        "the start is read-only below an overlay, or a copy",
        "echo changed > a; rm -r dir; chmod 777 tool",
        &[Read("a", "changed\n"), Change(&["a", "dir/f"])],
    ),
    Row::new(
        "files of the system",
        "read-only mounts; another user",
        "for f in /usr/bin/bash /bin/bash /etc/passwd /etc/ld.so.preload /usr/lib/x /x /lib/x; do { : >> $f; } 2>/dev/null && echo wrote $f; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "a program that deletes everything",
        "read-only mounts; another user",
        "rm -rf --no-preserve-root / 2>/dev/null; echo done",
        &[Print("done\n"), Change(&["a", "dir/f", "tool"])],
    ),
    Row::new(
        "a core dump",
        "core size limit",
        "kill -SEGV $$",
        &[Fail, NeverSay("core dumped"), Change(&[])],
    ),
];
