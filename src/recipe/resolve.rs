//! Resolves a recipe: a method's defaults, then the file, then `--set`.
//!
//! Guarantees that every fault names its key, and its line where it stands in the file.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;

use super::{FORMAT, Method, Recipe, fault};
use crate::chat::Scaffold;
use crate::difflib::{Autojunk, ratio};
use crate::model::lora::{LoraConfig, Tuning};
use crate::model::precision::Precision;
use crate::train::Budget;
use crate::train::validation::HeldOut;

/// Why a recipe cannot be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// The file cannot be read; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is not YAML.
    #[error("`{path}` is not valid YAML", path = path.display())]
    Yaml {
        /// The recipe.
        path: PathBuf,
        /// What the parser says, with the line.
        #[source]
        source: serde_yaml_ng::Error,
    },
    /// A key that no recipe has.
    #[error("{place}: unknown key `{key}`, {}", near(nearest.as_deref()))]
    UnknownKey {
        /// The file with the line, or the option.
        place: String,
        /// The key, with the keys above it.
        key: String,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// A key with a value it cannot have.
    #[error("{place}: `{key}`: {problem}")]
    Value {
        /// The file with the line, or the option.
        place: String,
        /// The key, with the keys above it.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// An override without a value.
    #[error("`--set {0}` has no value: write `--set key=value`")]
    Override(String),
}

fn near(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "and none is like it".to_owned(), |key| format!("did you mean `{key}`?"))
}

/// Keys whose value is one choice of several, each with its own shape: a choice replaces the default whole.
const CHOICES: [(&str, &[&str]); 11] = [
    ("batch.average", &["sequences", "tokens", "fixed"]),
    ("budget", &["steps", "epochs", "compute"]),
    ("loss.correction", &["none", "truncate"]),
    ("loss.kl", &["none", "k1", "k2", "k3"]),
    ("loss.policy", &["clip", "dual_clip", "gspo", "cispo"]),
    ("prompt.context", &["full", "last"]),
    ("reward", &["text", "effect", "mix"]),
    ("rlvr.scale", &["none", "std"]),
    ("srl.scale", &["none", "std"]),
    ("tuning", &["full", "lora"]),
    ("validation.data", &["share", "file"]),
];

/// The recipe that these layers make, the first of which is the file.
pub(super) fn resolve(layers: &[Layer<'_>]) -> Result<Recipe, RecipeError> {
    let method = method(layers)?;
    let mut defaults = Recipe::defaults(method);
    defaults.prompt = scaffold(layers)?.unwrap_or(defaults.prompt);
    let mut resolved = to_value(&defaults);
    for layer in layers {
        layer.check_format()?;
        layer.merge(&mut resolved, &layer.given, &mut Vec::new())?;
    }
    let recipe = from_value(resolved).expect("invariant: each value was checked as it was merged");
    match fault(&recipe).or_else(|| fault::of_method(&recipe)).or_else(|| prompt_fault(&recipe)) {
        None => Ok(recipe),
        Some((key, problem)) => {
            let path: Vec<&str> = key.split('.').collect();
            // The last layer that says anything about the key is to blame, else the file.
            let layer = layers.iter().rev().find(|layer| pointed(&layer.given, &path).is_some());
            Err(layer.unwrap_or(&layers[0]).value(&path, problem))
        }
    }
}

/// Where values come from.
pub(super) enum Origin<'a> {
    File {
        path: &'a Path,
        text: &'a str,
    },
    /// A stage of the file, counted from 1.
    Stage {
        path: &'a Path,
        number: usize,
    },
    Override(&'a str),
}

/// Values that go over those below.
pub(super) struct Layer<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) given: Value,
}

fn method(layers: &[Layer<'_>]) -> Result<Method, RecipeError> {
    let said = layers.iter().rev().find_map(|layer| layer.given.get("method").map(|value| (layer, value)));
    let Some((layer, value)) = said else {
        return Err(layers[0].value(&["method"], "is missing; write `sft`, `srl` or `rlvr`".to_owned()));
    };
    serde_json::from_value(value.clone()).map_err(|error| layer.value(&["method"], error.to_string()))
}

/// The scaffold that the recipe names, whose values the other keys of `prompt` go over.
fn scaffold(layers: &[Layer<'_>]) -> Result<Option<Scaffold>, RecipeError> {
    let path = ["prompt", "scaffold"];
    let said = layers.iter().rev().find_map(|layer| pointed(&layer.given, &path).map(|value| (layer, value)));
    let Some((layer, value)) = said else { return Ok(None) };
    let name = value.as_str().ok_or_else(|| layer.value(&path, "is no name and no file".to_owned()))?;
    Scaffold::load(name).map(Some).map_err(|error| layer.value(&path, error.to_string()))
}

/// What is wrong with a scaffold whose values were changed.
fn prompt_fault(recipe: &Recipe) -> Option<(&'static str, String)> {
    recipe.prompt.fault().map(|problem| ("prompt", problem))
}

impl Layer<'_> {
    fn check_format(&self) -> Result<(), RecipeError> {
        let problem = match (&self.origin, self.given.get("format")) {
            (_, Some(Value::String(format))) if format == FORMAT => return Ok(()),
            (Origin::Override(_) | Origin::Stage { .. }, None) => return Ok(()),
            (_, Some(other)) => format!("is {other}; this program reads `{FORMAT}`"),
            (_, None) => format!("is missing; write `format: {FORMAT}` first"),
        };
        Err(self.value(&["format"], problem))
    }

    /// Puts `given` over what `whole`, which has every known key, says at `path`.
    fn merge<'v>(
        &self,
        whole: &mut Value,
        given: &'v Value,
        path: &mut Vec<&'v str>,
    ) -> Result<(), RecipeError> {
        let choices = CHOICES.iter().find(|(key, _)| *key == path.join(".")).map(|(_, choices)| *choices);
        let known = pointed(whole, path).and_then(Value::as_object).map(|known| known.keys().cloned());
        let known: Option<Vec<String>> = known.map(Iterator::collect);
        let (Some(known), Some(keys)) = (known, given.as_object()) else {
            return self.set(whole, given.clone(), path);
        };
        if choices.is_some() && keys.len() != 1 {
            return Err(self.value(path, "is one choice, so it takes one key".to_owned()));
        }
        for (key, value) in keys {
            let is_choice = choices.is_some_and(|choices| choices.contains(&key.as_str()));
            if !known.contains(key) && is_choice {
                let chosen = Map::from_iter([(key.clone(), value.clone())]);
                return self.set(whole, Value::Object(chosen), path);
            }
            path.push(key);
            if !known.contains(key) {
                let names = known.iter().map(String::as_str);
                return Err(self.unknown(path, choices.map_or_else(|| names.collect(), <[&str]>::to_vec)));
            }
            self.merge(whole, value, path)?;
            path.pop();
        }
        Ok(())
    }

    fn set(&self, whole: &mut Value, value: Value, path: &[&str]) -> Result<(), RecipeError> {
        *pointed_mut(whole, path).expect("invariant: the key is known") = value;
        // It was a recipe before, so a fault is this key's. What a choice leaves out is filled in, for further layers to change.
        let recipe = from_value(whole.clone()).map_err(|error| self.value(path, error.to_string()))?;
        *whole = to_value(&recipe);
        Ok(())
    }

    fn unknown(&self, path: &[&str], known: Vec<&str>) -> RecipeError {
        let (key, above) = path.split_last().expect("invariant: a key has a name");
        let likeness = |name: &&str| ratio(key, name, Autojunk::Off);
        let best = known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest =
            best.filter(|name| 0.4 <= likeness(name)).map(|name| [above, &[name]].concat().join("."));
        RecipeError::UnknownKey { place: self.place(path), key: path.join("."), nearest }
    }

    pub(super) fn value(&self, path: &[&str], problem: String) -> RecipeError {
        RecipeError::Value { place: self.place(path), key: path.join("."), problem }
    }

    fn place(&self, key: &[&str]) -> String {
        match self.origin {
            Origin::Override(text) => format!("`--set {text}`"),
            Origin::Stage { path, number } => format!("`{}` stage {number}", path.display()),
            Origin::File { path, text } => match line_of(text, key) {
                Some(line) => format!("`{}` line {line}", path.display()),
                None => format!("`{}`", path.display()),
            },
        }
    }
}

/// `a.b=value` as `{a: {b: value}}`.
pub(super) fn nested(text: &str) -> Result<Value, RecipeError> {
    let missing = || RecipeError::Override(text.to_owned());
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(missing)?;
    // What YAML cannot read is a plain word, such as a path with a colon.
    let value = serde_yaml_ng::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let below = |value, key: &str| Value::Object(Map::from_iter([(key.trim().to_owned(), value)]));
    Ok(key.rsplit('.').fold(value, below))
}

/// A value that no training can work with, by its key.
fn fault(recipe: &Recipe) -> Option<(&'static str, String)> {
    let budget = match recipe.budget {
        Budget::Steps(amount) | Budget::Compute(amount) => amount as f64,
        Budget::Epochs(amount) => amount,
    };
    let model = (recipe.model.dir.is_some(), recipe.model.config.is_some());
    let mut faults = tuning_faults(recipe);
    faults.extend([
        (model == (false, false), "model", "say `dir`, or `config` for a new student"),
        (model == (true, true), "model", "say either `dir` or `config`, and make the other `null`"),
        (
            recipe.method != Method::Rlvr && recipe.data.trajectories.is_empty(),
            "data.trajectories",
            "name at least one file",
        ),
        (recipe.data.tasks.is_none(), "data.tasks", "name the directory of the tasks"),
        (budget.is_nan() || budget <= 0.0, "budget", "must be more than 0"),
        (recipe.batch.size == 0, "batch.size", "must be at least 1"),
        (recipe.limits.reply == 0, "limits.reply", "must be at least 1"),
        (
            recipe.limits.context <= recipe.limits.reply,
            "limits.context",
            "leaves no room beside `limits.reply`",
        ),
        (recipe.srl.group_size < 2, "srl.group_size", "must be at least 2: a single reply is its own mean"),
        (
            recipe.srl.temperature <= 0.0,
            "srl.temperature",
            "must be more than 0: equal replies teach nothing",
        ),
        (recipe.schedule.rate <= 0.0, "schedule.rate", "must be more than 0"),
        (
            !(0.0..1.0).contains(&recipe.schedule.warm_up),
            "schedule.warm_up",
            "must be a share from 0 to below 1",
        ),
        (recipe.max_grad_norm <= 0.0, "max_grad_norm", "must be more than 0"),
        (
            matches!(recipe.validation.data, HeldOut::Share(share) if !(0.0 < share && share < 1.0)),
            "validation.data.share",
            "must be a share between 0 and 1",
        ),
        (recipe.validation.samples == 0, "validation.samples", "must be at least 1"),
        (
            recipe.validation.temperature.is_nan() || recipe.validation.temperature < 0.0,
            "validation.temperature",
            "must be at least 0",
        ),
    ]);
    faults.into_iter().find(|(wrong, ..)| *wrong).map(|(_, key, problem)| (key, problem.to_owned()))
}

/// What is wrong with how the student is tuned: (whether it is, key, problem).
fn tuning_faults(recipe: &Recipe) -> Vec<(bool, &'static str, &'static str)> {
    let (precision, is_new) = (recipe.model.precision, recipe.model.config.is_some());
    let new_is_whole = "a new student is trained whole and in f32: say `model.dir` instead of `model.config`";
    let mut faults = vec![
        (is_new && precision != Precision::F32, "model.precision", new_is_whole),
        (is_new && recipe.model.adapter.is_some(), "model.adapter", new_is_whole),
    ];
    match &recipe.tuning {
        Tuning::Full => faults.push((
            precision.is_blocks(),
            "model.precision",
            "weights in blocks cannot be trained: say `tuning: {lora: {}}`, or keep them as `f32` or `bf16`",
        )),
        Tuning::Lora(LoraConfig { rank, alpha, targets, .. }) => {
            let mut distinct = targets.clone();
            distinct.sort();
            distinct.dedup();
            faults.extend([
                (is_new, "tuning", new_is_whole),
                (*rank == 0, "tuning.lora.rank", "must be at least 1"),
                (alpha.is_nan() || *alpha <= 0.0, "tuning.lora.alpha", "must be more than 0"),
                (distinct.is_empty(), "tuning.lora.targets", "name at least one matrix"),
                (distinct.len() < targets.len(), "tuning.lora.targets", "names a matrix twice"),
            ]);
        }
    }
    faults
}

/// The line, from 1, on which block-style YAML says the key with these keys above it.
fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let mut above: Vec<usize> = Vec::new();
    for (line_idx, line) in text.lines().enumerate() {
        let said = line.trim_start();
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        let indent = line.len() - said.len();
        while above.last().is_some_and(|&outer| indent <= outer) {
            above.pop();
        }
        let key = path.get(above.len())?;
        let is_key = said.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        if is_key && (indent == 0 || !above.is_empty()) {
            if above.len() + 1 == path.len() {
                return Some(line_idx + 1);
            }
            above.push(indent);
        }
    }
    None
}

fn pointed<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn pointed_mut<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(key))
}

fn to_value(recipe: &Recipe) -> Value {
    serde_json::to_value(recipe).expect("invariant: a recipe is JSON")
}

fn from_value(value: Value) -> serde_json::Result<Recipe> {
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Context;
    use crate::group::Scale;
    use crate::recipe::Course;
    use crate::train::batch::Average;
    use crate::train::loss::{Clip, Correction, Kl, Policy, Truncated};

    const LEAST: &str = "format: apprentice.recipe/1
method: srl
model:
  dir: models/a
data:
  trajectories: [experts.jsonl]
  tasks: tasks
";

    fn read(more: &str, overrides: &[&str]) -> Result<Recipe, String> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let course = Course::parse(&format!("{LEAST}{more}"), Path::new("r.yaml"), &overrides);
        course.map(|mut course| course.stages.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_papers() {
        let srl = read("", &[]).unwrap();
        assert_eq!((srl.srl.group_size, srl.batch.size, srl.schedule.rate), (8, 512, 5e-7));
        assert_eq!(srl.batch.average, Average::Sequences);
        let sft = read("", &["method=sft"]).unwrap();
        assert_eq!((sft.batch.size, sft.schedule.rate, sft.schedule.warm_up), (64, 5e-6, 0.3));
    }

    #[test]
    fn a_scaffold_gives_values_that_the_other_keys_of_the_prompt_go_over() {
        let editor = read("prompt:\n  observation_chars: 7\n", &["prompt.scaffold=editor"]).unwrap().prompt;
        let whole = Scaffold::load("editor").unwrap();
        assert_eq!(editor, Scaffold { observation_chars: 7, ..whole });
        let wrong = |set: &str| read("", &[set]).unwrap_err();
        assert!(
            wrong("prompt.scaffold=edtor").starts_with("`--set prompt.scaffold=edtor`: `prompt.scaffold`: ")
        );
        assert!(wrong("prompt.opening=no place").contains("templates.opening: `{problem}` is missing"));
        assert!(wrong("prompt.tols=[]").ends_with("unknown key `prompt.tols`, did you mean `prompt.tools`?"));
    }

    #[test]
    fn unknown_keys_are_named_with_line_and_nearest() {
        assert_eq!(
            read("srl:\n  # A comment.\n  group_sise: 4\n", &[]).unwrap_err(),
            "`r.yaml` line 10: unknown key `srl.group_sise`, did you mean `srl.group_size`?"
        );
        assert_eq!(
            read("", &["sceduel.rate=1"]).unwrap_err(),
            "`--set sceduel.rate=1`: unknown key `sceduel`, did you mean `schedule`?"
        );
        assert_eq!(
            read("budget: {step: 3}\n", &[]).unwrap_err(),
            "`r.yaml`: unknown key `budget.step`, did you mean `budget.steps`?"
        );
        assert_eq!(
            read("xyzzy: 1\n", &[]).unwrap_err(),
            "`r.yaml` line 8: unknown key `xyzzy`, and none is like it"
        );
    }

    #[test]
    fn wrong_values_are_named() {
        assert_eq!(
            read("batch:\n  size: many\n", &[]).unwrap_err(),
            "`r.yaml` line 9: `batch.size`: invalid type: string \"many\", expected usize"
        );
        assert_eq!(
            read("", &["srl.group_size=1"]).unwrap_err(),
            "`--set srl.group_size=1`: `srl.group_size`: must be at least 2: a single reply is its own mean"
        );
        assert_eq!(
            read("", &["batch.order=size"]).unwrap_err(),
            "`--set batch.order=size`: `batch.order`: unknown variant `size`, expected one of `trajectories`, `examples`, `reverse`"
        );
    }

    #[test]
    fn overrides_go_over_the_file_and_choices_replace_choices() {
        let recipe =
            read("budget: {epochs: 2}\nprompt: {context: {last: 2}}\n", &["budget.steps=7"]).unwrap();
        assert_eq!(recipe.budget, Budget::Steps(7));
        assert_eq!(recipe.prompt.context, Context::Last(2));
        let recipe = read("prompt: {context: full}\n", &["reward.text.scope=wrapped"]).unwrap();
        assert_eq!(recipe.prompt.context, Context::Full);
    }

    #[test]
    fn tuning_is_full_or_adapters_and_what_cannot_be_is_refused() {
        assert_eq!(read("", &[]).unwrap().tuning, Tuning::Full);
        let Tuning::Lora(lora) = read("tuning: {lora: {rank: 8, targets: [q_proj]}}\n", &[]).unwrap().tuning
        else {
            panic!("adapters were asked for")
        };
        assert_eq!((lora.rank, lora.alpha, lora.targets.len(), lora.rslora), (8, 32.0, 1, false));
        let wrong = |more: &str, expected: &str| {
            let error = read(more, &[]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        wrong(
            "model:\n  dir: a\n  precision: q4_0\n",
            "`model.precision`: weights in blocks cannot be trained",
        );
        wrong("tuning: {lora: {rank: 0}}\n", "`tuning.lora.rank`: must be at least 1");
        wrong("tuning: {lora: {rnak: 4}}\n", "unknown field `rnak`");
        wrong("tuning: {lora: {dropout: 0.1}}\n", "unknown field `dropout`");
        wrong("tuning: {lora: {targets: [lm_head]}}\n", "unknown variant `lm_head`");
        wrong("tuning: {lora: {targets: [q_proj, q_proj]}}\n", "twice");
        wrong("tuning: dora\n", "unknown variant `dora`");
    }

    #[test]
    fn validation_is_off_until_it_is_asked_for_and_its_data_is_one_choice() {
        let recipe = read("", &[]).unwrap();
        assert_eq!((recipe.validation.every, recipe.validation.patience), (0, 0));
        let recipe = read("validation:\n  every: 10\n", &["validation.data.file=held_out.jsonl"]).unwrap();
        assert_eq!(recipe.validation.data, HeldOut::File("held_out.jsonl".into()));
        assert_eq!(
            read("validation:\n  data: {share: 1.5}\n", &[]).unwrap_err(),
            "`r.yaml`: `validation.data.share`: must be a share between 0 and 1"
        );
        assert_eq!(
            read("validation:\n  evry: 3\n", &[]).unwrap_err(),
            "`r.yaml` line 9: unknown key `validation.evry`, did you mean `validation.every`?"
        );
    }

    #[test]
    fn a_resolved_recipe_reads_back_as_itself() {
        let recipe = read("", &["budget.compute=5000", "tuning.lora.rank=4", "recompute=true"]).unwrap();
        let text = serde_yaml_ng::to_string(&to_value(&recipe)).unwrap();
        assert_eq!(Course::parse(&text, Path::new("r.yaml"), &[]).unwrap().stages, [recipe]);
    }

    #[test]
    fn each_choice_of_the_loss_is_read_and_replaces_the_default_whole() {
        let policy = |text: &str| read("", &[&format!("loss.policy={text}")]).unwrap().loss.policy;
        assert_eq!(policy("{clip: {high: 0.28}}"), Policy::Clip(Clip { low: 0.2, high: 0.28 }));
        assert_eq!(
            policy("{dual_clip: {low: 0.2, high: 0.2, cap: 3}}"),
            Policy::DualClip { low: 0.2, high: 0.2, cap: 3.0 }
        );
        assert_eq!(policy("{gspo: {low: 3e-4, high: 4e-4}}"), Policy::Gspo(Clip { low: 3e-4, high: 4e-4 }));
        assert_eq!(policy("{cispo: {cap: 5}}"), Policy::Cispo { cap: 5.0 });
        let changed = "loss:\n  kl: {k3: 0.001}\n  correction: {truncate: 2}\n  truncated: mask\nbatch: {average: {fixed: 1024}}\n";
        let recipe = read(changed, &["loss.kl=none", "srl.scale=none"]).unwrap();
        assert_eq!((recipe.loss.kl, recipe.loss.correction), (Kl::None, Correction::Truncate(2.0)));
        assert_eq!((recipe.loss.truncated, recipe.srl.scale), (Truncated::Mask, Scale::None));
        assert_eq!(recipe.batch.average, Average::Fixed(1024));
    }

    #[test]
    fn a_loss_that_cannot_be_meant_is_named() {
        let wrong = |set: &str| read("", &[set]).unwrap_err();
        assert_eq!(
            wrong("loss.policy.clip.low=1.5"),
            "`--set loss.policy.clip.low=1.5`: `loss.policy`: `low` must be from 0 to below 1 and `high` at least 0"
        );
        assert_eq!(
            wrong("loss.polcy={cispo: {cap: 5}}"),
            "`--set loss.polcy={cispo: {cap: 5}}`: unknown key `loss.polcy`, did you mean `loss.policy`?"
        );
        assert_eq!(
            wrong("loss.policy={gspo: {low: 0.1}}"),
            "`--set loss.policy={gspo: {low: 0.1}}`: `loss.policy`: missing field `high`"
        );
        assert_eq!(
            wrong("srl.scale.std.ddof=2"),
            "`--set srl.scale.std.ddof=2`: `srl.scale`: `ddof` must be 0 or 1, and `epsilon` at least 0"
        );
        assert_eq!(wrong("batch.passes=0"), "`--set batch.passes=0`: `batch.passes`: must be at least 1");
        assert_eq!(
            wrong("rlvr.group_sise=4"),
            "`--set rlvr.group_sise=4`: unknown key `rlvr.group_sise`, did you mean `rlvr.group_size`?"
        );
    }
}
