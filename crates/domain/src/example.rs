//! Examples and splits.

use crate::hash::Hash;
use serde::{Deserialize, Serialize};

/// One example of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The question or instruction: the words that `rewrite` mode may change.
    pub input: String,
    /// Data the input speaks of, never rewritten (Alpaca's `input` field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Choices of a multiple-choice question, in their original order; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What a right answer is.
    pub reference: Reference,
    /// Free labels (MMLU's subject, say), for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a right answer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reference {
    /// The index of the right choice.
    Choice {
        /// From 0.
        index: usize,
    },
    /// A reference text (an answer, a label, a number as written).
    Text {
        /// The text.
        text: String,
    },
    /// A program's tests (HumanEval's layout).
    Code {
        /// The function under test.
        entry_point: String,
        /// The test program.
        tests: String,
    },
    /// None is known: only graders that need none apply.
    None,
}

impl Example {
    /// The content hash: the id of this example everywhere.
    pub fn id(&self) -> Hash {
        let reference = serde_json::to_string(&self.reference).unwrap_or_default();
        let choices = self.choices.iter().map(String::as_str);
        let context = self.context.as_deref().unwrap_or("");
        Hash::of(
            [self.input.as_str(), context, &reference]
                .into_iter()
                .chain(choices),
        )
    }

    /// The reference as the text a model would have to say, where there is one.
    pub fn reference_text(&self) -> Option<&str> {
        match &self.reference {
            Reference::Choice { index } => self.choices.get(*index).map(String::as_str),
            Reference::Text { text } => Some(text),
            Reference::Code { .. } | Reference::None => None,
        }
    }
}

/// Which part of a dataset an example belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Mining, baseline and search read it.
    Train,
    /// Choices between finalists read it.
    Validation,
    /// Sealed until the one last evaluation.
    Test,
}

impl Split {
    /// The word used in SQL and on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}
