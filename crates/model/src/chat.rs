//! Chat templates: conversations to the text a model was trained on.
//!
//! A template comes with a model and is somebody else's program: it runs with a limited number of steps
//! and sees nothing but the conversation. What people write can never become a special token: each
//! character that could begin one is guarded before the template runs, and the tokeniser reads guarded
//! text as plain.

use crate::{
    error::{Error, Result},
    tokeniser::Tokeniser,
};
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;

/// Instructions a template may use: real ones need some hundred per message.
const FUEL: u64 = 2_000_000;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Turn {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// A compiled chat template.
pub(crate) struct Template {
    environment: Environment<'static>,
}

const NAME: &str = "chat";

impl Template {
    /// Compiles a Jinja template as Hugging Face's tokenisers carry them.
    pub(crate) fn new(source: String) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| {
            Err::<String, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        let compiled = environment.add_template_owned(NAME, source);
        compiled.map_err(|e| Error::load(format!("the chat template can not be read: {e}")))?;
        Ok(Self { environment })
    }

    /// The tokens of a conversation, with the words that begin a `reply` or without.
    ///
    /// # Errors
    /// When the template refuses the conversation or uses too many steps.
    pub(crate) fn encode(
        &self,
        turns: &[Turn],
        tokeniser: &Tokeniser,
        reply: bool,
    ) -> Result<Vec<u32>> {
        let guard = unused_char(turns);
        let guarded: Vec<_> = turns
            .iter()
            .map(|turn| protect(turn, guard, tokeniser))
            .collect();
        let text = self.render(&guarded, tokeniser, reply)?;
        tokeniser.encode_with_specials(&text, Some(guard))
    }

    fn render(&self, turns: &[Turn], tokeniser: &Tokeniser, reply: bool) -> Result<String> {
        let values = context! {
            messages => turns,
            add_generation_prompt => reply,
            bos_token => tokeniser.special_text(tokeniser.bos).unwrap_or(""),
            eos_token => tokeniser.end_text().unwrap_or(""),
        };
        let rendered = self
            .environment
            .get_template(NAME)
            .and_then(|t| t.render(values));
        rendered.map_err(|e| match e.kind() {
            ErrorKind::OutOfFuel => Error::job(format!("the chat template ran past {FUEL} steps")),
            _ => Error::job(format!("the chat template refuses this conversation: {e}")),
        })
    }
}

/// A character of the private use area that the conversation does not contain.
fn unused_char(turns: &[Turn]) -> char {
    let taken = |c: &char| turns.iter().any(|turn| turn.content.contains(*c));
    let mut private = ('\u{E000}'..='\u{F8FF}').chain('\u{F0000}'..='\u{FFFFD}');
    // A conversation that holds all 71 934 of them has no use for the last.
    private.find(|c| !taken(c)).unwrap_or('\u{10FFFD}')
}

/// The turn with a guard before each character that could begin a special token.
fn protect(turn: &Turn, guard: char, tokeniser: &Tokeniser) -> Turn {
    let mut content = String::with_capacity(turn.content.len());
    for c in turn.content.chars() {
        if tokeniser.starts_special(c) {
            content.push(guard);
        }
        content.push(c);
    }
    Turn {
        role: turn.role.clone(),
        content,
    }
}
