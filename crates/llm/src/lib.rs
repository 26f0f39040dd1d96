//! One seam to language models: [`LanguageModel`], with two methods that matter, `generate` and `loglik`
//! (both asked through [`LanguageModel::call`] as [`domain::call::Call`]s).
//!
//! | adapter | for |
//! | --- | --- |
//! | [`http`] | any OpenAI-compatible server |
//! | [`local`] | a GGUF or safetensors model in this process |
//! | [`scripted`] | tests only: answers come from a function |
//!
//! A refused, truncated, empty or malformed reply is an error of the infrastructure ([`ModelError`]),
//! never an answer: nothing downstream can mistake an outage for a wrong answer.

pub mod conformance;
pub mod http;
#[cfg(feature = "local")]
pub mod local;
pub mod scripted;
mod terms;

pub use terms::{Allowance, Terms};

use async_trait::async_trait;
use domain::{
    call::{Answer, Call},
    hash::Hash,
};
use std::time::Duration;

/// A call and the key its answer will be stored under. The seed of a sampled reply is `key.seed()`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The answer key.
    pub key: Hash,
    /// What is asked.
    pub call: Call,
}

/// What a model is, for answer keys, price and planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Everything that can change an answer: endpoint, model name or file digest, engine, quantisation.
    /// It goes into the answer key, so it holds no secret and is the same on every machine.
    pub key: String,
    /// The name people read.
    pub name: String,
    /// Whether [`Call::Loglik`] is answered.
    pub scores: bool,
}

/// A language model. Replies come in the order of the requests, one for one.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// What this model is.
    fn identity(&self) -> &Identity;

    /// Answers a block of requests. One failed request never fails its neighbours.
    ///
    /// A local model computes the block by itself, so the same block gives the same bits whatever else
    /// runs; an HTTP model sends the requests side by side within its limits.
    async fn call(&self, block: Vec<Request>) -> Vec<Result<Answer, ModelError>>;

    /// As [`LanguageModel::call`], under terms. What is not allowed is [`ErrorKind::NotSent`].
    async fn call_under(
        &self,
        block: Vec<Request>,
        terms: &Terms,
    ) -> Vec<Result<Answer, ModelError>> {
        let (allowed, refused) = terms.divide(block);
        let mut answers = self.call(allowed).await;
        answers.extend(refused.into_iter().map(Err));
        answers
    }

    /// Its server asked somebody to be left alone: nothing is sent for this long.
    fn hold(&self, _for_: Duration) {}

    /// An upper bound for what one call can use, reserved from the budget before it is sent.
    fn worst_case(&self, call: &Call) -> WorstCase;
}

/// An upper bound on one call's use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorstCase {
    /// Tokens read and written.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micros: u64,
}

/// Why there is no answer. Never a grade.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// One sentence naming the endpoint, what came, and the way out. Holds no secret.
    pub message: String,
    /// What was nevertheless paid for (a truncated reply is billed).
    pub paid: Option<Paid>,
}

/// What a failed call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// Tokens read and written.
    pub usage: domain::call::Usage,
    /// Millionths of a US dollar.
    pub cost_micros: u64,
}

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may work later (an outage, a rate limit): after this long, if the server said.
    Retry {
        /// The server's `Retry-After`.
        after: Option<Duration>,
    },
    /// It was not sent: its [`Allowance`] is used up or over, or the server asked to be left alone for so long.
    NotSent {
        /// What is left of the server's `Retry-After`.
        after: Option<Duration>,
    },
    /// This call will not work (refused, truncated, malformed again and again): give it up, keep its neighbours.
    Call,
    /// No call will work (wrong key, unknown model): stop the run, which stays resumable.
    Model,
}

impl ModelError {
    /// An error without anything paid.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            paid: None,
        }
    }
}

/// Makes ring the TLS implementation of this process, once: reqwest is built without one, because its default brings
/// a C library that takes minutes to build.
pub fn use_ring() {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
