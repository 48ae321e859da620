//! The similarity is CPython's, bit for bit, on recorded pairs.

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
