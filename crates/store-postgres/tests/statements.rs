//! How the statements find their rows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{connect, open, schema, skipped};
use domain::ids::RunId;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

/// Tables that grow with a run.
const LARGE: [&str; 8] = [
    "items",
    "tasks",
    "task_bodies",
    "answers",
    "grades",
    "ledger",
    "outbox",
    "candidates",
];

/// The parts of a plan that read all of a large table, though the server would do anything else.
fn scans(plan: &serde_json::Value, out: &mut Vec<String>) {
    let text = |key: &str| plan[key].as_str().unwrap_or_default();
    let whole = match text("Node Type") {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => plan["Index Cond"].is_null(),
        _ => false,
    };
    if whole && LARGE.contains(&text("Relation Name")) {
        out.push(format!(
            "{} of {}",
            text("Node Type"),
            text("Relation Name")
        ));
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        scans(part, out);
    }
}

async fn plan(conn: &mut PgConnection, sql: &str, parameters: usize) -> serde_json::Value {
    let prepare = format!("PREPARE statement AS {sql}");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(prepare)))
        .await
        .unwrap();
    let nulls = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 {
        String::new()
    } else {
        format!("({nulls})")
    };
    let explain = format!("EXPLAIN (FORMAT JSON, COSTS OFF) EXECUTE statement{arguments}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    let text: String = row.try_get_unchecked(0).unwrap();
    conn.execute(sqlx::raw_sql("DEALLOCATE statement"))
        .await
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

/// No statement of the hot path reads a whole table: their cost does not grow with the run.
#[tokio::test]
async fn statements_find_their_rows_by_index() {
    if skipped() {
        return;
    }
    let store = open("statements").await;
    store::conformance::demo(&store, RunId::new()).await;
    let mut conn = connect(&schema("statements").await).await;
    // The tables are small, so the server would rather read them whole: it is told to use indexes where there are some.
    for setting in [
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "enable_mergejoin = off",
        "enable_hashjoin = off",
    ] {
        let set = AssertSqlSafe(format!("SET {setting}"));
        conn.execute(sqlx::raw_sql(set)).await.unwrap();
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let (mut checked, mut wrong) = (0, vec![]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = description["query"].as_str().unwrap();
        let parameters = description["describe"]["parameters"]["Left"]
            .as_array()
            .unwrap();
        let plan = plan(&mut conn, sql, parameters.len()).await;
        let mut found = vec![];
        scans(&plan[0]["Plan"], &mut found);
        if !found.is_empty() {
            wrong.push(format!("{sql}\n{}", found.join(", ")));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked > 50, "{checked} statements");
}
