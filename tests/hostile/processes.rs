//! Rows about processes that outlive their deadline, and about how a command ends.

use crate::row::Must::{Code, End, Fail, NeverSay, Often, Print, Race, Then, TimeOut};
use crate::row::Row;

/// Whether anything still writes to `beats`, which something did.
const DEAD: &str = "a=$(wc -c < beats); sleep 0.4; [ $a -gt 0 ] && [ $a = $(wc -c < beats) ] && echo dead";

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "setsid survivor past a deadline",
        "SIGKILL to every process of the namespace",
        "setsid bash -c 'trap \"\" TERM HUP INT; while :; do echo >> beats; sleep 0.05; done' >/dev/null 2>&1 & sleep 60",
        &[TimeOut, Then(DEAD, "dead\n")],
    )
    .within(1.0),
    Row::new(
        "double-fork survivor past a deadline",
        "SIGKILL to every process of the namespace",
        "perl -e 'exit if fork; exit if fork; setpgrp; close STDOUT; close STDERR; while (1) { open F, \">>\", \"beats\"; print F \"x\"; close F; select undef, undef, undef, 0.05 }'; sleep 60",
        &[TimeOut, Then(DEAD, "dead\n")],
    )
    .within(1.0),
    Row::new(
        "a process that runs away by forking all the time",
        "one SIGKILL to all at once, which no fork escapes",
        "perl -e 'while (1) { exit if fork; open F, \">>\", \"beats\"; print F \"x\"; close F; select undef, undef, undef, 0.002 }' & sleep 60",
        &[TimeOut, Then(DEAD, "dead\n")],
    )
    .within(1.0),
    Row::new(
        "a shell that traps everything",
        "SIGKILL",
        "for s in $(seq 64); do trap '' $s 2>/dev/null; done; while :; do :; done",
        &[TimeOut],
    )
    .within(1.0),
    Row::new("a stopped shell", "SIGKILL, which ends stopped processes too", "kill -STOP $$", &[TimeOut])
        .within(1.0),
    Row::new(
        "closed output",
        "the exit code comes from the kernel",
        "exec 1>&- 2>&-; sleep 0.3; exit 3",
        &[Code(3), Print("")],
    ),
    Row::new(
        "output held open after the end",
        "the end of a command is that of its own process",
        "sleep 50 & exit 4",
        &[Code(4)],
    )
    .within(10.0),
    Row::new(
        "forged frames of our protocol on every descriptor",
        "commands hold no descriptor of ours; the exit code comes from the kernel",
        r#"frame='\045\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0{"exit":{"code":0},"omitted_bytes":0}'
        for f in 1 2 $(seq 3 40); do { printf "$frame" >&$f; } 2>/dev/null; done; printf '\001\0\0\0\0\0\0\010forged\n'; exit 9"#,
        &[Code(9)],
    ),
    Row::new(
        "printed exit codes before a death by signal",
        "the exit code comes from the kernel",
        r#"echo '{"exit":0}'; echo 'exit code: 0'; kill -9 $$"#,
        &[Fail],
    ),
    Row::new(
        "an exit code that looks like the memory killer's",
        "the count of memory kills comes from the cgroup",
        "exit 137",
        &[Code(137)],
    ),
    Row::new(
        "an own descriptor of ours, inherited by the command",
        "every descriptor beyond the first three is closed when a command starts",
        "for f in /proc/self/fd/*; do readlink $f; done | grep -c -e socket: -e cgroup -e session",
        &[Fail, Print("0\n")],
    ),
    Row::new(
        "theft of a descriptor from the next command before it has started",
        "seccomp; our descriptors are closed before the command's process can be traced",
        THIEF,
        &[
            Print("spying\n"),
            Then("true", ""),
            Then("true", ""),
            Then("cat /dev/null", ""),
            Then("true", ""),
            Then("true", ""),
            Then("cat stolen", "nothing\n"),
        ],
    ),
    Row::new(
        "theft of the supervisor's memory from the next command before it has started",
        "what shares that memory is never one that can be traced, whoever it has become",
        MEMORY_THIEF,
        &[Print("spying\n"), Often(60, "true"), Race("a"), Often(20, "true"), Then("cat stolen", "nothing\n")],
    ),
    Row::new(
        "kill -9 -1",
        "PID namespace: nobody else is there",
        "kill -9 -1; echo done",
        &[End, NeverSay("@canary@")],
    ),
];

/// Opens whatever process appears next and takes its descriptors; each command must be seen to be fair.
const THIEF: &str = r#"echo nothing > stolen; echo spying
perl -e '
  $SIG{HUP} = "IGNORE";
  my $next = $$ + 1;
  while (time - $^T < 30) {
    for my $pid ($next .. $next + 6) {
      my $handle = syscall(@SYS_pidfd_open@, $pid, 0);
      next if $handle < 0;
      for my $number (3 .. 14) {
        my $taken = syscall(@SYS_pidfd_getfd@, $handle, $number, 0);
        next if $taken < 0;
        my $what = readlink "/proc/self/fd/$taken";
        if ($what =~ /socket:|signalfd/) { open F, ">", "stolen"; print F "$what\n"; close F; exit }
        open my $file, "<&=", $taken; close $file;
      }
      open my $file, "<&=", $handle; close $file;
    }
    my $alive = syscall(@SYS_pidfd_open@, $next, 0);
    if ($alive < 0 && -e "/proc/" . ($next + 1)) { $next++ }
    elsif ($alive >= 0) { open my $file, "<&=", $alive; close $file }
  }' >/dev/null 2>&1 &"#;

/// Opens the memory of whatever process appears next. Memory that outlives the process is not its own.
const MEMORY_THIEF: &str = r#"echo nothing > stolen; echo spying
perl -e '
  $SIG{HUP} = "IGNORE";
  open my $load, "<", "/proc/loadavg";
  my $next = $$ + 1;
  while (time - $^T < 60) {
    if (sysopen my $memory, "/proc/$next/mem", 2) {
      open my $maps, "<", "/proc/$next/maps";
      my ($at) = (<$maps> // "") =~ /^([0-9a-f]+)/;
      for (1 .. 2000) { last if !-e "/proc/$next"; select undef, undef, undef, 0.001 }
      if (defined $at && !-e "/proc/$next" && sysseek($memory, hex $at, 0) && sysread($memory, my $begin, 4)) {
        open F, ">", "stolen"; print F "memory of process $next, which has ended\n"; close F; exit
      }
      $next++;
    } elsif ($! == 2) {
      sysseek $load, 0, 0;
      sysread $load, my $text, 99;
      my ($last) = $text =~ /([0-9]+)\s*$/;
      $next = $last + 1 if $last >= $next && !-e "/proc/$next";
    }
  }' >/dev/null 2>&1 &"#;
