//! LoRA adapters on disk, in PEFT's layout: `adapter_config.json` beside `adapter_model.safetensors`.
//!
//! Guarantees that an adapter with anything that W + scale · B A cannot express is refused by the key that asks for it. What is written
//! here PEFT, vLLM and SGLang read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use serde_json::{Value, json};

use super::config::QwenConfig;
use super::error::ModelError;
use super::lora::{LoraConfig, Target};
use super::weights;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before a parameter's name.
const PREFIX: &str = "base_model.model.";

/// An adapter that was read.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// Where it is, for messages.
    path: PathBuf,
    /// The model that it was trained on, as the file names it.
    pub(crate) base: Option<PathBuf>,
    /// Its rank and scale, and the targets of its tensors.
    pub(crate) lora: LoraConfig,
    /// Factors in f32 by their names without PEFT's prefix.
    pub(crate) factors: BTreeMap<String, Tensor>,
}

/// The base of the adapter of `dir`; none where there is a whole model.
pub(crate) fn base(dir: &Path) -> Result<Option<PathBuf>, ModelError> {
    if !dir.join(CONFIG).is_file() || dir.join("config.json").is_file() {
        return Ok(None);
    }
    let adapter = Adapter::load(dir)?;
    match adapter.base.clone() {
        Some(base) if base.is_dir() => Ok(Some(base)),
        Some(base) => Err(adapter.problem(format!("its base `{}` is not a directory here", base.display()))),
        None => Err(adapter.problem("it names no base".to_owned())),
    }
}

impl Adapter {
    /// Reads the adapter of `dir`.
    pub(crate) fn load(dir: &Path) -> Result<Self, ModelError> {
        let (config_path, path) = (dir.join(CONFIG), dir.join(WEIGHTS));
        let in_config = |problem: String| ModelError::Adapter { path: config_path.clone(), problem };
        let config: Value = serde_json::from_str(&fs_err::read_to_string(&config_path)?)
            .map_err(|e| in_config(e.to_string()))?;
        let mut lora = read_config(&config).map_err(in_config)?;
        let mut factors = BTreeMap::new();
        for (name, tensor) in weights::load_file(&path)? {
            let name = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
            factors.insert(name, tensor.to_dtype(DType::F32)?);
        }
        let is_used = |target: &Target| {
            let module = format!(".{}.lora_", target.name());
            factors.keys().any(|name| name.contains(&module))
        };
        lora.targets = Target::ALL.into_iter().filter(is_used).collect();
        let base = config["base_model_name_or_path"].as_str().map(PathBuf::from);
        Ok(Self { path, base, lora, factors })
    }

    /// An error about its tensors.
    pub(crate) fn problem(&self, problem: String) -> ModelError {
        ModelError::Adapter { path: self.path.clone(), problem }
    }

    /// Takes a parameter's A and B.
    pub(crate) fn take(&mut self, parameter: &str) -> Option<(Tensor, Tensor)> {
        let stem = parameter.strip_suffix(".weight")?;
        let b = format!("{stem}.lora_B.weight");
        if !self.factors.contains_key(&b) {
            return None;
        }
        self.factors.remove(&format!("{stem}.lora_A.weight")).zip(self.factors.remove(&b))
    }

    /// Refuses an adapter of which something is left.
    pub(crate) fn check_used(&self) -> Result<(), ModelError> {
        match self.factors.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.problem(format!("`{name}` belongs to no weight of the model"))),
        }
    }

    /// Its factors as variables: exactly those that its configuration asks for in this network.
    pub(crate) fn into_vars(
        mut self,
        config: &QwenConfig,
        device: &Device,
    ) -> Result<BTreeMap<String, Var>, ModelError> {
        let mut vars = BTreeMap::new();
        for (name, shape) in self.lora.shapes(config) {
            let Some(tensor) = self.factors.remove(&name) else {
                return Err(self.problem(format!("`{name}` is missing")));
            };
            if tensor.dims() != shape {
                let problem = format!("`{name}` has shape {:?}, not {shape:?}", tensor.dims());
                return Err(self.problem(problem));
            }
            vars.insert(name, Var::from_tensor(&tensor.to_device(device)?)?);
        }
        self.check_used()?;
        Ok(vars)
    }

    /// Refuses an adapter that is another one than `wanted`.
    pub(crate) fn check_is(&self, wanted: &LoraConfig) -> Result<(), ModelError> {
        let targets = |lora: &LoraConfig| {
            let names = Target::ALL.into_iter().filter(|target| lora.targets.contains(target));
            names.map(Target::name).collect::<Vec<_>>().join(", ")
        };
        let same = [
            ("rank", self.lora.rank.to_string(), wanted.rank.to_string()),
            ("alpha", self.lora.alpha.to_string(), wanted.alpha.to_string()),
            ("rslora", self.lora.rslora.to_string(), wanted.rslora.to_string()),
            ("targets", targets(&self.lora), targets(wanted)),
        ];
        match same.into_iter().find(|(_, ours, wanted)| ours != wanted) {
            None => Ok(()),
            Some((key, ours, wanted)) => {
                Err(self.problem(format!("its `{key}` is {ours}, and `tuning.lora` asks for {wanted}")))
            }
        }
    }
}

/// Writes an adapter for `base`; a reader never sees half of a file.
pub(crate) fn save(
    dir: &Path,
    lora: &LoraConfig,
    base: Option<&Path>,
    vars: &BTreeMap<String, Var>,
) -> Result<(), ModelError> {
    fs_err::create_dir_all(dir)?;
    // PEFT's field is an integer; other readers take no `32.0` for one.
    let alpha = if lora.alpha.fract() == 0.0 { json!(lora.alpha as u64) } else { json!(lora.alpha) };
    let modules: Vec<&str> = lora.targets.iter().map(|target| target.name()).collect();
    let config = json!({
        "base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
        "init_lora_weights": true, "lora_alpha": alpha, "lora_dropout": 0.0, "modules_to_save": null,
        "peft_type": "LORA", "r": lora.rank, "target_modules": modules, "task_type": "CAUSAL_LM",
        "use_dora": false, "use_rslora": lora.rslora,
    });
    let text = serde_json::to_string_pretty(&config).expect("invariant: a value is JSON");
    fs_err::write(dir.join(CONFIG), text + "\n")?;
    let named: BTreeMap<String, &Tensor> =
        vars.iter().map(|(name, var)| (format!("{PREFIX}{name}"), var.as_tensor())).collect();
    weights::save_file(&dir.join(WEIGHTS), named.iter().map(|(name, tensor)| (name.as_str(), *tensor)))
}

fn read_config(config: &Value) -> Result<LoraConfig, String> {
    if config["peft_type"].as_str() != Some("LORA") {
        return Err(format!("`peft_type` is {}, not \"LORA\"", config["peft_type"]));
    }
    for key in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"] {
        if config[key].as_bool() == Some(true) {
            return Err(format!("`{key}` is true"));
        }
    }
    for key in ["rank_pattern", "alpha_pattern"] {
        if config[key].as_object().is_some_and(|pattern| !pattern.is_empty()) {
            return Err(format!("`{key}` is not empty"));
        }
    }
    if config["bias"].as_str().is_some_and(|bias| bias != "none") {
        return Err(format!("`bias` is {}", config["bias"]));
    }
    let number =
        |key: &str| config[key].as_f64().filter(|x| *x > 0.0).ok_or(format!("`{key}` is not a number"));
    let (rank, alpha) = (number("r")? as usize, number("lora_alpha")?);
    let rslora = config["use_rslora"].as_bool() == Some(true);
    Ok(LoraConfig { rank, alpha, rslora, targets: Vec::new() })
}
