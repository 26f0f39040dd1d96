//! The worker of a cluster that trains: takes tasks from the broker, keeps adapters among the artefacts, reports.

mod cli;

use anyhow::Context;
use clap::Parser;
use cli::Cli;
use runtime::service::{self, Terms};
use std::{process::ExitCode, time::Duration};
use worker_train::{Config, Deps, bases, bases::Bases};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.service.telemetry(), run(&cli))
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(code) = cli.service.check(None).await? {
        return Ok(code);
    }
    let place = train::place(cli.device, cli.dtype)?;
    let recruit = service::enlist("worker-train", &cli.broker)?;
    let artefacts = cli.artefacts.open().await?.context(
        "adapters and checkpoints are kept among the artefacts: give --artefacts, the same as the coordinator's",
    )?;
    let bases = bases(cli).await?;
    let terms = Terms {
        artefacts: &cli.artefacts,
        listen: cli.service.listen,
        drain: Duration::from_secs(cli.drain_seconds),
        models: bases.len(),
    };
    let duty = recruit.report(terms).await?;
    let deps = Deps {
        queue: duty.queue.clone(),
        artefacts,
        bases,
        heart: duty.heart.clone(),
    };
    let config = Config {
        worker: duty.worker.clone(),
        save_every: Duration::from_secs(cli.save_seconds),
        scratch: cli.scratch.clone(),
        place,
    };
    worker_train::run(config, deps, duty.shutdown.clone()).await?;
    duty.end().await;
    Ok(ExitCode::SUCCESS)
}

/// The bases of the arguments.
async fn bases(cli: &Cli) -> anyhow::Result<Bases> {
    let mut paths = Vec::new();
    for base in &cli.bases {
        paths.push(bases::find(base).await.map_err(anyhow::Error::msg)?);
    }
    let bases = Bases::of(paths).await.map_err(anyhow::Error::msg)?;
    for (identity, path) in bases.iter() {
        tracing::info!(identity, path = %path.display(), "base");
    }
    Ok(bases)
}
