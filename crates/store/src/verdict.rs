//! What a report means for its task: pure functions.

use crate::RetryPolicy;
use domain::hash::Hash;
use std::collections::HashMap;
use wire::{Action, Report};

/// The key asked at each place.
pub type Places = HashMap<u32, Hash>;

/// What a report means for its task.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// Places and reasons of the items that are given up.
    pub given_up: Vec<(u32, &'a str)>,
    /// Where the task goes.
    pub next: Next<'a>,
}

/// Where the task goes.
#[derive(Debug)]
pub enum Next<'a> {
    /// Every item is done or given up.
    Done,
    /// Some items failed: again later, as one attempt more.
    Retry {
        /// The longest wait that was asked for.
        after_ms: u64,
        /// The first reason.
        message: &'a str,
    },
    /// Some items were not asked, or their replies were kept but not their grades: again, and not held against the
    /// task.
    Again {
        /// The longest wait that was asked for; 0 is at once.
        after_ms: u64,
        /// The first reason, where there is one for people.
        message: Option<&'a str>,
    },
    /// No call can work: the task waits for the run to go on.
    Stop {
        /// The first reason.
        message: &'a str,
    },
}

impl<'a> Verdict<'a> {
    /// `open` are the items that neither this report nor another one closed.
    pub fn of(report: &'a Report, mut open: Places) -> Self {
        let mut given_up = Vec::new();
        let mut next = Next::Done;
        for item in &report.items {
            let Some(key) = open.remove(&item.place) else {
                continue;
            };
            let error = item.error.as_ref();
            next = match error.map(|e| (e.action, e.message.as_str())) {
                Some((Action::GiveUp, message)) => {
                    given_up.push((item.place, message));
                    next
                }
                Some((Action::StopRun, message)) => next.stop(message),
                Some((Action::Retry { after_ms }, message)) => next.retry(after_ms, message),
                Some((Action::Again { after_ms }, message)) => next.again(after_ms, Some(message)),
                None if item.answer.is_some() && item.key == key => next.again(0, None),
                None => next.retry(
                    0,
                    "a worker reported an item that it was not asked, or no answer",
                ),
            };
        }
        if !open.is_empty() {
            next = next.retry(0, "a worker left an item out of its report");
        }
        Self { given_up, next }
    }
}

/// The gravest holds: stop, then retry, then again.
impl<'a> Next<'a> {
    /// The first message holds.
    fn stop(self, message: &'a str) -> Self {
        match self {
            Next::Stop { message } => Next::Stop { message },
            _ => Next::Stop { message },
        }
    }

    /// The longest wait and the first message hold.
    fn retry(self, after_ms: u64, message: &'a str) -> Self {
        match self {
            Next::Stop { message } => Next::Stop { message },
            Next::Retry {
                after_ms: other,
                message,
            } => Next::Retry {
                after_ms: after_ms.max(other),
                message,
            },
            // What waits longest holds for all.
            Next::Again {
                after_ms: other, ..
            } => Next::Retry {
                after_ms: after_ms.max(other),
                message,
            },
            Next::Done => Next::Retry { after_ms, message },
        }
    }

    /// The longest wait and the first message hold.
    fn again(self, after_ms: u64, message: Option<&'a str>) -> Self {
        match self {
            Next::Done => Next::Again { after_ms, message },
            Next::Again {
                after_ms: other,
                message: first,
            } => Next::Again {
                after_ms: after_ms.max(other),
                message: first.or(message),
            },
            Next::Retry {
                after_ms: other,
                message,
            } => Next::Retry {
                after_ms: after_ms.max(other),
                message,
            },
            Next::Stop { message } => Next::Stop { message },
        }
    }
}

/// The first back-off, doubled for each attempt before, at most the longest.
pub fn back_off(policy: RetryPolicy, attempts: u32) -> i64 {
    let factor = 1i64
        .checked_shl(attempts)
        .filter(|f| *f > 0)
        .unwrap_or(i64::MAX);
    policy
        .backoff
        .saturating_mul(factor)
        .min(policy.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_cap() {
        let policy = RetryPolicy {
            max_attempts: 9,
            backoff: 10,
            max_backoff: 70,
        };
        let waits: Vec<_> = [0, 1, 2, 3, 62, 63, 64, 1000]
            .map(|n| back_off(policy, n))
            .into();
        assert_eq!(waits, [10, 20, 40, 70, 70, 70, 70, 70]);
    }
}
