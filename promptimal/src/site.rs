//! Where runs are stored: a file in a folder, or a database that others share.

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, sync::Arc};
use store::Store;
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
