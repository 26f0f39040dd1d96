//! One small queue trait, its adapters and their conformance suite.
//!
//! At-least-once: a message is delivered until it is acknowledged. Messages that were delivered but
//! not acknowledged when their consumer is dropped are delivered again, marked `redelivered`.
//! [`memory`] is the in-process adapter, [`faults`] makes it as unkind as a broker can be, and
//! [`conformance`] is what every adapter passes.

pub mod conformance;
pub mod faults;
pub mod memory;

use async_trait::async_trait;
use bytes::Bytes;

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
}

impl Lane {
    /// Every lane, in the order of `lane as usize`.
    pub const ALL: [Lane; 4] = [Lane::Eval, Lane::Score, Lane::Train, Lane::Results];
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique per publication attempt's content, for people who trace: `task:epoch`.
    pub id: String,
    /// The encoded task or report.
    pub body: Bytes,
}

/// A queue. Cheap to clone behind an `Arc`.
#[async_trait]
pub trait TaskQueue: Send + Sync {
    /// Publishes messages; when it returns `Ok`, the queue has taken every one of them.
    ///
    /// # Errors
    /// When any message was not taken; some may have been, so publish all of them again.
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError>;

    /// Starts consuming a lane; at most `prefetch` deliveries are unacknowledged at a time.
    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError>;
}

/// The receiving end of a lane. Dropping it gives back what was not acknowledged.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery, waiting for one; `None` when the queue is closed for good.
    ///
    /// Cancel-safe: dropping the future before it is ready loses no delivery and uses up no prefetch.
    async fn next(&mut self) -> Option<Delivery>;
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

/// Acknowledges one delivery, or gives it back. A receipt that is merely dropped leaves its message
/// unacknowledged until the consumer is dropped too.
#[async_trait]
pub trait Receipt: Send {
    /// The message is done with and is never delivered again.
    ///
    /// # Errors
    /// When the consumer is gone: the message was given back with it and is delivered again.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;

    /// The message is delivered again at once, marked `redelivered`, to whichever consumer is free.
    ///
    /// # Errors
    /// When the consumer is gone: the message was given back with it already.
    async fn give_back(self: Box<Self>) -> Result<(), QueueError>;
}

/// The queue could not do it; nothing is lost, try again.
#[derive(Debug, thiserror::Error)]
#[error("queue {lane:?}: {message}")]
pub struct QueueError {
    /// Where.
    pub lane: Lane,
    /// What happened.
    pub message: String,
}
