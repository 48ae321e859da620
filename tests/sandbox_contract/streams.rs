//! The claims about standard output and standard error told apart.

use std::time::{Duration, Instant};

use apprentice::sandbox::{Exec, Sandbox, Streams};
use apprentice::trajectory::{Apart, Exit, Observation, Stream};

use crate::ground::{Ground, command, output};

async fn apart(sandbox: &mut Box<dyn Sandbox>, exec: Exec<'_>) -> (Observation, Apart) {
    let mut seen = sandbox.exec(&Exec { streams: Streams::Apart, ..exec }).await.unwrap();
    let apart = seen.apart.take().unwrap();
    (seen, apart)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Numbers by turns on both streams, from a program and from a shell.
const BY_TURNS: [&str; 2] = [
    r#"export PERL_BADLANG=0; perl -e 'for ($i = 0; $i < 20000; $i += 2) { syswrite(STDOUT, "$i\n"); syswrite(STDERR, $i + 1 . "\n") }'"#,
    "for ((i = 0; i < 20000; i += 2)); do echo $i; echo $((i + 1)) >&2; done",
];

pub(crate) async fn streams_told_apart_keep_their_true_order(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    for script in BY_TURNS {
        let (seen, apart) = apart(&mut sandbox, Exec { output_bytes: 1 << 20, ..command(script) }).await;
        let numbers: Vec<usize> = seen.output.lines().map(|line| line.parse().unwrap()).collect();
        let n_misplaced = numbers.iter().enumerate().filter(|(at, number)| at != *number).count();
        println!("{n_misplaced} of {} writes out of place: {script}", numbers.len());
        assert_eq!((numbers.len(), n_misplaced), (20_000, 0), "{script}");
        assert_eq!(apart.pieces.len(), 20_000);
        for (piece, number) in apart.pieces.iter().zip(0..) {
            let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            assert_eq!(
                (piece.stream, &seen.output[piece.start..piece.end]),
                (stream, &*format!("{number}\n"))
            );
        }
        let odd: String = (0..10_000).map(|i| format!("{}\n", 2 * i + 1)).collect();
        assert_eq!(text(&apart.stderr), odd);
    }
    sandbox.stop().await.unwrap();
}

pub(crate) async fn copies_of_a_stream_are_that_stream(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "echo a; echo b >&2; exec 3>&2; echo c >&3; echo d; (echo e >&3); bash -c 'echo f'
        echo g | cat >&2; exec 2>&1; echo h >&2; bash -c 'echo i >&2; exit 3'";
    let (seen, apart) = apart(&mut sandbox, command(script)).await;
    assert_eq!(seen.exit, Some(Exit::Code(3)));
    assert_eq!(seen.output, "a\nb\nc\nd\ne\nf\ng\nh\ni\n");
    assert_eq!((text(&apart.stdout), text(&apart.stderr)), ("a\nd\nf\nh\ni\n", "b\nc\ne\ng\n"));
    let script = "echo a > /dev/stderr; echo b > /dev/stdout; echo c | tee /dev/stderr; echo d >&2";
    let (_, apart) = self::apart(&mut sandbox, command(script)).await;
    assert_eq!((text(&apart.stdout), text(&apart.stderr)), ("b\nc\n", "a\nc\nd\n"));
    // A program without a shell that is not there is told on stderr, as bash tells it.
    let (_, apart) = self::apart(&mut sandbox, command("no-such-program one")).await;
    assert_eq!((text(&apart.stdout), apart.stderr.is_empty()), ("", false));
    sandbox.stop().await.unwrap();
}

/// Their order is not claimed: the kernel joins such writes, also with the next one to a copy.
pub(crate) async fn a_stream_opened_by_its_name_loses_nothing(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script =
        "for ((i = 0; i < 4000; i += 2)); do echo $i > /dev/stdout; echo $((i + 1)) > /dev/stderr; done";
    let (seen, apart) = apart(&mut sandbox, command(script)).await;
    let n_misplaced = seen.output.lines().enumerate().filter(|(at, line)| line.parse() != Ok(*at)).count();
    println!("{n_misplaced} of 4000 writes out of place: {script}");
    let every_second = |from: usize| (0..2000).map(|i| format!("{}\n", 2 * i + from)).collect::<String>();
    assert_eq!((text(&apart.stdout), text(&apart.stderr)), (&*every_second(0), &*every_second(1)));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn large_writes_to_both_streams_come_whole_and_in_order(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = r#"export PERL_BADLANG=0; perl -e 'for $size (1, 4095, 4096, 4097, 8192, 100000, 3, 12288, 1) {
        for $stream (STDOUT, STDERR) { $left = $letter++ . "x" x $size . "\n";
            while (length $left) { substr($left, 0, syswrite($stream, $left)) = "" } } }'"#;
    let (seen, apart) = apart(&mut sandbox, Exec { output_bytes: 1 << 20, ..command(script) }).await;
    let sizes: Vec<usize> = seen.output.lines().map(|line| line.matches('x').count()).collect();
    let expected = [1, 4095, 4096, 4097, 8192, 100_000, 3, 12_288, 1].map(|size| [size, size]).concat();
    assert_eq!((sizes, apart.pieces.len()), (expected, 18));
    let script = "head -c 3000000 /dev/zero; echo end >&2; printf '\\377'";
    let (seen, apart) = self::apart(&mut sandbox, Exec { output_bytes: 4 << 20, ..command(script) }).await;
    assert_eq!((seen.omitted_bytes, apart.stdout.len(), text(&apart.stderr)), (0, 3_000_001, "end\n"));
    assert_eq!(apart.stdout.last(), Some(&0xff), "bytes that are no text are kept");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn streams_told_apart_share_one_bound(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let script = "printf 0123456789; printf abcdefghij >&2; printf 0123456789";
    let (seen, apart) = apart(&mut sandbox, Exec { output_bytes: 24, ..command(script) }).await;
    assert_eq!(seen.output, "0123456789ab\n[6 bytes omitted]\nij0123456789");
    assert_eq!(seen.omitted_bytes, 6);
    assert_eq!(text(&apart.stdout), "01234567890123456789");
    assert_eq!(text(&apart.stderr), "ab\n[6 bytes omitted]\nij");
    let exec = Exec { output_bytes: 1000, timeout: Duration::from_secs(1), ..command("yes & yes >&2") };
    let (seen, apart) = self::apart(&mut sandbox, exec).await;
    assert_eq!(seen.exit, Some(Exit::TimedOut));
    assert!(seen.omitted_bytes > 0 && apart.stdout.len() + apart.stderr.len() < 1100, "{apart:?}");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn what_holds_a_stream_apart_does_not_hold_up_its_command(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let begin = Instant::now();
    let script = "(sleep 0.5; yes late | head -n 100000 >&2; echo > done; sleep 25) & echo started";
    let (seen, apart) = apart(&mut sandbox, command(script)).await;
    assert_eq!((seen.output.as_str(), text(&apart.stdout)), ("started\n", "started\n"));
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    // What it prints later is read and forgotten, so that it can go on.
    assert_eq!(output(&mut sandbox, "until [ -e done ]; do sleep 0.05; done; echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_deadline_holds_where_streams_are_apart(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let exec =
        Exec { timeout: Duration::from_secs(1), ..command("echo out; echo err >&2; sleep 60; echo no") };
    let (seen, apart) = apart(&mut sandbox, exec).await;
    assert_eq!((seen.exit, seen.output.as_str()), (Some(Exit::TimedOut), "out\nerr\n"));
    assert_eq!((text(&apart.stdout), text(&apart.stderr)), ("out\n", "err\n"));
    sandbox.stop().await.unwrap();
}
