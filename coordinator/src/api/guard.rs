//! Who may ask.
//!
//! With a token, whoever has it. Without one, programs of this machine: a page in a browser of this machine could ask
//! too, so that requests which a browser sends for a strange site (by a name of that site's that leads here, or as a
//! form) are refused.

use super::fault::ApiError;
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;

/// What is answered to anybody: whether the process lives, and what the API is.
pub const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// The secret that callers show.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token; whoever guesses it has everything.
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// How long a guess takes says nothing of how near it was.
    fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// The same routes, for those only who may ask.
pub fn guarded(routes: Router, token: Option<Token>) -> Router {
    routes.layer(middleware::from_fn_with_state(token, guard))
}

async fn guard(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let checked = match &token {
        Some(token) => authorised(token, request.headers()),
        None => local(&request),
    };
    match checked.and_then(|()| json(&request)) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

struct Refusal(ApiError, bool);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        if self.1 {
            let how = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, how);
        }
        response
    }
}

fn refuse<T>(status: StatusCode, code: &str, message: impl Into<String>) -> Result<T, Refusal> {
    let error = ApiError::new(status, code, message);
    Err(Refusal(error, status == StatusCode::UNAUTHORIZED))
}

fn authorised(token: &Token, headers: &HeaderMap) -> Result<(), Refusal> {
    let shown = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let shown = shown.and_then(|v| v.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match shown.is_some_and(|(_, secret)| token.is(secret.trim())) {
        true => Ok(()),
        false => refuse(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this coordinator wants its token: send `Authorization: Bearer …`, or set PROMPTIMAL_TOKEN for promptimal",
        ),
    }
}

/// By a name that no stranger can give this machine.
fn local(request: &Request) -> Result<(), Refusal> {
    let mut named = request.headers().get_all(HOST).iter();
    let only = match (named.next(), named.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    };
    let name = only.map(without_port).map(str::to_ascii_lowercase);
    let ours = ["localhost", "127.0.0.1", "[::1]"];
    match name.as_deref().is_some_and(|name| ours.contains(&name)) {
        true => Ok(()),
        false => refuse(
            StatusCode::FORBIDDEN,
            "strange_host",
            format!(
                "a coordinator without a token answers to localhost, 127.0.0.1 and [::1] alone, not to {:?}: give it \
                 a token with --token-file",
                only.unwrap_or_default()
            ),
        ),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What a form in a browser cannot send.
fn json(request: &Request) -> Result<(), Refusal> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return Ok(());
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            format!("content-type is {kind:?}: send application/json, also with an empty body"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_a_name() {
        for (host, name) in [
            ("localhost:7700", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:", "127.0.0.1"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn a_token_is_compared_whole_and_never_shown() {
        let token = Token::new("correct horse");
        assert!(token.is("correct horse"));
        for wrong in ["", "correct", "correct horse ", "Correct horse"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("horse"));
    }
}
