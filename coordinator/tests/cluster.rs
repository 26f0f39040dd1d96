//! A cluster on a real PostgreSQL and a real RabbitMQ: coordinators and workers die again and again, and the run ends
//! as it does in one process.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[path = "support/services.rs"]
mod services;
mod support;

use coordinator::{Config, Deps, Lease, ModelFacts, Retain};
use domain::{
    ids::RunId,
    run::{Limits, RunStatus},
};
use llm::{Identity, LanguageModel, scripted::ScriptedModel};
use queue::{TaskQueue, amqp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runtime::{clock::SystemClock, heart::Heart, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use store::{RescuePolicy, Results, RetryPolicy, Runs, Shared, Store, Tasks, Waits};
use store_postgres::PostgresStore;
use support::{World, brief, settings};
use tokio::task::JoinHandle;

/// What every process of the cluster is started with.
#[derive(Clone)]
struct Site {
    database: String,
    broker: amqp::Config,
    run: RunId,
    model: Arc<ScriptedModel>,
}

impl Site {
    async fn queue(&self) -> Arc<dyn TaskQueue> {
        Arc::new(amqp::connect(self.broker.clone()).await.unwrap())
    }

    /// A coordinator with connections of its own, which die with it.
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
        let (model, mine) = (self.model.clone(), self.run);
        let facts = ModelFacts {
            identity: model.identity().clone(),
            worst_case: Arc::new(move |call| model.worst_case(call)),
            quota: None,
        };
        let brief = brief(settings(), facts);
        Arc::new(move |run| match run.id == mine {
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
            let model: Arc<dyn LanguageModel> = site.model.clone();
            let deps = worker_eval::Deps {
                queue,
                models: [("target".to_owned(), model)].into(),
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

fn config(number: u32) -> Config {
    Config {
        window: 6,
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
        retain: Retain::default(),
        lease: Some(Lease {
            holder: format!("coordinator-{number}"),
            ttl: Duration::from_millis(600),
        }),
    }
}

async fn site(
    database: String,
    broker: &str,
    identity: Identity,
) -> (Site, PostgresStore, tempfile::TempDir) {
    let store = PostgresStore::open(&database).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("letters.csv");
    std::fs::write(&file, support::questions(20)).unwrap();
    let run = support::create(&store, &Limits::default()).await;
    support::read(&store, run, &file).await;
    let broker = amqp::Config {
        prefix: format!("cluster-{run}"),
        ..amqp::Config::new(broker.parse().unwrap())
    };
    let site = Site {
        database,
        broker,
        run,
        model: Arc::new(ScriptedModel::new(identity, slowly)),
    };
    (site, store, dir)
}

/// Answers as the quick one does, but slowly enough that processes die in the middle of a run.
fn slowly(request: &llm::Request) -> Result<domain::call::Answer, llm::ModelError> {
    std::thread::sleep(Duration::from_millis(20));
    support::script(request)
}

/// Two coordinators and two workers; every so often one of them dies without a word and another takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_processes_die_ends_as_one_process_does() {
    let Some((database, broker)) = services::find("cluster") else {
        return;
    };
    let _turn = services::shared();
    // A model of its own: the database may hold answers of an earlier test, and they would not be asked again.
    let identity = Identity {
        key: format!("scripted {}", RunId::new()),
        name: "scripted".into(),
        scores: true,
    };
    let quick = ScriptedModel::new(identity.clone(), support::script);
    let calm = World::with(20, quick, Limits::default()).await;
    let worker = calm.worker();
    calm.drive(true).await;
    worker.abort();
    let expected = calm.store.projection(calm.run).await.unwrap();

    let (site, store, _dir) = site(database, &broker, identity).await;
    let mut alive = [
        site.coordinator(0),
        site.coordinator(1),
        site.worker(2),
        site.worker(3),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut deaths = 0;
    while store.run(site.run).await.unwrap().unwrap().status == RunStatus::Running {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..450))).await;
        let (at, number) = (rng.random_range(0..alive.len()), 10 + deaths);
        alive[at].abort();
        alive[at] = match at < 2 {
            true => site.coordinator(number),
            false => site.worker(number),
        };
        deaths += 1;
        assert!(deaths < 600, "the run does not get on: something was lost");
    }
    let run = store.run(site.run).await.unwrap().unwrap();
    assert_eq!(run.status, RunStatus::Finished, "{:?}", run.reason);
    assert!(deaths >= 5, "only {deaths} deaths: the test proves little");
    assert_eq!(store.projection(site.run).await.unwrap(), expected);
    at_rest(&store, site.run).await;
    alive.iter().for_each(JoinHandle::abort);
}

/// Nothing is left under way, and the ledger holds at least what was really asked.
async fn at_rest(store: &PostgresStore, run: RunId) {
    for step in Results::steps(store, run).await.unwrap() {
        assert_eq!((step.open, step.dead), (0, 0), "{step:?}");
        assert_eq!(step.items, step.items_done, "{step:?}");
    }
    let running = Shared::running(store).await.unwrap();
    assert!(running.iter().all(|r| r.id != run));
    let spend = store.spend(run).await.unwrap();
    assert!(spend.calls > 0);
    let store: &dyn Store = store;
    assert!(
        store
            .claim(run, 10, i64::MAX / 2, 1)
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
}
