//! A body that is too large for the bus: it lies among the artefacts, and its message says where.

use crate::{Action, Report, VERSION, WireError};
use domain::{hash::Hash, ids::TaskId};
use serde::{Deserialize, Serialize};

/// What stands in place of a task or a report. It knows enough of it for a report that it could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// [`VERSION`]; by this field, which comes first, a reference is known from a body.
    pub reference: u32,
    /// The task.
    pub task: TaskId,
    /// The attempt's epoch.
    pub epoch: u32,
    /// Place and answer key of each item that the body speaks of.
    pub items: Vec<(u32, Hash)>,
    /// The artefact's name.
    pub name: String,
    /// The body's length, bytes.
    pub bytes: u64,
    /// What the body says, by its hash.
    pub hash: Hash,
}

/// How every reference begins, and no task or report.
const BEGINNING: &[u8] = b"{\"reference\":";

impl Reference {
    /// Whether these are the bytes of a reference, of whatever version.
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(BEGINNING)
    }

    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is no reference, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        crate::decode(bytes, "reference", |r: &Self| r.reference)
    }

    /// A report that nothing came of the attempt, and what to do about it.
    pub fn failed(&self, worker: &str, action: Action, message: &str) -> Report {
        Report {
            v: VERSION,
            task: self.task,
            epoch: self.epoch,
            worker: worker.to_owned(),
            items: crate::failed(self.items.iter().copied(), action, message),
            counted: crate::Counted::default(),
        }
    }
}
