//! The embedded mode: the same services as on a cluster, in one process, with other dependencies handed in.

use crate::{
    bus::{Bus, BusArgs},
    lock::Lock,
    models::{self, Scorers},
    out, progress,
    rewriter::{self, School},
    site::Site,
};
use anyhow::{Context, anyhow};
use coordinator::{
    Brief, Briefs, Deps, Observer, Outcome,
    ingest::Ingested,
    intake::{self, StoredSpec},
    settings::{PROPOSER, REWRITER, TARGET},
};
use domain::{grade::Grader, run::RunKind};
use queue::QueueError;
use runtime::{
    clock::{Clock, SystemClock},
    heart::Heart,
    shutdown::Shutdown,
};
use sandbox::{Options, Sandbox};
use std::sync::Arc;
use store::{Run, Store};
use worker_eval::Models;

/// Blocks a worker holds at once for a local model: the model computes one at a time, the others wait ready.
const LOCAL_BLOCKS: usize = 4;

/// Blocks of answers in hand at once for a reward model: what it computes together comes from these.
const SCORED_BLOCKS: usize = 8;

/// Tasks under way over a broker: other workers may take them.
const SHARED_WINDOW: usize = 128;

/// A run to be driven.
pub struct Job<'a> {
    /// Where everything is stored.
    pub store: Arc<dyn Store>,
    /// Where that is.
    pub site: &'a Site,
    /// How its tasks travel.
    pub bus: &'a BusArgs,
    /// The run.
    pub run: Run,
    /// Its spec.
    pub stored: StoredSpec,
    /// No progress.
    pub quiet: bool,
}

/// The names of the models a run calls.
pub fn model_names(stored: &StoredSpec, kind: RunKind) -> Vec<String> {
    let spec = &stored.spec;
    let mut names: Vec<&str> = match kind {
        RunKind::Optimise => {
            let rewriter = spec.search.by_rewriter().then_some(REWRITER);
            [TARGET, PROPOSER].into_iter().chain(rewriter).collect()
        }
        RunKind::Evaluate => spec.evaluated(),
    };
    for judge in spec.judges() {
        if !names.contains(&judge) {
            names.push(judge);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Drives a run until it is finished or stops.
///
/// # Errors
/// When another process drives it, a model or dataset cannot be read, or the store fails.
pub async fn drive(job: Job<'_>) -> anyhow::Result<Outcome> {
    let shutdown = Shutdown::install_signals().context("cannot listen for Ctrl-C")?;
    let lock = Lock::take(job.site, &job.store, &job.run, &shutdown).await?;
    contained(&job).await?;
    let names = model_names(&job.stored, job.run.kind);
    let models = models::build(&job.stored.spec, &job.stored.paths, &names).await?;
    let scorers = models::scorers(&job.stored.spec, &job.stored.paths).await?;
    let school = rewriter::school(&job).await?;
    let bus = Bus::open(job.bus).await?;
    ready(&job).await?;
    let outcome = work(&job, &bus, (models, scorers, school), shutdown).await;
    lock.release().await;
    outcome
}

/// Programs that are to be graded by this process can be contained: told before any work is done.
async fn contained(job: &Job<'_>) -> anyhow::Result<()> {
    let programs = job.stored.spec.datasets.iter();
    let mut programs = programs.filter(|d| d.grader() == Some(&Grader::Code));
    let (Some(dataset), None) = (programs.next(), &job.bus.amqp_url) else {
        return Ok(());
    };
    let options = Options {
        slots: 1,
        ..Options::default()
    };
    let opened = tokio::task::spawn_blocking(|| Sandbox::open(options).map(drop)).await?;
    opened.map_err(|why| anyhow!("{}: {}", dataset.name, worker_eval::refused(&why)))
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

/// Workers and coordinator side by side. On the first Ctrl-C the workers finish what they have in hand, and only then
/// does the coordinator store the last reports and end.
async fn work(
    job: &Job<'_>,
    bus: &Bus,
    (models, scorers, school): (Models, Scorers, Option<School>),
    shutdown: Shutdown,
) -> anyhow::Result<Outcome> {
    let concurrency = concurrency(job, &models);
    // A step has tasks of one kind only: as many may be under way as either worker takes.
    let taken = match scorers.is_empty() {
        true => concurrency,
        false => concurrency.max(SCORED_BLOCKS),
    };
    let deps = Deps {
        store: job.store.clone(),
        queue: bus.queue(),
        clock: Arc::new(SystemClock),
        briefs: briefs(job, &models, &scorers, school.as_ref())?,
        observer: observer(job),
    };
    let (worker, heart, _beating) = bus.worker()?;
    let config = worker_eval::Config {
        concurrency,
        worker: worker.clone(),
    };
    let known = (worker, heart.clone());
    let training = rewriter::training(bus, school, known.clone(), shutdown.clone());
    let scoring = scoring(bus, scorers, known, shutdown.clone());
    let worker_deps = worker_eval::Deps {
        queue: bus.queue(),
        models,
        heart,
    };
    let last = Shutdown::new();
    let idle = job.bus.no_worker;
    let working = tokio::spawn({
        let (shutdown, last) = (shutdown.clone(), last.clone());
        async move {
            let ended = match idle {
                true => {
                    shutdown.drain_requested().await;
                    Ok(())
                }
                false => {
                    let asking = worker_eval::run(config, worker_deps, shutdown.clone());
                    tokio::try_join!(asking, scoring, training).map(|_| ())
                }
            };
            if shutdown.is_stopping() {
                last.request_stop();
            }
            last.request_drain();
            ended
        }
    });
    let window = match bus.is_shared() {
        true => SHARED_WINDOW.max(2 * taken),
        false => 2 * taken,
    };
    // What was under way in an earlier process went with it, unless a broker has it still.
    let lost = !bus.is_shared();
    let outcome = coordinator::run(job.run.id, bus.config(window), deps, last, lost).await;
    bus.close();
    shutdown.request_drain();
    working.await??;
    Ok(outcome?)
}

/// The worker that scores, where a reward model grades.
fn scoring(
    bus: &Bus,
    scorers: Scorers,
    (worker, heart): (String, Heart),
    shutdown: Shutdown,
) -> impl Future<Output = Result<(), QueueError>> + use<> {
    let config = worker_score::Config {
        concurrency: SCORED_BLOCKS,
        worker,
    };
    let deps = worker_score::Deps {
        queue: bus.queue(),
        scorers: scorers.into_values().collect(),
        heart,
    };
    async move {
        match deps.scorers.is_empty() {
            true => Ok(()),
            false => worker_score::run(config, deps, shutdown).await,
        }
    }
}

/// The spec as it is written now: how a model is reached may have changed since the run began.
fn briefs(
    job: &Job<'_>,
    models: &Models,
    scorers: &Scorers,
    school: Option<&School>,
) -> anyhow::Result<Briefs> {
    let mut settings = job.stored.settings(job.run.kind);
    settings.know(&models::rewards(scorers));
    settings.know_base(school.map_or("", School::identity));
    settings.know_seen(models::seen(&job.stored)?);
    let brief = Brief {
        settings,
        models: models::facts(models, &job.stored.spec),
    };
    Ok(Arc::new(move |_| Ok(brief.clone())))
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
