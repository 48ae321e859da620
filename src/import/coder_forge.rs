//! CoderForge: OpenHands-like runs whose tool calls have objects for arguments, several in one reply.

use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, has_messages};
use super::json::Json;

/// Its published columns; a positive `reward` is its label.
pub(super) const FORMAT: Family = Family {
    name: "coderforge",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields {
        id: &["trajectory_id"],
        task: &["instance_id", "image"],
        resolved: &["resolved", "reward"],
        status: &["finish_reason"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    has_messages(record)
        && record["trajectory_id"].is_text()
        && (record.has("finish_reason") || record.has("image"))
}
