//! From the text of a spec to a run.

use super::{
    Site, Trust,
    body::Body,
    fault::{ApiError, ApiResult, Failure},
    files::Outside,
    shapes::{Submit, Submitted},
    steer,
};
use crate::{
    intake::{self, Ask},
    reading,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use domain::{
    grade::Grader,
    run::{RunKind, RunStatus},
};
use spec::{Loaded, Purpose};
use std::path::Path;
use wire::trace::{HEADER, Trace};

/// What the text of a spec is called in messages.
const NAME: &str = "spec.toml";

/// Submit a run. One of the same work that is stored already goes on; a finished one stays as it is.
#[utoipa::path(post, path = "/v1/runs", request_body = Submit, params(
    ("traceparent" = Option<String>, Header, description = "W3C Trace Context: the log links the run's trace to it"),
), responses(
    (status = 201, description = "A new run, whose data are being read", body = Submitted),
    (status = 200, description = "The stored run of the same work", body = Submitted),
    (status = "4XX", body = Failure),
))]
pub async fn submit(
    State(site): State<Site>,
    headers: HeaderMap,
    Body(asked): Body<Submit>,
) -> ApiResult<Response> {
    asked.priority.map_or(Ok(()), steer::check_priority)?;
    let (kind, new, priority) = (asked.kind, asked.new, asked.priority);
    let loaded = load(site.clone(), asked).await?;
    let now = site.now();
    let ask = Ask {
        kind,
        new,
        reason: intake::READING,
        now,
    };
    let (run, created) = intake::find_or_create(site.store(), &loaded, ask).await?;
    if let Some(priority) = priority {
        site.store().set_priority(run.id, priority).await?;
    }
    if matches!(run.status, RunStatus::Paused | RunStatus::Failed) {
        site.store().revive(run.id, now).await?;
        reading::go_on(site.store(), &run, now).await?;
    }
    note(&run, created, &headers);
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let at = [(LOCATION, format!("/v1/runs/{}", run.id))];
    let submitted = Submitted {
        run: run.id,
        created,
        warnings: loaded.warnings,
    };
    Ok((status, at, Json(submitted)).into_response())
}

/// A run's trace outlives every request, so it has an id of its own; whoever asked for it finds it by the link.
fn note(run: &store::Run, created: bool, headers: &HeaderMap) {
    let trace = Trace::of_run(run.id);
    let asked = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let link = asked.and_then(|value| value.parse::<Trace>().ok());
    tracing::info!(
        run = %run.id,
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
        linked_trace_id = link.map(|l| l.trace_id()),
        linked_span_id = link.map(|l| l.span_id()),
        name = run.name,
        created,
        "submitted"
    );
}

/// Looks at files, so beside what else this thread does.
async fn load(site: Site, asked: Submit) -> ApiResult<Loaded> {
    let loaded = tokio::task::spawn_blocking(move || checked(&site, &asked)).await;
    loaded.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a spec could not be checked");
        let message = "the spec could not be checked: the coordinator's log says why";
        Err(ApiError::unusable(message))
    })
}

fn checked(site: &Site, asked: &Submit) -> ApiResult<Loaded> {
    let purpose = match asked.kind {
        RunKind::Optimise => Purpose::Run,
        RunKind::Evaluate => Purpose::Eval,
    };
    let outside = Outside(site.data_root.as_ref());
    let loaded = spec::load_text(&asked.spec, Path::new(NAME), &asked.set, purpose, &outside);
    let loaded = loaded.map_err(|e| outside.explain(e))?;
    trusted(site.trust, &loaded)?;
    Ok(loaded)
}

/// A program would run on the workers, and an endpoint be sent what a variable of theirs holds.
fn trusted(trust: Trust, loaded: &Loaded) -> ApiResult<()> {
    let foreign = |d: &&spec::Dataset| {
        matches!(
            d.grader(),
            Some(Grader::Program { .. } | Grader::Http { .. })
        )
    };
    let Some(dataset) = loaded.spec.datasets.iter().find(foreign) else {
        return Ok(());
    };
    if trust == Trust::Graders {
        return Ok(());
    }
    let kind = dataset.grader().map_or("", Grader::name);
    let message = format!(
        "dataset {:?}: grader {kind:?} runs code or calls addresses of the spec's choice on the workers: use another \
         grader, or start the coordinator with --trust-graders where all who may submit are trusted with that",
        dataset.name
    );
    Err(ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "untrusted_grader",
        message,
    ))
}
