//! How a server is reached and what it allows.

use super::{price::Price, retry::Patience, secrets::shown};
use crate::{ErrorKind, ModelError};
use reqwest::Url;
use secrecy::SecretString;
use std::{fmt, time::Duration};

/// Everything an [`HttpModel`](super::HttpModel) is made from. [`HttpOptions::new`] has the defaults.
#[derive(Clone)]
pub struct HttpOptions {
    /// The name people read.
    pub name: String,
    /// The server, up to and including the version: `http://127.0.0.1:8000/v1`. A user part and a query
    /// are sent, and shown nowhere.
    pub base_url: String,
    /// The model's name on the server.
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// Time to connect, name look-up and TLS included (default 10 s).
    pub connect_timeout: Duration,
    /// Time for one sending, from connecting to the last byte (default 120 s).
    pub call_timeout: Duration,
    /// Time for all sendings of one call and the back-offs between them (default 300 s): no sending begins
    /// after it, and a server that asks to be left alone for longer is not waited for. Waiting for one's
    /// own limits does not count.
    pub total_timeout: Duration,
    /// Sendings after the first (default 4).
    pub retries: u32,
    /// How many of the retries may follow a sending that may have been billed: a time-out, a cut or
    /// corrupt body, an empty reply (default 1). [`worst_case`](crate::LanguageModel::worst_case) is that
    /// much larger, so that no retry passes what was reserved.
    pub broken_retries: u32,
    /// Most calls in flight (default 32). Fewer for a while after a 429.
    pub concurrency: usize,
    /// Most requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Most tokens in any minute: estimated before a call (a token per 4 bytes, and `max_tokens`),
    /// corrected by the reply's usage.
    pub tokens_per_minute: Option<u32>,
    /// Micro-dollars per million tokens read.
    pub price_in: u64,
    /// Micro-dollars per million tokens written.
    pub price_out: u64,
    /// Whether a seed is sent, the answer key's (default yes).
    pub send_seed: bool,
    /// Whether `POST /completions` takes `echo` with `logprobs` and `max_tokens: 0`, as vLLM's does: then
    /// [`Call::Loglik`](domain::call::Call::Loglik) is answered (default no).
    ///
    /// That endpoint takes bare text: messages are sent as their contents with a blank line after each,
    /// without the server's chat template.
    pub score_endpoint: bool,
    /// Largest reply read (default 8 MiB).
    pub max_body_bytes: usize,
}

impl HttpOptions {
    /// The defaults for a model on a server, with the model's name as the name people read.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        let model = model.into();
        Self {
            name: model.clone(),
            base_url: base_url.into(),
            model,
            api_key: None,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(120),
            total_timeout: Duration::from_secs(300),
            retries: 4,
            broken_retries: 1,
            concurrency: 32,
            requests_per_minute: None,
            tokens_per_minute: None,
            price_in: 0,
            price_out: 0,
            send_seed: true,
            score_endpoint: false,
            max_body_bytes: 8 << 20,
        }
    }

    pub(crate) fn price(&self) -> Price {
        Price {
            input: self.price_in,
            output: self.price_out,
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            retries: self.retries,
            broken_retries: self.broken_retries.min(self.retries),
            total: self.total_timeout,
            longest_wait: Duration::MAX,
        }
    }

    /// The base URL, and all numbers checked.
    pub(crate) fn validate(&self) -> Result<Url, ModelError> {
        let bad = |what: String| {
            let message = format!("model {:?}: {what}", self.name);
            Err(ModelError::new(ErrorKind::Model, message))
        };
        // The value is not repeated where it does not parse: it may hold a password.
        let Ok(url) = Url::parse(self.base_url.trim()) else {
            return bad("base_url is not a URL: write it as http://127.0.0.1:8000/v1".into());
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            let scheme = url.scheme();
            return bad(format!(
                "base_url begins with {scheme:?}: it should be http:// or https://"
            ));
        }
        if self.model.is_empty() {
            return bad("model is empty: give the model's name on the server".into());
        }
        let counts = [
            ("concurrency", self.concurrency == 0),
            ("requests_per_minute", self.requests_per_minute == Some(0)),
            ("tokens_per_minute", self.tokens_per_minute == Some(0)),
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("call_timeout", self.call_timeout.is_zero()),
            ("max_body_bytes", self.max_body_bytes == 0),
        ];
        match counts.iter().find(|c| c.1) {
            Some((name, _)) => bad(format!("{name} is 0: it should be at least 1")),
            None => Ok(url),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.base_url).map_or("(not a URL)".to_owned(), |u| shown(&u));
        f.debug_struct("HttpOptions")
            .field("name", &self.name)
            .field("base_url", &url)
            .field("model", &self.model)
            .field("api_key", &self.api_key.as_ref().map(|_| "[secret]"))
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
