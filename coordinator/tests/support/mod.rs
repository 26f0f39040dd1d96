//! A whole run in one process with a scripted model: real store, real queue, real worker, real coordinator.
#![allow(dead_code, reason = "each test file uses its part")]

use coordinator::{
    Brief, Briefs, Config, Deps, ModelFacts, Outcome, Retain,
    ingest::{Division, clusters, ingest},
    settings::{DatasetPlan, EvalPlan, PROPOSER, Settings, TARGET},
};
use dataset::{Format, Ratios, Source};
use domain::{
    call::{Answer, Call, Reply, Sampling, Usage},
    grade::Grader,
    hash::Hash,
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use llm::{Identity, LanguageModel, ModelError, Request, scripted::ScriptedModel};
use queue::{TaskQueue, memory::MemoryQueue};
use runtime::{clock::SystemClock, heart::Heart, shutdown::Shutdown};
use std::{
    collections::HashSet, future::Future, path::Path, pin::pin, sync::Arc, task::Poll,
    time::Duration,
};
use store::{Quota, RetryPolicy, Run, Runs, StatusChange, Store};
use store_sqlite::SqliteStore;

/// A model that was trained to rewrite.
pub const REWRITER: &str = "rewriter";

/// A model that compares answers.
pub const JUDGE: &str = "judge";

/// Everything a test needs of a run.
pub struct World {
    /// Deleted with the world.
    pub _dir: tempfile::TempDir,
    pub store: Arc<SqliteStore>,
    pub queue: Arc<dyn TaskQueue>,
    pub model: Arc<ScriptedModel>,
    pub settings: Settings,
    pub quota: Option<Quota>,
    pub run: RunId,
}

/// Questions of the test: half of them have words that the scripted model fails on.
pub fn questions(n: usize) -> String {
    let row = |i: usize| {
        let vague = if i.is_multiple_of(2) {
            "something about "
        } else {
            ""
        };
        format!(
            "\"{vague}item {i} of the long list, which letter?\",alpha {i},beta {i},gamma {i},delta {i},{}\n",
            ["A", "B", "C", "D"][i % 4]
        )
    };
    (0..n).map(row).collect()
}

/// The settings of the tests' search.
pub fn settings() -> Settings {
    let sampled = |temperature| Sampling {
        temperature,
        ..Sampling::default()
    };
    Settings {
        kind: RunKind::Optimise,
        seed: 7,
        datasets: vec![DatasetPlan {
            name: "letters".into(),
            grader: Grader::ChoiceLetter,
            hardest: 6,
        }],
        rounds: 2,
        rewrites: 2,
        operators: vec![],
        drawn: None,
        repeats: 1,
        block: 3,
        max_chars: 400,
        probe: true,
        confirm_repeats: 8,
        placebo: true,
        fdr: 0.1,
        confirm_temperature: 0.7,
        controls: 5,
        show_reference: false,
        sampling: [
            (TARGET.into(), sampled(0.0)),
            (PROPOSER.into(), sampled(0.8)),
        ]
        .into(),
        eval: EvalPlan::default(),
        trained: HashSet::from([REWRITER.to_owned()]),
        train: None,
        instruct: None,
    }
}

/// The scripted model: a function of what is asked alone. A vague question is answered wrongly; a rewrite that says
/// "clearly" is answered rightly.
pub fn script(request: &Request) -> Result<Answer, ModelError> {
    let reply = match &request.call {
        Call::Loglik { continuations, .. } => Reply::Scores {
            scores: continuations
                .iter()
                .map(|c| domain::call::Score {
                    logprob: -(c.len() as f64),
                    tokens: 1,
                })
                .collect(),
        },
        Call::Generate { messages, .. } => {
            let asked = messages
                .last()
                .map(|m| m.content.as_str())
                .unwrap_or_default();
            Reply::Text {
                text: text(asked, request.key),
            }
        }
    };
    Ok(Answer {
        reply,
        usage: Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
        },
        cost_micros: 3,
    })
}

pub fn text(asked: &str, key: Hash) -> String {
    if asked.contains("<question>") {
        let number: String = asked
            .rsplit("item ")
            .next()
            .unwrap_or("0")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let manner = if key.seed().is_multiple_of(3) {
            "clearly"
        } else {
            "roughly"
        };
        return format!(
            "<prompt>Say {manner} for item {number} of the list, variant {}</prompt>",
            key.seed() % 1000
        );
    }
    let number: usize = asked
        .split("item ")
        .nth(1)
        .map(|t| {
            t.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    let wanted = ["alpha", "beta", "gamma", "delta"][number % 4];
    let right = asked.contains("clearly")
        || !(asked.contains("something about") || asked.contains("roughly"));
    let line = asked
        .lines()
        .find(|l| l.contains(wanted) == right && l.chars().nth(1) == Some('.'));
    format!(
        "The answer is {}.",
        line.and_then(|l| l.chars().next()).unwrap_or('A')
    )
}

impl World {
    /// A world with `n` questions read.
    pub async fn new(n: usize) -> Self {
        let identity = Identity {
            key: "scripted".into(),
            name: "scripted".into(),
            scores: true,
        };
        Self::with(n, ScriptedModel::new(identity, script), Limits::default()).await
    }

    /// A world with its own model and limits.
    pub async fn with(n: usize, model: ScriptedModel, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("letters.csv");
        std::fs::write(&file, questions(n)).unwrap();
        let store = Arc::new(
            SqliteStore::open(&dir.path().join("test.db"))
                .await
                .unwrap(),
        );
        let run = create(store.as_ref(), &limits).await;
        read(store.as_ref(), run, &file).await;
        Self {
            _dir: dir,
            store,
            queue: Arc::new(MemoryQueue::new()),
            model: Arc::new(model),
            settings: settings(),
            quota: None,
            run,
        }
    }

    /// Runs the coordinator to the end of the run, killing it again and again: life n ends after so many polls, and then `died` is
    /// told. How often it died.
    pub async fn outlive(
        &self,
        most: usize,
        polls: impl Fn(usize) -> usize,
        mut died: impl FnMut(usize),
    ) -> usize {
        for life in 0..most {
            let (config, deps) = self.parts();
            let driven = coordinator::run(self.run, config, deps, Shutdown::new(), false);
            if let Some(ended) = killed_after(polls(life), driven).await {
                assert_eq!(ended.unwrap(), Outcome::Finished);
                return life;
            }
            died(life);
        }
        panic!("the run never ends")
    }

    /// What the coordinator is given.
    pub fn parts(&self) -> (Config, Deps) {
        let config = Config {
            window: 4,
            retry: RetryPolicy {
                max_attempts: 3,
                backoff: 1_000,
                max_backoff: 10_000,
            },
            hold: 100_000,
            rescue: None,
            lease: None,
            retain: Retain::default(),
        };
        let model = self.model.clone();
        let facts = ModelFacts {
            identity: model.identity().clone(),
            worst_case: Arc::new(move |call| model.worst_case(call)),
            quota: self.quota,
        };
        let deps = Deps {
            store: self.store.clone(),
            queue: self.queue.clone(),
            clock: Arc::new(SystemClock),
            briefs: self.briefs(facts),
            observer: Arc::new(|_| {}),
        };
        (config, deps)
    }

    fn briefs(&self, facts: ModelFacts) -> Briefs {
        let brief = brief(self.settings.clone(), facts);
        Arc::new(move |_| Ok(brief.clone()))
    }

    /// Starts a worker that works until the queue is closed.
    pub fn worker(&self) -> tokio::task::JoinHandle<()> {
        let model: Arc<dyn LanguageModel> = self.model.clone();
        let models = [
            (TARGET.to_owned(), model.clone()),
            (PROPOSER.to_owned(), model.clone()),
            (REWRITER.to_owned(), model),
        ]
        .into();
        let deps = worker_eval::Deps {
            queue: self.queue.clone(),
            models,
            heart: Heart::default(),
        };
        let config = worker_eval::Config {
            concurrency: 3,
            worker: "test".into(),
        };
        tokio::spawn(async move {
            worker_eval::run(config, deps, Shutdown::new())
                .await
                .unwrap();
        })
    }

    /// What `resume` does: a stopped run is set to running.
    pub async fn resume(&self) {
        for from in [RunStatus::Paused, RunStatus::Failed] {
            let change = StatusChange {
                run: self.run,
                from,
                to: RunStatus::Running,
                reason: None,
                now: 3,
            };
            self.store.set_status(&change).await.unwrap();
        }
    }

    /// Drives the run to its end, with a time limit that only a lost task reaches.
    pub async fn drive(&self, rescue: bool) -> Outcome {
        let (config, deps) = self.parts();
        let driven = coordinator::run(self.run, config, deps, Shutdown::new(), rescue);
        tokio::time::timeout(Duration::from_secs(60), driven)
            .await
            .expect("the run does not end: something was lost")
            .unwrap()
    }
}

/// What a coordinator must know of a run whose models are all the same one.
pub fn brief(settings: Settings, facts: ModelFacts) -> Brief {
    Brief {
        settings,
        models: [
            (TARGET.to_owned(), facts.clone()),
            (PROPOSER.to_owned(), facts.clone()),
            (REWRITER.to_owned(), facts.clone()),
            (JUDGE.to_owned(), facts),
        ]
        .into(),
    }
}

/// Stores a run.
pub async fn create(store: &dyn Store, limits: &Limits) -> RunId {
    let run = Run {
        id: RunId::new(),
        name: "test".into(),
        tags: vec![],
        kind: RunKind::Optimise,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".into(),
        spec_hash: Hash::of(["test"]),
        summary: None,
        created_at: 1,
        finished_at: None,
    };
    store.create_run(&run, limits).await.unwrap();
    run.id
}

/// Reads its questions.
pub async fn read(store: &dyn Store, run: RunId, file: &Path) {
    let source = Source::new("letters", Format::Mmlu, file);
    let clusters = clusters(std::slice::from_ref(&source)).unwrap();
    let ratios = Ratios::new(1.0, 0.0, 0.0).unwrap();
    let division = Division::Split {
        seed: 7,
        ratios,
        clusters,
    };
    ingest(store, run, &source, &division).await.unwrap();
}

/// Polls a future some times, then drops it: a death at an await of its own choosing.
pub async fn killed_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(out) = polled {
            return Some(out);
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    None
}
