//! A small finished run, `demo`, in a store of its own.
#![allow(dead_code, reason = "each test file uses its part")]

use domain::ids::RunId;
use store_sqlite::SqliteStore;

/// The store, its run, and the folder that must outlive it.
pub struct Demo {
    pub store: SqliteStore,
    pub run: RunId,
    pub folder: tempfile::TempDir,
}

/// Makes it.
pub async fn demo() -> Demo {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("new").join("demo.db"))
        .await
        .unwrap();
    let run = RunId::new();
    store::conformance::demo(&store, run).await;
    Demo { store, run, folder }
}
