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

    fn end(self) {
        self.process.interrupt();
        self.process.finish().exits(0);
    }
}

/// A Python with OpenAI's client.
fn openai() -> Option<PathBuf> {
    let mut script = Command::new(root().join("scripts/oracles/python"));
    let found = script.arg("openai").output().unwrap();
    if !found.status.success() {
        skip("OpenAI's Python client cannot be installed here (python3 -m venv, pip)");
        return None;
    }
    let path = String::from_utf8(found.stdout).unwrap();
    Some(PathBuf::from(path.trim()))
}

#[test]
fn openais_client_finds_what_it_expects() {
    let Some(python) = openai() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
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
fn whoever_lacks_the_key_is_told_how_to_show_it_and_the_key_is_nowhere() {
    let (base, dir) = (base(), tempfile::tempdir().unwrap());
    let key = dir.path().join("key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let served = Served::start(&[
        "--model",
        base.to_str().unwrap(),
        "--key-file",
        key.to_str().unwrap(),
    ]);
    block_on(async {
        for wrong in [None, Some("a-key-of-some-lengtH")] {
            let refused = served.ask(Method::GET, "/v1/models", wrong, None).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(refused.headers()["www-authenticate"], "Bearer");
            let error = &refused.json::<Value>().await.unwrap()["error"];
            assert_eq!(error["code"], "invalid_api_key");
            assert_eq!(error["type"], "authentication_error");
            assert!(
                error["message"]
                    .as_str()
                    .unwrap()
                    .contains("Authorization: Bearer")
            );
        }
        let shown = served.ask(Method::GET, "/v1/models", Some(KEY), None).await;
        assert_eq!(shown.status(), StatusCode::OK);
        assert!(!shown.text().await.unwrap().contains(KEY));
        // What watches the process needs no key; what it counts does.
        let alive = served.ask(Method::GET, "/readyz", None, None).await;
        assert_eq!(alive.status(), StatusCode::OK);
        let counted = served.ask(Method::GET, "/metrics", None, None).await;
        assert_eq!(counted.status(), StatusCode::UNAUTHORIZED);
    });
    served.process.interrupt();
    let said = served.process.finish().exits(0);
    assert!(!said.stderr.contains(KEY) && !said.stdout.contains(KEY));
}

/// What becomes of one text that its caller leaves: whether it was given up, and not over before.
async fn left(served: &Served, (stream, seed): (bool, u64)) -> bool {
    const GIVEN_UP: &str = "promptimal_serve_ended_total{end=\"cancelled\"}";
    let ask = |stream: bool, max_tokens: usize| {
        let body = json!({
            "model": "smollm2-135m-instruct", "stream": stream, "max_tokens": max_tokens, "temperature": 1, "seed": seed,
            "messages": [{"role": "user", "content": "Count from one to a thousand, in words."}],
        });
        served.ask(Method::POST, "/v1/chat/completions", None, Some(body))
    };
    let before = served.metric(GIVEN_UP).await;
    let mut long = Box::pin(ask(stream, 1_024));
    let mut begun = None;
    // Until it is in hand, or over.
    while begun.is_none() && served.metric("promptimal_serve_texts").await < 1.0 {
        tokio::select! {
            answered = &mut long => begun = Some(answered),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    if stream {
        let mut answered = match begun {
            Some(answered) => answered,
            None => long.as_mut().await,
        };
        assert_eq!(answered.headers()["content-type"], "text/event-stream");
        let first = answered.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"data: "), "{first:?}");
        let late = ask(false, 1).await;
        // A text that is over already has made room.
        if late.status() != StatusCode::OK {
            refused(late).await;
        }
        drop(answered);
    }
    drop(long);
    // Its place, the only one, comes free, however it ended.
    while ask(false, 1).await.status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.metric(GIVEN_UP).await > before
}

/// Who finds no place is told when to come again.
async fn refused(late: Response) {
    assert_eq!(late.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = late.headers()["retry-after"].to_str().unwrap();
    assert!((1..=60).contains(&wait.parse::<u64>().unwrap()));
    let said: Value = late.json().await.unwrap();
    assert_eq!(said["error"]["type"], "rate_limit_error");
    assert!(
        said["error"]["message"]
            .as_str()
            .unwrap()
            .contains("--queue")
    );
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
    let options = "--model smollm2-135m-instruct --rows 1 --queue 0";
    let served = Served::start(&options.split(' ').collect::<Vec<_>>());
    block_on(async {
        for stream in [true, false] {
            // A text may be over before it is left: then another one is tried. Where nothing is given up, all are.
            let mut given_up = false;
            for seed in 1..=8 {
                given_up = given_up || left(&served, (stream, seed)).await;
            }
            assert!(given_up, "streamed: {stream}");
        }
        let refused = "promptimal_serve_ended_total{end=\"refused\"}";
        assert!(served.metric(refused).await > 0.0);
    });
    served.end();
}
