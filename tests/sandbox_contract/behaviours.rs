//! The claims.

use std::time::{Duration, Instant};

use apprentice::patch::{File, Mode};
use apprentice::sandbox::{Exec, FileRead, FileWrite, Session, Start};
use apprentice::trajectory::Exit;

use crate::ground::{Ground, command, output, run, tree};
pub(crate) use crate::reports::*;
pub(crate) use crate::sharing::{
    what_one_keeps_another_takes_over, who_finds_no_room_waits_for_the_end_of_another,
};
pub(crate) use crate::spills::*;
pub(crate) use crate::streams::*;
pub(crate) use crate::terminals::*;

pub(crate) async fn exit_codes_are_the_scripts_own(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    for (script, code) in
        [("true", 0), ("exit 7", 7), ("set -e; false; echo no", 1), ("no-such-program", 127)]
    {
        assert_eq!(run(&mut sandbox, script).await.exit, Some(Exit::Code(code)), "{script}");
    }
    let seen = run(&mut sandbox, "pwd; echo $FROM_SPEC; whoami; echo ${HOME##*/}").await;
    let workdir = &ground.spec.workdir;
    let lines: Vec<&str> = seen.output.lines().collect();
    assert_eq!(lines[..2], [workdir.as_str(), "spec"]);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_signal_is_not_success(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let seen = run(&mut sandbox, "kill -KILL $$").await;
    // An engine may know only the shell's word for it.
    assert!(matches!(seen.exit, Some(Exit::Signal(9) | Exit::Code(137))), "{seen:?}");
    assert_eq!(output(&mut sandbox, "echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn both_streams_arrive_in_their_order(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done";
    let expected: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(output(&mut sandbox, script).await, expected);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn stdin_is_closed(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    assert_eq!(output(&mut sandbox, "cat; echo end").await, "end\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_deadline_kills_the_whole_tree_and_keeps_the_output(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "trap '' TERM; echo before
        setsid bash -c 'trap \"\" TERM HUP; while :; do echo alive >> beats; sleep 0.05; done' >/dev/null 2>&1 &
        sleep 60; echo after";
    let begin = Instant::now();
    let exec = Exec { timeout: Duration::from_millis(1500), ..command(script) };
    let seen = sandbox.exec(&exec).await.unwrap();
    assert_eq!((seen.output.as_str(), seen.exit), ("before\n", Some(Exit::TimedOut)));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let beats = output(&mut sandbox, "wc -l < beats").await;
    assert!(beats.trim().parse::<u32>().unwrap() > 0, "the background process ran");
    assert_eq!(output(&mut sandbox, "sleep 0.5; wc -l < beats").await, beats, "and was killed");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_deadline_stops_endless_output(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let exec = Exec { timeout: Duration::from_secs(1), output_bytes: 1000, ..command("yes") };
    let seen = sandbox.exec(&exec).await.unwrap();
    assert_eq!(seen.exit, Some(Exit::TimedOut));
    assert!(
        seen.output.len() < 1100 && seen.omitted_bytes > 0,
        "{} {}",
        seen.output.len(),
        seen.omitted_bytes
    );
    assert_eq!(output(&mut sandbox, "echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_background_process_does_not_hold_up_its_command(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let begin = Instant::now();
    assert_eq!(output(&mut sandbox, "sleep 25 & echo started").await, "started\n");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    sandbox.stop().await.unwrap();
}

pub(crate) async fn what_runs_on_is_listed(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    assert_eq!(run(&mut sandbox, "true").await.background, [""; 0]);
    assert_eq!(run(&mut sandbox, "sleep 71 & sleep 72 >/dev/null &").await.background.len(), 2);
    let seen = run(&mut sandbox, "pwd").await;
    assert!(seen.background.contains(&"sleep 71".to_owned()), "{seen:?}");
    let fresh = Exec { session: Session::Fresh, ..command("sleep 73 &") };
    assert_eq!(sandbox.exec(&fresh).await.unwrap().background, [""; 0]);
    assert_eq!(run(&mut sandbox, "pwd").await.background.len(), 2, "a fresh command ends only its own");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn silence_ends_a_command_where_it_is_bounded(ground: &Ground) {
    let mut spec = ground.spec.clone();
    spec.limits.quiet_seconds = Some(1.0);
    let empty = tree(&[]);
    let start = Start { spec: &spec, tree: Some(empty.path()) };
    let mut sandbox = ground.backend.start(&start).await.unwrap();
    let begin = Instant::now();
    let seen = run(&mut sandbox, "echo before; sleep 25; echo after").await;
    assert_eq!((seen.output.as_str(), seen.exit), ("before\n", Some(Exit::TimedOut)));
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let seen = run(&mut sandbox, "for i in 1 2 3 4 5 6; do sleep 0.3; echo $i; done").await;
    assert_eq!(seen.exit, Some(Exit::Code(0)), "who speaks up may go on: {seen:?}");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn output_keeps_head_and_tail(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let exec = Exec { output_bytes: 20, ..command("seq 1 100000") };
    let seen = sandbox.exec(&exec).await.unwrap();
    let whole: String = (1..=100_000).map(|i| format!("{i}\n")).collect();
    assert_eq!(seen.omitted_bytes, whole.len() as u64 - 20);
    assert!(
        seen.output.starts_with(&whole[..10]) && seen.output.ends_with(&whole[whole.len() - 10..]),
        "{seen:?}"
    );
    sandbox.stop().await.unwrap();
}

pub(crate) async fn output_that_is_not_text_is_replaced(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    assert_eq!(output(&mut sandbox, r"printf 'a\xffb\303\251\n'").await, "a\u{fffd}b\u{e9}\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn files_are_read_and_written(ground: &Ground) {
    let mut sandbox = ground.start(&[("dir/a.txt", b"from the start")]).await;
    let read = sandbox.read("dir/a.txt").await.unwrap();
    assert_eq!(read, FileRead::File(b"from the start".to_vec()));
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (path, bytes) in
        [("new/deep/er/b.bin", bytes.as_slice()), ("it's \"q\" $HOME.txt", b"quoted"), ("empty", b"")]
    {
        assert_eq!(sandbox.write(path, bytes).await.unwrap(), FileWrite::Written, "{path}");
        assert_eq!(sandbox.read(path).await.unwrap(), FileRead::File(bytes.to_vec()), "{path}");
    }
    assert_eq!(sandbox.write("dir/a.txt", b"short").await.unwrap(), FileWrite::Written);
    let absolute = format!("{}/dir/../dir/a.txt", ground.spec.workdir);
    assert_eq!(sandbox.read(&absolute).await.unwrap(), FileRead::File(b"short".to_vec()));
    assert_eq!(sandbox.read("dir").await.unwrap(), FileRead::Directory);
    assert_eq!(sandbox.read("nothing").await.unwrap(), FileRead::Missing);
    assert!(matches!(sandbox.write("dir", b"x").await.unwrap(), FileWrite::Refused(_)));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn what_cannot_be_read_or_written_is_a_value(ground: &Ground) {
    let mut sandbox = ground.start(&[("a", b"a")]).await;
    output(&mut sandbox, "mkfifo pipe; echo x > closed; chmod 000 closed; ln -s nowhere dangling").await;
    assert!(matches!(sandbox.read("pipe").await.unwrap(), FileRead::Refused(_)));
    assert!(matches!(sandbox.write("pipe", b"x").await.unwrap(), FileWrite::Refused(_)));
    assert!(matches!(sandbox.read("closed").await.unwrap(), FileRead::Refused(_)));
    assert!(matches!(sandbox.write("closed", b"x").await.unwrap(), FileWrite::Refused(_)));
    assert_eq!(sandbox.read("dangling").await.unwrap(), FileRead::Missing);
    assert!(matches!(sandbox.write("a/below", b"x").await.unwrap(), FileWrite::Refused(_)));
    assert!(matches!(sandbox.write("/usr/nowhere/x", b"x").await.unwrap(), FileWrite::Refused(_)));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_written_file_keeps_its_mode(ground: &Ground) {
    let mut sandbox = ground.start(&[("run.sh!", b"#!/bin/sh\n")]).await;
    sandbox.write("run.sh", b"#!/bin/sh\necho new\n").await.unwrap();
    let changes = sandbox.changes().await.unwrap();
    let mode = changes[0].after.as_ref().map(|entry| entry.mode);
    assert_eq!((changes.len(), mode), (1, Some(Mode::Executable)));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn links_lead_nowhere_outside(ground: &Ground) {
    let secret = tree(&[("secret", b"of the host")]);
    let path = secret.path().join("secret");
    let mut sandbox = ground.start(&[]).await;
    let up = "../".repeat(30);
    output(&mut sandbox, &format!("ln -s {0} a; ln -s {up}{0} b; ln -s /proc/1/root{0} c", path.display()))
        .await;
    for link in ["a", "b", "c"] {
        let read = sandbox.read(link).await.unwrap();
        assert!(!matches!(read, FileRead::File(_)), "{link}: {read:?}");
        // A write either fails or lands inside.
        drop(sandbox.write(link, b"overwritten").await.unwrap());
    }
    assert_eq!(fs_err::read(&path).unwrap(), b"of the host");
    let changes = sandbox.changes().await.unwrap();
    let links =
        changes.iter().filter_map(|change| change.after.as_ref()).filter(|entry| entry.mode == Mode::Link);
    assert_eq!(links.count(), 3, "links are reported, not followed: {changes:?}");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn every_kind_of_change_is_found(ground: &Ground) {
    let start: &[(&str, &[u8])] = &[
        ("same", b"same\n"),
        ("edited", b"one\ntwo\n"),
        ("gone/a", b"a"),
        ("runs", b"#!/bin/sh\n"),
        ("becomes/dir", b"x"),
        (".git/config", b"[core]\n"),
    ];
    let mut sandbox = ground.start(start).await;
    assert_eq!(sandbox.changes().await.unwrap(), []);
    let script = r"sed -i s/two/2/ edited; rm -r gone; chmod +x runs; printf 'no newline' > new
        printf '\x00\x01\xff' > binary; ln -s edited link; rm -r becomes; echo file > becomes
        echo changed > .git/config; mkdir empty; mkfifo pipe; touch same";
    output(&mut sandbox, script).await;
    let changes = sandbox.changes().await.unwrap();
    let file = |bytes: &[u8]| Some(File { bytes: bytes.to_vec(), mode: Mode::File });
    let expected = [
        ("becomes", None, file(b"file\n")),
        ("becomes/dir", file(b"x"), None),
        ("binary", None, file(b"\x00\x01\xff")),
        ("edited", file(b"one\ntwo\n"), file(b"one\n2\n")),
        ("gone/a", file(b"a"), None),
        ("link", None, Some(File { bytes: b"edited".to_vec(), mode: Mode::Link })),
        ("new", None, file(b"no newline")),
        ("runs", file(b"#!/bin/sh\n"), Some(File { bytes: b"#!/bin/sh\n".to_vec(), mode: Mode::Executable })),
    ];
    let found: Vec<_> =
        changes.into_iter().map(|change| (change.path, change.before, change.after)).collect();
    assert_eq!(found, expected.map(|(path, before, after)| (path.to_owned(), before, after)));
    let diff = sandbox.diff().await.unwrap();
    for part in [
        "old mode 100644\nnew mode 100755",
        "GIT binary patch",
        "\\ No newline at end of file",
        "deleted file mode",
    ] {
        assert!(diff.contains(part), "{part} in {diff}");
    }
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_removed_work_directory_is_all_deleted(ground: &Ground) {
    let mut sandbox = ground.start(&[("a", b"a"), ("b/c", b"c")]).await;
    // A mount point cannot be removed, but can be emptied.
    run(&mut sandbox, "rm -rf -- \"$PWD\"").await;
    let changes = sandbox.changes().await.unwrap();
    assert!(changes.iter().all(|change| change.after.is_none()), "{changes:?}");
    assert_eq!(changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["a", "b/c"]);
    assert_eq!(run(&mut sandbox, "echo on").await.output, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn the_start_is_never_written(ground: &Ground) {
    let start = tree(&[("a", b"a"), ("b", b"b")]);
    let mut sandbox = ground.start_at(start.path()).await;
    sandbox.write("a", b"changed").await.unwrap();
    sandbox.write("c", b"new").await.unwrap();
    run(&mut sandbox, "rm b").await;
    assert_eq!(fs_err::read(start.path().join("a")).unwrap(), b"a");
    let names: Vec<_> =
        fs_err::read_dir(start.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn the_session_carries_directory_variables_and_functions(ground: &Ground) {
    let mut sandbox = ground.start(&[("sub dir/x", b"")]).await;
    output(&mut sandbox, "cd 'sub dir'; export A='a b'; f() { echo \"f $1\"; }").await;
    assert_eq!(
        output(&mut sandbox, "basename() { echo \"${1##*/}\"; }; basename \"$PWD\"; echo $A; f x").await,
        "sub dir\na b\nf x\n"
    );
    assert_eq!(run(&mut sandbox, "export B=kept; cd ..; exit 3").await.exit, Some(Exit::Code(3)));
    assert_eq!(output(&mut sandbox, "echo $B; [ -d 'sub dir' ] && echo here").await, "kept\nhere\n");
    // Files are named from the work directory, wherever the session is.
    assert_eq!(sandbox.read("sub dir/x").await.unwrap(), FileRead::File(Vec::new()));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_program_without_a_shell_is_in_the_session_too(ground: &Ground) {
    let tool = b"#!/bin/bash\necho \"$1 $A ${PWD##*/} $#\"\n[[ $1 != die ]] || kill -SEGV $$\nexit ${2:-0}\n";
    let mut sandbox = ground.start(&[("sub/x", b"here\n"), ("bin/tool!", tool)]).await;
    assert_eq!(output(&mut sandbox, "cat sub/x").await, "here\n", "before the session has begun");
    output(&mut sandbox, "export A='a \"b\"' PATH=$PWD/bin:$PATH; cd sub").await;
    assert_eq!(output(&mut sandbox, "cat x").await, "here\n");
    assert_eq!(output(&mut sandbox, "tool one").await, "one a \"b\" sub 1\n");
    assert_eq!(run(&mut sandbox, "tool one 3").await.exit, Some(Exit::Code(3)));
    let seen = run(&mut sandbox, "no-such-program one").await;
    assert_eq!(seen.exit, Some(Exit::Code(127)));
    assert_eq!(seen.output, "bash: line 1: no-such-program: command not found\n");
    let seen = run(&mut sandbox, "tool die").await;
    assert_eq!(seen.exit, Some(Exit::Code(139)));
    assert!(seen.output.contains("Segmentation fault") && seen.output.ends_with(" tool die\n"), "{seen:?}");
    // A function of that name comes first, and only bash knows it.
    output(&mut sandbox, "tool() { echo function; }").await;
    assert_eq!(output(&mut sandbox, "tool one").await, "function\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_fresh_command_sees_and_leaves_no_session(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    output(&mut sandbox, "cd /; export A=1").await;
    let fresh = Exec { session: Session::Fresh, ..command("pwd; echo ${A-none}; cd /tmp; export B=2") };
    assert_eq!(sandbox.exec(&fresh).await.unwrap().output, format!("{}\nnone\n", ground.spec.workdir));
    assert_eq!(output(&mut sandbox, "pwd; echo ${B-none}").await, "/\nnone\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn scripts_of_any_length_run(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    // Around what Linux takes as one argument, and far beyond.
    for bytes in [128 << 10, (128 << 10) - 1, 500_000, 10_000_000] {
        let frame = "cat > big <<'EOF'\nEOF\nwc -c < big; exit 3";
        let line = "it's 0123\n";
        let script = frame.replacen('\n', &format!("\n{}", line.repeat(bytes / line.len())), 1);
        let seen = run(&mut sandbox, &script).await;
        let expected = (bytes / line.len() * line.len()).to_string();
        assert_eq!((seen.output.trim(), seen.exit), (&*expected, Some(Exit::Code(3))), "{bytes}");
    }
    let lines = format!("{}echo $((x))", "x=$((x + 1)) # and so on\n".repeat(40_000));
    assert_eq!(output(&mut sandbox, &lines).await, "40000\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_signal_and_the_memory_bound_are_told_apart(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let seen = run(&mut sandbox, "echo before; kill -9 $$").await;
    assert!(matches!(seen.exit, Some(Exit::Signal(9) | Exit::Code(137))), "{seen:?}");
    let seen = run(&mut sandbox, "exec sleep 30 & kill -SEGV $!; wait $!").await;
    assert_eq!(seen.exit, Some(Exit::Code(139)), "{seen:?}");
    // Each is within what one process may have, all together are not.
    let hog = "perl -e '$x = \"x\" x (40 << 20); sleep 20'";
    let script = format!("echo before; export PERL_BADLANG=0; {hog} & {hog} & {hog} & {hog} & exec {hog}");
    let seen = run(&mut sandbox, &script).await;
    println!("five hogs: {:?} in {:.1} s", seen.exit, seen.elapsed_seconds);
    assert!(seen.output.starts_with("before\n"), "{seen:?}");
    let bomb = "export PERL_BADLANG=0; exec perl -e 'while (1) { push @x, \"x\" x (1 << 20) }'";
    let seen = run(&mut sandbox, bomb).await;
    println!("a bomb: {:?} in {:.1} s", seen.exit, seen.elapsed_seconds);
    // Where no group of processes bounds it, the program itself is refused memory, and says so.
    let is_told = seen.exit == Some(Exit::OutOfMemory) || seen.output.contains("Out of memory");
    assert!(is_told, "{seen:?}");
    // The hogs in the background go first: one that is only now refused its memory counts for the command of that
    // moment, the one that ends them too.
    let end = "while hogs=$(grep -ls '^perl' /proc/[0-9]*/cmdline); do\n\
               for hog in $hogs; do hog=${hog#/proc/}; kill -9 \"${hog%/cmdline}\" 2>/dev/null; done\nsleep 0.01\ndone; echo gone";
    let mut tries = 0..10;
    while run(&mut sandbox, end).await.output != "gone\n" {
        assert!(tries.next().is_some(), "the hogs go");
    }
    assert_eq!(
        run(&mut sandbox, "kill -9 $$").await.exit,
        Some(Exit::Signal(9)),
        "an earlier one is forgotten"
    );
    sandbox.stop().await.unwrap();
}

pub(crate) async fn silence_ends_the_whole_tree(ground: &Ground) {
    let mut spec = ground.spec.clone();
    spec.limits.quiet_seconds = Some(1.0);
    let empty = tree(&[]);
    let mut sandbox = ground.backend.start(&Start { spec: &spec, tree: Some(empty.path()) }).await.unwrap();
    let script = "echo before; setsid bash -c 'trap \"\" TERM HUP; while :; do echo >> beats; sleep 0.05; done' \
        >/dev/null 2>&1 & sleep 60";
    let seen = run(&mut sandbox, script).await;
    assert_eq!((seen.output.as_str(), seen.exit), ("before\n", Some(Exit::TimedOut)));
    let beats = output(&mut sandbox, "wc -l < beats").await;
    assert!(beats.trim().parse::<u32>().unwrap() > 0, "the background process ran");
    assert_eq!(output(&mut sandbox, "sleep 0.5; wc -l < beats").await, beats, "and was killed");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_fork_has_everything_and_is_its_own(ground: &Ground) {
    let mut parent = ground.start(&[("a", b"start"), ("gone", b"x"), ("d/e", b"e")]).await;
    output(
        &mut parent,
        "echo parent > a; rm gone; mkdir -p d/f; cd d; export A=1; f() { echo f; }; echo t > /tmp/t",
    )
    .await;
    let mut child = parent.fork().await.unwrap();
    assert_ne!(parent.id(), child.id());
    let seen = output(&mut child, "echo ${PWD##*/} $A; f; cat ../a /tmp/t; ls ..").await;
    assert_eq!(seen, "d 1\nf\nparent\nt\na\nd\n");
    assert_eq!(child.changes().await.unwrap(), parent.changes().await.unwrap());
    output(&mut child, "echo child > ../a; export A=2; cd /").await;
    assert_eq!(output(&mut parent, "cat ../a; echo $A; echo more > ../b").await, "parent\n1\n");
    assert_eq!(child.read("b").await.unwrap(), FileRead::Missing);
    parent.stop().await.unwrap();
    assert_eq!(output(&mut child, "pwd; echo $A").await, "/\n2\n");
    child.stop().await.unwrap();
}

pub(crate) async fn forks_of_forks_outlive_their_parents(ground: &Ground) {
    let mut sandbox = ground.start(&[("trunk", b"")]).await;
    for depth in 1..=3 {
        output(&mut sandbox, &format!("echo {depth} >> trunk")).await;
        let fork = sandbox.fork().await.unwrap();
        sandbox.stop().await.unwrap();
        sandbox = fork;
    }
    assert_eq!(output(&mut sandbox, "cat trunk").await, "1\n2\n3\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_sandbox_has_no_network(ground: &Ground) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sandbox = ground.start(&[]).await;
    let seen = run(&mut sandbox, &format!("echo > /dev/tcp/127.0.0.1/{port}")).await;
    assert_ne!(seen.exit, Some(Exit::Code(0)), "the host's loopback: {seen:?}");
    let seen = run(
        &mut sandbox,
        "while read -r line; do case $line in *:*) echo \"${line%%:*}\";; esac; done < /proc/net/dev",
    )
    .await;
    let interfaces: Vec<&str> = seen.output.lines().map(str::trim).filter(|name| *name != "lo").collect();
    // Tunnel devices of the kernel's modules exist in every namespace, and lead nowhere.
    assert!(
        !interfaces.iter().any(|name| name.starts_with("eth") || name.starts_with("en")),
        "{interfaces:?}"
    );
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_sandbox_has_no_power(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let status = output(&mut sandbox, "cat /proc/self/status").await;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(':').trim().to_owned()
    };
    assert_eq!(field("CapEff"), "0000000000000000");
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"));
    for script in [
        "cat /etc/shadow",
        "echo x > /etc/passwd",
        "echo x > /bin/new",
        "echo x > /proc/sys/kernel/core_pattern",
    ] {
        let seen = run(&mut sandbox, script).await;
        assert!(!seen.exit.is_some_and(Exit::is_success), "{script}: {seen:?}");
    }
    sandbox.stop().await.unwrap();
}

pub(crate) async fn processes_are_bounded(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "for i in $(seq 200); do sleep 30 & done 2>/dev/null; jobs -r > jobs; wc -l < jobs";
    let exec = Exec { timeout: Duration::from_secs(3), ..command(script) };
    sandbox.exec(&exec).await.unwrap();
    // Whatever is left of them, the sandbox still works.
    let seen = output(&mut sandbox, "set -- /proc/[0-9]*; echo $#").await;
    let n_processes: u64 = seen.trim().parse().unwrap();
    assert!(n_processes <= ground.spec.limits.pids + 4, "{n_processes}");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn memory_is_bounded(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    // Doubles a string until it is far over the limit.
    let seen =
        run(&mut sandbox, "x=0123456789abcdef; while [ ${#x} -lt 600000000 ]; do x=$x$x; done; echo done")
            .await;
    assert!(!seen.exit.is_some_and(Exit::is_success), "{seen:?}");
    assert_eq!(output(&mut sandbox, "echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn sandboxes_run_side_by_side(ground: &Ground) {
    let tasks = (0..4).map(|i| async move {
        let mut sandbox = ground.start(&[("who", i.to_string().as_bytes())]).await;
        let seen = output(&mut sandbox, "sleep 0.2; cat who").await;
        sandbox.stop().await.unwrap();
        (i, seen)
    });
    for (i, seen) in futures_util::future::join_all(tasks).await {
        assert_eq!(seen, i.to_string());
    }
}
