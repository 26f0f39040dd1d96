//! Exports: rows of text, sent page by page while the store is read.

use super::{
    Site,
    body::Asked,
    fault::{ApiError, ApiResult, Failure},
    shapes::ExportAs,
};
use crate::{
    export::{Export, Format, What},
    find,
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::stream;

/// A run's pairs, candidates or answers, as `promptimal export` writes them. An error in the middle breaks the
/// connection, so that nobody takes a part for the whole.
#[utoipa::path(get, path = "/v1/runs/{run}/export/{what}", responses(
    (status = 200, description = "JSON lines or CSV", body = String, content_type = "application/jsonl"),
    (status = "4XX", body = Failure),
), params(
    ("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`"),
    ("what" = String, Path, description = "`pairs`, `candidates` or `answers`"),
    ExportAs,
))]
pub async fn export(
    State(site): State<Site>,
    Path((wanted, what)): Path<(String, String)>,
    Asked(asked): Asked<ExportAs>,
) -> ApiResult<Response> {
    let Some(what) = What::from_word(&what) else {
        let message = format!("no export {what:?}: there are pairs, candidates and answers");
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_export",
            message,
        ));
    };
    let (format, kind) = match asked.format.as_deref() {
        None | Some("jsonl") => (Format::Jsonl, "application/jsonl"),
        Some("csv") => (Format::Csv, "text/csv; charset=utf-8"),
        Some(other) => {
            let message = format!("format is {other:?}: give jsonl or csv");
            return Err(ApiError::unusable(message));
        }
    };
    let run = find::whole(site.store(), &wanted).await?;
    let export = Export::new(run.id, what, format);
    let pieces = stream::try_unfold((site, export), |(site, mut export)| async move {
        let piece = export.next(site.store()).await.inspect_err(|error| {
            tracing::warn!(%error, "export broken off");
        })?;
        Ok::<_, crate::CoordinatorError>(piece.map(|piece| (piece, (site, export))))
    });
    Ok(([(CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
}
