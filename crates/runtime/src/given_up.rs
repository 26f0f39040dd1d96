//! Runs that were given up: what a worker has of them, or is still sent, it lets go. And models that are to be left
//! alone, which are told of on the same way.
//!
//! The coordinator says so to whoever listens at that moment. A worker that misses it finishes its blocks, and the
//! store passes over what it reports: listening saves calls, and is not what makes results right. Nothing is lost by
//! it either: a task that was let go by mistake is one whose worker fell silent, and is given to another.

use domain::ids::RunId;
use queue::{Control, QueueError, TaskQueue};
use std::{collections::VecDeque, time::Duration};
use tokio::sync::watch;
use wire::{Hold, Order, Word};

/// How many are remembered: the oldest make room for new ones.
const REMEMBERED: usize = 1_000;
/// The wait before listening again.
const AGAIN: Duration = Duration::from_secs(5);

/// The runs that were given up lately.
#[derive(Debug, Default)]
pub struct GivenUp(watch::Sender<VecDeque<RunId>>);

impl GivenUp {
    /// Returns once this run is given up; at once, if it was before.
    pub async fn wait(&self, run: RunId) {
        let mut runs = self.0.subscribe();
        if runs.wait_for(|runs| runs.contains(&run)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Listens for ever, over whatever happens to the queue; `hold` is told of models.
    pub async fn listen(&self, queue: &dyn TaskQueue, hold: impl Fn(&Hold) + Send + Sync) {
        loop {
            if let Err(error) = self.hear(queue, &hold).await {
                tracing::warn!(%error, "not listening to the coordinator, trying again");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn hear(
        &self,
        queue: &dyn TaskQueue,
        hold: &(impl Fn(&Hold) + Send + Sync),
    ) -> Result<(), QueueError> {
        let mut control: Box<dyn Control> = queue.control().await?;
        while let Some(word) = control.next().await {
            if let Ok(word) = Hold::decode(&word) {
                hold(&word);
                continue;
            }
            match Word::decode(&word) {
                Ok(Word {
                    word: Order::Cancel,
                    run,
                    ..
                }) => self.note(run),
                // What is under way of a paused run is wanted.
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a word that this worker does not know"),
            }
        }
        Ok(())
    }

    fn note(&self, run: RunId) {
        tracing::info!(%run, "run cancelled, letting go of its tasks");
        self.0.send_modify(|runs| {
            if runs.len() == REMEMBERED {
                runs.pop_front();
            }
            runs.push_back(run);
        });
    }
}
