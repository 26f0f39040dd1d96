//! How fast a queue is: publications, consumption, and the way there and back.
//!
//!     cargo run --release -p queue --example throughput_queue [MESSAGES [BYTES]]
//!
//! In memory always; on RabbitMQ where `PROMPTIMAL_TEST_AMQP_URL` says where it is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example to be run by hand"
)]

use std::sync::Arc;
use std::time::Instant;

use queue::amqp::{self, Config};
use queue::memory::MemoryQueue;
use queue::{Lane, Message, TaskQueue};
use tokio::sync::Semaphore;

/// Messages in one call of `publish`, as the dispatcher's claims go.
const BLOCKS: [usize; 4] = [1, 50, 500, 2_000];
/// Round trips under way at once.
const IN_FLIGHT: [usize; 3] = [1, 32, 200];
const PREFETCH: usize = 256;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().map_or(otherwise, |n| n.parse().unwrap());
    let (messages, bytes) = (number(10_000), number(1_024));
    println!("{messages} messages of {bytes} bytes");
    measure("memory", Arc::new(MemoryQueue::new()), messages, bytes).await;
    if let Ok(url) = std::env::var("PROMPTIMAL_TEST_AMQP_URL") {
        let config = Config {
            prefix: format!("throughput-{}", std::process::id()),
            ..Config::new(url.parse().unwrap())
        };
        let queue = Arc::new(amqp::connect(config).await.unwrap());
        measure("rabbitmq", queue, messages, bytes).await;
    }
}

async fn measure(name: &str, queue: Arc<dyn TaskQueue>, messages: usize, bytes: usize) {
    for block in BLOCKS {
        // One by one is slow: a few are enough to see how slow.
        let count = if block == 1 { messages / 10 } else { messages };
        let start = Instant::now();
        publish(&*queue, count, block, bytes).await;
        tell(name, &format!("publish, {block} a call"), count, start);
        let start = Instant::now();
        consume(&*queue, count).await;
        tell(
            name,
            &format!("consume and acknowledge, prefetch {PREFETCH}"),
            count,
            start,
        );
    }
    let start = Instant::now();
    publish_at_once(&queue, messages, bytes).await;
    tell(name, "publish, 1 a call, 64 callers", messages, start);
    consume(&*queue, messages).await;
    for in_flight in IN_FLIGHT {
        let count = if in_flight == 1 {
            messages / 20
        } else {
            messages
        };
        let start = Instant::now();
        round_trips(&queue, count, in_flight, bytes).await;
        tell(
            name,
            &format!("round trips, {in_flight} under way"),
            count,
            start,
        );
    }
}

fn tell(name: &str, what: &str, count: usize, start: Instant) {
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{name:>8}  {what:<40} {rate:>10.0} /s");
}

fn message(number: usize, bytes: usize) -> Message {
    Message {
        id: format!("{number}:1"),
        body: vec![b'x'; bytes].into(),
        ..Message::default()
    }
}

async fn publish(queue: &dyn TaskQueue, count: usize, block: usize, bytes: usize) {
    for first in (0..count).step_by(block) {
        let block = first..count.min(first + block);
        let block = block.map(|number| message(number, bytes)).collect();
        queue.publish(Lane::Eval, block).await.unwrap();
    }
}

async fn publish_at_once(queue: &Arc<dyn TaskQueue>, count: usize, bytes: usize) {
    const CALLERS: usize = 64;
    let callers = (0..CALLERS).map(|_| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move { publish(&*queue, count / CALLERS, 1, bytes).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    publish(&**queue, count % CALLERS, 1, bytes).await;
}

async fn consume(queue: &dyn TaskQueue, count: usize) {
    let mut consumer = queue.consume(Lane::Eval, PREFETCH).await.unwrap();
    for _ in 0..count {
        let delivery = consumer.next().await.unwrap();
        delivery.receipt.ack().await.unwrap();
    }
}

/// Task there, report published and confirmed, task acknowledged, report taken; so many under way at once.
async fn round_trips(queue: &Arc<dyn TaskQueue>, count: usize, in_flight: usize, bytes: usize) {
    let room = Arc::new(Semaphore::new(in_flight));
    let worker = tokio::spawn(work(Arc::clone(queue), in_flight));
    let mut reports = queue.consume(Lane::Results, PREFETCH).await.unwrap();
    let dispatcher = tokio::spawn(dispatch(Arc::clone(queue), count, Arc::clone(&room), bytes));
    for _ in 0..count {
        let report = reports.next().await.unwrap();
        report.receipt.ack().await.unwrap();
        room.add_permits(1);
    }
    dispatcher.await.unwrap();
    worker.abort();
}

/// Publishes as many tasks at a time as there is room for, up to a dispatcher's batch.
async fn dispatch(queue: Arc<dyn TaskQueue>, count: usize, room: Arc<Semaphore>, bytes: usize) {
    const BATCH: usize = 64;
    let mut sent = 0;
    while sent < count {
        room.acquire().await.unwrap().forget();
        let mut tasks = vec![message(sent, bytes)];
        while tasks.len() < BATCH.min(count - sent) {
            let Ok(place) = room.try_acquire() else { break };
            place.forget();
            tasks.push(message(sent + tasks.len(), bytes));
        }
        sent += tasks.len();
        queue.publish(Lane::Eval, tasks).await.unwrap();
    }
}

async fn work(queue: Arc<dyn TaskQueue>, concurrency: usize) {
    let mut tasks = queue.consume(Lane::Eval, concurrency).await.unwrap();
    while let Some(task) = tasks.next().await {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            queue
                .publish(Lane::Results, vec![task.message])
                .await
                .unwrap();
            // At the very end the worker is stopped with its last acknowledgements on the way.
            let _ = task.receipt.ack().await;
        });
    }
}
