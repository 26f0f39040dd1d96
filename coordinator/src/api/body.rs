//! What comes in, bounded and strict: a body within the limit, with no field that is not known.

use super::{
    BODY_LIMIT,
    fault::{ApiError, ApiResult},
};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

/// A JSON body; none at all counts as `{}`.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!(
                    "the body is larger than {BODY_LIMIT} bytes: a spec names data sets as files and is small itself"
                ),
            ),
            status => ApiError::new(status, "bad_body", format!("the body was not read: {e}")),
        })?;
        let text: &[u8] = match bytes.trim_ascii() {
            [] => b"{}",
            some => some,
        };
        serde_json::from_slice(text).map(Self).map_err(unreadable)
    }
}

fn unreadable(error: serde_json::Error) -> ApiError {
    let (status, code) = match error.is_data() {
        true => (StatusCode::UNPROCESSABLE_ENTITY, "bad_field"),
        false => (StatusCode::BAD_REQUEST, "bad_json"),
    };
    ApiError::new(status, code, format!("the body is not understood: {error}"))
}

/// What stands after the question mark.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|e| {
            let message = format!("the query is not understood: {}", e.body_text());
            ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message)
        })
    }
}
