//! What the programs of workers have in common: everything but their work.

use super::{ArtefactArgs, BrokerArgs, Metrics, Ready, Server, ServiceError, metrics, process_id};
use crate::{
    heart::{Beating, Heart},
    shutdown::Shutdown,
};
use queue::{
    TaskQueue,
    amqp::{self, AmqpQueue},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// A worker that can be stopped, and has not met its broker yet: it may take its time to load models.
pub struct Recruit {
    broker: amqp::Config,
    metrics: Metrics,
    shutdown: Shutdown,
}

/// How a worker goes on duty.
pub struct Terms<'a> {
    /// What is too large for the broker.
    pub artefacts: &'a ArtefactArgs,
    /// Where it answers, if anywhere.
    pub listen: Option<SocketAddr>,
    /// How long a drain may take before what is in hand is given back.
    pub drain: Duration,
    /// How many models it has, for the log.
    pub models: usize,
}

/// A worker that is ready for tasks, and says so over HTTP and by its signs of life.
pub struct Duty {
    /// Where tasks come from.
    pub queue: Arc<dyn TaskQueue>,
    /// Who it is.
    pub worker: String,
    /// What it has in hand.
    pub heart: Heart,
    /// When to end; after a drain that takes too long, at once.
    pub shutdown: Shutdown,
    broker: Arc<AmqpQueue>,
    server: Option<Server>,
    beating: Beating,
}

/// Begins a worker's program of this name.
///
/// # Errors
/// When the broker's URL is none, or signals cannot be listened for.
pub fn enlist(program: &str, broker: &BrokerArgs) -> Result<Recruit, ServiceError> {
    let broker = broker.config(program).map_err(told)?;
    let metrics = metrics()?;
    // Before anything that takes long: Ctrl-C works from the first moment.
    let shutdown = Shutdown::install_signals()
        .map_err(|e| ServiceError(format!("cannot listen for signals: {e}")))?;
    Ok(Recruit {
        broker,
        metrics,
        shutdown,
    })
}

impl Recruit {
    /// Meets the broker.
    ///
    /// # Errors
    /// When the broker or the place of artefacts cannot be used, the address is taken, or no thread can be had.
    pub async fn report(self, terms: Terms<'_>) -> Result<Duty, ServiceError> {
        let broker = Arc::new(amqp::connect(self.broker.clone()).await.map_err(told)?);
        let queue: Arc<dyn TaskQueue> = match terms.artefacts.around(broker.clone()).await? {
            Some(bodies) => Arc::new(bodies),
            None => broker.clone(),
        };
        let worker = process_id();
        tracing::info!(worker, models = terms.models, broker = %self.broker.url, "ready for tasks");
        let server = match terms.listen {
            Some(at) => {
                let routes = super::vitals(ready(broker.clone()), self.metrics);
                Some(super::serve(at, routes, self.shutdown.clone()).await?)
            }
            None => None,
        };
        let heart = Heart::default();
        let beating = heart
            .start_over(worker.clone(), self.broker)
            .map_err(|e| ServiceError(format!("no thread for the signs of life: {e}")))?;
        tokio::spawn(self.shutdown.clone().stop_when_late(terms.drain));
        Ok(Duty {
            queue,
            worker,
            heart,
            shutdown: self.shutdown,
            broker,
            server,
            beating,
        })
    }
}

impl Duty {
    /// Ends what began with it, once the work has ended.
    pub async fn end(self) {
        drop(self.beating);
        self.broker.close();
        if let Some(server) = self.server {
            server.ended().await;
        }
    }
}

fn ready(queue: Arc<AmqpQueue>) -> Ready {
    Arc::new(move || {
        let lacks = queue.hindrance();
        Box::pin(async move { lacks.map_or(Ok(()), Err) })
    })
}

fn told(error: amqp::AmqpError) -> ServiceError {
    ServiceError(error.to_string())
}
