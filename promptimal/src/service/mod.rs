//! The program `coordinator`.

mod briefs;
mod cli;

use crate::bus;
use anyhow::Context;
use clap::Parser;
use cli::{Cli, LISTEN};
use coordinator::{
    Deps, Event, Observer, Outcome,
    api::{self, Api},
};
use domain::ids::RunId;
use queue::{TaskQueue, amqp};
use runtime::{
    clock::SystemClock,
    service::{self, Ready},
    shutdown::Shutdown,
};
use std::{process::ExitCode, sync::Arc};
use store::{Runs, Store};
use store_postgres::PostgresStore;
use wire::trace::Trace;

pub use briefs::briefs;

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.service.telemetry(), run(&cli))
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(code) = cli.service.check(Some(LISTEN)).await? {
        return Ok(code);
    }
    llm::use_ring();
    let (broker, token, data_root) = (
        cli.broker.config("coordinator")?,
        cli.token()?,
        cli.data_root()?,
    );
    let metrics = service::metrics()?;
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let store = Arc::new(PostgresStore::open(cli.database()).await?);
    let broker = Arc::new(amqp::connect(broker).await?);
    let queue: Arc<dyn TaskQueue> = match cli.artefacts.around(broker.clone()).await? {
        Some(bodies) => {
            bus::sweep(bodies.clone(), &cli.rescue());
            Arc::new(bodies)
        }
        None => broker.clone(),
    };
    let api = api::router(Api {
        store: store.clone(),
        queue: queue.clone(),
        clock: Arc::new(SystemClock),
        data_root,
        trust: cli.trust(),
        shutdown: shutdown.clone(),
        poll: api::POLL,
    });
    let vitals = service::vitals(ready(store.clone(), broker.clone()), metrics);
    let routes = api::guarded(api.merge(vitals), token);
    let server = service::serve(cli.listen(), routes, shutdown.clone()).await?;
    let holder = service::process_id();
    tracing::info!(holder, "coordinating");
    let deps = Deps {
        store: store as Arc<dyn Store>,
        queue,
        clock: Arc::new(SystemClock),
        briefs: briefs(),
        observer: observer(),
    };
    coordinator::serve(cli.config(holder), deps, shutdown).await;
    broker.close();
    server.ended().await;
    Ok(ExitCode::SUCCESS)
}

/// It can do its work when it reaches both.
fn ready(store: Arc<PostgresStore>, queue: Arc<amqp::AmqpQueue>) -> Ready {
    Arc::new(move || {
        let (store, lacks) = (store.clone(), queue.hindrance());
        Box::pin(async move {
            // Any question will do; that of a run that is not there costs least.
            let reached = store.status(RunId::new()).await;
            reached.map_err(|e| e.to_string())?;
            lacks.map_or(Ok(()), Err)
        })
    })
}

/// The log is where a coordinator shows what goes on.
fn observer() -> Observer {
    Arc::new(|event| {
        let run = match &event {
            Event::Planned { key, .. } | Event::Progress { key, .. } => key.run,
            Event::Learning { run, .. } | Event::Trouble { run, .. } | Event::Ended { run, .. } => {
                *run
            }
        };
        let trace = Trace::of_run(run);
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        match event {
            Event::Planned { key, kind, items } => {
                tracing::info!(%run, trace_id, span_id, round = key.round, step = %key.step, %kind, items, "planned");
            }
            Event::Progress { .. } => {}
            Event::Learning { loss, steps, .. } => {
                tracing::debug!(%run, trace_id, span_id, step = loss.step, steps, loss = loss.loss, validation = loss.validation, "learning");
            }
            Event::Trouble { message, .. } => {
                tracing::warn!(%run, trace_id, span_id, message, "trouble")
            }
            Event::Ended { outcome, .. } => match outcome {
                Outcome::Finished => tracing::info!(%run, trace_id, span_id, "finished"),
                Outcome::Paused(reason) => {
                    tracing::warn!(%run, trace_id, span_id, reason, "paused")
                }
                Outcome::Failed(reason) => {
                    tracing::error!(%run, trace_id, span_id, reason, "failed")
                }
            },
        }
    })
}
