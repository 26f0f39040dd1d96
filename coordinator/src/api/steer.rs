//! Acting on runs. What a run should do is its stored status; the loops of whichever coordinator follow it.

use super::{
    Site,
    body::Body,
    fault::{ApiError, ApiResult, Failure},
    runs::named,
    shapes::{Caps, Nothing, Priority, Steered},
};
use crate::{find, reading};
use axum::{
    Json,
    extract::{Path, State},
};
use domain::{
    ids::RunId,
    run::{Limits, RunStatus},
};
use store::{Run, StatusChange};
use wire::{Order, VERSION, Word};

/// How often a change is tried against changes of others.
const TRIES: usize = 5;

/// Give a run up for good. Its workers let go what they have of it.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", request_body = Nothing, responses(
    (status = 200, body = Steered),
    (status = 409, description = "It is finished, or cancelled already", body = Failure),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn cancel(
    State(site): State<Site>,
    Path(wanted): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<Json<Steered>> {
    let from = [RunStatus::Running, RunStatus::Paused, RunStatus::Failed];
    let to = (RunStatus::Cancelled, "cancelled by request");
    let run = change(&site, &wanted, &from, to, "be cancelled").await?;
    tell(&site, Order::Cancel, run.id).await;
    steered(&site, run.id, 0).await
}

/// Stop a run for now. Calls under way are finished and kept.
#[utoipa::path(post, path = "/v1/runs/{run}/pause", request_body = Nothing, responses(
    (status = 200, body = Steered),
    (status = 409, description = "It is not running", body = Failure),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn pause(
    State(site): State<Site>,
    Path(wanted): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<Json<Steered>> {
    let run = named(&site, &wanted).await?;
    // While its data are read it is not running yet, but about to.
    let from: &[RunStatus] = match reading::is_reading(run.status, run.reason.as_deref()) {
        true => &[RunStatus::Paused, RunStatus::Running],
        false => &[RunStatus::Running],
    };
    let to = (RunStatus::Paused, "paused by request");
    let run = change(&site, &wanted, from, to, "be paused").await?;
    tell(&site, Order::Pause, run.id).await;
    steered(&site, run.id, 0).await
}

/// Have a stopped run go on, with other caps if any are given. Tasks that were given up are tried again.
#[utoipa::path(post, path = "/v1/runs/{run}/resume", request_body = Caps, responses(
    (status = 200, body = Steered),
    (status = 409, description = "It is running, finished or cancelled", body = Failure),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn resume(
    State(site): State<Site>,
    Path(wanted): Path<String>,
    Body(caps): Body<Caps>,
) -> ApiResult<Json<Steered>> {
    let run = find::whole(site.store(), &wanted).await?;
    if !matches!(run.status, RunStatus::Paused | RunStatus::Failed) {
        return Err(cannot(&run, "be resumed"));
    }
    let old = site.store().limits(run.id).await?;
    let limits = limits(caps, old)?;
    if limits != old {
        site.store().add_limits(run.id, &limits, site.now()).await?;
    }
    let revived = site.store().revive(run.id, site.now()).await?;
    reading::go_on(site.store(), &run, site.now()).await?;
    steered(&site, run.id, revived).await
}

/// Try again what was given up: dead tasks get fresh attempts, and a run that stopped for them goes on.
#[utoipa::path(post, path = "/v1/runs/{run}/retry", request_body = Nothing, responses(
    (status = 200, body = Steered),
    (status = 409, description = "It has no dead task, or is finished or cancelled", body = Failure),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn retry(
    State(site): State<Site>,
    Path(wanted): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<Json<Steered>> {
    let run = named(&site, &wanted).await?;
    if matches!(run.status, RunStatus::Finished | RunStatus::Cancelled) {
        return Err(cannot(&run, "be retried"));
    }
    let revived = site.store().revive(run.id, site.now()).await?;
    if revived == 0 {
        let message = format!(
            "run {} has no dead task: a stopped run goes on with resume",
            run.id
        );
        return Err(ApiError::conflict(message));
    }
    if run.status != RunStatus::Running {
        reading::go_on(site.store(), &run, site.now()).await?;
    }
    steered(&site, run.id, revived).await
}

/// Change how much of the workers a run gets beside others: each step up doubles its share.
#[utoipa::path(post, path = "/v1/runs/{run}/priority", request_body = Priority, responses(
    (status = 200, body = Steered),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn priority(
    State(site): State<Site>,
    Path(wanted): Path<String>,
    Body(Priority { priority }): Body<Priority>,
) -> ApiResult<Json<Steered>> {
    check_priority(priority)?;
    let run = named(&site, &wanted).await?;
    site.store().set_priority(run.id, priority).await?;
    steered(&site, run.id, 0).await
}

/// Beyond these a share is none, or everything.
pub fn check_priority(priority: i32) -> ApiResult<()> {
    match (-30..=30).contains(&priority) {
        true => Ok(()),
        false => Err(ApiError::unusable(format!(
            "priority is {priority}: give -30 to 30"
        ))),
    }
}

/// The limits with other caps.
fn limits(caps: Caps, old: Limits) -> ApiResult<Limits> {
    let micros = |usd: f64| match usd.is_finite() && usd >= 0.0 {
        true => Ok((usd * 1e6) as u64),
        false => Err(ApiError::unusable(format!(
            "max_usd is {usd}: give dollars, 0 or more"
        ))),
    };
    Ok(Limits {
        calls: caps.max_calls.or(old.calls),
        tokens: caps.max_tokens.or(old.tokens),
        cost_micros: caps.max_usd.map(micros).transpose()?.or(old.cost_micros),
    })
}

/// Changes a status, guarded against what others change meanwhile.
async fn change(
    site: &Site,
    wanted: &str,
    from: &[RunStatus],
    (to, reason): (RunStatus, &str),
    what: &str,
) -> ApiResult<Run> {
    let mut run = named(site, wanted).await?;
    for _ in 0..TRIES {
        if !from.contains(&run.status) {
            break;
        }
        let change = StatusChange {
            run: run.id,
            from: run.status,
            to,
            reason: Some(reason.to_owned()),
            now: site.now(),
        };
        if site.store().set_status(&change).await? {
            return Ok(run);
        }
        run = named(site, &run.id.to_string()).await?;
    }
    Err(cannot(&run, what))
}

fn cannot(run: &Run, what: &str) -> ApiError {
    let (id, status) = (run.id, run.status);
    let instead = match status {
        RunStatus::Running => "it goes on already",
        RunStatus::Paused | RunStatus::Failed => "resume has it go on",
        RunStatus::Finished => "its result stays; submit its spec with \"new\" for another",
        RunStatus::Cancelled => "it was given up; submit its spec again for another",
    };
    ApiError::conflict(format!("run {id} is {status} and cannot {what}: {instead}"))
}

/// Workers that miss it do nothing wrong.
async fn tell(site: &Site, word: Order, run: RunId) {
    let word = Word {
        v: VERSION,
        word,
        run,
    };
    if let Err(error) = site.queue.broadcast(word.encode().into()).await {
        tracing::warn!(%run, %error, "workers were not told, they finish what they have");
    }
}

async fn steered(site: &Site, run: RunId, revived: u64) -> ApiResult<Json<Steered>> {
    let run = named(site, &run.to_string()).await?;
    tracing::info!(run = %run.id, status = %run.status, revived, "steered");
    Ok(Json(Steered {
        run: run.id,
        status: run.status,
        reason: run.reason,
        revived,
    }))
}
