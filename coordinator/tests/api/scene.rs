//! A coordinator's API, and the loops behind it where a test wants them.

use crate::support;
use coordinator::{
    Brief, Briefs, Config, Deps, ModelFacts, Retain,
    api::{self, Api, DataRoot, Token, Trust},
    intake::StoredSpec,
    reading,
    settings::{PROPOSER, TARGET},
};
use llm::{ErrorKind, Identity, LanguageModel, ModelError, scripted::ScriptedModel};
use queue::memory::MemoryQueue;
use reqwest::{Method, Response, StatusCode};
use runtime::{clock::SystemClock, heart::Heart, service, shutdown::Shutdown};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{RetryPolicy, Store};
use store_sqlite::SqliteStore;

/// How the API is started.
#[derive(Clone, Copy, Default)]
pub struct Start {
    pub token: Option<&'static str>,
    pub no_root: bool,
    pub trust: bool,
}

pub struct Scene {
    pub dir: tempfile::TempDir,
    pub store: Arc<SqliteStore>,
    pub queue: Arc<MemoryQueue>,
    pub at: SocketAddr,
    pub http: reqwest::Client,
    pub shutdown: Shutdown,
    /// Whether the model's server is down.
    pub down: Arc<AtomicBool>,
    /// Reads data, where nothing else is behind the API.
    pub reading: tokio::task::JoinHandle<()>,
    token: Option<&'static str>,
}

/// A token for tests.
pub const TOKEN: &str = "correct horse battery staple";

impl Scene {
    pub async fn new() -> Self {
        Self::start(Start::default()).await
    }

    /// With data below a data root, and nothing behind the API that does more than read them.
    pub async fn start(start: Start) -> Self {
        llm::use_ring();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let questions = support::questions(16);
        std::fs::write(dir.path().join("data/letters.csv"), questions).unwrap();
        let store = SqliteStore::open(&dir.path().join("test.db")).await;
        let store = Arc::new(store.unwrap());
        let (queue, shutdown) = (Arc::new(MemoryQueue::new()), Shutdown::new());
        let root = DataRoot::new(&dir.path().join("data")).unwrap();
        let at = serve(
            Api {
                store: store.clone(),
                queue: queue.clone(),
                clock: Arc::new(SystemClock),
                data_root: (!start.no_root).then_some(root),
                trust: match start.trust {
                    true => Trust::Graders,
                    false => Trust::Calls,
                },
                shutdown: shutdown.clone(),
                poll: Duration::from_millis(5),
            },
            start.token,
        )
        .await;
        let reading = reading::run(store.clone(), Arc::new(SystemClock));
        let reading = tokio::spawn(async { reading.await.unwrap() });
        Self {
            dir,
            store,
            queue,
            at,
            http: reqwest::Client::new(),
            shutdown,
            down: Arc::default(),
            reading,
            token: start.token,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).json(&body);
        answer(request.send().await.unwrap()).await
    }

    /// Submits the usual spec, and waits until its data are read.
    pub async fn submitted(&self) -> String {
        let (status, answer) = self.post("/v1/runs", json!({ "spec": spec("") })).await;
        assert_eq!(status, 201, "{answer}");
        let id = answer["run"].as_str().unwrap().to_owned();
        self.wait(&id, "running").await;
        id
    }

    /// Waits until a run has a status.
    pub async fn wait(&self, run: &str, status: &str) -> Value {
        for _ in 0..3_000 {
            let (_, answer) = self.get(&format!("/v1/runs/{run}")).await;
            if answer["status"] == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (_, answer) = self.get(&format!("/v1/runs/{run}")).await;
        panic!("never {status}: {answer}");
    }

    /// What other processes are: a coordinator's loops, and a worker.
    pub fn work(&self) {
        self.reading.abort();
        let down = self.down.clone();
        let model = ScriptedModel::new(identity(), move |request| {
            match down.load(Ordering::Relaxed) {
                true => Err(ModelError::new(
                    ErrorKind::Retry { after: None },
                    "the server is down",
                )),
                false => support::script(request),
            }
        });
        let model: Arc<dyn LanguageModel> = Arc::new(model);
        let deps = self.deps(model.clone());
        tokio::spawn(coordinator::serve(config(), deps, self.shutdown.clone()));
        let deps = worker_eval::Deps {
            queue: self.queue.clone(),
            models: [("any".to_owned(), model)].into(),
            heart: Heart::default(),
        };
        let config = worker_eval::Config {
            concurrency: 3,
            worker: "test".into(),
        };
        tokio::spawn(worker_eval::run(config, deps, self.shutdown.clone()));
    }

    /// What a coordinator here is given.
    pub fn deps(&self, model: Arc<dyn LanguageModel>) -> Deps {
        Deps {
            store: self.store.clone() as Arc<dyn Store>,
            queue: self.queue.clone(),
            clock: Arc::new(SystemClock),
            briefs: briefs(model),
            observer: Arc::new(|_| {}),
        }
    }

    /// A run that is finished.
    pub async fn finished(&self) -> String {
        self.work();
        let id = self.submitted_now().await;
        self.wait(&id, "finished").await;
        id
    }

    pub async fn submitted_now(&self) -> String {
        let (status, answer) = self.post("/v1/runs", json!({ "spec": spec("") })).await;
        assert_eq!(status, 201, "{answer}");
        answer["run"].as_str().unwrap().to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.shutdown.request_stop();
    }
}

/// Serves an API as the program does.
pub async fn serve(api: Api, token: Option<&str>) -> SocketAddr {
    let shutdown = api.shutdown.clone();
    let routes = api::guarded(api::router(api), token.map(Token::new));
    let server = service::serve("127.0.0.1:0".parse().unwrap(), routes, shutdown);
    server.await.unwrap().at
}

pub fn config() -> Config {
    Config {
        window: 6,
        retry: RetryPolicy {
            max_attempts: 2,
            backoff: 1_000,
            max_backoff: 2_000,
        },
        hold: 1_000_000,
        rescue: None,
        lease: None,
        retain: Retain::default(),
    }
}

fn briefs(model: Arc<dyn LanguageModel>) -> Briefs {
    let facts = ModelFacts {
        identity: model.identity().clone(),
        worst_case: Arc::new(move |call| model.worst_case(call)),
        quota: None,
    };
    Arc::new(move |run| {
        let stored = StoredSpec::of(run).map_err(|e| e.to_string())?;
        let names = [TARGET, PROPOSER].map(str::to_owned);
        Ok(Brief {
            settings: stored.settings(run.kind),
            models: names.into_iter().map(|n| (n, facts.clone())).collect(),
        })
    })
}

/// A model that answers as the script says.
pub fn model() -> Arc<dyn LanguageModel> {
    Arc::new(ScriptedModel::new(identity(), support::script))
}

fn identity() -> Identity {
    Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    }
}

pub async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    (status, value)
}

/// The sentence of an error.
#[track_caller]
pub fn sentence(answer: &Value) -> &str {
    answer["error"]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("no sentence in {answer}"))
}

/// The usual spec, with more at its end.
pub fn spec(more: &str) -> String {
    spec_on("letters.csv", more)
}

/// The same on other data.
pub fn spec_on(path: &str, more: &str) -> String {
    format!(
        r#"
[run]
name = "letters"
tags = ["test"]
seed = 7

[[datasets]]
name = "letters"
format = "mmlu"
path = "{path}"
grader = {{ kind = "choice_letter" }}

[splits]
train = 1.0
validation = 0.0
test = 0.0

[models.target]
kind = "http"
base_url = "http://127.0.0.1:9/v1"
model = "mock"
score_endpoint = true

[search]
hardest = 4
rewrites = 2
rounds = 1
block = 3

[confirm]
repeats = 8
{more}"#
    )
}
