//! What goes wrong, always in one shape: `{"error": {"code", "message", "problems"}}`.

use crate::{CoordinatorError, find::FindError};
use axum::{
    Json,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use spec::SpecError;
use store::StoreError;
use utoipa::ToSchema;

/// An answer that is an error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What is wrong.
    pub error: Wrong,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wrong {
    /// A word for programs.
    pub code: String,
    /// A sentence for people: the thing, the value, the way out.
    pub message: String,
    /// Every problem of a spec, in the order of its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// One problem of a spec.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where: `spec.toml:line`, or `--set key`.
    pub place: String,
    /// The key at fault.
    pub key: Option<String>,
    /// Its value, where it may be shown.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// An error with its status.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    wrong: Wrong,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            wrong: Wrong {
                code: code.to_owned(),
                message: message.into(),
                problems: Vec::new(),
            },
        }
    }

    /// What is asked for cannot be done to the run as it stands.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "wrong_state", message)
    }

    /// A value that makes no sense.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", message)
    }

    /// Ours; the log says more than a stranger should know.
    fn ours(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "request failed");
        let message = "the coordinator failed at this: its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(Failure { error: self.wrong })).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Backend(_) => {
                tracing::warn!(%error, "request not served");
                let message = "the database does not answer: try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            StoreError::Refused(message) => Self::conflict(message),
            StoreError::Corrupt { .. } => Self::ours(&error),
        }
    }
}

impl From<CoordinatorError> for ApiError {
    fn from(error: CoordinatorError) -> Self {
        match error {
            CoordinatorError::Store(error) => error.into(),
            CoordinatorError::Intake(message) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_run", message)
            }
            CoordinatorError::Pruned(_) => Self::conflict(error.to_string()),
            other => Self::ours(&other),
        }
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        let message = error.to_string();
        match error {
            FindError::Empty => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_run",
                "no runs yet: submit a spec with POST /v1/runs",
            ),
            FindError::Unknown(wanted) => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_run",
                format!("no run {wanted:?}: GET /v1/runs lists them"),
            ),
            FindError::Ambiguous { .. } => {
                Self::new(StatusCode::CONFLICT, "ambiguous_run", message)
            }
            FindError::Pruned(_) => Self::conflict(message),
            FindError::Store(error) => error.into(),
        }
    }
}

impl From<SpecError> for ApiError {
    fn from(error: SpecError) -> Self {
        let mut this = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_spec",
            error.to_string(),
        );
        let problem = |p: spec::Problem| Problem {
            place: p.place,
            key: p.key,
            value: p.value,
            message: p.message,
        };
        this.wrong.problems = error.problems.into_iter().map(problem).collect();
        this
    }
}

pub async fn no_route(uri: Uri) -> ApiError {
    let message = format!(
        "nothing is served at {:?}: GET /openapi.json lists what is",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, "no_such_path", message)
}

pub async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{method} is not possible at {:?}: GET /openapi.json lists what is",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
}
