//! What people read: the same views and the same answers as in SQLite.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{connect, open, schema, skipped};
use domain::ids::RunId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use store_sqlite::SqliteStore;

/// The same finished run in both stores.
struct Both {
    sqlite: SqliteStore,
    postgres: PgConnection,
    _folder: tempfile::TempDir,
}

async fn both(name: &str) -> Both {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&folder.path().join("demo.db"))
        .await
        .unwrap();
    let postgres = open(name).await;
    let run = RunId::new();
    store::conformance::demo(&sqlite, run).await;
    store::conformance::demo(&postgres, run).await;
    Both {
        sqlite,
        postgres: connect(&schema(name).await).await,
        _folder: folder,
    }
}

/// Rows as lists of values. Whether a number is written with a fraction is the store's affair.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_f64().into(),
        Value::Array(values) => values.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

/// Names and values by PostgreSQL.
async fn ask(conn: &mut PgConnection, sql: &str) -> (Vec<String>, Vec<Value>) {
    let sql = sql.trim().trim_end_matches(';');
    // json keeps the columns in their order.
    let json = AssertSqlSafe(format!("select row_to_json(q)::text from ({sql}) q"));
    let rows: Vec<String> = sqlx::query_scalar(json)
        .fetch_all(conn)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut names = vec![];
    let mut out = vec![];
    for row in rows {
        let row: Row = serde_json::from_str(&row).unwrap();
        names = row.0.iter().map(|(name, _)| name.clone()).collect();
        out.push(row.0.iter().map(|(_, value)| comparable(value)).collect());
    }
    (names, out)
}

/// An object with its members in the order they are written.
struct Row(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Row;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Row, M::Error> {
                let mut row = vec![];
                while let Some(member) = map.next_entry()? {
                    row.push(member);
                }
                Ok(Row(row))
            }
        }
        d.deserialize_map(Members)
    }
}

async fn agree(both: &mut Both, what: &str, sql: &str) {
    let table = both.sqlite.query_read_only(sql).await.unwrap();
    assert!(!table.rows.is_empty(), "{what}: no rows");
    let rows: Vec<Value> = table
        .rows
        .into_iter()
        .map(|r| comparable(&r.into()))
        .collect();
    let (names, values) = ask(&mut both.postgres, sql).await;
    assert_eq!(names, table.columns, "{what}");
    assert_eq!(values, rows, "{what}");
}

/// Every view has the same columns, in the same order, with the same values.
#[tokio::test]
async fn views_say_the_same_in_both_stores() {
    if skipped() {
        return;
    }
    let mut both = both("views").await;
    for (view, order) in [
        ("v_rounds", "round, step"),
        ("v_items", "round, step, ordinal"),
        ("v_grades", "answer_key, grader"),
        ("v_candidates_scored", "candidate_id, kind, grader"),
        ("v_trouble", "task_id"),
        ("v_spend", "run_id"),
    ] {
        // SQLite sorts NULL first.
        let order = order.replace(',', " nulls first,");
        agree(
            &mut both,
            view,
            &format!("select * from {view} order by {order} nulls first"),
        )
        .await;
    }
    let views =
        "select count(*) from information_schema.views where table_schema = current_schema()";
    assert_eq!(common::number(&mut both.postgres, views).await, 6);
}

/// The statements of docs/sql.md, each with the heading above it.
fn cookbook() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut out = vec![];
    for section in text.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap();
        for block in section.split("```sql\n").skip(1) {
            out.push((
                heading.to_owned(),
                block.split("```").next().unwrap().to_owned(),
            ));
        }
    }
    out
}

/// The cookbook works on PostgreSQL too, save what reads times with a function of SQLite's.
#[tokio::test]
async fn the_cookbook_answers_the_same_in_both_stores() {
    if skipped() {
        return;
    }
    let mut both = both("cookbook").await;
    let (times, shared): (Vec<_>, Vec<_>) = cookbook()
        .into_iter()
        .partition(|(_, sql)| sql.contains("datetime("));
    assert_eq!(times.len(), 2, "{times:?}");
    assert!(shared.len() >= 11, "{}", shared.len());
    for (heading, sql) in shared {
        match heading.as_str() {
            "Does the ledger add up?" => {
                assert_eq!(ask(&mut both.postgres, &sql).await.1, Vec::<Value>::new());
            }
            _ => agree(&mut both, &heading, &sql).await,
        }
    }
}
