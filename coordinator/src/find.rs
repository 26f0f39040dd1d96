//! Runs as people name them.

use domain::ids::RunId;
use store::{Run, Store, StoreError};

/// Why no one run is meant.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing is stored.
    #[error("no runs yet: start one with `promptimal run`")]
    Empty,
    /// No run of that name.
    #[error("no run {0:?}: `promptimal runs` lists them")]
    Unknown(String),
    /// The beginning of several ids.
    #[error("{count} runs begin with {wanted:?}: give more of the id")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many it may be.
        count: usize,
    },
    /// Its rows are gone.
    #[error("run {0} was pruned: its summary and what it cost are left (promptimal show {0})")]
    Pruned(RunId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds a run by its id, the beginning of it, its name (the newest of that name), or `last`.
///
/// # Errors
/// When none, or more than one, is meant.
pub async fn find(store: &dyn Store, wanted: &str) -> Result<Run, FindError> {
    if let Ok(id) = wanted.parse::<RunId>()
        && let Some(run) = store.run(id).await?
    {
        return Ok(run);
    }
    let mut runs = store.runs().await?;
    if wanted == "last" {
        return runs.drain(..).next().ok_or(FindError::Empty);
    }
    let begins = |r: &Run| r.id.to_string().starts_with(wanted);
    let count = runs.iter().filter(|r| begins(r)).count();
    let at = match count {
        1 => runs.iter().position(begins),
        _ => runs.iter().position(|r| r.name == wanted),
    };
    match (at, count) {
        (Some(at), _) => Ok(runs.swap_remove(at)),
        (None, 0) => Err(FindError::Unknown(wanted.to_owned())),
        (None, count) => Err(FindError::Ambiguous {
            wanted: wanted.to_owned(),
            count,
        }),
    }
}

/// Finds a run as [`find`] does, and refuses one whose rows are gone.
///
/// # Errors
/// As [`find`], and when the run was pruned.
pub async fn whole(store: &dyn Store, wanted: &str) -> Result<Run, FindError> {
    let run = find(store, wanted).await?;
    match store.pruned_at(run.id).await? {
        Some(_) => Err(FindError::Pruned(run.id)),
        None => Ok(run),
    }
}
