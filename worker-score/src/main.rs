//! The worker of a cluster that has the reward model: takes tasks from the broker, scores answers, reports.

mod cli;

use anyhow::{Context, bail};
use clap::Parser;
use cli::Cli;
use queue::{TaskQueue, amqp};
use runtime::{
    heart::Heart,
    service::{self, Ready},
    shutdown::Shutdown,
};
use std::{process::ExitCode, sync::Arc, time::Duration};
use worker_score::{
    Config, Deps, models,
    scorer::{Batching, Scorer},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.service.telemetry(), run(&cli))
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(code) = cli.service.check(None).await? {
        return Ok(code);
    }
    let config = cli.broker.config("worker-score")?;
    let metrics = service::metrics()?;
    // Before anything that takes long: Ctrl-C works from the first moment.
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let scorers = scorers(cli).await?;
    let broker = Arc::new(amqp::connect(config.clone()).await?);
    let queue: Arc<dyn TaskQueue> = match cli.artefacts.around(broker.clone()).await? {
        Some(bodies) => Arc::new(bodies),
        None => broker.clone(),
    };
    let worker = service::process_id();
    tracing::info!(worker, models = scorers.len(), broker = %config.url, "ready for tasks");
    let server = match cli.service.listen {
        Some(at) => {
            let routes = service::vitals(ready(broker.clone()), metrics);
            Some(service::serve(at, routes, shutdown.clone()).await?)
        }
        None => None,
    };
    work(cli, (config, queue), scorers, worker, shutdown).await?;
    broker.close();
    if let Some(server) = server {
        server.ended().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// The reward models of the file.
async fn scorers(cli: &Cli) -> anyhow::Result<Vec<Scorer>> {
    let loaded = spec::load(&cli.models, &[], spec::Purpose::Models)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let batching = Batching {
        tokens: cli.batch_tokens.get(),
    };
    let built = models::build(&loaded.spec.models, &loaded.paths, batching).await?;
    if built.is_empty() {
        bail!(
            "{} has no [models.…] with kind = \"reward\": write one, as in a spec",
            cli.models.display()
        );
    }
    for (name, scorer) in &built {
        tracing::info!(name, identity = scorer.identity(), "reward model");
    }
    Ok(built.into_values().collect())
}

fn ready(queue: Arc<amqp::AmqpQueue>) -> Ready {
    Arc::new(move || {
        let lacks = queue.hindrance();
        Box::pin(async move { lacks.map_or(Ok(()), Err) })
    })
}

/// Works until told to drain; then what is in hand is finished, within a limit.
async fn work(
    cli: &Cli,
    (broker, queue): (amqp::Config, Arc<dyn TaskQueue>),
    scorers: Vec<Scorer>,
    worker: String,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let heart = Heart::default();
    let _beating = heart
        .start_over(worker.clone(), broker)
        .context("no thread for the signs of life")?;
    let limit = Duration::from_secs(cli.drain_seconds);
    tokio::spawn(shutdown.clone().stop_when_late(limit));
    let deps = Deps {
        queue,
        scorers,
        heart,
    };
    let config = Config {
        concurrency: cli.concurrency.get(),
        worker,
    };
    worker_score::run(config, deps, shutdown).await?;
    Ok(())
}
