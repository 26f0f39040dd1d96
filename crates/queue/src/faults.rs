//! Faults on demand: what a real broker does on a bad day, reproducible from a seed.
//!
//! Every fault is one that an at-least-once queue is allowed to commit, so code that only works with
//! all of them at zero has a bug that a broker would find later.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How many of the messages in front a reordering queue picks from.
const REORDER_WINDOW: usize = 32;

/// How often each fault happens, as probabilities in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Same seed and same calls, same faults.
    pub seed: u64,
    /// A delivered message is also delivered to somebody else while the first still holds it, as when
    /// a broker takes a slow consumer for dead, or loses an acknowledgement.
    pub redeliver: f64,
    /// A published message is taken twice, as when a confirm is lost and the publisher tries again.
    pub duplicate: f64,
    /// A delivery is picked from the first messages in line instead of from the front.
    pub reorder: f64,
    /// A publication fails after the queue has taken some of the messages.
    pub refuse: f64,
}

impl Faults {
    /// No faults: the order of publication, and every message once.
    pub fn none() -> Self {
        Self {
            seed: 0,
            redeliver: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            refuse: 0.0,
        }
    }

    /// A bad day: every fault often enough that a thousand messages meet all of them.
    pub fn bad_day(seed: u64) -> Self {
        Self {
            seed,
            redeliver: 0.1,
            duplicate: 0.1,
            reorder: 0.3,
            refuse: 0.1,
        }
    }
}

/// The dice of one lane.
pub(crate) struct Dice {
    faults: Faults,
    rng: ChaCha8Rng,
}

impl Dice {
    /// Lanes of one seed roll apart, so that traffic on one changes nothing on another.
    pub(crate) fn new(faults: Faults, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(faults.seed);
        rng.set_stream(stream);
        Self { faults, rng }
    }

    pub(crate) fn redelivers(&mut self) -> bool {
        self.roll(self.faults.redeliver)
    }

    pub(crate) fn duplicates(&mut self) -> bool {
        self.roll(self.faults.duplicate)
    }

    /// How many of `count` messages are taken before the publication fails, if it fails.
    pub(crate) fn refuses(&mut self, count: usize) -> Option<usize> {
        (count > 0 && self.roll(self.faults.refuse)).then(|| self.rng.random_range(0..count))
    }

    /// Which of `waiting` messages is delivered next.
    pub(crate) fn pick(&mut self, waiting: usize) -> usize {
        let window = waiting.min(REORDER_WINDOW);
        if window > 1 && self.roll(self.faults.reorder) {
            self.rng.random_range(0..window)
        } else {
            0
        }
    }

    /// Spends no randomness on a fault that is switched off: the kind queue stays fast.
    fn roll(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability.min(1.0))
    }
}
