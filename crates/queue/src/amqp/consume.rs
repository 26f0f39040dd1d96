//! Consuming: deliveries, receipts and words to everybody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use lapin::Acker;
use lapin::options::BasicNackOptions;

use super::bundle;
use super::convert;
use super::publish::{InDoubt, Publisher};
use super::pump::Pump;
use super::settle::{Life, Line};
use super::topology::Topology;
use crate::dead::DEAD_ALREADY;
use crate::{Consumer, Control, DeadLetter, Delivery, Lane, Message, QueueError, Receipt};

/// The receiving end of a lane.
pub(super) struct AmqpConsumer {
    pub(super) pump: Pump,
    pub(super) hands: Arc<Hands>,
    /// What came with the delivery before.
    pub(super) ready: VecDeque<(Delivery, Arc<Line>)>,
}

/// What the receipts of one consumer share.
pub(super) struct Hands {
    pub(super) lane: Lane,
    pub(super) topology: Topology,
    /// Where rejected messages go.
    pub(super) dead: Arc<Publisher>,
    /// Ends when the consumer is dropped, before its channel is closed.
    pub(super) life: Life,
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        // What is here when the last await ends is handed over without another one: dropping this loses nothing.
        loop {
            while let Some((delivery, channel)) = self.ready.pop_front() {
                // Otherwise it comes again.
                if !channel.is_over() {
                    return Some(delivery);
                }
            }
            let (delivery, channel) = self.pump.next().await?;
            let line = Arc::clone(&channel);
            let hands = Arc::clone(&self.hands);
            let (redelivered, tag) = (delivery.redelivered, delivery.delivery_tag);
            let acker = delivery.acker.clone();
            let message = convert::message(hands.lane, &hands.topology, delivery);
            let whole = AmqpReceipt {
                hands,
                channel,
                tag,
                acker,
                message,
                bundle: Arc::new(Bundle::of(1)),
            };
            match bundle::parts(&whole.message) {
                Some(Ok(parts)) => {
                    let parts = whole.parts(parts, redelivered);
                    self.ready
                        .extend(parts.map(|part| (part, Arc::clone(&line))));
                }
                Some(Err(why)) if whole.hands.lane != Lane::Dead => whole.refuse(&why),
                // What is dead is handed over as it is.
                None | Some(Err(_)) => {
                    self.ready.push_back((whole.delivery(redelivered), line));
                }
            }
        }
    }
}

/// What the receipts of messages that came as one share: the broker is told once, when the last of them is settled.
struct Bundle {
    open: AtomicUsize,
    /// One of them is to come again, and with it all.
    again: AtomicBool,
}

impl Bundle {
    fn of(messages: usize) -> Self {
        Self {
            open: AtomicUsize::new(messages),
            again: AtomicBool::new(false),
        }
    }

    /// One more is settled. Whether all come again; `None` while others are open.
    fn settled(&self, again: bool) -> Option<bool> {
        self.again.fetch_or(again, Ordering::AcqRel);
        let last = self.open.fetch_sub(1, Ordering::AcqRel) == 1;
        last.then(|| self.again.load(Ordering::Acquire))
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        self.hands.life.end();
    }
}

struct AmqpReceipt {
    hands: Arc<Hands>,
    channel: Arc<Line>,
    tag: u64,
    /// For what is no acknowledgement.
    acker: Acker,
    message: Message,
    bundle: Arc<Bundle>,
}

impl AmqpReceipt {
    fn delivery(self, redelivered: bool) -> Delivery {
        Delivery {
            message: self.message.clone(),
            redelivered,
            receipt: Box::new(self),
        }
    }

    /// A delivery for each message of a bundle.
    fn parts(self, messages: Vec<Message>, redelivered: bool) -> impl Iterator<Item = Delivery> {
        let bundle = Arc::new(Bundle::of(messages.len()));
        messages.into_iter().map(move |message| {
            let part = Self {
                hands: Arc::clone(&self.hands),
                channel: Arc::clone(&self.channel),
                tag: self.tag,
                acker: self.acker.clone(),
                message,
                bundle: Arc::clone(&bundle),
            };
            part.delivery(redelivered)
        })
    }

    /// Makes a dead letter of what nobody can read.
    fn refuse(self, why: &str) {
        let why = why.to_owned();
        tokio::spawn(async move {
            if let Err(error) = Box::new(self).reject(&why).await {
                tracing::warn!(%error, "it comes again");
            }
        });
    }

    fn error(&self, why: impl Into<String>) -> QueueError {
        QueueError::new(self.hands.lane, why)
    }

    /// Only as long as the broker waits for our word.
    fn check(&self) -> Result<(), QueueError> {
        if self.hands.life.is_over() || self.channel.is_over() {
            return Err(self.late("its consumer or its connection is gone"));
        }
        Ok(())
    }

    /// lapin says `false` for a channel that is no more.
    fn settled(&self, outcome: lapin::Result<bool>) -> Result<(), QueueError> {
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.late("its channel is gone")),
            Err(error) => Err(self.late(&error.to_string())),
        }
    }

    fn late(&self, why: &str) -> QueueError {
        self.error(format!(
            "delivery of `{}` comes again, {why}",
            self.message.id
        ))
    }

    async fn requeue(&self) -> Result<(), QueueError> {
        match self.bundle.settled(true) {
            Some(_) => self.nack().await,
            None => Ok(()),
        }
    }

    async fn nack(&self) -> Result<(), QueueError> {
        let options = BasicNackOptions {
            requeue: true,
            multiple: false,
        };
        let outcome = self.acker.nack(options).await;
        self.channel.given_back(self.tag);
        self.settled(outcome)
    }

    async fn acknowledge(&self) -> Result<(), QueueError> {
        match self.bundle.settled(false) {
            None => return Ok(()),
            Some(true) => return self.nack().await,
            Some(false) => {}
        }
        match self.channel.ack(self.tag).await {
            true => Ok(()),
            false => Err(self.late("its channel is gone")),
        }
    }
}

#[async_trait]
impl Receipt for AmqpReceipt {
    async fn ack(self: Box<Self>) -> Result<(), QueueError> {
        self.check()?;
        self.acknowledge().await
    }

    async fn give_back(self: Box<Self>) -> Result<(), QueueError> {
        self.check()?;
        self.requeue().await
    }

    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        self.check()?;
        let lane = self.hands.lane;
        if lane == Lane::Dead {
            self.requeue().await?;
            return Err(self.error(DEAD_ALREADY));
        }
        // The broker could dead-letter it alone, but not say why.
        let mut message = self.message.clone();
        DeadLetter::mark(&mut message.headers, lane.name(), reason);
        if let Err(failed) = self.hands.dead.publish(vec![message], InDoubt::Again).await {
            self.requeue().await?;
            let (id, why) = (&self.message.id, failed.why);
            return Err(self.error(format!("`{id}` is not rejected, {why}")));
        }
        self.acknowledge().await
    }
}

/// The receiving end of the control fan-out.
pub(super) struct AmqpControl(pub(super) Pump);

#[async_trait]
impl Control for AmqpControl {
    async fn next(&mut self) -> Option<Bytes> {
        let (delivery, _) = self.0.next().await?;
        Some(delivery.data.into())
    }
}
