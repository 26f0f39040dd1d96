//! Tasks for the worker that trains.
//!
//! A task is one training: it holds the pairs and how to learn from them, and has one item, whose key says what training
//! it is. What came of it is the answer to that key: [`Training`], as JSON in a reply's text. So the same training is not
//! done twice, and all that holds for reports of answers holds for it.

use crate::{Task, WireError};
use domain::{call::Reply, hash::Hash, ids::RunId, tuning::Tuning};
use serde::{Deserialize, Serialize};

/// The unchanging part of a training task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainBody {
    /// Always [`crate::Work::Train`].
    pub work: crate::Work,
    /// The run.
    pub run: RunId,
    /// The base: its name in the spec, for people.
    pub model: String,
    /// The base: what it is.
    pub identity: String,
    /// How it learns.
    pub tuning: Tuning,
    /// All draws derive from it.
    pub seed: u64,
    /// What it learns from.
    pub pairs: Vec<TrainPair>,
    /// Exactly one.
    pub items: Vec<TrainItem>,
}

/// A prompt and a better one, with what a grader said of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainPair {
    /// The prompt as somebody wrote it.
    pub original: String,
    /// The better one.
    pub improved: String,
    /// Grades of the two on fresh draws.
    pub grades: (f64, f64),
}

/// The one thing asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainItem {
    /// What training it is.
    pub key: Hash,
}

impl TrainBody {
    /// What training this is: everything that can change a number of it, and neither the run nor the name of the base.
    pub fn key_of(&self) -> Hash {
        let mut tuning = self.tuning.clone();
        tuning.base.clear();
        tuning.min_pairs = 0;
        let parts = (&self.identity, tuning, self.seed, &self.pairs);
        // Serialising these types cannot fail: no map has keys other than text.
        Hash::of(["train", &serde_json::to_string(&parts).unwrap_or_default()])
    }

    /// Its key; `None` of a body without an item.
    pub fn key(&self) -> Option<Hash> {
        self.items.first().map(|item| item.key)
    }
}

impl Task {
    /// Decodes envelope and body of a training task.
    ///
    /// # Errors
    /// When it is none, or one of another version.
    pub fn decode_train(bytes: &[u8]) -> Result<(Self, TrainBody), WireError> {
        Self::with_body(bytes)
    }
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Training {
    /// An adapter.
    Trained(Box<Trained>),
    /// There was nothing to learn from, and why: no pair was left, or all are too long.
    Nothing(String),
}

/// An adapter, and how it came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// Where it lies: the address of the artefacts.
    pub place: String,
    /// The folder there, which bears run, task and epoch; its files are in PEFT's layout.
    pub folder: String,
    /// The base's own name.
    pub base: String,
    /// SHA-256 of the base's weights.
    pub base_sha256: String,
    /// The words around a pair: the rewriter is asked in the same.
    pub template: String,
    /// Pairs learnt from.
    pub train: u64,
    /// Pairs that the learning was measured on.
    pub validation: u64,
    /// Pairs left out, for whatever reason.
    pub left_out: u64,
    /// Numbers that learnt.
    pub parameters: u64,
    /// The mean loss of the tokens of each step, before it.
    pub losses: Vec<f64>,
    /// Steps done, and the mean loss of the validation tokens after them.
    pub validation_losses: Vec<(u32, f64)>,
}

impl Training {
    /// As the answer to its key.
    pub fn reply(&self) -> Reply {
        // Serialising these types cannot fail: no map has keys other than text.
        let text = serde_json::to_string(self).unwrap_or_default();
        Reply::Text { text }
    }

    /// The training that a stored answer is; `None` of any other answer.
    pub fn of(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Text { text } => serde_json::from_str(text).ok(),
            Reply::Scores { .. } => None,
        }
    }

    /// The same without where its adapter lies: equal for all who did this training.
    pub fn anywhere(self) -> Self {
        match self {
            Self::Trained(mut trained) => {
                trained.place.clear();
                trained.folder.clear();
                Self::Trained(trained)
            }
            nothing => nothing,
        }
    }
}

impl Trained {
    /// All its losses, step by step.
    pub fn rows(&self) -> Vec<Loss> {
        let validation = |step: u32| {
            let found = self.validation_losses.iter().find(|(s, _)| *s == step);
            found.map(|(_, loss)| *loss)
        };
        let before = validation(0).map(|loss| Loss {
            step: 0,
            loss: None,
            validation: Some(loss),
        });
        let steps = (1..).zip(&self.losses).map(|(step, loss)| Loss {
            step,
            loss: Some(*loss),
            validation: validation(step),
        });
        before.into_iter().chain(steps).collect()
    }
}

/// A step of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Steps done.
    pub step: u32,
    /// The mean loss of the tokens of the last of them, before it; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The mean loss of the validation tokens now, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
}

/// How a training goes, for whoever watches. It may be lost: the report holds all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// [`crate::VERSION`].
    pub v: u32,
    /// What training it is.
    pub training: Hash,
    /// For whom.
    pub run: RunId,
    /// Steps in all.
    pub steps: u32,
    /// What is new.
    pub losses: Vec<Loss>,
}

impl Losses {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the message.
    ///
    /// # Errors
    /// When it is none, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        crate::decode(bytes, "losses", |l: &Self| l.v)
    }
}
