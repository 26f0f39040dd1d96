//! The worker's loop on the in-memory queue: order of events, faults, panics, drain and stop.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use queue::faults::Faults;
use queue::memory::MemoryQueue;
use queue::{Consumer, Control, Delivery, Headers, Lane, Message, QueueError, Receipt, TaskQueue};
use runtime::shutdown::Shutdown;
use runtime::work::{self, Ended, Handled, Handler};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What happened to a task, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Refused,
    Published,
    Acked,
    GivenBack,
}

/// Events by task. Reports have the id of their task.
type Journal = Arc<Mutex<BTreeMap<String, Vec<Event>>>>;

fn note(journal: &Journal, id: &str, event: Event) {
    journal
        .lock()
        .unwrap()
        .entry(id.to_owned())
        .or_default()
        .push(event);
}

fn of(journal: &Journal, id: &str) -> Vec<Event> {
    journal.lock().unwrap().get(id).cloned().unwrap_or_default()
}

/// Writes down what is published on the results lane, acknowledged and given back; refuses the first
/// `refusals` reports.
#[derive(Clone)]
struct Watched {
    queue: MemoryQueue,
    journal: Journal,
    refusals: Arc<AtomicUsize>,
}

impl Watched {
    fn new(queue: MemoryQueue, refusals: usize) -> Self {
        Self {
            queue,
            journal: Journal::default(),
            refusals: Arc::new(refusals.into()),
        }
    }

    fn refuses(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
    }
}

#[async_trait]
impl TaskQueue for Watched {
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        let ids: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
        // A real confirm takes a while; an acknowledgement that does not wait for it overtakes it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let result = match lane == Lane::Results && self.refuses() {
            true => Err(QueueError::new(lane, "refused by the test")),
            false => self.queue.publish(lane, messages).await,
        };
        if lane == Lane::Results {
            let event = if result.is_ok() {
                Event::Published
            } else {
                Event::Refused
            };
            ids.iter().for_each(|id| note(&self.journal, id, event));
        }
        result
    }

    async fn publish_once(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.queue.publish_once(lane, messages).await
    }

    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        let consumer = self.queue.consume(lane, prefetch).await?;
        Ok(Box::new(WatchedConsumer {
            consumer,
            journal: self.journal.clone(),
        }))
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

struct WatchedConsumer {
    consumer: Box<dyn Consumer>,
    journal: Journal,
}

#[async_trait]
impl Consumer for WatchedConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let Delivery {
            message,
            redelivered,
            receipt,
        } = self.consumer.next().await?;
        let (journal, id) = (self.journal.clone(), message.id.clone());
        let receipt = Box::new(WatchedReceipt {
            receipt,
            journal,
            id,
        });
        Some(Delivery {
            message,
            redelivered,
            receipt,
        })
    }
}

struct WatchedReceipt {
    receipt: Box<dyn Receipt>,
    journal: Journal,
    id: String,
}

#[async_trait]
impl Receipt for WatchedReceipt {
    async fn ack(self: Box<Self>) -> Result<(), QueueError> {
        note(&self.journal, &self.id, Event::Acked);
        self.receipt.ack().await
    }

    async fn give_back(self: Box<Self>) -> Result<(), QueueError> {
        note(&self.journal, &self.id, Event::GivenBack);
        self.receipt.give_back().await
    }

    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        self.receipt.reject(reason).await
    }
}

/// Reports the body under its own id. A body that says "panic" panics, "garbage" is rejected, "half" is left to the next who
/// gets it, and each body costs a permit of `leave`.
struct Echo {
    leave: Semaphore,
    calls: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Echo {
    fn with_leave(permits: usize) -> Arc<Self> {
        let (calls, at_once) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let leave = Semaphore::new(permits);
        Arc::new(Self {
            leave,
            calls,
            at_once,
            most_at_once: AtomicUsize::new(0),
        })
    }

    fn unhindered() -> Arc<Self> {
        Self::with_leave(Semaphore::MAX_PERMITS)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn report(body: &Bytes) -> Message {
    Message {
        id: String::from_utf8(body.to_vec()).unwrap(),
        headers: Headers::new(),
        body: body.clone(),
    }
}

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, body: Bytes, redelivered: bool) -> Handled {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.leave.acquire().await.unwrap().forget();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        assert!(!body.starts_with(b"panic"), "as the test asked");
        if body.starts_with(b"half") && !redelivered {
            return Handled::GiveBack;
        }
        match body.starts_with(b"garbage") {
            true => Handled::Reject("nobody can read this".to_owned()),
            false => Handled::Report(report(&body)),
        }
    }

    fn poisoned(&self, body: Bytes) -> Handled {
        Handled::Report(Message {
            id: "poisoned".into(),
            ..report(&body)
        })
    }
}

struct Bench {
    queue: Watched,
    handler: Arc<Echo>,
    shutdown: Shutdown,
    worker: JoinHandle<Ended>,
}

impl Bench {
    /// A worker on the tasks, up to four at once.
    async fn start(queue: Watched, handler: Arc<Echo>, tasks: &[&str]) -> Self {
        let shutdown = Shutdown::new();
        let messages = tasks
            .iter()
            .map(|task| report(&Bytes::copy_from_slice(task.as_bytes())));
        let messages: Vec<_> = messages.collect();
        while queue
            .queue
            .publish(Lane::Eval, messages.clone())
            .await
            .is_err()
        {}
        let (bus, hands, until) = (Arc::new(queue.clone()), handler.clone(), shutdown.clone());
        let worker = async move { work::run(bus, Lane::Eval, 4, hands, until).await.unwrap() };
        Self {
            queue,
            handler,
            shutdown,
            worker: tokio::spawn(worker),
        }
    }

    /// The ids of the next reports, in order of arrival.
    async fn reports(&self, count: usize) -> Vec<String> {
        let mut consumer = self.queue.queue.consume(Lane::Results, 1).await.unwrap();
        let mut ids = Vec::new();
        while ids.len() < count {
            let delivery = consumer.next().await.unwrap();
            ids.push(delivery.message.id);
            delivery.receipt.ack().await.unwrap();
        }
        ids
    }

    async fn drained(self) -> Watched {
        self.shutdown.request_drain();
        assert_eq!(self.worker.await.unwrap(), Ended::Drained);
        self.queue
    }
}

/// Lets everything that can happen without more time passing happen: time is paused in these tests,
/// and moves on only when nobody has anything to do.
async fn settle() {
    tokio::time::sleep(Duration::from_micros(1)).await;
}

/// Whoever gets what was left in the middle reports it, once.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_left_goes_back_without_a_report() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::unhindered(), &["half done"]).await;
    assert_eq!(bench.reports(1).await, ["half done"]);
    assert_eq!(bench.handler.calls(), 2);
    let queue = bench.drained().await;
    assert_eq!(
        of(&queue.journal, "half done"),
        [Event::GivenBack, Event::Published, Event::Acked]
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_is_acknowledged_only_after_its_report_is_confirmed() {
    let queue = Watched::new(MemoryQueue::new(), 3);
    let tasks = ["a", "b", "c", "d", "e", "f"];
    let bench = Bench::start(queue, Echo::unhindered(), &tasks).await;
    let mut reports = bench.reports(tasks.len()).await;
    reports.sort_unstable();
    assert_eq!(reports, tasks);
    let queue = bench.drained().await;
    for task in tasks {
        let mut events = of(&queue.journal, task);
        events.retain(|event| *event != Event::Refused);
        assert_eq!(events, [Event::Published, Event::Acked], "task {task}");
    }
    let journal = queue.journal.lock().unwrap();
    let refused = journal
        .values()
        .flatten()
        .filter(|event| **event == Event::Refused);
    assert_eq!(refused.count(), 3);
    assert_eq!(queue.queue.waiting(Lane::Eval), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_report_is_never_confirmed_is_given_back_on_stop() {
    let queue = Watched::new(MemoryQueue::new(), usize::MAX);
    let bench = Bench::start(queue, Echo::unhindered(), &["a"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = of(&bench.queue.journal, "a");
    assert!(
        events.iter().all(|event| *event == Event::Refused),
        "{events:?}"
    );
    assert!(
        (10..40).contains(&events.len()),
        "{} attempts in a minute",
        events.len()
    );
    bench.shutdown.request_stop();
    assert_eq!(bench.worker.await.unwrap(), Ended::Stopped);
    let mut consumer = bench.queue.queue.consume(Lane::Eval, 1).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(
        (delivery.message.id.as_str(), delivery.redelivered),
        ("a", true)
    );
    assert_eq!(
        bench.handler.calls(),
        1,
        "trying to report is no reason to work again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_task_becomes_a_dead_letter_with_its_reason() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::unhindered(), &["garbage", "b"]).await;
    assert_eq!(bench.reports(1).await, ["b"]);
    let queue = bench.drained().await;
    assert_eq!(of(&queue.journal, "garbage"), []);
    let mut dead = queue.queue.consume(Lane::Dead, 1).await.unwrap();
    let letter = queue::DeadLetter::of(&dead.next().await.unwrap().message);
    assert_eq!(letter.lane, Some(Lane::Eval));
    assert_eq!(letter.reason, "nobody can read this");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_task_is_given_back_then_reported_as_poison() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::unhindered(), &["panic", "b", "c"]).await;
    assert_eq!(
        bench.reports(3).await,
        ["b", "c", "poisoned"],
        "the others do not wait for it"
    );
    assert_eq!(bench.handler.calls(), 2 + 3);
    let queue = bench.drained().await;
    assert_eq!(
        of(&queue.journal, "panic"),
        [Event::GivenBack, Event::GivenBack, Event::Acked],
        "two more tries, then an end"
    );
    assert_eq!(of(&queue.journal, "poisoned"), [Event::Published]);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_task_waits_before_it_is_tried_again() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::unhindered(), &["panic"]).await;
    settle().await;
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(of(&bench.queue.journal, "panic"), []);
    let queue = bench.drained().await;
    assert_eq!(
        of(&queue.journal, "panic"),
        [Event::GivenBack],
        "a drain does not wait for it"
    );
    assert_eq!(queue.queue.waiting(Lane::Eval), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_concurrency_is_in_hand() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::with_leave(0), &["a", "b", "c", "d", "e", "f"]).await;
    settle().await;
    assert_eq!(bench.queue.queue.waiting(Lane::Eval), 2);
    bench.handler.leave.add_permits(6);
    assert_eq!(bench.reports(6).await.len(), 6);
    assert_eq!(bench.handler.most_at_once.load(Ordering::SeqCst), 4);
    bench.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_in_hand_and_takes_nothing_new() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::with_leave(0), &["a", "b", "c", "d", "e", "f"]).await;
    settle().await;
    bench.shutdown.request_drain();
    settle().await;
    bench.handler.leave.add_permits(6);
    let queue = bench.drained().await;
    assert_eq!(queue.queue.waiting(Lane::Results), 4);
    assert_eq!(queue.queue.waiting(Lane::Eval), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_is_in_hand() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let tasks = ["a", "b", "c", "d", "e", "f"];
    let bench = Bench::start(queue, Echo::with_leave(1), &tasks).await;
    assert_eq!(bench.reports(1).await, ["a"]);
    bench.shutdown.request_drain();
    settle().await;
    bench.shutdown.request_stop();
    assert_eq!(bench.worker.await.unwrap(), Ended::Stopped);
    assert_eq!(bench.queue.queue.waiting(Lane::Eval), 5);
    assert_eq!(bench.queue.queue.waiting(Lane::Results), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_ends_the_loop() {
    let queue = Watched::new(MemoryQueue::new(), 0);
    let bench = Bench::start(queue, Echo::with_leave(0), &["a"]).await;
    settle().await;
    bench.queue.queue.close();
    assert_eq!(bench.worker.await.unwrap(), Ended::QueueClosed);
}

#[tokio::test(start_paused = true)]
async fn every_task_is_reported_on_a_bad_day() {
    let names: Vec<_> = (0..300).map(|number| format!("task-{number}")).collect();
    let tasks: Vec<_> = names.iter().map(String::as_str).collect();
    for seed in 0..5 {
        let queue = Watched::new(MemoryQueue::with_faults(Faults::bad_day(seed)), 0);
        let bench = Bench::start(queue, Echo::unhindered(), &tasks).await;
        while bench
            .queue
            .journal
            .lock()
            .unwrap()
            .values()
            .filter(|e| e.contains(&Event::Acked))
            .count()
            < tasks.len()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let queue = bench.drained().await;
        for task in &tasks {
            let events = of(&queue.journal, task);
            let first = events.iter().find(|event| **event != Event::Refused);
            assert_eq!(first, Some(&Event::Published), "task {task} of seed {seed}");
        }
    }
}
