//! What is asked of a language model, and what it said.

use serde::{Deserialize, Serialize};

/// Who speaks in a chat message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

/// One chat message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message from the person who asks.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// What the model said.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }

    /// Standing instructions.
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }
}

/// How a reply is sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// The longest reply, in tokens.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus: the smallest set of tokens with this much probability; 1 is off.
    pub top_p: f64,
    /// The reply ends before any of these texts.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Whether a reply that was cut off at `max_tokens`, or is empty, counts as it is. Else it is an error: nobody knows
    /// how it would have gone on. A search for an instruction takes replies as they are, for a prompt that makes a model
    /// ramble is worse than one that does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_it_is: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            as_it_is: false,
        }
    }
}

/// One request to a model. It is part of the answer key: everything that can change the answer is in it
/// (the seed derives from the key itself).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Call {
    /// Write a reply.
    Generate {
        /// The conversation so far.
        messages: Vec<Message>,
        /// How the reply is sampled.
        sampling: Sampling,
    },
    /// How probable is each continuation as the beginning of the reply?
    Loglik {
        /// The conversation so far; empty for bare text with no chat template.
        messages: Vec<Message>,
        /// Text that starts the reply (or the bare text), common to all continuations. May be empty.
        prefix: String,
        /// The texts whose log-likelihood is asked, each as written (with its leading space, if any).
        continuations: Vec<String>,
    },
}

impl Call {
    /// Everything a reader could bill for, as text length in bytes: what worst cases are estimated from.
    pub fn prompt_bytes(&self) -> usize {
        let of = |m: &[Message]| m.iter().map(|m| m.content.len() + 16).sum::<usize>();
        match self {
            Call::Generate { messages, .. } => of(messages),
            Call::Loglik {
                messages,
                prefix,
                continuations,
            } => of(messages) + prefix.len() + continuations.iter().map(String::len).sum::<usize>(),
        }
    }
}

/// Tokens read and written, as the model's server counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

impl Usage {
    /// Read and written together.
    pub fn total(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
    }
}

/// The log-likelihood of one continuation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Sum of natural-log probabilities of the continuation's tokens.
    pub logprob: f64,
    /// How many tokens it has.
    pub tokens: u32,
}

/// What a model said: the payload of a stored answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reply {
    /// A whole reply (never one that was cut off, refused or empty: those are errors).
    Text {
        /// The reply.
        text: String,
    },
    /// One score per continuation, in the order asked.
    Scores {
        /// The scores.
        scores: Vec<Score>,
    },
}

/// A reply with what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was said.
    pub reply: Reply,
    /// Tokens.
    pub usage: Usage,
    /// Price in millionths of a US dollar; 0 for a local model.
    pub cost_micros: u64,
}
