//! What processes that share one store need of each other: whose turn it is, who leads, who still works.

use crate::Result;
use async_trait::async_trait;
use domain::{
    ids::{RunId, TaskId},
    run::RunKind,
};

/// Several coordinators on one store.
#[async_trait]
pub trait Shared: Send + Sync {
    /// The runs whose status is running, oldest first, with what each has in the queue or with workers.
    async fn running(&self) -> Result<Vec<Running>>;
    /// Changes how much of the workers a run gets beside others; returns whether the run is stored.
    async fn set_priority(&self, run: RunId, priority: i32) -> Result<bool>;
    /// Workers say which attempts they have in hand. Attempts of another epoch and closed tasks are passed over;
    /// returns how many were noted.
    async fn beat(&self, beats: &[Beat], now: i64) -> Result<u64>;
    /// Gives back what was lost, over all running runs: epoch + 1 and an outbox row in one transaction; the old
    /// reservation stays charged (ledger row `expire`). A loss that its worker may have caused counts as an attempt,
    /// and the last one makes the task dead.
    async fn rescue_lost(&self, policy: &RescuePolicy, now: i64) -> Result<Vec<Lost>>;
    /// Takes or renews a lease; the term when it was got, `None` while another holds it. A term never comes twice for
    /// one name.
    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<i64>>;
    /// Gives a lease back before its time; one held by another stays.
    async fn release(&self, name: &str, holder: &str) -> Result<()>;
}

/// A run that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The run.
    pub id: RunId,
    /// What it does.
    pub kind: RunKind,
    /// Each step up doubles its share of the workers.
    pub priority: i32,
    /// Its tasks in the queue or with workers.
    pub in_flight: u64,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The task.
    pub task: TaskId,
    /// The attempt's epoch.
    pub epoch: u32,
    /// Who works on it.
    pub worker: String,
}

/// When a dispatched task is lost. All in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct RescuePolicy {
    /// Its worker has been silent for so long.
    pub silent: i64,
    /// No worker has begun it so long after dispatch.
    pub unstarted: i64,
    /// It was begun so long ago, whatever its worker says.
    pub deadline: i64,
    /// The last two for trainings, which take hours and may wait for each other.
    pub training: Waits,
    /// After so many attempts a task is dead.
    pub max_attempts: u32,
    /// At most so many in one call: the rest comes with the next.
    pub limit: u32,
}

/// How long a task may wait and take, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// As [`RescuePolicy::unstarted`].
    pub unstarted: i64,
    /// As [`RescuePolicy::deadline`].
    pub deadline: i64,
}

/// Why a task was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Its worker fell silent.
    Silent,
    /// No worker began it.
    Unstarted,
    /// It took too long.
    Overdue,
}

impl Loss {
    /// The sentence that the task's row keeps.
    pub fn reason(self) -> &'static str {
        match self {
            Loss::Silent => "lost: its worker fell silent",
            Loss::Unstarted => "lost: no worker began it",
            Loss::Overdue => "lost: it took longer than its deadline",
        }
    }

    /// The loss for a word of SQL.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "silent" => Some(Loss::Silent),
            "unstarted" => Some(Loss::Unstarted),
            "overdue" => Some(Loss::Overdue),
            _ => None,
        }
    }

    /// Whether the attempt counts: a message that nobody received says nothing of its task.
    pub fn counts(self) -> bool {
        self != Loss::Unstarted
    }
}

/// A task that was given back, or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its run.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
    /// The epoch that was lost.
    pub epoch: u32,
    /// Why.
    pub loss: Loss,
    /// Whether that was its last attempt.
    pub dead: bool,
}

/// Who wants a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseAsk<'a> {
    /// What for.
    pub name: &'a str,
    /// Who: unique to the process.
    pub holder: &'a str,
    /// For how long, microseconds.
    pub ttl: i64,
    /// UTC microseconds.
    pub now: i64,
}
