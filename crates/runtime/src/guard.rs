//! Who may ask a service over HTTP.
//!
//! With a token, whoever has it. Without one, programs of this machine: a page in a browser of this machine could ask
//! too, so that requests which a browser sends for a strange site (by a name of that site's that leads here, or as a
//! form) are refused.
//!
//! Who is refused before the body was read is told that the connection ends with the answer: a client that keeps it for the
//! next request would find it closed.

use axum::{
    Router,
    body::HttpBody,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST},
    },
    middleware::{self, Next},
    response::Response,
};
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;

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

/// Why a request is not answered. Each service says it in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token was shown, or another: status 401, with `WWW-Authenticate: Bearer`.
    NoToken,
    /// There is no token, and the service was called by this name, which is not this machine's: status 403.
    StrangeHost(String),
    /// The body is said to be of this type, which is not JSON: a form in a browser can send it. Status 415.
    NotJson(String),
}

/// Who may ask.
#[derive(Clone, Debug)]
pub struct Guard {
    /// What callers show; without it, only this machine is answered.
    pub token: Option<Token>,
    /// Paths that are answered to anybody.
    pub open: &'static [&'static str],
    /// What the others are told.
    pub refuse: fn(Refusal) -> Response,
}

/// The same routes, for those only who may ask.
pub fn guarded(routes: Router, guard: Guard) -> Router {
    routes.layer(middleware::from_fn_with_state(guard, check))
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard.open.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let checked = match &guard.token {
        Some(token) => authorised(token, request.headers()),
        None => local(request.headers()),
    };
    let has_body = !request.body().is_end_stream();
    let (mut response, read) = match checked.and_then(|()| json(&request)) {
        Ok(()) => {
            let response = next.run(request).await;
            let read = response.status() != StatusCode::PAYLOAD_TOO_LARGE;
            (response, read)
        }
        Err(refusal) => ((guard.refuse)(refusal), !has_body),
    };
    if !read {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

fn authorised(token: &Token, headers: &HeaderMap) -> Result<(), Refusal> {
    let shown = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let shown = shown.and_then(|v| v.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match shown.is_some_and(|(_, secret)| token.is(secret.trim())) {
        true => Ok(()),
        false => Err(Refusal::NoToken),
    }
}

/// By a name that no stranger can give this machine.
fn local(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut named = headers.get_all(HOST).iter();
    let only = match (named.next(), named.next()) {
        (Some(one), None) => one.to_str().unwrap_or_default(),
        _ => "",
    };
    let ours = ["localhost", "127.0.0.1", "[::1]"];
    match ours.contains(&without_port(only).to_ascii_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Refusal::StrangeHost(only.to_owned())),
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
        false => Err(Refusal::NotJson(kind.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_named_so() {
        let of = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            local(&headers)
        };
        for host in [
            "localhost:7700",
            "LOCALHOST",
            "127.0.0.1:",
            "[::1]:80",
            "[::1]",
        ] {
            assert_eq!(of(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:7700",
            "127.0.0.1.nip.io",
        ] {
            assert_eq!(of(host), Err(Refusal::StrangeHost(host.into())));
        }
        assert!(local(&HeaderMap::new()).is_err());
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
