//! Rows that reach for the supervisor, other processes and the host's secrets.

use crate::row::Must::{Fail, NeverSay, Print, ReadNothing, WriteRefused};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "every signal to PID 1",
        "a first process gets no signal that it does not ask for (namespaces); another user (docker)",
        "for s in $(seq 64); do kill -$s 1 2>/dev/null; done; kill -0 $$ && echo done",
        &[Print("done\n")],
    ),
    Row::new(
        "kill of a process of the host",
        "PID namespace",
        "kill -9 @pid@ 2>/dev/null; perl -e 'kill 9, -@pid@'; echo done",
        &[Print("done\n")],
    ),
    Row::new(
        "ptrace of PID 1",
        "not dumpable, other user",
        "perl -e 'print syscall(@SYS_ptrace@, 16, 1, 0, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "ptrace of a process of the host",
        "PID namespace",
        "perl -e 'print syscall(@SYS_ptrace@, 16, @pid@, 0, 0), \" \", $! + 0'",
        &[Print("-1 3")],
    ),
    Row::new(
        "reading the memory of PID 1 by a system call",
        "seccomp, not dumpable",
        "perl -e '$b = \"x\" x 8; $l = pack \"PQ\", $b, 8; $r = pack \"QQ\", 4096, 8; print syscall(@SYS_process_vm_readv@, 1, $l, 1, $r, 1, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "taking a descriptor of PID 1",
        "not dumpable, other user",
        "perl -e '$p = syscall(@SYS_pidfd_open@, 1, 0); for (0 .. 20) { print \"took $_\" if syscall(@SYS_pidfd_getfd@, $p, $_, 0) >= 0 }'",
        &[Print("")],
    ),
    Row::new(
        "secrets of PID 1 in /proc",
        "not dumpable, other user",
        "for f in mem environ root/ cwd/ fd/ exe map_files/ stack syscall io auxv; do cat /proc/1/$f >/dev/null 2>&1 && echo read $f; ls -A /proc/1/$f/. >/dev/null 2>&1 && echo listed $f; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "flooding the descriptors of PID 1",
        "not dumpable, other user",
        "for f in $(seq 0 20); do { echo flood > /proc/1/fd/$f; } 2>/dev/null && echo wrote $f; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "changing how PID 1 is treated",
        "other user",
        "for f in oom_score_adj comm coredump_filter timerslack_ns uid_map setgroups attr/current; do { echo 1000 > /proc/1/$f; } 2>/dev/null && echo wrote $f; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "environment and command lines of other processes",
        "PID namespace; an empty environment for the supervisor",
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; exit 0",
        &[NeverSay("CARGO_"), NeverSay("of the host"), NeverSay("SECRET_")],
    ),
    Row::new(
        "our own reading as a way into /proc",
        "another environment, not dumpable",
        "true",
        &[
            ReadNothing("/proc/1/environ"),
            ReadNothing("/proc/self/environ"),
            ReadNothing("/proc/1/root@secret@"),
            ReadNothing("/proc/self/root@secret@"),
            ReadNothing("/proc/self/cwd/../../..@secret@"),
            ReadNothing("/proc/1/mem"),
            ReadNothing("/proc/kcore"),
        ],
    ),
    Row::new(
        "our own writing as a way into /proc and /dev",
        "not dumpable; only regular files are written",
        "true",
        &[
            WriteRefused("/proc/self/mem"),
            WriteRefused("/proc/1/mem"),
            WriteRefused("/proc/1/oom_score_adj"),
            WriteRefused("/proc/sysrq-trigger"),
            WriteRefused("/proc/sys/kernel/core_pattern"),
            WriteRefused("/dev/null"),
            WriteRefused("/dev/full"),
            WriteRefused("/etc/passwd"),
            WriteRefused("/usr/bin/bash"),
            WriteRefused("/nowhere"),
        ],
    ),
    Row::new(
        "a secret file of the host by its path",
        "mount namespace",
        "cat @secret@; ls @secrets@",
        &[Fail, NeverSay("@canary@"), ReadNothing("@secret@"), ReadNothing("../../../../../..@secret@")],
    ),
    Row::new(
        "keys, histories and shadow of the host",
        "mount namespace; another user",
        "cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host* /etc/sudoers /root/.bash_history /root/.ssh/* /home/*/.ssh/* ~/.ssh/* ~root/.netrc 2>/dev/null",
        &[Fail, Print("")],
    ),
    Row::new(
        "sockets of the container engine and of services",
        "mount namespace",
        "for s in /run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock /run/dbus/system_bus_socket /run/systemd/private; do [ -e $s ] && echo $s; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "a user's change by system calls",
        "no capabilities; one mapped user",
        "perl -e '$b = $>; $> = 0; $< = 0; $) = \"0 0\"; print $> == $b && $> != 0 ? \"same\" : \"root\"'",
        &[Print("same")],
    ),
    Row::new(
        "set-user-id programs",
        "no new privileges; file systems mounted nosuid",
        "cp /usr/bin/id mine 2>/dev/null || cp /bin/id mine; chmod u+s,g+s mine; a=$(id -u)
        for p in ./mine /bin/setuid-id; do [ -x $p ] && [ \"$($p -u)\" != $a ] && echo gained by $p; done
        su -c id root </dev/null 2>&1 | grep uid=0; sudo -n id 2>&1 | grep uid=0; grep NoNewPrivs /proc/self/status",
        &[Print("NoNewPrivs:\t1\n")],
    ),
];
