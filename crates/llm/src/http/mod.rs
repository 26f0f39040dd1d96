//! Any OpenAI-compatible server as a [`LanguageModel`].
//!
//! | file | what |
//! | --- | --- |
//! | `options` | how the server is reached and what it allows |
//! | `request` | the bodies we post |
//! | `job` | sends a call until it is answered or given up |
//! | `wire` | one exchange over HTTP |
//! | `reply` | what of a reply is an answer |
//! | `retry` | what is sent again, and when |
//! | `limits`, `rate` | concurrency, shared pauses, requests and tokens per minute |
//! | [`price`] | usage to micro-dollars |
//! | `secrets` | keys stay out of every message |
//!
//! **An answer is a whole, willing, non-empty reply.** Everything else is a [`ModelError`]:
//!
//! | what came | sent again | in the end |
//! | --- | --- | --- |
//! | 408, 409, 425, 429, 5xx, no connection | `retries` times | [`ErrorKind::Retry`] |
//! | time-out, connection cut before or in the reply | `broken_retries` times | [`ErrorKind::Retry`], charged |
//! | not JSON, no choices, empty, no or unknown `finish_reason` | `broken_retries` times | [`ErrorKind::Call`], charged |
//! | `finish_reason` length, content filter or tool call; a refusal; a body over the limit | no | [`ErrorKind::Call`], charged |
//! | 400, 413, 422 and other 4xx | no | [`ErrorKind::Call`] |
//! | 401, 402, 403, 404, 405, 3xx, exhausted credit | no | [`ErrorKind::Model`] |
//!
//! Under [`Terms`] less is sent again: see there.
//!
//! **Nothing paid is lost.** A sending whose usage is unknown (a lost reply, or one without `usage`) is
//! charged at the most it can have used, and what failed sendings cost is in the usage of the answer that
//! came at last, or in [`ModelError::paid`].

mod job;
mod limits;
mod options;
pub mod price;
mod rate;
mod reply;
mod request;
mod retry;
mod secrets;
mod wire;

pub use options::HttpOptions;

use crate::{ErrorKind, Identity, LanguageModel, ModelError, Request, Terms, WorstCase};
use async_trait::async_trait;
use domain::call::{Answer, Call, Message, Reply, Sampling, Score, Usage};
use futures::{StreamExt, stream};
use job::Job;
use limits::Limits;
use price::{Price, most_usage, times};
use retry::Patience;
use secrets::{Secrets, shown};
use std::{fmt, time::Duration};
use wire::{Endpoint, Wire};

/// A model behind an OpenAI-compatible server. All its callers share its limits and its connections.
pub struct HttpModel {
    identity: Identity,
    model: String,
    chat: Endpoint,
    echo: Option<Endpoint>,
    send_seed: bool,
    concurrency: usize,
    price: Price,
    patience: Patience,
    limits: Limits,
    secrets: Secrets,
    wire: Wire,
}

impl HttpModel {
    /// A model on a server. Nothing is sent yet. Needs a Tokio runtime only once it is called.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] for options that cannot work.
    pub fn new(options: HttpOptions) -> Result<Self, ModelError> {
        let base = options.validate()?;
        let seed = if options.send_seed { "on" } else { "off" };
        let key = format!(
            "openai-http base={} seed={seed} model={}",
            shown(&base),
            options.model
        );
        let scores = options.score_endpoint;
        let (requests, tokens) = (options.requests_per_minute, options.tokens_per_minute);
        Ok(Self {
            identity: Identity {
                key,
                name: options.name.clone(),
                scores,
            },
            chat: Endpoint::new(&base, "chat/completions"),
            echo: scores.then(|| Endpoint::new(&base, "completions")),
            send_seed: options.send_seed,
            concurrency: options.concurrency,
            price: options.price(),
            patience: options.patience(),
            limits: Limits::new(options.concurrency, requests, tokens),
            secrets: Secrets::new(options.api_key.as_ref(), &base),
            wire: Wire::new(&options, &base)?,
            model: options.model,
        })
    }

    async fn ask(&self, request: &Request, terms: &Terms) -> Result<Answer, ModelError> {
        let seed = request.key.seed();
        let (reply, usage) = match &request.call {
            Call::Generate { messages, sampling } => {
                let (text, usage) = self
                    .generate(&request.call, (messages, sampling), seed, terms)
                    .await?;
                (Reply::Text { text }, usage)
            }
            Call::Loglik {
                messages,
                prefix,
                continuations,
            } => {
                let context = request::context(messages, prefix);
                let (scores, usage) = self
                    .score(&request.call, (&context, continuations), seed, terms)
                    .await?;
                (Reply::Scores { scores }, usage)
            }
        };
        Ok(Answer {
            reply,
            usage,
            cost_micros: self.price.cost(usage),
        })
    }

    async fn generate(
        &self,
        call: &Call,
        (messages, sampling): (&[Message], &Sampling),
        seed: u64,
        terms: &Terms,
    ) -> Result<(String, Usage), ModelError> {
        let bytes = call.prompt_bytes();
        let sent_seed = self.send_seed.then_some(seed);
        let body = request::Chat::new(&self.model, messages, sampling, sent_seed);
        let body = request::json(&body, bytes).map_err(|e| self.unsendable(&e))?;
        let most = most_usage(call);
        let guess = bytes as u64 / 4 + u64::from(sampling.max_tokens);
        let job = Job {
            to: &self.chat,
            body,
            seed,
            most,
            guess,
            terms,
        };
        let as_it_is = sampling.as_it_is;
        let read = move |body: &[u8], terms: reply::Terms<'_>| reply::chat(body, terms, as_it_is);
        self.until_answered(&job, read).await
    }

    async fn score(
        &self,
        call: &Call,
        (context, continuations): (&str, &[String]),
        seed: u64,
        terms: &Terms,
    ) -> Result<(Vec<Score>, Usage), ModelError> {
        let Some(to) = &self.echo else {
            let (name, url) = (&self.identity.name, &self.chat.shown);
            let message = format!(
                "model {name:?} at {url}: it scores no text: turn score_endpoint on if its \
                 /completions echoes with logprobs, or choose a grader that reads replies"
            );
            return Err(ModelError::new(ErrorKind::Call, message));
        };
        if continuations.is_empty() {
            return Ok((Vec::new(), Usage::default()));
        }
        let texts: Vec<_> = continuations
            .iter()
            .map(|c| format!("{context}{c}"))
            .collect();
        let bytes = texts.iter().map(String::len).sum();
        let body = request::json(&request::Echo::new(&self.model, &texts), bytes);
        let body = body.map_err(|e| self.unsendable(&e))?;
        let job = Job {
            to,
            body,
            seed,
            most: most_usage(call),
            guess: bytes as u64 / 4,
            terms,
        };
        let read = |body: &[u8], terms: reply::Terms<'_>| {
            reply::scores(body, context, continuations, terms)
        };
        self.until_answered(&job, read).await
    }

    fn unsendable(&self, error: &serde_json::Error) -> ModelError {
        let message = format!(
            "model {:?}: the call is no JSON: {error}",
            self.identity.name
        );
        ModelError::new(ErrorKind::Call, message)
    }
}

#[async_trait]
impl LanguageModel for HttpModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn call(&self, block: Vec<Request>) -> Vec<Result<Answer, ModelError>> {
        self.call_under(block, &Terms::default()).await
    }

    fn hold(&self, for_: Duration) {
        self.limits.pause(for_);
    }

    async fn call_under(
        &self,
        block: Vec<Request>,
        terms: &Terms,
    ) -> Vec<Result<Answer, ModelError>> {
        if let [request] = &block[..] {
            return vec![self.ask(request, terms).await];
        }
        // Room beyond the limit, so that calls that back off do not hold up their neighbours; not all at
        // once, so that memory stays flat however long the block.
        let room = self.concurrency.saturating_mul(2).saturating_add(16);
        let mut answers: Vec<_> = block.iter().map(|_| None).collect();
        let asked = (0..block.len()).map(|i| {
            let request = &block[i];
            async move { (i, self.ask(request, terms).await) }
        });
        let mut done = stream::iter(asked).buffer_unordered(room);
        while let Some((i, answer)) = done.next().await {
            answers[i] = Some(answer);
        }
        // Every future yields its own index once, so nothing is left open.
        answers.into_iter().flatten().collect()
    }

    /// Every byte a token, 8 more for each message, and `max_tokens`; times the sendings that may be
    /// billed (1 + `broken_retries`).
    fn worst_case(&self, call: &Call) -> WorstCase {
        let sendings = 1 + u64::from(self.patience.broken_retries);
        self.price.worst_case(times(most_usage(call), sendings))
    }
}

impl fmt::Debug for HttpModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpModel")
            .field("identity", &self.identity)
            .field("price", &self.price)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options() -> HttpOptions {
        let mut options = HttpOptions::new("http://me:pa55@h:1/v1/?token=abcd1234", "llama");
        options.api_key = Some("sk-very-secret".into());
        options
    }

    #[test]
    fn identity_is_the_endpoint_and_the_model_and_nothing_secret() {
        let identity = HttpModel::new(options()).unwrap().identity;
        assert_eq!(
            identity.key,
            "openai-http base=http://h:1/v1 seed=on model=llama"
        );
        assert_eq!(identity.name, "llama");
        assert!(!identity.scores);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?} {:?}", options(), HttpModel::new(options()).unwrap());
        for secret in ["sk-very-secret", "pa55", "abcd1234"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("http://h:1/v1"), "{shown}");
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        type Change = fn(&mut HttpOptions);
        let changes: [(Change, &str); 6] = [
            (|o| o.base_url = "pa55".into(), "base_url is not a URL"),
            (|o| o.base_url = "ftp://h".into(), "\"ftp\""),
            (|o| o.model.clear(), "model is empty"),
            (|o| o.concurrency = 0, "concurrency is 0"),
            (
                |o| o.requests_per_minute = Some(0),
                "requests_per_minute is 0",
            ),
            (|o| o.call_timeout = Duration::ZERO, "call_timeout is 0"),
        ];
        for (change, word) in changes {
            let mut options = options();
            change(&mut options);
            let error = HttpModel::new(options).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Model);
            assert!(
                error.message.contains(word) && !error.message.contains("pa55"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_worst_case_covers_every_sending_that_may_be_billed() {
        let mut options = options();
        (options.price_in, options.price_out) = (1_000_000, 2_000_000);
        let call = Call::Generate {
            messages: vec![Message::user("12345")],
            sampling: Sampling {
                max_tokens: 10,
                ..Sampling::default()
            },
        };
        let one = 5 + 16 + 8;
        for (broken_retries, retries, sendings) in [(0, 4, 1), (1, 4, 2), (3, 1, 2)] {
            let options = HttpOptions {
                broken_retries,
                retries,
                ..options.clone()
            };
            let worst = HttpModel::new(options).unwrap().worst_case(&call);
            assert_eq!(worst.tokens, sendings * (one + 10));
            assert_eq!(worst.cost_micros, sendings * (one + 20));
        }
    }
}
