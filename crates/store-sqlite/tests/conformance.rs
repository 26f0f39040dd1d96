//! The suite every store passes, on SQLite files in a folder that goes away with the process.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use std::sync::OnceLock;
use store_sqlite::SqliteStore;

async fn open(name: &str) -> SqliteStore {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    SqliteStore::open(&folder.path().join(name).join("store.db"))
        .await
        .unwrap()
}

store::conformance_suite!(open);
