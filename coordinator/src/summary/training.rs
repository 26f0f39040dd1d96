//! What came of a run's training.

use super::learnt;
use crate::{CoordinatorError, board::Board, plan::too_few, settings::Settings};
use domain::{
    hash::Hash,
    ids::RunId,
    run::{Step, StepKey},
};
use serde::{Deserialize, Serialize};
use store::{StepStatus, Store};
use wire::{Trained, Training};

/// The training of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The base, as the spec names it.
    pub base: String,
    /// The folder of the adapter, in PEFT's layout: on a disk, or below the address of a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Why nothing was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
    /// Steps done.
    pub steps: u64,
    /// Pairs learnt from.
    pub train: u64,
    /// Pairs that the learning was measured on.
    pub validation: u64,
    /// The loss of the first step and of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<(f64, f64)>,
    /// The loss on validation pairs before the first step and after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<(f64, f64)>,
}

/// What came of the training of a run; `None` where there is none, or it has not ended.
///
/// # Errors
/// When the store fails.
pub async fn training(
    store: &dyn Store,
    run: RunId,
    steps: &[StepStatus],
    settings: &Settings,
) -> Result<Option<TrainingSummary>, CoordinatorError> {
    let (Some(train), Some(step)) = (&settings.train, step(steps)) else {
        return Ok(None);
    };
    let base = train.tuning.base.clone();
    if step.items == 0 {
        let board = Board::load(store, run, settings).await?;
        let why = too_few(&train.tuning, learnt(&board, settings).len());
        return Ok(why.map(|why| nothing(base, why)));
    }
    let stored = stored(store, step.key).await?;
    Ok(stored.map(|(_, training)| match training {
        Training::Trained(trained) => of(base, &trained),
        Training::Nothing(why) => nothing(base, why),
    }))
}

/// Notes all losses of a run's training: those that were told while it was under way may be a part of them. Doing it
/// again changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn note_losses(store: &dyn Store, run: RunId, now: i64) -> Result<(), CoordinatorError> {
    let Some(step) = step(&store.steps(run).await?) else {
        return Ok(());
    };
    if let Some((key, Training::Trained(trained))) = stored(store, step.key).await? {
        store.note_losses(key, &trained.rows(), now).await?;
    }
    Ok(())
}

/// How the training of a run went; `None` where it has none, or it has not ended.
///
/// # Errors
/// When the store fails.
pub async fn trained(store: &dyn Store, run: RunId) -> Result<Option<Trained>, CoordinatorError> {
    let Some(step) = step(&store.steps(run).await?) else {
        return Ok(None);
    };
    Ok(match stored(store, step.key).await? {
        Some((_, Training::Trained(trained))) => Some(*trained),
        _ => None,
    })
}

fn step(steps: &[StepStatus]) -> Option<StepStatus> {
    steps.iter().find(|s| s.key.step == Step::Train).copied()
}

/// What training a step did, and what came of it. A step has one at most.
async fn stored(
    store: &dyn Store,
    step: StepKey,
) -> Result<Option<(Hash, Training)>, CoordinatorError> {
    let outcomes = store.outcomes(step, None, 1).await?;
    let read = outcomes.first().and_then(|outcome| {
        let training = Training::of(outcome.reply.as_ref()?)?;
        Some((outcome.item.key, training))
    });
    Ok(read)
}

fn nothing(base: String, why: String) -> TrainingSummary {
    TrainingSummary {
        base,
        adapter: None,
        nothing: Some(why),
        steps: 0,
        train: 0,
        validation: 0,
        loss: None,
        validation_loss: None,
    }
}

fn of(base: String, trained: &Trained) -> TrainingSummary {
    let losses = &trained.losses;
    // A folder of this machine is named as every program takes it.
    let place = trained.place.strip_prefix("file://");
    let place = place.unwrap_or(&trained.place);
    let held = &trained.validation_losses;
    TrainingSummary {
        base,
        adapter: Some(format!("{place}/{}", trained.folder)),
        nothing: None,
        steps: losses.len() as u64,
        train: trained.train,
        validation: trained.validation,
        loss: losses.first().copied().zip(losses.last().copied()),
        validation_loss: (held.first().map(|h| h.1)).zip(held.last().map(|h| h.1)),
    }
}
