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
const LARGE: [&str; 7] = [
    "items",
    "tasks",
    "task_bodies",
    "answers",
    "grades",
    "ledger",
    "outbox",
];

/// The parts of a plan that read all of a large table.
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

/// 200 runs of one round: 25 tasks of 4 items each, and 25 items that wait.
const MANY: [&str; 9] = [
    "INSERT INTO runs (id, name, kind, status, spec, spec_hash, created_at)
     SELECT gen_random_uuid(), 'many', kind, status, spec, spec_hash, now()
       FROM runs, generate_series(1, 200)",
    "INSERT INTO rounds (run_id, round, step, kind, created_at)
     SELECT id, 0, 'answer', 'baseline', now() FROM runs WHERE name = 'many'",
    "INSERT INTO tasks (seq, id, run_id, round_id, model, state, worst_calls, worst_tokens, worst_cost_micros,
                        not_before, dispatched_at)
     SELECT nextval('tasks_seq'), gen_random_uuid(), p.run_id, p.id, 'm', 'done', 1, 1, 1, now(), now()
       FROM rounds p JOIN runs r ON r.id = p.run_id AND r.name = 'many', generate_series(1, 25)",
    "INSERT INTO outbox (task_seq, run_id, due) SELECT seq, run_id, now() FROM tasks ON CONFLICT DO NOTHING",
    "INSERT INTO task_bodies (task_seq, body) SELECT seq, '{}' FROM tasks ON CONFLICT DO NOTHING",
    "INSERT INTO items (round_id, ordinal, task_seq, place, target_id, repeat, key, grader, grader_version)
     SELECT t.round_id, 100 + row_number() OVER (), t.seq, p, (SELECT id FROM targets), 0, gen_random_uuid(), 'g',
            'v'
       FROM tasks t, generate_series(100, 103) p",
    "INSERT INTO items (round_id, ordinal, target_id, repeat, key, grader, grader_version)
     SELECT t.round_id, 100000 + row_number() OVER (), (SELECT id FROM targets), 0, gen_random_uuid(), 'g', 'v'
       FROM tasks t",
    "WITH stored AS (
         INSERT INTO answers (key, model, reply_text, prompt_tokens, completion_tokens, cost_micros, worker, created_at)
         SELECT key, 'm', 'B', 1, 1, 1, 'w', now() FROM items WHERE ordinal >= 100 RETURNING seq
     ) INSERT INTO grades (answer_seq, grader, grader_version, value, feedback, created_at)
       SELECT seq, 'g', 'v', 1, '', now() FROM stored",
    "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
     SELECT run_id, seq, e, kind, 1, 1, 1, now()
       FROM tasks, generate_series(100, 103) e, unnest(ARRAY['reserve', 'settle']) kind",
];

/// A statement that says so reads whole tables, and nobody waits for it.
const WHOLE: &str = "/* all of it */";

/// No statement of the hot path reads a whole table once it is large: their cost does not grow with the run.
#[tokio::test]
async fn statements_find_their_rows_by_index() {
    if skipped() {
        return;
    }
    let store = open("statements").await;
    store::conformance::demo(&store, RunId::new()).await;
    let mut conn = connect(&schema("statements").await).await;
    for sql in MANY {
        conn.execute(sql).await.unwrap();
    }
    let analyse = AssertSqlSafe(format!("ANALYZE runs, rounds, {}", LARGE.join(", ")));
    conn.execute(sqlx::raw_sql(analyse)).await.unwrap();
    // Without the values of parameters, which are none here.
    conn.execute("SET plan_cache_mode = force_generic_plan")
        .await
        .unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let (mut checked, mut wrong) = (0, vec![]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = description["query"].as_str().unwrap();
        if sql.contains(WHOLE) {
            continue;
        }
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
