//! The claims.

use std::time::Duration;

use apprentice::isolation::Network;
use apprentice::sandbox::{Contact, Exec, Outcome, Sandbox, SandboxError};
use apprentice::trajectory::Exit;

use crate::ground::{Ground, command, output, run};
use crate::server::Server;

/// Says `$1` to the proxy, and prints what comes back.
const ASK: &str =
    r#"ask() { exec 3<>/dev/tcp/127.0.0.1/61080 && printf '%b' "$1" >&3 && cat <&3; exec 3>&- 3<&-; };"#;
/// A perl that has a tunnel to `HOST` as `S`.
const TUNNEL: &str = r#"sub tunnel { my $s; socket($s, 2, 1, 0) or die "socket: $!";
    connect($s, pack("SnC4x8", 2, 61080, 127, 0, 0, 1)) or die "connect: $!";
    syswrite $s, "CONNECT HOST HTTP/1.1\r\n\r\n"; my $h = "";
    until ($h =~ /\r\n\r\n/) { sysread $s, $h, 1, length $h or die "no answer: $h" }
    $h =~ m(^HTTP/1.1 200 ) or die $h; $s }"#;

fn listing(ground: Ground, entries: &[&str]) -> Ground {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    let mut ground = ground;
    ground.spec.network = Network::Allow(entries.try_into().unwrap());
    ground.spec.env.insert("PERL_BADLANG".to_owned(), "0".to_owned());
    ground
}

/// A server, and a sandbox that may reach it.
async fn begin(ground: Ground) -> (Server, Ground, Box<dyn Sandbox>) {
    let server = Server::start().await;
    let ground = listing(ground, &[&server.address]);
    let sandbox = ground.start(&[]).await;
    (server, ground, sandbox)
}

fn get(address: &str) -> String {
    format!(r"{ASK} ask 'GET http://{address}/p HTTP/1.1\r\nHost: evil.org\r\n\r\n'")
}

fn perl(script: &str, server: &Server) -> String {
    format!("perl -e '{TUNNEL} {script}'").replace("HOST", &server.address)
}

async fn is_answered(sandbox: &mut Box<dyn Sandbox>, server: &Server) {
    let address = &server.address;
    let seen = output(sandbox, &get(address)).await;
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
    assert_eq!(body, format!("GET /p HTTP/1.1 of {address} with 0\n"));
}

pub(crate) async fn a_listed_host_is_reached_by_request_and_by_tunnel(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    is_answered(&mut sandbox, &server).await;
    let post = format!(
        r"{ASK} ask 'POST http://{}/ HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n' | head -1",
        server.address
    );
    assert_eq!(output(&mut sandbox, &post).await, "HTTP/1.1 501 Not Implemented\r\n");
    let script = r#"my $s = tunnel(); syswrite $s, "echo\nhello"; shutdown $s, 1; print while <$s>"#;
    assert_eq!(output(&mut sandbox, &perl(script, &server)).await, "hello");
    let contacts = sandbox.contacts();
    let reached = Contact { host: server.address.clone(), outcome: Outcome::Reached, times: 2 };
    assert!(contacts.contains(&reached), "{contacts:?}");
    sandbox.stop().await.unwrap();
    server.see_ended(2).await;
}

pub(crate) async fn what_is_not_listed_is_refused_and_nothing_leaves(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let other = Server::start().await;
    let port = server.address.split_once(':').unwrap().1;
    for target in [other.address.clone(), format!("localhost:{port}"), format!("127.0.0.2:{port}")] {
        let plain = format!(r"{ASK} ask 'GET http://{target}/ HTTP/1.1\r\nHost: {}\r\n\r\n'", server.address);
        let tunnel = format!(r"{ASK} ask 'CONNECT {target} HTTP/1.1\r\nHost: {}\r\n\r\n'", server.address);
        for script in [plain, tunnel] {
            let seen = output(&mut sandbox, &script).await;
            assert!(seen.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{seen}");
            assert!(seen.contains("network: {allow: […]}") && seen.contains("sandbox `shell`"), "{seen}");
        }
    }
    // Nor without the proxy.
    assert_ne!(
        run(&mut sandbox, &format!("echo echo > /dev/tcp/127.0.0.1/{port}")).await.exit,
        Some(Exit::Code(0))
    );
    let refused: Vec<Contact> = sandbox.contacts();
    assert!(refused.iter().all(|contact| contact.outcome == Outcome::Refused && contact.times == 2));
    assert_eq!(refused.len(), 3, "{refused:?}");
    sandbox.stop().await.unwrap();
    assert_eq!((server.n_accepted(), other.n_accepted()), (0, 0));
}

pub(crate) async fn twenty_megabytes_go_both_ways_while_a_command_prints(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let script = r#"my $s = tunnel(); my ($n, $block) = (20 << 20, join "", map { chr(33 + $_ % 90) } 1 .. 65536);
        syswrite $s, "echo\n";
        unless (fork) { for (my $w = 0; $w < $n;) { $w += syswrite $s, $block, 65536 - $w % 65536, $w % 65536 }
            shutdown $s, 1; exit }
        my $r = 0; while (my $k = sysread $s, my $b, 65536) {
            die "other bytes at $r" if $b ne substr "$block$block", $r % 65536, $k; $r += $k }
        wait; print STDERR "got $r\n""#;
    let lines = "for i in $(seq 2000); do echo line $i; done & wait $!; echo printed; wait";
    let both = format!("{} & {lines}", perl(script, &server));
    let exec = Exec { output_bytes: 1 << 20, ..command(&both) };
    let seen = sandbox.exec(&exec).await.unwrap();
    assert_eq!(seen.exit, Some(Exit::Code(0)), "{}", seen.output);
    assert!(seen.output.contains(&format!("got {}\n", 20 << 20)), "{seen:?}");
    let expected: String = (1..=2000).map(|i| format!("line {i}\n")).collect();
    assert_eq!(seen.output.replace(&format!("got {}\n", 20 << 20), "").replace("printed\n", ""), expected);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn more_connections_than_there_is_room_for_are_all_served(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    // All of them are open before the first is read.
    let script = r#"my @all = map { my $s; socket($s, 2, 1, 0); connect($s, pack("SnC4x8", 2, 61080, 127, 0, 0, 1)) or die $!;
            syswrite $s, "GET http://HOST/$_ HTTP/1.1\r\n\r\n"; $s } 1 .. 150;
        my $n = 0; for my $s (@all) { local $/; my $a = <$s>; $n++; $a =~ m(GET /$n HTTP/1.1 of HOST) or die "$n: $a" }
        print $n"#;
    assert_eq!(output(&mut sandbox, &perl(script, &server)).await, "150");
    sandbox.stop().await.unwrap();
    server.see_ended(150).await;
}

pub(crate) async fn a_client_that_never_reads_stops_nobody(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let deaf = perl(
        r#"my @s = map { my $s = tunnel(); syswrite $s, "pour\n"; $s } 1 .. 8; print "deaf\n"; close STDOUT; sleep 600"#,
        &server,
    );
    assert_eq!(
        output(
            &mut sandbox,
            &format!("({deaf}) 2>/dev/null > said & until grep -qs deaf said; do sleep 0.05; done; cat said")
        )
        .await,
        "deaf\n"
    );
    for _ in 0..3 {
        is_answered(&mut sandbox, &server).await;
    }
    assert_eq!(output(&mut sandbox, "yes | head -c 300000 | wc -c").await.trim(), "300000");
    sandbox.stop().await.unwrap();
    server.see_ended(11).await;
}

pub(crate) async fn a_client_that_dies_ends_its_connection(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    for first in ["echo", "pour"] {
        let dies = perl(&format!(r#"my $s = tunnel(); syswrite $s, "{first}\n"; kill 9, $$"#), &server);
        assert_ne!(run(&mut sandbox, &dies).await.exit, Some(Exit::Code(0)));
    }
    server.see_ended(2).await;
    is_answered(&mut sandbox, &server).await;
    sandbox.stop().await.unwrap();
}

pub(crate) async fn the_end_of_the_sandbox_is_the_end_of_its_connections(ground: Ground) {
    let (server, ground, mut sandbox) = begin(ground).await;
    let idle =
        perl(r#"my $s = tunnel(); syswrite $s, "echo\n"; print "open\n"; close STDOUT; sleep 600"#, &server);
    let script = format!("({idle}) 2>/dev/null > said & until grep -qs open said; do sleep 0.05; done");
    output(&mut sandbox, &script).await;
    sandbox.stop().await.unwrap();
    server.see_ended(1).await;
    // One that is dropped ends them, too.
    let mut sandbox = ground.start(&[]).await;
    output(&mut sandbox, &script).await;
    drop(sandbox);
    server.see_ended(2).await;
}

pub(crate) async fn a_command_that_is_killed_leaves_the_proxy(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let idle = perl(r#"my $s = tunnel(); syswrite $s, "echo\n"; sleep 600"#, &server);
    let bomb = "f() { f & f & }; f 2>/dev/null; sleep 60";
    for (script, n_connections) in [(format!("({idle}) & sleep 60"), 1), (bomb.to_owned(), 1)] {
        let exec = Exec { timeout: Duration::from_millis(1500), ..command(&script) };
        let seen = sandbox.exec(&exec).await.unwrap();
        assert_eq!(seen.exit, Some(Exit::TimedOut), "{seen:?}");
        server.see_ended(n_connections).await;
        assert_eq!(output(&mut sandbox, "ps -e 2>/dev/null | grep -c perl; true").await.trim(), "0");
    }
    let seen = run(&mut sandbox, &get(&server.address)).await;
    assert!(seen.output.starts_with("HTTP/1.1 200 OK"), "{seen:?}");
    assert_eq!(seen.background, [""; 0], "the proxy is nothing that a command left");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_fork_has_the_same_list(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let other = Server::start().await;
    is_answered(&mut sandbox, &server).await;
    let mut fork = sandbox.fork().await.unwrap();
    sandbox.stop().await.unwrap();
    is_answered(&mut fork, &server).await;
    let seen = output(&mut fork, &get(&other.address)).await;
    assert!(seen.starts_with("HTTP/1.1 403 "), "{seen}");
    fork.stop().await.unwrap();
    assert_eq!(other.n_accepted(), 0);
}

pub(crate) async fn a_fork_starts_our_program(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    let replace = "mv /usr/lib/apprentice /usr/lib/elsewhere; mkdir /usr/lib/evil; ln -s evil /usr/lib/apprentice
        for f in /usr/lib/elsewhere/*; do cp /bin/sh /usr/lib/evil/${f##*/}; done; echo /usr/lib/evil/none.so > /etc/ld.so.preload";
    output(&mut sandbox, replace).await;
    let mut fork = sandbox.fork().await.unwrap();
    sandbox.stop().await.unwrap();
    let told =
        output(&mut fork, "test -d /usr/lib/elsewhere; test -L /usr/lib/apprentice || echo ours").await;
    assert_eq!(told, "ours\n");
    is_answered(&mut fork, &server).await;
    fork.stop().await.unwrap();
}

pub(crate) async fn a_relay_that_is_gone_is_a_lost_sandbox(ground: Ground) {
    let (server, _, mut sandbox) = begin(ground).await;
    is_answered(&mut sandbox, &server).await;
    let Some(relay) = relay_of(sandbox.id()) else {
        println!("skipped: the relay is no process that this test can see");
        return;
    };
    rustix::process::kill_process(relay, rustix::process::Signal::KILL).unwrap();
    // The engine may tell of it a moment later; no command that was refused is an answer for long.
    let begin = std::time::Instant::now();
    let error = loop {
        assert!(begin.elapsed() < Duration::from_secs(30), "commands go on without a way out");
        if let Err(error) = sandbox.exec(&command("true")).await {
            break error;
        }
    };
    assert!(matches!(&error, SandboxError::Lost { doing, .. } if doing == "its proxy ended"), "{error:?}");
    sandbox.stop().await.unwrap();
}

/// The process on this host that is the relay of a container.
fn relay_of(id: &str) -> Option<rustix::process::Pid> {
    let of = |pid: i32, file: &str| fs_err::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let pids = fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let found = pids
        .into_iter()
        .find(|pid| of(*pid, "cmdline").contains("@sandbox-relay") && of(*pid, "cgroup").contains(id))?;
    rustix::process::Pid::from_raw(found)
}

pub(crate) async fn programs_are_told_of_the_proxy(ground: Ground) {
    let (server, ground, mut sandbox) = begin(ground).await;
    let told =
        output(&mut sandbox, "echo $http_proxy $HTTPS_PROXY $all_proxy; echo $no_proxy $NO_PROXY").await;
    let proxy = "http://127.0.0.1:61080";
    assert_eq!(told, format!("{proxy} {proxy} {proxy}\nlocalhost,::1 localhost,::1\n"));
    let address = &server.address;
    for client in [
        "curl -sS",
        "python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode(), end=\"\")'",
    ] {
        let program = client.split(' ').next().unwrap();
        if run(&mut sandbox, &format!("command -v {program}")).await.exit != Some(Exit::Code(0)) {
            println!("skipped: {} has no {program}", ground.spec.name);
            continue;
        }
        let seen = output(&mut sandbox, &format!("{client} http://{address}/p")).await;
        assert_eq!(seen, format!("GET /p HTTP/1.1 of {address} with 0\n"), "{program}");
    }
    sandbox.stop().await.unwrap();
}

pub(crate) async fn sandboxes_that_come_and_go_leave_no_open_file(ground: Ground) {
    let server = Server::start().await;
    let ground = listing(ground, &[&server.address]);
    let open_files = || fs_err::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for cycle in 0..20 {
        let mut sandbox = ground.start(&[]).await;
        is_answered(&mut sandbox, &server).await;
        let mut fork = sandbox.fork().await.unwrap();
        is_answered(&mut fork, &server).await;
        sandbox.stop().await.unwrap();
        fork.stop().await.unwrap();
        if cycle == 4 {
            before = open_files();
        }
    }
    server.see_ended(40).await;
    let begin = std::time::Instant::now();
    while open_files() > before {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} open files, {before} before", open_files());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{before} open files after 5 cycles, {} after 20", open_files());
}
