//! SWE-rebench's trajectories of OpenHands: chat messages under `trajectory`.

use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, is_chat};
use super::json::Json;

/// Its published columns; `resolved` is 0 or 1.
pub(super) const FORMAT: Family = Family {
    name: "swe-rebench",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields { messages: &["trajectory"], id: &["trajectory_id"], patch: &["model_patch"], ..MESSAGES },
};

fn recognizes(record: &Json) -> bool {
    let trajectory = &record["trajectory"];
    let is_encoded = trajectory.raw().trim_start().starts_with('[');
    record["trajectory_id"].is_text() && (is_encoded || (is_chat(trajectory) && trajectory[0].has("role")))
}
