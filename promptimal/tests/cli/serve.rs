//! A model behind OpenAI's API: the program, asked by OpenAI's own client and by hand.

use crate::{
    rewrite::{base, parrot},
    support::{Watched, block_on, done, promptimal, root, skip},
};
use model::catalogue;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const KEY: &str = "a-key-of-some-length";
const BETTER: &str = "Explain it in a few words.";

/// A server, and where it is.
struct Served {
    process: Watched,
    url: String,
}

impl Served {
    fn start(args: &[&str]) -> Self {
        let mut command = promptimal();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args);
        let process = Watched::start(&mut command);
        let mut lines = process.lines.iter();
        let said = lines.find(|line| line.starts_with("serving ")).unwrap();
        let url = said
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap();
        let url = url
            .trim_end_matches([';', '/'])
            .trim_end_matches("/v1")
            .to_owned();
        Self { process, url }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Response {
        llm::use_ring();
        let mut request = Client::new().request(method, format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn metric(&self, name: &str) -> f64 {
        let response = self.ask(Method::GET, "/metrics", None, None).await;
        let text = response.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    }

    /// Waits until a number is so, for a while.
    async fn wait_for(&self, name: &str, value: f64) {
        for _ in 0..1_500 {
            if self.metric(name).await == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "{name} does not become {value}: it is {}",
            self.metric(name).await
        );
    }

    fn end(self) {
        self.process.interrupt();
        self.process.finish().exits(0);
    }
}

/// A Python with OpenAI's client.
fn openai(dir: &Path) -> Option<PathBuf> {
    let venv = dir.join("venv");
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&venv)
        .output();
    let python = venv.join("bin/python");
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "openai==3.57.0",
    ];
    let made = made.is_ok_and(|made| made.status.success());
    let got = made
        && Command::new(&python)
            .args(install)
            .output()
            .is_ok_and(|got| got.status.success());
    if !got {
        skip("OpenAI's Python client can not be installed here (python3 -m venv, pip)");
    }
    got.then_some(python)
}

#[test]
fn openais_client_finds_what_it_expects() {
    let dir = tempfile::tempdir().unwrap();
    let Some(python) = openai(dir.path()) else {
        return;
    };
    let rewriter = parrot(dir.path(), BETTER, &[]);
    let key = dir.path().join("key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (base, adapter, key) = (text(&base()), text(&rewriter), text(&key));
    let served = Served::start(&[
        "--model",
        &base,
        "--adapter",
        &adapter,
        "--key-file",
        &key,
        "--max-tokens",
        "100",
        "--max-body",
        "100000",
    ]);
    let mut client = Command::new(python);
    client.arg(root().join("promptimal/tests/openai_client.py"));
    let said = done(client.arg(format!("{}/v1", served.url)).args([
        KEY,
        "tiny-plain",
        "rewriter",
        BETTER,
    ]));
    assert_eq!(said.exits(0).stdout, "all good\n");
    served.end();
}

#[test]
fn strangers_and_wrong_keys_are_refused() {
    let base = base();
    let args = ["--model", base.to_str().unwrap()];
    let open = Served::start(&args);
    block_on(async {
        let get = |path| open.ask(Method::GET, path, None, None);
        assert_eq!(get("/healthz").await.status(), StatusCode::OK);
        assert_eq!(get("/readyz").await.status(), StatusCode::OK);
        assert_eq!(get("/v1/models").await.status(), StatusCode::OK);
        let lost = get("/v1/engines").await;
        assert_eq!(lost.status(), StatusCode::NOT_FOUND);
        let said: Value = lost.json().await.unwrap();
        assert_eq!(said["error"]["type"], "invalid_request_error");
        // A page of another site, by a name that leads here; and a form.
        let client = Client::new();
        let strange = client
            .get(format!("{}/v1/models", open.url))
            .header("host", "evil.example");
        assert_eq!(
            strange.send().await.unwrap().status(),
            StatusCode::FORBIDDEN
        );
        let form = client
            .post(format!("{}/v1/completions", open.url))
            .body("prompt=x");
        assert_eq!(
            form.send().await.unwrap().status(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        let wrong = open
            .ask(Method::PUT, "/v1/completions", None, Some(json!({})))
            .await;
        assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    });
    open.end();

    let mut command = promptimal();
    command.args(["serve", "--listen", "0.0.0.0:0"]).args(args);
    done(&mut command)
        .exits(2)
        .complains(&["0.0.0.0:0", "--key-file", "PROMPTIMAL_SERVE_KEY"]);
    done(command.env("PROMPTIMAL_SERVE_KEY", "short"))
        .exits(2)
        .complains(&["5 characters", "openssl rand"]);
    let mut command = promptimal();
    command.args(["serve", "--model", "no/such/model"]);
    done(&mut command)
        .exits(2)
        .complains(&["--model no/such/model", "smollm2-135m-instruct"]);
}

#[test]
fn a_text_that_nobody_waits_for_is_given_up_and_who_comes_too_late_is_told_so() {
    if catalogue::locate("smollm2-135m-instruct")
        .ok()
        .flatten()
        .is_none()
    {
        return skip("the model smollm2-135m-instruct is not in the cache");
    }
    let served = Served::start(&[
        "--model",
        "smollm2-135m-instruct",
        "--rows",
        "1",
        "--queue",
        "0",
    ]);
    let ask = |stream: bool, max_tokens: usize| {
        let body = json!({
            "model": "smollm2-135m-instruct", "stream": stream, "max_tokens": max_tokens, "temperature": 1, "seed": 7,
            "messages": [{"role": "user", "content": "Count from one to a thousand, in words."}],
        });
        served.ask(Method::POST, "/v1/chat/completions", None, Some(body))
    };
    block_on(async {
        // Streamed, and whole.
        let mut streamed = ask(true, 1024).await;
        assert_eq!(streamed.headers()["content-type"], "text/event-stream");
        let begun = streamed.chunk().await.unwrap().unwrap();
        assert!(begun.starts_with(b"data: "), "{begun:?}");
        served.wait_for("promptimal_serve_texts", 1.0).await;
        let late = ask(false, 1).await;
        assert_eq!(late.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = late.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=60).contains(&wait));
        let said: Value = late.json().await.unwrap();
        assert_eq!(said["error"]["type"], "rate_limit_error");
        drop(streamed);
        served
            .wait_for("promptimal_serve_ended_total{end=\"cancelled\"}", 1.0)
            .await;

        let whole = tokio::time::timeout(Duration::from_secs(2), ask(false, 1024));
        assert!(
            whole.await.is_err(),
            "a thousand tokens in two seconds: this test needs a longer text"
        );
        served
            .wait_for("promptimal_serve_ended_total{end=\"cancelled\"}", 2.0)
            .await;
        served.wait_for("promptimal_serve_texts", 0.0).await;
        assert_eq!(ask(false, 1).await.status(), StatusCode::OK);
    });
    served.end();
}
