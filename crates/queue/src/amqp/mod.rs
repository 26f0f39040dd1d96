//! RabbitMQ, from 3.10 on. The only place that names lapin.
//!
//! Each process has two connections, because a broker in need stops those who publish, and
//! acknowledgements must go on: one to publish (a channel for each lane), one to consume (a channel for each
//! consumer). Each is held by a supervisor that builds everything anew on any error, for ever.
//!
//! | file | what |
//! |---|---|
//! | `config` | where the broker is; a URL that hides its password |
//! | `topology` | names, and how everything is declared |
//! | `link` | a connection that never gives up |
//! | `publish`, `flight` | publications, their confirms and their time limit |
//! | `bundle` | reports that are ready together, as one message |
//! | `pump`, `consume` | subscriptions, deliveries, receipts |
//! | `settle` | acknowledgements, many at a time |
//! | `convert` | messages and their headers |
//! | `error` | what the broker says, for people |
//!
//! What a caller sees of a broker that is away: publications wait for it and fail after
//! [`Config::publish_limit`], consumers wait, and receipts of before fail because their messages come again.

mod bundle;
mod config;
mod consume;
mod convert;
mod error;
mod flight;
mod link;
mod publish;
mod pump;
mod settle;
mod topology;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rand::{SeedableRng, seq::SliceRandom};

pub use config::{Config, DEFAULT_PREFIX, Url};
pub use error::AmqpError;

use crate::{Consumer, Control, Lane, MAX_BODY, Message, QueueError, TaskQueue};
use bundle::Bundler;
use consume::{AmqpConsumer, AmqpControl, Hands};
use link::{Link, Role};
use publish::{InDoubt, Publisher, Route};
use pump::{Pump, Subscription};
use settle::Life;
use topology::Topology;

/// Connects to a broker and declares what is missing there.
///
/// # Errors
/// When the broker cannot be used as it is: not reached, wrong user, no such vhost, queues of the same name
/// that are declared otherwise. Once connected, an outage is no error of this kind: it is waited for.
pub async fn connect(config: Config) -> Result<AmqpQueue, AmqpError> {
    config.check()?;
    let publishing = Arc::new(Link::open(&config, Role::Publish).await?);
    let consuming = Arc::new(Link::open(&config, Role::Consume).await?);
    let topology = Topology::new(&config);
    let publisher = |route| {
        let link = Arc::clone(&publishing);
        Arc::new(Publisher::start(link, route, config.publish_limit))
    };
    let lanes = Lane::ALL.map(|lane| publisher(to_lane(&topology, lane)));
    let control = publisher(to_all(&topology));
    let reports = Bundler::start(Arc::clone(&lanes[Lane::Results as usize]));
    Ok(AmqpQueue {
        lanes,
        reports,
        control,
        publishing,
        consuming,
        topology,
        config,
    })
}

fn to_lane(topology: &Topology, lane: Lane) -> Route {
    Route {
        exchange: topology.exchange(lane),
        key: lane.name().to_owned(),
        persistent: lane != Lane::Events,
        mandatory: true,
        quorum: lane != Lane::Events,
    }
}

fn to_all(topology: &Topology) -> Route {
    Route {
        exchange: topology.control(),
        key: String::new(),
        persistent: false,
        // Nobody listening is no error.
        mandatory: false,
        quorum: false,
    }
}

/// A queue in RabbitMQ.
pub struct AmqpQueue {
    lanes: [Arc<Publisher>; Lane::ALL.len()],
    /// Beside the way to their lane, for those that come one by one.
    reports: Bundler,
    control: Arc<Publisher>,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    topology: Topology,
    config: Config,
}

impl AmqpQueue {
    /// Closes the connections for good: consumers get `None`, publications fail, what was held is given back.
    pub fn close(&self) {
        self.publishing.close();
        self.consuming.close();
    }

    /// Why nothing gets through now, if so: the broker is away, or blocks publishers.
    pub fn hindrance(&self) -> Option<String> {
        let consuming = self.consuming.hindrance();
        self.publishing.hindrance().or(consuming)
    }

    async fn publish_as(
        &self,
        lane: Lane,
        mut messages: Vec<Message>,
        in_doubt: InDoubt,
    ) -> Result<(), QueueError> {
        let several = sabotage::breaks("once");
        if several {
            messages = [messages.clone(), messages.clone(), messages].concat();
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(messages.len() as u64);
            messages.shuffle(&mut rng);
        }
        let together = lane == Lane::Results && in_doubt == InDoubt::Again;
        let published = match messages.pop_if(|only| together && Bundler::takes(only)) {
            Some(only) if messages.is_empty() => self.reports.publish(only).await,
            last => {
                messages.extend(last);
                self.lanes[lane as usize].publish(messages, in_doubt).await
            }
        };
        published.map_err(|failed| QueueError {
            fates: if several { Vec::new() } else { failed.fates },
            full: failed.refused,
            ..QueueError::new(lane, failed.why)
        })
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Pump, String> {
        let link = Arc::clone(&self.consuming);
        Pump::start(link, subscription, self.config.publish_limit).await
    }
}

#[async_trait]
impl TaskQueue for AmqpQueue {
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.publish_as(lane, messages, InDoubt::Again).await
    }

    async fn publish_once(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.publish_as(lane, messages, InDoubt::Fail).await
    }

    fn body_limit(&self) -> Option<usize> {
        Some(MAX_BODY)
    }

    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        let prefetch = match u16::try_from(prefetch) {
            Ok(prefetch @ 1..) => prefetch,
            // 0 would mean no limit to the protocol.
            _ => {
                let why = format!(
                    "cannot consume with prefetch {prefetch}: at least 1 and at most {} can be in hand",
                    u16::MAX
                );
                return Err(QueueError::new(lane, why));
            }
        };
        let name = self.topology.queue(lane);
        let pump = self.subscribe(Subscription::Queue { name, prefetch }).await;
        let pump = pump.map_err(|why| QueueError::new(lane, why))?;
        let hands = Arc::new(Hands {
            lane,
            topology: self.topology.clone(),
            dead: Arc::clone(&self.lanes[Lane::Dead as usize]),
            life: Life::default(),
        });
        Ok(Box::new(AmqpConsumer {
            pump,
            hands,
            ready: VecDeque::new(),
        }))
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        // Nobody hears of anything while the broker takes no messages: what waits then says little.
        if let Some(why) = self.hindrance() {
            return Err(QueueError::new(lane, why));
        }
        let depth = async {
            let session = self.consuming.now()?;
            self.topology.depth(&session, lane).await
        };
        let limit = self.config.publish_limit;
        let depth = tokio::time::timeout(limit, depth).await;
        depth
            .unwrap_or_else(|_| Err(format!("not told within {limit:?}")))
            .map_err(|why| QueueError::new(lane, why))
    }

    async fn broadcast(&self, word: Bytes) -> Result<(), QueueError> {
        let message = Message {
            body: word,
            ..Message::default()
        };
        let said = self.control.publish(vec![message], InDoubt::Again).await;
        said.map_err(|failed| QueueError::new(None, failed.why))
    }

    async fn control(&self) -> Result<Box<dyn Control>, QueueError> {
        let exchange = self.topology.control();
        let pump = self.subscribe(Subscription::Copies { exchange }).await;
        let pump = pump.map_err(|why| QueueError::new(None, why))?;
        Ok(Box::new(AmqpControl(pump)))
    }
}
