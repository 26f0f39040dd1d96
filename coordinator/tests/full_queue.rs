//! A queue that is full for a while: what was refused goes out again, ever more rarely, and costs the run nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use coordinator::Outcome;
use queue::{Consumer, Control, Fate, Lane, Message, QueueError, TaskQueue, memory::MemoryQueue};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use store::{Results, Tasks};
use support::World;

/// Refuses publications of tasks: of the first it takes one message, of the next none, and then it takes all.
struct Full {
    queue: MemoryQueue,
    /// How many publications are refused.
    times: usize,
    asked: AtomicUsize,
}

impl Full {
    fn new(times: usize) -> Self {
        Self {
            queue: MemoryQueue::new(),
            times,
            asked: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl TaskQueue for Full {
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.queue.publish(lane, messages).await
    }

    async fn publish_once(&self, lane: Lane, mut messages: Vec<Message>) -> Result<(), QueueError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        if asked >= self.times {
            return self.queue.publish_once(lane, messages).await;
        }
        let mut fates = vec![Fate::NotTaken; messages.len()];
        if asked == 0 {
            messages.truncate(1);
            fates[0] = Fate::Taken;
            self.queue.publish_once(lane, messages).await?;
        }
        Err(QueueError {
            fates,
            full: true,
            ..QueueError::new(lane, "full")
        })
    }

    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        self.queue.consume(lane, prefetch).await
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        self.queue.depth(lane).await
    }

    async fn broadcast(&self, word: Bytes) -> Result<(), QueueError> {
        self.queue.broadcast(word).await
    }

    async fn control(&self) -> Result<Box<dyn Control>, QueueError> {
        self.queue.control().await
    }
}

#[tokio::test]
async fn what_a_full_queue_refuses_goes_out_again_and_costs_nothing() {
    let (plain, mut world) = (World::new(20).await, World::new(20).await);
    // Three refusals: half a second, half a second, a second.
    world.queue = Arc::new(Full::new(3));
    for world in [&plain, &world] {
        let worker = world.worker();
        assert_eq!(world.drive(true).await, Outcome::Finished);
        worker.abort();
    }
    let of = async |w: &World| w.store.projection(w.run).await.unwrap();
    assert_eq!(of(&plain).await, of(&world).await);
    let spent = async |w: &World| w.store.spend(w.run).await.unwrap();
    assert_eq!(spent(&plain).await, spent(&world).await);
    // The window is four: one of them was taken, three were refused, and then one at a time.
    let count = "SELECT (SELECT count(*) FROM ledger WHERE worker = 'coordinator'), sum(epoch - 1) FROM tasks";
    let again = world.store.query_read_only(count).await.unwrap().rows;
    assert_eq!(again, [[serde_json::json!(5), serde_json::json!(5)]]);
}
