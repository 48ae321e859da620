//! The claims about whole outputs that are kept in the sandbox.

use apprentice::sandbox::{Exec, Sandbox, Start};

use crate::ground::{Ground, command, output, run, tree};

async fn keeping(ground: &Ground, spill_mib: u64) -> Box<dyn Sandbox> {
    let mut spec = ground.spec.clone();
    spec.limits.spill_mib = spill_mib;
    let empty = tree(&[]).keep();
    ground.backend.start(&Start { spec: &spec, tree: Some(&empty) }).await.unwrap()
}

/// The file that the observation of `script` names.
async fn named(sandbox: &mut Box<dyn Sandbox>, script: &str) -> String {
    let seen = sandbox.exec(&Exec { output_bytes: 1000, ..command(script) }).await.unwrap();
    let (_, after) =
        seen.output.split_once("output is in ").or(seen.output.split_once("output are in ")).unwrap();
    assert!(seen.output.len() < 1200 && seen.omitted_bytes > 0);
    after.split(']').next().unwrap().to_owned()
}

pub(crate) async fn a_whole_output_is_kept_where_that_is_asked_for(ground: &Ground) {
    let mut sandbox = keeping(ground, 4).await;
    let file = named(&mut sandbox, "seq 1 100000").await;
    assert_eq!(
        output(&mut sandbox, &format!("cmp {file} <(seq 1 100000) && sed -n 50000p {file}")).await,
        "50000\n"
    );
    assert_eq!(output(&mut sandbox, &format!("rm {file}; echo on")).await, "on\n", "it is the agent's own");
    assert_eq!(sandbox.changes().await.unwrap(), [], "and no part of the patch");
    let small = run(&mut sandbox, "echo small; ls -A").await;
    assert_eq!(small.output, "small\n");
    // A second one has another name; a fork has both.
    let second = named(&mut sandbox, "seq 1 2000").await;
    assert_ne!(second, file);
    let mut child = sandbox.fork().await.unwrap();
    let moved = named(&mut child, "seq 1 3000").await;
    assert_eq!(output(&mut child, &format!("tail -n 1 {second} {moved} | grep -c 000")).await, "2\n");
    child.stop().await.unwrap();
    sandbox.stop().await.unwrap();
}

pub(crate) async fn whole_outputs_share_one_bound(ground: &Ground) {
    let mut sandbox = keeping(ground, 2).await;
    let first = named(&mut sandbox, "head -c 1500000 /dev/zero | tr '\\0' a").await;
    let second = named(&mut sandbox, "head -c 1400000 /dev/zero | tr '\\0' b").await;
    assert_eq!(
        output(&mut sandbox, &format!("ls {first} 2>/dev/null; wc -c < {second}")).await.trim(),
        "1400000"
    );
    let exec = Exec { output_bytes: 1000, ..command("head -c 5000000 /dev/zero | tr '\\0' c") };
    let seen = sandbox.exec(&exec).await.unwrap();
    assert!(seen.output.contains("the first 2097152 bytes of the output are in "), "{}", seen.output);
    assert_eq!(output(&mut sandbox, "echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn nothing_is_kept_unasked(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let seen = sandbox.exec(&Exec { output_bytes: 1000, ..command("seq 1 10000") }).await.unwrap();
    assert!(seen.output.contains("bytes omitted]"), "{}", seen.output);
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_whole_output_is_kept_of_streams_told_apart(ground: &Ground) {
    use apprentice::sandbox::Streams;

    let mut sandbox = keeping(ground, 4).await;
    let script = "for ((i = 0; i < 2000; i += 2)); do echo $i; echo $((i + 1)) >&2; done";
    let exec = Exec { output_bytes: 100, streams: Streams::Apart, ..command(script) };
    let seen = sandbox.exec(&exec).await.unwrap();
    let (_, after) = seen.output.split_once("output is in ").unwrap();
    let file = after.split(']').next().unwrap();
    assert_eq!(output(&mut sandbox, &format!("cmp {file} <(seq 0 1999) && echo same")).await, "same\n");
    let stdout = String::from_utf8(seen.apart.unwrap().stdout).unwrap();
    assert!(stdout.contains(file), "{stdout}");
    sandbox.stop().await.unwrap();
}
