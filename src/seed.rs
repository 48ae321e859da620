//! Seeds: every random choice derives from a run's seed and the place where it is made.
//!
//! Guarantees that no clock, thread or hash order reaches a choice: same seed and place, same stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The generator for the place named by `path`, such as `("sample", &[step, example])`.
pub fn rng(seed: u64, place: &str, path: &[u64]) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(seed, place, path))
}

/// A seed for the place named by `path`, to be handed on.
pub fn derive(seed: u64, place: &str, path: &[u64]) -> u64 {
    let bytes = digest(seed, place, path);
    u64::from_le_bytes(bytes[..8].try_into().expect("invariant: a digest has 32 bytes"))
}

fn digest(seed: u64, place: &str, path: &[u64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((place.len() as u64).to_le_bytes());
    hash.update(place.as_bytes());
    for part in path {
        hash.update(part.to_le_bytes());
    }
    hash.finalize().into()
}
