//! Runs as this program stores and finds them.

use anyhow::{Context, bail};
use std::path::Path;
use store::{Run, Store};
use store_sqlite::SqliteStore;

/// The file inside the data folder.
pub const FILE: &str = "promptimal.db";

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
