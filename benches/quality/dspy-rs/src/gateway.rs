//! The gateway, asked without dspy-rs's client between.
//!
//! `LM::call` takes the first message for the system's turn and always sends one, where this model follows no instruction; it
//! does not say how long a reply may be; and an empty reply is an error for it. An adapter may ask in another way, and ours do.

use anyhow::{Context, Result, bail};
use dspy_rs::{Chat, LM};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Questions at once: as many as the model has in hand. GEPA would send a whole validation set, of which much would still be
/// under way when the calls are used up.
const TOGETHER: usize = 16;

/// Calls of the target are used up: an end, not a failure.
#[derive(Debug)]
pub struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the calls are used up")
    }
}

impl std::error::Error for Ended {}

/// One client for all that is asked. It asks once: the gateway counts each question.
#[derive(Clone)]
pub struct Gateway {
    client: reqwest::Client,
    room: Arc<Semaphore>,
}

impl Gateway {
    pub fn new() -> Result<Self> {
        // It is on this machine, whatever proxy the environment names.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let room = Arc::new(Semaphore::new(TOGETHER));
        Ok(Self { client, room })
    }

    /// What a model replies. One that cannot read a question, because it is too long, replies nothing.
    pub async fn ask(&self, lm: &LM, chat: &Chat) -> Result<String> {
        let _place = self.room.acquire().await?;
        let base = lm.base_url.as_deref().context("a model without an URL")?;
        let question = json!({
            "model": lm.model, "messages": chat.to_json(),
            "temperature": lm.temperature, "max_tokens": lm.max_tokens,
        });
        let (status, said) = self
            .post(&format!("{base}/chat/completions"), &question)
            .await?;
        match status {
            StatusCode::OK => Ok(said["choices"][0]["message"]["content"]
                .as_str()
                .context("a reply without content")?
                .to_owned()),
            StatusCode::BAD_REQUEST => Ok(String::new()),
            StatusCode::PAYMENT_REQUIRED => Err(Ended.into()),
            _ => bail!("the gateway says {status}: {said}"),
        }
    }

    pub async fn post(&self, url: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let request = self.client.post(url).body(body.to_string());
        let reply = request.header("Content-Type", "application/json").send();
        let reply = reply
            .await
            .with_context(|| format!("no reply from {url}"))?;
        let status = reply.status();
        Ok((status, serde_json::from_slice(&reply.bytes().await?)?))
    }
}
