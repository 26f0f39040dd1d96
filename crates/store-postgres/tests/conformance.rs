//! The suite every store passes, on PostgreSQL; and once more beside SQLite, with the same results to the last bit.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{open, skipped};

store::conformance_suite!(open, unless skipped);

mod beside_sqlite {
    use super::common::{self, skipped};
    use std::sync::OnceLock;
    use store::conformance::Twin;
    use store_postgres::PostgresStore;
    use store_sqlite::SqliteStore;

    async fn open(name: &str) -> Twin<SqliteStore, PostgresStore> {
        static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
        let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
        let path = folder.path().join(name).join("store.db");
        let sqlite = SqliteStore::open(&path).await.unwrap();
        Twin(sqlite, common::open(&format!("twin_{name}")).await)
    }

    store::conformance_suite!(open, unless skipped);
}
