//! The in-memory queue: the suite in good health, what holds on a bad day, closing, and contention.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use queue::faults::Faults;
use queue::memory::MemoryQueue;
use queue::{Lane, MAX_EVENTS, Message, TaskQueue, conformance};

fn message(number: usize) -> Message {
    Message {
        id: number.to_string(),
        body: vec![0; 64].into(),
        ..Message::default()
    }
}

async fn kind() -> Arc<dyn TaskQueue> {
    Arc::new(MemoryQueue::new())
}

fn bad_day(seed: u64) -> Arc<dyn TaskQueue> {
    Arc::new(MemoryQueue::with_faults(Faults::bad_day(seed)))
}

#[tokio::test(start_paused = true)]
async fn passes_the_suite() {
    conformance::all(kind).await;
}

#[tokio::test(start_paused = true)]
async fn loses_nothing_whatever_the_consumers_do() {
    for seed in 0..20 {
        conformance::nothing_is_lost(kind, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keeps_its_promises_on_a_bad_day() {
    for seed in 0..20 {
        let bad = async || bad_day(seed);
        conformance::nothing_is_lost(bad, seed).await;
        conformance::prefetch_is_respected(bad).await;
        conformance::lanes_are_apart(bad).await;
    }
}

/// What one consumer sees of 1,000 messages: numbers in order of delivery, and how many were marked.
async fn day(faults: Faults) -> (Vec<usize>, usize) {
    let queue = MemoryQueue::with_faults(faults);
    let messages: Vec<_> = (0..1_000).map(message).collect();
    while queue.publish(Lane::Eval, messages.clone()).await.is_err() {}
    let mut consumer = queue.consume(Lane::Eval, 1).await.unwrap();
    let mut seen = Vec::new();
    let mut marked = 0;
    while queue.waiting(Lane::Eval) > 0 {
        let delivery = consumer.next().await.unwrap();
        seen.push(delivery.message.id.parse().unwrap());
        marked += usize::from(delivery.redelivered);
        delivery.receipt.ack().await.unwrap();
    }
    (seen, marked)
}

#[tokio::test]
async fn each_fault_does_what_it_says_and_nothing_else() {
    let none = Faults::none();
    let all: Vec<usize> = (0..1_000).collect();
    assert_eq!(day(none).await, (all.clone(), 0));

    let (seen, marked) = day(Faults {
        redeliver: 0.2,
        ..none
    })
    .await;
    assert_eq!(seen.len(), 1_000 + marked, "every repetition is marked");
    assert!(
        (150..400).contains(&marked),
        "about a quarter is repeated, not {marked}"
    );

    let (seen, marked) = day(Faults {
        duplicate: 0.2,
        ..none
    })
    .await;
    assert_eq!(
        marked, 0,
        "the queue does not know that a publisher repeated itself"
    );
    assert!(
        (1_150..1_250).contains(&seen.len()),
        "about a fifth comes twice, not {}",
        seen.len()
    );

    let (mut seen, marked) = day(Faults {
        reorder: 0.2,
        ..none
    })
    .await;
    assert_ne!(seen, all);
    seen.sort_unstable();
    assert_eq!((seen, marked), (all, 0));

    let queue = MemoryQueue::with_faults(Faults {
        refuse: 1.0,
        ..none
    });
    let error = queue
        .publish(Lane::Train, (0..9).map(message).collect())
        .await
        .unwrap_err();
    let taken = queue.waiting(Lane::Train);
    assert_eq!(
        error.to_string(),
        format!("queue Train: took {taken} of 9 messages, publish all again")
    );
    assert!(taken < 9);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bad_day() {
    let first = day(Faults::bad_day(7)).await;
    assert_eq!(first, day(Faults::bad_day(7)).await);
    assert_ne!(first, day(Faults::bad_day(8)).await);
}

#[tokio::test]
async fn closing_ends_idle_and_busy_consumers() {
    let queue = MemoryQueue::new();
    queue
        .publish(Lane::Eval, vec![message(0), message(1)])
        .await
        .unwrap();
    let mut busy = queue.consume(Lane::Eval, 1).await.unwrap();
    let held = busy.next().await.unwrap();
    let mut idle = queue.consume(Lane::Score, 1).await.unwrap();
    let waits =
        tokio::spawn(async move { (busy.next().await.is_none(), idle.next().await.is_none()) });
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(waits.await.unwrap(), (true, true));
    drop(held);
    let error = queue
        .publish(Lane::Eval, vec![message(2)])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "queue Eval: the queue is closed and takes no more messages"
    );
}

#[tokio::test]
async fn old_events_make_room_and_nothing_else_does() {
    for (lane, left) in [(Lane::Events, MAX_EVENTS), (Lane::Results, MAX_EVENTS + 5)] {
        let queue = MemoryQueue::new();
        let messages = (0..MAX_EVENTS + 5).map(message).collect();
        queue.publish(lane, messages).await.unwrap();
        assert_eq!(queue.waiting(lane), left);
        let first = queue.consume(lane, 1).await.unwrap().next().await.unwrap();
        let gone = MAX_EVENTS + 5 - left;
        assert_eq!(first.message.id, gone.to_string());
    }
}

#[tokio::test]
async fn closing_ends_the_control_fan_out() {
    let queue = MemoryQueue::new();
    let mut control = queue.control().await.unwrap();
    queue.broadcast("drain".into()).await.unwrap();
    queue.close();
    assert_eq!(control.next().await.unwrap(), "drain");
    assert!(control.next().await.is_none());
    let error = queue.broadcast("drain".into()).await.unwrap_err();
    assert_eq!(error.to_string(), "queue Control: the queue is closed");
}

#[tokio::test]
async fn a_consumer_without_hands_is_refused() {
    let error = MemoryQueue::new()
        .consume(Lane::Score, 0)
        .await
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("queue Score: cannot consume with prefetch 0")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_and_consumers_may_all_be_at_it_at_once() {
    const EACH: usize = 2_000;
    let queue = MemoryQueue::new();
    let seen = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, seen) = (queue.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut consumer = queue.consume(Lane::Eval, 3).await.unwrap();
                while let Some(delivery) = consumer.next().await {
                    *seen
                        .lock()
                        .unwrap()
                        .entry(delivery.message.id.clone())
                        .or_default() += 1;
                    delivery.receipt.ack().await.unwrap();
                    if seen.lock().unwrap().len() == 3 * EACH {
                        queue.close();
                    }
                }
            })
        })
        .collect();
    for publisher in 0..3 {
        let queue = queue.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let message = message(publisher * EACH + number);
                queue.publish(Lane::Eval, vec![message]).await.unwrap();
            }
        });
    }
    for consumer in consumers {
        consumer.await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3 * EACH);
    assert_eq!(
        seen.values().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([1])
    );
}
