//! Getting rid of runs that are over.
//!
//! A pruned run keeps its own row with the summary, its limits, its ledger, and the tasks and rounds that the ledger
//! names: money spent stays accountable. Everything else of it goes, and with [`Prune::everything`] that too. Answers,
//! grades and examples belong to no run, and are what makes later runs cheap: those that no run refers to any more go
//! only with [`Prune::answers`].
//!
//! Rows are deleted in batches, each a short transaction of its own, so that nobody waits long. What was left by a
//! kill in the middle goes when the same is asked again: a run is first marked as pruned, and every batch looks for
//! what is left.

use crate::{Result, Run, Store, StoreError};
use async_trait::async_trait;
use domain::{
    ids::RunId,
    run::{RunStatus, RunStatus::*},
};

/// Why a pruned run's row has no more to tell.
pub const PRUNED: &str = "pruned: its summary and what it cost are left";

/// The rows that belong to a run, by table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Tasks to be sent.
    Outbox,
    /// What tasks ask.
    Bodies,
    /// Things asked.
    Items,
    /// Training pairs.
    Pairs,
    /// Where candidates come from.
    Parents,
    /// Candidates.
    Candidates,
    /// Targets.
    Targets,
    /// Which examples it had.
    Members,
    /// Reservations and settlements.
    Ledger,
    /// Tasks.
    Tasks,
    /// Steps of rounds.
    Rounds,
    /// Limits.
    Limits,
    /// The models it calls.
    Models,
    /// Tags.
    Tags,
    /// What it used in all.
    Spend,
    /// The run's own row.
    Run,
}

/// How many rows of each part a run has, as SQL counts them.
#[allow(missing_docs, reason = "the parts, by name")]
#[derive(Debug)]
pub struct Counts {
    pub outbox: i64,
    pub bodies: i64,
    pub items: i64,
    pub pairs: i64,
    pub parents: i64,
    pub candidates: i64,
    pub targets: i64,
    pub members: i64,
    pub ledger: i64,
    pub tasks: i64,
    pub rounds: i64,
    pub limits: i64,
    pub models: i64,
    pub tags: i64,
    pub spend: i64,
}

impl Counts {
    /// Part by part; the run's own row is one.
    pub fn parts(&self) -> Vec<(Part, u64)> {
        let counts = [
            (Part::Outbox, self.outbox),
            (Part::Bodies, self.bodies),
            (Part::Items, self.items),
            (Part::Pairs, self.pairs),
            (Part::Parents, self.parents),
            (Part::Candidates, self.candidates),
            (Part::Targets, self.targets),
            (Part::Members, self.members),
            (Part::Ledger, self.ledger),
            (Part::Tasks, self.tasks),
            (Part::Rounds, self.rounds),
            (Part::Limits, self.limits),
            (Part::Models, self.models),
            (Part::Tags, self.tags),
            (Part::Spend, self.spend),
            (Part::Run, 1),
        ];
        counts.map(|(part, n)| (part, n.unsigned_abs())).to_vec()
    }
}

impl Part {
    /// What goes when a run is pruned, in the order in which rows name each other.
    pub const ROWS: [Part; 8] = [
        Part::Outbox,
        Part::Bodies,
        Part::Items,
        Part::Pairs,
        Part::Parents,
        Part::Candidates,
        Part::Targets,
        Part::Members,
    ];
    /// What stays unless everything goes.
    pub const ACCOUNTS: [Part; 8] = [
        Part::Ledger,
        Part::Tasks,
        Part::Rounds,
        Part::Limits,
        Part::Models,
        Part::Tags,
        Part::Spend,
        Part::Run,
    ];

    /// Its table.
    pub fn table(self) -> &'static str {
        match self {
            Part::Outbox => "outbox",
            Part::Bodies => "task_bodies",
            Part::Items => "items",
            Part::Pairs => "pairs",
            Part::Parents => "candidate_parents",
            Part::Candidates => "candidates",
            Part::Targets => "targets",
            Part::Members => "run_examples",
            Part::Ledger => "ledger",
            Part::Tasks => "tasks",
            Part::Rounds => "rounds",
            Part::Limits => "run_limits",
            Part::Models => "run_models",
            Part::Tags => "run_tags",
            Part::Spend => "run_spend",
            Part::Run => "runs",
        }
    }
}

/// Rows that no run refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unused {
    /// Answers.
    pub answers: u64,
    /// Their grades.
    pub grades: u64,
    /// Examples.
    pub examples: u64,
}

/// What [`prune`] is made of: each call is one short transaction.
#[async_trait]
pub trait Retention: Send + Sync {
    /// When pruning the run began; `None` for one that is whole, or not stored.
    async fn pruned_at(&self, run: RunId) -> Result<Option<i64>>;
    /// Marks a run that is over as pruned, for good: a failed one counts as cancelled from now on. Returns whether it is
    /// over; marking it again changes nothing.
    async fn mark_pruned(&self, run: RunId, now: i64) -> Result<bool>;
    /// How many rows of each part the run has.
    async fn count_rows(&self, run: RunId) -> Result<Vec<(Part, u64)>>;
    /// Deletes at most `limit` rows of a part of a run that is marked; returns how many.
    async fn delete_rows(&self, run: RunId, part: Part, limit: u32) -> Result<u64>;
    /// What no run would refer to without these.
    async fn count_unused(&self, without: &[RunId]) -> Result<Unused>;
    /// Deletes at most `limit` answers that no run refers to, with their grades; where there are none, examples. Refuses
    /// while a run is running: it may be about to reuse one.
    async fn delete_unused(&self, limit: u32) -> Result<Unused>;
}

/// What is to be pruned.
#[derive(Clone, Debug)]
pub struct Prune {
    /// These runs. None: all that are over and old enough.
    pub runs: Vec<RunId>,
    /// Only what ended before this, UTC microseconds (what never ended: what began before).
    pub before: Option<i64>,
    /// Also answers, grades and examples that no run refers to any more.
    pub answers: bool,
    /// Also the ledger and the run itself.
    pub everything: bool,
    /// At most so many rows in a transaction; at least 1.
    pub batch: u32,
    /// Stop after so many transactions that deleted something.
    pub batches: Option<u64>,
    /// UTC microseconds.
    pub now: i64,
}

impl Prune {
    /// Rows in a transaction, unless told otherwise: some tens of milliseconds.
    pub const BATCH: u32 = 2_000;

    /// Nothing yet.
    pub fn at(now: i64) -> Self {
        Self {
            runs: vec![],
            before: None,
            answers: false,
            everything: false,
            batch: Self::BATCH,
            batches: None,
            now,
        }
    }

    fn parts(&self) -> impl Iterator<Item = Part> + Send + use<> {
        let accounts = self.everything.then_some(Part::ACCOUNTS);
        Part::ROWS.into_iter().chain(accounts.into_iter().flatten())
    }
}

/// What was pruned, or would be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// The runs.
    pub runs: Vec<Run>,
    /// Rows by table; tables without any are left out.
    pub rows: Vec<(&'static str, u64)>,
    /// Whether something is left: ask again.
    pub unfinished: bool,
}

impl Pruned {
    fn add(&mut self, table: &'static str, n: u64) {
        match self.rows.iter_mut().find(|(name, _)| *name == table) {
            _ if n == 0 => {}
            Some((_, sum)) => *sum += n,
            None => self.rows.push((table, n)),
        }
    }

    fn add_unused(&mut self, unused: Unused) {
        self.add("answers", unused.answers);
        self.add("grades", unused.grades);
        self.add("examples", unused.examples);
    }
}

/// What [`prune`] would delete. Nothing is written.
///
/// # Errors
/// As [`prune`].
pub async fn prunable(store: &dyn Store, wanted: &Prune) -> Result<Pruned> {
    let mut out = Pruned::default();
    for run in chosen(store, wanted).await? {
        let counts = store.count_rows(run.id).await?;
        let parts = counts
            .into_iter()
            .filter(|(part, _)| wanted.parts().any(|p| p == *part));
        let rows: Vec<(Part, u64)> = parts.filter(|(_, n)| *n > 0).collect();
        if !rows.is_empty() {
            rows.iter().for_each(|(part, n)| out.add(part.table(), *n));
            out.runs.push(run);
        }
    }
    if wanted.answers {
        let ids: Vec<RunId> = out.runs.iter().map(|r| r.id).collect();
        out.add_unused(store.count_unused(&ids).await?);
    }
    Ok(out)
}

/// Deletes what is wanted. Asking again goes on where this was stopped.
///
/// # Errors
/// When a run that was named is not over, when answers are wanted while a run is running, or when the store fails.
/// What was deleted until then stays deleted.
pub async fn prune(store: &dyn Store, wanted: &Prune) -> Result<Pruned> {
    let mut out = Pruned::default();
    let mut left = wanted.batches.unwrap_or(u64::MAX);
    for run in chosen(store, wanted).await? {
        if !store.mark_pruned(run.id, wanted.now).await? {
            return Err(StoreError::Refused(format!(
                "run {:?} ({}) went on meanwhile: nothing of it was pruned",
                run.name, run.id
            )));
        }
        let before = out.rows.clone();
        let all = empty(store, &run, wanted, (&mut left, &mut out)).await?;
        if before != out.rows {
            out.runs.push(run);
        }
        if !all {
            out.unfinished = true;
            return Ok(out);
        }
    }
    if wanted.answers {
        out.unfinished = !sweep(store, wanted, (&mut left, &mut out)).await?;
    }
    Ok(out)
}

/// Deletes a run's rows; whether all of them.
async fn empty(
    store: &dyn Store,
    run: &Run,
    wanted: &Prune,
    (left, out): (&mut u64, &mut Pruned),
) -> Result<bool> {
    let batch = wanted.batch.max(1);
    for part in wanted.parts() {
        loop {
            if *left == 0 {
                return Ok(false);
            }
            let n = store.delete_rows(run.id, part, batch).await?;
            // A look at what is empty is free: else few batches would never get past it.
            *left -= u64::from(n > 0);
            out.add(part.table(), n);
            if n < u64::from(batch) {
                break;
            }
        }
    }
    Ok(true)
}

/// Deletes what no run refers to; whether all of it.
async fn sweep(
    store: &dyn Store,
    wanted: &Prune,
    (left, out): (&mut u64, &mut Pruned),
) -> Result<bool> {
    while *left > 0 {
        *left -= 1;
        let unused = store.delete_unused(wanted.batch.max(1)).await?;
        if unused == Unused::default() {
            return Ok(true);
        }
        out.add_unused(unused);
    }
    Ok(false)
}

/// Whether the run will do nothing more, unless somebody resumes it.
fn is_over(status: RunStatus) -> bool {
    matches!(status, Finished | Failed | Cancelled)
}

/// Those that may be wanted, oldest first: who names a few does not read all.
async fn candidates(store: &dyn Store, wanted: &Prune) -> Result<Vec<Run>> {
    if wanted.runs.is_empty() {
        let mut runs = store.runs().await?;
        runs.reverse();
        return Ok(runs);
    }
    let mut runs = vec![];
    for id in &wanted.runs {
        runs.extend(store.run(*id).await?);
    }
    runs.sort_by_key(|run| (run.created_at, run.id));
    runs.dedup_by_key(|run| run.id);
    Ok(runs)
}

/// The runs that are wanted, oldest first.
async fn chosen(store: &dyn Store, wanted: &Prune) -> Result<Vec<Run>> {
    if wanted.runs.is_empty() && wanted.before.is_none() {
        return Ok(vec![]);
    }
    let old = |run: &Run| {
        let end = run.finished_at.unwrap_or(run.created_at);
        wanted.before.is_none_or(|before| end < before)
    };
    let mut out = vec![];
    for run in candidates(store, wanted).await?.into_iter().filter(old) {
        let named = wanted.runs.contains(&run.id);
        match (named, is_over(run.status)) {
            (true, false) => return Err(refuse(&run)),
            (true, true) => out.push(run),
            (false, over) if over && wanted.runs.is_empty() => out.push(run),
            (false, _) => {}
        }
    }
    Ok(out)
}

/// Why unused answers stay for now.
pub fn still_running(name: &str) -> StoreError {
    StoreError::Refused(format!(
        "run {name:?} is running and may be about to reuse an answer: wait for its end, or keep answers"
    ))
}

fn refuse(run: &Run) -> StoreError {
    let way_out = match run.status {
        Paused => "resume it, or cancel it first",
        _ => "wait for its end, or stop and cancel it first",
    };
    StoreError::Refused(format!(
        "run {:?} ({}) is {}: {way_out}",
        run.name, run.id, run.status
    ))
}
