//! What people do with `promptimal sql`: the cookbook, and that nothing can be written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::demo;
use std::time::Duration;
use store_sqlite::{SqliteStore, sql::Bounds};

/// The statements of docs/sql.md, each with the heading above it.
fn cookbook() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut out = vec![];
    let (mut heading, mut statement) = (String::new(), None::<String>);
    for line in text.lines() {
        match (&mut statement, line) {
            (None, "```sql") => statement = Some(String::new()),
            (None, line) => {
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut heading);
                }
            }
            (Some(_), "```") => out.extend(statement.take().map(|s| (heading.clone(), s))),
            (Some(s), line) => *s += &format!("{line}\n"),
        }
    }
    out
}

#[tokio::test]
async fn every_query_of_the_cookbook_works() {
    let demo = demo().await;
    let cookbook = cookbook();
    assert!(cookbook.len() >= 12, "{}", cookbook.len());
    for (heading, statement) in cookbook {
        let table = demo.store.query_read_only(&statement).await;
        let table = table.unwrap_or_else(|e| panic!("{heading}: {e}"));
        match heading.as_str() {
            "Does the ledger add up?" => assert_eq!(table.rows.len(), 0),
            _ => assert!(!table.rows.is_empty(), "{heading}: no rows"),
        }
    }
}

#[tokio::test]
async fn answers_of_the_cookbook_are_right() {
    let demo = demo().await;
    let get = async |heading: &str| {
        let (_, sql) = cookbook()
            .into_iter()
            .find(|(h, _)| h.starts_with(heading))
            .unwrap();
        demo.store.query_read_only(&sql).await.unwrap()
    };
    let progress = get("How far").await;
    assert_eq!(progress.columns[0], "round");
    let done: Vec<_> = progress
        .rows
        .iter()
        .map(|r| (r[3].clone(), r[4].clone()))
        .collect();
    assert_eq!(
        done,
        [
            (2.into(), 2.into()),
            (4.into(), 5.into()),
            (4.into(), 4.into())
        ]
    );
    let hardest = get("Which examples").await;
    assert_eq!(hardest.rows[0][0], "Which planet is hot?");
    assert_eq!(hardest.rows[0][3], 0.0);
    let winners = get("Do the winners").await;
    assert_eq!(winners.rows.len(), 1);
    assert_eq!(winners.rows[0][4], 1.0);
    let rejected = get("What was rejected").await;
    assert_eq!(rejected.rows[0][1], "leak_verbatim");
    let trouble = get("What is in trouble").await;
    assert_eq!(
        (&trouble.rows[0][1], &trouble.rows[0][3]),
        (&"planned".into(), &1.into())
    );
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
