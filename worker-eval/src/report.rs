//! Turning what happened into a report.

use crate::grade::GradeError;
use domain::{call::Answer, grade::Grade, hash::Hash};
use llm::{ErrorKind, ModelError};
use queue::{Message, Unfit};
use std::time::Duration;
use wire::{Action, Body, Counted, ItemError, Paid, Report, ReportItem, Task, VERSION};

/// An item that was answered; when its grading failed, the answer is kept and the item stays open.
pub fn answered(
    place: u32,
    key: Hash,
    answer: Option<Answer>,
    graded: Option<Result<Grade, GradeError>>,
) -> ReportItem {
    let (grade, error) = match graded {
        None => (None, None),
        Some(Ok(grade)) => (Some(grade), None),
        Some(Err(e)) => {
            let action = if e.retryable {
                Action::Retry { after_ms: 0 }
            } else {
                Action::GiveUp
            };
            (
                None,
                Some(ItemError {
                    action,
                    message: e.message,
                }),
            )
        }
    };
    ReportItem {
        place,
        key,
        answer,
        grade,
        error,
        paid: None,
    }
}

/// An item without an answer. A server that says when to come back is believed: that is no failure of the task.
pub fn failed(place: u32, key: Hash, error: ModelError) -> ReportItem {
    let after_ms = asked_pause(&error).map_or(0, millis);
    let action = match error.kind {
        ErrorKind::Retry { .. } if after_ms == 0 => Action::Retry { after_ms },
        ErrorKind::Retry { .. } | ErrorKind::NotSent { .. } => Action::Again { after_ms },
        ErrorKind::Call => Action::GiveUp,
        ErrorKind::Model => Action::StopRun,
    };
    let paid = error.paid.map(|p| Paid {
        usage: p.usage,
        cost_micros: p.cost_micros,
    });
    let error = Some(ItemError {
        action,
        message: error.message,
    });
    ReportItem {
        place,
        key,
        answer: None,
        grade: None,
        error,
        paid,
    }
}

/// How long the model's server asked to be left alone.
pub fn asked_pause(error: &ModelError) -> Option<Duration> {
    match error.kind {
        ErrorKind::Retry { after } | ErrorKind::NotSent { after } => after,
        ErrorKind::Call | ErrorKind::Model => None,
    }
}

/// Rounded up: nobody comes too early.
pub fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The same error for every open item.
pub fn all(task: &Task, body: &Body, error: ModelError) -> Vec<ReportItem> {
    let open = task
        .open
        .iter()
        .filter_map(|&p| body.items.get(p as usize).map(|i| (p, i.key)));
    open.map(|(place, key)| failed(place, key, error.clone()))
        .collect()
}

/// A report without the answers that make it too large, the largest first: their items failed for that reason, and what
/// they cost stays charged.
pub fn shortened(mut report: Report, why: &Unfit) -> Report {
    let action = match why.unkept {
        // The place for large bodies may be back for the next attempt.
        Some(_) => Action::Retry { after_ms: 0 },
        None => Action::GiveUp,
    };
    let size = |item: &ReportItem| serde_json::to_vec(item).map_or(0, |json| json.len());
    let mut sizes: Vec<_> = report.items.iter().map(size).enumerate().collect();
    sizes.sort_by_key(|(_, size)| *size);
    while report.encode().len() > why.limit {
        let Some((at, _)) = sizes.pop() else { break };
        let item = &mut report.items[at];
        let message = format!(
            "the report of its answer has {why}: a smaller max_tokens or search.block makes it smaller, --artefacts of \
             coordinators and workers takes large ones"
        );
        item.grade = None;
        if let Some(answer) = item.answer.take() {
            item.paid = Some(Paid {
                usage: answer.usage,
                cost_micros: answer.cost_micros,
            });
        }
        item.error = Some(ItemError { action, message });
    }
    report
}

/// The message that carries the report.
pub fn message(task: &Task, worker: String, items: Vec<ReportItem>, counted: Counted) -> Message {
    let report = Report {
        v: VERSION,
        task: task.task,
        epoch: task.epoch,
        worker,
        items,
        counted,
    };
    runtime::work::message(&report)
}
