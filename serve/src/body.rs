//! What comes in: a JSON object within the limit.

use crate::{
    Service,
    fault::{Answer, Fault},
    fields::Fields,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use serde_json::Value;

impl FromRequest<Service> for Fields {
    type Rejection = Fault;

    async fn from_request(request: Request, service: &Service) -> Answer<Self> {
        let bytes = Bytes::from_request(request, service).await;
        let bytes = bytes.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body is larger than {} bytes", service.0.limits.body),
            ),
            status => Fault::new(status, "bad_body", format!("the body was not read: {e}")),
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self::new(fields)),
            Ok(_) => Err(not_json("it is no object")),
            Err(error) => Err(not_json(error)),
        }
    }
}

fn not_json(problem: impl std::fmt::Display) -> Fault {
    let message = format!("the body is not understood: {problem}");
    Fault::new(StatusCode::BAD_REQUEST, "bad_json", message)
}
