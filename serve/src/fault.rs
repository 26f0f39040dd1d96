//! What goes wrong, in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

use crate::desk::Full;
use axum::{
    Json,
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error with its status.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    header: Option<Header>,
}

/// What is said beside the body.
#[derive(Clone, Copy, Debug)]
enum Header {
    /// How a key is shown.
    Bearer,
    /// When to try again, in seconds.
    RetryAfter(u64),
}

pub type Answer<T> = Result<T, Fault>;

impl Fault {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            header: None,
        }
    }

    /// A field of the request that can not be followed.
    pub fn field(name: &str, message: impl Into<String>) -> Self {
        let mut fault = Self::new(StatusCode::BAD_REQUEST, "invalid_value", message);
        fault.param = Some(name.to_owned());
        fault
    }

    /// The text does not fit the model.
    pub fn too_long(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
    }

    /// The caller showed no key, or another.
    pub fn unauthorised() -> Self {
        let message = "this server wants its key: send `Authorization: Bearer KEY` (api_key in OpenAI's clients)";
        let mut fault = Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
        fault.header = Some(Header::Bearer);
        fault
    }

    /// The model failed; the log says more.
    pub fn failed(problem: &str) -> Self {
        let message = format!("the model failed at this: {problem}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body.
    pub fn json(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": self.kind(), "param": self.param, "code": self.code,
        }})
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        if let Some(header) = self.header {
            let (name, value) = match header {
                Header::Bearer => (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
                Header::RetryAfter(seconds) => (RETRY_AFTER, HeaderValue::from(seconds)),
            };
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Full> for Fault {
    fn from(full: Full) -> Self {
        let message = format!(
            "all places are taken: try again in {} s (--queue on the server has more wait)",
            full.retry
        );
        let mut fault = Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message);
        fault.header = Some(Header::RetryAfter(full.retry));
        fault
    }
}

pub async fn no_route(uri: Uri) -> Fault {
    let message = format!(
        "nothing is served at {:?}: there are /v1/chat/completions, /v1/completions and /v1/models",
        uri.path()
    );
    Fault::new(StatusCode::NOT_FOUND, "no_such_path", message)
}

pub async fn no_method(method: Method, uri: Uri) -> Fault {
    let message = format!("{method} is not possible at {:?}", uri.path());
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
}
