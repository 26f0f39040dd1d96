//! What a run has come to, whichever kind it is: what `--json` prints and the API answers.

use super::{
    Cell, EvalSummary, InstructSummary, RewriterSummary, Summary, TrainingSummary, evaluation,
    instruct, rewriters, search, training::training,
};
use crate::{CoordinatorError, intake::StoredSpec};
use domain::run::{RunKind, RunStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::Threshold;
use store::{Run, Store};

/// Any kind of result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// Of a search for one instruction.
    Instruct(Box<InstructSummary>),
    /// Of a search.
    Search(Box<Summary>),
    /// Of an evaluation.
    Evaluation(Evaluated),
    /// Of an evaluation of rewriters.
    Rewriters(Box<RewriterSummary>),
}

/// An evaluation held against its thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The numbers.
    #[serde(flatten)]
    pub summary: EvalSummary,
    /// The thresholds that were missed, a sentence each.
    #[serde(default)]
    pub missed: Vec<String>,
}

/// The part of a stored summary that is the result.
const RESULT: &str = "result";

/// What a run has come to so far; of one that was pruned, what was kept. Of an unfinished evaluation no threshold is
/// missed yet.
///
/// # Errors
/// When the store fails, or the run was stored by another version.
pub async fn shown(store: &dyn Store, run: &Run, now: i64) -> Result<Shown, CoordinatorError> {
    if store.pruned_at(run.id).await?.is_some() {
        return kept(run);
    }
    shown_of(store, run, &StoredSpec::of(run)?, now).await
}

/// The same of a run whose rows are all there, held against the thresholds of this spec.
///
/// # Errors
/// When the store fails.
pub async fn shown_of(
    store: &dyn Store,
    run: &Run,
    stored: &StoredSpec,
    now: i64,
) -> Result<Shown, CoordinatorError> {
    let settings = stored.settings(run.kind);
    Ok(match run.kind {
        RunKind::Evaluate if settings.compares_rewriters() => {
            Shown::Rewriters(Box::new(rewriters(store, run, &settings, now).await?))
        }
        RunKind::Optimise if settings.instruct.is_some() => {
            Shown::Instruct(Box::new(instruct(store, run, &settings, now).await?))
        }
        RunKind::Optimise => Shown::Search(Box::new(search(store, run, &settings, now).await?)),
        RunKind::Evaluate => {
            let summary = evaluation(store, run, &settings, now).await?;
            let missed = match run.status {
                RunStatus::Finished => missed(&summary, &stored.spec.eval.thresholds),
                _ => Vec::new(),
            };
            Shown::Evaluation(Evaluated { summary, missed })
        }
    })
}

/// The training of a run, also of one whose rows are gone; `None` where it has none, or it has not ended.
///
/// # Errors
/// As [`shown`].
pub async fn rewriter(
    store: &dyn Store,
    run: &Run,
) -> Result<Option<TrainingSummary>, CoordinatorError> {
    if store.pruned_at(run.id).await?.is_some() {
        return Ok(match kept(run)? {
            Shown::Search(summary) => summary.training,
            Shown::Evaluation(_) | Shown::Rewriters(_) | Shown::Instruct(_) => None,
        });
    }
    let settings = StoredSpec::of(run)?.settings(run.kind);
    let steps = store.steps(run.id).await?;
    training(store, run.id, &steps, &settings).await
}

/// What was kept of a run whose rows are gone.
fn kept(run: &Run) -> Result<Shown, CoordinatorError> {
    match stored_summary(run)[RESULT].take() {
        Value::Null => Err(CoordinatorError::Pruned(run.id)),
        result => serde_json::from_value(result).map_err(|e| {
            CoordinatorError::Intake(format!(
                "run {}: its result was stored by another version: {e}",
                run.id
            ))
        }),
    }
}

fn stored_summary(run: &Run) -> Value {
    let summary = run.summary.as_deref().map(serde_json::from_str);
    summary.and_then(Result::ok).unwrap_or_default()
}

/// Stores what a run has come to with its row, before the rows go from which it is computed.
///
/// # Errors
/// As [`shown`].
pub async fn keep(store: &dyn Store, run: &Run, now: i64) -> Result<(), CoordinatorError> {
    let result = shown(store, run, now).await?;
    let mut summary = match stored_summary(run) {
        Value::Object(summary) => summary,
        _ => serde_json::Map::new(),
    };
    summary.insert(RESULT.to_owned(), serde_json::json!(result));
    let summary = Value::Object(summary).to_string();
    Ok(store.set_summary(run.id, &summary).await?)
}

/// What thresholds say, one sentence for each cell that misses one.
pub fn missed(summary: &EvalSummary, thresholds: &[Threshold]) -> Vec<String> {
    let mut out = Vec::new();
    for cell in &summary.cells {
        let covering = thresholds
            .iter()
            .filter(|t| t.covers(&cell.prompt, &cell.model, &cell.dataset));
        for threshold in covering {
            out.extend(misses(cell, threshold));
        }
    }
    out
}

fn misses(cell: &Cell, threshold: &Threshold) -> Vec<String> {
    let place = format!("{} / {} / {}", cell.prompt, cell.model, cell.dataset);
    let mean = cell.mean.map_or(f64::NAN, |m| m.mean);
    let low = cell.mean.map_or(f64::NAN, |m| m.ci95.0);
    let below = |what: &str, value: f64, bar: Option<f64>| {
        // A value that was not measured misses every bar.
        let bar = bar.filter(|bar| value.is_nan() || value < *bar)?;
        Some(format!("{place}: {what} {value:.3} is below {bar}"))
    };
    let failed = cell.failed();
    let too_many = threshold.max_failed.filter(|bar| failed > *bar);
    [
        below("mean", mean, threshold.min_mean),
        below("lower end of the 95% interval", low, threshold.min_ci_low),
        too_many.map(|bar| {
            format!(
                "{place}: {:.1}% unmeasured is above {:.1}%",
                100.0 * failed,
                100.0 * bar
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
