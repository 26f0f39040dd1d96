//! Runs as this program stores and finds them.

use anyhow::{Context, bail};
use coordinator::settings::Settings;
use domain::{
    hash::Hash,
    run::{RunKind, RunStatus},
};
use serde::{Deserialize, Serialize};
use spec::{Paths, Spec};
use std::path::Path;
use store::{Run, Store};
use store_sqlite::SqliteStore;

/// The file inside the data folder.
pub const FILE: &str = "promptimal.db";

/// What is stored as a run's spec: the spec, and where its files were found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredSpec {
    /// The spec.
    pub spec: Spec,
    /// Where its files were.
    pub paths: Paths,
}

impl StoredSpec {
    /// Reads the spec of a run.
    ///
    /// # Errors
    /// When it was stored by another version.
    pub fn of(run: &Run) -> anyhow::Result<Self> {
        serde_json::from_str(&run.spec).with_context(|| {
            format!(
                "run {}: its spec was stored by another version of promptimal",
                run.id
            )
        })
    }

    /// What the planner needs.
    pub fn settings(&self, kind: RunKind) -> Settings {
        Settings::new(&self.spec, kind)
    }
}

/// Opens the store, making it if need be.
///
/// # Errors
/// When the folder cannot be written.
pub async fn open(data_dir: &Path) -> anyhow::Result<SqliteStore> {
    let file = data_dir.join(FILE);
    SqliteStore::open(&file)
        .await
        .with_context(|| format!("cannot open {} (choose another --data-dir)", file.display()))
}

/// Opens the store of earlier runs.
///
/// # Errors
/// When there is none.
pub async fn existing(data_dir: &Path) -> anyhow::Result<SqliteStore> {
    let file = data_dir.join(FILE);
    if !file.exists() {
        bail!(
            "no runs in {}: start one with `promptimal run`, or name their folder with --data-dir",
            data_dir.display()
        );
    }
    open(data_dir).await
}

/// Finds a run by its id, the beginning of it, its name (the newest of that name), or `last`.
///
/// # Errors
/// When none, or more than one, is meant.
pub async fn find(store: &dyn Store, wanted: &str) -> anyhow::Result<Run> {
    let runs = store.runs().await?;
    if wanted == "last" {
        return runs
            .into_iter()
            .next()
            .context("no runs yet: start one with `promptimal run`");
    }
    let begins: Vec<&Run> = runs
        .iter()
        .filter(|r| r.id.to_string().starts_with(wanted))
        .collect();
    if let [one] = begins.as_slice() {
        return Ok((*one).clone());
    }
    if let Some(named) = runs.iter().find(|r| r.name == wanted) {
        return Ok(named.clone());
    }
    match begins.len() {
        0 => bail!("no run {wanted:?}: `promptimal runs` lists them"),
        n => bail!("{n} runs begin with {wanted:?}: give more of the id"),
    }
}

/// Finds a run as [`find`] does, and refuses one whose rows are gone.
///
/// # Errors
/// As [`find`], and when the run was pruned.
pub async fn whole(store: &dyn Store, wanted: &str) -> anyhow::Result<Run> {
    let run = find(store, wanted).await?;
    if store.pruned_at(run.id).await?.is_some() {
        bail!(
            "run {} was pruned: its summary and what it cost are left (promptimal show {})",
            run.id,
            run.id
        );
    }
    Ok(run)
}

/// The newest run of the same work that was neither given up nor pruned.
///
/// # Errors
/// When the store fails.
pub async fn same_work(store: &dyn Store, hash: Hash) -> anyhow::Result<Option<Run>> {
    let runs = store.runs().await?;
    let same = |r: &Run| r.spec_hash == hash && r.status != RunStatus::Cancelled;
    for run in runs.into_iter().filter(same) {
        if store.pruned_at(run.id).await?.is_none() {
            return Ok(Some(run));
        }
    }
    Ok(None)
}
