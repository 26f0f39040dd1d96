//! What servers send back, and what of it is an answer: only a whole, willing, non-empty reply.

use super::{
    retry::{Class, Failure},
    secrets::Secrets,
};
use domain::call::{Score, Usage};
use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

#[derive(Deserialize)]
struct Chat {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Said>,
    finish_reason: Option<Finish>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    refusal: Option<String>,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    #[serde(
        alias = "eos",
        alias = "eos_token",
        alias = "stop_sequence",
        alias = "end_turn"
    )]
    Stop,
    #[serde(alias = "max_tokens")]
    Length,
    ContentFilter,
    #[serde(alias = "function_call")]
    ToolCalls,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Counts {
    /// The server's counts, and the most there can be where it gave none.
    fn or(counts: Option<Self>, most: Usage) -> Usage {
        let counts = counts.unwrap_or_default();
        // No context is that long: a larger count is a server's slip, and must not overflow a ledger.
        let sane = |n: Option<u64>, most| n.unwrap_or(most).min(u64::from(u32::MAX));
        Usage {
            prompt_tokens: sane(counts.prompt_tokens, most.prompt_tokens),
            completion_tokens: sane(counts.completion_tokens, most.completion_tokens),
        }
    }
}

/// What a call can use at most, and what may not be repeated from a server's text.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// Charged where the server gives no usage.
    pub most: Usage,
    /// Kept out of messages.
    pub secrets: &'a Secrets,
}

impl Terms<'_> {
    fn parse<T: DeserializeOwned>(&self, body: &[u8], what: &str) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|e| {
            let why = self.secrets.quote(&e.to_string());
            let text = format!("the server sent something that is not {what}: {why}");
            Failure::paid(Class::Malformed, text, self.most)
        })
    }
}

/// Reads the reply to a chat request. What was cut off or is empty is a reply only where it counts `as_it_is`.
pub(crate) fn chat(
    body: &[u8],
    terms: Terms<'_>,
    as_it_is: bool,
) -> Result<(String, Usage), Failure> {
    let reply: Chat = terms.parse(body, "the JSON of a chat completion")?;
    let usage = Counts::or(reply.usage, terms.most);
    let fail = |class, text: &str| Failure::paid(class, text, usage);
    let Some(choice) = reply.choices.into_iter().next() else {
        let said = server_text(body, terms.secrets);
        return Err(fail(
            Class::Malformed,
            &format!("the reply holds no choices: {said}"),
        ));
    };
    let message = choice.message.unwrap_or(Said {
        content: None,
        refusal: None,
    });
    if let Some(refusal) = message.refusal.filter(|r| !r.trim().is_empty()) {
        let text = format!("the model refused: {}", terms.secrets.quote(&refusal));
        return Err(fail(Class::Call, &text));
    }
    let cut = choice.finish_reason == Some(Finish::Length);
    if let Some((class, text)) = unfinished(choice.finish_reason).filter(|_| !(cut && as_it_is)) {
        return Err(fail(class, text));
    }
    match message.content {
        Some(text) if as_it_is => Ok((text, usage)),
        Some(text) if !text.trim().is_empty() => Ok((text, usage)),
        _ => Err(fail(Class::Malformed, "the reply is empty")),
    }
}

/// What is wrong with a reply that ended like this, if anything.
fn unfinished(finish: Option<Finish>) -> Option<(Class, &'static str)> {
    Some(match finish {
        Some(Finish::Stop) => return None,
        Some(Finish::Length) => (
            Class::Call,
            "the reply was cut off (finish_reason length): raise max_tokens",
        ),
        Some(Finish::ContentFilter) => (
            Class::Call,
            "the server's content filter withheld the reply: change the prompt",
        ),
        Some(Finish::ToolCalls) => (Class::Call, "the model called a tool instead of replying"),
        Some(Finish::Unknown) => (
            Class::Malformed,
            "the reply ended for an unknown reason, so it may not be whole",
        ),
        None => (
            Class::Malformed,
            "the reply has no finish_reason, so it may not be whole",
        ),
    })
}

#[derive(Deserialize)]
struct Completions {
    #[serde(default)]
    choices: Vec<Echoed>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Echoed {
    #[serde(default)]
    index: usize,
    logprobs: Option<Logprobs>,
}

/// One entry per token of the echoed text.
#[derive(Deserialize)]
struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    #[serde(default)]
    text_offset: Vec<usize>,
}

impl Logprobs {
    /// Where the continuation's tokens begin.
    ///
    /// Found from the end, by the tokens' own text: offsets count from a start that some servers put
    /// before a token of their own. A token that holds the end of the context and the beginning of the
    /// continuation counts as the continuation's. Where token texts do not add up (characters split over
    /// tokens), an offset that meets the boundary exactly is taken.
    fn boundary(&self, context: &str, continuation: &str) -> Option<usize> {
        let (mut at, mut length) = (self.tokens.len(), 0);
        while length < continuation.len() && at > 0 {
            at -= 1;
            length += self.tokens[at].len();
        }
        if self.tokens[at..].concat().ends_with(continuation) {
            return Some(at);
        }
        let characters = context.chars().count();
        self.text_offset.iter().position(|o| *o == characters)
    }

    fn score(&self, context: &str, continuation: &str) -> Option<Score> {
        if self.tokens.len() != self.token_logprobs.len() {
            return None;
        }
        let own = self
            .token_logprobs
            .get(self.boundary(context, continuation)?..)?;
        let logprob = own.iter().copied().sum::<Option<f64>>()?;
        Some(Score {
            logprob,
            tokens: own.len() as u32,
        })
    }
}

/// Reads the echo of `context` followed by each of `continuations`: one score each, in their order.
pub(crate) fn scores(
    body: &[u8],
    context: &str,
    continuations: &[String],
    terms: Terms<'_>,
) -> Result<(Vec<Score>, Usage), Failure> {
    let mut reply: Completions = terms.parse(body, "the JSON of a completion")?;
    let usage = Counts::or(reply.usage, terms.most);
    reply.choices.sort_by_key(|c| c.index);
    if reply.choices.len() != continuations.len() {
        let (got, asked) = (reply.choices.len(), continuations.len());
        let said = server_text(body, terms.secrets);
        let text = format!("the reply holds {got} choices instead of {asked}: {said}");
        return Err(Failure::paid(Class::Malformed, text, usage));
    }
    let score = |(choice, continuation): (Echoed, &String)| {
        choice.logprobs.and_then(|l| l.score(context, continuation))
    };
    let all: Option<Vec<_>> = reply
        .choices
        .into_iter()
        .zip(continuations)
        .map(score)
        .collect();
    let text = "the echoed log-probabilities are absent or do not match the text sent: \
                turn score_endpoint off, or use a server whose /completions echoes with logprobs";
    all.map(|s| (s, usage))
        .ok_or_else(|| Failure::paid(Class::Call, text, usage))
}

/// What a reply with an error status means.
pub(crate) fn refused(
    status: StatusCode,
    after: Option<Duration>,
    body: &[u8],
    secrets: &Secrets,
) -> Failure {
    let code = status.as_u16();
    let (class, way_out) = match code {
        429 if no_credit(body) => (Class::Model, "add credit, then resume"),
        408 | 409 | 425 | 429 | 500.. => (
            Class::Busy {
                after,
                throttled: code == 429,
            },
            "try again later",
        ),
        401 | 403 => (Class::Model, "check the API key and what it may use"),
        402 => (Class::Model, "add credit, then resume"),
        404 => (Class::Model, "check the base URL and the model's name"),
        300..=399 | 405 => (
            Class::Model,
            "check the base URL: it should end before /chat/completions",
        ),
        _ => (Class::Call, "change the request"),
    };
    let said = server_text(body, secrets);
    Failure::free(
        class,
        format!("the server answered {code}: {said}: {way_out}"),
    )
}

/// An exhausted account answers 429 too, but no waiting helps.
fn no_credit(body: &[u8]) -> bool {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    ["code", "type"]
        .iter()
        .any(|field| json["error"][field] == "insufficient_quota")
}

/// The server's own explanation, as one short line.
fn server_text(body: &[u8], secrets: &Secrets) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let known = [
        &json["error"]["message"],
        &json["error"],
        &json["message"],
        &json["detail"],
    ];
    let said = known
        .into_iter()
        .find_map(|v| v.as_str().map(str::to_owned));
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let said = secrets.quote(&said);
    if said.is_empty() {
        "(no explanation)".to_owned()
    } else {
        said
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
