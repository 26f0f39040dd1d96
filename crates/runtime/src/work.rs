//! The worker's loop: consume, handle, report, and only then acknowledge.
//!
//! A report is confirmed by the queue before its task is acknowledged, so a worker that dies at any
//! point leaves the task to somebody else: work may be done twice, never lost. What an application
//! error means is in the report; the loop itself knows five ends of a task only: reported, rejected,
//! given back, panicked (given back after a while, and after a few times handed to [`Handler::poisoned`]), dropped.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use queue::{Consumer, Delivery, Headers, Lane, Message, QueueError, Receipt, TaskQueue, Unfit};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::Instrument;
use wire::Report;

use crate::shutdown::Shutdown;
use crate::trace::{self, Traced};

/// After the first failure to publish a report, how long until the next attempt; then ever twice as
/// long.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The longest wait between attempts to publish a report.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How long a report waits for the place of large bodies, before it is made small enough to do without.
const KEEP_PATIENCE: Duration = Duration::from_secs(600);
/// How long a task whose handler panicked is kept before it is given back. It keeps its place in the
/// worker meanwhile, so a worker full of poison slows down instead of spinning.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// How many times this worker lets a task panic before it calls it poison.
const PANICS_ALLOWED: u32 = 3;

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// To be reported; the task is acknowledged once the queue has the report.
    Report(Message),
    /// Nobody can do anything with this message, and why: it becomes a dead letter.
    Reject(String),
    /// Nobody wants an answer any more: the task is acknowledged without a report.
    Unwanted,
    /// It was left in the middle, and whoever gets it next goes on with it.
    GiveBack,
}

/// The message that carries a report.
pub fn message(report: &Report) -> Message {
    Message {
        id: format!("{}:{}", report.task, report.epoch),
        headers: Headers::new(),
        body: report.encode().into(),
    }
}

/// What a worker does with a task.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Does the work. Dropped halfway on a stop: the task is then delivered again. `redelivered` says that somebody may
    /// have had it in hand before.
    async fn handle(&self, body: Bytes, redelivered: bool) -> Handled;

    /// What to say of a task whose handling panicked every time.
    fn poisoned(&self, body: Bytes) -> Handled;

    /// A report without what made it too large for the queue. Only for handlers whose reports may be large: what it
    /// gives is published until the queue takes it.
    fn shortened(&self, report: Message, why: &Unfit) -> Message {
        tracing::error!(report = report.id, %why, "report is too large");
        report
    }
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A drain was requested, and what was in hand is finished.
    Drained,
    /// A stop was requested, and what was in hand is given back.
    Stopped,
    /// The queue was closed for good, and what was in hand went with it.
    QueueClosed,
}

/// Works on a lane until `shutdown` says otherwise, on at most `concurrency` tasks at once.
///
/// Reports go to [`Lane::Results`].
///
/// # Errors
/// When the lane cannot be consumed.
pub async fn run<H: Handler + 'static>(
    queue: Arc<dyn TaskQueue>,
    lane: Lane,
    concurrency: usize,
    handler: Arc<H>,
    shutdown: Shutdown,
) -> Result<Ended, QueueError> {
    let mut consumer = queue.consume(lane, concurrency).await?;
    let worker = Arc::new(Worker {
        queue,
        handler,
        shutdown,
        panics: Mutex::default(),
    });
    let mut in_hand = JoinSet::new();
    let ended = take_and_spawn(&worker, &mut *consumer, &mut in_hand).await;
    // Tasks hold receipts: they end before the consumer gives back what they left unacknowledged.
    in_hand.shutdown().await;
    drop(consumer);
    Ok(ended)
}

/// Takes deliveries until told otherwise, then sees the tasks in hand to their end.
async fn take_and_spawn<H: Handler + 'static>(
    worker: &Arc<Worker<H>>,
    consumer: &mut dyn Consumer,
    in_hand: &mut JoinSet<()>,
) -> Ended {
    loop {
        // The consumer's prefetch holds the number of tasks in hand at the concurrency.
        tokio::select! {
            biased;
            () = worker.shutdown.drain_requested() => break,
            Some(_) = in_hand.join_next() => {}
            delivery = consumer.next() => match delivery {
                Some(delivery) => { in_hand.spawn(Arc::clone(worker).attend(delivery)); }
                None => return Ended::QueueClosed,
            },
        }
    }
    tokio::select! {
        biased;
        () = worker.shutdown.stop_requested() => Ended::Stopped,
        () = async { while in_hand.join_next().await.is_some() {} } => Ended::Drained,
    }
}

struct Worker<H> {
    queue: Arc<dyn TaskQueue>,
    handler: Arc<H>,
    shutdown: Shutdown,
    /// How often each task has panicked here, by message id, until it ends here. Tasks that were
    /// given back and ended elsewhere stay: as many as there are tasks that panic, so few.
    panics: Mutex<HashMap<String, u32>>,
}

/// One of the tasks in hand, for the metrics: how many there are, and how long each takes.
struct InHand(Instant);

impl InHand {
    fn new() -> Self {
        metrics::gauge!("promptimal_tasks_in_hand").increment(1.0);
        Self(Instant::now())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        metrics::gauge!("promptimal_tasks_in_hand").decrement(1.0);
        metrics::histogram!("promptimal_task_duration_seconds").record(self.0.elapsed());
    }
}

impl<H: Handler> Worker<H> {
    /// Sees one delivery to its end, in a span of the trace that it belongs to.
    async fn attend(self: Arc<Self>, delivery: Delivery) {
        let traced = trace::received(&delivery.message);
        let span = trace::span(&delivery.message.id, traced.as_ref());
        self.see_to(delivery, traced).instrument(span).await;
    }

    async fn see_to(&self, delivery: Delivery, traced: Option<Traced>) {
        let Delivery {
            message: Message { id, body, .. },
            redelivered,
            receipt,
        } = delivery;
        let _in_hand = InHand::new();
        let mut outcome = self.outcome(&id, body, redelivered).await;
        if let (Some(traced), Some(Handled::Report(report))) = (&traced, &mut outcome) {
            traced.hand_on(&mut report.headers);
        }
        let word = match &outcome {
            None => "panicked",
            Some(Handled::Report(_)) => "reported",
            Some(Handled::Reject(_)) => "rejected",
            Some(Handled::Unwanted) => "unwanted",
            Some(Handled::GiveBack) => "given back",
        };
        metrics::counter!("promptimal_tasks_total", "outcome" => word).increment(1);
        tracing::debug!(outcome = word, "task handled");
        let ended = match outcome {
            None => return self.give_back_later(&id, receipt).await,
            Some(Handled::GiveBack) => return give_back(&id, receipt).await,
            Some(Handled::Report(report)) if sabotage::breaks("confirm") => {
                let acked = receipt.ack().await;
                sabotage::point("worker.acked");
                self.publish(report).await;
                acked
            }
            Some(Handled::Report(report)) => {
                self.publish(report).await;
                sabotage::point("worker.reported");
                // Only now: whoever dies before this line leaves the task to somebody else.
                receipt.ack().await
            }
            Some(Handled::Reject(reason)) => {
                tracing::error!(task = id, reason, "task rejected");
                receipt.reject(&reason).await
            }
            Some(Handled::Unwanted) => {
                tracing::debug!(task = id, "task let go");
                receipt.ack().await
            }
        };
        if let Err(error) = ended {
            tracing::warn!(task = id, %error, "task is done but not acknowledged, it comes again");
        }
    }

    /// What came of it; `None` when handling panicked and may be tried again.
    async fn outcome(&self, id: &str, body: Bytes, redelivered: bool) -> Option<Handled> {
        let handling = self.handler.handle(body.clone(), redelivered);
        let handling = AssertUnwindSafe(handling).catch_unwind();
        if let Ok(handled) = handling.await {
            self.panics().remove(id);
            return Some(handled);
        }
        let panics = self.count_panic(id);
        tracing::error!(task = id, panics, "task handler panicked");
        if panics < PANICS_ALLOWED {
            return None;
        }
        let poisoned = std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.poisoned(body)));
        if poisoned.is_ok() {
            self.panics().remove(id);
        }
        poisoned.ok()
    }

    fn count_panic(&self, id: &str) -> u32 {
        let mut panics = self.panics();
        let count = panics.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    }

    fn panics(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a task back for a while, or until the worker drains and its neighbours may have it.
    async fn give_back_later(&self, id: &str, receipt: Box<dyn Receipt>) {
        tokio::select! {
            () = sleep(PANIC_PAUSE) => {}
            () = self.shutdown.drain_requested() => {}
        }
        give_back(id, receipt).await;
    }

    /// Publishes until the queue has taken the report; a stop drops this future.
    async fn publish(&self, report: Message) {
        let report = self.fitting(report).await;
        let mut wait = FIRST_RETRY;
        while let Err(error) = self
            .queue
            .publish(Lane::Results, vec![report.clone()])
            .await
        {
            tracing::warn!(report = report.id, %error, "report not taken, trying again");
            sleep(wait).await;
            wait = LONGEST_RETRY.min(wait * 2);
        }
    }

    /// The report as the queue takes it. What was paid for is worth some patience with a place that is away.
    async fn fitting(&self, report: Message) -> Message {
        let (begin, mut wait) = (Instant::now(), FIRST_RETRY);
        loop {
            let why = match self.queue.fit(Lane::Results, report.clone()).await {
                Ok(fitting) => return fitting,
                Err(why) => why,
            };
            if why.unkept.is_none() || begin.elapsed() > KEEP_PATIENCE {
                return self.handler.shortened(report, &why);
            }
            tracing::warn!(report = report.id, %why, "report not kept, trying again");
            sleep(wait).await;
            wait = LONGEST_RETRY.min(wait * 2);
        }
    }
}

async fn give_back(id: &str, receipt: Box<dyn Receipt>) {
    if let Err(error) = receipt.give_back().await {
        tracing::warn!(task = id, %error, "task was given back already");
    }
}
