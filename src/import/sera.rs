//! Sera: runs of SWE-agent with tool calls, and the patch that was asked for beside the one that was made.

use super::family::{Family, Fields, MESSAGES, SWE_AGENT, has_messages};
use super::json::Json;

/// Its published columns.
pub(super) const FORMAT: Family = Family {
    name: "sera",
    recognizes,
    manner: SWE_AGENT,
    fresh_shells: false,
    fields: Fields { task: &["instance_id", "docker_image"], patch: &["rollout_patch"], ..MESSAGES },
};

fn recognizes(record: &Json) -> bool {
    has_messages(record) && (record.has("rollout_patch") || record.has("func_path"))
}
