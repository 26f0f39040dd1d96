//! The worker of a cluster that has the reward model: takes tasks from the broker, scores answers, reports.

mod cli;

use anyhow::bail;
use clap::Parser;
use cli::Cli;
use runtime::service::{self, Terms};
use std::{process::ExitCode, time::Duration};
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
    let recruit = service::enlist("worker-score", &cli.broker)?;
    let scorers = scorers(cli).await?;
    let terms = Terms {
        artefacts: &cli.artefacts,
        listen: cli.service.listen,
        drain: Duration::from_secs(cli.drain_seconds),
        models: scorers.len(),
    };
    let duty = recruit.report(terms).await?;
    let deps = Deps {
        queue: duty.queue.clone(),
        scorers,
        heart: duty.heart.clone(),
    };
    let config = Config {
        concurrency: cli.concurrency.get(),
        worker: duty.worker.clone(),
    };
    worker_score::run(config, deps, duty.shutdown.clone()).await?;
    duty.end().await;
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
