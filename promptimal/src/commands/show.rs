//! `promptimal show`

use crate::{
    cli::ShowArgs,
    render,
    site::{Site, find},
};
use coordinator::{
    intake::StoredSpec,
    summary::{self, EvalSummary, Summary},
};
use domain::run::RunKind;
use runtime::clock::{Clock, SystemClock};
use store::{Run, Store};

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

/// Shows a run.
pub async fn show(site: &Site, args: &ShowArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = find(store.as_ref(), &args.run).await?;
    match numbers(store.as_ref(), &run).await? {
        Shown::Search(summary) => render::search(&summary, args.json),
        Shown::Evaluation(summary) => render::evaluation(&summary, &[], args.json),
    }
}
