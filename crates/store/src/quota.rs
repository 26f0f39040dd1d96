//! What a model's server allows, over all runs, workers and coordinators.
//!
//! A claim takes a **grant** for each task of a limited model: so many requests, each begun before a moment
//! (`before`). It counts against the model from the claim on, until nothing that it stands for can have happened within
//! the last `per`: that is `per` after its report, or `per` after `before` where no report comes. So whatever passes
//! between a claim, the requests and the report, no window of `per` sees more requests than the quota: take any window;
//! each request in it belongs to a grant that still counted at its end, and those never exceeded the quota together.
//!
//! A grant also takes its turn: requests go out evenly, not all at the beginning of each window.
//!
//! Pure functions; the adapters keep the rows (`model_limits`, `run_models`, `grants`).

use crate::{Result, budget::used, codec::At};
use async_trait::async_trait;
use domain::{ids::RunId, run::Spend};
use std::collections::{HashMap, HashSet};
use wire::Report;

/// A minute, and as much as the clocks of two coordinators, or of a coordinator and a worker, may differ. Microseconds.
const MINUTE: i64 = 61_000_000;
/// No server is left alone for longer on a single word of it, milliseconds.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// A sixtieth of the quota may go at once after a pause.
const BURST: i64 = 60;
/// A block asks for an eighth of the quota at most: what is left of a window is not wasted on a block too large for it.
const BLOCKS: u64 = 8;

/// So many requests and tokens in any `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests; at least 1.
    pub requests: Option<u64>,
    /// Tokens, read and written; at least 1. A single block that is larger still goes, when nothing else does.
    pub tokens: Option<u64>,
    /// Microseconds; at least 1.
    pub per: i64,
}

impl Quota {
    /// A quota per minute; `None` where neither is limited.
    pub fn per_minute(requests: Option<u64>, tokens: Option<u64>) -> Option<Self> {
        let per = MINUTE;
        (requests.is_some() || tokens.is_some()).then_some(Self {
            requests,
            tokens,
            per,
        })
    }

    /// The most questions of a block.
    pub fn block(&self) -> Option<u64> {
        self.requests.map(|requests| (requests / BLOCKS).max(1))
    }

    /// A block that may use so many tokens is full.
    pub fn block_tokens(&self) -> Option<u64> {
        self.tokens.map(|tokens| tokens / BLOCKS)
    }

    /// How long after its claim an attempt may begin requests.
    fn life(&self) -> i64 {
        self.per.saturating_mul(2)
    }
}

/// A model that a run calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunModel {
    /// Its name in the run's spec.
    pub name: String,
    /// What it is: runs that call the same one share its quota.
    pub model: String,
    /// What this run allows of it. Where running runs allow different quotas, the smallest holds for all.
    pub quota: Option<Quota>,
}

/// Limits of models over all runs. What they allow is taken by [`Tasks::claim`](crate::Tasks::claim) and given back by
/// [`Tasks::apply`](crate::Tasks::apply).
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Says which models a run calls, and what it allows of each; what was said of them before is replaced. To be called
    /// before the first task of the run is planned.
    async fn use_models(&self, run: RunId, models: &[RunModel]) -> Result<()>;
}

/// The row that an adapter reads of a model of a run. Times are UTC microseconds.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is a column")]
pub struct StandingRow {
    pub name: String,
    pub model: String,
    pub requests: Option<i64>,
    pub tokens: Option<i64>,
    pub per_micros: Option<i64>,
    pub not_before: Option<i64>,
    pub paced_until: Option<i64>,
    pub held_requests: i64,
    pub held_tokens: i64,
    pub first_end: Option<i64>,
}

impl StandingRow {
    /// What it says.
    ///
    /// # Errors
    /// When a number makes no sense.
    pub fn read(self) -> Result<Standing> {
        let at = At("model_limits", &self.model);
        let number = |n: Option<i64>| n.map(|n| at.number(n)).transpose();
        let (requests, tokens) = (number(self.requests)?, number(self.tokens)?);
        let per = self.per_micros.unwrap_or(0).max(1);
        let limited = requests.is_some() || tokens.is_some();
        let held = (
            at.number(self.held_requests)?,
            at.number(self.held_tokens)?,
            self.first_end,
        );
        Ok(Standing {
            name: self.name,
            quota: limited.then_some(Quota {
                requests,
                tokens,
                per,
            }),
            not_before: self.not_before,
            paced_until: self.paced_until,
            held,
            model: self.model,
        })
    }
}

/// How a model of a run stands at the moment of a claim.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name in the run's spec.
    pub name: String,
    /// What it is.
    pub model: String,
    /// The smallest quota that running runs allow, if any allows one.
    pub quota: Option<Quota>,
    /// Its server asked to be left alone until then.
    pub not_before: Option<i64>,
    /// When all that was granted so far has had its turn.
    pub paced_until: Option<i64>,
    /// What still counts: requests, tokens, and when the first of it counts no more.
    pub held: (u64, u64, Option<i64>),
}

/// What a task asks for.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Questions that are to be asked.
    pub calls: u64,
    /// Tokens at most.
    pub tokens: u64,
}

impl Need {
    /// Of a task that asks so many of the questions that its worst case is for.
    pub fn of(worst: Spend, calls: u64) -> Self {
        let tokens = u128::from(worst.tokens) * u128::from(calls);
        let tokens = tokens.div_ceil(u128::from(worst.calls.max(1)));
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX).min(worst.tokens);
        Self { calls, tokens }
    }
}

/// What any task needs that asks something.
const LEAST: Need = Need {
    calls: 1,
    tokens: 1,
};

/// What a task got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Of which model.
    pub model: String,
    /// Requests, those included that are sent again.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Each is begun before this.
    pub before: i64,
    /// It counts until then, unless a report comes; then until `per` after that.
    pub until: i64,
    /// See [`Quota::per`].
    pub per: i64,
}

/// A grant as its report leaves it: number of the task, epoch, requests begun, tokens used.
pub type Spent = (i64, u32, u64, u64);

/// What reports (with the numbers of their tasks) say of their attempts' grants, once for each attempt. Nothing, where
/// there is none, or the report speaks for another worker.
pub fn spent<'a>(reports: impl Iterator<Item = (i64, &'a Report)>) -> Vec<Spent> {
    let mut seen = HashSet::new();
    let of = |(seq, report): (i64, &Report)| {
        let requests = report
            .counted
            .requests
            .filter(|_| !report.counted.declined)?;
        let fresh = seen.insert((seq, report.epoch));
        fresh.then(|| (seq, report.epoch, requests, used(report).tokens))
    };
    reports.filter_map(of).collect()
}

/// Until when a report's model is to be left alone.
pub fn pause(report: &Report, now: i64) -> Option<i64> {
    let ms = i64::try_from(report.counted.pause_ms?).unwrap_or(i64::MAX);
    Some(now.saturating_add(ms.min(LONGEST_PAUSE_MS) * 1_000))
}

/// The limits that a claim keeps to. Empty where the run's models have none.
#[derive(Debug, Default)]
pub struct Meters {
    now: i64,
    names: HashMap<String, usize>,
    meters: Vec<Meter>,
    retry_at: Option<i64>,
}

#[derive(Debug)]
struct Meter {
    standing: Standing,
    granted: bool,
    /// A task did not fit.
    shut: bool,
}

impl Meters {
    /// Of the models of a run.
    pub fn new(standings: Vec<Standing>, now: i64) -> Self {
        let mut meters = Self {
            now,
            ..Self::default()
        };
        for standing in standings {
            let count = meters.meters.len();
            let same = |m: &Meter| m.standing.model == standing.model;
            let at = meters.meters.iter().position(same).unwrap_or(count);
            meters.names.insert(standing.name.clone(), at);
            if at == count {
                meters.meters.push(Meter {
                    standing,
                    granted: false,
                    shut: false,
                });
            }
        }
        meters
    }

    /// The names of the models that get nothing now, in order: their tasks need not be looked at. Then
    /// [`Meters::retry_at`] speaks of these too.
    pub fn closed(&mut self) -> Vec<String> {
        for n in 0..self.meters.len() {
            if !self.meters[n].shut {
                self.room(n, LEAST);
            }
        }
        let shut = self.names.iter().filter(|(_, at)| self.meters[**at].shut);
        let mut closed: Vec<String> = shut.map(|(name, _)| name.clone()).collect();
        closed.sort_unstable();
        closed
    }

    fn room(&mut self, n: usize, need: Need) -> bool {
        let Err(at) = self.meters[n].room(need, self.now) else {
            return true;
        };
        self.meters[n].shut = true;
        self.retry_at = Some(self.retry_at.map_or(at, |r| r.min(at)));
        false
    }

    /// Whether a task for the model of this name may go now.
    pub fn fits(&mut self, name: &str, need: Need) -> bool {
        match self.names.get(name) {
            Some(n) => self.room(*n, need),
            None => true,
        }
    }

    /// Takes what a task that [fits](Meters::fits) needs; `None` where nothing is limited.
    pub fn take(&mut self, name: &str, need: Need) -> Option<Granted> {
        let meter = &mut self.meters[*self.names.get(name)?];
        meter.take(need, self.now)
    }

    /// When it is worth asking again for what did not fit, UTC microseconds.
    pub fn retry_at(&self) -> Option<i64> {
        self.retry_at
    }

    /// The models of which something was taken, and when all of it will have had its turn.
    pub fn taken(&self) -> Vec<(String, Option<i64>)> {
        let taken = self.meters.iter().filter(|m| m.granted);
        let of = |m: &Meter| (m.standing.model.clone(), m.standing.paced_until);
        taken.map(of).collect()
    }
}

impl Meter {
    /// Whether so much may go now; else when it is worth asking again.
    fn room(&self, need: Need, now: i64) -> std::result::Result<(), i64> {
        if let Some(at) = self.standing.not_before.filter(|at| *at > now) {
            return Err(at);
        }
        let Some(quota) = self.standing.quota.filter(|_| need.calls > 0) else {
            return Ok(());
        };
        let burst = quota.per / BURST;
        let paced = self.standing.paced_until.unwrap_or(now);
        if paced > now.saturating_add(burst) {
            // A little later than the first moment: then several tasks go at once.
            return Err(paced - burst / 2);
        }
        let (requests, tokens, first_end) = self.standing.held;
        let full = |limit: Option<u64>, held: u64, more: u64| {
            limit.is_some_and(|limit| held.saturating_add(more) > limit)
        };
        let over =
            full(quota.requests, requests, need.calls) || full(quota.tokens, tokens, need.tokens);
        // What is larger than the whole quota goes alone.
        match over && requests > 0 {
            true => Err(first_end.unwrap_or(now.saturating_add(quota.per))),
            false => Ok(()),
        }
    }

    fn take(&mut self, need: Need, now: i64) -> Option<Granted> {
        let quota = self.standing.quota.filter(|_| need.calls > 0)?;
        let (requests, tokens, _) = &mut self.standing.held;
        // Some may fail and be sent again. What is not used comes back with the report.
        let wanted = need.calls.saturating_add(need.calls.div_ceil(2));
        let left = quota
            .requests
            .map_or(u64::MAX, |limit| limit.saturating_sub(*requests));
        let got = wanted.min(left);
        *requests = requests.saturating_add(got);
        *tokens = tokens.saturating_add(need.tokens);
        self.granted = true;
        self.standing.paced_until = quota.requests.map(|limit| {
            let time = i128::from(need.calls) * i128::from(quota.per) / i128::from(limit.max(1));
            let time = i64::try_from(time).unwrap_or(i64::MAX);
            let from = self.standing.paced_until.map_or(now, |p| p.max(now));
            from.saturating_add(time)
        });
        let before = now.saturating_add(quota.life());
        Some(Granted {
            model: self.standing.model.clone(),
            requests: got,
            tokens: need.tokens,
            before,
            until: before.saturating_add(quota.per),
            per: quota.per,
        })
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
