//! The worker of a cluster: takes tasks from the broker, calls models, grades answers, reports.

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
use worker_eval::{Config, Deps, Models, models};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.service.telemetry(), run(&cli))
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(code) = cli.service.check(None).await? {
        return Ok(code);
    }
    let config = cli.broker.config("worker-eval")?;
    let metrics = service::metrics()?;
    // Before anything that takes long: Ctrl-C works from the first moment.
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let models = models(cli).await?;
    let broker = Arc::new(amqp::connect(config.clone()).await?);
    let queue: Arc<dyn TaskQueue> = match cli.artefacts.around(broker.clone()).await? {
        Some(bodies) => Arc::new(bodies),
        None => broker.clone(),
    };
    let worker = service::process_id();
    tracing::info!(worker, models = models.len(), broker = %config.url, "ready for tasks");
    let server = match cli.service.listen {
        Some(at) => {
            let routes = service::vitals(ready(broker.clone()), metrics);
            Some(service::serve(at, routes, shutdown.clone()).await?)
        }
        None => None,
    };
    work(cli, (config, queue), models, worker, shutdown).await?;
    broker.close();
    if let Some(server) = server {
        server.ended().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// The models of the file.
async fn models(cli: &Cli) -> anyhow::Result<Models> {
    let loaded = spec::load(&cli.models, &[], spec::Purpose::Models)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let callable = loaded.spec.models.iter();
    let callable = callable.filter(|(_, model)| !matches!(model, spec::Model::Reward(_)));
    let built = models::build(callable, &loaded.paths, &models::fetch_silently).await?;
    if built.is_empty() {
        bail!(
            "{} has no [models.…] that can be called: write one, as in a spec",
            cli.models.display()
        );
    }
    for (name, model) in &built {
        tracing::info!(name, identity = model.identity().key, "model");
    }
    Ok(built)
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
    models: Models,
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
        models,
        heart,
    };
    let config = Config {
        concurrency: cli.concurrency.get(),
        worker,
    };
    worker_eval::run(config, deps, shutdown).await?;
    Ok(())
}
