//! Tasks for the reward model.
//!
//! Only answers that are stored are scored, so a task holds the questions alone: the answers come in the envelope's
//! [`Task::known`], read from the store when the task is sent.

use crate::{Reference, Task, VERSION, WireError};
use domain::{hash::Hash, ids::RunId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What kind of work a task is: which lane it travels in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Asking a language model.
    #[default]
    Ask,
    /// Scoring answers.
    Score,
    /// Training a rewriter.
    Train,
}

impl Work {
    /// Of a body as it is stored. What cannot be read counts as asking: the worker will say what is wrong with it.
    pub fn of(body: &str) -> Self {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            work: Work,
        }
        serde_json::from_str::<Head>(body).map_or_else(|_| Self::default(), |head| head.work)
    }
}

/// The unchanging part of a scoring task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreBody {
    /// Always [`Work::Score`].
    pub work: Work,
    /// The run, for logs.
    pub run: RunId,
    /// The reward model: its name in the spec, for people.
    pub model: String,
    /// The reward model: what it is.
    pub identity: String,
    /// The block: reported item by item.
    pub items: Vec<ScoreItem>,
}

/// One answer of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreItem {
    /// The answer key.
    pub key: Hash,
    /// The question as the data have it, whatever words it was asked in: candidates answer for it.
    pub question: String,
}

impl Task {
    /// Decodes envelope and body of a scoring task.
    ///
    /// # Errors
    /// When it is none, or one of another version.
    pub fn decode_score(bytes: &[u8]) -> Result<(Self, ScoreBody), WireError> {
        Self::with_body(bytes)
    }

    /// Decodes the envelope of any task, and the keys of its items in their order.
    ///
    /// # Errors
    /// When it is no task, or one of another version.
    pub fn decode_keys(bytes: &[u8]) -> Result<(Self, Vec<Hash>), WireError> {
        #[derive(Deserialize)]
        struct Items {
            items: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            key: Hash,
        }
        let (task, body): (_, Items) = Self::with_body(bytes)?;
        Ok((task, body.items.into_iter().map(|i| i.key).collect()))
    }

    /// Decodes the envelope of any task, and of its body what `T` knows.
    pub(crate) fn with_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Self, T), WireError> {
        if Reference::is(bytes) {
            return Err(WireError::ByReference { what: "task" });
        }
        let task: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if task.v != VERSION {
            return Err(WireError::Version {
                what: "task",
                found: task.v,
            });
        }
        let body = serde_json::from_str(task.body.get()).map_err(malformed)?;
        Ok((task, body))
    }
}

fn malformed(source: serde_json::Error) -> WireError {
    WireError::Malformed {
        what: "task",
        source,
    }
}
