//! What a reward model is to this worker.

/// A reward model. It is moved to a thread of its own and used there only.
pub trait RewardModel: Send + 'static {
    /// A question and an answer, ready to be computed.
    type Text: Send;

    /// What the model is: everything that can change a reward (weights, tokeniser, how a pair is put together and cut). The
    /// same on every machine.
    fn identity(&self) -> &str;

    /// Puts a question and an answer together, cut to what the model reads.
    ///
    /// # Errors
    /// A sentence, when this pair cannot be read. It never can: it is not tried again.
    fn encode(&self, question: &str, answer: &str) -> Result<Encoded<Self::Text>, String>;

    /// The rewards of some texts, one for each, in their order. A text's reward does not depend on its neighbours.
    ///
    /// # Errors
    /// A sentence, when the batch could not be computed; a smaller one may be.
    fn score(&mut self, batch: &[Self::Text]) -> Result<Vec<f32>, String>;
}

/// A text ready to be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded<T> {
    /// The text as the model takes it.
    pub text: T,
    /// How many tokens it has.
    pub tokens: usize,
    /// Whether some of it was left out.
    pub cut: bool,
}
