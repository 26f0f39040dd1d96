//! The collector: reports become answers and grades.
//!
//! A batch of reports is applied in one transaction, and only after its commit are they acknowledged: a kill in
//! between delivers them again, and the fence finds nothing left to change.

use crate::{Config, CoordinatorError, Deps, Event, Outcome, conduct, pulse::Pulse};
use futures::{FutureExt, future::ready};
use queue::{Consumer, Delivery, Lane, Message};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use wire::{Hold, Report, VERSION};

/// Messages taken together.
const BATCH: usize = 1_024;
/// And so many bytes: at most one message more is held.
const BATCH_BYTES: usize = 16 << 20;
/// How long a first message waits for others.
const LINGER: Duration = Duration::from_millis(25);
/// Unacknowledged reports at a time.
const PREFETCH: usize = 1_024;
/// How often a failing store is asked before the loop ends.
const TRIES: u32 = 5;

/// Collects until the queue is closed or `last_call` is cancelled and nothing is left. While a batch is applied, the next
/// is gathered.
pub async fn run(
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
    last_call: &CancellationToken,
) -> Result<(), CoordinatorError> {
    let mut consumer = deps.queue.consume(Lane::Results, PREFETCH).await?;
    let mut next = batch(consumer.as_mut(), last_call, ready(())).await;
    while let Some(gathered) = next {
        let (applied, free) = oneshot::channel::<()>();
        let apply = async {
            let ended = settle(gathered, (config, deps, pulse)).await;
            drop(applied);
            ended
        };
        let gather = batch(consumer.as_mut(), last_call, free.map(drop));
        // What fails ends this at once: what was gathered meanwhile comes again.
        ((), next) = tokio::try_join!(apply, gather.map(Ok))?;
    }
    Ok(())
}

/// Applies what was gathered, and acknowledges it.
async fn settle(
    gathered: Vec<Delivery>,
    (config, deps, pulse): (&Config, &Deps, &Pulse),
) -> Result<(), CoordinatorError> {
    let (mut reports, mut read) = (Vec::with_capacity(gathered.len()), Vec::new());
    for delivery in gathered {
        match Report::decode(&delivery.message.body) {
            Ok(report) => {
                note(&delivery.message);
                reports.push(report);
                read.push(delivery.receipt);
            }
            Err(error) => delivery.receipt.reject(&error.to_string()).await?,
        }
    }
    if sabotage::breaks("commit") {
        for receipt in std::mem::take(&mut read) {
            receipt.ack().await?;
        }
        sabotage::point("coordinator.acked");
    }
    apply(config, deps, pulse, &reports).await?;
    sabotage::point("coordinator.applied");
    // All at once, so that the queue can tell its broker with one word.
    futures::future::try_join_all(read.into_iter().map(|receipt| receipt.ack())).await?;
    Ok(())
}

fn note(report: &Message) {
    let trace = runtime::trace::of(report);
    tracing::debug!(
        task = report.id,
        trace_id = trace.map(|t| t.trace_id()),
        span_id = trace.map(|t| t.span_id()),
        "report came"
    );
}

/// At least one message, and what comes within [`LINGER`] of it and until somebody is `free` for them; `None` at the end.
/// Every transaction writes each index page that it touches: larger batches touch a page once for many rows.
pub async fn batch(
    consumer: &mut dyn Consumer,
    last_call: &CancellationToken,
    free: impl Future<Output = ()>,
) -> Option<Vec<Delivery>> {
    let first = tokio::select! {
        biased;
        delivery = consumer.next() => delivery?,
        () = last_call.cancelled() => return None,
    };
    let mut bytes = first.message.body.len();
    let mut batch = vec![first];
    let lingered = tokio::time::sleep(LINGER);
    let until = futures::future::join(lingered, free);
    tokio::pin!(until);
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        tokio::select! {
            biased;
            delivery = consumer.next() => match delivery {
                Some(delivery) => {
                    bytes += delivery.message.body.len();
                    batch.push(delivery);
                }
                None => break,
            },
            _ = &mut until => break,
            // At the end nobody sends more: what is there was taken above.
            () = last_call.cancelled() => break,
        }
    }
    Some(batch)
}

/// Applies reports, asking a failing store some times.
pub async fn apply(
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
    reports: &[Report],
) -> Result<(), CoordinatorError> {
    let mut tried = 0;
    let applied = loop {
        match deps
            .store
            .apply(reports, config.retry, deps.clock.now_micros())
            .await
        {
            Ok(applied) => break applied,
            Err(e) if tried < TRIES => {
                tried += 1;
                tracing::warn!(error = %e, tried, "reports not applied, trying again");
                tokio::time::sleep(Duration::from_millis(100 << tried)).await;
            }
            Err(e) => return Err(e.into()),
        }
    };
    for (outcome, n) in [("accepted", applied.accepted), ("stale", applied.stale)] {
        metrics::counter!("promptimal_reports_total", "outcome" => outcome).increment(n);
    }
    metrics::counter!("promptimal_answers_stored_total").increment(applied.answers);
    metrics::counter!("promptimal_items_done_total").increment(applied.items_done);
    hold(deps, applied.held).await;
    for (run, message) in applied.trouble {
        if pulse.note_trouble(run, &message) {
            (deps.observer)(Event::Trouble { run, message });
        }
    }
    for (run, message) in applied.stop {
        conduct::stop(run, deps, &Outcome::Failed(message)).await?;
    }
    pulse.wake();
    Ok(())
}

/// The store gives nothing out for models whose servers asked to be left alone; workers hear of it for what they have in
/// hand. Those that miss it are told by the server.
async fn hold(deps: &Deps, held: Vec<(String, i64)>) {
    for (model, until) in held {
        let micros = until.saturating_sub(deps.clock.now_micros()).max(0);
        tracing::warn!(
            model,
            seconds = micros / 1_000_000,
            "its server asks to be left alone"
        );
        metrics::counter!("promptimal_model_holds_total").increment(1);
        let word = Hold {
            v: VERSION,
            hold: model,
            for_ms: micros.unsigned_abs().div_ceil(1_000),
        };
        if let Err(error) = deps.queue.broadcast(word.encode().into()).await {
            tracing::warn!(%error, "workers were not told");
        }
    }
}
