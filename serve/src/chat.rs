//! `POST /v1/chat/completions`

use crate::{
    Service,
    desk::{Event, Manner},
    fault::{Answer, Fault},
    fields::Fields,
    reply::{self, Reply, Whole},
    sampling::{Prompt, Sampling},
    stream::{Shape, Stream},
    told,
    voice::Voice,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use model::{Draft, Turn};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Message {
    role: Role,
    content: Content,
    /// Who speaks: no template here shows it.
    #[serde(default, rename = "name")]
    _name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "content is a text, or a list of parts of the type text"
)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Part {
    Text { text: String },
}

impl From<Message> for Turn {
    fn from(message: Message) -> Self {
        let role = match message.role {
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let content = match message.content {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
        };
        Self::new(role, content)
    }
}

/// What is asked for.
struct Asked {
    model: String,
    voice: Voice,
    turns: Vec<Turn>,
    sampling: Sampling,
    tell: Option<usize>,
}

/// Writes the reply to a conversation.
pub async fn create(State(service): State<Service>, fields: Fields) -> Answer<Response> {
    let asked = Asked::take(&service, fields)?;
    let drafts = asked.drafts(&service).await?;
    let manner = Manner {
        stream: asked.sampling.stream,
        // The spaces around a rewrite belong to the words that it was trained in.
        trim: !asked.voice.is_plain(),
    };
    let count = drafts.len();
    let events = service.0.desk.place(drafts, manner)?;
    if manner.stream {
        return Ok(asked.streamed(service, count).of(events));
    }
    let (texts, usage) = reply::whole(events, count, count).await?;
    let choices = texts.into_iter().enumerate();
    let choices = choices.map(|(index, text)| asked.choice(&service, index, text));
    let choices = choices.collect::<Answer<Vec<Value>>>()?;
    let head = service.head("chatcmpl", "chat.completion", &asked.model);
    Ok(Reply::new(&head, choices, Some(usage)).into_response())
}

impl Asked {
    fn take(service: &Service, mut fields: Fields) -> Answer<Self> {
        let model: String = fields.need("model")?;
        let voice = service.voice(&model)?;
        let messages: Vec<Message> = fields.need("messages")?;
        if messages.is_empty() {
            let message = "messages is empty: give one at least";
            return Err(Fault::field("messages", message));
        }
        let longest = ["max_completion_tokens", "max_tokens"];
        let sampling = Sampling::take(&mut fields, &longest, service.0.limits)?;
        if sampling.max_tokens == Some(0) {
            let message = "a reply of 0 tokens is none: give 1 or more";
            return Err(Fault::field("max_tokens", message));
        }
        let tell = tell(&mut fields)?;
        fields.end()?;
        Ok(Self {
            model,
            voice,
            turns: messages.into_iter().map(Turn::from).collect(),
            sampling,
            tell,
        })
    }

    async fn drafts(&self, service: &Service) -> Answer<Vec<Draft>> {
        let (voice, turns) = (self.voice, self.turns.clone());
        let encoded = service.encode(move |engine| voice.chat(engine, &turns));
        let prompt = Prompt {
            tokens: encoded.await?,
            plain: voice.is_plain(),
            tell: self.tell,
            tell_prompt: false,
        };
        self.sampling.drafts(&prompt, 0, service.context())
    }

    fn streamed(&self, service: Service, count: usize) -> Stream {
        let begin = |i: usize| piece(i, json!({"role": "assistant", "content": ""}), None, None);
        Stream {
            head: service.head("chatcmpl", "chat.completion.chunk", &self.model),
            first: (0..count).map(begin).collect(),
            shape: shape(service, self.tell.is_some()),
            usage: self.sampling.usage,
            n: count,
        }
    }

    fn choice(&self, service: &Service, index: usize, text: Whole) -> Answer<Value> {
        let engine = &service.0.engine;
        let told = match self.sampling.stop.is_empty() {
            true => text.told,
            false => told::within(engine, text.told, &text.text)?,
        };
        let told = self.tell.map(|_| told::chat(engine, &told)).transpose()?;
        Ok(json!({
            "index": index, "finish_reason": reply::finish(text.finish), "logprobs": told,
            "message": {"role": "assistant", "content": text.text, "refusal": null},
        }))
    }
}

/// How many of the likeliest tokens are told of, if anything is.
fn tell(fields: &mut Fields) -> Answer<Option<usize>> {
    let asked = fields.take::<bool>("logprobs")?.unwrap_or(false);
    match fields.take::<usize>("top_logprobs")? {
        Some(count) if count > told::MOST => Err(Fault::field(
            "top_logprobs",
            format!("top_logprobs is {count}: give 0 to {}", told::MOST),
        )),
        Some(_) if !asked => Err(Fault::field(
            "top_logprobs",
            "top_logprobs says nothing without logprobs: set logprobs to true",
        )),
        count => Ok(asked.then_some(count.unwrap_or(0))),
    }
}

fn piece(index: usize, delta: Value, told: Option<Value>, finish: Option<&str>) -> Value {
    json!({"index": index, "delta": delta, "logprobs": told, "finish_reason": finish})
}

/// A piece with what is new, and one that says how it ended.
fn shape(service: Service, tell: bool) -> Shape {
    Box::new(move |event: &Event| {
        let mut choices = Vec::new();
        if !event.text.is_empty() || !event.told.is_empty() {
            let told = match tell {
                true => Some(told::chat(&service.0.engine, &event.told)?),
                false => None,
            };
            choices.push(piece(
                event.choice,
                json!({"content": event.text}),
                told,
                None,
            ));
        }
        if let Some(Ok(finish)) = event.end.as_ref().map(|end| &end.finish) {
            let finish = reply::finish(*finish);
            choices.push(piece(event.choice, json!({}), None, Some(finish)));
        }
        Ok(choices)
    })
}
