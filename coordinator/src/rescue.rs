//! The rescuer: what was lost is given back.
//!
//! Three clocks: a worker that fell silent, a task that nobody began, a task that takes too long. All are the store's
//! rows and the coordinator's clock; a worker's own clock decides nothing.

use crate::{CoordinatorError, Deps, Event, pulse::Pulse};
use std::time::Duration;
use store::RescuePolicy;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);

/// Rescues until it is dropped.
pub async fn run(
    policy: &RescuePolicy,
    deps: &Deps,
    pulse: &Pulse,
) -> Result<(), CoordinatorError> {
    loop {
        let lost = deps
            .store
            .rescue_lost(policy, deps.clock.now_micros())
            .await?;
        for lost in &lost {
            tracing::warn!(
                run = %lost.run,
                task = %lost.task,
                epoch = lost.epoch,
                dead = lost.dead,
                "{}",
                lost.loss.reason()
            );
            metrics::counter!("promptimal_tasks_lost_total", "reason" => lost.loss.reason())
                .increment(1);
            let message = lost.loss.reason().to_owned();
            if pulse.note_trouble(lost.run, &message) {
                let run = lost.run;
                (deps.observer)(Event::Trouble { run, message });
            }
        }
        // A full page may have hidden more.
        if (lost.len() as u32) < policy.limit {
            tokio::time::sleep(EVERY).await;
        }
        if !lost.is_empty() {
            pulse.wake();
        }
    }
}
