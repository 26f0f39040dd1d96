//! Looking at runs.

use super::{
    Site,
    body::Asked,
    fault::{ApiError, ApiResult, Failure},
    shapes::{Filter, RunList, RunState, StepRow},
};
use crate::{
    find,
    summary::{self, Shown},
};
use axum::{
    Json,
    extract::{Path, State},
};
use domain::run::RunStatus;
use store::Run;

/// Listed unless told.
const SOME: usize = 100;
/// Listed at most.
const MANY: usize = 1_000;

/// The run that a path names.
pub async fn named(site: &Site, wanted: &str) -> ApiResult<Run> {
    Ok(find::find(site.store(), wanted).await?)
}

/// List runs, newest first.
#[utoipa::path(get, path = "/v1/runs", params(Filter), responses(
    (status = 200, body = RunList),
    (status = "4XX", body = Failure),
))]
pub async fn list(
    State(site): State<Site>,
    Asked(filter): Asked<Filter>,
) -> ApiResult<Json<RunList>> {
    let limit = filter.limit.unwrap_or(SOME);
    if !(1..=MANY).contains(&limit) {
        let message = format!("limit is {limit}: give 1 to {MANY}");
        return Err(ApiError::unusable(message));
    }
    let runs = site.store().runs().await?;
    let wanted = runs
        .iter()
        .filter(|run| filter.status.is_none_or(|status| run.status == status));
    let runs = wanted.take(limit).map(Into::into).collect();
    Ok(Json(RunList { runs }))
}

/// Where a run stands.
#[utoipa::path(get, path = "/v1/runs/{run}", responses(
    (status = 200, body = RunState),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn status(
    State(site): State<Site>,
    Path(wanted): Path<String>,
) -> ApiResult<Json<RunState>> {
    let run = named(&site, &wanted).await?;
    let store = site.store();
    let priority = match run.status {
        RunStatus::Running => {
            let running = store.running().await?;
            running
                .into_iter()
                .find(|r| r.id == run.id)
                .map(|r| r.priority)
        }
        _ => None,
    };
    Ok(Json(RunState {
        run: (&run).into(),
        priority,
        limits: store.limits(run.id).await?,
        spend: store.spend(run.id).await?,
        steps: store
            .steps(run.id)
            .await?
            .iter()
            .map(StepRow::from)
            .collect(),
    }))
}

/// What a run has come to so far: what `promptimal show --json` prints.
#[utoipa::path(get, path = "/v1/runs/{run}/result", responses(
    (status = 200, body = Object),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn result(
    State(site): State<Site>,
    Path(wanted): Path<String>,
) -> ApiResult<Json<Shown>> {
    let run = named(&site, &wanted).await?;
    let shown = summary::shown(site.store(), &run, site.now()).await?;
    Ok(Json(shown))
}
