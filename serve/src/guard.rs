//! Who may ask.
//!
//! With a key, whoever has it. Without one, programs of this machine: a page in a browser of this machine could ask
//! too, so that requests which a browser sends for a strange site (by a name of that site's that leads here, or as a
//! form) are refused.

use crate::fault::{Answer, Fault};
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;

/// What is answered to anybody: whether the process lives and can work.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The secret that callers show.
#[derive(Clone)]
pub struct Key(Arc<str>);

impl Key {
    /// A key; whoever guesses it may ask.
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// How long a guess takes says nothing of how near it was.
    fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(not shown)")
    }
}

/// The same routes, for those only who may ask.
pub fn guarded(routes: Router, key: Option<Key>) -> Router {
    routes.layer(middleware::from_fn_with_state(key, guard))
}

async fn guard(State(key): State<Option<Key>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let checked = match &key {
        Some(key) => authorised(key, request.headers()),
        None => local(request.headers()),
    };
    match checked.and_then(|()| json(&request)) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

fn authorised(key: &Key, headers: &HeaderMap) -> Answer<()> {
    let shown = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let shown = shown.and_then(|v| v.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match shown.is_some_and(|(_, secret)| key.is(secret.trim())) {
        true => Ok(()),
        false => Err(Fault::unauthorised()),
    }
}

/// By a name that no stranger can give this machine.
fn local(headers: &HeaderMap) -> Answer<()> {
    let mut named = headers.get_all(HOST).iter();
    let only = match (named.next(), named.next()) {
        (Some(one), None) => one.to_str().unwrap_or_default(),
        _ => "",
    };
    let name = match only.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => only,
    };
    let ours = ["localhost", "127.0.0.1", "[::1]"];
    if ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Ok(());
    }
    let message = format!(
        "a server without a key answers to localhost, 127.0.0.1 and [::1] alone, not to {only:?}: give it a key with \
         --key-file"
    );
    Err(Fault::new(StatusCode::FORBIDDEN, "strange_host", message))
}

/// What a form in a browser cannot send.
fn json(request: &Request) -> Answer<()> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return Ok(());
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            format!("content-type is {kind:?}: send application/json"),
        )),
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
            local(&headers).is_ok()
        };
        for host in [
            "localhost:7800",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(of(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:7800",
            "127.0.0.1.nip.io",
        ] {
            assert!(!of(host), "{host}");
        }
        assert!(local(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_key_is_compared_whole_and_never_shown() {
        let key = Key::new("correct horse");
        assert!(key.is("correct horse"));
        for wrong in ["", "correct", "correct horse ", "Correct horse"] {
            assert!(!key.is(wrong), "{wrong:?}");
        }
        assert!(!format!("{key:?}").contains("horse"));
    }
}
