//! What people do with `promptimal sql`: the cookbook, and that nothing can be written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use async_trait::async_trait;
use common::demo;
use std::time::Duration;
use store::conformance::history::{self, Ask, Line};
use store_sqlite::{SqliteStore, sql::Bounds};

/// The store as `promptimal sql` asks it.
struct Sqlite(SqliteStore);

#[async_trait]
impl Ask for Sqlite {
    async fn ask(&self, sql: &str) -> (Vec<String>, Vec<Line>) {
        let table = self.0.query_read_only(sql).await;
        let table = table.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(!table.truncated, "{sql}");
        (table.columns, table.rows)
    }

    fn micros(&self, column: &str) -> String {
        column.to_owned()
    }
}

#[tokio::test]
async fn the_cookbook_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    history::fill(&store).await.unwrap();
    history::cookbook(&Sqlite(store)).await;
}

#[tokio::test]
async fn nothing_is_written() {
    let demo = demo().await;
    let before = demo
        .store
        .query_read_only("select count(*) from runs")
        .await
        .unwrap();
    for sql in [
        "delete from runs",
        "with x as (select 1) delete from runs",
        "select 1; delete from runs",
        "vacuum into 'copy.db'",
        "attach 'other.db' as o",
        "pragma query_only = off",
        "create table t (a)",
    ] {
        let error = demo
            .store
            .query_read_only(sql)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("read-only") || error.contains("one statement"),
            "{sql}: {error}"
        );
    }
    let after = demo
        .store
        .query_read_only("select count(*) from runs")
        .await
        .unwrap();
    assert_eq!(before, after);
    let wrong = demo
        .store
        .query_read_only("select * from nothing")
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("nothing"), "{wrong}");
}

#[tokio::test]
async fn values_come_as_they_are_and_long_results_are_cut() {
    let demo = demo().await;
    let sql = "select 1 as i, 1.5 as r, 'x' as t, null as n, x'00ff' as b";
    let table = demo.store.query_read_only(sql).await.unwrap();
    assert_eq!(table.columns, ["i", "r", "t", "n", "b"]);
    let row = serde_json::json!([1, 1.5, "x", null, "00ff"]);
    assert_eq!(serde_json::Value::from(table.rows[0].clone()), row);
    let empty = demo
        .store
        .query_read_only("select name from runs where false")
        .await
        .unwrap();
    assert_eq!(
        (empty.columns, empty.rows.len()),
        (vec!["name".to_owned()], 0)
    );
    let bounds = Bounds {
        rows: 3,
        ..Bounds::default()
    };
    let many = "with recursive n (i) as (select 1 union all select i + 1 from n) select i from n";
    let table = demo.store.query_within(many, bounds).await.unwrap();
    assert_eq!((table.rows.len(), table.truncated), (3, true));
    let bounds = Bounds {
        time: Duration::from_millis(50),
        ..Bounds::default()
    };
    let endless = format!("select count(*) from ({many})");
    let error = demo.store.query_within(&endless, bounds).await.unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
}

#[tokio::test]
async fn a_store_opened_for_reading_refuses_to_write() {
    use store::Runs;
    let demo = demo().await;
    let reader = SqliteStore::open_read_only(demo.store.path())
        .await
        .unwrap();
    assert_eq!(
        reader.runs().await.unwrap(),
        demo.store.runs().await.unwrap()
    );
    let error = reader.set_summary(demo.run, "{}").await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    let missing = demo.store.path().with_file_name("missing.db");
    let error = SqliteStore::open_read_only(&missing).await.unwrap_err();
    assert!(error.to_string().contains("missing.db"), "{error}");
    assert!(!missing.exists());
}
