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
use domain::{ids::RunId, run::RunStatus};
use store::{Run, RunPage};

/// Listed unless told.
const SOME: u32 = 100;
/// Listed at most.
const MANY: u32 = 1_000;

/// The run that a path names.
pub async fn named(site: &Site, wanted: &str) -> ApiResult<Run> {
    Ok(find::find(site.store(), wanted).await?)
}

/// List runs, newest first, a page at a time.
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
    let page = RunPage {
        status: filter.status,
        after: filter.after.as_deref().map(place).transpose()?,
        // One more tells whether there are more.
        limit: limit + 1,
    };
    let mut runs = site.store().runs_page(&page).await?;
    let more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    let last = runs.last().filter(|_| more);
    Ok(Json(RunList {
        next: last.map(|run| format!("{}.{}", run.created_at, run.id)),
        runs: runs.iter().map(Into::into).collect(),
    }))
}

/// The place in the list that a page ended at: when its last run was created, and its id. It stays where it is when runs
/// come or go.
fn place(text: &str) -> ApiResult<(i64, RunId)> {
    let parts = text.split_once('.');
    let place = parts.and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    place.ok_or_else(|| {
        let message = format!("after is {text:?}: give what a page before said as next");
        ApiError::unusable(message)
    })
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
