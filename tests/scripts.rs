//! Random scripts do in a sandbox what plain `bash -c` does outside: the same merged output, the same
//! exit code.
//!
//! Scripts are made of whole pieces, so that most of them run to their end. Seeds count up from 0 and
//! are named when a script differs. `APPRENTICE_SCRIPTS=1000` tries more of them than CI does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use apprentice::sandbox::{Exec, Sandbox, Session};
use apprentice::trajectory::{Exit, Observation};
use ground::Ground;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[expect(dead_code, clippy::unused_async, reason = "shared with the contract, which uses more of it")]
#[path = "sandbox_contract/ground.rs"]
mod ground;

/// Both sides have these variables and no others that bash does not make itself.
const ENV: [(&str, &str); 3] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C"),
    ("LC_ALL", "C"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_in_namespaces_are_those_of_plain_bash() {
    if let Some(ground) = ground::namespaces().await {
        agree(ground, number(120)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_in_docker_are_those_of_plain_bash() {
    if let Some(ground) = ground::docker().await {
        agree(ground, number(30)).await;
    }
}

#[test]
fn most_scripts_succeed_and_some_fail() {
    let room = tempfile::tempdir().unwrap();
    let n_successes = (0..40).filter(|seed| outside(&script(*seed), room.path()).1 == Exit::Code(0)).count();
    assert!((8..40).contains(&n_successes), "{n_successes} of 40");
}

fn number(in_ci: u64) -> u64 {
    std::env::var("APPRENTICE_SCRIPTS").map_or(in_ci, |number| number.parse().unwrap())
}

async fn agree(mut ground: Ground, scripts: u64) {
    for (name, value) in ENV {
        ground.spec.env.insert(name.to_owned(), value.to_owned());
    }
    let mut sandbox = ground.start(&[]).await;
    for seed in 0..scripts {
        // Every fourth script runs in the session, whose own words must not show.
        let session = if seed % 4 == 3 { Session::Carried } else { Session::Fresh };
        let script = script(seed);
        let room = tempfile::tempdir().unwrap();
        let (output, exit) = outside(&script, room.path());
        let seen = inside(&mut sandbox, &script, session).await;
        assert_eq!(seen.output, output, "the output of seed {seed}, {session:?}:\n{script}");
        assert!(same_exit(seen.exit, exit), "{:?}, not {exit:?}: seed {seed}:\n{script}", seen.exit);
        clean(&mut sandbox).await;
    }
    println!("{}: {scripts} scripts agree", ground.backend.name());
    sandbox.stop().await.unwrap();
}

async fn inside(sandbox: &mut Box<dyn Sandbox>, script: &str, session: Session) -> Observation {
    let exec = Exec { session, ..Exec::new(script, Duration::from_secs(60), 1 << 20) };
    sandbox.exec(&exec).await.unwrap()
}

/// Empties the work directory and the session for the next script.
async fn clean(sandbox: &mut Box<dyn Sandbox>) {
    let script = "rm -rf -- * .[!.]*; rm -f /run/session/state /var/lib/apprentice/session/state";
    assert_eq!(inside(sandbox, script, Session::Fresh).await.exit, Some(Exit::Code(0)));
}

/// What plain bash prints in an empty directory, both streams in one file.
fn outside(script: &str, room: &Path) -> (String, Exit) {
    let work = room.join("work");
    fs_err::create_dir_all(&work).unwrap();
    let output = room.join("output");
    let file: File = fs_err::File::create(&output).unwrap().into_file();
    let status = Command::new("bash")
        .args(["-c", script])
        .env_clear()
        .envs(ENV)
        .current_dir(&work)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    let exit = status.code().map_or_else(|| Exit::Signal(status.signal().unwrap()), Exit::Code);
    (String::from_utf8_lossy(&fs_err::read(output).unwrap()).into_owned(), exit)
}

/// An engine may know only the shell's word for a signal.
fn same_exit(seen: Option<Exit>, plain: Exit) -> bool {
    match (seen, plain) {
        (Some(Exit::Code(code)), Exit::Signal(signal)) => code == 128 + signal,
        (seen, plain) => seen == Some(plain),
    }
}

/// A script of a few pieces, the same for the same seed.
fn script(seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut script = String::new();
    for _ in 0..random.random_range(1..=6) {
        let piece = PIECES[random.random_range(0..PIECES.len())];
        script.push_str(&fill(piece, &mut random));
        script.push_str(if random.random_bool(0.1) { "\n\n# words\n" } else { "\n" });
    }
    script
}

/// Puts numbers for `@N@`, words for `@W@` and texts for `@T@`.
fn fill(piece: &str, random: &mut ChaCha8Rng) -> String {
    let mut filled = String::new();
    let mut parts = piece.split('@');
    while let Some(plain) = parts.next() {
        filled.push_str(plain);
        match parts.next() {
            Some("N") => filled.push_str(&random.random_range(0..100).to_string()),
            Some("W") => filled.push_str(WORDS[random.random_range(0..WORDS.len())]),
            Some("T") => filled.push_str(TEXTS[random.random_range(0..TEXTS.len())]),
            Some(other) => filled.push_str(&format!("@{other}@")),
            None => {}
        }
    }
    filled
}

const WORDS: [&str; 8] = ["alpha", "b_2", "Gamma", "x", "y1", "file.txt", "eta", "zz"];

/// Texts that stand anywhere in a line, also between quotes of their own.
const TEXTS: [&str; 12] = [
    "'single $x `y`'",
    "\"double ${x:-none} \\\" \\$ \\\\\"",
    "$'tab\\tline\\nquote\\'end'",
    "\"it's\"",
    "'a'\"b\"c",
    "\"$((1 + 2 * 3))\"",
    "\"$(echo inner \"$(echo innermost)\")\"",
    "'*'",
    "\\*\\ \\\\",
    "\"\u{e9}\u{4e2d}\u{1f600}\"",
    "''",
    "\"${#PATH} ${PWD##*/}\" | wc -w | tr -d ' '",
];

/// Every piece runs alone, leaves the shell running unless it says otherwise, and prints the same
/// wherever it runs.
const PIECES: &[&str] = &[
    "echo @T@",
    "printf '%s|%d\\n' @W@ @N@ >&2; echo @W@",
    "x=@N@; y=@N@; echo $((x * y - x / (y + 1) % 7)) $((x << 2 | y & 12)) $((x > y ? x : -y))",
    "cat <<EOF\nhere ${x:-@W@} $(echo sub @N@) \\$no `echo old`\nEOF",
    "cat <<'EOF'\nraw $x `y` \\ \"quoted\" 'it'\nEOF",
    "cat <<-EOF | tr a-z A-Z\n\tindented @W@\n\t\ttwice\n\tEOF",
    "cat <<A; cat <<B\nfirst @N@\nA\nsecond\nB",
    "while read -r a b; do echo \"<$a|$b>\"; done <<EOF\n@W@ one two\n  spaces  \\ kept\nlast\nEOF",
    "{ sleep 0.01; echo late @N@; } & echo early; wait",
    "p=; for i in 1 2 3; do (exit $i) & p=\"$p $!\"; done; n=0; for i in $p; do wait $i; n=$((n + $?)); done; echo $n",
    "case @W@ in a*) echo starts;; *.txt|?) echo short;; [[:upper:]]*) echo upper;& *) echo other;; esac",
    "[[ @W@ == *a* && @N@ -gt 50 || -z '' ]] && echo yes || echo no",
    "[[ @W@ =~ ^([a-z]+)_?([0-9]*)$ ]] && echo \"${BASH_REMATCH[@]}\" || echo unmatched",
    "[ @N@ -lt 50 -a -d . ]; echo $?; test -e nowhere; echo $?",
    "trap 'echo trapped @W@' USR1; kill -USR1 $$; trap - USR1",
    "trap 'echo err line' ERR; false; true; trap - ERR",
    "(trap 'echo leaving @N@' EXIT; echo inside; exit @N@); echo $?",
    "(set -e; echo before; false; echo never); echo $?",
    "(set -eu; : \"${undefined_@N@?}\"; echo never) 2>/dev/null; echo $?",
    "(set -o pipefail; false | true; echo $?; true | (exit @N@) | cat; echo ${PIPESTATUS[@]})",
    "f() { local v=$1; [ $v -le 1 ] && { echo 1; return; }; echo $((v * $(f $((v - 1))))); }; f $((@N@ % 7))",
    "g() { echo args $# \"$@\"; return @N@; }; g @T@; echo $?",
    "h() (cd /; pwd; v=lost); v=kept; h; echo $v",
    "(exec head -c 3 <<< replaced_@W@); echo after",
    "exec 3>&1; echo to three >&3; exec 3>&-; echo more >&3",
    "printf '\\001\\377\\200a\\303\\251\\n\\342\\202'; echo",
    "head -c @N@ /dev/zero | tr '\\0' '\\377'; echo",
    "printf '%0*d\\n' 70000 @N@",
    "for i in $(seq 300); do echo line $i; echo err $i >&2; done",
    "echo out | { read v; echo \"got $v\"; exit @N@; }; echo $?",
    "seq @N@ | sort -r | head -n 3 | tac | tr '\\n' ','; echo",
    "printf 'b\\na\\nc\\na\\n' | sort | uniq -c | sed 's/^ *//'",
    "mkdir -p d/@W@; echo @N@ > d/@W@.out; cat d/*.out; ls -R d | sort; rm -r d",
    "echo one > @W@; echo two >> @W@; for f in *; do echo \"$f:\"; cat \"$f\"; done; rm -f -- *",
    "a=(@W@ 'two words' @N@); a+=(last); echo ${#a[@]} \"${a[1]}\" \"${a[@]:1:2}\" ${!a[@]}; unset a",
    "declare -A m=([k]=@N@ [l]=@W@); for k in k l; do echo \"$k=${m[$k]}\"; done; unset m",
    "s=hello_@W@; echo ${s^^} ${s/l/L} ${s//l} ${s:2:4} ${s%_*} ${s#*_} ${#s}",
    "echo {a,b}{1..3} {01..03} ~+ | wc -w | tr -d ' '",
    "i=0; until [ $i -ge 3 ]; do i=$((i + 1)); [ $i = 2 ] && continue; echo i$i; done",
    "for ((i = 0; i < 4; i++)); do ((i == 2)) && break; echo c$i; done",
    "select_me() { echo \"$FUNCNAME $BASH_SUBSHELL\"; }; (select_me)",
    "let 'z = @N@ % 5'; echo $? $z; ((z)); echo $?",
    "eval 'echo evaluated '\"'@W@'\"; eval \"e_$((1 + 1))=5\"; echo $e_2",
    "diffs=$(cmp <(echo a) <(echo a) && echo same); echo $diffs",
    "echo a | tee copy | cat - copy; rm copy",
    "env -i A=@N@ sh -c 'echo $A; echo ${HOME-none}'",
    "bash -c 'echo child $0 $1; exit 3' zero @W@; echo $?",
    "no_such_program_@N@; echo $?",
    "cat no-such-file-@W@; echo $?",
    "cd no-such-directory; echo $?; readonly r_@N@=1; echo ok",
    "read -r line; echo \"$? <$line>\"; cat; echo end of input",
    "echo with carriage\r\nx=5\r\necho \"$x\" | od -c | head -n 2",
    "echo 'unfinished line' | tr -d '\\n'",
    "# a comment with 'quotes \" and $(no command)\n:",
    "umask; ulimit -c; echo $- | tr -d 'hBc' | wc -c | tr -d ' '",
    "! true; echo $?; ! false; echo $?; true && ! false || echo never",
    "time_is() { echo \"$SECONDS\" | grep -c '^[0-9]'; }; time_is",
    "echo ${nothing:=assigned} $nothing ${nothing:+set} ${none-unset}; unset nothing",
    "shopt -s nullglob; echo none*here; shopt -u nullglob; echo none*here",
    "coproc cat; echo through >&${COPROC[1]}; read -r back <&${COPROC[0]}; echo $back; exec {COPROC[1]}>&-; wait",
    "exit @N@",
    "kill -TERM $$; echo never",
    "echo \"unclosed",
    "echo one; }; echo two",
    "set -e; false; echo never",
    "set -x; y=@N@; echo traced $y; { set +x; } 2>/dev/null",
    "set -u; echo ${missing_@N@}; echo never",
    "exec sh -c 'echo gone; exit @N@'",
];
