//! A reward model for tests: rewards come from a function.

use crate::{
    reward::{Encoded, RewardModel},
    scorer::{Batching, Scorer},
};

/// A function of question and answer.
type Script = Box<dyn Fn(&str, &str) -> f32 + Send>;
/// Called with the size of each batch before it is computed.
type Watcher = Box<dyn Fn(usize) + Send>;

/// A reward model whose rewards come from a function; a token is a byte of the answer.
pub struct Scripted {
    identity: String,
    script: Script,
    watcher: Watcher,
    reads: usize,
}

impl Scripted {
    /// With this identity and function.
    pub fn new(identity: &str, script: impl Fn(&str, &str) -> f32 + Send + 'static) -> Self {
        Self {
            identity: identity.to_owned(),
            script: Box::new(script),
            watcher: Box::new(|_| {}),
            reads: usize::MAX,
        }
    }

    /// It reads only so many bytes of an answer.
    #[must_use]
    pub fn reading(self, reads: usize) -> Self {
        Self { reads, ..self }
    }

    /// Somebody sees every batch.
    #[must_use]
    pub fn watched(self, watcher: impl Fn(usize) + Send + 'static) -> Self {
        Self {
            watcher: Box::new(watcher),
            ..self
        }
    }

    /// On its thread, as any model.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[allow(clippy::expect_used, reason = "for tests only")]
    pub fn start(self) -> Scorer {
        Scorer::start(self, Batching::default()).expect("a thread")
    }
}

impl RewardModel for Scripted {
    type Text = (String, String);

    fn identity(&self) -> &str {
        &self.identity
    }

    fn encode(&self, question: &str, answer: &str) -> Result<Encoded<Self::Text>, String> {
        let end = answer.floor_char_boundary(self.reads);
        Ok(Encoded {
            text: (question.to_owned(), answer[..end].to_owned()),
            tokens: end,
            cut: end < answer.len(),
        })
    }

    fn score(&mut self, batch: &[Self::Text]) -> Result<Vec<f32>, String> {
        (self.watcher)(batch.len());
        Ok(batch.iter().map(|(q, a)| (self.script)(q, a)).collect())
    }
}
