//! The bodies we post, serialised straight from the call: nothing is copied on the way.

use bytes::Bytes;
use domain::call::{Message, Sampling};
use serde::Serialize;

/// `POST /chat/completions`.
///
/// `temperature` and `top_p` are always sent: where they are absent some servers take the defaults of
/// the model's own files, and the answer would no longer be a function of the call.
#[derive(Serialize)]
pub(crate) struct Chat<'a> {
    model: &'a str,
    messages: &'a [Message],
    max_tokens: u32,
    temperature: f64,
    top_p: f64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u32>,
}

impl<'a> Chat<'a> {
    /// The body for one reply.
    pub fn new(
        model: &'a str,
        messages: &'a [Message],
        sampling: &'a Sampling,
        seed: Option<u64>,
    ) -> Self {
        Self {
            model,
            messages,
            max_tokens: sampling.max_tokens,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            stop: &sampling.stop,
            // 31 bits: what every server takes, whatever integer it parses into.
            seed: seed.map(|s| (s & 0x7fff_ffff) as u32),
        }
    }
}

/// `POST /completions` that writes nothing and echoes its prompts with their log-probabilities.
#[derive(Serialize)]
pub(crate) struct Echo<'a> {
    model: &'a str,
    prompt: &'a [String],
    max_tokens: u32,
    temperature: f64,
    echo: bool,
    logprobs: u32,
}

impl<'a> Echo<'a> {
    /// The body that scores some texts.
    pub fn new(model: &'a str, prompt: &'a [String]) -> Self {
        Self {
            model,
            prompt,
            max_tokens: 0,
            temperature: 0.0,
            echo: true,
            logprobs: 1,
        }
    }
}

/// The bare text that a scored call begins with: its messages and its prefix, a blank line between two.
pub(crate) fn context(messages: &[Message], prefix: &str) -> String {
    let mut text = String::with_capacity(prefix.len() + 64);
    for message in messages {
        text.push_str(&message.content);
        text.push_str("\n\n");
    }
    text.push_str(prefix);
    text
}

/// JSON, in a buffer that retries share.
pub(crate) fn json(body: &impl Serialize, about: usize) -> Result<Bytes, serde_json::Error> {
    let mut buffer = Vec::with_capacity(about + about / 8 + 256);
    serde_json::to_writer(&mut buffer, body)?;
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &impl Serialize) -> String {
        String::from_utf8(json(body, 0).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_chat_body() {
        let messages = [Message::system("be \"brief\""), Message::user("hi\n")];
        let mut sampling = Sampling {
            max_tokens: 9,
            ..Sampling::default()
        };
        assert_eq!(
            text(&Chat::new("m", &messages, &sampling, None)),
            r#"{"model":"m","messages":[{"role":"system","content":"be \"brief\""},{"role":"user","content":"hi\n"}],"max_tokens":9,"temperature":0.0,"top_p":1.0}"#
        );
        sampling.stop = vec!["\n".into()];
        assert_eq!(
            text(&Chat::new("m", &[], &sampling, Some(u64::MAX))),
            r#"{"model":"m","messages":[],"max_tokens":9,"temperature":0.0,"top_p":1.0,"stop":["\n"],"seed":2147483647}"#
        );
    }

    #[test]
    fn an_echo_body() {
        let prompt = ["a b".to_owned(), "a c".to_owned()];
        assert_eq!(
            text(&Echo::new("m", &prompt)),
            r#"{"model":"m","prompt":["a b","a c"],"max_tokens":0,"temperature":0.0,"echo":true,"logprobs":1}"#
        );
    }

    #[test]
    fn a_conversation_as_bare_text() {
        assert_eq!(context(&[], "1 + 1 ="), "1 + 1 =");
        assert_eq!(
            context(&[Message::system("S"), Message::user("U")], "p"),
            "S\n\nU\n\np"
        );
    }
}
