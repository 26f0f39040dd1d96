//! How the loops of one run wake each other.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Shared by planner, dispatcher and collector.
#[derive(Debug, Default)]
pub struct Pulse {
    changed: Notify,
    room: Notify,
    in_flight: AtomicUsize,
    stop: Mutex<Option<super::Outcome>>,
    trouble: Mutex<Option<String>>,
}

impl Pulse {
    /// Something was applied or planned: look again.
    pub fn wake(&self) {
        self.changed.notify_one();
        self.room.notify_one();
    }

    /// Waits for the next change, as the planner.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits for the next change, as the dispatcher.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Tasks handed to the queue whose reports were not seen.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// The queue took `n` tasks.
    pub fn sent(&self, n: usize) {
        self.in_flight.fetch_add(n, Ordering::AcqRel);
    }

    /// `n` reports came. Reports of attempts that another coordinator sent do not count below zero.
    pub fn reported(&self, n: usize) {
        let less = |v: usize| Some(v.saturating_sub(n));
        let _ = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Asks the run to stop; the first reason holds.
    pub fn stop(&self, outcome: super::Outcome) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.get_or_insert(outcome);
        drop(stop);
        self.wake();
    }

    /// Why the run is to stop.
    pub fn stopped(&self) -> Option<super::Outcome> {
        self.stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Remembers what went wrong last; says whether that is news.
    pub fn note_trouble(&self, message: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = trouble.as_deref() != Some(message);
        *trouble = Some(message.to_owned());
        news
    }

    /// What went wrong last.
    pub fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
