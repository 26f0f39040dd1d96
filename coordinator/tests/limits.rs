//! Limits over a whole cluster, seen by the server that is called: whoever dies, it never sees more than was allowed.
//!
//! With `PROMPTIMAL_SABOTAGE=grant` the first test fails, with `decline` both.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[path = "limits/server.rs"]
mod server;
#[path = "support/services.rs"]
mod services;
mod support;

use coordinator::{
    Config, Deps, Lease, ModelFacts,
    settings::{EvalPlan, NamedPrompt, Settings},
};
use domain::{
    hash::Hash,
    ids::RunId,
    prompt::PromptDoc,
    run::{Limits, RunKind, RunStatus},
};
use llm::{
    LanguageModel,
    http::{HttpModel, HttpOptions},
};
use queue::{TaskQueue, amqp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runtime::{clock::SystemClock, heart::Heart, shutdown::Shutdown};
use server::Server;
use std::{sync::Arc, time::Duration};
use store::{Quota, RescuePolicy, Results, RetryPolicy, Run, Runs, Tasks, Waits};
use store_postgres::PostgresStore;
use support::{brief, settings};
use tokio::task::JoinHandle;

/// What every process of the cluster is started with.
#[derive(Clone)]
struct Site {
    database: String,
    broker: amqp::Config,
    server: Arc<Server>,
    runs: Vec<RunId>,
    quota: Option<Quota>,
}

impl Site {
    async fn queue(&self) -> Arc<dyn TaskQueue> {
        Arc::new(amqp::connect(self.broker.clone()).await.unwrap())
    }

    /// A model with connections of its own and no limits of its own: what holds is what the store says.
    fn model(&self) -> Arc<dyn LanguageModel> {
        let mut options = HttpOptions::new(&self.server.url, "m");
        options.concurrency = 16;
        options.call_timeout = Duration::from_secs(20);
        Arc::new(HttpModel::new(options).unwrap())
    }

    fn coordinator(&self, number: u32) -> JoinHandle<()> {
        let site = self.clone();
        tokio::spawn(async move {
            let store = PostgresStore::open(&site.database).await.unwrap();
            let deps = Deps {
                store: Arc::new(store),
                queue: site.queue().await,
                clock: Arc::new(SystemClock),
                briefs: site.briefs(),
                observer: Arc::new(|_| {}),
            };
            coordinator::serve(config(number), deps, Shutdown::new()).await;
        })
    }

    fn briefs(&self) -> coordinator::Briefs {
        let (model, mine) = (self.model(), self.runs.clone());
        let facts = ModelFacts {
            identity: model.identity().clone(),
            worst_case: Arc::new(move |call| model.worst_case(call)),
            quota: self.quota,
        };
        let brief = brief(asking(), facts);
        Arc::new(move |run| match mine.contains(&run.id) {
            true => Ok(brief.clone()),
            false => Err("a run that an earlier test left behind".to_owned()),
        })
    }

    fn worker(&self, number: u32) -> JoinHandle<()> {
        let site = self.clone();
        tokio::spawn(async move {
            let worker = format!("worker-{number}");
            let heart = Heart::default();
            let queue = site.queue().await;
            let said = queue.clone();
            let connect = move || std::future::ready(Ok(said.clone()));
            let beating = heart.start(worker.clone(), Duration::from_millis(200), connect);
            let deps = worker_eval::Deps {
                queue,
                models: [("target".to_owned(), site.model())].into(),
                heart,
            };
            let config = worker_eval::Config {
                concurrency: 3,
                worker,
            };
            worker_eval::run(config, deps, Shutdown::new())
                .await
                .unwrap();
            drop(beating);
        })
    }
}

/// Every question once.
fn asking() -> Settings {
    let prompt = NamedPrompt {
        name: "plain".into(),
        doc: PromptDoc::default(),
    };
    Settings {
        kind: RunKind::Evaluate,
        block: 2,
        eval: EvalPlan {
            models: vec!["target".into()],
            prompts: vec![prompt],
            ..EvalPlan::default()
        },
        ..settings()
    }
}

fn config(number: u32) -> Config {
    Config {
        window: 8,
        retry: RetryPolicy {
            max_attempts: 50,
            backoff: 1_000,
            max_backoff: 10_000,
        },
        hold: 1_000_000,
        rescue: Some(RescuePolicy {
            silent: 3_000_000,
            unstarted: 5_000_000,
            deadline: 60_000_000,
            training: Waits {
                unstarted: 5_000_000,
                deadline: 60_000_000,
            },
            max_attempts: 50,
            limit: 100,
        }),
        lease: Some(Lease {
            holder: format!("coordinator-{number}"),
            ttl: Duration::from_millis(600),
        }),
        retain: coordinator::Retain::default(),
    }
}

/// Runs of so many questions each, which no other test asks of its server.
async fn site(
    (database, broker): (String, String),
    questions: &[usize],
    limits: &Limits,
    quota: Option<Quota>,
) -> (Site, PostgresStore, tempfile::TempDir) {
    let store = PostgresStore::open(&database).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut runs = vec![];
    for (n, questions) in questions.iter().enumerate() {
        let file = dir.path().join(format!("letters-{n}.csv"));
        let text = support::questions(*questions);
        std::fs::write(
            &file,
            text.replace("of the long list", &format!("of list {n}")),
        )
        .unwrap();
        let run = Run {
            kind: RunKind::Evaluate,
            ..new_run()
        };
        store.create_run(&run, limits).await.unwrap();
        support::read(&store, run.id, &file).await;
        runs.push(run.id);
    }
    let broker = amqp::Config {
        prefix: format!("limits-{}", runs[0]),
        ..amqp::Config::new(broker.parse().unwrap())
    };
    let site = Site {
        database,
        broker,
        server: Arc::new(Server::start()),
        runs,
        quota,
    };
    (site, store, dir)
}

fn new_run() -> Run {
    Run {
        id: RunId::new(),
        name: "limited".into(),
        tags: vec![],
        kind: RunKind::Evaluate,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".into(),
        spec_hash: Hash::of(["limited"]),
        summary: None,
        created_at: 1,
        finished_at: None,
    }
}

async fn goes_on(store: &PostgresStore, site: &Site) -> bool {
    for run in &site.runs {
        if store.run(*run).await.unwrap().unwrap().status == RunStatus::Running {
            return true;
        }
    }
    false
}

/// Two coordinators and two workers until no run goes on; the first so many times one of them dies without a word and
/// another takes its place. How many died.
async fn with_deaths(store: &PostgresStore, site: &Site, most: u32, pause: (u64, u64)) -> u32 {
    let mut alive = [
        site.coordinator(0),
        site.coordinator(1),
        site.worker(2),
        site.worker(3),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut deaths, mut rounds) = (0, 0);
    while goes_on(store, site).await {
        tokio::time::sleep(Duration::from_millis(rng.random_range(pause.0..pause.1))).await;
        let at = rng.random_range(0..alive.len());
        if deaths < most {
            let number = 10 + deaths;
            alive[at].abort();
            alive[at] = match at < 2 {
                true => site.coordinator(number),
                false => site.worker(number),
            };
            deaths += 1;
        }
        rounds += 1;
        assert!(rounds < 2_000, "the runs do not get on: something was lost");
    }
    alive.iter().for_each(JoinHandle::abort);
    for ended in alive {
        let _ = ended.await;
    }
    deaths
}

/// Two runs of one model, two coordinators, two workers, who die: in no window does the server see more requests than
/// the quota, and in the end all questions are answered.
///
/// It cannot fail because a machine is slow: what the server sees lies between a grant and its report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_sees_more_requests_than_the_quota() {
    const PER: Duration = Duration::from_millis(1_500);
    const REQUESTS: u64 = 12;
    let Some(services) = services::find("limits of a cluster") else {
        return;
    };
    let _turn = services::alone();
    let quota = Quota {
        requests: Some(REQUESTS),
        tokens: None,
        per: PER.as_micros() as i64,
    };
    let (site, store, _dir) = site(services, &[24, 24], &Limits::default(), Some(quota)).await;
    site.server.set_latency(Duration::from_millis(60));
    let deaths = with_deaths(&store, &site, 6, (300, 900)).await;
    for run in &site.runs {
        let stored = store.run(*run).await.unwrap().unwrap();
        assert_eq!(stored.status, RunStatus::Finished, "{:?}", stored.reason);
        let steps = store.steps(*run).await.unwrap();
        assert!(
            steps
                .iter()
                .all(|s| s.items == s.items_done && s.items == 24)
        );
    }
    // The server's clock is not the one that the store was told; they tick alike to a thousandth.
    let window = PER - Duration::from_millis(5);
    let (busiest, all) = (site.server.busiest(window), site.server.requests());
    assert!(
        busiest <= REQUESTS,
        "{busiest} of {all} requests in {window:?}"
    );
    assert!(all >= 48, "{all} requests for 48 questions");
    assert!(deaths >= 4, "only {deaths} deaths: the test proves little");
}

/// A cap on calls, workers and coordinators that die: the server is never called once more than the cap, and the run
/// stops with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_goes_beyond_the_cap_whoever_dies() {
    const CAP: u64 = 150;
    let Some(services) = services::find("limits of a cluster") else {
        return;
    };
    let _turn = services::alone();
    let limits = Limits {
        calls: Some(CAP),
        ..Limits::default()
    };
    let (site, store, _dir) = site(services, &[400], &limits, None).await;
    site.server.set_latency(Duration::from_millis(200));
    // Every twentieth call fails after the work was done: it is charged, and not made again for nothing.
    site.server.cut_every(20);
    let deaths = with_deaths(&store, &site, 40, (80, 250)).await;
    assert!(deaths >= 4, "only {deaths} deaths: the test proves little");
    let run = store.run(site.runs[0]).await.unwrap().unwrap();
    let reason = run.reason.unwrap_or_default();
    assert_eq!(run.status, RunStatus::Paused, "{reason}");
    assert!(reason.contains("budget reached"), "{reason}");
    let charged = store.spend(run.id).await.unwrap().calls;
    let made = site.server.requests();
    assert!(
        made <= charged && charged <= CAP,
        "{made} made, {charged} charged, {CAP} allowed"
    );
    assert!(made > 0);
}
