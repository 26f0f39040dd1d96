//! Targets and candidates.

use crate::{
    hash::Hash,
    ids::{CandidateId, TargetId},
    prompt::PromptDoc,
};
use serde::{Deserialize, Serialize};

/// What a prompt is written for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Derived from the run and the name.
    pub id: TargetId,
    /// The dataset.
    pub dataset: String,
    /// The model that answers (its name in the spec).
    pub model: String,
    /// The one example it is about in `rewrite` mode; `None` when it is the whole dataset.
    pub example: Option<Hash>,
}

/// Which arm of the experiment a candidate belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The unchanged prompt (or, in an evaluation, a prompt of the user's).
    Original,
    /// Made by the search.
    Search,
    /// An unscored paraphrase: the control that pays for picking the best of many by chance.
    Placebo,
}

impl Arm {
    /// The word used in SQL.
    pub fn as_str(&self) -> &'static str {
        match self {
            Arm::Original => "original",
            Arm::Search => "search",
            Arm::Placebo => "placebo",
        }
    }
}

/// Whether a candidate is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Verdict {
    /// Waiting for the leak guard.
    Proposed,
    /// Tried.
    Accepted,
    /// Never tried; kept with the reason.
    Rejected {
        /// One word: `leak_verbatim`, `duplicate`, …
        reason: String,
        /// A sentence.
        detail: String,
    },
}

impl Verdict {
    /// The word used in SQL.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Proposed => "proposed",
            Verdict::Accepted => "accepted",
            Verdict::Rejected { .. } => "rejected",
        }
    }
}

/// A prompt for one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Derived from its place in the plan.
    pub id: CandidateId,
    /// What it is for.
    pub target: TargetId,
    /// The round that made it; 0 for the original.
    pub round: u32,
    /// Its place among the candidates of target, round and arm.
    pub ordinal: u32,
    /// Which arm.
    pub arm: Arm,
    /// The operator's name (`none` for the original), with its version: `trajectory@1`.
    pub operator: String,
    /// The model that wrote it (its name in the spec), or `user`.
    pub author: String,
    /// The candidates it was made from.
    pub parents: Vec<CandidateId>,
    /// The prompt itself.
    pub doc: PromptDoc,
    /// Whether it is tried.
    pub verdict: Verdict,
}
