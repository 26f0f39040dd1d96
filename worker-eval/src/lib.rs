//! Calls language models and grades answers. Stateless: it knows the queue and the models it may call,
//! and nothing of the store.
//!
//! A task is a block of items. The block is asked in one call of the model, each answer is graded, and one
//! report says item by item what came of it. What an error means (ask again, give up, stop the run) is in
//! the report; the queue only ever redelivers what was lost. Tasks of a run that was given up meanwhile are let go.

pub mod grade;
mod handler;
#[cfg(feature = "local")]
pub mod models;
mod report;

pub use grade::refused;

use llm::LanguageModel;
use queue::{Lane, QueueError, TaskQueue};
use runtime::{given_up, heart::Heart, shutdown::Shutdown};
use std::{collections::HashMap, sync::Arc};

/// The models a worker may call, by their name in the spec.
pub type Models = HashMap<String, Arc<dyn LanguageModel>>;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many blocks are in hand at once.
    pub concurrency: usize,
    /// Host and boot id, for people who trace.
    pub worker: String,
}

/// What a worker is given.
#[derive(Clone)]
pub struct Deps {
    /// Where tasks come from and reports go to.
    pub queue: Arc<dyn TaskQueue>,
    /// The models it may call.
    pub models: Models,
    /// Where it notes what it has in hand.
    pub heart: Heart,
}

/// Works until the queue is closed or shutdown is asked for.
///
/// # Errors
/// When the lane cannot be consumed.
pub async fn run(config: Config, deps: Deps, shutdown: Shutdown) -> Result<(), QueueError> {
    let given_up = Arc::new(given_up::GivenUp::default());
    let handler = Arc::new(handler::EvalHandler::new(
        config.worker,
        deps.models,
        deps.heart,
        given_up.clone(),
    ));
    let (queue, told) = (deps.queue.clone(), handler.clone());
    let working = runtime::work::run(
        deps.queue,
        Lane::Eval,
        config.concurrency,
        handler,
        shutdown,
    );
    let ended = tokio::select! {
        ended = working => ended?,
        () = given_up.listen(queue.as_ref(), |hold| told.hold(hold)) => return Ok(()),
    };
    tracing::debug!(?ended, "worker ended");
    Ok(())
}
