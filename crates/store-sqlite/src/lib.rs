//! The store on SQLite: one file in WAL mode, one connection that writes, a pool that reads.
//!
//! | file | aggregate |
//! | --- | --- |
//! | `runs` | runs, limits, tags |
//! | `examples` | examples and memberships |
//! | `plans` | steps, targets, candidates, tasks and items |
//! | `tasks` | claim, dispatch, rescue, revive |
//! | `apply` | reports |
//! | `ledger` | reserve, settle, expire |
//! | `quotas` | what models' servers allow |
//! | `results` | what the planner and people read |
//! | `trainings` | how trainings go |
//! | `shared` | whose turn it is, who leads, what was lost |
//! | `retention` | deleting runs that are over |
//! | [`sql`] | read-only statements of people |
//!
//! Batches travel as one JSON parameter per statement (`jsonb_each(?1)`), so that a statement is prepared
//! once and its cost per row is that of SQLite. Statements are checked against the migrations at build
//! time; `scripts/sqlx-prepare` renews the committed descriptions in `.sqlx`.

mod apply;
mod codec;
mod examples;
mod ledger;
mod plans;
mod quotas;
mod results;
mod retention;
mod runs;
mod shared;
pub mod sql;
mod tasks;
mod trainings;

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use store::{Result, StoreError};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How long a statement waits for another process's transaction, and a caller for the writer.
const PATIENCE: Duration = Duration::from_secs(120);
const READERS: u32 = 4;
/// Pages of write-ahead log before it is copied back: pages that change often are copied once.
const CHECKPOINT_PAGES: &str = "8192";
/// Page caches, negative: KiB. The writer's is large enough that the index over random keys stays in memory at
/// 100,000 items; readers go through rows in order.
const WRITER_CACHE: &str = "-8192";
const READER_CACHE: &str = "-2048";

/// A store in one SQLite file.
///
/// There is one writing connection: while a [`store::StepWriter`] is open, other writes wait for it, so
/// nothing else may be written by the task that holds one.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Option<SqlitePool>,
    reader: SqlitePool,
}

/// A write transaction: it holds the database's write lock from its beginning.
type Tx = Transaction<'static, Sqlite>;

impl SqliteStore {
    /// Opens the store at `path`; makes folder and file where there are none, and brings the tables up to
    /// date.
    ///
    /// # Errors
    /// When the folder cannot be made, the file is no database, or a newer program wrote it.
    pub async fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|e| {
                StoreError::Backend(format!("cannot make folder {}: {e}", folder.display()))
            })?;
        }
        let options = options(path).create_if_missing(true);
        let at = |e| opening(path, e);
        let writer = pool(1).connect_with(options.clone()).await.map_err(at)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|e| opening(path, e.into()))?;
        let reader = pool(READERS)
            .connect_with(
                options
                    .pragma("query_only", "ON")
                    .pragma("cache_size", READER_CACHE),
            )
            .await
            .map_err(at)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Some(writer),
            reader,
        })
    }

    /// Opens an existing store for reading; every write then fails.
    ///
    /// # Errors
    /// When there is no store at `path`.
    pub async fn open_read_only(path: &Path) -> Result<Self> {
        roll_back(path).await;
        let reader = pool(READERS)
            .connect_with(read_only(path))
            .await
            .map_err(|e| opening(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            writer: None,
            reader,
        })
    }

    /// Closes all connections and copies the log back into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_only_error(&self) -> StoreError {
        StoreError::Backend(format!("{} was opened read-only", self.path.display()))
    }

    async fn write(&self) -> Result<Tx> {
        let writer = self.writer.as_ref();
        let writer = writer.ok_or_else(|| self.read_only_error())?;
        writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(codec::db)
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
}

/// A process that died while it made the file left a journal: only one that may write can roll that back, and until
/// then reading fails. Where this one may not write either, reading says so.
async fn roll_back(path: &Path) {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    if !Path::new(&journal).exists() {
        return;
    }
    let writing = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE);
    if let Ok(mut conn) = writing.connect().await {
        // Any statement that reads rolls back first.
        let _ = conn.execute("SELECT count(*) FROM sqlite_schema").await;
        let _ = conn.close().await;
    }
}

/// No file is made and no pragma is set that would write.
fn read_only(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(PATIENCE)
        .pragma("query_only", "ON")
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn opening(path: &Path, error: sqlx::Error) -> StoreError {
    StoreError::Backend(format!("cannot open {}: {error}", path.display()))
}
