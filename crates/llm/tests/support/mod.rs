//! A real chat server process for tests, and calls for it.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot start its server should panic"
)]

use domain::{
    call::{Answer, Call, Message, Reply, Sampling},
    hash::Hash,
};
use llm::{
    ModelError, Request,
    http::{HttpModel, HttpOptions},
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The key that must never be seen.
pub const KEY: &str = "sk-test-0123456789abcdef";

/// `chat_server.py` in a process of its own; ended when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

#[derive(serde::Deserialize)]
pub struct Stats {
    /// Most calls inside at once.
    pub peak: usize,
    /// How often each text came.
    pub seen: BTreeMap<String, usize>,
}

impl Server {
    pub fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
        }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Options with little patience, so that tests end soon.
    pub fn options(&self) -> HttpOptions {
        let mut options = HttpOptions::new(self.base_url(), "test-model");
        options.api_key = Some(KEY.into());
        options.call_timeout = Duration::from_secs(20);
        options.retries = 3;
        options
    }

    pub fn model(&self) -> HttpModel {
        HttpModel::new(self.options()).unwrap()
    }

    pub async fn stats(&self) -> Stats {
        llm::use_ring();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/stats", self.port);
        let reply = client.get(url).send().await.unwrap();
        reply.json().await.unwrap()
    }

    /// How often a text came.
    pub async fn seen(&self, text: &str) -> usize {
        self.stats().await.seen.get(text).copied().unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request for a reply to a text.
pub fn request(text: &str) -> Request {
    let messages = vec![Message::system("be brief"), Message::user(text)];
    let sampling = Sampling {
        max_tokens: 40,
        ..Sampling::default()
    };
    Request {
        key: Hash::of([text]),
        call: Call::Generate { messages, sampling },
    }
}

/// A request to score continuations of a text.
pub fn score(prefix: &str, continuations: &[&str]) -> Request {
    let continuations: Vec<_> = continuations.iter().map(|c| (*c).to_owned()).collect();
    let call = Call::Loglik {
        messages: vec![],
        prefix: prefix.to_owned(),
        continuations,
    };
    Request {
        key: Hash::of([prefix]),
        call,
    }
}

/// The text of an answer.
pub fn text(answer: &Result<Answer, ModelError>) -> &str {
    match answer {
        Ok(Answer {
            reply: Reply::Text { text },
            ..
        }) => text,
        other => panic!("not a text: {other:?}"),
    }
}
