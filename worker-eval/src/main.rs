//! The worker of a cluster: takes tasks from the broker, calls models, grades answers, reports.

mod cli;

use anyhow::bail;
use clap::Parser;
use cli::Cli;
use runtime::service::{self, Terms};
use std::{process::ExitCode, time::Duration};
use worker_eval::{Config, Deps, Models, models};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.service.telemetry(), run(&cli))
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(code) = cli.service.check(None).await? {
        return Ok(code);
    }
    let recruit = service::enlist("worker-eval", &cli.broker)?;
    let models = models(cli).await?;
    let terms = Terms {
        artefacts: &cli.artefacts,
        listen: cli.service.listen,
        drain: Duration::from_secs(cli.drain_seconds),
        models: models.len(),
    };
    let duty = recruit.report(terms).await?;
    let deps = Deps {
        queue: duty.queue.clone(),
        models,
        heart: duty.heart.clone(),
    };
    let config = Config {
        concurrency: cli.concurrency.get(),
        worker: duty.worker.clone(),
    };
    worker_eval::run(config, deps, duty.shutdown.clone()).await?;
    duty.end().await;
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
