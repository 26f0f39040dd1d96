//! Who may ask: whoever has the key; without one, programs of this machine ([`runtime::guard`]). Here is what the others
//! are told.

use crate::fault::Fault;
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
pub use runtime::guard::Token;
use runtime::guard::{self, Guard, Refusal};

/// What is answered to anybody: whether the process lives and can work.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The same routes, for those only who may ask.
pub fn guarded(routes: Router, key: Option<Token>) -> Router {
    let who = Guard {
        token: key,
        open: &OPEN,
        refuse,
    };
    guard::guarded(routes, who)
}

fn refuse(refusal: Refusal) -> Response {
    let fault = match refusal {
        Refusal::NoToken => Fault::unauthorised(),
        Refusal::StrangeHost(host) => {
            let message = format!(
                "a server without a key answers to localhost, 127.0.0.1 and [::1] alone, not to {host:?}: give it a key \
                 with --key-file"
            );
            Fault::new(StatusCode::FORBIDDEN, "strange_host", message)
        }
        Refusal::NotJson(kind) => Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            format!("content-type is {kind:?}: send application/json"),
        ),
    };
    fault.into_response()
}
