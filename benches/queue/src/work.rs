//! A worker process as `worker-eval` is put together: the same loop, handler and heart, a broker and one model.

use crate::{measure, model, settings, settings::Work};
use anyhow::Context;
use coordinator::settings::TARGET;
use queue::amqp;
use runtime::{heart::Heart, service::process_id, shutdown::Shutdown};
use std::sync::Arc;

/// Works until it is asked to drain (SIGTERM), and tells what it used.
pub async fn main(asked: Work) -> anyhow::Result<()> {
    llm::use_ring();
    let shutdown = Shutdown::install_signals().context("cannot listen for signals")?;
    let mut broker = amqp::Config::new(settings::broker()?.parse()?);
    broker.prefix.clone_from(&asked.prefix);
    let queue = Arc::new(amqp::connect(broker.clone()).await?);
    let (worker, heart) = (process_id(), Heart::default());
    let beating = heart.start_over(worker.clone(), broker)?;
    let model = model::model(asked.url.as_deref(), asked.concurrency)?;
    let deps = worker_eval::Deps {
        queue,
        models: [(TARGET.to_owned(), model)].into(),
        heart,
    };
    let config = worker_eval::Config {
        concurrency: asked.concurrency,
        worker,
    };
    println!("ready");
    worker_eval::run(config, deps, shutdown).await?;
    drop(beating);
    settings::tell(&measure::used())
}
