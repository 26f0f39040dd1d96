//! How the tasks of a run travel: inside this process, or over a broker to any number of workers.

use anyhow::Context;
use clap::Args;
use coordinator::Config;
use queue::{TaskQueue, amqp, memory::MemoryQueue};
use runtime::{
    heart::{Beating, Heart},
    service::process_id,
};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use store::{RescuePolicy, RetryPolicy};

/// How failed items are treated: five attempts, from one second to a minute apart.
pub const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    backoff: 1_000_000,
    max_backoff: 60_000_000,
};

/// Publishing to the queue in this process takes microseconds; after a kill nothing else waits for this long.
const HOLD_HERE: i64 = 5_000_000;
/// Publishing to a broker may take as long as it waits for confirms, and no claim may be taken over before.
pub const HOLD_BROKER: i64 = 60_000_000;

/// When a task that went over a broker is lost: its worker is silent, nobody began it, it takes too long.
pub const RESCUE: RescuePolicy = RescuePolicy {
    silent: 30_000_000,
    unstarted: 600_000_000,
    deadline: 3_600_000_000,
    max_attempts: RETRY.max_attempts,
    limit: 500,
};

/// The broker of a run, if it has one.
#[derive(Clone, Debug, Args)]
pub struct BusArgs {
    /// Send tasks over this RabbitMQ, so that worker-eval processes share the work:
    /// amqp://user:password@host:port/vhost. This process works too.
    #[arg(
        long,
        value_name = "URL",
        env = "PROMPTIMAL_AMQP_URL",
        hide_env_values = true
    )]
    pub amqp_url: Option<SecretString>,
    /// The beginning of all names on the broker; the workers have the same.
    #[arg(long, value_name = "WORD", env = "PROMPTIMAL_QUEUE_PREFIX", default_value = amqp::DEFAULT_PREFIX)]
    pub queue_prefix: String,
    /// Leave the work to worker-eval processes.
    #[arg(long, requires = "amqp_url")]
    pub no_worker: bool,
}

/// A queue that is open.
pub enum Bus {
    /// In this process.
    Here(Arc<MemoryQueue>),
    /// A broker, and how it was reached.
    Broker(Arc<amqp::AmqpQueue>, Box<amqp::Config>),
}

impl Bus {
    /// Opens it.
    ///
    /// # Errors
    /// When the URL is none, or the broker cannot be used; the error does not repeat the password.
    pub async fn open(args: &BusArgs) -> anyhow::Result<Self> {
        let Some(url) = &args.amqp_url else {
            return Ok(Self::Here(Arc::new(MemoryQueue::new())));
        };
        let mut config = amqp::Config::new(url.expose_secret().parse()?);
        config.prefix.clone_from(&args.queue_prefix);
        let queue = amqp::connect(config.clone()).await?;
        Ok(Self::Broker(Arc::new(queue), Box::new(config)))
    }

    /// The queue.
    pub fn queue(&self) -> Arc<dyn TaskQueue> {
        match self {
            Self::Here(queue) => queue.clone(),
            Self::Broker(queue, _) => queue.clone(),
        }
    }

    /// Whether tasks outlive this process.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Broker(..))
    }

    /// How a coordinator works on it, with so many tasks under way.
    pub fn config(&self, window: usize) -> Config {
        Config {
            window,
            retry: RETRY,
            hold: if self.is_shared() {
                HOLD_BROKER
            } else {
                HOLD_HERE
            },
            // While a queue in this process lives, nothing in it is lost.
            rescue: self.is_shared().then_some(RESCUE),
            lease: None,
        }
    }

    /// The worker's name, its heart, and what keeps that beating.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn worker(&self) -> anyhow::Result<(String, Heart, Option<Beating>)> {
        let (name, heart) = (process_id(), Heart::default());
        let beating = match self {
            Self::Here(_) => None,
            Self::Broker(_, config) => {
                let beating = heart.start_over(name.clone(), config.as_ref().clone());
                Some(beating.context("no thread for the signs of life")?)
            }
        };
        Ok((name, heart, beating))
    }

    /// Ends it for everybody in this process.
    pub fn close(&self) {
        match self {
            Self::Here(queue) => queue.close(),
            Self::Broker(queue, _) => queue.close(),
        }
    }
}
