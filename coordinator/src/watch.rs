//! What comes beside the reports: signs of life, and dead letters.

use crate::{Config, CoordinatorError, Deps, collect, pulse::Pulse};
use queue::{DeadLetter, Delivery, Lane};
use store::Beat;
use tokio_util::sync::CancellationToken;
use wire::{Action, Beats, Counted, ItemError, Report, ReportItem, Task, VERSION};

/// Messages in hand at once.
const PREFETCH: usize = 512;

/// Notes signs of life until it is dropped.
pub async fn beats(deps: &Deps) -> Result<(), CoordinatorError> {
    let mut consumer = deps.queue.consume(Lane::Events, PREFETCH).await?;
    let never = CancellationToken::new();
    while let Some(batch) = collect::batch(consumer.as_mut(), &never).await {
        let beats: Vec<Beat> = batch.iter().flat_map(read).collect();
        deps.store.beat(&beats, deps.clock.now_micros()).await?;
        for delivery in batch {
            delivery.receipt.ack().await?;
        }
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
/// reason. Of what is no task, the log says what it was; if a task hangs on it, the rescuer finds that.
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
        tracing::error!(
            id = delivery.message.id,
            lane,
            reason = letter.reason,
            "dead letter"
        );
        if letter.lane != Some(Lane::Results)
            && let Ok(mut report) = failed(&delivery.message.body, AGAIN, &unread(&letter.reason))
        {
            // Who had it in hand before may have made its calls.
            report.counted.declined = true;
            collect::apply(config, deps, pulse, &[report]).await?;
        }
        delivery.receipt.ack().await?;
    }
    Ok(())
}

/// Another worker may do better; after some attempts the store ends it.
const AGAIN: Action = Action::Retry { after_ms: 0 };

fn unread(reason: &str) -> String {
    format!("no worker could take it: {reason}")
}

/// A report that every open item of a task failed, and what to do about it.
pub fn failed(body: &[u8], action: Action, message: &str) -> Result<Report, wire::WireError> {
    let (task, body) = Task::decode(body)?;
    let item = |&place: &u32| {
        let asked = body.items.get(place as usize)?;
        Some(ReportItem {
            place,
            key: asked.key,
            answer: None,
            grade: None,
            error: Some(ItemError {
                action,
                message: message.to_owned(),
            }),
            paid: None,
        })
    };
    Ok(Report {
        v: VERSION,
        task: task.task,
        epoch: task.epoch,
        worker: "coordinator".to_owned(),
        items: task.open.iter().filter_map(item).collect(),
        counted: Counted::default(),
    })
}
