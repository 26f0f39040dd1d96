//! What is stored in a data folder, read past the program.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use super::block_on;
use domain::hash::Hash;
use serde_json::Value;
use std::path::Path;
use store::{Results, Runs};
use store_sqlite::SqliteStore;

/// The projection of the only run in a data folder.
pub fn projection(data: &Path) -> Vec<String> {
    block_on(async {
        let store = SqliteStore::open(&data.join("promptimal.db"))
            .await
            .unwrap();
        let runs = store.runs().await.unwrap();
        assert_eq!(runs.len(), 1, "one run, however often it was killed");
        let lines = store.projection(runs[0].id).await.unwrap();
        store.close().await;
        lines
    })
}

/// The rows of a query.
pub fn query(data: &Path, sql: &str) -> Vec<Vec<Value>> {
    let file = data.join("promptimal.db");
    if !file.exists() {
        return Vec::new();
    }
    block_on(async {
        let store = SqliteStore::open_read_only(&file).await.unwrap();
        let table = store.query_read_only(sql).await.unwrap();
        assert!(!table.truncated);
        store.close().await;
        table.rows
    })
}

/// The number that a query returns.
pub fn number(data: &Path, sql: &str) -> i64 {
    query(data, sql)[0][0].as_i64().unwrap()
}

/// The keys of all stored answers.
pub fn stored_keys(data: &Path) -> Vec<Hash> {
    // Killed before its first migration was done, the file may have no table yet.
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'answers'";
    if query(data, tables).first().is_none_or(|row| row[0] == 0) {
        return Vec::new();
    }
    let keys = query(data, "SELECT key FROM answers");
    keys.iter()
        .map(|row| row[0].as_str().unwrap().parse().unwrap())
        .collect()
}
