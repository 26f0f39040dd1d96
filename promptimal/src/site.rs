//! Where runs are stored: a file in a folder, or a database that others share.

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, sync::Arc};
use store::{Run, Store};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

/// The file inside the data folder.
pub const FILE: &str = "promptimal.db";

/// Where runs are stored.
#[derive(Clone, Debug, Args)]
pub struct Site {
    /// Where runs, answers and grades are kept.
    #[arg(
        long,
        global = true,
        default_value = ".promptimal",
        env = "PROMPTIMAL_DATA_DIR"
    )]
    pub data_dir: PathBuf,
    /// Keep them in a PostgreSQL instead: postgres://user:password@host:port/database. Its tables are made and brought
    /// up to date.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PROMPTIMAL_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<SecretString>,
}

impl Site {
    /// Opens the store, making it if need be.
    ///
    /// # Errors
    /// When the folder cannot be written, or the database cannot be used.
    pub async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        if let Some(url) = &self.database_url {
            return Ok(Arc::new(PostgresStore::open(url.expose_secret()).await?));
        }
        let file = self.file();
        let store = SqliteStore::open(&file).await;
        let store = store.with_context(|| {
            format!("cannot open {} (choose another --data-dir)", file.display())
        })?;
        Ok(Arc::new(store))
    }

    /// Opens the store of earlier runs.
    ///
    /// # Errors
    /// When there is none.
    pub async fn existing(&self) -> anyhow::Result<Arc<dyn Store>> {
        self.exists()?;
        self.open().await
    }

    /// The file of a store that is no database of others'.
    ///
    /// # Errors
    /// When there is none.
    pub fn existing_file(&self) -> anyhow::Result<PathBuf> {
        if self.database_url.is_some() {
            bail!(
                "this command reads a file: ask the database itself (psql), the tables and views have the same names"
            );
        }
        self.exists()?;
        Ok(self.file())
    }

    /// Gives back the space of deleted rows; how many bytes there were and are. A database does that by itself.
    ///
    /// # Errors
    /// When another process keeps the file from it.
    pub async fn compact(&self) -> anyhow::Result<Option<(u64, u64)>> {
        if self.database_url.is_some() {
            return Ok(None);
        }
        let store = SqliteStore::open(&self.file()).await?;
        let space = store.compact().await?;
        store.close().await;
        Ok(Some(space))
    }

    fn file(&self) -> PathBuf {
        self.data_dir.join(FILE)
    }

    fn exists(&self) -> anyhow::Result<()> {
        if self.database_url.is_none() && !self.file().exists() {
            bail!(
                "no runs in {}: start one with `promptimal run`, or name their folder with --data-dir",
                self.data_dir.display()
            );
        }
        Ok(())
    }

    /// How a person names it in a command.
    pub fn arguments(&self) -> String {
        match self.database_url {
            Some(_) => "--database-url URL".to_owned(),
            None => format!("--data-dir {}", self.data_dir.display()),
        }
    }
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
