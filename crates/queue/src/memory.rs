//! The in-process adapter: lanes of waiting messages behind a lock each, and a bell for what is broadcast.
//!
//! First in, first out per lane; what is given back goes to the front. Consumers of one lane share its
//! messages, each message going to whoever asks first. [`Faults`] take the kindness away.
//!
//! Nothing here survives the process: the outbox in the store does, and publishes again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};

use crate::dead::DEAD_ALREADY;
use crate::faults::{Dice, Faults};
use crate::{
    Consumer, Control, DeadLetter, Delivery, Fate, Lane, MAX_EVENTS, Message, QueueError, Receipt,
    TaskQueue,
};

/// How many words a listener may be behind before it misses the oldest.
const UNHEARD: usize = 1_024;

/// A queue in memory. Clones share their messages.
#[derive(Clone)]
pub struct MemoryQueue {
    lanes: [Arc<LaneQueue>; Lane::ALL.len()],
    bell: Arc<Mutex<Option<broadcast::Sender<Bytes>>>>,
    body_limit: Option<usize>,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// A queue without faults.
    pub fn new() -> Self {
        Self::with_faults(Faults::none())
    }

    /// A queue that behaves like a broker on a bad day.
    pub fn with_faults(faults: Faults) -> Self {
        Self {
            lanes: Lane::ALL.map(|lane| Arc::new(LaneQueue::new(lane, faults))),
            bell: Arc::new(Mutex::new(Some(broadcast::Sender::new(UNHEARD)))),
            body_limit: None,
        }
    }

    /// The same queue, which refuses larger bodies, as a broker does.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Self {
            body_limit: Some(bytes),
            ..self
        }
    }

    /// Closes every lane for good: consumers get `None`, publications fail. What still waits is not
    /// delivered any more, so whoever needs all of it drains before closing.
    pub fn close(&self) {
        for lane in &self.lanes {
            lane.line().closed = true;
            lane.arrived.notify_waiters();
            lane.closing.notify_waiters();
        }
        unpoisoned(&self.bell).take();
    }

    /// How many messages wait on a lane; those in the hands of consumers are not counted.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.lane(lane).line().waiting.len()
    }

    fn lane(&self, lane: Lane) -> &Arc<LaneQueue> {
        &self.lanes[lane as usize]
    }

    fn fits(&self, lane: Lane, messages: &[Message]) -> Result<(), QueueError> {
        let limit = self.body_limit.unwrap_or(usize::MAX);
        let Some(large) = messages.iter().find(|m| m.body.len() > limit) else {
            return Ok(());
        };
        let (id, bytes) = (&large.id, large.body.len());
        let why = format!("message `{id}` has {bytes} bytes, over the limit of {limit}");
        Err(QueueError {
            fates: vec![Fate::NotTaken; messages.len()],
            ..QueueError::new(lane, why)
        })
    }
}

#[async_trait]
impl TaskQueue for MemoryQueue {
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.fits(lane, &messages)?;
        self.lane(lane).publish(messages, Line::add)
    }

    async fn publish_once(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.fits(lane, &messages)?;
        self.lane(lane).publish(messages, Line::add_once)
    }

    fn body_limit(&self) -> Option<usize> {
        self.body_limit
    }

    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        let lane = Arc::clone(self.lane(lane));
        if prefetch == 0 || prefetch > Semaphore::MAX_PERMITS {
            return Err(lane.error(format!(
                "cannot consume with prefetch {prefetch}: at least 1 and at most {} can be in hand",
                Semaphore::MAX_PERMITS
            )));
        }
        let hands = Arc::new(Hands {
            lane,
            dead: Arc::clone(self.lane(Lane::Dead)),
            held: Mutex::default(),
        });
        let free = Arc::new(Semaphore::new(prefetch));
        Ok(Box::new(MemoryConsumer {
            hands,
            free,
            next_tag: 0,
        }))
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        Ok(self.waiting(lane) as u64)
    }

    async fn broadcast(&self, word: Bytes) -> Result<(), QueueError> {
        match &*unpoisoned(&self.bell) {
            // Nobody listening is no error.
            Some(bell) => drop(bell.send(word)),
            None => return Err(QueueError::new(None, "the queue is closed")),
        }
        Ok(())
    }

    async fn control(&self) -> Result<Box<dyn Control>, QueueError> {
        match &*unpoisoned(&self.bell) {
            Some(bell) => Ok(Box::new(MemoryControl(bell.subscribe()))),
            None => Err(QueueError::new(None, "the queue is closed")),
        }
    }
}

struct MemoryControl(broadcast::Receiver<Bytes>);

#[async_trait]
impl Control for MemoryControl {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.0.recv().await {
                Ok(word) => return Some(word),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// One lane.
struct LaneQueue {
    lane: Lane,
    line: Mutex<Line>,
    /// One permit means "a message may wait"; who takes a message and leaves others passes it on.
    arrived: Notify,
    /// Wakes the consumers that have no hand free and so must not use up an arrival.
    closing: Notify,
}

/// What a lane's lock guards.
struct Line {
    waiting: VecDeque<Waiting>,
    dice: Dice,
    closed: bool,
}

#[derive(Clone)]
struct Waiting {
    message: Message,
    redelivered: bool,
}

impl LaneQueue {
    fn new(lane: Lane, faults: Faults) -> Self {
        let dice = Dice::new(faults, lane as u64);
        let line = Mutex::new(Line {
            waiting: VecDeque::new(),
            dice,
            closed: false,
        });
        Self {
            lane,
            line,
            arrived: Notify::new(),
            closing: Notify::new(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        unpoisoned(&self.line)
    }

    fn error(&self, message: impl Into<String>) -> QueueError {
        QueueError::new(self.lane, message)
    }

    fn publish(
        &self,
        messages: Vec<Message>,
        add: fn(&mut Line, Message),
    ) -> Result<(), QueueError> {
        let count = messages.len();
        let refused = {
            let mut line = self.line();
            if line.closed {
                return Err(self.error("the queue is closed and takes no more messages"));
            }
            let refused = line.dice.refuses(count);
            for message in messages.into_iter().take(refused.unwrap_or(count)) {
                add(&mut line, message);
            }
            line.forget(self.lane);
            refused
        };
        self.arrived.notify_one();
        match refused {
            None => Ok(()),
            Some(taken) => Err(self.error(format!(
                "took {taken} of {count} messages, publish all again"
            ))),
        }
    }

    /// Puts messages back in front, the first of them first.
    fn give_back(&self, messages: impl DoubleEndedIterator<Item = Message>) {
        {
            let mut line = self.line();
            for message in messages.rev() {
                line.waiting.push_front(Waiting {
                    message,
                    redelivered: true,
                });
            }
        }
        self.arrived.notify_one();
    }

    /// Waits for a message and takes it; `None` once the lane is closed.
    async fn take(&self) -> Option<Waiting> {
        loop {
            // Made before looking: a change between the look and the wait is not slept through.
            let arrived = self.arrived.notified();
            {
                let mut line = self.line();
                if line.closed {
                    return None;
                }
                if let Some(taken) = line.take() {
                    if !line.waiting.is_empty() {
                        self.arrived.notify_one();
                    }
                    return Some(taken);
                }
            }
            arrived.await;
        }
    }

    /// Waits until the lane is closed.
    async fn closed(&self) {
        let closing = self.closing.notified();
        if !self.line().closed {
            closing.await;
        }
    }
}

impl Line {
    fn add(&mut self, message: Message) {
        if self.dice.duplicates() {
            self.add_once(message.clone());
        }
        self.add_once(message);
    }

    fn add_once(&mut self, message: Message) {
        self.waiting.push_back(Waiting {
            message,
            redelivered: false,
        });
    }

    /// Events make room for newer ones.
    fn forget(&mut self, lane: Lane) {
        if lane == Lane::Events {
            let over = self.waiting.len().saturating_sub(MAX_EVENTS);
            self.waiting.drain(..over);
        }
    }

    fn take(&mut self) -> Option<Waiting> {
        let taken = self.waiting.remove(self.dice.pick(self.waiting.len()))?;
        if self.dice.redelivers() {
            self.waiting.push_back(Waiting {
                redelivered: true,
                ..taken.clone()
            });
        }
        Some(taken)
    }
}

/// What one consumer holds unacknowledged, by delivery tag, so oldest first. Each holds one of the
/// consumer's permits, which comes free when the message leaves the hands.
struct Hands {
    lane: Arc<LaneQueue>,
    dead: Arc<LaneQueue>,
    held: Mutex<BTreeMap<u64, (Message, OwnedSemaphorePermit)>>,
}

impl Hands {
    fn release(&self, tag: u64) -> Result<Message, QueueError> {
        match unpoisoned(&self.held).remove(&tag) {
            Some((message, _permit)) => Ok(message),
            None => Err(self.lane.error(format!(
                "delivery {tag} was given back when its consumer was dropped and comes again"
            ))),
        }
    }
}

struct MemoryConsumer {
    hands: Arc<Hands>,
    free: Arc<Semaphore>,
    next_tag: u64,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let permit = self.free_hand().await?;
        let Waiting {
            message,
            redelivered,
        } = self.hands.lane.take().await?;
        // No await from here on: a delivery that was taken is a delivery that is handed over.
        let tag = self.next_tag;
        self.next_tag += 1;
        unpoisoned(&self.hands.held).insert(tag, (message.clone(), permit));
        let receipt = Box::new(MemoryReceipt {
            hands: Arc::clone(&self.hands),
            tag,
        });
        Some(Delivery {
            message,
            redelivered,
            receipt,
        })
    }
}

impl MemoryConsumer {
    /// Waits until less than the prefetch is in hand; `None` once the lane is closed.
    async fn free_hand(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            permit = Arc::clone(&self.free).acquire_owned() => permit.ok(),
            () = self.hands.lane.closed() => None,
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let held = std::mem::take(&mut *unpoisoned(&self.hands.held));
        self.hands
            .lane
            .give_back(held.into_values().map(|(message, _permit)| message));
    }
}

struct MemoryReceipt {
    hands: Arc<Hands>,
    tag: u64,
}

#[async_trait]
impl Receipt for MemoryReceipt {
    async fn ack(self: Box<Self>) -> Result<(), QueueError> {
        self.hands.release(self.tag).map(drop)
    }

    async fn give_back(self: Box<Self>) -> Result<(), QueueError> {
        let message = self.hands.release(self.tag)?;
        self.hands.lane.give_back(std::iter::once(message));
        Ok(())
    }

    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        let from = self.hands.lane.lane;
        let mut message = self.hands.release(self.tag)?;
        if from == Lane::Dead {
            self.hands.lane.give_back(std::iter::once(message));
            return Err(self.hands.lane.error(DEAD_ALREADY));
        }
        DeadLetter::mark(&mut message.headers, from.name(), reason);
        // A lane that refuses now and then must not lose what was taken from another.
        let mut dead = self.hands.dead.line();
        dead.waiting.push_back(Waiting {
            message,
            redelivered: false,
        });
        drop(dead);
        self.hands.dead.arrived.notify_one();
        Ok(())
    }
}

/// A panic elsewhere leaves these maps whole: every change to them is a single call.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
