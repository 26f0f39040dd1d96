//! Trains rewriters from the pairs of runs. Stateless: it knows the queue, its bases and the place of artefacts, and
//! nothing of the store.
//!
//! ```text
//! task ──► the same training finished before? ──► its report once more
//!            │ no
//!            ▼
//!   newest checkpoint of any epoch ──► a thread that trains ──► adapter among the artefacts ──► report
//!                                        │ every few minutes          losses, as events
//!                                        ▼
//!                                  checkpoint among the artefacts
//! ```
//!
//! A training takes all cores and hours. So there is one at a time; signs of life come from a thread that no work keeps
//! busy; whoever is told to stop writes a checkpoint and gives the task back; and who gets the task of a worker that died
//! goes on from the last checkpoint, to the same adapter.

pub mod bases;
mod handler;
mod kept;
mod learn;
mod news;
mod under_way;

use artefacts::Artefacts;
use bases::Bases;
use queue::{Lane, QueueError, TaskQueue};
use runtime::{given_up::GivenUp, heart::Heart, shutdown::Shutdown};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host and boot id, for people who trace.
    pub worker: String,
    /// A checkpoint is written so long after the one before.
    pub save_every: Duration,
    /// Where trainings have their folders while they are under way; the system's own place for such, unless told.
    pub scratch: Option<PathBuf>,
    /// Where trainings are computed.
    pub place: train::Place,
}

/// What a worker is given.
#[derive(Clone)]
pub struct Deps {
    /// Where tasks come from, and reports and losses go to.
    pub queue: Arc<dyn TaskQueue>,
    /// Where checkpoints and adapters are kept.
    pub artefacts: Artefacts,
    /// The bases it has. A task's base is found by what it is.
    pub bases: Bases,
    /// Where it notes what it has in hand.
    pub heart: Heart,
}

/// Works until the queue is closed or shutdown is asked for; then a training under way is left at its next step.
///
/// # Errors
/// When the lane cannot be consumed.
pub async fn run(config: Config, deps: Deps, shutdown: Shutdown) -> Result<(), QueueError> {
    let given_up = Arc::new(GivenUp::default());
    let queue = deps.queue.clone();
    let handler = handler::TrainHandler::new(config, deps, given_up.clone(), shutdown.clone());
    let working = runtime::work::run(queue.clone(), Lane::Train, 1, Arc::new(handler), shutdown);
    // A training asks no server: no word about a model concerns it.
    let ended = tokio::select! {
        ended = working => ended?,
        () = given_up.listen(queue.as_ref(), |_| ()) => return Ok(()),
    };
    tracing::debug!(?ended, "worker ended");
    Ok(())
}
