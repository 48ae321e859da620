//! What a pass of the network holds in memory, counted where it is allocated.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use apprentice::model::config::QwenConfig;
use apprentice::model::lora::LoraConfig;
use apprentice::model::network::{Activations, Network};
use apprentice::model::precision::Precision;
use apprentice::model::tree::Packed;
use candle_core::Device;

/// Counts the bytes that live, and the most that ever did.
struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(LIVE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const LAYERS: usize = 24;

fn network() -> Network {
    let config = serde_json::json!({"model_type": "qwen2", "vocab_size": 128, "hidden_size": 32,
        "intermediate_size": 96, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 4096, "tie_word_embeddings": true});
    Network::init(QwenConfig::from_json(config).unwrap(), 1, 0.1, &Device::Cpu).unwrap()
}

/// The most bytes that lived during a pass, weights included, and those of its gradients.
fn pass(network: &Network, tokens: u32) -> (usize, usize) {
    let sequence: Vec<u32> = (0..tokens).map(|i| i * 7919 % 128).collect();
    let packed = Packed::new([&sequence[..]]);
    let rows: Vec<u32> = (0..tokens - 1).collect();
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let logprobs = network.logprobs(&packed, &rows, &sequence[1..], 1.0).unwrap();
    let gradients = logprobs.sum_all().unwrap().backward().unwrap();
    let peak = PEAK.load(Relaxed);
    drop((logprobs, packed, rows, sequence));
    let left = LIVE.load(Relaxed) - before;
    assert!(gradients.get(network.vars().values().next().unwrap()).is_some());
    (peak, left)
}

#[test]
fn recomputation_takes_little_memory_and_a_frozen_base_has_no_gradients() {
    let tokens = 640;
    let kept = network();
    let weights = kept.weight_bytes();
    // Threads keep working memory from their first pass on.
    pass(&kept, tokens);
    let (plain, full_gradients) = pass(&kept, tokens);
    let (recomputed, _) = pass(&kept.clone().with_activations(Activations::Recomputed), tokens);
    eprintln!(
        "{LAYERS} layers, {tokens} tokens, weights of {weights} bytes: {plain} bytes at most, recomputed {recomputed}"
    );
    assert!(recomputed * 10 <= plain * 4, "{recomputed} of {plain}");

    let lora = kept
        .freeze(Precision::F32)
        .unwrap()
        .with_adapter(&LoraConfig { rank: 2, ..LoraConfig::default() }, 1)
        .unwrap();
    let factors: usize = lora.vars().values().map(|var| 4 * var.elem_count()).sum();
    let (_, gradients) = pass(&lora, tokens);
    eprintln!("gradients: {full_gradients} bytes of all, {gradients} of factors of {factors} bytes");
    assert!(weights <= full_gradients && gradients < factors + weights / 4);
}
