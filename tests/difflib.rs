//! The similarity is CPython's, bit for bit, on recorded pairs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::PathBuf;

use apprentice::difflib::{Autojunk, Block, matching_blocks, ratio};
use serde::Deserialize;

#[derive(Deserialize)]
struct Pair {
    expert: String,
    student: String,
    autojunk: bool,
    ratio: f64,
    blocks: Vec<(usize, usize, usize)>,
}

impl Pair {
    fn autojunk(&self) -> Autojunk {
        if self.autojunk { Autojunk::On } else { Autojunk::Off }
    }
}

fn pairs() -> Option<Vec<Pair>> {
    let root = std::env::var_os("APPRENTICE_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures")),
        PathBuf::from,
    );
    if !root.exists() {
        println!("skipped: ../shared is not here");
        return None;
    }
    let text = fs_err::read_to_string(root.join("difflib.jsonl")).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn ratio_equals_pythons_bit_for_bit() {
    let Some(pairs) = pairs() else { return };
    assert_eq!(pairs.len(), 1500);
    for (index, pair) in pairs.iter().enumerate() {
        let ours = ratio(&pair.student, &pair.expert, pair.autojunk());
        assert_eq!(ours.to_bits(), pair.ratio.to_bits(), "line {}: {ours} and {}", index + 1, pair.ratio);
    }
}

#[test]
fn matching_blocks_equal_pythons() {
    let Some(pairs) = pairs() else { return };
    for (index, pair) in pairs.iter().enumerate() {
        let ours = matching_blocks(&pair.student, &pair.expert, pair.autojunk());
        let theirs: Vec<Block> = pair.blocks.iter().map(|&(a, b, len)| Block { a, b, len }).collect();
        assert_eq!(ours, theirs, "line {}", index + 1);
    }
}

fn command(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = assert_cmd::Command::cargo_bin("apprentice").unwrap();
    let output = command.args(arguments).write_stdin(input).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_prints_rewards_and_blocks() {
    let (code, stdout, _) = command(&["reward"], "{\"expert\": \"diet\", \"student\": \"tide\"}\n");
    assert_eq!((code, stdout.as_str()), (0, "{\"reward\":0.25,\"blocks\":[[0,3,1]]}\n"));
}

#[test]
fn the_command_names_a_bad_line() {
    let pairs = "{\"expert\": \"a\", \"student\": \"a\"}\n{\"expert\": 1}\n";
    let (code, stdout, stderr) = command(&["reward"], pairs);
    assert_eq!((code, stdout.as_str()), (3, "{\"reward\":1.0,\"blocks\":[[0,0,1]]}\n"));
    assert!(stderr.starts_with("error: line 2 of stdin is not a pair: "), "{stderr}");
}
