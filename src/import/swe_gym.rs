//! SWE-Gym's sampled trajectories: runs of OpenHands with tool calls, and what their tests said.

use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, has_messages};
use super::json::Json;

/// The raw rows; the rows made for fine-tuning are OpenHands' calls as text.
pub(super) const FORMAT: Family = Family {
    name: "swe-gym",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields {
        patch: &["test_result.git_patch"],
        resolved: &["resolved", "test_result.report.resolved"],
        model: &["model", "run_id"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    has_messages(record) && (record["run_id"].is_text() || record["test_result"].is_object())
}
