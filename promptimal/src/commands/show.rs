//! `promptimal show`

use crate::{
    cli::ShowArgs,
    render,
    site::{Site, find},
};
use anyhow::{Context, bail};
use coordinator::{
    intake::StoredSpec,
    summary::{self, EvalSummary, Summary},
};
use domain::run::RunKind;
use runtime::clock::{Clock, SystemClock};
use serde_json::Value;
use store::{Run, Store};

/// The part of a stored summary that is the result.
const RESULT: &str = "result";

/// Either kind of result.
pub enum Shown {
    /// Of a search.
    Search(Box<Summary>),
    /// Of an evaluation.
    Evaluation(EvalSummary),
}

/// Computes what a run has come to so far.
///
/// # Errors
/// When the store fails, or the run was stored by another version.
pub async fn numbers(store: &dyn Store, run: &Run) -> anyhow::Result<Shown> {
    if store.pruned_at(run.id).await?.is_some() {
        return kept(run);
    }
    let settings = StoredSpec::of(run)?.settings(run.kind);
    let now = SystemClock.now_micros();
    Ok(match run.kind {
        RunKind::Optimise => {
            Shown::Search(Box::new(summary::search(store, run, &settings, now).await?))
        }
        RunKind::Evaluate => {
            Shown::Evaluation(summary::evaluation(store, run, &settings, now).await?)
        }
    })
}

/// What was kept of a run whose rows are gone.
fn kept(run: &Run) -> anyhow::Result<Shown> {
    let summary = run.summary.as_deref().unwrap_or("{}");
    let mut summary: Value = serde_json::from_str(summary)?;
    let result = summary[RESULT].take();
    if result.is_null() {
        bail!(
            "run {} was pruned and has no result: what it cost is left (promptimal sql \
             \"select * from cost_by_model where run_id = '{}'\")",
            run.id,
            run.id
        );
    }
    let other = || format!("run {}: its result was stored by another version", run.id);
    Ok(match run.kind {
        RunKind::Optimise => Shown::Search(serde_json::from_value(result).with_context(other)?),
        RunKind::Evaluate => Shown::Evaluation(serde_json::from_value(result).with_context(other)?),
    })
}

/// Stores what a run has come to with its row, before the rows go from which it is computed.
///
/// # Errors
/// As [`numbers`].
pub async fn keep(store: &dyn Store, run: &Run) -> anyhow::Result<()> {
    let result = match numbers(store, run).await? {
        Shown::Search(summary) => serde_json::to_value(summary)?,
        Shown::Evaluation(summary) => serde_json::to_value(summary)?,
    };
    let summary = run.summary.as_deref().unwrap_or("{}");
    let mut summary: Value = serde_json::from_str(summary)?;
    summary[RESULT] = result;
    store.set_summary(run.id, &summary.to_string()).await?;
    Ok(())
}

/// Shows a run.
pub async fn show(site: &Site, args: &ShowArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = find(store.as_ref(), &args.run).await?;
    match numbers(store.as_ref(), &run).await? {
        Shown::Search(summary) => render::search(&summary, args.json),
        Shown::Evaluation(summary) => render::evaluation(&summary, &[], args.json),
    }
}
