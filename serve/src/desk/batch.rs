//! What the thread does: a step of all texts that run, over and over.

use super::{Order, ended, row::Row};
use model::{Engine, Prefixes, Writing};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
};

/// What the thread has in hand.
pub(super) struct Batch {
    engine: Arc<Engine>,
    rows: usize,
    took: Arc<AtomicU64>,
    prefixes: Prefixes,
    waiting: VecDeque<Order>,
    running: Vec<Row>,
}

impl Batch {
    /// An empty one of so many rows, which remembers so many bytes of what was read and notes in `took` how long texts
    /// take.
    pub(super) fn new(
        engine: Arc<Engine>,
        (rows, remembered): (usize, usize),
        took: Arc<AtomicU64>,
    ) -> Self {
        Self {
            engine,
            rows,
            took,
            prefixes: Prefixes::new(remembered),
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    /// Works until nobody can hand in any more.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
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
            self.keep();
            self.hand_out();
            self.measure();
        }
    }

    fn measure(&self) {
        metrics::gauge!("promptimal_serve_texts").set(self.running.len() as f64);
        metrics::gauge!("promptimal_serve_waiting").set(self.waiting.len() as f64);
        metrics::gauge!("promptimal_serve_prefix_bytes").set(self.prefixes.bytes() as f64);
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

    /// Lets in who waits, as long as there is room. Whoever begins as a text does that is being read waits until that
    /// beginning is known, and then reads only what is its own.
    fn join(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for order in waiting {
            if self.running.len() >= self.rows || self.is_coming(&order) {
                self.waiting.push_back(order);
                continue;
            }
            let begun = self
                .engine
                .begin_known(order.draft.clone(), &mut self.prefixes);
            match begun {
                Ok(text) => self.running.push(Row::new(order, text)),
                Err(error) => {
                    ended("failed", 1);
                    order.failed(&error.to_string());
                }
            }
        }
    }

    fn is_coming(&self, order: &Order) -> bool {
        let mut texts = self.running.iter().map(|row| &row.text);
        texts.any(|text| self.engine.is_coming(&order.draft, text, &self.prefixes))
    }

    /// Remembers what the step has read: prompts when they are read, or in parts while somebody waits; texts at their end.
    fn keep(&mut self) {
        for row in &mut self.running {
            let new = !row.kept && (row.text.is_read() || !self.waiting.is_empty());
            if new || row.text.end().is_some() {
                self.prefixes.keep(&row.text);
                row.kept = row.text.is_read();
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
            row.order.failed(problem);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{
        Event,
        tests::{WHOLE, draft, engine},
    };
    use model::Draft;
    use tokio::sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, unbounded_channel},
    };

    /// An order for a text with this prompt, and who waits for it.
    fn order(prompt: Vec<u32>) -> (Order, UnboundedReceiver<Event>) {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (events, caller) = unbounded_channel();
        let draft = Draft {
            prompt,
            ..draft(97)
        };
        let order = Order {
            choice: 0,
            draft,
            manner: WHOLE,
            events,
            _place: Arc::new(place),
        };
        (order, caller)
    }

    #[test]
    fn texts_that_begin_alike_wait_until_one_of_them_is_read() {
        let mut batch = Batch::new(engine(), (8, 1 << 20), Arc::default());
        let beginning: Vec<u32> = (97..117).collect();
        let alike = |end: u32| order([beginning.clone(), vec![end]].concat());
        let mut callers = Vec::new();
        for (order, caller) in [alike(97), alike(98), order(vec![99; 5]), alike(98)] {
            batch.waiting.push_back(order);
            callers.push(caller);
        }
        batch.join();
        // The first, and the one that has nothing in common with it.
        assert_eq!((batch.running.len(), batch.waiting.len()), (2, 2));
        batch.step().unwrap();
        batch.keep();
        batch.join();
        assert_eq!((batch.running.len(), batch.waiting.len()), (4, 0));
        let known: Vec<usize> = batch.running.iter().map(|row| row.text.known()).collect();
        assert_eq!(known, [0, 0, beginning.len(), beginning.len()]);
    }

    #[test]
    fn what_nobody_waits_for_leaves_the_batch_and_frees_its_place() {
        let places = Arc::new(Semaphore::new(2));
        let mut batch = Batch::new(engine(), (1, 0), Arc::default());
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
