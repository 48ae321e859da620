//! The plan of a training beside what this machine has, and the refusal of one that cannot fit.

use anyhow::anyhow;
use serde::Serialize;

use super::inputs::Inputs;
use super::untrained;
use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::model::Device;
use crate::model::footprint::Form;
use crate::recipe::{Method, Recipe};
use crate::sandbox::capacity::Capacity;
use crate::train::data::DataSet;
use crate::train::plan::{Load, Memory, Plan, Replies};

/// A plan, and the memory that there is for it.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    #[serde(flatten)]
    plan: Plan,
    /// Bytes that the training may hold; absent on a GPU, whose memory the plan does not know.
    available: Option<u64>,
    /// Whether that is enough.
    fits: bool,
}

/// The plan of a recipe; `memory_mib` is what it may take, else what is free.
///
/// # Errors
/// When there is nothing to train on, or the tokenizer refuses an example.
pub(super) fn forecast(
    recipe: &Recipe,
    inputs: &Inputs,
    device: &Device,
    memory_mib: Option<u64>,
) -> Result<Forecast, Failure> {
    let outline = inputs.outline(recipe)?;
    let replies = match recipe.method {
        Method::Sft => Replies::Experts,
        Method::Srl | Method::Rlvr => Replies::Sampled(recipe.reinforcement().groups.group_size),
    };
    let form =
        Form { tuning: &recipe.tuning, precision: recipe.model.precision, activations: recipe.activations() };
    let shape = (&outline.config, &outline.tokenizer, &form);
    let (data, held_out) = (DataSet::new(inputs.pairs()), DataSet::new(inputs.held_out()));
    let plan = Plan::new(&recipe.train_config(), replies, (&data, &held_out), shape).map_err(untrained)?;
    // What this process holds already is part of the plan.
    let free =
        || (Capacity::of_process().free_memory_mib).saturating_mul(1 << 20).saturating_add(plan.memory.base);
    let available = device.is_cpu().then(|| memory_mib.map_or_else(free, |mib| mib.saturating_mul(1 << 20)));
    let fits = available.is_none_or(|available| plan.memory.peak <= available);
    Ok(Forecast { plan, available, fits })
}

impl Forecast {
    /// The plan in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let Plan { parameters, trainable, examples, held_out, left_out, update, sampling, memory, .. } =
            &self.plan;
        let trained = if parameters == trainable { "all".to_owned() } else { count(*trainable) };
        let mut learned = format!("{examples} examples to learn from, {held_out} held out");
        if 0 < *left_out {
            learned += &format!("; of the first batches {left_out} do not fit `limits`");
        }
        let mut tokens = format!("an update passes {}", shared(update));
        if let Some(sampling) = sampling {
            tokens += &format!(", after sampling with {}", shared(sampling));
        }
        vec![
            format!("{} parameters, {trained} of them trained", count(*parameters)),
            learned,
            format!("{tokens} (mean of the first batches)"),
            self.memory(memory),
        ]
    }

    fn memory(&self, memory: &Memory) -> String {
        let Some(available) = self.available else {
            return "memory on this device is not estimated".to_owned();
        };
        let Memory { base, weights, optimizer, gradients, activations, sampling, peak, .. } = *memory;
        let [peak, available, base, weights, optimizer, gradients, activations, sampling] =
            [peak, available, base, weights, optimizer, gradients, activations, sampling].map(mib);
        format!(
            "about {peak} MiB of memory, {available} MiB are there: weights {weights}, optimizer {optimizer}, then \
             gradients {gradients} and activations {activations}, or sampling {sampling}; the rest {base}"
        )
    }

    /// Refuses a training that cannot fit.
    ///
    /// # Errors
    /// When it would take more memory than there is.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.fits {
            return Ok(());
        }
        let (needed, available) = (mib(self.plan.memory.peak), mib(self.available.unwrap_or(u64::MAX)));
        let problem =
            anyhow!("the training takes about {needed} MiB of memory, and it may take {available} MiB");
        Err(Failure::host(problem).with_hint(remedy(&self.plan.memory)))
    }
}

/// Prints the plans of all stages; the answer is no where one cannot fit.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn answer(forecasts: &[Forecast], output: Output) -> Result<Answer, Failure> {
    let mut lines = Vec::new();
    for forecast in forecasts {
        lines.extend(forecast.lines());
        if !forecast.fits {
            lines.push(format!("it cannot fit: {}", remedy(&forecast.plan.memory)));
        }
    }
    // One plan is an object of its own; several stages have a list of them.
    let text = lines.join("\n");
    match forecasts {
        [one] => output.result(one, &text),
        all => output.result(&serde_json::json!({ "format": "apprentice.plans/1", "stages": all }), &text),
    }
    .map_err(Failure::host)?;
    Ok(if forecasts.iter().all(|forecast| forecast.fits) { Answer::Yes } else { Answer::No })
}

/// What takes less memory; the largest part decides.
fn remedy(memory: &Memory) -> &'static str {
    let Memory { weights, optimizer, gradients, activations, sampling, .. } = *memory;
    if weights + optimizer + gradients < activations.max(sampling) {
        "lower `batch.micro_batch_tokens` or `limits`, or say with `--memory-mib` that there is more"
    } else {
        "choose a smaller student or `tuning: {lora: {}}`, or say with `--memory-mib` that there is more"
    }
}

fn shared(load: &Load) -> String {
    format!("{} tokens, {} without sharing", load.tokens, load.without_sharing)
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// A large number as people say it.
fn count(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{:.2} million", number as f64 / 1e6),
        _ => format!("{:.0} million", number as f64 / 1e6),
    }
}
