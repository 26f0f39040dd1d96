//! Runs, rounds, steps, and their states.
//!
//! ```text
//! run:   running -> finished
//!           |  \--> failed      (no call can work: wrong key, unknown model; resumable)
//!           |-----> paused      (budget reached, outage, Ctrl-C; resumable)
//!           \-----> cancelled
//! task:  planned -> dispatched -> done
//!           ^            |-----> dead       (gave up; the reason is in the row)
//!           \------------/ (rescued or to be retried: epoch + 1)
//! ```

use crate::{
    example::Split,
    hash::Hash,
    ids::{CandidateId, RunId, TargetId, TaskId},
};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word used in SQL, on the wire and in reports.
            pub fn as_str(&self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant for a stored word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

word!(
    /// What a run does.
    RunKind {
        /// The self-play loop.
        Optimise = "optimise",
        /// Prompts x models x dataset.
        Evaluate = "evaluate",
    }
);
word!(
    /// Where a run stands.
    RunStatus {
        /// Work is planned or under way.
        Running = "running",
        /// Stopped cleanly; `resume` goes on.
        Paused = "paused",
        /// No call can work as configured; `resume` goes on once that is mended.
        Failed = "failed",
        /// Done.
        Finished = "finished",
        /// Given up by its owner.
        Cancelled = "cancelled",
    }
);
word!(
    /// What a round is for.
    RoundKind {
        /// The unchanged prompts: which examples are hard?
        Baseline = "baseline",
        /// Propose, try, grade.
        Search = "search",
        /// As many unscored paraphrases, chosen the same way.
        Placebo = "placebo",
        /// Winners, originals and placebos once more, on fresh draws.
        Confirm = "confirm",
    }
);
word!(
    /// The steps of a round, in order.
    Step {
        /// A model writes rewrites.
        Propose = "propose",
        /// Do the rewrites give the answer away?
        Guard = "guard",
        /// The target answers; answers are graded.
        Answer = "answer",
        /// A language model is asked which of two answers is better.
        Judge = "judge",
        /// Answers get the grades that cannot be given when they come: of a reward model, or from what a judge said.
        Score = "score",
        /// A small model learns from the pairs.
        Train = "train",
    }
);
word!(
    /// Where a task stands.
    TaskState {
        /// Waiting to be dispatched.
        Planned = "planned",
        /// In the queue or with a worker.
        Dispatched = "dispatched",
        /// Its report was accepted.
        Done = "done",
        /// Given up, with a reason.
        Dead = "dead",
    }
);

/// A step of a round of a run: `unique(run, round, step)` makes advancing idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepKey {
    /// The run.
    pub run: RunId,
    /// 0 is the baseline.
    pub round: u32,
    /// The step.
    pub step: Step,
}

/// One thing asked of a model within a step, and what it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the step: unique, dense from 0.
    pub ordinal: u32,
    /// The target.
    pub target: TargetId,
    /// The candidate tried; `None` while it is being proposed.
    pub candidate: Option<CandidateId>,
    /// The example asked.
    pub example: Option<Hash>,
    /// Which repeat.
    pub repeat: u32,
    /// The key its answer is stored under.
    pub key: Hash,
}

/// What a run may use. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Model calls.
    pub calls: Option<u64>,
    /// Tokens read and written.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub cost_micros: Option<u64>,
}

/// What was used, or is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Model calls.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micros: u64,
}

impl Spend {
    /// Which limit `self + more` would break: its name, the cap, and what was asked.
    pub fn breaks(&self, more: &Spend, limits: &Limits) -> Option<(&'static str, u64, u64)> {
        [
            ("calls", limits.calls, self.calls.saturating_add(more.calls)),
            (
                "tokens",
                limits.tokens,
                self.tokens.saturating_add(more.tokens),
            ),
            (
                "cost",
                limits.cost_micros,
                self.cost_micros.saturating_add(more.cost_micros),
            ),
        ]
        .into_iter()
        .find_map(|(name, cap, asked)| cap.filter(|c| asked > *c).map(|c| (name, c, asked)))
    }
}

impl std::ops::AddAssign for Spend {
    fn add_assign(&mut self, o: Self) {
        self.calls += o.calls;
        self.tokens += o.tokens;
        self.cost_micros += o.cost_micros;
    }
}

/// A unit of queued work and the items it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The task.
    pub task: TaskId,
    /// Monotone; a report of another epoch is stale.
    pub epoch: u32,
}

/// An example as a run sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The example's id.
    pub example: Hash,
    /// The dataset's name in the spec.
    pub dataset: String,
    /// The smallest id of its near-duplicate cluster.
    pub cluster: Hash,
    /// The part it belongs to.
    pub split: Split,
}

/// A training pair: what the rewriter learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The target.
    pub target: TargetId,
    /// The better prompt.
    pub candidate: CandidateId,
    /// The original words.
    pub original: String,
    /// The better words.
    pub improved: String,
    /// Mean over the confirming repeats.
    pub original_grade: f64,
    /// Mean over the same repeats.
    pub improved_grade: f64,
    /// Which grader, with version: `choice_loglik@1-…`.
    pub grader: String,
    /// Which operator made it.
    pub operator: String,
    /// In which round.
    pub round: u32,
    /// One-sided p value of the confirmation.
    pub p_value: f64,
}
