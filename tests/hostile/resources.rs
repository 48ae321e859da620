//! Rows that use up memory, processes, disk and output.

use crate::row::Must::{Change, ChangesFit, Code, End, Fail, NeverSay, Print, Then, TimeOut, WriteRefused};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "fork bomb",
        "process limit (cgroup); kill of the whole namespace at the deadline",
        "b() { b | b & b; }; b",
        &[End, Then("set -- /proc/[0-9]*; [ $# -lt 60 ] && echo few", "few\n")],
    )
    .within(2.0),
    Row::new(
        "fork bomb that ignores signals in sessions of its own",
        "process limit (cgroup); SIGKILL to every process of the namespace",
        "trap '' HUP INT TERM; for i in $(seq 100); do setsid bash -c 'while :; do sleep 60 & done' & done 2>/dev/null; sleep 60",
        &[End, Then("set -- /proc/[0-9]*; [ $# -lt 60 ] && echo few", "few\n")],
    )
    .within(2.0),
    Row::new(
        "memory bomb in one process",
        "memory limit (cgroup), or resource limit",
        "perl -e '$x = \"x\" x (400 << 20); print length $x'",
        &[Fail, NeverSay("419430400")],
    ),
    Row::new(
        "memory bomb in many processes",
        "memory limit of all processes together (cgroup), or watching",
        "for i in $(seq 12); do perl -e '$x = \"x\" x (30 << 20); sleep 3' & done 2>/dev/null
        n=0; for p in $(jobs -p); do wait $p && n=$((n+1)); done 2>/dev/null; echo survivors: $n",
        &[End, NeverSay("survivors: 12")],
    ),
    Row::new(
        "memory as a file of /dev/shm",
        "size of the file system in memory",
        "head -c 300M /dev/zero > /dev/shm/x",
        &[Fail],
    ),
    Row::new("one huge file in /tmp", "file size limit", "head -c 300M /dev/zero > /tmp/x", &[Fail]),
    Row::new("one huge file in the work directory", "file size limit", "head -c 300M /dev/zero > x", &[Fail]),
    Row::new(
        "disk fill by many files",
        "size of the store",
        "for i in $(seq 60); do head -c 8M /dev/zero > f$i || exit 1; sleep 0.1; done; echo all written",
        &[Fail, NeverSay("all written"), Then("rm -f f*; echo x > y && cat y", "x\n")],
    ),
    Row::new(
        "disk fill, then our own write",
        "size of the store; the refusal is a value",
        "for i in $(seq 20); do head -c 8M /dev/zero > f$i || break; done 2>/dev/null; echo full",
        &[Print("full\n"), WriteRefused("new")],
    ),
    Row::new(
        "inode fill",
        "number of inodes of the store",
        "perl -e 'for (1..20000) { open F, \">\", \"i$_\" or exit 3 } print \"all made\\n\"'",
        &[Code(3), Then("rm -f i*1; echo x > y && cat y", "x\n")],
    ),
    Row::new("endless output", "bounded capture; deadline", "yes", &[TimeOut]).within(1.5),
    Row::new("endless output without a line", "bounded capture; deadline", "cat /dev/zero", &[TimeOut])
        .within(1.5),
    Row::new(
        "endless output of a background process",
        "the command's own end, or its deadline; later output is discarded",
        "yes & exit 4",
        &[End, Then("echo next", "next\n")],
    )
    .within(3.0),
    Row::new(
        "zombie storm",
        "PID 1 collects orphans",
        "for i in $(seq 150); do (true &); done; exit 0",
        &[Then("sleep 0.3; grep -ls '^State:.Z' /proc/[0-9]*/status | wc -l", "0\n")],
    ),
    Row::new(
        "zombies that nobody waits for",
        "process limit (cgroup); their parent's end",
        "perl -e 'for (1..200) { my $p = fork; exit 0 if defined $p && $p == 0 } sleep 60'",
        &[TimeOut, Then("grep -ls '^State:.Z' /proc/[0-9]*/status | wc -l", "0\n")],
    )
    .within(2.0),
    Row::new(
        "sparse files, to fill the manager's memory through changes",
        "bound on the bytes of changes",
        "for i in $(seq 20); do perl -e 'open F, \">\", shift; truncate F, 60 << 20' s$i; done; echo made",
        &[Print("made\n"), ChangesFit],
    ),
    Row::new(
        "hard links, to fill the manager's memory through changes",
        "bound on the bytes of changes",
        "head -c 8M /dev/zero > h; for i in $(seq 100); do ln h h$i; done; echo made",
        &[Print("made\n"), ChangesFit],
    ),
    Row::new(
        "directories nested 3000 deep, to overflow the manager's stack",
        "bound on the depth of changes",
        "perl -e 'for (1..3000) { mkdir \"d\"; chdir \"d\" or last } open F, \">\", \"x\"; print \"deep\\n\"'; echo y > y",
        &[Print("deep\n"), Change(&["y"])],
    ),
    Row::new(
        "raising resource limits",
        "hard limits and no CAP_SYS_RESOURCE",
        "ulimit -Hc unlimited 2>/dev/null && echo core; ulimit -Hf unlimited 2>/dev/null && echo size; exit 0",
        &[Print("")],
    ),
    Row::new(
        "protecting itself from the memory killer",
        "no CAP_SYS_RESOURCE",
        "echo -1000 2>/dev/null > /proc/self/oom_score_adj && echo protected; perl -e 'setpriority(0, 0, -20) and print \"first\\n\"'; exit 0",
        &[NeverSay("protected\n"), NeverSay("first\n")],
    ),
];
