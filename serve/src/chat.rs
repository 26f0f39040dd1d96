//! `POST /v1/chat/completions`

use crate::{
    Service,
    desk::{Event, Manner},
    fault::{Answer, Fault},
    fields::Fields,
    reply::{self, Reply},
    sampling::{Prompt, Sampling},
    stream::{Shape, Stream},
    told,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use model::Turn;
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

/// Writes the reply to a conversation.
pub async fn create(State(service): State<Service>, mut fields: Fields) -> Answer<Response> {
    let model: String = fields.need("model")?;
    let voice = service.voice(&model)?;
    let messages: Vec<Message> = fields.need("messages")?;
    if messages.is_empty() {
        return Err(Fault::field(
            "messages",
            "messages is empty: give one at least",
        ));
    }
    let longest = ["max_completion_tokens", "max_tokens"];
    let sampling = Sampling::take(&mut fields, &longest, service.0.limits)?;
    let tell = tell(&mut fields)?;
    fields.end()?;
    let turns: Vec<Turn> = messages.into_iter().map(Turn::from).collect();
    let tokens = service
        .encode(move |engine| voice.chat(engine, &turns))
        .await?;
    let prompt = Prompt {
        tokens,
        plain: voice.is_plain(),
        tell,
        tell_prompt: false,
    };
    let context = service.0.engine.description().context;
    let drafts = sampling.drafts(&prompt, 0, (service.0.limits, context))?;
    let manner = Manner {
        stream: sampling.stream,
        // The spaces around a rewrite belong to the words that it was trained in.
        trim: !voice.is_plain(),
    };
    let count = drafts.len();
    let events = service.0.desk.place(drafts, manner)?;
    if sampling.stream {
        let begin = |i: usize| piece(i, json!({"role": "assistant", "content": ""}), None, None);
        let stream = Stream {
            head: service.head("chatcmpl", "chat.completion.chunk", &model),
            first: (0..count).map(begin).collect(),
            shape: shape(service, tell.is_some()),
            usage: sampling.usage,
            n: count,
        };
        return Ok(stream.of(events));
    }
    let (texts, usage) = reply::whole(events, count, count).await?;
    let stops = !sampling.stop.is_empty();
    let mut choices = Vec::with_capacity(count);
    for (index, text) in texts.into_iter().enumerate() {
        let told = match stops {
            true => told::within(&service.0.engine, text.told, &text.text)?,
            false => text.told,
        };
        let told = tell
            .map(|_| told::chat(&service.0.engine, &told))
            .transpose()?;
        choices.push(json!({
            "index": index, "finish_reason": reply::finish(text.finish), "logprobs": told,
            "message": {"role": "assistant", "content": text.text, "refusal": null},
        }));
    }
    let head = service.head("chatcmpl", "chat.completion", &model);
    let usage = Some(usage);
    Ok(Json(Reply {
        head: &head,
        choices,
        usage,
    })
    .into_response())
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
