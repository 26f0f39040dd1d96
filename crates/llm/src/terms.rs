//! Under which terms a block is asked: what somebody else counts, and how long the caller waits.

use crate::{ErrorKind, ModelError, Request};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// The terms of a block. The default is nobody's business but the model's own limits.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whether a call that may have been billed may be sent again. Where somebody counts calls, it may not: what was
    /// reserved for the block is one call for each question.
    pub billed_again: bool,
    /// What is granted of a limit that others share.
    pub allowance: Option<Arc<Allowance>>,
    /// A server that asks to be left alone for longer is not waited for: the caller hears of it at once.
    pub patience: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            billed_again: true,
            allowance: None,
            patience: Duration::MAX,
        }
    }
}

impl Terms {
    /// For a model that sends each request once: those that it may send now, and errors for the rest, which is the end
    /// of the block.
    pub(crate) fn divide(&self, mut block: Vec<Request>) -> (Vec<Request>, Vec<ModelError>) {
        let Some(allowance) = &self.allowance else {
            return (block, Vec::new());
        };
        let mut refused = Vec::new();
        for n in 0..block.len() {
            if let Err(why) = allowance.take() {
                let error = ModelError::new(ErrorKind::NotSent { after: None }, why);
                refused = vec![error; block.len() - n];
                block.truncate(n);
                break;
            }
        }
        (block, refused)
    }
}

/// So many requests, each begun before a time of day. Every sending takes one, those that are sent again included.
#[derive(Debug)]
pub struct Allowance {
    granted: u64,
    left: AtomicU64,
    before: SystemTime,
}

impl Allowance {
    /// So many requests, begun before then.
    pub fn new(requests: u64, before: SystemTime) -> Self {
        Self {
            granted: requests,
            left: AtomicU64::new(requests),
            before,
        }
    }

    /// Takes one, to be sent at once.
    ///
    /// # Errors
    /// Why nothing may be sent any more, in words for people.
    pub fn take(&self) -> Result<(), &'static str> {
        if SystemTime::now() >= self.before {
            return Err("the time for which it was granted is over");
        }
        let one_less = |left: u64| left.checked_sub(1);
        match self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        {
            Ok(_) => Ok(()),
            Err(_) => Err("all requests that were granted are used up"),
        }
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.granted - self.left.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_was_granted() {
        let allowance = Allowance::new(2, SystemTime::now() + Duration::from_secs(600));
        let taken: Vec<_> = (0..4).map(|_| allowance.take().is_ok()).collect();
        assert_eq!(taken, [true, true, false, false]);
        assert_eq!(allowance.taken(), 2);
    }

    #[test]
    fn nothing_is_taken_after_its_time() {
        let allowance = Allowance::new(2, SystemTime::now());
        assert!(allowance.take().unwrap_err().contains("time"));
        assert_eq!(allowance.taken(), 0);
    }
}
