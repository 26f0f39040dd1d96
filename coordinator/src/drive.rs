//! Driving one run: plan a step, have it worked, plan the next.

use crate::{
    Config, CoordinatorError, Deps, Event, Outcome, collect, dispatch,
    plan::{Planner, order::Place},
    pulse::Pulse,
};
use domain::run::{RunStatus, StepKey};
use runtime::shutdown::Shutdown;
use std::time::Duration;
use store::{StatusChange, StepStatus};
use tokio_util::sync::CancellationToken;

/// How often a waiting planner looks without having been woken.
const POLL: Duration = Duration::from_millis(200);

/// Drives a run until it is finished, cannot go on, or shutdown is asked for; then its status says which.
///
/// Attempts that an earlier process sent and lost are given back first: the caller says with `rescue` that no other
/// coordinator drives this run.
///
/// # Errors
/// When store or queue fail for good; the run stays as it is stored and can be driven again.
pub async fn run(
    config: Config,
    deps: Deps,
    shutdown: Shutdown,
    rescue: bool,
) -> Result<Outcome, CoordinatorError> {
    let now = deps.clock.now_micros();
    if rescue {
        deps.store.rescue(config.run, i64::MAX, now).await?;
    }
    deps.store.revive(config.run, now).await?;
    let pulse = Pulse::default();
    let last_call = CancellationToken::new();
    let outcome = {
        let collecting = collect::run(&config, &deps, &pulse, &last_call);
        tokio::pin!(collecting);
        let outcome = tokio::select! {
            outcome = advance(&config, &deps, &pulse, &shutdown) => outcome?,
            failed = dispatch::run(&config, &deps, &pulse) => {
                failed?;
                Outcome::Paused("the dispatcher ended".to_owned())
            }
            ended = &mut collecting => {
                ended?;
                Outcome::Paused("the queue was closed".to_owned())
            }
        };
        // Reports that are there already are paid for: they are stored before the end.
        last_call.cancel();
        if !shutdown.is_stopping() {
            collecting.await?;
        }
        outcome
    };
    finish(&config, &deps, &outcome).await?;
    Ok(outcome)
}

async fn finish(config: &Config, deps: &Deps, outcome: &Outcome) -> Result<(), CoordinatorError> {
    let (to, reason) = match outcome {
        Outcome::Finished => return Ok(()),
        Outcome::Paused(reason) => (RunStatus::Paused, reason.clone()),
        Outcome::Failed(reason) => (RunStatus::Failed, reason.clone()),
    };
    let now = deps.clock.now_micros();
    let from = RunStatus::Running;
    let change = StatusChange {
        run: config.run,
        from,
        to,
        reason: Some(reason),
        now,
    };
    deps.store.set_status(&change).await?;
    Ok(())
}

/// Plans step after step, each when the one before is closed.
async fn advance(
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
    shutdown: &Shutdown,
) -> Result<Outcome, CoordinatorError> {
    let mut seen = None;
    loop {
        if shutdown.is_draining() {
            return Ok(Outcome::Paused("interrupted".to_owned()));
        }
        if let Some(outcome) = pulse.stopped() {
            return Ok(outcome);
        }
        let status = deps.store.last_step(config.run).await?;
        if let Some(status) = &status {
            report(config, deps, status, &mut seen).await?;
        }
        match next(config, status, pulse) {
            Next::Wait => wait(pulse, shutdown).await,
            Next::Plan(place) => {
                planner(config, deps)
                    .plan(place, deps.clock.now_micros())
                    .await?;
                pulse.wake();
            }
            Next::Done(outcome) => return Ok(outcome),
        }
    }
}

enum Next {
    Wait,
    Plan(Place),
    Done(Outcome),
}

fn next(config: &Config, status: Option<StepStatus>, pulse: &Pulse) -> Next {
    if status.is_some_and(|s| s.open > 0) {
        return Next::Wait;
    }
    if let Some(dead) = status.map(|s| s.dead).filter(|d| *d > 0) {
        // An outage must not shrink the experiment in silence.
        let why = pulse
            .trouble()
            .unwrap_or_else(|| "see the tasks table".to_owned());
        return Next::Done(Outcome::Paused(format!(
            "{dead} blocks could not be measured: {why}"
        )));
    }
    let last = status.map(|s| Place {
        round: s.key.round,
        kind: s.kind,
        step: s.key.step,
    });
    match config.settings.shape().next(last) {
        Some(place) => Next::Plan(place),
        None => Next::Done(Outcome::Finished),
    }
}

async fn wait(pulse: &Pulse, shutdown: &Shutdown) {
    tokio::select! {
        () = pulse.changed() => {}
        () = shutdown.drain_requested() => {}
        () = tokio::time::sleep(POLL) => {}
    }
}

fn planner<'a>(config: &'a Config, deps: &'a Deps) -> Planner<'a> {
    Planner {
        store: deps.store.as_ref(),
        run: config.run,
        settings: &config.settings,
        facts: &deps.models,
    }
}

/// Tells the observer, once for each change.
async fn report(
    config: &Config,
    deps: &Deps,
    status: &StepStatus,
    seen: &mut Option<(StepKey, u64)>,
) -> Result<(), CoordinatorError> {
    let (key, kind, items) = (status.key, status.kind, status.items);
    if seen.is_none_or(|(last, _)| last != key) {
        (deps.observer)(Event::Planned { key, kind, items });
    }
    if *seen != Some((key, status.items_done)) {
        let spend = deps.store.spend(config.run).await?;
        let done = status.items_done;
        (deps.observer)(Event::Progress {
            key,
            kind,
            items,
            done,
            spend,
        });
        *seen = Some((key, status.items_done));
    }
    Ok(())
}
