//! Pruning by policy: what runs that are over left behind goes when it is old enough, as `promptimal prune` would have
//! it, by the leader, a little at a time.
//!
//! A result is stored with its run before the rows go from which it is computed; where that fails, the rows stay. What
//! is under way, or may be resumed, is never touched: the store refuses it (`store::retention`).

use crate::{CoordinatorError, Deps, summary};
use std::{collections::BTreeMap, time::Duration};
use store::{
    Run, StoreError,
    retention::{Prune, prunable, prune},
};

/// How often the leader looks for what is old enough.
const EVERY: Duration = Duration::from_secs(3_600);
/// Transactions in a row, some tens of milliseconds each.
const BATCHES: u64 = 10;
/// And then others have their turn.
const PAUSE: Duration = Duration::from_millis(200);

/// What a coordinator deletes by itself. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// The rows of runs that ended so long ago, microseconds: their results and what they cost stay.
    pub rows: Option<i64>,
    /// Everything of runs that ended so long ago, microseconds.
    pub everything: Option<i64>,
}

impl Retain {
    /// Whether it deletes anything.
    pub fn is_some(&self) -> bool {
        self.rows.is_some() || self.everything.is_some()
    }
}

/// Prunes until it is dropped. A failure waits for the next time.
pub async fn run(policy: Retain, deps: &Deps) {
    loop {
        if let Err(error) = once(policy, deps).await {
            tracing::warn!(%error, "old runs are not pruned");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Prunes what is old enough now.
///
/// # Errors
/// When the store fails; what was deleted until then stays deleted.
pub async fn once(policy: Retain, deps: &Deps) -> Result<(), CoordinatorError> {
    let now = deps.clock.now_micros();
    for (age, everything) in [(policy.everything, true), (policy.rows, false)] {
        let Some(age) = age else { continue };
        let wanted = Prune {
            before: Some(now.saturating_sub(age)),
            everything,
            ..Prune::at(now)
        };
        for run in prunable(deps.store.as_ref(), &wanted).await?.runs {
            one(&run, &wanted, deps).await?;
        }
    }
    Ok(())
}

async fn one(run: &Run, wanted: &Prune, deps: &Deps) -> Result<(), CoordinatorError> {
    if !wanted.everything
        && let Err(error) = keep_result(run, wanted.now, deps).await
    {
        if error.is_passing() {
            return Err(error);
        }
        tracing::warn!(run = %run.id, name = run.name, %error, "not pruned: its result cannot be kept (promptimal prune deletes it all the same)");
        return Ok(());
    }
    match emptied(run, wanted, deps).await {
        Ok(rows) => {
            for (table, n) in &rows {
                metrics::counter!("promptimal_pruned_rows_total", "table" => *table).increment(*n);
            }
            let (sum, everything) = (rows.values().sum::<u64>(), wanted.everything);
            tracing::info!(run = %run.id, name = run.name, rows = sum, everything, "pruned");
            Ok(())
        }
        // Somebody resumed it meanwhile.
        Err(StoreError::Refused(why)) => {
            tracing::info!(run = %run.id, why, "not pruned");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Results are computed from the rows that go; of what was pruned before, the result is kept already.
async fn keep_result(run: &Run, now: i64, deps: &Deps) -> Result<(), CoordinatorError> {
    let store = deps.store.as_ref();
    match store.pruned_at(run.id).await? {
        Some(_) => Ok(()),
        None => summary::keep(store, run, now).await,
    }
}

/// Deletes the rows of one run, with pauses; how many of each table.
async fn emptied(
    run: &Run,
    wanted: &Prune,
    deps: &Deps,
) -> store::Result<BTreeMap<&'static str, u64>> {
    let wanted = Prune {
        runs: vec![run.id],
        batches: Some(BATCHES),
        ..wanted.clone()
    };
    let mut rows = BTreeMap::new();
    loop {
        let some = prune(deps.store.as_ref(), &wanted).await?;
        for (table, n) in some.rows {
            *rows.entry(table).or_default() += n;
        }
        if !some.unfinished {
            return Ok(rows);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
