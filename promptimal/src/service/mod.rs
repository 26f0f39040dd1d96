//! The program `coordinator`.

mod briefs;
mod cli;

use crate::out;
use anyhow::Context;
use clap::Parser;
use cli::{Cli, LISTEN};
use coordinator::{
    Deps, Event, Observer, Outcome,
    api::{self, Api},
};
use queue::amqp;
use runtime::{
    clock::SystemClock,
    service::{self, Asked, Ready},
    shutdown::Shutdown,
    telemetry,
};
use std::{process::ExitCode, sync::Arc};
use store::{Shared, Store};
use store_postgres::PostgresStore;

pub use briefs::briefs;

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let started = telemetry::init(&cli.service.telemetry()).context("logs");
    let made = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = started
        .and_then(|()| made.context("no runtime"))
        .and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(code) => code,
        Err(error) => {
            out::error(&error);
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let asked = cli.service.asked(Some(LISTEN));
    if let Asked::Check(at) = asked.map_err(anyhow::Error::msg)? {
        return Ok(check(at).await);
    }
    llm::use_ring();
    let (broker, token, data_root) = (cli.broker()?, cli.token()?, cli.data_root()?);
    let metrics = service::metrics()?;
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let store = Arc::new(PostgresStore::open(cli.database()).await?);
    let queue = Arc::new(amqp::connect(broker).await?);
    let api = api::router(Api {
        store: store.clone(),
        queue: queue.clone(),
        clock: Arc::new(SystemClock),
        data_root,
        trust: cli.trust(),
        shutdown: shutdown.clone(),
        poll: api::POLL,
    });
    let vitals = service::vitals(ready(store.clone(), queue.clone()), metrics);
    let routes = api::guarded(api.merge(vitals), token);
    let server = service::serve(cli.listen(), routes, shutdown.clone()).await?;
    let holder = service::process_id();
    tracing::info!(holder, "coordinating");
    let deps = Deps {
        store: store as Arc<dyn Store>,
        queue: queue.clone(),
        clock: Arc::new(SystemClock),
        briefs: briefs(),
        observer: observer(),
    };
    coordinator::serve(cli.config(holder), deps, shutdown).await;
    queue.close();
    server.ended().await;
    Ok(ExitCode::SUCCESS)
}

async fn check(at: std::net::SocketAddr) -> ExitCode {
    match service::healthy(at).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(lacks) => {
            out::note(lacks);
            ExitCode::FAILURE
        }
    }
}

/// It can do its work when it reaches both.
fn ready(store: Arc<PostgresStore>, queue: Arc<amqp::AmqpQueue>) -> Ready {
    Arc::new(move || {
        let (store, lacks) = (store.clone(), queue.hindrance());
        Box::pin(async move {
            let reached = Shared::running(store.as_ref()).await;
            reached.map_err(|e| e.to_string())?;
            lacks.map_or(Ok(()), Err)
        })
    })
}

/// The log is where a coordinator shows what goes on.
fn observer() -> Observer {
    Arc::new(|event| match event {
        Event::Planned { key, kind, items } => {
            tracing::info!(run = %key.run, round = key.round, step = %key.step, %kind, items, "planned");
        }
        Event::Progress { .. } => {}
        Event::Trouble { run, message } => tracing::warn!(%run, message, "trouble"),
        Event::Ended { run, outcome } => match outcome {
            Outcome::Finished => tracing::info!(%run, "finished"),
            Outcome::Paused(reason) => tracing::warn!(%run, reason, "paused"),
            Outcome::Failed(reason) => tracing::error!(%run, reason, "failed"),
        },
    })
}
