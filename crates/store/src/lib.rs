//! One small trait per aggregate, and the conformance suite that every adapter passes.
//!
//! | trait | aggregate |
//! | --- | --- |
//! | [`Runs`] | runs, their limits and tags |
//! | [`Examples`] | examples and their membership in a run |
//! | [`Plans`] | steps, targets, candidates, tasks and their items: written by the planner |
//! | [`Tasks`] | the outbox, dispatch, reports, rescue, the ledger |
//! | [`Results`] | what the planner and the reports for people read |
//! | [`Shared`] | whose turn it is, who leads, who still works, what was lost |
//! | [`Trainings`] | how trainings go |
//! | [`Quotas`] | what a model's server allows, over all runs |
//! | [`Retention`] | getting rid of runs that are over |
//!
//! [`Store`] is all of them. Adapters: `store-sqlite` and, for a cluster, `store-postgres`. What they have in common
//! and is no SQL stands here: [`verdict`] and [`changes`] (what reports mean), [`budget`], [`quota`], [`codec`],
//! [`projection`], and how runs are pruned ([`retention`]).
//! Every write is one transaction; a write that was applied before changes nothing when applied again.
//! Times are UTC microseconds and are passed in: no adapter reads a clock.

pub mod budget;
pub mod changes;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod projection;
pub mod quota;
pub mod retention;
mod shared;
mod trainings;
pub mod verdict;

pub use quota::{Quota, Quotas, RunModel};
pub use retention::Retention;
pub use shared::{Beat, LeaseAsk, Loss, Lost, RescuePolicy, Running, Shared, Waits};
pub use trainings::Trainings;

use async_trait::async_trait;
use domain::{
    call::Reply,
    candidate::{Candidate, Target, Verdict},
    example::{Example, Split},
    grade::Grade,
    hash::Hash,
    ids::{CandidateId, RunId, TaskId},
    run::{Item, Limits, Member, Pair, RoundKind, RunKind, RunStatus, Spend, StepKey},
};
use serde::{Deserialize, Serialize};
use wire::{Report, Terms};

/// A store: all aggregates behind one handle.
pub trait Store:
    Runs + Examples + Plans + Tasks + Results + Shared + Trainings + Quotas + Retention
{
}
impl<T: Runs + Examples + Plans + Tasks + Results + Shared + Trainings + Quotas + Retention> Store
    for T
{
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed; nothing was written.
    #[error("store: {0}")]
    Backend(String),
    /// It may not be done now; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// A row that makes no sense.
    #[error("store: table {table}, row {row}: {problem}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// Which.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A run as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it does.
    pub kind: RunKind,
    /// Where it stands.
    pub status: RunStatus,
    /// Why it stands there (a sentence), when paused or failed.
    pub reason: Option<String>,
    /// The spec as stored: canonical JSON, never changed.
    pub spec: String,
    /// The hash by which the same spec is found again.
    pub spec_hash: Hash,
    /// Final summary as JSON, once finished.
    pub summary: Option<String>,
    /// UTC microseconds.
    pub created_at: i64,
    /// UTC microseconds; `None` before the end.
    pub finished_at: Option<i64>,
}

/// Runs, their limits and tags.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Stores a new run with its first limits row.
    async fn create_run(&self, run: &Run, limits: &Limits) -> Result<()>;
    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<Run>>;
    /// Where a run stands, and why: cheaper than the whole run, whose spec may be large.
    async fn status(&self, id: RunId) -> Result<Option<(RunStatus, Option<String>)>>;
    /// All runs, newest first.
    async fn runs(&self) -> Result<Vec<Run>> {
        self.runs_page(&RunPage::first(u32::MAX)).await
    }
    /// Some of them, newest first.
    async fn runs_page(&self, page: &RunPage) -> Result<Vec<Run>>;
    /// The runs that are paused for this very reason, oldest first.
    async fn paused_because(&self, reason: &str) -> Result<Vec<RunId>>;
    /// Changes the status if it is `from` now; returns whether it did. Sets `finished_at` when `to` is
    /// finished or cancelled.
    async fn set_status(&self, change: &StatusChange) -> Result<bool>;
    /// Stores the final summary.
    async fn set_summary(&self, id: RunId, summary: &str) -> Result<()>;
    /// Appends a limits row; the newest one holds.
    async fn add_limits(&self, id: RunId, limits: &Limits, now: i64) -> Result<()>;
    /// The limits that hold.
    async fn limits(&self, id: RunId) -> Result<Limits>;
}

/// A page of runs, newest first.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// Only those with this status.
    pub status: Option<RunStatus>,
    /// Start after this run: when it was created, and its id. It need not be stored any more.
    pub after: Option<(i64, RunId)>,
    /// At most this many.
    pub limit: u32,
}

impl RunPage {
    /// The newest runs, at most so many.
    pub fn first(limit: u32) -> Self {
        Self {
            status: None,
            after: None,
            limit,
        }
    }
}

/// A guarded change of a run's status.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// The run.
    pub run: RunId,
    /// The status it must have.
    pub from: RunStatus,
    /// The status it gets.
    pub to: RunStatus,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// UTC microseconds.
    pub now: i64,
}

/// Examples and their membership in a run.
#[async_trait]
pub trait Examples: Send + Sync {
    /// Stores examples (by content hash, once) and their membership in the run, in the order given.
    /// Returns how many memberships were new: an example twice in one dataset counts once.
    async fn add_examples(&self, run: RunId, rows: &[(Member, Example)]) -> Result<u64>;
    /// Members of a run in the order they were added, after `after` (exclusive), at most `limit`.
    /// With a split, only that part. The number is the position to continue after.
    async fn members(&self, page: &MemberPage) -> Result<Vec<(i64, Member, Example)>>;
    /// Examples by id; missing ones are left out.
    async fn examples(&self, ids: &[Hash]) -> Result<Vec<(Hash, Example)>>;
    /// How many members each `(dataset, split)` has.
    async fn member_counts(&self, run: RunId) -> Result<Vec<(String, Split, u64)>>;
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct MemberPage {
    /// The run.
    pub run: RunId,
    /// Only this dataset.
    pub dataset: Option<String>,
    /// Only this part.
    pub split: Option<Split>,
    /// Start after this position; 0 for the beginning (positions start at 1).
    pub after: i64,
    /// At most this many.
    pub limit: u32,
}

/// A task to be stored with its items.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Derived from its place in the plan.
    pub id: TaskId,
    /// The encoded `wire::Body`.
    pub body: String,
    /// Its items, in the order of the body. Their keys are looked up when the task is claimed.
    pub items: Vec<Item>,
    /// Upper bound of what it can use, reserved before dispatch.
    pub worst: Spend,
    /// Grader name and version, when its answers are graded.
    pub grader: Option<(String, String)>,
}

/// Everything a step adds, written in one transaction through [`Plans::begin_step`]: targets first, then
/// candidates, then tasks and items, because later rows refer to earlier ones. While it is open, nothing else may
/// be written by the same task: a store may have one writer only.
#[async_trait]
pub trait StepWriter: Send {
    /// Adds targets (those that exist stay as they are).
    async fn targets(&mut self, targets: &[Target]) -> Result<()>;
    /// Adds candidates, each once; their parents are among them or stored.
    async fn candidates(&mut self, candidates: &[Candidate]) -> Result<()>;
    /// Decides on candidates that were proposed.
    async fn verdicts(&mut self, verdicts: &[(CandidateId, Verdict)]) -> Result<()>;
    /// Adds tasks with their items and an outbox row each.
    async fn tasks(&mut self, tasks: &[NewTask]) -> Result<()>;
    /// Adds items that need no task, because their answers (and grades) are stored or because an equal
    /// item of this step asks the same question. `grader` is the one their grades are read under (each item of a
    /// step remembers its grader: steps can mix graders; tasks bring theirs in [`NewTask::grader`]).
    async fn items(&mut self, items: &[Item], grader: Option<&(String, String)>) -> Result<()>;
    /// Commits; until then nothing of the step is visible.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// What was asked about keys before a step is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyQuery {
    /// The answer key.
    pub key: Hash,
    /// The example whose grade is wanted.
    pub example: Option<Hash>,
}

/// Steps, targets, candidates, tasks and items, written by the planner.
#[async_trait]
pub trait Plans: Send + Sync {
    /// Opens the transaction of a step, or says `None` when the step was planned before.
    async fn begin_step(
        &self,
        key: StepKey,
        kind: RoundKind,
        now: i64,
    ) -> Result<Option<Box<dyn StepWriter>>>;
    /// The last planned step of a run with its task counts.
    async fn last_step(&self, run: RunId) -> Result<Option<StepStatus>>;
    /// For each query: is the answer stored, and (with a grader) its grade too?
    async fn stored(
        &self,
        queries: &[KeyQuery],
        grader: Option<&(String, String)>,
    ) -> Result<Vec<bool>>;
    /// Adds the pairs of a finished run (once).
    async fn add_pairs(&self, run: RunId, pairs: &[Pair]) -> Result<()>;
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepStatus {
    /// The step.
    pub key: StepKey,
    /// What its round is for.
    pub kind: RoundKind,
    /// Items in all, and those that are done (their answers, and grades where graded, are stored).
    pub items: u64,
    /// Items done.
    pub items_done: u64,
    /// Tasks neither done nor dead.
    pub open: u64,
    /// Tasks that were given up.
    pub dead: u64,
}

/// An attempt that was claimed for dispatch.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The task.
    pub task: TaskId,
    /// Its epoch.
    pub epoch: u32,
    /// The encoded `wire::Body`.
    pub body: String,
    /// Places of items still open.
    pub open: Vec<u32>,
    /// Replies already stored, by place.
    pub known: Vec<(u32, Reply)>,
    /// What may be sent under it, where the run has a budget or the model a quota.
    pub terms: Option<Terms>,
}

/// What a claim brought.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// To be published, then marked with [`Tasks::dispatched`].
    pub tasks: Vec<Claimed>,
    /// The next task does not fit in the budget: limit name, cap, and what it would come to.
    pub over_budget: Option<(String, u64, u64)>,
    /// Whether what others claimed or sent of the run may still give some of the budget back. Looked up only where
    /// nothing fits, in the same transaction.
    pub under_way: bool,
    /// When something that must wait now may go, UTC microseconds: a task whose time has not come, or a model whose
    /// limit has no room. Looked up only where nothing was claimed.
    pub next_at: Option<i64>,
}

/// How failed items are treated.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// After this many attempts a task is dead.
    pub max_attempts: u32,
    /// First back-off, microseconds; doubled each attempt.
    pub backoff: i64,
    /// The longest back-off, microseconds.
    pub max_backoff: i64,
}

/// What applying reports changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Reports accepted.
    pub accepted: u64,
    /// Reports of an older epoch or of a closed task: no state changed, what was paid is booked.
    pub stale: u64,
    /// Answers stored that were not stored before.
    pub answers: u64,
    /// Items done by this.
    pub items_done: u64,
    /// The first message that asks to stop each run.
    pub stop: Vec<(RunId, String)>,
    /// The first message of tasks that died, or have to wait, for people.
    pub trouble: Vec<(RunId, String)>,
    /// The models whose servers asked to be left alone, and until when, UTC microseconds.
    pub held: Vec<(String, i64)>,
}

/// The outbox, dispatch, reports, rescue, the ledger.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Claims up to `limit` planned tasks of the run whose time has come, oldest first, and reserves their worst
    /// case in the ledger: all in one transaction, so that the cap holds. Of a model with a [`Quota`] it claims what
    /// the quota allows now; of one whose server asked to be left alone, nothing. Items whose answers (and grades) are
    /// stored meanwhile are not open; a task with no open item is closed as done here. A claim that is not
    /// followed by [`Tasks::dispatched`] within `hold` microseconds lapses: whether it was sent nobody knows, so its
    /// reservation stays charged (ledger row `expire`), and the task can be claimed under the next epoch.
    async fn claim(&self, run: RunId, limit: u32, now: i64, hold: i64) -> Result<Claim>;
    /// The queue has taken these: planned -> dispatched. If the machine of the store dies the mark may be lost; the claim
    /// then lapses.
    async fn dispatched(&self, attempts: &[(TaskId, u32)], now: i64) -> Result<()>;
    /// Applies a batch of reports in one transaction, fenced on `(task, epoch, open state)`: stores answers and
    /// grades under their keys, closes items and tasks, sends failed items back (epoch + 1, attempts + 1,
    /// `not_before`) or declares the task dead, settles the ledger, gives back what was granted and not used of a quota,
    /// and leaves models alone whose servers asked for it. A report of a worker that declined the attempt settles
    /// nothing. A stale report changes no state and no grade; an
    /// answer in it is kept if its key has none, and its cost is booked. An item that waits for an equal one is closed
    /// with it; an equal item of another task when that task is claimed or reported. A grade is kept only for the
    /// answer that is stored, so of two different answers to one question the second is neither kept nor graded.
    async fn apply(&self, reports: &[Report], policy: RetryPolicy, now: i64) -> Result<Applied>;
    /// Gives back what was lost: every dispatched task of the run, dispatched before `before`, gets epoch + 1 and an
    /// outbox row; its old reservation stays charged (ledger row `expire`). Returns how many.
    async fn rescue(&self, run: RunId, before: i64, now: i64) -> Result<u64>;
    /// Dead tasks of the run are planned again with fresh attempts. Returns how many.
    async fn revive(&self, run: RunId, now: i64) -> Result<u64>;
    /// What the run has used, reservations included: the sum of its ledger.
    async fn spend(&self, run: RunId) -> Result<Spend>;
}

/// One item with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The item.
    pub item: Item,
    /// The stored reply, if any.
    pub reply: Option<Reply>,
    /// The stored grade under the item's grader, if any.
    pub grade: Option<Grade>,
    /// What the reply took when it was bought, whoever bought it; none without a reply.
    pub spent: Option<Spend>,
}

/// Numbers for the summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// What was used.
    pub spend: Spend,
    /// Tasks that died.
    pub dead: u64,
    /// Rejected candidates by reason.
    pub rejected: Vec<(String, u64)>,
}

/// What the planner and the reports for people read.
#[async_trait]
pub trait Results: Send + Sync {
    /// Outcomes of a step by ordinal, after `after` (`None` for the beginning), at most `limit`.
    async fn outcomes(&self, key: StepKey, after: Option<u32>, limit: u32) -> Result<Vec<Outcome>>;
    /// All targets of a run.
    async fn targets(&self, run: RunId) -> Result<Vec<Target>>;
    /// All candidates of a run, by round, target and ordinal.
    async fn candidates(&self, run: RunId) -> Result<Vec<Candidate>>;
    /// The pairs of a run.
    async fn pairs(&self, run: RunId) -> Result<Vec<Pair>>;
    /// The steps planned so far, oldest first.
    async fn steps(&self, run: RunId) -> Result<Vec<StepStatus>>;
    /// Numbers for the summary.
    async fn totals(&self, run: RunId) -> Result<Totals>;
    /// The projection by which two runs of the same spec are compared: one line per row, sorted, of runs (spec hash,
    /// status), members, targets, candidates, items with their answers and grades, pairs; without ids of the run,
    /// times, attempts, epochs, workers, places of adapters, ledger.
    async fn projection(&self, run: RunId) -> Result<Vec<String>>;
}
