//! Promptimal's coordinator as the command line puts it together for a cluster: PostgreSQL, RabbitMQ, workers
//! elsewhere. It reads a data file into the store, and from then on the clock runs: plan, dispatch, collect.

use crate::{measure, model, settings, settings::Coordinate};
use anyhow::Context;
use coordinator::{
    Brief, Config, Deps, Event, Outcome, Retain,
    ingest::{self, Division},
    settings::{Settings, TARGET},
};
use domain::{
    hash::Hash,
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use queue::amqp;
use runtime::{
    clock::{Clock, SystemClock},
    shutdown::Shutdown,
};
use serde::Serialize;
use spec::{Loaded, Purpose, Spec};
use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::{RescuePolicy, RetryPolicy, Run, Runs, Tasks, Waits};
use store_postgres::PostgresStore;

/// What a run took.
#[derive(Serialize)]
struct Told {
    /// Reading the data file into the store, seconds. Not part of what follows.
    ingest_s: f64,
    /// From the start to the committed plan, seconds.
    plan_s: f64,
    /// From the plan to the last applied row, seconds.
    work_s: f64,
    /// (seconds since the plan, tasks applied), by transaction.
    progress: Vec<(f64, u64)>,
    /// Resident set, KiB: after the data were read, and the largest of the whole process, reading included.
    ingested_kib: u64,
    peak_kib: u64,
    /// Processor seconds of this process while the clock ran.
    cpu_s: f64,
}

/// Makes the tables, so that no run pays for that.
pub async fn prepare() -> anyhow::Result<()> {
    PostgresStore::open(&settings::database()?).await?.close().await;
    Ok(())
}

/// Runs `n` questions through workers that are elsewhere.
pub async fn main(asked: Coordinate) -> anyhow::Result<()> {
    llm::use_ring();
    write_inputs(&asked)?;
    let loaded = spec::load(&asked.folder.join("bench.toml"), &[], Purpose::Eval)?;
    let store = Arc::new(PostgresStore::open(&settings::database()?).await?);
    let begun = Instant::now();
    let run = create(&store, &loaded.spec).await?;
    let source = loaded.spec.datasets[0].source(&loaded.paths.datasets["questions"], loaded.spec.run.seed);
    let read = ingest::ingest(store.as_ref(), run, &source, &Division::Whole).await?;
    anyhow::ensure!(read.examples == asked.n as u64, "{read:?} are not {} examples", asked.n);
    let ingest_s = begun.elapsed().as_secs_f64();
    let told = drive(&asked, &loaded, store.clone(), run, ingest_s).await?;
    let spend = store.spend(run).await?;
    anyhow::ensure!(
        spend.calls == asked.n as u64,
        "{} calls were booked for {} questions",
        spend.calls,
        asked.n
    );
    settings::tell(&told)?;
    // Its sessions stay until the harness has read what the server spent on them.
    settings::wait_for_a_line().await?;
    store.close().await;
    Ok(())
}

/// The data set and the spec, as a user has them.
fn write_inputs(asked: &Coordinate) -> anyhow::Result<()> {
    let folder = &asked.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("questions.jsonl"))?);
    for i in 0..asked.n {
        let row = serde_json::json!({ "input": question(i), "reference": "A" });
        std::io::Write::write_fmt(&mut file, format_args!("{row}\n"))?;
    }
    std::io::Write::flush(&mut file)?;
    let mut spec = String::new();
    write!(
        spec,
        "[run]\nname = \"bench\"\n\n[search]\nblock = {}\n\n\
         [[datasets]]\nname = \"questions\"\nformat = \"jsonl\"\npath = \"questions.jsonl\"\n\
         grader = {{ kind = \"exact\" }}\n\
         fields = {{ input = \"input\", reference = \"reference\" }}\n\n\
         [models.target]\nkind = \"http\"\nmodel = \"mock\"\nbase_url = \"{}\"\n",
        asked.block,
        asked.url.as_deref().unwrap_or("http://127.0.0.1:1/v1")
    )?;
    Ok(std::fs::write(folder.join("bench.toml"), spec)?)
}

/// Question number `i`.
pub fn question(i: usize) -> String {
    format!("Question {i} of the list: which letter is the answer to it?")
}

async fn create(store: &PostgresStore, spec: &Spec) -> anyhow::Result<RunId> {
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

async fn drive(
    asked: &Coordinate,
    loaded: &Loaded,
    store: Arc<PostgresStore>,
    run: RunId,
    ingest_s: f64,
) -> anyhow::Result<Told> {
    let watched = Watched::new();
    let (config, deps) = parts(asked, loaded, store, &watched).await?;
    let (ingested_kib, cpu) = (resident(), measure::used().cpu_s);
    println!("ready");
    settings::wait_for_a_line().await?;
    watched.start();
    let begun = Instant::now();
    let outcome = coordinator::run(run, config, deps, Shutdown::new(), false).await?;
    let whole_s = begun.elapsed().as_secs_f64();
    anyhow::ensure!(outcome == Outcome::Finished, "the run ended as {outcome:?}");
    let (plan_s, progress) = watched.take().context("nothing was planned")?;
    Ok(Told {
        ingest_s,
        plan_s,
        work_s: whole_s - plan_s,
        progress,
        ingested_kib,
        peak_kib: measure::used().peak_kib,
        cpu_s: measure::used().cpu_s - cpu,
    })
}

/// As `promptimal run --database-url --amqp-url --no-worker` is put together.
async fn parts(
    asked: &Coordinate,
    loaded: &Loaded,
    store: Arc<PostgresStore>,
    watched: &Arc<Watched>,
) -> anyhow::Result<(Config, Deps)> {
    let model = model::model(asked.url.as_deref(), 1)?;
    let brief = Brief {
        settings: Settings::new(&loaded.spec, RunKind::Evaluate),
        models: [(TARGET.to_owned(), model::facts(&model))].into(),
    };
    let mut broker = amqp::Config::new(settings::broker()?.parse()?);
    broker.prefix.clone_from(&asked.prefix);
    let retry = RetryPolicy {
        max_attempts: 5,
        backoff: 1_000_000,
        max_backoff: 60_000_000,
    };
    let config = Config {
        window: asked.window,
        retry,
        hold: 60_000_000,
        rescue: Some(RescuePolicy {
            silent: 30_000_000,
            unstarted: 600_000_000,
            deadline: 3_600_000_000,
            training: Waits {
                unstarted: 600_000_000,
                deadline: 3_600_000_000,
            },
            max_attempts: retry.max_attempts,
            limit: 500,
        }),
        lease: None,
        retain: Retain::default(),
    };
    let watching = watched.clone();
    let deps = Deps {
        store,
        queue: Arc::new(amqp::connect(broker).await?),
        clock: Arc::new(SystemClock),
        briefs: Arc::new(move |_| Ok(brief.clone())),
        observer: Arc::new(move |event| watching.note(event)),
    };
    Ok((config, deps))
}

/// When things happened.
struct Watched(Mutex<Seen>);

struct Seen {
    begun: Instant,
    planned: Option<Duration>,
    progress: Vec<(f64, u64)>,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Seen {
            begun: Instant::now(),
            planned: None,
            progress: vec![],
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) {
        self.lock().begun = Instant::now();
    }

    fn note(&self, event: Event) {
        let mut seen = self.lock();
        let now = seen.begun.elapsed();
        match event {
            Event::Planned { .. } => drop(seen.planned.get_or_insert(now)),
            Event::Progress { done, .. } => {
                let since = now - seen.planned.unwrap_or(now);
                seen.progress.push((since.as_secs_f64(), done));
            }
            Event::Trouble { message, .. } => eprintln!("{message}"),
            Event::Ended { .. } | Event::Learning { .. } => {}
        }
    }

    fn take(&self) -> Option<(f64, Vec<(f64, u64)>)> {
        let mut seen = self.lock();
        Some((seen.planned?.as_secs_f64(), std::mem::take(&mut seen.progress)))
    }
}

/// KiB in memory now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
