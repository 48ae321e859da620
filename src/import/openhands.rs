//! OpenHands' conversations: tool calls, or the same calls written as text for models without them.
//!
//! Whatever conversation no other format claims is read so as well.

use super::family::{Family, MESSAGES, OPEN_HANDS, has_messages, is_chat};
use super::json::Json;

/// Messages in a record, or a bare list of them.
pub(super) const FORMAT: Family =
    Family { name: "openhands", recognizes, manner: OPEN_HANDS, fresh_shells: false, fields: MESSAGES };

fn recognizes(record: &Json) -> bool {
    has_messages(record) || (is_chat(record) && record[0].has("role"))
}
