//! What tuning modes take: peak memory and time of one gradient, `cargo bench --bench tuning`.
//!
//! Guarantees that each mode is measured in a process of its own, from its start to the end of the second pass. Writes
//! `target/bench/tuning.json`; docs/models.md says what the figures mean.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use apprentice::model::config::QwenConfig;
use apprentice::model::cpu;
use apprentice::model::lora::LoraConfig;
use apprentice::model::network::{Activations, Network};
use apprentice::model::precision::Precision;
use apprentice::model::tree::Packed;
use serde_json::{Value, json};

/// The modes, each with its name.
const MODES: [(&str, Mode); 8] = [
    ("full", Mode { lora: false, precision: Precision::F32, activations: Activations::Kept }),
    (
        "full, recompute",
        Mode { lora: false, precision: Precision::F32, activations: Activations::Recomputed },
    ),
    ("lora", Mode { lora: true, precision: Precision::F32, activations: Activations::Kept }),
    ("lora, recompute", Mode { lora: true, precision: Precision::F32, activations: Activations::Recomputed }),
    (
        "lora on bf16, recompute",
        Mode { lora: true, precision: Precision::Bf16, activations: Activations::Recomputed },
    ),
    (
        "lora on q8_0, recompute",
        Mode { lora: true, precision: Precision::Q8_0, activations: Activations::Recomputed },
    ),
    (
        "lora on q4_0, recompute",
        Mode { lora: true, precision: Precision::Q4_0, activations: Activations::Recomputed },
    ),
    (
        "lora on q4_k, recompute",
        Mode { lora: true, precision: Precision::Q4K, activations: Activations::Recomputed },
    ),
];

/// 24 layers, 25 million parameters.
const SHAPE: &str = r#"{"model_type": "qwen2", "vocab_size": 8192, "hidden_size": 256, "intermediate_size": 1024,
    "num_hidden_layers": 24, "num_attention_heads": 4, "num_key_value_heads": 1, "tie_word_embeddings": true}"#;
const TOKENS: u32 = 2048;

#[derive(Clone, Copy)]
struct Mode {
    lora: bool,
    precision: Precision,
    activations: Activations,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (first, second) = (arguments.next(), arguments.next());
    match (first.as_deref(), second) {
        (Some("make"), Some(dir)) => make(Path::new(&dir)),
        (Some("measure"), Some(dir)) => {
            let name = arguments.next().context("a mode")?;
            let (_, mode) = MODES.iter().find(|(known, _)| *known == name).context("a known mode")?;
            println!("{}", measure(*mode, Path::new(&dir))?);
            Ok(())
        }
        _ => all(),
    }
}

fn all() -> Result<()> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .context("finding the target directory")?
        .join("bench");
    let model = dir.join("tuning-model");
    fs_err::create_dir_all(&model)?;
    again(&["make", &model.display().to_string()])?;
    let mut rows: Vec<Value> = Vec::new();
    println!("24 layers, {TOKENS} tokens, 25 million parameters");
    println!("{:<26} {:>11} {:>8} {:>9}", "mode", "weights MiB", "peak MiB", "seconds");
    for (name, _) in MODES {
        let said = again(&["measure", &model.display().to_string(), name])?;
        let row: Value = serde_json::from_str(&said).context("what a measurement said")?;
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        println!("{name:<26} {:>11.0} {:>8.0} {:>9.1}", number("weights"), number("peak"), number("seconds"));
        for (key, unit) in [("peak", "MiB"), ("seconds", "s")] {
            let plain =
                rows.iter().find(|row| row["name"] == format!("full: {key}")).map(|row| row["ours"].clone());
            let ratio = plain.as_ref().and_then(Value::as_f64).map(|plain| plain / number(key));
            rows.push(
                json!({"name": format!("{name}: {key}"), "unit": unit, "ours": number(key), "peer": plain,
                "peer_name": "full", "ratio": ratio, "n": 1}),
            );
        }
    }
    fs_err::write(dir.join("tuning.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

/// Runs this program again, so that each measurement starts with an empty memory.
fn again(arguments: &[&str]) -> Result<String> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn make(dir: &Path) -> Result<()> {
    let config = QwenConfig::from_json(serde_json::from_str(SHAPE)?).map_err(anyhow::Error::msg)?;
    Ok(Network::init(config, 1, 0.05, &cpu())?.save(dir)?)
}

/// Two gradients in one mode; the second is timed, for the first one meets cold pages.
fn measure(mode: Mode, dir: &Path) -> Result<Value> {
    let network = if mode.lora {
        Network::load_frozen(dir, mode.precision, &cpu())?.with_adapter(&LoraConfig::default(), 1)?
    } else {
        Network::load_as(dir, mode.precision, &cpu())?
    };
    let network = network.with_activations(mode.activations);
    let sequence: Vec<u32> = (0..TOKENS).map(|i| i * 7919 % 8192).collect();
    let packed = Packed::new([&sequence[..]]);
    let rows: Vec<u32> = (0..TOKENS - 1).collect();
    let mut seconds = 0.0;
    for _ in 0..2 {
        let started = Instant::now();
        let logprobs = network.logprobs(&packed, &rows, &sequence[1..], 1.0)?;
        let gradients = logprobs.mean_all()?.backward()?;
        ensure!(network.vars().values().all(|var| gradients.get(var).is_some()), "a gradient is missing");
        seconds = started.elapsed().as_secs_f64();
    }
    let weights = network.weight_bytes() as f64 / f64::from(1 << 20);
    Ok(json!({"weights": weights, "peak": peak_mib()?, "seconds": seconds}))
}

/// The most memory that this process ever had (VmHWM).
fn peak_mib() -> Result<f64> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib / 1024.0)
}
