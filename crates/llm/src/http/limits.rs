//! How many calls are in flight, and when the next one may go.
//!
//! - [`Gate`]: a fair semaphore whose size follows what the server bears: halved on a 429 (once for all
//!   the calls that were already in flight when it was last halved), grown by an eighth after as many
//!   successes as it is wide, up to the configured concurrency.
//! - a pause shared by all callers, from `Retry-After`.
//! - [`Rates`]: requests and tokens per minute.
//!
//! A model without rate limits that has seen no 429 pays one semaphore and two atomic loads per call.

use super::rate::Rates;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A semaphore that narrows and widens.
pub(crate) struct Gate {
    permits: Semaphore,
    cap: usize,
    /// Whether the width is below the cap: else nobody takes the lock.
    narrowed: AtomicBool,
    /// How often it was halved: tells a fresh 429 from one of the same crowd.
    halvings: AtomicU64,
    state: Mutex<Width>,
}

struct Width {
    /// How many may be inside.
    limit: usize,
    /// Permits still out that are not to come back.
    owed: usize,
    /// Successes since the width last changed.
    successes: usize,
}

impl Gate {
    /// A gate `cap` wide, at least 1.
    pub fn new(cap: usize) -> Self {
        let cap = cap.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Semaphore::new(cap),
            cap,
            narrowed: AtomicBool::new(false),
            halvings: AtomicU64::new(0),
            state: Mutex::new(Width {
                limit: cap,
                owed: 0,
                successes: 0,
            }),
        }
    }

    /// Waits for a place, first come first served.
    pub async fn enter(&self) -> Pass<'_> {
        // The semaphore is never closed; if it were, passing is better than hanging.
        let permit = self.permits.acquire().await.ok();
        Pass {
            gate: self,
            permit,
            halvings: self.halvings.load(Ordering::Relaxed),
        }
    }

    /// How many may be inside now.
    #[cfg(test)]
    pub fn width(&self) -> usize {
        lock(&self.state).limit
    }

    fn halve(&self, seen: u64) {
        let mut width = lock(&self.state);
        if self.halvings.load(Ordering::Relaxed) != seen {
            return;
        }
        self.halvings.store(seen + 1, Ordering::Relaxed);
        let limit = (width.limit / 2).max(1);
        width.owed += width.limit - limit;
        width.limit = limit;
        width.successes = 0;
        width.owed -= self.permits.forget_permits(width.owed);
        self.narrowed
            .store(width.limit < self.cap, Ordering::Release);
    }

    fn widen(&self) {
        let mut width = lock(&self.state);
        width.successes += 1;
        if width.successes < width.limit {
            return;
        }
        let grown = (width.limit / 8).max(1).min(self.cap - width.limit);
        let kept = grown.min(width.owed);
        width.successes = 0;
        width.limit += grown;
        width.owed -= kept;
        self.permits.add_permits(grown - kept);
        // Permits in all are limit + owed and never more than the cap: at the cap nothing is owed.
        self.narrowed
            .store(width.limit < self.cap, Ordering::Release);
    }
}

/// A place in a [`Gate`], free again when dropped.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
    halvings: u64,
}

impl Pass<'_> {
    /// The server answered 429.
    pub fn throttled(&self) {
        self.gate.halve(self.halvings);
    }

    /// The server answered.
    pub fn succeeded(&self) {
        if self.gate.narrowed.load(Ordering::Acquire) {
            self.gate.widen();
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.gate.narrowed.load(Ordering::Acquire) {
            let mut width = lock(&self.gate.state);
            if width.owed > 0
                && let Some(permit) = self.permit.take()
            {
                width.owed -= 1;
                permit.forget();
            }
        }
    }
}

/// Everything that decides when a call may go, shared by all callers of a model.
pub(crate) struct Limits {
    gate: Gate,
    rates: Option<Mutex<Rates>>,
    /// Nobody goes before this time; 0 is never set.
    paused_until: AtomicU64,
    start: Instant,
}

impl Limits {
    /// So many at once, and so many requests and tokens per minute.
    pub fn new(concurrency: usize, requests: Option<u32>, tokens: Option<u32>) -> Self {
        Self {
            gate: Gate::new(concurrency),
            rates: Rates::new(requests, tokens).map(Mutex::new),
            paused_until: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Waits until a call of about so many tokens may go.
    ///
    /// # Errors
    /// How long the server wants to be left alone, where that is more than `patience`.
    pub async fn admit(&self, tokens: u64, mut patience: Duration) -> Result<Pass<'_>, Duration> {
        let pass = self.gate.enter().await;
        loop {
            if let Some(wait) = self.pause_left() {
                patience = patience.checked_sub(wait).ok_or(wait)?;
                tokio::time::sleep(wait).await;
                continue;
            }
            let Some(rates) = &self.rates else {
                return Ok(pass);
            };
            let now = self.now();
            let at = lock(rates).reserve(now, tokens);
            if at <= now {
                return Ok(pass);
            }
            tokio::time::sleep(Duration::from_nanos(at - now)).await;
            // A pause that began meanwhile releases all sleepers at once: they queue up again.
            if self.pause_left().is_none() {
                return Ok(pass);
            }
        }
    }

    /// A call admitted as `guess` tokens used `actual`.
    pub fn settle(&self, guess: u64, actual: u64) {
        if let Some(rates) = &self.rates {
            lock(rates).settle(guess, actual);
        }
    }

    /// Nobody goes for this long.
    pub fn pause(&self, wait: Duration) {
        let until = self.now().saturating_add(wait.as_nanos() as u64);
        self.paused_until.fetch_max(until, Ordering::Relaxed);
    }

    fn pause_left(&self) -> Option<Duration> {
        let until = self.paused_until.load(Ordering::Relaxed);
        if until == 0 {
            return None;
        }
        until
            .checked_sub(self.now())
            .filter(|left| *left > 0)
            .map(Duration::from_nanos)
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
