//! One HTTP exchange: a body out, a status and a body back, bounded in time and size.

use super::{
    options::HttpOptions,
    retry::{Class, Failure, retry_after},
    secrets::shown,
};
use crate::{ErrorKind, ModelError};
use bytes::{Bytes, BytesMut};
use domain::call::Usage;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use std::{
    error::Error,
    time::{Duration, SystemTime},
};

/// No more than this is read of a reply with an error status.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Where to post, and what people are shown of it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: Url,
    /// Without anything secret.
    pub shown: String,
}

impl Endpoint {
    /// `path` below the base URL, whose query is kept.
    pub fn new(base: &Url, path: &str) -> Self {
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        Self {
            shown: shown(&url),
            url,
        }
    }
}

/// A reply, whatever its status.
pub(crate) struct Received {
    pub status: StatusCode,
    /// `Retry-After`, read only where the status is an error.
    pub after: Option<Duration>,
    pub body: Bytes,
}

/// A client with its pool of connections.
pub(crate) struct Wire {
    client: Client,
    max_body: usize,
    call_timeout: Duration,
}

impl Wire {
    /// A client for one server.
    ///
    /// # Errors
    /// A key that no header can hold; a machine without usable TLS roots.
    pub fn new(options: &HttpOptions, base: &Url) -> Result<Self, ModelError> {
        let bad = |what: String| {
            ModelError::new(
                ErrorKind::Model,
                format!("model {:?}: {what}", options.name),
            )
        };
        let headers = headers(options).map_err(|what| bad(what.to_owned()))?;
        crate::use_ring();
        let mut builder = Client::builder()
            .default_headers(headers)
            // A connection that outlasts the call would look like a lost reply.
            .connect_timeout(options.connect_timeout.min(options.call_timeout))
            .timeout(options.call_timeout)
            .pool_max_idle_per_host(options.concurrency)
            // Common servers hang up after 5 idle seconds; a call sent into that moment looks lost.
            .pool_idle_timeout(Duration::from_secs(4))
            .tcp_nodelay(true)
            // The key goes to the server that was named and to no other.
            .redirect(Policy::none());
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|e| bad(format!("no HTTP client: {}", chain(e))))?;
        let (max_body, call_timeout) = (options.max_body_bytes, options.call_timeout);
        Ok(Self {
            client,
            max_body,
            call_timeout,
        })
    }

    /// Posts a body. `most` is what a lost reply is charged.
    pub async fn post(&self, to: &Endpoint, body: Bytes, most: Usage) -> Result<Received, Failure> {
        let mut request = reqwest::Request::new(Method::POST, to.url.clone());
        *request.body_mut() = Some(body.into());
        let response = self
            .client
            .execute(request)
            .await
            .map_err(|e| self.failed(e, most))?;
        let status = response.status();
        if status.is_success() {
            let body = self.read(response, most).await?;
            return Ok(Received {
                status,
                after: None,
                body,
            });
        }
        let header = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|h| h.to_str().ok());
        let after = header.and_then(|h| retry_after(h, SystemTime::now()));
        // The status says enough: a broken explanation is left away.
        let body = read(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        Ok(Received {
            status,
            after,
            body,
        })
    }

    async fn read(&self, response: Response, most: Usage) -> Result<Bytes, Failure> {
        read(response, self.max_body).await.map_err(|e| match e {
            Unread::TooLarge => {
                let text = format!("the reply is larger than {} bytes", self.max_body);
                Failure::paid(Class::Call, text, most)
            }
            Unread::Cut(e) => self.failed(e, most),
        })
    }

    fn failed(&self, error: reqwest::Error, most: Usage) -> Failure {
        if error.is_connect() {
            let text = format!("cannot connect: {}: is the server running?", chain(error));
            return Failure::free(
                Class::Busy {
                    after: None,
                    throttled: false,
                },
                text,
            );
        }
        let text = if error.is_timeout() {
            let limit = self.call_timeout;
            format!("no whole reply within {limit:?}: raise call_timeout or lower concurrency")
        } else {
            format!(
                "the connection broke before the whole reply came: {}",
                chain(error)
            )
        };
        Failure::paid(Class::Lost, text, most)
    }
}

fn headers(options: &HttpOptions) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &options.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret().trim()))
            .map_err(|_| "the API key holds a character that no header may: read it again")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// A proxy of the environment is meant for the world outside.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

enum Unread {
    TooLarge,
    Cut(reqwest::Error),
}

impl From<reqwest::Error> for Unread {
    fn from(e: reqwest::Error) -> Self {
        Self::Cut(e)
    }
}

/// Reads a body of at most `limit` bytes; one that came in one piece is not copied.
async fn read(mut response: Response, limit: usize) -> Result<Bytes, Unread> {
    if response.content_length().is_some_and(|n| n > limit as u64) {
        return Err(Unread::TooLarge);
    }
    let Some(first) = response.chunk().await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(Unread::TooLarge);
    }
    let Some(second) = response.chunk().await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if whole.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&chunk);
        next = response.chunk().await?;
    }
    Ok(whole.freeze())
}

/// An error and its causes, without the URL (it may hold a password).
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_keep_the_query_and_hide_it() {
        let at = |base: &str| Endpoint::new(&Url::parse(base).unwrap(), "chat/completions");
        for base in ["http://h:1/v1", "http://h:1/v1/"] {
            assert_eq!(at(base).url.as_str(), "http://h:1/v1/chat/completions");
        }
        assert_eq!(at("http://h:1").shown, "http://h:1/chat/completions");
        let secret = at("https://u:p@h/v1?api-version=3");
        assert_eq!(
            secret.url.as_str(),
            "https://u:p@h/v1/chat/completions?api-version=3"
        );
        assert_eq!(secret.shown, "https://h/v1/chat/completions");
    }

    #[test]
    fn this_machine_needs_no_proxy() {
        let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(is("http://127.0.0.1:1/v1") && is("http://[::1]:1") && is("http://localhost"));
        assert!(!is("http://10.0.0.1") && !is("https://localhost.example"));
    }

    #[test]
    fn a_key_that_is_no_header_is_not_repeated() {
        let mut options = HttpOptions::new("http://h", "m");
        options.api_key = Some("sk-\u{1}secret".into());
        let error = Wire::new(&options, &Url::parse("http://h").unwrap())
            .err()
            .unwrap();
        assert!(
            error.message.contains("API key") && !error.message.contains("sk-"),
            "{error}"
        );
    }
}
