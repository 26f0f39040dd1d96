//! The line that ours is held to: a loop over reqwest that asks, parses the reply, compares it, and keeps nothing.

use crate::{measure, question};
use anyhow::Context;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::time::Instant;

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Chat {
    model: &'static str,
    messages: [Message; 1],
    max_tokens: u32,
    temperature: f64,
    seed: u64,
}

#[derive(Deserialize)]
struct Reply {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: String,
}

/// Asks `n` questions, `c` at a time, and prints what it took.
pub fn main(url: &str, n: usize, c: usize) -> anyhow::Result<()> {
    llm::use_ring();
    let begun = Instant::now();
    let right = crate::runtime()?.block_on(ask(format!("{url}/chat/completions"), n, c))?;
    anyhow::ensure!(right == n, "{right} of {n} answers are right");
    let report = serde_json::json!({ "took": { "wall_s": begun.elapsed().as_secs_f64() }, "used": measure::used() });
    println!("{report}");
    Ok(())
}

async fn ask(url: String, n: usize, c: usize) -> anyhow::Result<usize> {
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(c)
        .tcp_nodelay(true)
        .build()?;
    let asked = (0..n).map(|i| {
        let (client, url) = (client.clone(), url.clone());
        // A task each, so that every core is used: the fastest of the usual ways to write this.
        async move { tokio::spawn(one(client, url, i)).await? }
    });
    let mut answers = stream::iter(asked).buffer_unordered(c);
    let mut right = 0;
    while let Some(answer) = answers.next().await {
        right += usize::from(answer? == "A");
    }
    Ok(right)
}

async fn one(client: reqwest::Client, url: String, i: usize) -> anyhow::Result<String> {
    let message = Message {
        role: "user",
        content: question(i),
    };
    let chat = Chat {
        model: "mock",
        messages: [message],
        max_tokens: 256,
        temperature: 0.0,
        seed: i as u64,
    };
    let sent = client.post(&url).json(&chat).send().await?;
    let reply: Reply = sent.error_for_status()?.json().await?;
    let first = reply.choices.into_iter().next();
    Ok(first.context("a reply without choices")?.message.content)
}
