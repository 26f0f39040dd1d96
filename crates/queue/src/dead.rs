//! Dead letters: what [`Lane::Dead`] says of a message beside the message itself.

use crate::{Headers, Lane, Message};

/// The header with the name of the lane that a dead message came from.
const LANE: &str = "dead-lane";
/// The header with the reason.
const REASON: &str = "dead-reason";

/// The reason of messages that were delivered again and again and never acknowledged. The broker counts
/// deliveries that ended with a consumer's death, whatever the consumer died of, so a neighbour of a
/// message that kills workers dies of this too: it deserves another attempt, not a verdict.
pub const DELIVERY_LIMIT: &str = "delivered too often without an acknowledgement";

/// What a receipt of [`Lane::Dead`] says to a rejection.
pub(crate) const DEAD_ALREADY: &str = "what is dead cannot be rejected again, acknowledge it";

/// Why a message is in [`Lane::Dead`], and where it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it was; `None` when somebody else's message strayed in.
    pub lane: Option<Lane>,
    /// What was said when it was rejected, or [`DELIVERY_LIMIT`].
    pub reason: String,
}

impl DeadLetter {
    /// Reads it off a message of [`Lane::Dead`].
    pub fn of(message: &Message) -> Self {
        Self {
            lane: message.headers.get(LANE).and_then(|name| Lane::named(name)),
            reason: message.headers.get(REASON).cloned().unwrap_or_default(),
        }
    }

    /// Writes it where [`DeadLetter::of`] reads it.
    pub(crate) fn mark(headers: &mut Headers, lane: &str, reason: &str) {
        headers.insert(LANE.to_owned(), lane.to_owned());
        headers.insert(REASON.to_owned(), reason.to_owned());
    }
}
