//! Money as all adapters count it: what a report used, and what may still be reserved.

use domain::run::{Limits, Spend};
use wire::Report;

/// What a report says was used: one call for each answer and each failed call that was billed. An item
/// with an error and without `paid` was not billed, and who began no request called nobody: a training is an answer too.
pub fn used(report: &Report) -> Spend {
    let mut sum = Spend::default();
    if report.counted.requests == Some(0) {
        return sum;
    }
    for item in &report.items {
        let answer = item.answer.as_ref().map(|a| (a.usage, a.cost_micros));
        let failed = item.paid.map(|p| (p.usage, p.cost_micros));
        for (usage, cost_micros) in [answer, failed].into_iter().flatten() {
            sum += Spend {
                calls: 1,
                tokens: usage.total(),
                cost_micros,
            };
        }
    }
    sum
}

/// What may still be reserved by a claim.
#[derive(Debug)]
pub struct Budget {
    used: Spend,
    limits: Limits,
    over: Option<(String, u64, u64)>,
}

impl Budget {
    /// With what the run has used and the limits that hold.
    pub fn new(used: Spend, limits: Limits) -> Self {
        Self {
            used,
            limits,
            over: None,
        }
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.limits != Limits::default()
    }

    /// Takes a task, in the order of the claim, unless it does not fit. Behind the first that does not, none is taken.
    pub fn take(&mut self, worst: Spend) -> bool {
        if let Some((name, cap, asked)) = self.used.breaks(&worst, &self.limits) {
            self.over.get_or_insert((name.to_owned(), cap, asked));
        }
        if self.over.is_some() {
            return false;
        }
        self.used += worst;
        true
    }

    /// The first task that did not fit: limit name, cap, and what it would come to.
    pub fn over(&self) -> Option<&(String, u64, u64)> {
        self.over.as_ref()
    }

    /// As [`Budget::over`], by value.
    pub fn into_over(self) -> Option<(String, u64, u64)> {
        self.over
    }
}
