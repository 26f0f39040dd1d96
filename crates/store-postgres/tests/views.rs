//! What people read: the same views and the same answers as in SQLite.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use async_trait::async_trait;
use common::{connect, open, schema, skipped};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use store::conformance::history::{self, Ask, Line};
use store_sqlite::SqliteStore;
use tokio::sync::Mutex;

/// The same runs in both stores.
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
    history::fill(&sqlite).await.unwrap();
    history::fill(&postgres).await.unwrap();
    Both {
        sqlite,
        postgres: connect(&schema(name).await).await,
        _folder: folder,
    }
}

/// Rows as lists of values. Whether a number is written with a fraction, and its last digit, are the store's affair.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => n.as_f64().map(|n| (n * 1e9).round() / 1e9).into(),
        Value::Number(n) => n.as_f64().into(),
        Value::Array(values) => values.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

/// Names and values by PostgreSQL.
async fn ask(conn: &mut PgConnection, sql: &str) -> (Vec<String>, Vec<Line>) {
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
        out.push(row.0.into_iter().map(|(_, value)| value).collect());
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
    let values: Vec<Value> = values.into_iter().map(|r| comparable(&r.into())).collect();
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
        ("v_rounds", "run_id, round, step"),
        ("v_items", "run_id, round, step, ordinal"),
        ("v_grades", "answer_key, example_id, grader"),
        ("v_candidates_scored", "candidate_id, kind, grader"),
        ("v_trouble", "task_id"),
        ("v_spend", "run_id"),
        ("run_summary", "run_id"),
        ("leaderboard", "kind, grader, candidate_id"),
        ("duels", "run_id, grader, candidate_id, repeat"),
        ("round_scores", "run_id, round, dataset, model, arm"),
        ("lineage", "candidate_id, ancestor_id"),
        ("operator_success", "run_id, arm, operator"),
        ("cost_by_model", "run_id, round, step, model"),
        ("task_latency", "task_id"),
        ("worker_activity", "run_id, worker"),
        ("training_loss", "run_id, training, step"),
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
    assert_eq!(common::number(&mut both.postgres, views).await, 16);
}

/// The store as psql asks it.
struct Postgres(Mutex<PgConnection>);

#[async_trait]
impl Ask for Postgres {
    async fn ask(&self, sql: &str) -> (Vec<String>, Vec<Line>) {
        ask(&mut *self.0.lock().await, sql).await
    }

    fn micros(&self, column: &str) -> String {
        format!("(extract(epoch from {column}) * 1000000)::bigint")
    }
}

/// Every question of docs/sql.md, with answers recomputed from the raw rows.
#[tokio::test]
async fn the_cookbook_is_right() {
    if skipped() {
        return;
    }
    let store = open("cookbook").await;
    history::fill(&store).await.unwrap();
    let conn = connect(&schema("cookbook").await).await;
    history::cookbook(&Postgres(Mutex::new(conn))).await;
}

/// And the same answers, to the names of the columns, as SQLite gives.
#[tokio::test]
async fn the_cookbook_answers_the_same_in_both_stores() {
    if skipped() {
        return;
    }
    let mut both = both("cookbook_twice").await;
    for (heading, sql) in history::questions(&history::document()) {
        agree(&mut both, &heading, &sql).await;
    }
}
