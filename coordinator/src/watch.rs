//! What comes beside the reports: signs of life, and dead letters.

use crate::{Config, CoordinatorError, Deps, Event, collect, pulse::Pulse};
use futures::future::ready;
use queue::{DeadLetter, Delivery, Lane};
use store::Beat;
use tokio_util::sync::CancellationToken;
use wire::{Action, Beats, Losses, Reference, Report, Task};

/// Messages in hand at once.
const PREFETCH: usize = 512;

/// Notes signs of life, and how trainings go, until it is dropped.
pub async fn beats(deps: &Deps) -> Result<(), CoordinatorError> {
    let mut consumer = deps.queue.consume(Lane::Events, PREFETCH).await?;
    let never = CancellationToken::new();
    while let Some(batch) = collect::batch(consumer.as_mut(), &never, ready(())).await {
        let (mut beats, mut losses) = (Vec::new(), Vec::new());
        for delivery in &batch {
            match Losses::decode(&delivery.message.body) {
                Ok(told) => losses.push(told),
                Err(_) => beats.extend(read(delivery)),
            }
        }
        let now = deps.clock.now_micros();
        if !beats.is_empty() {
            deps.store.beat(&beats, now).await?;
        }
        for told in losses {
            note(deps, told, now).await?;
        }
        for delivery in batch {
            delivery.receipt.ack().await?;
        }
    }
    Ok(())
}

/// Keeps losses, and shows them.
async fn note(deps: &Deps, told: Losses, now: i64) -> Result<(), CoordinatorError> {
    let noted = deps.store.note_losses(told.training, &told.losses, now);
    noted.await?;
    for loss in told.losses {
        (deps.observer)(Event::Learning {
            run: told.run,
            loss,
            steps: told.steps,
        });
    }
    Ok(())
}

fn read(delivery: &Delivery) -> Vec<Beat> {
    let beats = match Beats::decode(&delivery.message.body) {
        Ok(beats) => beats,
        Err(error) => {
            tracing::warn!(%error, "sign of life not understood");
            return Vec::new();
        }
    };
    let worker = beats.worker;
    let beat = |attempt: domain::run::Attempt| Beat {
        task: attempt.task,
        epoch: attempt.epoch,
        worker: worker.clone(),
    };
    beats.attempts.into_iter().map(beat).collect()
}

/// Turns dead tasks into failed attempts until it is dropped: the store then tries them again, or ends them with the
/// reason. A report whose body is gone fails its attempt too. Of what is neither, the log says what it was; if a task
/// hangs on it, the rescuer finds that.
pub async fn dead_letters(
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
) -> Result<(), CoordinatorError> {
    let mut consumer = deps.queue.consume(Lane::Dead, PREFETCH).await?;
    while let Some(delivery) = consumer.next().await {
        metrics::counter!("promptimal_dead_letters_total").increment(1);
        let letter = DeadLetter::of(&delivery.message);
        let lane = letter.lane.map_or("unknown", Lane::name);
        let trace = runtime::trace::of(&delivery.message);
        tracing::error!(
            id = delivery.message.id,
            trace_id = trace.map(|t| t.trace_id()),
            span_id = trace.map(|t| t.span_id()),
            lane,
            reason = letter.reason,
            "dead letter"
        );
        if let Some(mut report) = unread(&letter, &delivery.message.body) {
            // Who had it in hand before may have made its calls.
            report.counted.declined = true;
            collect::apply(config, deps, pulse, &[report]).await?;
        }
        delivery.receipt.ack().await?;
    }
    Ok(())
}

/// Another worker may do better; after some attempts the store ends it.
pub const AGAIN: Action = Action::Retry { after_ms: 0 };

/// Who reports what no worker reported.
const COORDINATOR: &str = "coordinator";

/// The report that an attempt failed because its message died; `None` when the message was no attempt's.
fn unread(letter: &DeadLetter, body: &[u8]) -> Option<Report> {
    let reason = &letter.reason;
    let why = match letter.lane {
        Some(Lane::Results) => format!("its report was lost: {reason}"),
        _ => format!("no worker could take it: {reason}"),
    };
    // A report says what it is a report of only where it travels by reference.
    match letter.lane {
        Some(Lane::Results) if !Reference::is(body) => None,
        _ => failed(body, AGAIN, &why).ok(),
    }
}

/// A report that every open item of a task failed, and what to do about it. The task may travel by reference.
pub fn failed(body: &[u8], action: Action, message: &str) -> Result<Report, wire::WireError> {
    if Reference::is(body) {
        return Ok(Reference::decode(body)?.failed(COORDINATOR, action, message));
    }
    let (task, keys) = Task::decode_keys(body)?;
    Ok(Report::failed(&task, &keys, COORDINATOR, action, message))
}
