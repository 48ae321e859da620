//! Where a task was imported from.

use serde::{Deserialize, Serialize};

/// The row of a data set that became a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The data set's format, as after `task import --from`.
    pub dataset: String,
    /// The repository, `owner/name`.
    pub repo: String,
    /// SHA-256 of the row with its keys in order, in hexadecimal: the same row has the same hash in every file.
    pub row_hash: String,
}
