//! The model's thread: texts join its running batch and leave it between two steps.
//!
//! One thread owns the batch, so nobody waits for a lock while tokens are computed. Callers hand in drafts and get
//! events; whoever drops the receiving end gives the text up.

use crate::pace::Pace;
use model::{Draft, Engine, Finish, Told, Writing};
use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Instant,
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
    /// Tokens read.
    pub prompt_tokens: usize,
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
    /// Starts the thread: so many texts side by side, and so many more that may wait.
    pub fn start(engine: Arc<Engine>, rows: usize, queue: usize) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let took = Arc::new(AtomicU64::new(1_000));
        let batch = Batch {
            engine: engine.clone(),
            rows,
            took: took.clone(),
            waiting: VecDeque::new(),
            running: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("model".to_owned());
        let thread = thread.spawn(move || batch.run(&inbox))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            places: Arc::new(Semaphore::new(rows + queue)),
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

/// A text in the batch.
struct Row {
    order: Order,
    text: Writing,
    pace: Pace,
    /// How many of its told tokens were handed out.
    told: usize,
    /// Nothing went out yet.
    silent: bool,
    begun: Instant,
}

/// What the thread has in hand.
struct Batch {
    engine: Arc<Engine>,
    rows: usize,
    took: Arc<AtomicU64>,
    waiting: VecDeque<Order>,
    running: Vec<Row>,
}

impl Batch {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                match inbox.recv() {
                    Ok(order) => self.waiting.push_back(order),
                    Err(_) => return,
                }
            }
            self.waiting.extend(inbox.try_iter());
            self.leave();
            self.join();
            self.measure();
            if let Err(problem) = self.step() {
                tracing::error!(problem, texts = self.running.len(), "a step failed");
                self.fail(&problem);
            }
            self.hand_out();
            self.measure();
        }
    }

    fn measure(&self) {
        metrics::gauge!("promptimal_serve_texts").set(self.running.len() as f64);
        metrics::gauge!("promptimal_serve_waiting").set(self.waiting.len() as f64);
    }

    /// Gives up what nobody waits for any more.
    fn leave(&mut self) {
        let before = self.running.len() + self.waiting.len();
        self.waiting.retain(|order| !order.events.is_closed());
        self.running.retain(|row| !row.order.events.is_closed());
        let gone = before - self.running.len() - self.waiting.len();
        if gone > 0 {
            ended("cancelled", gone as u64);
        }
    }

    /// Lets in who waits, as long as there is room.
    fn join(&mut self) {
        while self.running.len() < self.rows {
            let Some(order) = self.waiting.pop_front() else {
                return;
            };
            match self.engine.begin(order.draft.clone()) {
                Ok(text) => self.running.push(Row {
                    pace: Pace::new(order.manner.trim, text.draft().stop.clone()),
                    text,
                    order,
                    told: 0,
                    silent: true,
                    begun: Instant::now(),
                }),
                Err(error) => {
                    ended("failed", 1);
                    failed(&order, &error.to_string());
                }
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let mut texts: Vec<&mut Writing> = self.running.iter_mut().map(|r| &mut r.text).collect();
        let step = || self.engine.step(&mut texts);
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(stepped) => stepped.map_err(|e| e.to_string()),
            Err(_) => Err("the model panicked".to_owned()),
        }
    }

    fn fail(&mut self, problem: &str) {
        ended("failed", self.running.len() as u64);
        for row in self.running.drain(..) {
            failed(&row.order, problem);
        }
    }

    /// Tells every caller what is new.
    fn hand_out(&mut self) {
        let engine = &self.engine;
        for row in &mut self.running {
            if row.text.end().is_some() || row.order.manner.stream {
                row.tell(engine);
            }
        }
        let over = self.running.iter().filter(|row| row.text.end().is_some());
        for row in over {
            let took = row.begun.elapsed().as_millis() as u64;
            let before = self.took.load(Ordering::Relaxed);
            self.took.store((7 * before + took) / 8, Ordering::Relaxed);
        }
        self.running.retain(|row| row.text.end().is_none());
    }
}

impl Row {
    fn tell(&mut self, engine: &Engine) {
        let finish = match self.text.end() {
            None => None,
            Some(Ok(finish)) => Some(Ok(*finish)),
            Some(Err(error)) => Some(Err(error.to_string())),
        };
        let (text, finish) = match engine.text(&self.text) {
            Ok(written) => (self.pace.more(&written, finish.is_some()), finish),
            Err(error) => (String::new(), Some(Err(error.to_string()))),
        };
        let told = self.text.told()[self.told..].to_vec();
        self.told += told.len();
        if text.is_empty() && told.is_empty() && finish.is_none() {
            return;
        }
        let end = finish.map(|finish| {
            self.count(&finish);
            End {
                finish,
                prompt_tokens: self.text.draft().prompt.len(),
                completion_tokens: self.text.completion_tokens(),
            }
        });
        let choice = self.order.choice;
        let silent = std::mem::take(&mut self.silent);
        let prompt = silent.then(|| self.text.told_prompt().to_vec());
        // Who went away meanwhile is seen before the next step.
        let _ = self.order.events.send(Event {
            choice,
            text,
            told,
            prompt,
            end,
        });
    }

    fn count(&self, finish: &Result<Finish, String>) {
        ended(
            match finish {
                Ok(Finish::Stop) => "stop",
                Ok(Finish::Length) => "length",
                Err(_) => "failed",
            },
            1,
        );
        let tokens = |kind| metrics::counter!("promptimal_serve_tokens_total", "kind" => kind);
        tokens("read").increment(self.text.draft().prompt.len() as u64);
        tokens("written").increment(self.text.completion_tokens() as u64);
    }
}

fn ended(how: &'static str, count: u64) {
    metrics::counter!("promptimal_serve_ended_total", "end" => how).increment(count);
}

fn failed(order: &Order, problem: &str) {
    let end = End {
        finish: Err(problem.to_owned()),
        prompt_tokens: order.draft.prompt.len(),
        completion_tokens: 0,
    };
    let _ = order.events.send(Event {
        choice: order.choice,
        text: String::new(),
        told: Vec::new(),
        prompt: None,
        end: Some(end),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Options;
    use std::path::Path;

    fn engine() -> Arc<Engine> {
        let tiny = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/model/tests/fixtures/tiny-plain"
        );
        Arc::new(Engine::load(Path::new(tiny), Options::default()).unwrap())
    }

    fn draft(first: u32) -> Draft {
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

    const WHOLE: Manner = Manner {
        stream: false,
        trim: false,
    };

    #[tokio::test]
    async fn who_finds_no_place_is_told_and_places_come_free() {
        let desk = Desk::start(engine(), 2, 1).unwrap();
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
        let desk = Desk::start(engine(), 4, 0).unwrap();
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

    #[test]
    fn what_nobody_waits_for_leaves_the_batch_and_frees_its_place() {
        let places = Arc::new(Semaphore::new(2));
        let mut batch = Batch {
            engine: engine(),
            rows: 1,
            took: Arc::default(),
            waiting: VecDeque::new(),
            running: Vec::new(),
        };
        let mut callers = Vec::new();
        for first in [97, 98] {
            let (events, caller) = unbounded_channel();
            callers.push(caller);
            batch.waiting.push_back(Order {
                choice: 0,
                draft: draft(first),
                manner: WHOLE,
                events,
                _place: Arc::new(places.clone().try_acquire_owned().unwrap()),
            });
        }
        batch.join();
        batch.step().unwrap();
        assert_eq!((batch.running.len(), batch.waiting.len()), (1, 1));
        // The one that is written goes, and the next takes its row.
        drop(callers.remove(0));
        batch.leave();
        batch.join();
        assert_eq!((batch.running.len(), batch.waiting.len()), (1, 0));
        assert_eq!(batch.running[0].text.draft().prompt[0], 98);
        assert_eq!(places.available_permits(), 1);
        drop(callers);
        batch.leave();
        assert_eq!((batch.running.len(), places.available_permits()), (0, 2));
    }
}
