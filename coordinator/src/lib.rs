//! Plans rounds, dispatches tasks, applies results, rescues the lost.
//!
//! ```text
//! planner -> store (candidates, tasks, outbox) -> dispatcher -> queue -> worker
//!    ^                                                                     |
//!    \---- store (answers, grades, ledger) <------ collector <--- queue <--/
//! ```
//!
//! [`run`] drives one run to its end or to a clean stop. It holds no state that matters: kill it at any moment and
//! start it again. What happened to a run is in the store alone.

pub mod board;
mod collect;
mod dispatch;
mod drive;
pub mod ingest;
pub mod plan;
mod pool;
mod pulse;
pub mod settings;
pub mod summary;

pub use drive::run;
pub use pool::Pools;

use domain::{
    call::Call,
    ids::RunId,
    run::{RoundKind, Spend, StepKey},
};
use llm::{Identity, WorstCase};
use queue::TaskQueue;
use runtime::clock::Clock;
use settings::Settings;
use std::{collections::HashMap, sync::Arc};
use store::{RetryPolicy, Store};

/// What the coordinator must know of a model: it never calls one.
#[derive(Clone)]
pub struct ModelFacts {
    /// What it is: answer keys depend on it.
    pub identity: Identity,
    /// An upper bound for one call.
    pub worst_case: Arc<dyn Fn(&Call) -> WorstCase + Send + Sync>,
}

/// How a run is driven.
#[derive(Clone, Debug)]
pub struct Config {
    /// The run.
    pub run: RunId,
    /// What its spec says.
    pub settings: Settings,
    /// Tasks in the queue or with workers at once.
    pub window: usize,
    /// How failed items are treated.
    pub retry: RetryPolicy,
    /// A claim that was not published within this many microseconds may be claimed again: longer than publishing can
    /// take, or tasks are sent twice.
    pub hold: i64,
}

/// What a run is driven with.
#[derive(Clone)]
pub struct Deps {
    /// Where everything is stored.
    pub store: Arc<dyn Store>,
    /// Where tasks go and reports come from.
    pub queue: Arc<dyn TaskQueue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The run's models, by name.
    pub models: HashMap<String, ModelFacts>,
    /// Who watches.
    pub observer: Observer,
}

/// Called with every event, from the driving task: it must return at once.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// What a watcher sees.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step was planned.
    Planned {
        /// The step.
        key: StepKey,
        /// What its round is for.
        kind: RoundKind,
        /// Its items.
        items: u64,
    },
    /// A step went on.
    Progress {
        /// The step.
        key: StepKey,
        /// What its round is for.
        kind: RoundKind,
        /// Its items.
        items: u64,
        /// Items done.
        done: u64,
        /// What the run has used.
        spend: Spend,
    },
    /// Something failed and will be tried again.
    Trouble(String),
}

/// How driving a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done.
    Finished,
    /// Stopped cleanly, with the reason; driving it again goes on.
    Paused(String),
    /// No call can work as configured; driving it again after mending that goes on.
    Failed(String),
}

/// Why a run could not be driven. Nothing is lost: drive it again.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue::QueueError),
    /// A dataset.
    #[error(transparent)]
    Dataset(#[from] dataset::DatasetError),
    /// A row of a dataset.
    #[error("dataset `{dataset}`, read as format {format}: {error}")]
    Row {
        /// The dataset's name.
        dataset: String,
        /// The format it is read as, which may be the mistake.
        format: &'static str,
        /// Where and what.
        error: dataset::RowError,
    },
    /// The run's spec names a model nobody described.
    #[error("model {0:?} is not configured: add [models.{0}] to the spec")]
    UnknownModel(String),
    /// Mining found nothing.
    #[error(
        "no example to search on: {measured} were measured in the baseline; give more data, or a larger [search] hardest"
    )]
    NothingToSearch {
        /// Examples measured.
        measured: usize,
    },
    /// A dataset without examples.
    #[error(
        "dataset {dataset:?} has no example in the train part: give more rows, or a larger splits.train"
    )]
    NoExamples {
        /// Its name.
        dataset: String,
    },
}
