//! Courses: the trainings of a recipe, one after the other, each from the weights that the one before came to.
//!
//! A recipe without `stages` is a course of one. Else each stage says what differs from the rest of the file. Guarantees
//! that every stage is a whole recipe, and that a course which was written down reads back as itself.

use std::path::Path;

use serde_json::{Value, json};

use super::resolve::{Layer, Origin, RecipeError, nested, resolve};
use super::{FORMAT, Recipe};

/// Trainings one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// At least one.
    pub stages: Vec<Recipe>,
}

impl Course {
    /// Reads the recipe at `path` with overrides of the form `a.b=value`, or `stages.2.a.b=value` for the second stage.
    ///
    /// # Errors
    /// [`RecipeError`], which names the key and the line.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        Self::parse(&fs_err::read_to_string(path)?, path, overrides)
    }

    /// Reads a recipe from its text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Course::load`].
    pub fn parse(text: &str, path: &Path, overrides: &[String]) -> Result<Self, RecipeError> {
        let source = |source| RecipeError::Yaml { path: path.to_owned(), source };
        let mut given: Value = serde_yaml_ng::from_str(text).map_err(source)?;
        let stages = given.as_object_mut().and_then(|given| given.remove("stages"));
        let mut layers = vec![Layer { origin: Origin::File { path, text }, given }];
        let stages = match stages {
            None => None,
            Some(Value::Array(stages)) if !stages.is_empty() && stages.iter().all(Value::is_object) => {
                Some(stages)
            }
            Some(_) => {
                let problem = "must be a list that says for each stage what differs, such as `- method: srl`";
                return Err(layers[0].value(&["stages"], problem.to_owned()));
            }
        };
        let count = stages.as_ref().map_or(0, Vec::len);
        let overrides =
            overrides.iter().map(|text| Override::read(text, count)).collect::<Result<Vec<_>, _>>()?;
        let Some(stages) = stages else {
            layers.extend(overrides.iter().map(Override::layer));
            return Ok(Self { stages: vec![resolve(&layers)?] });
        };
        let mut resolved = Vec::with_capacity(count);
        for (stage_idx, given) in stages.into_iter().enumerate() {
            let number = stage_idx + 1;
            layers.truncate(1);
            layers.push(Layer { origin: Origin::Stage { path, number }, given });
            let own = overrides.iter().filter(|own| own.stage.is_none_or(|stage| stage == number));
            layers.extend(own.map(Override::layer));
            resolved.push(resolve(&layers)?);
        }
        Ok(Self { stages: resolved })
    }

    /// What events and directories call a stage, counted from 0: its method, numbered where there are several.
    pub fn name(&self, stage: usize) -> String {
        let method = self.stages[stage].method.name();
        if self.stages.len() == 1 { method.to_owned() } else { format!("{}-{method}", stage + 1) }
    }

    /// The whole course as a recipe: a single stage is the recipe itself.
    pub fn to_json(&self) -> Value {
        if let [only] = &self.stages[..] {
            json!(only)
        } else {
            json!({"format": FORMAT, "stages": self.stages})
        }
    }

    /// The course that [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When it did not.
    pub fn from_json(value: Value) -> serde_json::Result<Self> {
        let stages = match value.get("stages") {
            None => vec![serde_json::from_value(value)?],
            Some(stages) => serde_json::from_value(stages.clone())?,
        };
        Ok(Self { stages })
    }
}

/// A `--set`, for one stage or for all.
struct Override<'a> {
    text: &'a str,
    stage: Option<usize>,
    given: Value,
}

impl<'a> Override<'a> {
    fn read(text: &'a str, stages: usize) -> Result<Self, RecipeError> {
        let Some(rest) = text.strip_prefix("stages.") else {
            return Ok(Self { text, stage: None, given: nested(text)? });
        };
        let own = rest.split_once('.').and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        if let Some((number, rest)) = own.filter(|(number, _)| (1..=stages).contains(number)) {
            return Ok(Self { text, stage: Some(number), given: nested(rest)? });
        }
        let layer = Layer { origin: Origin::Override(text), given: Value::Null };
        let problem = format!("write `stages.N.key=value`; there are {stages} stages, counted from 1");
        Err(layer.value(&["stages"], problem))
    }

    fn layer(&self) -> Layer<'a> {
        Layer { origin: Origin::Override(self.text), given: self.given.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Method;
    use crate::train::Budget;

    const TWO: &str = "format: apprentice.recipe/1
model: {dir: models/a}
data: {trajectories: [experts.jsonl], tasks: tasks}
seed: 7
stages:
  - method: srl
    budget: {steps: 10}
  - method: rlvr
    batch: {size: 4}
";

    fn read(text: &str, overrides: &[&str]) -> Result<Course, String> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        Course::parse(text, Path::new("r.yaml"), &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_stage_is_the_file_with_what_it_says_over_the_defaults_of_its_method() {
        let course = read(TWO, &["limits.reply=64", "stages.2.budget.steps=3"]).unwrap();
        let [srl, rlvr] = &course.stages[..] else { panic!("two stages") };
        assert_eq!((srl.method, rlvr.method), (Method::Srl, Method::Rlvr));
        assert_eq!((srl.budget, rlvr.budget), (Budget::Steps(10), Budget::Steps(3)));
        assert_eq!((srl.batch.size, rlvr.batch.size), (512, 4));
        assert_eq!([(srl.seed, srl.limits.reply), (rlvr.seed, rlvr.limits.reply)], [(7, 64); 2]);
        assert_eq!([course.name(0), course.name(1)], ["1-srl", "2-rlvr"]);
    }

    #[test]
    fn a_course_reads_back_as_itself() {
        let one = TWO.split("stages:").next().unwrap().to_owned() + "method: rlvr\n";
        for text in [TWO, &one] {
            let course = read(text, &[]).unwrap();
            assert_eq!(Course::from_json(course.to_json()).unwrap(), course);
            let text = serde_yaml_ng::to_string(&course.to_json()).unwrap();
            assert_eq!(read(&text, &[]).unwrap(), course);
        }
    }

    #[test]
    fn faults_name_the_stage() {
        assert_eq!(
            read(&TWO.replace("size: 4", "sise: 4"), &[]).unwrap_err(),
            "`r.yaml` stage 2: unknown key `batch.sise`, did you mean `batch.size`?"
        );
        assert_eq!(
            read(TWO, &["stages.3.seed=1"]).unwrap_err(),
            "`--set stages.3.seed=1`: `stages`: write `stages.N.key=value`; there are 2 stages, counted from 1"
        );
        assert_eq!(
            read("format: apprentice.recipe/1\nstages: srl\n", &[]).unwrap_err(),
            "`r.yaml` line 2: `stages`: must be a list that says for each stage what differs, such as `- method: srl`"
        );
    }

    #[test]
    fn shipped_recipes_are_valid() {
        let names = |file: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recipes/{file}.yaml"));
            let course = Course::load(&path, &[]).unwrap();
            (0..course.stages.len()).map(|stage| course.name(stage)).collect::<Vec<_>>()
        };
        for file in ["sft", "srl", "rlvr"] {
            assert_eq!(names(file), [file]);
        }
        assert_eq!(names("srl-effect"), ["srl"]);
        assert_eq!(names("srl-rlvr"), ["1-srl", "2-rlvr"]);
    }
}
