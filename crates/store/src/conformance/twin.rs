//! Two stores as one: what they say must be the same, to the last bit.

use crate::retention::{Part, Unused};
use crate::{
    Applied, Beat, Claim, Examples, KeyQuery, LeaseAsk, Lost, MemberPage, NewTask, Outcome, Plans,
    Quotas, RescuePolicy, Result, Results, Retention, RetryPolicy, Run, RunModel, RunPage, Running,
    Runs, Shared, StatusChange, StepStatus, StepWriter, Tasks, Totals, Trainings,
};
use async_trait::async_trait;
use domain::{
    candidate::{Candidate, Target, Verdict},
    example::{Example, Split},
    hash::Hash,
    ids::{CandidateId, RunId, TaskId},
    run::{Item, Limits, Member, Pair, RoundKind, RunStatus, Spend, StepKey},
};
use std::fmt::Debug;
use wire::{Loss, Report};

/// Every call goes to both stores.
///
/// # Panics
/// Its methods panic where the stores differ: in what they return, or in whether they fail.
#[derive(Debug)]
pub struct Twin<A, B>(pub A, pub B);

/// The same debugging text means the same bits, for floats too.
fn same<T: Debug>(call: &str, a: Result<T>, b: Result<T>) -> Result<T> {
    match (&a, &b) {
        (Ok(x), Ok(y)) => assert_eq!(format!("{x:?}"), format!("{y:?}"), "{call}"),
        (Err(_), Err(_)) => {}
        (a, b) => panic!("{call}: {a:?} here, {b:?} there"),
    }
    a
}

macro_rules! both {
    ($twin:ident.$method:ident($($arg:expr),*)) => {
        same(
            stringify!($method),
            $twin.0.$method($($arg),*).await,
            $twin.1.$method($($arg),*).await,
        )
    };
}

#[async_trait]
impl<A: Runs, B: Runs> Runs for Twin<A, B> {
    async fn create_run(&self, run: &Run, limits: &Limits) -> Result<()> {
        both!(self.create_run(run, limits))
    }
    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        both!(self.run(id))
    }
    async fn status(&self, id: RunId) -> Result<Option<(RunStatus, Option<String>)>> {
        both!(self.status(id))
    }
    async fn runs_page(&self, page: &RunPage) -> Result<Vec<Run>> {
        both!(self.runs_page(page))
    }
    async fn paused_because(&self, reason: &str) -> Result<Vec<RunId>> {
        both!(self.paused_because(reason))
    }
    async fn set_status(&self, change: &StatusChange) -> Result<bool> {
        both!(self.set_status(change))
    }
    async fn set_summary(&self, id: RunId, summary: &str) -> Result<()> {
        both!(self.set_summary(id, summary))
    }
    async fn add_limits(&self, id: RunId, limits: &Limits, now: i64) -> Result<()> {
        both!(self.add_limits(id, limits, now))
    }
    async fn limits(&self, id: RunId) -> Result<Limits> {
        both!(self.limits(id))
    }
}

#[async_trait]
impl<A: Examples, B: Examples> Examples for Twin<A, B> {
    async fn add_examples(&self, run: RunId, rows: &[(Member, Example)]) -> Result<u64> {
        both!(self.add_examples(run, rows))
    }
    async fn members(&self, page: &MemberPage) -> Result<Vec<(i64, Member, Example)>> {
        both!(self.members(page))
    }
    async fn examples(&self, ids: &[Hash]) -> Result<Vec<(Hash, Example)>> {
        both!(self.examples(ids))
    }
    async fn member_counts(&self, run: RunId) -> Result<Vec<(String, Split, u64)>> {
        both!(self.member_counts(run))
    }
}

#[async_trait]
impl<A: Plans, B: Plans> Plans for Twin<A, B> {
    async fn begin_step(
        &self,
        key: StepKey,
        kind: RoundKind,
        now: i64,
    ) -> Result<Option<Box<dyn StepWriter>>> {
        let a = self.0.begin_step(key, kind, now).await?;
        let b = self.1.begin_step(key, kind, now).await?;
        match (a, b) {
            (Some(a), Some(b)) => Ok(Some(Box::new(TwinWriter(a, b)))),
            (None, None) => Ok(None),
            (a, b) => panic!("{key:?}: planned before {} {}", a.is_none(), b.is_none()),
        }
    }
    async fn last_step(&self, run: RunId) -> Result<Option<StepStatus>> {
        both!(self.last_step(run))
    }
    async fn stored(
        &self,
        queries: &[KeyQuery],
        grader: Option<&(String, String)>,
    ) -> Result<Vec<bool>> {
        both!(self.stored(queries, grader))
    }
    async fn add_pairs(&self, run: RunId, pairs: &[Pair]) -> Result<()> {
        both!(self.add_pairs(run, pairs))
    }
}

struct TwinWriter(Box<dyn StepWriter>, Box<dyn StepWriter>);

#[async_trait]
impl StepWriter for TwinWriter {
    async fn targets(&mut self, targets: &[Target]) -> Result<()> {
        both!(self.targets(targets))
    }
    async fn candidates(&mut self, candidates: &[Candidate]) -> Result<()> {
        both!(self.candidates(candidates))
    }
    async fn verdicts(&mut self, verdicts: &[(CandidateId, Verdict)]) -> Result<()> {
        both!(self.verdicts(verdicts))
    }
    async fn tasks(&mut self, tasks: &[NewTask]) -> Result<()> {
        both!(self.tasks(tasks))
    }
    async fn items(&mut self, items: &[Item], grader: Option<&(String, String)>) -> Result<()> {
        both!(self.items(items, grader))
    }
    async fn commit(self: Box<Self>) -> Result<()> {
        same("commit", self.0.commit().await, self.1.commit().await)
    }
}

#[async_trait]
impl<A: Tasks, B: Tasks> Tasks for Twin<A, B> {
    async fn claim(&self, run: RunId, limit: u32, now: i64, hold: i64) -> Result<Claim> {
        both!(self.claim(run, limit, now, hold))
    }
    async fn dispatched(&self, attempts: &[(TaskId, u32)], now: i64) -> Result<()> {
        both!(self.dispatched(attempts, now))
    }
    async fn apply(&self, reports: &[Report], policy: RetryPolicy, now: i64) -> Result<Applied> {
        both!(self.apply(reports, policy, now))
    }
    async fn rescue(&self, run: RunId, before: i64, now: i64) -> Result<u64> {
        both!(self.rescue(run, before, now))
    }
    async fn revive(&self, run: RunId, now: i64) -> Result<u64> {
        both!(self.revive(run, now))
    }
    async fn spend(&self, run: RunId) -> Result<Spend> {
        both!(self.spend(run))
    }
}

#[async_trait]
impl<A: Results, B: Results> Results for Twin<A, B> {
    async fn outcomes(&self, key: StepKey, after: Option<u32>, limit: u32) -> Result<Vec<Outcome>> {
        both!(self.outcomes(key, after, limit))
    }
    async fn targets(&self, run: RunId) -> Result<Vec<Target>> {
        both!(self.targets(run))
    }
    async fn candidates(&self, run: RunId) -> Result<Vec<Candidate>> {
        both!(self.candidates(run))
    }
    async fn pairs(&self, run: RunId) -> Result<Vec<Pair>> {
        both!(self.pairs(run))
    }
    async fn steps(&self, run: RunId) -> Result<Vec<StepStatus>> {
        both!(self.steps(run))
    }
    async fn totals(&self, run: RunId) -> Result<Totals> {
        both!(self.totals(run))
    }
    async fn projection(&self, run: RunId) -> Result<Vec<String>> {
        both!(self.projection(run))
    }
}

#[async_trait]
impl<A: Shared, B: Shared> Shared for Twin<A, B> {
    async fn running(&self) -> Result<Vec<Running>> {
        both!(self.running())
    }
    async fn set_priority(&self, run: RunId, priority: i32) -> Result<bool> {
        both!(self.set_priority(run, priority))
    }
    async fn beat(&self, beats: &[Beat], now: i64) -> Result<u64> {
        both!(self.beat(beats, now))
    }
    async fn rescue_lost(&self, policy: &RescuePolicy, now: i64) -> Result<Vec<Lost>> {
        both!(self.rescue_lost(policy, now))
    }
    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<i64>> {
        both!(self.lease(ask))
    }
    async fn release(&self, name: &str, holder: &str) -> Result<()> {
        both!(self.release(name, holder))
    }
}

#[async_trait]
impl<A: Trainings, B: Trainings> Trainings for Twin<A, B> {
    async fn note_losses(&self, training: Hash, losses: &[Loss], now: i64) -> Result<()> {
        both!(self.note_losses(training, losses, now))
    }
    async fn losses(&self, training: Hash) -> Result<Vec<Loss>> {
        both!(self.losses(training))
    }
}

#[async_trait]
impl<A: Quotas, B: Quotas> Quotas for Twin<A, B> {
    async fn use_models(&self, run: RunId, models: &[RunModel]) -> Result<()> {
        both!(self.use_models(run, models))
    }
}

#[async_trait]
impl<A: Retention, B: Retention> Retention for Twin<A, B> {
    async fn pruned_at(&self, run: RunId) -> Result<Option<i64>> {
        both!(self.pruned_at(run))
    }
    async fn mark_pruned(&self, run: RunId, now: i64) -> Result<bool> {
        both!(self.mark_pruned(run, now))
    }
    async fn count_rows(&self, run: RunId) -> Result<Vec<(Part, u64)>> {
        both!(self.count_rows(run))
    }
    async fn delete_rows(&self, run: RunId, part: Part, limit: u32) -> Result<u64> {
        both!(self.delete_rows(run, part, limit))
    }
    async fn count_unused(&self, without: &[RunId]) -> Result<Unused> {
        both!(self.count_unused(without))
    }
    async fn delete_unused(&self, limit: u32) -> Result<Unused> {
        both!(self.delete_unused(limit))
    }
}
