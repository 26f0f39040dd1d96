//! Task and Report messages, versioned: the only serde on the bus.
//!
//! A task's body is made once, when it is planned, and travels unchanged; the envelope adds what is
//! known at dispatch: the epoch, which items are still open, and replies that are already stored.
//!
//! What is too large for the bus lies elsewhere, and a [`Reference`] travels in its place. Beside the body travels
//! where it belongs: [`trace`].

mod reference;
pub mod trace;

pub use reference::Reference;

mod score;
mod train;

pub use score::{ScoreBody, ScoreItem, Work};
pub use train::{Loss, Losses, TrainBody, TrainItem, TrainPair, Trained, Training};

use domain::{
    call::{Answer, Call, Reply, Sampling, Usage},
    grade::{Grade, GradeInput, Grader},
    hash::Hash,
    ids::{RunId, TaskId},
    judge::Judgement,
    run::Attempt,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The version of all messages. A reader refuses any other.
pub const VERSION: u32 = 1;

/// A task on its way to a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// [`VERSION`].
    pub v: u32,
    /// The task.
    pub task: TaskId,
    /// The attempt's epoch; the report carries it back.
    pub epoch: u32,
    /// Places (in [`Body::items`]) of the items still open.
    pub open: Vec<u32>,
    /// Replies already stored, by place: these are graded, not asked again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<u32, Reply>,
    /// What may be sent under this attempt, where somebody counts it; absent where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// A [`Body`], as planned.
    pub body: Box<RawValue>,
}

/// What may be sent under an attempt whose calls are counted.
///
/// Whoever holds such an attempt for the second time (the queue says so) does not work on it: the first may have made
/// all its calls. A call that may have been billed is not sent again under the same attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How much of the model's limit is granted; absent for a model without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
}

/// A part of a model's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// So many requests, those that are sent again included.
    pub requests: u64,
    /// Each begun before this: UTC microseconds.
    pub before: i64,
}

/// The unchanging part of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The run, for logs and budgets.
    pub run: RunId,
    /// The model to ask: its name in the spec, for people.
    pub model: String,
    /// The model to ask: what it is. Two runs may mean different models by one name.
    pub identity: String,
    /// How answers are graded; `None` where they are not (proposals, guard probes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<Grader>,
    /// The block: asked together, so that a shared prefix is read once; reported item by item.
    pub items: Vec<BodyItem>,
}

/// One item of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyItem {
    /// The answer key.
    pub key: Hash,
    /// The question.
    pub call: Call,
    /// What the grader needs, where the answer is graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<GradeInput>,
    /// What a judge said of the answer, which is stored: it is graded by that, and nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judgement>,
}

impl BodyItem {
    /// An answer that is stored, to be graded by what a judge said of it. There is nothing to ask: the call is empty.
    pub fn judged(key: Hash, judgement: Judgement) -> Self {
        Self {
            key,
            call: Call::Generate {
                messages: Vec::new(),
                sampling: Sampling::default(),
            },
            grade: None,
            judged: Some(judgement),
        }
    }
}

/// A sign of life: what a worker has in hand. It may be lost, and comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beats {
    /// [`VERSION`].
    pub v: u32,
    /// The worker (host and boot id).
    pub worker: String,
    /// The attempts.
    pub attempts: Vec<Attempt>,
}

/// A word to every worker about a run. Whoever misses it does nothing wrong: it spares work, and the store alone says
/// what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// [`VERSION`].
    pub v: u32,
    /// What it says.
    pub word: Order,
    /// The run.
    pub run: RunId,
}

/// What a [`Word`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The run was given up for good: nobody will want an answer of it.
    Cancel,
    /// The run was stopped for now: what is under way is wanted, and nothing new comes.
    Pause,
}

/// A word to every worker about a model: its server asked to be left alone. Whoever misses it is told by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// [`VERSION`].
    pub v: u32,
    /// What the model is ([`Body::identity`]).
    pub hold: String,
    /// For so many milliseconds from now.
    pub for_ms: u64,
}

/// A worker's report on one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub v: u32,
    /// The task.
    pub task: TaskId,
    /// The epoch of the attempt.
    pub epoch: u32,
    /// The worker (host and boot id).
    pub worker: String,
    /// One for each open item.
    pub items: Vec<ReportItem>,
    /// What limits need to know.
    #[serde(default, skip_serializing_if = "Counted::is_plain")]
    pub counted: Counted,
}

/// What limits need to know of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// The attempt had been given out before, and was not worked on: this report says nothing of what the first
    /// worker did, or still does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub declined: bool,
    /// Requests begun under the attempt's [`Grant`], where it has one. None at all: whatever it reports was no call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// The model's server asks to be left alone for so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
}

impl Counted {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

fn is_false(b: &bool) -> bool {
    !b
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportItem {
    /// Its place in the block.
    pub place: u32,
    /// Its answer key.
    pub key: Hash,
    /// The answer, when the model was asked and answered. Absent for a known reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The grade, when one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// Why the item is not done. An answer may stand beside it (grading failed): it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemError>,
    /// What a failed call cost all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Paid>,
}

/// What a failed call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// Tokens.
    pub usage: Usage,
    /// Millionths of a US dollar.
    pub cost_micros: u64,
}

/// Why an item is not done: an error of the infrastructure, never a wrong answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// What to do about it.
    pub action: Action,
    /// One sentence.
    pub message: String,
}

/// What the coordinator does about a failed item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Ask again, not before this many milliseconds from now.
    Retry {
        /// 0 leaves it to the coordinator's back-off.
        after_ms: u64,
    },
    /// Nothing was wrong with it: it was not asked, or its server named the time to ask again. Not held against the
    /// task.
    Again {
        /// Not before this many milliseconds from now.
        after_ms: u64,
    },
    /// Give this item up.
    GiveUp,
    /// Nothing of this kind can work: stop the run.
    StopRun,
}

/// A message that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not the expected JSON.
    #[error("{what} message is malformed: {source}")]
    Malformed {
        /// `task`, `report`, `reference`, `beats`, `losses`, `word` or `hold`.
        what: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// A reference, where the body itself was wanted.
    #[error(
        "{what} message was sent by reference because of its size, and this program reads no artefacts: give it the \
         coordinator's --artefacts"
    )]
    ByReference {
        /// `task` or `report`.
        what: &'static str,
    },
    /// Another version.
    #[error(
        "{what} message has version {found}, this program reads version {VERSION}: upgrade the older side"
    )]
    Version {
        /// `task`, `report`, `reference`, `beats`, `losses`, `word` or `hold`.
        what: &'static str,
        /// The version found.
        found: u32,
    },
}

impl Task {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes envelope and body.
    ///
    /// # Errors
    /// When it is no task, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Body), WireError> {
        Self::with_body(bytes)
    }

    /// Place and answer key of each open item, of a task of any kind; `keys` are those of its items in their order.
    pub fn asked(&self, keys: &[Hash]) -> impl Iterator<Item = (u32, Hash)> {
        let key = |&place: &u32| Some((place, *keys.get(place as usize)?));
        self.open.iter().filter_map(key)
    }
}

/// Items that failed for one reason.
fn failed(
    items: impl Iterator<Item = (u32, Hash)>,
    action: Action,
    message: &str,
) -> Vec<ReportItem> {
    let item = |(place, key)| ReportItem {
        place,
        key,
        answer: None,
        grade: None,
        error: Some(ItemError {
            action,
            message: message.to_owned(),
        }),
        paid: None,
    };
    items.map(item).collect()
}

impl Report {
    /// A report that nothing came of an attempt: every open item failed for one reason. `keys` are those of the task's
    /// items in their order.
    pub fn failed(task: &Task, keys: &[Hash], worker: &str, action: Action, message: &str) -> Self {
        Self {
            v: VERSION,
            task: task.task,
            epoch: task.epoch,
            worker: worker.to_owned(),
            items: failed(task.asked(keys), action, message),
            counted: Counted::default(),
        }
    }

    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is no report, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if Reference::is(bytes) {
            return Err(WireError::ByReference { what: "report" });
        }
        decode(bytes, "report", |r: &Self| r.v)
    }
}

impl Beats {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is no sign of life, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode(bytes, "beats", |b: &Self| b.v)
    }
}

impl Hold {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is no word about a model, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode(bytes, "hold", |h: &Self| h.v)
    }
}

impl Word {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is no word, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode(bytes, "word", |w: &Self| w.v)
    }
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
    version: impl Fn(&T) -> u32,
) -> Result<T, WireError> {
    let malformed = |source| WireError::Malformed { what, source };
    let message: T = serde_json::from_slice(bytes).map_err(malformed)?;
    match version(&message) {
        VERSION => Ok(message),
        found => Err(WireError::Version { what, found }),
    }
}
