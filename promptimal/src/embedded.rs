//! The embedded mode: the same services as on a cluster, in one process, with other dependencies handed in.

use crate::{models, out, progress};
use anyhow::{Context, bail};
use coordinator::{
    Brief, Briefs, Config, Deps, Observer, Outcome,
    ingest::Ingested,
    intake::{self, StoredSpec},
    settings::{PROPOSER, TARGET},
};
use domain::run::RunKind;
use queue::memory::MemoryQueue;
use runtime::{
    clock::{Clock, SystemClock},
    heart::Heart,
    shutdown::Shutdown,
};
use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
    time::Duration,
};
use store::{RetryPolicy, Run};
use store_sqlite::SqliteStore;
use worker_eval::Models;

/// Blocks a worker holds at once for a local model: the model computes one at a time, the others wait ready.
const LOCAL_BLOCKS: usize = 4;

/// How often, and how far apart, the lock of a run is asked for.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(100);

/// How failed items are treated: five attempts, from one second to a minute apart.
const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    backoff: 1_000_000,
    max_backoff: 60_000_000,
};

/// Publishing to the queue in this process takes microseconds; after a kill nothing else waits for this long.
const HOLD: i64 = 5_000_000;

/// A run to be driven.
pub struct Job<'a> {
    /// Where everything is stored.
    pub store: Arc<SqliteStore>,
    /// The folder it is in.
    pub data_dir: &'a Path,
    /// The run.
    pub run: Run,
    /// Its spec.
    pub stored: StoredSpec,
    /// No progress.
    pub quiet: bool,
}

/// The names of the models a run calls.
pub fn model_names(stored: &StoredSpec, kind: RunKind) -> Vec<String> {
    match kind {
        RunKind::Optimise => vec![TARGET.to_owned(), PROPOSER.to_owned()],
        RunKind::Evaluate => stored.spec.eval.models.clone(),
    }
}

/// Drives a run until it is finished or stops.
///
/// # Errors
/// When another process drives it, a model or dataset cannot be read, or the store fails.
pub async fn drive(job: Job<'_>) -> anyhow::Result<Outcome> {
    let _lock = lock(job.data_dir, &job.run).await?;
    let names = model_names(&job.stored, job.run.kind);
    let models = models::build(&job.stored.spec, &job.stored.paths, &names).await?;
    ready(&job).await?;
    let shutdown = Shutdown::install_signals().context("cannot listen for Ctrl-C")?;
    work(&job, models, shutdown).await
}

/// Two processes must not drive one run. The lock goes with the process, however it ends; one that was killed this
/// moment may need a while to be gone, so the lock is asked for some seconds.
async fn lock(data_dir: &Path, run: &Run) -> anyhow::Result<File> {
    let path = data_dir.join(format!("{}.lock", run.id));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_WAIT).await,
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    bail!(
        "run {} is driven by another process: wait for it, or end it",
        run.id
    )
}

/// Its data are read if they were not; a stopped run is set to running.
async fn ready(job: &Job<'_>) -> anyhow::Result<()> {
    let now = SystemClock.now_micros();
    let read = intake::ready(job.store.as_ref(), &job.run, &job.stored, now).await?;
    read.iter().for_each(|one| tell(one, job.quiet));
    Ok(())
}

fn tell(one: &Ingested, quiet: bool) {
    if one.skipped > 0 {
        let first = one.first_skipped.first().map_or("", String::as_str);
        out::note(format!(
            "{}: {} bad rows skipped, the first: {first}",
            one.dataset, one.skipped
        ));
    }
    if !quiet {
        let again = match one.duplicates {
            0 => String::new(),
            n => format!(", {n} rows were the same again"),
        };
        out::note(format!("{}: {} examples{again}", one.dataset, one.examples));
    }
}

/// Worker and coordinator side by side. On the first Ctrl-C the worker finishes what it has in hand, and only then
/// does the coordinator store the last reports and end.
async fn work(job: &Job<'_>, models: Models, shutdown: Shutdown) -> anyhow::Result<Outcome> {
    let queue = Arc::new(MemoryQueue::new());
    let concurrency = concurrency(job, &models);
    let deps = Deps {
        store: job.store.clone(),
        queue: queue.clone(),
        clock: Arc::new(SystemClock),
        briefs: briefs(job, &models),
        observer: observer(job),
    };
    let config = Config {
        window: 2 * concurrency,
        retry: RETRY,
        hold: HOLD,
        // Queue and worker are in this process: while it lives, nothing is lost.
        rescue: None,
        lease: None,
    };
    let worker = worker_eval::Config {
        concurrency,
        worker: format!("embedded-{}", std::process::id()),
    };
    let worker_deps = worker_eval::Deps {
        queue: queue.clone(),
        models,
        heart: Heart::default(),
    };
    let last = Shutdown::new();
    let working = tokio::spawn({
        let (shutdown, last) = (shutdown.clone(), last.clone());
        async move {
            let ended = worker_eval::run(worker, worker_deps, shutdown.clone()).await;
            if shutdown.is_stopping() {
                last.request_stop();
            }
            last.request_drain();
            ended
        }
    });
    let outcome = coordinator::run(job.run.id, config, deps, last, true).await;
    queue.close();
    working.await??;
    Ok(outcome?)
}

/// The spec as it is written now: how a model is reached may have changed since the run began.
fn briefs(job: &Job<'_>, models: &Models) -> Briefs {
    let brief = Brief {
        settings: job.stored.settings(job.run.kind),
        models: models::facts(models),
    };
    Arc::new(move |_| Ok(brief.clone()))
}

fn observer(job: &Job<'_>) -> Observer {
    progress::observer(job.quiet)
}

/// Enough blocks in hand to keep the most patient model busy.
fn concurrency(job: &Job<'_>, models: &Models) -> usize {
    let block = job.stored.spec.search.block.max(1);
    let of = |name: &String| match job.stored.spec.models.get(name) {
        Some(spec::Model::Http(http)) => 1 + http.concurrency.div_ceil(block) * 2,
        _ => LOCAL_BLOCKS,
    };
    models.keys().map(of).max().unwrap_or(LOCAL_BLOCKS)
}
