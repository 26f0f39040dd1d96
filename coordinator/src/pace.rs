//! How a run's tasks go to a queue that is full.
//!
//! Each task that the queue refuses goes out again under another epoch, with rows in the ledger: so after a refusal one
//! task is tried at a time, ever more rarely, and once the queue takes it, twice as many with every success.

use domain::ids::RunId;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The wait after a first refusal, then ever twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The paces of the runs that were refused lately; all others go as fast as they can.
#[derive(Debug, Default)]
pub struct Paces(HashMap<RunId, Pace>);

#[derive(Debug)]
struct Pace {
    /// The wait that a refusal brought; none since a success.
    wait: Duration,
    /// When the next try may be.
    from: Instant,
    /// How many tasks go together.
    together: u32,
}

impl Paces {
    /// How long the queue is to be spared a run's tasks.
    pub fn rest(&self, run: RunId, now: Instant) -> Option<Duration> {
        let left = self.0.get(&run)?.from.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// How many of a run's tasks may go together, of so many.
    pub fn together(&self, run: RunId, most: u32) -> u32 {
        self.0
            .get(&run)
            .map_or(most, |pace| pace.together.min(most))
    }

    /// The queue took all of a run's tasks, where at most so many go together.
    pub fn taken(&mut self, run: RunId, most: u32) {
        let Some(pace) = self.0.get_mut(&run) else {
            return;
        };
        pace.wait = Duration::ZERO;
        pace.together = pace.together.saturating_mul(2);
        if pace.together >= most {
            self.0.remove(&run);
        }
    }

    /// The queue refused some of a run's tasks, or all.
    pub fn refused(&mut self, run: RunId, all: bool, now: Instant) {
        let before = self.0.get(&run).map_or(Duration::ZERO, |pace| pace.wait);
        let wait = match all {
            true => (before * 2).clamp(FIRST_WAIT, LONGEST_WAIT),
            // It takes some: there will be room soon.
            false => FIRST_WAIT,
        };
        let pace = Pace {
            wait,
            from: now + wait,
            together: 1,
        };
        self.0.insert(run, pace);
    }

    /// Forgets the runs that do not run any more.
    pub fn keep(&mut self, mut running: impl FnMut(RunId) -> bool) {
        self.0.retain(|run, _| running(*run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_wait_twice_as_long_each_time_and_a_success_begins_anew() {
        let (mut paces, run, now) = (Paces::default(), RunId::new(), Instant::now());
        assert_eq!(
            (paces.rest(run, now), paces.together(run, 256)),
            (None, 256)
        );
        let mut waits = Vec::new();
        for _ in 0..8 {
            paces.refused(run, true, now);
            waits.push(paces.rest(run, now).unwrap().as_millis());
            assert_eq!(paces.together(run, 256), 1);
        }
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        assert_eq!(waits, expected);
        assert_eq!(paces.rest(run, now + LONGEST_WAIT), None);
        paces.refused(run, false, now);
        assert_eq!(paces.rest(run, now), Some(FIRST_WAIT));
        paces.refused(run, true, now);
        paces.taken(run, 256);
        paces.refused(run, true, now);
        assert_eq!(paces.rest(run, now), Some(FIRST_WAIT));
    }

    #[test]
    fn a_queue_with_room_again_gets_ever_more_at_once() {
        let (mut paces, run, now) = (Paces::default(), RunId::new(), Instant::now());
        let other = RunId::new();
        paces.refused(run, true, now);
        let mut sizes = Vec::new();
        for _ in 0..5 {
            sizes.push(paces.together(run, 8));
            paces.taken(run, 8);
        }
        assert_eq!(sizes, [1, 2, 4, 8, 8]);
        paces.refused(other, true, now);
        assert_eq!(paces.rest(run, now), None);
        paces.keep(|run| run != other);
        assert_eq!(paces.rest(other, now), None);
    }
}
