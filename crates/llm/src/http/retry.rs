//! What went wrong with one sending of a call, and whether it is sent again.

use super::price::sum;
use crate::Terms;
use domain::call::Usage;
use std::time::{Duration, SystemTime};

/// The first back-off is drawn from zero up to this.
const BASE: Duration = Duration::from_millis(500);
/// No back-off is longer.
const CAP: Duration = Duration::from_secs(30);
/// No `Retry-After` is believed beyond this: one bad header must not stop a model for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Why one sending of a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What to do about it.
    pub class: Class,
    /// What came, and the way out. Server texts in it are scrubbed and trimmed.
    pub message: String,
    /// What it is charged: the server's count, or the most it can have used where that is unknown.
    pub paid: Option<Usage>,
}

/// What to do about a failed sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The server did not do the work: sent again at no charge.
    Busy {
        /// `Retry-After`.
        after: Option<Duration>,
        /// Whether it was a 429: fewer at once, please.
        throttled: bool,
    },
    /// The work may have been done and the reply lost on its way.
    Lost,
    /// A whole reply came, and it is none.
    Malformed,
    /// This call will not work.
    Call,
    /// No call will work.
    Model,
}

impl Failure {
    /// A failure that costs nothing.
    pub fn free(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            paid: None,
        }
    }

    /// A failure that is billed.
    pub fn paid(class: Class, message: impl Into<String>, usage: Usage) -> Self {
        Self {
            class,
            message: message.into(),
            paid: Some(usage),
        }
    }
}

/// How often and how long a call is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Sendings after the first.
    pub retries: u32,
    /// Of these, how many after a reply that may have been billed.
    pub broken_retries: u32,
    /// Time for all sendings and back-offs together.
    pub total: Duration,
    /// A server that asks for a longer wait is not waited for.
    pub longest_wait: Duration,
}

impl Patience {
    /// With what the terms of a block leave of it.
    pub fn under(self, terms: &Terms) -> Self {
        Self {
            broken_retries: match terms.billed_again {
                true => self.broken_retries,
                false => 0,
            },
            longest_wait: self.longest_wait.min(terms.patience),
            ..self
        }
    }
}

/// What one call has gone through so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Sendings that failed.
    pub failed: u32,
    broken: u32,
    /// Time spent sending and backing off; waiting for one's own limits does not count.
    pub spent: Duration,
    /// What the failed sendings are charged.
    pub paid: Option<Usage>,
}

impl Tally {
    /// Books a failure. Says how long to back off before the next sending, or none to give up.
    pub fn book(&mut self, failure: &Failure, seed: u64, patience: &Patience) -> Option<Duration> {
        self.failed += 1;
        if let Some(usage) = failure.paid {
            self.paid = Some(sum(self.paid.unwrap_or_default(), usage));
        }
        let after = match failure.class {
            Class::Busy { after, .. } => after.unwrap_or_default(),
            Class::Lost | Class::Malformed if self.broken < patience.broken_retries => {
                self.broken += 1;
                Duration::ZERO
            }
            _ => return None,
        };
        let wait = back_off(seed, self.failed - 1).max(after);
        let in_time = self.spent.saturating_add(wait) < patience.total;
        if self.failed > patience.retries || !in_time || after > patience.longest_wait {
            return None;
        }
        self.spent += wait;
        Some(wait)
    }
}

/// A time to wait before sending again: uniform between zero and a bound that doubles (full jitter, as in
/// Brooker, "Exponential Backoff and Jitter", 2015). It is drawn from the call's own seed, so that calls
/// that failed together come back apart.
pub(crate) fn back_off(seed: u64, attempt: u32) -> Duration {
    let bound = BASE
        .saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX))
        .min(CAP);
    let draw = mix(seed ^ mix(u64::from(attempt))) >> 11;
    bound.mul_f64(draw as f64 / (1u64 << 53) as f64)
}

/// The output function of splitmix64 (Steele, Lea and Flood, 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. A date gone by is no wait; text that is
/// neither is no header.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<f64>() {
        // Some servers send fractions.
        Ok(s) if s >= 0.0 => Duration::try_from_secs_f64(s).unwrap_or(LONGEST_PAUSE),
        Ok(_) => return None,
        Err(_) => {
            let date = httpdate::parse_http_date(header).ok()?;
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_000_000_000; // Sun, 09 Sep 2001 01:46:40 GMT

    fn after(header: &str) -> Option<u64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        retry_after(header, now).map(|d| d.as_millis() as u64)
    }

    #[test]
    fn retry_after_in_seconds() {
        assert_eq!(after("0"), Some(0));
        assert_eq!(after(" 17 "), Some(17_000));
        assert_eq!(after("1.5"), Some(1500));
        assert_eq!(after("99999999999999999999"), Some(3_600_000));
        assert_eq!(after("inf"), Some(3_600_000));
    }

    #[test]
    fn retry_after_as_a_date() {
        assert_eq!(after("Sun, 09 Sep 2001 01:47:40 GMT"), Some(60_000));
        assert_eq!(after("Sunday, 09-Sep-01 01:46:41 GMT"), Some(1000));
        assert_eq!(after("Sun Sep  9 01:46:45 2001"), Some(5000));
        assert_eq!(after("Sun, 09 Sep 2001 01:46:39 GMT"), Some(0));
        assert_eq!(
            after("Mon, 09 Sep 2091 01:46:39 GMT"),
            None,
            "the wrong day of the week"
        );
        assert_eq!(after("Sun, 09 Sep 2091 01:46:39 GMT"), Some(3_600_000));
    }

    #[test]
    fn retry_after_that_is_neither() {
        for text in [
            "",
            "soon",
            "-1",
            "NaN",
            "12 s",
            "Sun, 99 Sep 2001 01:47:40 GMT",
        ] {
            assert_eq!(after(text), None, "{text:?}");
        }
    }

    const PATIENCE: Patience = Patience {
        retries: 3,
        broken_retries: 1,
        total: Duration::from_secs(60),
        longest_wait: Duration::MAX,
    };
    const USAGE: Usage = Usage {
        prompt_tokens: 5,
        completion_tokens: 2,
    };

    #[test]
    fn busy_servers_are_asked_again_so_many_times() {
        let busy = Failure::free(
            Class::Busy {
                after: None,
                throttled: false,
            },
            "busy",
        );
        let mut tally = Tally::default();
        let waits: Vec<_> = (0..5)
            .map(|_| tally.book(&busy, 7, &PATIENCE).is_some())
            .collect();
        assert_eq!(waits, [true, true, true, false, false]);
        assert_eq!(tally.paid, None);
    }

    #[test]
    fn broken_replies_have_a_bound_of_their_own_and_are_charged() {
        let lost = Failure::paid(Class::Lost, "lost", USAGE);
        let busy = Failure::free(
            Class::Busy {
                after: None,
                throttled: true,
            },
            "busy",
        );
        let mut tally = Tally::default();
        assert!(tally.book(&lost, 7, &PATIENCE).is_some());
        assert!(tally.book(&busy, 7, &PATIENCE).is_some());
        assert!(tally.book(&lost, 7, &PATIENCE).is_none());
        assert_eq!(tally.paid, Some(sum(USAGE, USAGE)));
    }

    #[test]
    fn hopeless_calls_are_not_sent_again() {
        for class in [Class::Call, Class::Model] {
            assert!(
                Tally::default()
                    .book(&Failure::free(class, "no"), 7, &PATIENCE)
                    .is_none()
            );
        }
    }

    #[test]
    fn under_terms_nothing_billed_is_sent_again_and_no_long_wait_is_waited_for() {
        let terms = Terms {
            billed_again: false,
            patience: Duration::from_secs(2),
            ..Terms::default()
        };
        let patience = PATIENCE.under(&terms);
        let lost = Failure::paid(Class::Lost, "lost", USAGE);
        assert_eq!(Tally::default().book(&lost, 7, &patience), None);
        let waits = [None, Some(1), Some(3)].map(|seconds: Option<u64>| {
            let class = Class::Busy {
                after: seconds.map(Duration::from_secs),
                throttled: true,
            };
            let busy = Failure::free(class, "busy");
            Tally::default().book(&busy, 7, &patience).is_some()
        });
        assert_eq!(waits, [true, true, false]);
    }

    #[test]
    fn the_whole_is_bounded_in_time() {
        let after = Some(Duration::from_secs(59));
        let busy = Failure::free(
            Class::Busy {
                after,
                throttled: false,
            },
            "busy",
        );
        let mut tally = Tally::default();
        assert_eq!(tally.book(&busy, 7, &PATIENCE), after);
        assert_eq!(tally.book(&busy, 7, &PATIENCE), None);
    }

    proptest! {
        #[test]
        fn jitter_is_full_and_bounded(seed in any::<u64>(), attempt in 0u32..80) {
            let bound = BASE.mul_f64(2f64.powi(attempt.min(20) as i32)).min(CAP);
            prop_assert!(back_off(seed, attempt) < bound);
            prop_assert_eq!(back_off(seed, attempt), back_off(seed, attempt));
        }

        #[test]
        fn jitter_fills_its_range(start in any::<u64>(), attempt in 0u32..10) {
            let bound = BASE.saturating_mul(1 << attempt).min(CAP).as_secs_f64();
            let mut share: Vec<_> = (0..400u64)
                .map(|i| back_off(start.wrapping_add(i), attempt).as_secs_f64() / bound)
                .collect();
            share.sort_by(f64::total_cmp);
            // Uniform: the largest gap to the diagonal (Kolmogorov–Smirnov) stays small.
            let gap = share.iter().enumerate().map(|(i, s)| (s - i as f64 / 400.0).abs());
            prop_assert!(gap.fold(0.0, f64::max) < 0.15);
        }

        #[test]
        fn no_header_panics(text in "\\PC{0,40}") {
            let _ = after(&text);
        }
    }
}
