//! One small queue trait, its adapters and their conformance suite.
//!
//! At-least-once: a message is delivered until it is acknowledged. Messages that were delivered but
//! not acknowledged when their consumer is dropped are delivered again, marked `redelivered`.
//! [`memory`] is the in-process adapter, [`faults`] makes it as unkind as a broker can be, `amqp` is
//! RabbitMQ, and [`conformance`] is what every adapter passes.
//!
//! Beside the tasks and reports there are two ways for what may be lost: [`Lane::Events`] for many
//! small notes to one reader, and [`TaskQueue::broadcast`] for a word to everybody.

#[cfg(feature = "amqp")]
pub mod amqp;
pub mod conformance;
mod dead;
pub mod faults;
pub mod memory;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

pub use dead::{DELIVERY_LIMIT, DeadLetter};

/// The largest body a broker is asked to carry, in bytes. What is larger travels by reference.
pub const MAX_BODY: usize = 256 * 1024;

/// How many events wait at most; the oldest make room for new ones.
pub const MAX_EVENTS: usize = 10_000;

/// The lanes messages travel in. One queue each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Propose and answer tasks.
    Eval,
    /// Reward-model tasks.
    Score,
    /// Training tasks.
    Train,
    /// Reports on their way back.
    Results,
    /// Started, heartbeat and the like. Light: at most [`MAX_EVENTS`] wait, and a broker that restarts
    /// forgets them.
    Events,
    /// Messages of the other lanes that nobody can do anything with, see [`DeadLetter`].
    Dead,
}

impl Lane {
    /// Every lane, in the order of `lane as usize`.
    pub const ALL: [Lane; 6] = [
        Lane::Eval,
        Lane::Score,
        Lane::Train,
        Lane::Results,
        Lane::Events,
        Lane::Dead,
    ];

    /// The lane's name on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Eval => "eval",
            Lane::Score => "score",
            Lane::Train => "train",
            Lane::Results => "results",
            Lane::Events => "events",
            Lane::Dead => "dead",
        }
    }

    /// The lane of that name.
    pub fn named(name: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.name() == name)
    }
}

/// What travels beside a body: names and values, both text.
pub type Headers = BTreeMap<String, String>;

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Unique per publication attempt's content, for people who trace: `task:epoch`. At most 255 bytes.
    pub id: String,
    /// For whoever traces (`traceparent`); empty most of the time. A name has at most 255 bytes.
    pub headers: Headers,
    /// The encoded task or report.
    pub body: Bytes,
}

/// A message is larger than the queue takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, and the queue takes {limit}{}", self.but())]
pub struct Unfit {
    /// The length of its body, bytes.
    pub bytes: usize,
    /// The largest body that would be taken as it is.
    pub limit: usize,
    /// Why it could not be kept elsewhere just now; `None` where there is nowhere, and trying again is of no use.
    pub unkept: Option<String>,
}

impl Unfit {
    /// A message whose body is within a limit.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(message: Message, limit: Option<usize>) -> Result<Message, Self> {
        let (bytes, limit) = (message.body.len(), limit.unwrap_or(usize::MAX));
        match bytes <= limit {
            true => Ok(message),
            false => Err(Self {
                bytes,
                limit,
                unkept: None,
            }),
        }
    }

    fn but(&self) -> String {
        let why = self.unkept.as_ref();
        why.map_or_else(String::new, |why| {
            format!("; they could not be kept elsewhere: {why}")
        })
    }
}

/// A queue. Cheap to clone behind an `Arc`.
#[async_trait]
pub trait TaskQueue: Send + Sync {
    /// Publishes messages; when it returns `Ok`, the queue has taken every one of them.
    ///
    /// # Errors
    /// When any message was not taken; some may have been, so publish all of them again.
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError>;

    /// As [`TaskQueue::publish`], and nothing is sent a second time: a message that the queue may or may not have is an
    /// error. Then it is there once or not at all, and whoever gets it for a second time sees it marked `redelivered`.
    ///
    /// # Errors
    /// When any message was not taken, or nobody knows; some may have been.
    async fn publish_once(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError>;

    /// The largest body that is taken, bytes; `None` where any is.
    fn body_limit(&self) -> Option<usize> {
        None
    }

    /// Makes a message one that [`TaskQueue::publish`] takes: a queue that knows where to keep large bodies puts them
    /// there and has their messages say where; others look at the size. Each message by itself: one that does not fit
    /// must not hold up its neighbours.
    ///
    /// # Errors
    /// When it is too large, or cannot be kept now.
    async fn fit(&self, _lane: Lane, message: Message) -> Result<Message, Unfit> {
        Unfit::check(message, self.body_limit())
    }

    /// Starts consuming a lane; at most `prefetch` deliveries are unacknowledged at a time.
    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError>;

    /// How many messages of a lane wait for a consumer; those in the hands of consumers are not counted.
    ///
    /// # Errors
    /// When that cannot be told now, or messages do not get through: it is not waited for.
    async fn depth(&self, lane: Lane) -> Result<u64, QueueError>;

    /// Says something to every [`TaskQueue::control`] of every process: cancel, pause, drain.
    ///
    /// Whoever is not listening at this moment misses it, so it may speed things up and must never be
    /// what makes them right.
    ///
    /// # Errors
    /// When it was not said; try again.
    async fn broadcast(&self, word: Bytes) -> Result<(), QueueError>;

    /// Listens to what is broadcast from now on.
    async fn control(&self) -> Result<Box<dyn Control>, QueueError>;
}

/// The receiving end of a lane. Dropping it gives back what was not acknowledged.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery, waiting for one; `None` when the queue is closed for good.
    ///
    /// Cancel-safe: dropping the future before it is ready loses no delivery and uses up no prefetch.
    async fn next(&mut self) -> Option<Delivery>;
}

/// The receiving end of what is broadcast.
#[async_trait]
pub trait Control: Send {
    /// The next word, waiting for one; `None` when the queue is closed for good. Cancel-safe.
    async fn next(&mut self) -> Option<Bytes>;
}

/// A message in the hands of a consumer.
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How to acknowledge it.
    pub receipt: Box<dyn Receipt>,
}

/// Acknowledges one delivery, gives it back or rejects it. A receipt that is merely dropped leaves its
/// message unacknowledged until the consumer is dropped too.
#[async_trait]
pub trait Receipt: Send {
    /// The message is done with and is not delivered again, unless a broker loses the acknowledgement.
    ///
    /// # Errors
    /// When the consumer is gone: the message was given back with it and is delivered again.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;

    /// The message is delivered again at once, marked `redelivered`, to whichever consumer is free.
    ///
    /// # Errors
    /// When the consumer is gone: the message was given back with it already.
    async fn give_back(self: Box<Self>) -> Result<(), QueueError>;

    /// Nobody can do anything with the message: it moves to [`Lane::Dead`], where a [`DeadLetter`] says
    /// why. What is dead cannot be rejected again, only acknowledged.
    ///
    /// # Errors
    /// When it could not be moved: it is delivered again.
    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError>;
}

/// The queue could not do it; nothing is lost, try again.
#[derive(Debug, thiserror::Error)]
#[error("queue {}: {message}", .lane.map_or("Control".to_owned(), |lane| format!("{lane:?}")))]
pub struct QueueError {
    /// Where; `None` is the control fan-out.
    pub lane: Option<Lane>,
    /// What happened.
    pub message: String,
    /// Of a publication: what is certain of each of its messages, in their order; empty where nothing is certain of any.
    pub fates: Vec<Fate>,
    /// Of a publication: the queue is there, and refuses messages for now. Asking it at once again is of no use.
    pub full: bool,
}

/// What is certain of a message whose publication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The queue has it.
    Taken,
    /// The queue has it not, and never will.
    NotTaken,
    /// The queue has it, or has it not.
    InDoubt,
}

impl QueueError {
    /// An error on a lane, or on the control fan-out.
    pub fn new(lane: impl Into<Option<Lane>>, message: impl Into<String>) -> Self {
        Self {
            lane: lane.into(),
            message: message.into(),
            fates: Vec::new(),
            full: false,
        }
    }

    /// What is certain of the message at this place.
    pub fn fate(&self, place: usize) -> Fate {
        self.fates.get(place).copied().unwrap_or(Fate::InDoubt)
    }
}
