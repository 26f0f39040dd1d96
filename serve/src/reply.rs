//! What goes out: the shapes of OpenAI's API.

use crate::{
    Service,
    desk::{End, Event},
    fault::{Answer, Fault},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use model::{Finish, Told};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

/// Tokens read and written.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: Known,
}

/// Of the prompt's tokens, those that had been read before.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Known {
    pub cached_tokens: usize,
}

impl Usage {
    /// Counts a text; its prompt counts once for all texts that go on from it.
    pub fn add(&mut self, end: &End, first: bool) {
        if first {
            self.prompt_tokens += end.prompt_tokens;
            self.prompt_tokens_details.cached_tokens += end.known_tokens;
        }
        self.completion_tokens += end.completion_tokens;
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }
}

/// What all answers to one request have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub model: String,
    pub system_fingerprint: String,
}

impl Service {
    pub(crate) fn head(&self, id: &str, object: &'static str, model: &str) -> Head {
        let is = self.0.engine.description();
        Head {
            id: format!("{id}-{}", uuid::Uuid::now_v7().simple()),
            object,
            created: crate::now(),
            model: model.to_owned(),
            system_fingerprint: format!("{}-{}", &is.sha256[..12], is.precision),
        }
    }
}

/// An answer, or a piece of one.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    #[serde(flatten)]
    pub head: &'a Head,
    pub choices: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl<'a> Reply<'a> {
    /// One of these choices.
    pub fn new(head: &'a Head, choices: Vec<Value>, usage: Option<Usage>) -> Self {
        Self {
            head,
            choices,
            usage,
        }
    }
}

impl IntoResponse for Reply<'_> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// The word for an end.
pub fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// A text that is whole.
#[derive(Debug)]
pub struct Whole {
    pub text: String,
    pub told: Vec<Told>,
    pub told_prompt: Vec<Told>,
    pub finish: Finish,
}

/// Waits for the texts of a request, `n` to each prompt.
///
/// # Errors
/// When one fails.
pub async fn whole(
    mut events: UnboundedReceiver<Event>,
    count: usize,
    n: usize,
) -> Answer<(Vec<Whole>, Usage)> {
    let mut texts: Vec<Option<Whole>> = (0..count).map(|_| None).collect();
    let mut usage = Usage::default();
    while let Some(event) = events.recv().await {
        // Nothing is handed out before the end where nothing is streamed.
        let Some(end) = event.end else { continue };
        usage.add(&end, event.choice % n == 0);
        texts[event.choice] = Some(Whole {
            text: event.text,
            told: event.told,
            finish: end.finish.map_err(|problem| Fault::failed(&problem))?,
            told_prompt: event.prompt.unwrap_or_default(),
        });
    }
    let texts: Option<Vec<Whole>> = texts.into_iter().collect();
    let texts = texts.ok_or_else(|| Fault::failed("its thread has ended"))?;
    Ok((texts, usage))
}
