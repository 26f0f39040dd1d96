//! Who may ask: whoever has the token; without one, programs of this machine ([`runtime::guard`]). Here is what
//! the others are told.

use super::fault::ApiError;
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
pub use runtime::guard::Token;
use runtime::guard::{self, Guard, Refusal};

/// What is answered to anybody: whether the process lives, and what the API is.
pub const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// The same routes, for those only who may ask.
pub fn guarded(routes: Router, token: Option<Token>) -> Router {
    let who = Guard {
        token,
        open: &OPEN,
        refuse,
    };
    guard::guarded(routes, who)
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NoToken => {
            let message = "this coordinator wants its token: send `Authorization: Bearer …`, or set PROMPTIMAL_TOKEN for \
                           promptimal";
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
            let how = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (how, error).into_response()
        }
        Refusal::StrangeHost(host) => {
            let message = format!(
                "a coordinator without a token answers to localhost, 127.0.0.1 and [::1] alone, not to {host:?}: give it \
                 a token with --token-file"
            );
            ApiError::new(StatusCode::FORBIDDEN, "strange_host", message).into_response()
        }
        Refusal::NotJson(kind) => {
            let message =
                format!("content-type is {kind:?}: send application/json, also with an empty body");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            ApiError::new(status, "not_json", message).into_response()
        }
    }
}
