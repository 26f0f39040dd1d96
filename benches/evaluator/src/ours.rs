//! Promptimal embedded, as its own command line puts it together: SQLite on disk, the queue in memory, worker and
//! coordinator in this process. Every example, task, answer, grade and ledger row is stored.

use crate::{measure, question};
use anyhow::Context;
use coordinator::{
    Brief, Config, Deps, Event, ModelFacts, Outcome,
    ingest::{self, Division},
    settings::{Settings, TARGET},
};
use domain::{
    hash::Hash,
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use llm::{
    LanguageModel,
    http::{HttpModel, HttpOptions},
};
use queue::memory::MemoryQueue;
use runtime::{
    clock::{Clock, SystemClock},
    heart::Heart,
    shutdown::Shutdown,
};
use serde::Serialize;
use spec::{Loaded, Model, Purpose, Spec};
use std::{
    fmt::Write,
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};
use store::{RetryPolicy, Run, Runs, Tasks};
use store_sqlite::SqliteStore;

/// What a run took, in seconds.
#[derive(Serialize)]
struct Took {
    /// Opening the store, reading the spec.
    start_s: f64,
    /// Reading the examples into the store.
    ingest_s: f64,
    /// Making tasks of them.
    plan_s: f64,
    /// From the plan to the last stored grade.
    answer_s: f64,
    /// All of it.
    wall_s: f64,
}

/// Processor seconds.
#[derive(Serialize)]
struct Cpu {
    /// Making the inputs, which a user has.
    inputs_s: f64,
    /// From the open store to the end.
    after_start_s: f64,
    /// From the plan to the last stored grade.
    answer_s: f64,
}

/// A moment, and the processor time used by then.
type Mark = (Instant, f64);

fn mark() -> Mark {
    (Instant::now(), measure::used().cpu_s)
}

/// Evaluates `n` questions with `c` calls in flight, storing into `folder`, and prints what it took.
pub fn main(url: &str, n: usize, c: usize, folder: &str) -> anyhow::Result<()> {
    let folder = Path::new(folder);
    write_inputs(folder, url, n, c)?;
    let begun = measure::used().cpu_s;
    let (took, cpu) = crate::runtime()?.block_on(evaluate(folder, n, begun))?;
    let report = serde_json::json!({ "took": took, "cpu": cpu, "used": measure::used() });
    println!("{report}");
    Ok(())
}

/// The data set and the spec, as a user has them.
pub fn write_inputs(folder: &Path, url: &str, n: usize, c: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("questions.jsonl"))?);
    for i in 0..n {
        let row = serde_json::json!({ "input": question(i), "reference": "A" });
        std::io::Write::write_fmt(&mut file, format_args!("{row}\n"))?;
    }
    std::io::Write::flush(&mut file)?;
    let mut spec = String::new();
    write!(
        spec,
        "[run]\nname = \"bench\"\n\n\
         [[datasets]]\nname = \"questions\"\nformat = \"jsonl\"\npath = \"questions.jsonl\"\n\
         grader = {{ kind = \"exact\" }}\n\
         fields = {{ input = \"input\", reference = \"reference\" }}\n\n\
         [models.target]\nkind = \"http\"\nmodel = \"mock\"\nbase_url = \"{url}\"\nconcurrency = {c}\n"
    )?;
    Ok(std::fs::write(folder.join("bench.toml"), spec)?)
}

async fn evaluate(folder: &Path, n: usize, inputs_s: f64) -> anyhow::Result<(Took, Cpu)> {
    let begun = mark();
    let loaded = spec::load(&folder.join("bench.toml"), &[], Purpose::Eval)?;
    let store = Arc::new(SqliteStore::open(&folder.join("promptimal.db")).await?);
    let run = create(&store, &loaded.spec).await?;
    let started = mark();
    let path = &loaded.paths.datasets["questions"];
    let source = loaded.spec.datasets[0].source(path, loaded.spec.run.seed);
    let read = ingest::ingest(store.as_ref(), run, &source, &Division::Whole).await?;
    anyhow::ensure!(read.examples == n as u64, "{read:?} are not {n} examples");
    let ingested = mark();
    let planned = drive(&store, run, &loaded).await?;
    let answered = mark();
    check(&store, run, n).await?;
    let planned = planned.context("nothing was planned")?;
    store.close().await;
    let ended = mark();
    let since = |a: Mark, b: Mark| (b.0 - a.0).as_secs_f64();
    let took = Took {
        start_s: since(begun, started),
        ingest_s: since(started, ingested),
        plan_s: since(ingested, planned),
        answer_s: since(planned, answered),
        wall_s: since(begun, ended),
    };
    let cpu = Cpu {
        inputs_s,
        after_start_s: ended.1 - started.1,
        answer_s: answered.1 - planned.1,
    };
    Ok((took, cpu))
}

async fn create(store: &SqliteStore, spec: &Spec) -> anyhow::Result<RunId> {
    let run = Run {
        id: RunId::new(),
        name: "bench".into(),
        tags: vec![],
        kind: RunKind::Evaluate,
        status: RunStatus::Running,
        reason: None,
        spec: spec.canonical_json(),
        spec_hash: Hash::of(["bench"]),
        summary: None,
        created_at: SystemClock.now_micros(),
        finished_at: None,
    };
    store.create_run(&run, &Limits::default()).await?;
    Ok(run.id)
}

/// Coordinator and worker side by side until the run is finished; when the plan was there.
async fn drive(
    store: &Arc<SqliteStore>,
    run: RunId,
    loaded: &Loaded,
) -> anyhow::Result<Option<Mark>> {
    let queue = Arc::new(MemoryQueue::new());
    let (model, concurrency) = model(&loaded.spec)?;
    let settings = Settings::new(&loaded.spec, RunKind::Evaluate);
    // As the command line chooses it: enough blocks in hand to keep the model busy.
    let blocks = 1 + concurrency.div_ceil(settings.block) * 2;
    let planned = Arc::new(OnceLock::new());
    let brief = Brief {
        settings,
        models: [(TARGET.to_owned(), facts(&model))].into(),
    };
    let config = Config {
        window: 2 * blocks,
        retry: RetryPolicy {
            max_attempts: 5,
            backoff: 1_000_000,
            max_backoff: 60_000_000,
        },
        hold: 5_000_000,
        rescue: None,
        lease: None,
        retain: coordinator::Retain::default(),
    };
    let deps = Deps {
        store: store.clone(),
        queue: queue.clone(),
        clock: Arc::new(SystemClock),
        briefs: Arc::new(move |_| Ok(brief.clone())),
        observer: observer(planned.clone()),
    };
    let worker = worker_eval::Config {
        concurrency: blocks,
        worker: "bench".into(),
    };
    let worker_deps = worker_eval::Deps {
        queue: queue.clone(),
        models: [(TARGET.to_owned(), model)].into(),
        heart: Heart::default(),
    };
    let working = tokio::spawn(worker_eval::run(worker, worker_deps, Shutdown::new()));
    let outcome = coordinator::run(run, config, deps, Shutdown::new(), true).await?;
    queue.close();
    working.await??;
    anyhow::ensure!(outcome == Outcome::Finished, "the run ended as {outcome:?}");
    Ok(planned.get().copied())
}

fn model(spec: &Spec) -> anyhow::Result<(Arc<dyn LanguageModel>, usize)> {
    let Some(Model::Http(http)) = spec.models.get(TARGET) else {
        anyhow::bail!("the spec has no model behind a server");
    };
    let mut options = HttpOptions::new(&http.base_url, &http.model);
    options.concurrency = http.concurrency;
    options.retries = http.retries;
    options.send_seed = http.send_seed;
    Ok((Arc::new(HttpModel::new(options)?), http.concurrency))
}

fn facts(model: &Arc<dyn LanguageModel>) -> ModelFacts {
    let asked = model.clone();
    ModelFacts {
        identity: model.identity().clone(),
        worst_case: Arc::new(move |call| asked.worst_case(call)),
        quota: None,
    }
}

fn observer(planned: Arc<OnceLock<Mark>>) -> coordinator::Observer {
    Arc::new(move |event| match event {
        Event::Planned { .. } => drop(planned.set(mark())),
        Event::Trouble { message, .. } => eprintln!("{message}"),
        Event::Progress { .. } | Event::Ended { .. } | Event::Learning { .. } => {}
    })
}

/// Every row is there: as many calls were booked as there are examples, and every one is graded.
async fn check(store: &SqliteStore, run: RunId, n: usize) -> anyhow::Result<()> {
    let spend = store.spend(run).await?;
    anyhow::ensure!(
        spend.calls == n as u64,
        "{} calls were booked for {n} examples",
        spend.calls
    );
    Ok(())
}
