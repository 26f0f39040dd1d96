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

/// Two processes on one file, with two coordinators each.
#[tokio::test]
async fn coordinators_share_a_file() {
    let (a, b) = (open("coordinators").await, open("coordinators").await);
    store::conformance::coordinators_share(&[&a, &a, &b, &b]).await;
}
