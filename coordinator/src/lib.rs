//! Plans rounds, dispatches tasks, applies results, rescues the lost.
//!
//! ```text
//! planner -> store (candidates, tasks, outbox) -> dispatcher -> queue -> worker
//!    ^                                                                     |
//!    \---- store (answers, grades, ledger) <------ collector <--- queue <--/
//! ```
//!
//! [`run`] drives one run to its end or to a clean stop; [`serve`] works on all runs of a store until it is told to
//! drain, beside other coordinators on the same store and queue. Both are the same loops:
//!
//! | loop | who |
//! | --- | --- |
//! | [`dispatch`] | every coordinator: outbox rows become messages, runs share the workers |
//! | [`collect`] | every coordinator: reports become answers and grades |
//! | [`conduct`] | the leader: plans each run's next step |
//! | [`reading`] | the leader: reads the data of runs that were submitted |
//! | [`rescue`] | the leader: gives back what was lost |
//! | [`retain`] | the leader: deletes what is old enough |
//! | [`watch`] | every coordinator: signs of life, dead letters |
//!
//! [`api`] is the HTTP side: it reads and writes the store, and the loops do the rest, in whichever process.
//!
//! A coordinator holds no state that matters: kill it at any moment and start it again. What happened to a run is in
//! the store alone.

pub mod api;
pub mod board;
mod collect;
mod conduct;
mod dispatch;
pub mod export;
pub mod find;
pub mod ingest;
pub mod intake;
mod lead;
mod pace;
pub mod plan;
mod pool;
mod pulse;
pub mod reading;
mod rescue;
pub mod retain;
mod serve;
pub mod settings;
pub mod summary;
mod watch;

pub use dispatch::share;
pub use pool::Pools;
pub use retain::Retain;
pub use serve::{run, serve};

use domain::{
    call::Call,
    ids::RunId,
    run::{RoundKind, Spend, StepKey},
};
use llm::{Identity, WorstCase};
use queue::TaskQueue;
use runtime::clock::Clock;
use settings::Settings;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{LeaseAsk, Quota, RescuePolicy, RetryPolicy, Run, RunModel, Store};

/// What the coordinator must know of a model: it never calls one.
#[derive(Clone)]
pub struct ModelFacts {
    /// What it is: answer keys depend on it.
    pub identity: Identity,
    /// An upper bound for one call.
    pub worst_case: Arc<dyn Fn(&Call) -> WorstCase + Send + Sync>,
    /// What its server allows, over all that call it.
    pub quota: Option<Quota>,
}

/// What the coordinator must know of a run: made from its stored spec.
#[derive(Clone)]
pub struct Brief {
    /// What its spec says.
    pub settings: Settings,
    /// Its models, by name.
    pub models: HashMap<String, ModelFacts>,
}

impl Brief {
    /// Its models as the store keeps them, by name.
    fn run_models(&self) -> Vec<RunModel> {
        let of = |(name, facts): (&String, &ModelFacts)| RunModel {
            name: name.clone(),
            model: facts.identity.key.clone(),
            quota: facts.quota,
        };
        let mut models: Vec<RunModel> = self.models.iter().map(of).collect();
        models.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        models
    }
}

/// Makes the brief of a run; the error is a sentence for people, and fails the run. It may block for as long as it
/// takes to read a model's file.
pub type Briefs = Arc<dyn Fn(&Run) -> Result<Brief, String> + Send + Sync>;

/// How a coordinator works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tasks in the queue or with workers at once, over all runs.
    pub window: usize,
    /// How failed items are treated.
    pub retry: RetryPolicy,
    /// A claim that was not published within this many microseconds may be claimed again: longer than publishing can
    /// take, or tasks are sent twice.
    pub hold: i64,
    /// When a dispatched task is lost; `None` where the queue dies with this process, so that nothing is lost while it
    /// lives.
    pub rescue: Option<RescuePolicy>,
    /// Who leads among several coordinators; `None` where there is only this one.
    pub lease: Option<Lease>,
    /// What the leader deletes by itself.
    pub retain: Retain,
}

/// How leadership is held.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Unique to this process: host and boot id.
    pub holder: String,
    /// How long it holds without being renewed.
    pub ttl: Duration,
}

impl Lease {
    /// Takes or renews the lease of this name; its term, or `None` while another holds it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ask(&self, name: &str, store: &dyn Store, now: i64) -> store::Result<Option<i64>> {
        let ask = LeaseAsk {
            name,
            holder: &self.holder,
            ttl: i64::try_from(self.ttl.as_micros()).unwrap_or(i64::MAX),
            now,
        };
        store.lease(&ask).await
    }
}

/// What a coordinator is given.
#[derive(Clone)]
pub struct Deps {
    /// Where everything is stored.
    pub store: Arc<dyn Store>,
    /// Where tasks go and reports come from.
    pub queue: Arc<dyn TaskQueue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What its runs need.
    pub briefs: Briefs,
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
    /// A training made a step.
    Learning {
        /// The run.
        run: RunId,
        /// Its losses.
        loss: wire::Loss,
        /// Steps in all.
        steps: u32,
    },
    /// Something failed and will be tried again.
    Trouble {
        /// The run.
        run: RunId,
        /// What.
        message: String,
    },
    /// A run ended or stopped.
    Ended {
        /// The run.
        run: RunId,
        /// How.
        outcome: Outcome,
    },
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
    /// An export.
    #[error("cannot write CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A run that is not stored.
    #[error("run {0} is not stored")]
    UnknownRun(RunId),
    /// A run without its rows and without a result.
    #[error(
        "run {0} was pruned and has no result: what it cost is left (promptimal sql \"select * from cost_by_model where run_id = '{0}'\")"
    )]
    Pruned(RunId),
    /// A spec that cannot become a run.
    #[error("{0}")]
    Intake(String),
    /// The temporary file of a large step.
    #[error(
        "a temporary file, which planning a large step needs: {0} (TMPDIR names another folder for it)"
    )]
    Scratch(#[from] std::io::Error),
    /// Shares of a split that are none.
    #[error(transparent)]
    Ratios(#[from] dataset::BadRatios),
    /// The run's spec cannot be worked on.
    #[error("{0}")]
    Brief(String),
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
    /// Rewriters would be measured on what they learnt.
    #[error(
        "{found} of {prompts} prompts are among those that a rewriter was trained on, such as {first:?}: compare it on others \
         (of the run that trained it, eval.split = \"test\" has none)"
    )]
    TrainedOn {
        /// How many.
        found: usize,
        /// Of how many.
        prompts: usize,
        /// One of them.
        first: String,
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

impl CoordinatorError {
    /// Whether the same may work later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Store(store::StoreError::Backend(_)) | Self::Queue(_)
        )
    }
}
