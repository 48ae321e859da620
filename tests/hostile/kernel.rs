//! Rows that ask the kernel for more than a sandbox has.

use crate::row::Must::{Fail, NeverSay, Print};
use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row::new("sysrq", "another user; /proc read-only (docker)", "echo h > /proc/sysrq-trigger", &[Fail]),
    Row::new(
        "core_pattern",
        "another user; /proc/sys read-only (docker)",
        "p=$(cat /proc/sys/kernel/core_pattern); echo \"$p\" > /proc/sys/kernel/core_pattern",
        &[Fail],
    ),
    Row::new(
        "every other setting of the kernel",
        "another user; /proc/sys read-only (docker)",
        "for f in /proc/sys/kernel/* /proc/sys/vm/* /proc/sys/fs/* /proc/sys/net/ipv4/* /proc/sys/user/*; do [ -f $f ] && { v=$(cat $f) && printf '%s\\n' \"$v\" > $f && echo $f; } 2>/dev/null; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "cgroup release_agent",
        "no cgroup file system (namespaces); read-only (docker)",
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do { echo /x > $d/release_agent; } 2>/dev/null && echo agent; mkdir $d/x 2>/dev/null && echo group; { echo 0 > $d/cgroup.procs; } 2>/dev/null && echo left; done
        perl -e '$s = \"cgroup\"; $t = \"/tmp\"; print \"mounted\" if syscall(@SYS_mount@, $s, $t, $s, 0, 0) == 0'; exit 0",
        &[Print("")],
    ),
    Row::new(
        "device nodes",
        "no CAP_MKNOD; file systems mounted nodev",
        "mknod mem c 1 1 2>/dev/null && head -c 1 mem; mknod disk b 8 0 2>/dev/null && head -c 1 disk; mknod /tmp/kmsg c 1 11 2>/dev/null && echo made; ls mem disk /tmp/kmsg 2>/dev/null",
        &[Fail, Print("")],
    ),
    Row::new(
        "the host's devices",
        "a /dev of its own",
        "for d in mem kmem port kmsg sda vda nvme0n1 fuse kvm net/tun loop-control; do [ -e /dev/$d ] && head -c 1 /dev/$d >/dev/null 2>&1 && echo $d; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "mount of a new file system",
        "seccomp and no capabilities",
        "perl -e '$s = \"tmpfs\"; $t = \"/tmp\"; print syscall(@SYS_mount@, $s, $t, $s, 0, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "making what is read-only writable",
        "seccomp and no capabilities",
        "perl -e '$n = \"none\"; for (\"/\", \"/usr\", \"/proc\") { my $t = \"$_\"; print syscall(@SYS_mount@, $n, $t, $n, 32, 0), $! + 0, \" \" }'; touch /usr/x /x 2>/dev/null && echo wrote; exit 0",
        &[Print("-11 -11 -11 ")],
    ),
    Row::new(
        "chroot",
        "seccomp and no capabilities",
        "perl -e 'chroot \"/tmp\" or print $! + 0'",
        &[Print("1")],
    ),
    Row::new(
        "pivot_root",
        "seccomp and no capabilities",
        "perl -e '$a = \".\"; $b = \".\"; print syscall(@SYS_pivot_root@, $a, $b), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "a user namespace by unshare",
        "seccomp",
        "perl -e 'print syscall(@SYS_unshare@, 0x10000000), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "a user namespace by clone",
        "seccomp",
        "perl -e '$p = syscall(@SYS_clone@, 0x10000011, 0, 0, 0, 0); exit 0 if $p == 0; print \"$p \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "a user namespace by clone3, whose flags no filter can read",
        "seccomp says that there is no such call",
        "perl -e '$a = pack \"Q8\", 0x10000000, 0, 0, 0, 17, 0, 0, 0; $p = syscall(@SYS_clone3@, $a, 64); exit 0 if $p == 0; print \"$p \", $! + 0'",
        &[Print("-1 38")],
    ),
    Row::new(
        "unshare -r, the program",
        "seccomp",
        "command -v unshare >/dev/null || exit 1; unshare -r id -u",
        &[Fail, NeverSay("0\n")],
    ),
    Row::new(
        "the namespaces of PID 1",
        "not dumpable, other user",
        "for n in user mnt pid net uts ipc; do { : < /proc/1/ns/$n; } 2>/dev/null && echo $n; done; exit 0",
        &[Print("")],
    ),
    Row::new(
        "io_uring",
        "seccomp",
        "perl -e '$p = \"\\0\" x 120; print syscall(@SYS_io_uring_setup@, 4, $p), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "bpf",
        "seccomp",
        "perl -e '$a = \"\\0\" x 128; print syscall(@SYS_bpf@, 0, $a, 128), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "keyrings",
        "seccomp",
        "perl -e 'print syscall(@SYS_keyctl@, 0, -3, 1), $! + 0, \" \"; $t = \"user\"; $d = \"x\"; print syscall(@SYS_add_key@, $t, $d, $d, 1, -3), $! + 0'",
        &[Print("-11 -11")],
    ),
    Row::new(
        "perf_event_open",
        "seccomp",
        "perl -e '$a = pack \"LLQ14\", 1, 120; print syscall(@SYS_perf_event_open@, $a, 0, -1, -1, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "userfaultfd",
        "seccomp",
        "perl -e 'print syscall(@SYS_userfaultfd@, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "files by their handles, around every mount",
        "seccomp and no capabilities",
        "perl -e '$h = pack \"LLQ\", 8, 1, 2; print syscall(@SYS_open_by_handle_at@, 0, $h, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "modules, another kernel, a reboot",
        "seccomp and no capabilities",
        "perl -e '$p = \"\"; print syscall(@SYS_init_module@, $p, 0, $p), $! + 0, \" \", syscall(@SYS_kexec_load@, 0, 0, 0, 0), $! + 0, \" \", syscall(@SYS_reboot@, 0xfee1dead, 672274793, 0, 0), $! + 0'",
        &[Print("-11 -11 -11")],
    ),
    Row::new(
        "the kernel's log",
        "seccomp and no capabilities",
        "perl -e '$b = \"x\" x 100; print syscall(@SYS_syslog@, 3, $b, 100), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "the clock",
        "no CAP_SYS_TIME",
        "perl -e '$t = pack \"qq\", time, 0; print syscall(@SYS_settimeofday@, $t, 0), \" \", $! + 0'",
        &[Print("-1 1")],
    ),
    Row::new(
        "the host's name",
        "no CAP_SYS_ADMIN; UTS namespace",
        "perl -e '$n = \"evil\"; print syscall(@SYS_sethostname@, $n, 4), syscall(@SYS_setdomainname@, $n, 4), \" \", $! + 0'",
        &[Print("-1-1 1")],
    ),
    Row::new(
        "system calls under their second numbers (x32)",
        "seccomp, or a kernel without them",
        "perl -e '$r = syscall(0x40000000 | @SYS_keyctl@, 0, -3, 1); print $r == -1 && ($! + 0 == 1 || $! + 0 == 38) ? \"refused\" : \"got $r\"'",
        &[Print("refused")],
    ),
    Row::new(
        "system calls of a 32-bit program",
        "seccomp ends it or refuses, or a kernel without them",
        // keyctl(KEYCTL_GET_KEYRING_ID, session, create), whose error is the exit code.
        r#"perl -e 'open F, ">", "elf"; binmode F; $c = pack "H*", "b82001000031dbb9fdffffffba01000000cd80f7d889c3b801000000cd80";
        print F pack("C16 SSLLLLLSSSSSS", 127, 69, 76, 70, 1, 1, 1, (0) x 9, 2, 3, 1, 0x08048054, 52, 0, 0, 52, 32, 1, 0, 0, 0);
        print F pack("L8", 1, 0, 0x08048000, 0x08048000, 84 + length $c, 84 + length $c, 5, 4096); print F $c; close F; chmod 0755, "elf"'
        { ./elf; } 2>/dev/null; case $? in 1|38|126|159) echo refused;; *) echo allowed $?;; esac 2>/dev/null"#,
        &[NeverSay("allowed")],
    ),
    Row::new(
        "input put into a terminal",
        "no controlling terminal",
        "{ : > /dev/tty; } 2>/dev/null && echo terminal; exit 0",
        &[Print("")],
    ),
];
