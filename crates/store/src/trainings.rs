//! How trainings go: their losses, step by step.

use crate::Result;
use async_trait::async_trait;
use domain::hash::Hash;
use wire::Loss;

/// Losses of trainings, by the key of their answer.
#[async_trait]
pub trait Trainings: Send + Sync {
    /// Notes losses of a training. A number that is there already stays: a training that went on from a checkpoint
    /// repeats some.
    async fn note_losses(&self, training: Hash, losses: &[Loss], now: i64) -> Result<()>;
    /// The losses of a training that are known, by step.
    async fn losses(&self, training: Hash) -> Result<Vec<Loss>>;
}
