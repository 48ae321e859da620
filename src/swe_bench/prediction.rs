//! Prediction files: JSONL, a list, or an object from id to row.
//!
//! Wider than the harness, which tells them apart by the file's name; the fields are its own.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One predicted patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The task's id.
    pub instance_id: String,
    /// Who made it.
    #[serde(default = "nobody")]
    pub model_name_or_path: String,
    /// The patch; null and an empty one are not run.
    #[serde(default)]
    pub model_patch: Option<String>,
}

fn nobody() -> String {
    "None".to_owned()
}

impl Prediction {
    /// Whether the harness runs it.
    pub fn is_run(&self) -> bool {
        self.model_patch.as_deref().is_some_and(|patch| !patch.is_empty())
    }

    /// The name of its model as a part of paths.
    pub fn model_dir(&self) -> String {
        self.model_name_or_path.replace('/', "__")
    }
}

/// Reads a file of predictions, in its order.
///
/// # Errors
/// When it is no JSON, or a row lacks a field: the message counts rows from 1.
pub fn read(text: &str) -> anyhow::Result<Vec<Prediction>> {
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value? {
            Value::Array(items) => rows.extend(items),
            Value::Object(map) if !map.contains_key("instance_id") => {
                rows.extend(map.into_iter().map(|(_, row)| row));
            }
            row => rows.push(row),
        }
    }
    let row =
        |(row_idx, row)| serde_json::from_value(row).with_context(|| format!("prediction {}", row_idx + 1));
    rows.into_iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_read_alike_from_lines_a_list_and_a_map() {
        let row = r#"{"instance_id": "a", "model_name_or_path": "m/n", "model_patch": null}"#;
        for text in
            [format!("{row}\n{row}\n"), format!("[{row}, {row}]"), format!(r#"{{"a": {row}, "b": {row}}}"#)]
        {
            let rows = read(&text).unwrap();
            assert_eq!((rows.len(), rows[0].instance_id.as_str(), &rows[0].model_patch), (2, "a", &None));
            assert_eq!((rows[0].model_dir(), rows[0].is_run()), ("m__n".to_owned(), false));
        }
        assert_eq!(read(r#"[{"model_patch": ""}]"#).unwrap_err().to_string(), "prediction 1");
    }
}
