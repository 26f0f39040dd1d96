//! Leading: planning, reading data, rescue and pruning are one coordinator's at a time.
//!
//! The lease is a row of the store with a term. A leader trusts it from before it asked until its time less a margin;
//! when that passes without renewal it stops planning at once. Should it be late all the same, the store's
//! `unique(run, round, step)` and the fences on epochs keep two leaders from doing harm: leadership saves work, it is
//! not what makes the results right.

use crate::{
    Config, CoordinatorError, Deps, Event, Outcome, conduct, pulse::Pulse, reading, rescue, retain,
};
use domain::ids::RunId;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, JoinSet};

/// The lease's name.
const LEADER: &str = "leader";
/// How often the leader looks for runs that began.
const LOOK: Duration = Duration::from_millis(500);

/// Leads whenever it can, until it is dropped.
pub async fn run(config: &Config, deps: &Deps, pulse: &Arc<Pulse>) -> Result<(), CoordinatorError> {
    let Some(lease) = &config.lease else {
        return rule(config, deps, pulse).await;
    };
    let retry = lease.ttl / 3;
    loop {
        let asked = Instant::now();
        let Some(term) = ask(lease, deps).await? else {
            tokio::time::sleep(retry).await;
            continue;
        };
        tracing::info!(holder = lease.holder, term, "leading");
        let leading = Leading::begin();
        tokio::select! {
            ended = rule(config, deps, pulse) => return ended,
            () = keep(lease, deps, term, asked) => {}
        }
        drop(leading);
        tracing::warn!(holder = lease.holder, term, "not leading any more");
    }
}

/// The gauge of who leads: 1 while this lives.
struct Leading;

impl Leading {
    fn begin() -> Self {
        metrics::gauge!("promptimal_leader").set(1.0);
        Self
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        metrics::gauge!("promptimal_leader").set(0.0);
    }
}

async fn ask(lease: &crate::Lease, deps: &Deps) -> Result<Option<i64>, CoordinatorError> {
    if sabotage::breaks("lease") {
        return Ok(Some(1));
    }
    let now = deps.clock.now_micros();
    Ok(lease.ask(LEADER, deps.store.as_ref(), now).await?)
}

/// Renews until that fails for too long, or the term is another's.
async fn keep(lease: &crate::Lease, deps: &Deps, term: i64, mut asked: Instant) {
    let trusted = lease.ttl * 3 / 4;
    loop {
        let until = asked + trusted;
        let pause = (lease.ttl / 4).min(until.saturating_duration_since(Instant::now()));
        tokio::time::sleep(pause).await;
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        match tokio::time::timeout(left, ask(lease, deps)).await {
            Ok(Ok(Some(same))) if same == term => asked = now,
            Ok(Ok(_)) => return,
            Ok(Err(error)) => tracing::warn!(%error, "lease not renewed, trying again"),
            Err(_) => return,
        }
        if Instant::now() >= asked + trusted {
            return;
        }
    }
}

/// Gives the lease back, so that the next leader need not wait.
pub async fn resign(config: &Config, deps: &Deps) {
    if let Some(lease) = &config.lease
        && let Err(error) = deps.store.release(LEADER, &lease.holder).await
    {
        tracing::warn!(%error, "lease not given back, it runs out by itself");
    }
}

/// Conducts every running run, reads the data of those that wait, rescues what is lost and deletes what is old.
async fn rule(config: &Config, deps: &Deps, pulse: &Arc<Pulse>) -> Result<(), CoordinatorError> {
    // Beside, because computing a result that is kept takes a while; it ends with this.
    let mut retaining = JoinSet::new();
    if config.retain.is_some() {
        let (policy, deps) = (config.retain, deps.clone());
        retaining.spawn(async move { retain::run(policy, &deps).await });
    }
    let rescuing = async {
        match &config.rescue {
            Some(policy) => rescue::run(policy, deps, pulse).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = rescuing => ended,
        ended = conduct_all(deps, pulse) => ended,
        ended = reading::run(deps.store.clone(), deps.clock.clone()) => ended,
    }
}

/// One task for each running run. They end with this: a leader that is none any more plans nothing.
async fn conduct_all(deps: &Deps, pulse: &Arc<Pulse>) -> Result<(), CoordinatorError> {
    let mut conducted = Conducted::default();
    loop {
        conducted.0.retain(|_, task| !task.is_finished());
        for run in deps.store.running().await? {
            conducted
                .0
                .entry(run.id)
                .or_insert_with(|| tokio::spawn(one(run.id, deps.clone(), pulse.clone())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Default)]
struct Conducted(HashMap<RunId, JoinHandle<()>>);

impl Drop for Conducted {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

/// Conducts a run. A store that fails is asked again; data that make no sense fail the run.
async fn one(id: RunId, deps: Deps, pulse: Arc<Pulse>) {
    let error = match conduct::conduct(id, &deps, &pulse).await {
        Ok(outcome) => {
            tracing::info!(run = %id, ?outcome, "run stopped");
            return;
        }
        Err(error) => error,
    };
    let message = error.to_string();
    if error.is_passing() {
        tracing::warn!(run = %id, %error, "run not conducted, trying again");
        (deps.observer)(Event::Trouble { run: id, message });
        // The next look conducts it again.
        return;
    }
    tracing::error!(run = %id, %error, "run failed");
    if let Err(error) = conduct::stop(id, &deps, &Outcome::Failed(message)).await {
        tracing::warn!(run = %id, %error, "the failure was not stored");
    }
}
