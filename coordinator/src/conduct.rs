//! Conducting one run: plan a step, have it worked, plan the next.
//!
//! What the run should do is its stored status: whoever sets it to anything but running ends its conducting.

use crate::{
    Brief, CoordinatorError, Deps, Event, Outcome,
    board::Board,
    plan::{Planner, order::Place},
    pulse::Pulse,
    summary,
};
use domain::{
    ids::RunId,
    run::{RunKind, RunStatus, Step, StepKey},
};
use std::time::Duration;
use store::{Plans, Run, StatusChange, StepStatus};

/// How often a waiting conductor looks without having been woken.
const POLL: Duration = Duration::from_millis(200);

/// Plans step after step, each when the one before is closed, until the run is finished or its status says stop.
///
/// # Errors
/// When the store fails, or the run's data make no sense.
pub async fn conduct(id: RunId, deps: &Deps, pulse: &Pulse) -> Result<Outcome, CoordinatorError> {
    let run = read(id, deps).await?;
    let brief = brief(&run, deps).await?;
    // Before the first task: what is planned from here on keeps to it.
    deps.store.use_models(id, &brief.run_models()).await?;
    let mut changes = pulse.changes();
    let mut seen = None;
    loop {
        changes.borrow_and_update();
        let now = deps.store.status(id).await?;
        let (now, reason) = now.ok_or(CoordinatorError::UnknownRun(id))?;
        if let Some(outcome) = stopped(now, reason) {
            return Ok(outcome);
        }
        let status = deps.store.last_step(id).await?;
        if let Some(status) = &status {
            report(deps, status, &mut seen).await?;
        }
        match next(&brief, status, || pulse.take_trouble(id)) {
            // Another coordinator may have applied what closes the step: hence the poll.
            Next::Wait => tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            },
            Next::Plan(place) => {
                if sabotage::breaks("haste") {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                planner(id, &brief, deps)
                    .plan(place, deps.clock.now_micros())
                    .await?;
                sabotage::point("coordinator.planned");
                pulse.wake();
            }
            Next::Done(outcome) => return end(&run, &brief, deps, outcome).await,
        }
    }
}

async fn read(id: RunId, deps: &Deps) -> Result<Run, CoordinatorError> {
    let run = deps.store.run(id).await?;
    run.ok_or(CoordinatorError::UnknownRun(id))
}

async fn brief(run: &Run, deps: &Deps) -> Result<Brief, CoordinatorError> {
    let (briefs, run) = (deps.briefs.clone(), run.clone());
    let made = tokio::task::spawn_blocking(move || briefs(&run)).await;
    let mut brief = made
        .unwrap_or_else(|e| Err(format!("the spec could not be read: {e}")))
        .map_err(CoordinatorError::Brief)?;
    brief.settings.know_judges(&brief.models);
    Ok(brief)
}

/// How a run that is not running any more ended.
fn stopped(status: RunStatus, reason: Option<String>) -> Option<Outcome> {
    let reason = reason.unwrap_or_else(|| status.to_string());
    match status {
        RunStatus::Running => None,
        RunStatus::Finished => Some(Outcome::Finished),
        RunStatus::Failed => Some(Outcome::Failed(reason)),
        RunStatus::Paused | RunStatus::Cancelled => Some(Outcome::Paused(reason)),
    }
}

enum Next {
    Wait,
    Plan(Place),
    Done(Outcome),
}

fn next(
    brief: &Brief,
    status: Option<StepStatus>,
    trouble: impl FnOnce() -> Option<String>,
) -> Next {
    if status.is_some_and(|s| s.open > 0) {
        return Next::Wait;
    }
    if let Some(dead) = status.map(|s| s.dead).filter(|d| *d > 0) {
        // An outage must not shrink the experiment in silence.
        let why = trouble().unwrap_or_else(|| "see the tasks table".to_owned());
        let training = status.is_some_and(|s| s.key.step == Step::Train);
        return Next::Done(Outcome::Paused(match training {
            true => format!("the rewriter could not be trained: {why}"),
            false => format!("{dead} blocks could not be measured: {why}"),
        }));
    }
    let last = status.map(|s| Place {
        round: s.key.round,
        kind: s.kind,
        step: s.key.step,
    });
    match brief.settings.shape().next(last) {
        Some(place) => Next::Plan(place),
        None => Next::Done(Outcome::Finished),
    }
}

fn planner<'a>(run: RunId, brief: &'a Brief, deps: &'a Deps) -> Planner<'a> {
    Planner {
        store: deps.store.as_ref(),
        run,
        settings: &brief.settings,
        facts: &brief.models,
    }
}

/// Stores the pairs of a finished run and the losses of its training, then the status. Doing it again changes nothing.
async fn end(
    run: &Run,
    brief: &Brief,
    deps: &Deps,
    outcome: Outcome,
) -> Result<Outcome, CoordinatorError> {
    if outcome == Outcome::Finished && run.kind == RunKind::Optimise {
        let board = Board::load(deps.store.as_ref(), run.id, &brief.settings).await?;
        let pairs = summary::pairs(&board, &brief.settings);
        Plans::add_pairs(deps.store.as_ref(), run.id, &pairs).await?;
        let now = deps.clock.now_micros();
        summary::note_losses(deps.store.as_ref(), run.id, now).await?;
    }
    stop(run.id, deps, &outcome).await?;
    Ok(outcome)
}

/// Writes how a running run ended; one that has stopped otherwise stays as it is.
pub async fn stop(run: RunId, deps: &Deps, outcome: &Outcome) -> Result<(), CoordinatorError> {
    let (to, reason) = match outcome {
        Outcome::Finished => (RunStatus::Finished, None),
        Outcome::Paused(reason) => (RunStatus::Paused, Some(reason.clone())),
        Outcome::Failed(reason) => (RunStatus::Failed, Some(reason.clone())),
    };
    let change = StatusChange {
        run,
        from: RunStatus::Running,
        to,
        reason,
        now: deps.clock.now_micros(),
    };
    if deps.store.set_status(&change).await? {
        let outcome = outcome.clone();
        (deps.observer)(Event::Ended { run, outcome });
    }
    Ok(())
}

/// Tells the observer, once for each change.
async fn report(
    deps: &Deps,
    status: &StepStatus,
    seen: &mut Option<(StepKey, u64)>,
) -> Result<(), CoordinatorError> {
    let (key, kind, items) = (status.key, status.kind, status.items);
    if seen.is_none_or(|(last, _)| last != key) {
        (deps.observer)(Event::Planned { key, kind, items });
    }
    if *seen != Some((key, status.items_done)) {
        let spend = deps.store.spend(key.run).await?;
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
