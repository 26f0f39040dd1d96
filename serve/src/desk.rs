//! The model's thread: texts join its running batch and leave it between two steps.
//!
//! One thread owns the batch, so nobody waits for a lock while tokens are computed. Callers hand in drafts and get
//! events; whoever drops the receiving end gives the text up.

mod batch;
mod row;

use crate::Limits;
use batch::Batch;
use model::{Draft, Engine, Finish, Told};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// What happens to a text.
#[derive(Debug)]
pub struct Event {
    /// Which of the texts that were asked for together.
    pub choice: usize,
    /// What is new of it.
    pub text: String,
    /// What is told of its new tokens.
    pub told: Vec<Told>,
    /// What is told of the prompt's tokens: with the first event of a text.
    pub prompt: Option<Vec<Told>>,
    /// How it ended, once it has.
    pub end: Option<End>,
}

/// How a text ended.
#[derive(Debug)]
pub struct End {
    /// Why; or what went wrong, in a sentence.
    pub finish: Result<Finish, String>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, how many had been read before.
    pub known_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
}

/// How texts are handed out.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Piece by piece, or whole at the end.
    pub stream: bool,
    /// Without spaces around it.
    pub trim: bool,
}

/// All places are taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Full {
    /// When a place may be free, in seconds.
    pub retry: u64,
}

struct Order {
    choice: usize,
    draft: Draft,
    manner: Manner,
    events: UnboundedSender<Event>,
    /// Its place, and that of the texts that were asked for with it.
    _place: Arc<OwnedSemaphorePermit>,
}

/// A handle to the model's thread. Dropping it ends the thread.
pub struct Desk {
    orders: Mutex<Option<Sender<Order>>>,
    places: Arc<Semaphore>,
    /// How long a text takes, in milliseconds, the last ones counting most.
    took: Arc<AtomicU64>,
    engine: Arc<Engine>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Starts the thread.
    pub fn start(engine: Arc<Engine>, limits: &Limits) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let took = Arc::new(AtomicU64::new(1_000));
        let bounds = (limits.rows, limits.remembered);
        let batch = Batch::new(engine.clone(), bounds, took.clone());
        let thread = std::thread::Builder::new().name("model".to_owned());
        let thread = thread.spawn(move || batch.run(&inbox))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            places: Arc::new(Semaphore::new(limits.rows + limits.queue)),
            took,
            engine,
            thread: Some(thread),
        })
    }

    /// Hands in the texts that somebody asks for together.
    pub fn place(
        &self,
        drafts: Vec<Draft>,
        manner: Manner,
    ) -> Result<UnboundedReceiver<Event>, Full> {
        let count = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        let place = self.places.clone().try_acquire_many_owned(count);
        let place = Arc::new(place.map_err(|_| self.full())?);
        let (events, receiver) = unbounded_channel();
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        for (choice, draft) in drafts.into_iter().enumerate() {
            let order = Order {
                choice,
                draft,
                manner,
                events: events.clone(),
                _place: place.clone(),
            };
            // A thread that ended drops the order and with it the events: the caller sees their end.
            if let Some(orders) = orders.as_ref() {
                let _ = orders.send(order);
            }
        }
        Ok(receiver)
    }

    /// When a place may be free: about when a text takes to be written.
    fn full(&self) -> Full {
        ended("refused", 1);
        let seconds = self.took.load(Ordering::Relaxed).div_ceil(1_000);
        Full {
            retry: seconds.clamp(1, 60),
        }
    }

    /// Whether the thread is there.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.engine.stop_flag().store(true, Ordering::Relaxed);
        self.orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = self.thread.take() {
            // Its panics were answered text by text.
            let _ = thread.join();
        }
    }
}

fn ended(how: &'static str, count: u64) {
    metrics::counter!("promptimal_serve_ended_total", "end" => how).increment(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Options;
    use std::path::Path;

    pub(super) fn engine() -> Arc<Engine> {
        let tiny = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/model/tests/fixtures/tiny-plain"
        );
        Arc::new(Engine::load(Path::new(tiny), Options::default()).unwrap())
    }

    pub(super) fn draft(first: u32) -> Draft {
        Draft {
            prompt: vec![first, 98, 99],
            plain: false,
            max_tokens: 100,
            temperature: 1.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 1,
            tell: None,
            tell_prompt: false,
        }
    }

    fn limits(rows: usize, queue: usize) -> Limits {
        Limits {
            rows,
            queue,
            remembered: 1 << 20,
            max_tokens: 100,
            body: 0,
        }
    }

    pub(super) const WHOLE: Manner = Manner {
        stream: false,
        trim: false,
    };

    #[tokio::test]
    async fn who_finds_no_place_is_told_and_places_come_free() {
        let desk = Desk::start(engine(), &limits(2, 1)).unwrap();
        assert!(desk.is_alive());
        let mut texts = desk.place((97..100).map(draft).collect(), WHOLE).unwrap();
        assert!((1..=60).contains(&desk.place(vec![draft(97)], WHOLE).unwrap_err().retry));
        let mut ended = Vec::new();
        while let Some(event) = texts.recv().await {
            assert!(event.end.unwrap().finish.is_ok());
            ended.push(event.choice);
        }
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2]);
        // The last event comes a moment before its place is free.
        while desk.places.available_permits() < 3 {
            tokio::task::yield_now().await;
        }
        let again = desk.place(vec![draft(97)], WHOLE).unwrap().recv().await;
        assert!(again.is_some());
    }

    #[tokio::test]
    async fn a_stream_and_a_whole_text_are_the_same() {
        let desk = Desk::start(engine(), &limits(4, 0)).unwrap();
        let whole = desk
            .place(vec![draft(97)], WHOLE)
            .unwrap()
            .recv()
            .await
            .unwrap()
            .text;
        let stream = Manner {
            stream: true,
            trim: false,
        };
        let mut events = desk.place(vec![draft(97)], stream).unwrap();
        let (mut text, mut pieces) = (String::new(), 0);
        while let Some(event) = events.recv().await {
            text += &event.text;
            pieces += 1;
        }
        assert_eq!(text, whole);
        assert!(pieces > 3, "{pieces}");
    }
}
