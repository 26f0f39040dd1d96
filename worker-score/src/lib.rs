//! Scores answers with a reward model. Stateless: it knows the queue and its models, and nothing of the store.
//!
//! A task is a block of answers, each with the question it must answer. The model sits on a thread of its own
//! ([`scorer`]): what arrives together is computed together, whichever tasks it belongs to, texts of like
//! length together. How many tasks are in hand, and so how much waits, is what the queue's prefetch says. A text that is too
//! long is cut and counted; a score that is no number is an error of its item and never a grade.

mod handler;
#[cfg(feature = "local")]
pub mod models;
pub mod reward;
pub mod scorer;
pub mod scripted;

use queue::{Lane, QueueError, TaskQueue};
use runtime::{given_up::GivenUp, heart::Heart, shutdown::Shutdown};
use scorer::Scorer;
use std::sync::Arc;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many tasks are in hand at once: what is batched together comes from these.
    pub concurrency: usize,
    /// Host and boot id, for people who trace.
    pub worker: String,
}

/// What a worker is given.
#[derive(Clone)]
pub struct Deps {
    /// Where tasks come from and reports go to.
    pub queue: Arc<dyn TaskQueue>,
    /// The models it has. A task's model is found by what it is.
    pub scorers: Vec<Scorer>,
    /// Where it notes what it has in hand.
    pub heart: Heart,
}

/// Works until the queue is closed or shutdown is asked for.
///
/// # Errors
/// When the lane cannot be consumed.
pub async fn run(config: Config, deps: Deps, shutdown: Shutdown) -> Result<(), QueueError> {
    let given_up = Arc::new(GivenUp::default());
    let handler = Arc::new(handler::ScoreHandler::new(
        config.worker,
        deps.scorers,
        deps.heart,
        given_up.clone(),
    ));
    let queue = deps.queue.clone();
    let working = runtime::work::run(
        deps.queue,
        Lane::Score,
        config.concurrency,
        handler,
        shutdown,
    );
    let ended = tokio::select! {
        ended = working => ended?,
        () = given_up.listen(queue.as_ref()) => return Ok(()),
    };
    tracing::debug!(?ended, "worker ended");
    Ok(())
}
