//! A model for tests: its answers come from a function.

use crate::{
    ErrorKind, Identity, LanguageModel, ModelError, Request, WorstCase,
    http::price::{Price, most_usage},
};
use async_trait::async_trait;
use domain::{
    call::{Answer, Call, Reply, Usage},
    hash::Hash,
};
use futures::future::join_all;
use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

type Script = dyn Fn(&Request) -> Result<Answer, ModelError> + Send + Sync;

/// Answers by a function, and remembers what it was asked.
pub struct ScriptedModel {
    identity: Identity,
    script: Box<Script>,
    latency: Option<Duration>,
    price: Price,
    asked: Mutex<Vec<Hash>>,
}

impl ScriptedModel {
    /// A model that answers what the function says. A [`Call::Loglik`] reaches it only where
    /// `identity.scores` is set.
    pub fn new(
        identity: Identity,
        script: impl Fn(&Request) -> Result<Answer, ModelError> + Send + Sync + 'static,
    ) -> Self {
        let script = Box::new(script);
        Self {
            identity,
            script,
            latency: None,
            price: Price::default(),
            asked: Mutex::default(),
        }
    }

    /// Every answer takes this long.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Answers cost money: `cost_micros` of what the function says is replaced by this price.
    pub fn with_price(mut self, price: Price) -> Self {
        self.price = price;
        self
    }

    /// The keys asked so far, in the order they came; a key asked twice is in it twice.
    pub fn calls(&self) -> Vec<Hash> {
        self.lock().clone()
    }

    /// How often a key was asked.
    pub fn count(&self, key: Hash) -> usize {
        self.lock().iter().filter(|k| **k == key).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Hash>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: &Request) -> Result<Answer, ModelError> {
        if matches!(request.call, Call::Loglik { .. }) && !self.identity.scores {
            let message = format!("model {:?} scores no text", self.identity.name);
            return Err(ModelError::new(ErrorKind::Call, message));
        }
        self.lock().push(request.key);
        if let Some(latency) = self.latency {
            tokio::time::sleep(latency).await;
        }
        let mut answer = (self.script)(request)?;
        if self.price != Price::default() {
            answer.cost_micros = self.price.cost(answer.usage);
        }
        Ok(answer)
    }
}

/// A text as an answer to a call, with a plausible usage: a token per 4 bytes.
pub fn text_answer(call: &Call, text: impl Into<String>) -> Answer {
    answer(call, Reply::Text { text: text.into() })
}

/// A reply as an answer to a call, with a plausible usage: a token per 4 bytes.
pub fn answer(call: &Call, reply: Reply) -> Answer {
    let written = match &reply {
        Reply::Text { text } => (text.len() as u64).div_ceil(4),
        Reply::Scores { .. } => 0,
    };
    let most = most_usage(call);
    let usage = Usage {
        prompt_tokens: most.prompt_tokens.div_ceil(4),
        completion_tokens: written.min(most.completion_tokens),
    };
    Answer {
        reply,
        usage,
        cost_micros: 0,
    }
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn call(&self, block: Vec<Request>) -> Vec<Result<Answer, ModelError>> {
        join_all(block.iter().map(|request| self.ask(request))).await
    }

    fn worst_case(&self, call: &Call) -> WorstCase {
        self.price.worst_case(most_usage(call))
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedModel")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::{Message, Sampling};

    fn request(text: &str) -> Request {
        let messages = vec![Message::user(text)];
        let call = Call::Generate {
            messages,
            sampling: Sampling::default(),
        };
        Request {
            key: Hash::of([text]),
            call,
        }
    }

    fn model() -> ScriptedModel {
        let identity = Identity {
            key: "script".into(),
            name: "script".into(),
            scores: false,
        };
        ScriptedModel::new(identity, |r| Ok(text_answer(&r.call, r.key.to_string())))
    }

    #[tokio::test]
    async fn it_remembers_what_it_was_asked() {
        let model = model();
        model.call(vec![request("a"), request("b")]).await;
        model.call(vec![request("a")]).await;
        assert_eq!(model.calls(), ["a", "b", "a"].map(|t| Hash::of([t])));
        assert_eq!(model.count(Hash::of(["a"])), 2);
        assert_eq!(model.count(Hash::of(["c"])), 0);
    }

    #[tokio::test]
    async fn it_is_asked_no_more_than_was_granted() {
        let model = model();
        let before = std::time::SystemTime::now() + Duration::from_secs(600);
        let terms = crate::Terms {
            allowance: Some(std::sync::Arc::new(crate::Allowance::new(2, before))),
            ..crate::Terms::default()
        };
        let block = vec![request("a"), request("b"), request("c")];
        let answers = model.call_under(block, &terms).await;
        let answered: Vec<_> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(answered, [true, true, false]);
        assert_eq!(model.calls(), ["a", "b"].map(|t| Hash::of([t])));
    }

    #[tokio::test(start_paused = true)]
    async fn latency_is_that_of_the_block_and_price_that_of_the_table() {
        let price = Price {
            input: 1_000_000,
            output: 0,
        };
        let model = model()
            .with_latency(Duration::from_secs(5))
            .with_price(price);
        let start = tokio::time::Instant::now();
        let answers = model
            .call((0..9).map(|i| request(&i.to_string())).collect())
            .await;
        assert_eq!(start.elapsed().as_secs(), 5);
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.cost_micros, answer.usage.prompt_tokens);
        }
    }
}
