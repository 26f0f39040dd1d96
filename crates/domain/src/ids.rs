//! Identifiers.
//!
//! Runs are UUID v7 (they sort by time). Everything a planner makes has an id derived from
//! `(run, round, step, kind, ordinal)` by UUID v5, so that planning twice gives the same rows.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

id!(
    /// One optimisation or evaluation job.
    RunId
);
id!(
    /// What a prompt is written for.
    TargetId
);
id!(
    /// A prompt for one target.
    CandidateId
);
id!(
    /// A unit of queued work.
    TaskId
);

impl RunId {
    /// A new, time-ordered run id.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of a planned row: the same arguments give the same id, on any machine.
    fn derive(&self, kind: &str, name: &str) -> Uuid {
        Uuid::new_v5(&self.0, format!("{kind}/{name}").as_bytes())
    }

    /// The id of a target, from its name within the run.
    pub fn target(&self, name: &str) -> TargetId {
        TargetId(self.derive("target", name))
    }

    /// The id of a candidate, from its place in the plan.
    pub fn candidate(&self, place: &str) -> CandidateId {
        CandidateId(self.derive("candidate", place))
    }

    /// The id of a task, from its place in the plan.
    pub fn task(&self, place: &str) -> TaskId {
        TaskId(self.derive("task", place))
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}
