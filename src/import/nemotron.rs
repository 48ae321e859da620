//! Nemotron's single replies: a patch in one go, without a command.
//!
//! Nothing can be replayed or learnt step by step: each is refused, and the reason says so.

use crate::trajectory::Trajectory;

use super::family::has_messages;
use super::json::Json;
use super::{Origin, RecordError, TrajectoryFormat};

/// Rows of one question and one reply.
pub(super) struct Nemotron;

impl TrajectoryFormat for Nemotron {
    fn name(&self) -> &'static str {
        "nemotron"
    }

    fn recognizes(&self, record: &Json) -> bool {
        has_messages(record) && record.has("generator") && (record.has("thinking") || record.has("category"))
    }

    fn parse(&self, _: &Json, _: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        Err(RecordError::SingleReply)
    }
}
