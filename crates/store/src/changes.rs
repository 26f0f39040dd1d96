//! Where tasks go after their reports: collected here, written by the adapters.

use crate::{
    Applied, RetryPolicy,
    codec::{int, plain},
    verdict::{Next, Verdict, back_off},
};
use domain::ids::RunId;
use serde::Serialize;
use wire::Report;

/// A report that the fence let through, with its task.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The report.
    pub report: &'a Report,
    /// The task's number in the store.
    pub seq: i64,
    /// Its run.
    pub run: RunId,
    /// Its attempts before this one.
    pub attempts: u32,
}

/// What a batch of reports changes.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Tasks that are done, and their workers.
    pub done: Vec<(i64, &'a str)>,
    /// Tasks to be planned again under the next epoch.
    pub again: Vec<Again>,
    /// Tasks that are given up.
    pub dead: Vec<Dead<'a>>,
    /// Items that are given up: task, place, reason.
    pub given_up: Vec<(i64, u32, String)>,
}

/// A task to be planned again: number, epoch of the report, attempts, not before, reason.
#[derive(Debug, Serialize)]
pub struct Again(pub i64, pub u32, pub u32, pub i64, pub Option<String>);

/// A task given up: number, epoch of the report, attempts, worker, reason.
#[derive(Debug, Serialize)]
pub struct Dead<'a>(pub i64, pub u32, pub u32, pub &'a str, pub String);

impl<'a> Changes<'a> {
    /// Adds what follows from a report, and what people should hear of it.
    pub fn add(
        &mut self,
        task: &Accepted<'a>,
        verdict: Verdict<'_>,
        policy: RetryPolicy,
        now: i64,
        applied: &mut Applied,
    ) {
        for (place, message) in verdict.given_up {
            trouble(&mut applied.trouble, task.run, message);
            self.given_up.push((task.seq, place, plain(message)));
        }
        match verdict.next {
            Next::Done => self.done.push((task.seq, &task.report.worker)),
            Next::Again { after_ms, message } => {
                if let Some(message) = message {
                    trouble(&mut applied.trouble, task.run, message);
                }
                let at = now.saturating_add(int(after_ms).saturating_mul(1000));
                self.plan(task, task.attempts, at, message);
            }
            Next::Stop { message } => {
                first_of_run(&mut applied.stop, task.run, message);
                self.plan(task, task.attempts, now, Some(message));
            }
            Next::Retry { after_ms, message } => {
                let attempts = task.attempts.saturating_add(1);
                if attempts >= policy.max_attempts {
                    let message = format!("{message} (given up after {attempts} attempts)");
                    trouble(&mut applied.trouble, task.run, &message);
                    let (epoch, worker) = (task.report.epoch, task.report.worker.as_str());
                    self.dead
                        .push(Dead(task.seq, epoch, attempts, worker, plain(&message)));
                    return;
                }
                trouble(&mut applied.trouble, task.run, message);
                let asked = int(after_ms).saturating_mul(1000);
                let wait = back_off(policy, task.attempts).max(asked);
                self.plan(task, attempts, now.saturating_add(wait), Some(message));
            }
        }
    }

    fn plan(&mut self, task: &Accepted<'_>, attempts: u32, not_before: i64, reason: Option<&str>) {
        let epoch = task.report.epoch;
        self.again.push(Again(
            task.seq,
            epoch,
            attempts,
            not_before,
            reason.map(plain),
        ));
    }
}

/// One message for each run: the first.
fn first_of_run(list: &mut Vec<(RunId, String)>, run: RunId, message: &str) {
    if !list.iter().any(|(r, _)| *r == run) {
        list.push((run, message.to_owned()));
    }
}

/// Each message once.
fn trouble(list: &mut Vec<(RunId, String)>, run: RunId, message: &str) {
    if !list.iter().any(|(r, m)| *r == run && m == message) {
        list.push((run, message.to_owned()));
    }
}
