//! SWE-smith's trajectories: runs of SWE-agent, cast as tool calls (`tool`), as text (`xml`) or in fences (`ticks`).
//!
//! The published `patch` is often that of another repository; it is kept as recorded, and only a replay tells
//! what it is worth. The first `submit` is mostly answered by a review: it is no end while steps follow.

use super::family::{Family, Fields, MESSAGES, SWE_AGENT, calls, has_messages, speaks};
use super::json::Json;

/// All three casts, of the published columns or of bare messages.
pub(super) const FORMAT: Family = Family {
    name: "swe-smith",
    recognizes,
    manner: SWE_AGENT,
    fresh_shells: false,
    fields: Fields { id: &["traj_id"], ..MESSAGES },
};

fn recognizes(record: &Json) -> bool {
    let is_swe_agents =
        || ["str_replace_editor", "submit"].iter().any(|tool| calls(record, tool)) && calls(record, "bash");
    has_messages(record)
        && (record["traj_id"].is_text()
            || is_swe_agents()
            || calls(record, "submit")
            || speaks(record, "str_replace_editor view"))
}
