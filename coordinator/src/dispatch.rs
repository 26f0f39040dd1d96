//! The dispatcher: outbox rows become messages.
//!
//! Claim (which reserves the budget), publish, await every confirm, and only then mark as dispatched. A kill between
//! confirm and mark sends the same epoch twice, which the collector's fence makes harmless.

use crate::{Config, CoordinatorError, Deps, Outcome, pulse::Pulse};
use queue::{Lane, Message};
use std::time::Duration;
use store::{Claim, Claimed};
use wire::{Task, VERSION};

/// Tasks claimed at a time.
const BATCH: usize = 64;

/// Dispatches until it is dropped.
pub async fn run(config: &Config, deps: &Deps, pulse: &Pulse) -> Result<(), CoordinatorError> {
    loop {
        // Looked at before the claim: a report that settles in between may make room for what did not fit.
        let in_flight = pulse.in_flight();
        let room = config.window.saturating_sub(in_flight).min(BATCH);
        if room == 0 {
            pulse.room().await;
            continue;
        }
        let now = deps.clock.now_micros();
        let claim = deps
            .store
            .claim(config.run, room as u32, now, config.hold)
            .await?;
        if claim.tasks.is_empty() {
            idle(&claim, now, in_flight, pulse).await;
        } else {
            send(deps, pulse, claim.tasks).await?;
        }
    }
}

async fn send(deps: &Deps, pulse: &Pulse, tasks: Vec<Claimed>) -> Result<(), CoordinatorError> {
    let attempts: Vec<_> = tasks.iter().map(|t| (t.task, t.epoch)).collect();
    let messages: Vec<Message> = tasks.into_iter().filter_map(message).collect();
    // Counted before publishing: a report can be back before `publish` returns.
    pulse.sent(attempts.len());
    deps.queue.publish(Lane::Eval, messages).await?;
    deps.store
        .dispatched(&attempts, deps.clock.now_micros())
        .await?;
    Ok(())
}

fn message(claimed: Claimed) -> Option<Message> {
    let id = format!("{}:{}", claimed.task, claimed.epoch);
    let body = match serde_json::value::RawValue::from_string(claimed.body) {
        Ok(body) => body,
        Err(e) => {
            tracing::error!(task = %claimed.task, error = %e, "stored task body is no JSON");
            return None;
        }
    };
    let task = Task {
        v: VERSION,
        task: claimed.task,
        epoch: claimed.epoch,
        open: claimed.open,
        known: claimed.known.into_iter().collect(),
        body,
    };
    Some(Message {
        id,
        headers: queue::Headers::new(),
        body: task.encode().into(),
    })
}

/// Nothing to send: is it the budget, or are tasks waiting for their time?
async fn idle(claim: &Claim, now: i64, in_flight: usize, pulse: &Pulse) {
    if let (Some((limit, cap, asked)), 0) = (&claim.over_budget, in_flight) {
        pulse.stop(Outcome::Paused(budget(limit, *cap, *asked)));
    }
    let wait = claim
        .next_at
        .map_or(1_000_000, |at| (at - now).clamp(1_000, 1_000_000));
    // The clock may be a test's; waiting is real time, bounded, and only a hint.
    let _ = tokio::time::timeout(Duration::from_micros(wait as u64), pulse.room()).await;
}

fn budget(limit: &str, cap: u64, asked: u64) -> String {
    let (cap, asked) = match limit {
        "cost" => (dollars(cap), dollars(asked)),
        _ => (format!("{cap} {limit}"), format!("{asked}")),
    };
    format!("budget reached: the next block could bring the run to {asked}, over the cap of {cap}")
}

fn dollars(micros: u64) -> String {
    format!("${:.4}", micros as f64 / 1e6)
}
