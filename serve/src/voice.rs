//! Who is asked, and in which words.

use crate::{
    Service,
    fault::{Answer, Fault},
};
use axum::http::StatusCode;
use model::{Engine, Turn};

/// The words that a rewriter was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// `<s>[INST] prompt [/INST]`
    Inst,
    /// The model's own chat template, the prompt from the user.
    Chat,
}

/// Who answers.
#[derive(Clone, Copy, Debug)]
pub enum Voice {
    /// The model without the adapter.
    Base,
    /// The model with it.
    Rewriter(Words),
}

impl Service {
    /// Who goes by this name.
    pub(crate) fn voice(&self, name: &str) -> Answer<Voice> {
        if name == self.0.names.base {
            return Ok(Voice::Base);
        }
        match &self.0.names.rewriter {
            Some((rewriter, words)) if rewriter == name => Ok(Voice::Rewriter(*words)),
            _ => {
                let rewriter = self
                    .0
                    .names
                    .rewriter
                    .as_ref()
                    .map(|(name, _)| name.as_str());
                let known: Vec<&str> = [self.0.names.base.as_str()]
                    .into_iter()
                    .chain(rewriter)
                    .collect();
                let message = format!(
                    "there is no model {name:?}: there is {}",
                    known.join(" and ")
                );
                Err(Fault::new(
                    StatusCode::NOT_FOUND,
                    "model_not_found",
                    message,
                ))
            }
        }
    }

    /// Runs work on the tokeniser, which may take a moment, beside the callers.
    pub(crate) async fn encode<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let engine = self.0.engine.clone();
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        done.unwrap_or_else(|e| Err(Fault::failed(&e.to_string())))
    }
}

impl Voice {
    /// Whether the adapter is left out.
    pub fn is_plain(self) -> bool {
        matches!(self, Self::Base)
    }

    /// What it reads of a conversation.
    pub fn chat(self, engine: &Engine, turns: &[Turn]) -> Answer<Vec<u32>> {
        let encoded = match self {
            Self::Base => engine.encode_chat(turns),
            Self::Rewriter(words) => {
                let prompt = only_prompt(turns)?;
                match words {
                    Words::Inst => engine.tokeniser().encode_inst(&prompt.content),
                    Words::Chat => engine.encode_chat(turns),
                }
            }
        };
        encoded.map_err(|e| Fault::field("messages", e.to_string()))
    }
}

/// A rewriter knows one prompt and no conversation.
fn only_prompt(turns: &[Turn]) -> Answer<&Turn> {
    match turns {
        [turn] if turn.role == "user" => Ok(turn),
        _ => Err(Fault::field(
            "messages",
            format!(
                "there are {} messages: the rewriter takes one, from the user, with the prompt to be rewritten",
                turns.len()
            ),
        )),
    }
}
