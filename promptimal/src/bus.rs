//! How the tasks of a run travel: inside this process, or over a broker to any number of workers.

use anyhow::Context;
use clap::Args;
use coordinator::{Config, Retain};
use queue::{TaskQueue, amqp, memory::MemoryQueue};
use runtime::{
    bodies::ByReference,
    clock::SystemClock,
    heart::{Beating, Heart},
    service::{ArtefactArgs, process_id},
};
use secrecy::{ExposeSecret, SecretString};
use std::{sync::Arc, time::Duration};
use store::{RescuePolicy, RetryPolicy, Waits};

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
    training: Waits {
        unstarted: 600_000_000,
        deadline: 86_400_000_000,
    },
    max_attempts: RETRY.max_attempts,
    limit: 500,
};

/// A body that was left behind is deleted after so long at least.
const BODY_AGE: Duration = Duration::from_secs(24 * 3_600);

/// Deletes the large bodies that were left behind for as long as this process lives: a message may wait until it is
/// begun, and then be worked on, and must find its body.
pub fn sweep(bodies: ByReference, policy: &RescuePolicy) {
    let longest = policy.unstarted.saturating_add(policy.deadline);
    let training = policy.training;
    let longest = longest.max(training.unstarted.saturating_add(training.deadline));
    let longest = Duration::from_micros(longest.unsigned_abs()).saturating_mul(2);
    tokio::spawn(async move { bodies.sweep(&SystemClock, longest.max(BODY_AGE)).await });
}

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
    /// What is too large for the broker.
    #[command(flatten)]
    pub artefacts: ArtefactArgs,
    /// Leave the work to worker-eval processes.
    #[arg(long, requires = "amqp_url")]
    pub no_worker: bool,
}

/// A queue that is open.
pub enum Bus {
    /// In this process.
    Here(Arc<MemoryQueue>),
    /// A broker.
    Broker(Box<Broker>),
}

/// A broker that is open.
pub struct Broker {
    queue: Arc<amqp::AmqpQueue>,
    /// The same with a place for large bodies, if there is one.
    whole: Arc<dyn TaskQueue>,
    /// How it was reached.
    config: amqp::Config,
}

impl Bus {
    /// Opens it.
    ///
    /// # Errors
    /// When a URL is none, or the broker or the place for large bodies cannot be used; the error repeats no password.
    pub async fn open(args: &BusArgs) -> anyhow::Result<Self> {
        let Some(url) = &args.amqp_url else {
            return Ok(Self::Here(Arc::new(MemoryQueue::new())));
        };
        let mut config = amqp::Config::new(url.expose_secret().parse()?);
        config.prefix.clone_from(&args.queue_prefix);
        let queue = Arc::new(amqp::connect(config.clone()).await?);
        let whole: Arc<dyn TaskQueue> = match args.artefacts.around(queue.clone()).await? {
            Some(bodies) => {
                sweep(bodies.clone(), &RESCUE);
                Arc::new(bodies)
            }
            None => queue.clone(),
        };
        Ok(Self::Broker(Box::new(Broker {
            queue,
            whole,
            config,
        })))
    }

    /// The queue.
    pub fn queue(&self) -> Arc<dyn TaskQueue> {
        match self {
            Self::Here(queue) => queue.clone(),
            Self::Broker(broker) => broker.whole.clone(),
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
            retain: Retain::default(),
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
            Self::Broker(broker) => {
                let beating = heart.start_over(name.clone(), broker.config.clone());
                Some(beating.context("no thread for the signs of life")?)
            }
        };
        Ok((name, heart, beating))
    }

    /// Ends it for everybody in this process.
    pub fn close(&self) {
        match self {
            Self::Here(queue) => queue.close(),
            Self::Broker(broker) => broker.queue.close(),
        }
    }
}
