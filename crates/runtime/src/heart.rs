//! Signs of life: which tasks a worker has in hand, told every few seconds.
//!
//! [`Heart::start`] beats on a thread of its own with a runtime of its own, so that no amount of work on the others
//! can keep it from beating: a silent worker is dead, or cut off.

use domain::run::Attempt;
use queue::{Headers, Lane, Message, QueueError, TaskQueue, amqp};
use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;
use wire::{Beats, VERSION};

/// How often a worker says what it has in hand.
pub const EVERY: Duration = Duration::from_secs(5);

/// What a worker has in hand. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Heart {
    /// How often each attempt is in hand: a broker may deliver one twice.
    in_hand: Arc<Mutex<HashMap<Attempt, u32>>>,
}

impl Heart {
    /// Notes an attempt for as long as the result lives.
    #[must_use]
    pub fn hold(&self, attempt: Attempt) -> Held {
        *self.lock().entry(attempt.clone()).or_default() += 1;
        Held {
            heart: self.clone(),
            attempt,
        }
    }

    /// What is in hand, in no order.
    pub fn in_hand(&self) -> Vec<Attempt> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Attempt, u32>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Beats until the result is dropped, over a connection that `connect` makes on the heart's own thread; one that
    /// cannot be made is asked for again with the next beat.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<C, F>(&self, worker: String, every: Duration, connect: C) -> io::Result<Beating>
    where
        C: Fn() -> F + Send + 'static,
        F: Future<Output = Result<Arc<dyn TaskQueue>, QueueError>>,
    {
        let heart = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("heart".into());
        // The future is made on its thread: only what makes it has to travel there.
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = heart.beat(&worker, every, connect) => {}
                }
            });
        })?;
        Ok(Beating {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Beats every [`EVERY`] over a broker, on connections of its own, which nothing else can keep busy.
    ///
    /// # Errors
    /// As [`Heart::start`].
    pub fn start_over(&self, worker: String, mut broker: amqp::Config) -> io::Result<Beating> {
        broker.name.push_str("-heart");
        self.start(worker, EVERY, move || {
            let broker = broker.clone();
            async move {
                let connected = amqp::connect(broker).await;
                let connected = connected.map_err(|e| QueueError::new(None, e.to_string()))?;
                Ok(Arc::new(connected) as Arc<dyn TaskQueue>)
            }
        })
    }

    async fn beat<C, F>(&self, worker: &str, every: Duration, connect: C)
    where
        C: Fn() -> F,
        F: Future<Output = Result<Arc<dyn TaskQueue>, QueueError>>,
    {
        let mut queue = None;
        loop {
            tokio::time::sleep(every).await;
            let attempts = self.in_hand();
            if attempts.is_empty() {
                continue;
            }
            if let Err(error) = say(&mut queue, &connect, message(worker, attempts)).await {
                tracing::warn!(%error, "sign of life not sent");
            }
        }
    }
}

async fn say<C, F>(
    queue: &mut Option<Arc<dyn TaskQueue>>,
    connect: &C,
    message: Message,
) -> Result<(), QueueError>
where
    C: Fn() -> F,
    F: Future<Output = Result<Arc<dyn TaskQueue>, QueueError>>,
{
    let queue = match queue {
        Some(queue) => queue,
        none => none.insert(connect().await?),
    };
    queue.publish(Lane::Events, vec![message]).await
}

fn message(worker: &str, attempts: Vec<Attempt>) -> Message {
    let beats = Beats {
        v: VERSION,
        worker: worker.to_owned(),
        attempts,
    };
    // Not the whole id: a worker's name may be longer than an id.
    Message {
        id: "beats".to_owned(),
        headers: Headers::new(),
        body: beats.encode().into(),
    }
}

/// An attempt in hand.
#[derive(Debug)]
pub struct Held {
    heart: Heart,
    attempt: Attempt,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut in_hand = self.heart.lock();
        if let Some(count) = in_hand.get_mut(&self.attempt) {
            *count -= 1;
            if *count == 0 {
                in_hand.remove(&self.attempt);
            }
        }
    }
}

/// A heart that beats until this is dropped.
#[derive(Debug)]
pub struct Beating {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It ends at its next await; a panic of its own says nothing new here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::RunId;
    use queue::memory::MemoryQueue;

    fn attempt(n: u32) -> Attempt {
        Attempt {
            task: RunId::new().task("one"),
            epoch: n,
        }
    }

    #[test]
    fn an_attempt_is_in_hand_until_its_last_holder_drops_it() {
        let (heart, one) = (Heart::default(), attempt(1));
        let (first, second) = (heart.hold(one.clone()), heart.hold(one.clone()));
        drop(first);
        assert_eq!(heart.in_hand(), [one]);
        drop(second);
        assert_eq!(heart.in_hand(), []);
    }

    #[tokio::test]
    async fn it_beats_while_every_thread_of_the_worker_is_busy() {
        let queue: Arc<dyn TaskQueue> = Arc::new(MemoryQueue::new());
        let (heart, one) = (Heart::default(), attempt(3));
        let _held = heart.hold(one.clone());
        let to = queue.clone();
        let connect = move || std::future::ready(Ok(to.clone()));
        let beating = heart.start("w".to_owned(), Duration::from_millis(5), connect);
        let mut events = queue.consume(Lane::Events, 10).await.unwrap();
        // This runtime has one thread, and it does nothing but sleep here.
        thread::sleep(Duration::from_millis(100));
        drop(beating.unwrap());
        let first = events.next().await.unwrap();
        let beats = Beats::decode(&first.message.body).unwrap();
        assert_eq!((beats.worker.as_str(), beats.attempts), ("w", vec![one]));
        let mut more = 0;
        while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(20), events.next()).await
        {
            more += 1;
        }
        assert!(more >= 1, "it beat once and never again");
    }
}
