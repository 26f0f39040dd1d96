//! `POST /v1/completions`: bare text that is written on, and how probable its tokens are.
//!
//! Nothing in a prompt of words becomes a special token; a prompt of tokens may hold any.

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
use model::{Draft, Engine};
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest text where nothing is said, as OpenAI has it.
const MAX_TOKENS: usize = 16;
/// How many of the likeliest tokens may be asked for, as OpenAI has it.
const MOST: usize = 5;

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "it is a text, a list of tokens, or a list of either"
)]
enum Asked {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// A prompt: its words, and its tokens.
#[derive(Clone)]
struct Source {
    text: String,
    tokens: Vec<u32>,
}

/// What is asked for, beside the prompts.
struct How {
    model: String,
    voice: Voice,
    sampling: Sampling,
    echo: bool,
    tell: Option<usize>,
}

/// Writes texts on.
pub async fn create(State(service): State<Service>, mut fields: Fields) -> Answer<Response> {
    let asked: Asked = fields.need("prompt")?;
    let how = How::take(&service, fields)?;
    let sources = service.encode(move |engine| sources(engine, asked)).await?;
    let drafts = how.drafts(&service, &sources)?;
    let manner = Manner {
        stream: how.sampling.stream,
        trim: false,
    };
    let (count, n) = (drafts.len(), how.sampling.n);
    let events = service.0.desk.place(drafts, manner)?;
    let head = service.head("cmpl", "text_completion", &how.model);
    let usage = how.sampling.usage;
    let echoed = how.echoed(service, sources);
    if manner.stream {
        let stream = Stream {
            head,
            first: Vec::new(),
            shape: echoed.shape(count),
            usage,
            n,
        };
        return Ok(stream.of(events));
    }
    let (texts, usage) = reply::whole(events, count, n).await?;
    let texts = texts.into_iter().enumerate();
    let choices = texts.map(|(index, text)| echoed.choice(index, text));
    let choices = choices.collect::<Answer<Vec<Value>>>()?;
    Ok(Reply::new(&head, choices, Some(usage)).into_response())
}

impl How {
    fn take(service: &Service, mut fields: Fields) -> Answer<Self> {
        let model: String = fields.need("model")?;
        let voice = service.voice(&model)?;
        let limits = service.0.limits;
        let mut sampling = Sampling::take(&mut fields, &["max_tokens"], limits)?;
        sampling.unless = MAX_TOKENS.min(limits.max_tokens);
        let echo = fields.take("echo")?.unwrap_or(false);
        let tell = tell(&mut fields)?;
        best_of(&mut fields, sampling.n)?;
        fields.end()?;
        if sampling.max_tokens == Some(0) && !echo {
            let message = "max_tokens is 0, which writes nothing: give 1 or more, or echo";
            return Err(Fault::field("max_tokens", message));
        }
        Ok(Self {
            model,
            voice,
            sampling,
            echo,
            tell,
        })
    }

    fn drafts(&self, service: &Service, sources: &[Source]) -> Answer<Vec<Draft>> {
        let (count, rows) = (sources.len() * self.sampling.n, service.0.limits.rows);
        if count == 0 || count > rows {
            let message =
                format!("there are {count} texts to write: 1 to {rows} can be asked for at once");
            return Err(Fault::field("prompt", message));
        }
        // What is echoed and not gone on from has to be read for something.
        let weighs = self.tell.is_some() || self.sampling.max_tokens == Some(0);
        let mut drafts = Vec::with_capacity(count);
        for source in sources {
            let prompt = Prompt {
                tokens: source.tokens.clone(),
                plain: self.voice.is_plain(),
                tell: self.tell,
                tell_prompt: self.echo && weighs,
            };
            drafts.extend(
                self.sampling
                    .drafts(&prompt, drafts.len(), service.context())?,
            );
        }
        Ok(drafts)
    }

    fn echoed(self, service: Service, sources: Vec<Source>) -> Echoed {
        Echoed {
            service,
            sources,
            echo: self.echo,
            tell: self.tell,
            stops: !self.sampling.stop.is_empty(),
            n: self.sampling.n,
        }
    }
}

fn tell(fields: &mut Fields) -> Answer<Option<usize>> {
    match fields.take::<usize>("logprobs")? {
        Some(count) if count > MOST => Err(Fault::field(
            "logprobs",
            format!("logprobs is {count}: give 0 to {MOST}"),
        )),
        count => Ok(count),
    }
}

/// To write more texts than are shown is not supported.
fn best_of(fields: &mut Fields, n: usize) -> Answer<()> {
    match fields.take::<usize>("best_of")? {
        Some(best) if best != n => Err(Fault::field(
            "best_of",
            format!("best_of is {best} and n is {n}: all texts that are written are shown"),
        )),
        _ => Ok(()),
    }
}

fn sources(engine: &Engine, asked: Asked) -> Answer<Vec<Source>> {
    let wrong = |e: model::Error| Fault::field("prompt", e.to_string());
    let of_text = |text: String| -> Answer<Source> {
        let tokens = engine.encode_bare(&text).map_err(wrong)?;
        Ok(Source { text, tokens })
    };
    let of_tokens = |tokens: Vec<u32>| -> Answer<Source> {
        engine.check_tokens(&tokens).map_err(wrong)?;
        let text = engine.tokeniser().decode(&tokens).map_err(wrong)?;
        Ok(Source { text, tokens })
    };
    let sources: Vec<Source> = match asked {
        Asked::Text(text) => vec![of_text(text)?],
        Asked::Tokens(tokens) => vec![of_tokens(tokens)?],
        Asked::Texts(texts) => texts.into_iter().map(of_text).collect::<Answer<_>>()?,
        Asked::TokenLists(lists) => lists.into_iter().map(of_tokens).collect::<Answer<_>>()?,
    };
    match sources.iter().all(|source| !source.tokens.is_empty()) {
        true => Ok(sources),
        false => Err(Fault::field(
            "prompt",
            "a prompt is empty, and the model has no token that starts a text",
        )),
    }
}

/// How texts are shown: after their prompts, or alone.
struct Echoed {
    service: Service,
    sources: Vec<Source>,
    echo: bool,
    tell: Option<usize>,
    /// Whether a stop text may have ended a text.
    stops: bool,
    n: usize,
}

impl Echoed {
    fn choice(&self, index: usize, mut whole: Whole) -> Answer<Value> {
        let engine = &self.service.0.engine;
        let source = &self.sources[index / self.n];
        if self.stops {
            whole.told = told::within(engine, whole.told, &whole.text)?;
        }
        let mut told = whole.told_prompt;
        told.extend(whole.told);
        let first = self.echo.then(|| source.tokens[0]);
        let told = self.tell.map(|_| told::completion(engine, first, &told, 0));
        let text = match self.echo {
            true => format!("{}{}", source.text, whole.text),
            false => whole.text,
        };
        let told = told.transpose()?.map(|(told, _)| told);
        Ok(json!({
            "index": index, "text": text, "logprobs": told, "finish_reason": reply::finish(whole.finish),
        }))
    }

    /// The prompt comes with the first piece of a text, where it is echoed, and all that is told of it.
    fn shape(self, count: usize) -> Shape {
        // What was shown of each text: whether it began, and how many characters.
        let mut shown = vec![(false, 0_usize); count];
        Box::new(move |event: &Event| {
            let engine = &self.service.0.engine;
            let source = &self.sources[event.choice / self.n];
            let (begun, offset) = &mut shown[event.choice];
            let echo = self.echo && !*begun;
            let mut told = match (&event.prompt, echo) {
                (Some(prompt), true) => prompt.clone(),
                _ => Vec::new(),
            };
            told.extend(event.told.iter().cloned());
            let told = match self.tell {
                None => None,
                Some(_) => {
                    let first = echo.then(|| source.tokens[0]);
                    let (told, end) = told::completion(engine, first, &told, *offset)?;
                    *offset = end;
                    Some(told)
                }
            };
            let text = match echo {
                true => format!("{}{}", source.text, event.text),
                false => event.text.clone(),
            };
            *begun = true;
            let finish = event.end.as_ref().map(|end| &end.finish);
            let finish = finish
                .and_then(|finish| finish.as_ref().ok())
                .map(|f| reply::finish(*f));
            Ok(vec![json!({
                "index": event.choice, "text": text, "logprobs": told, "finish_reason": finish,
            })])
        })
    }
}
