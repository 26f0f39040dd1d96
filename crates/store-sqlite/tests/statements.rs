//! The statements themselves: their counters, and how they find their rows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::demo;
use serde_json::Value;

/// Every counter that triggers keep equals a recount (invariant 4).
#[tokio::test]
async fn counters_equal_a_recount() {
    let demo = demo().await;
    let wrong = demo
        .store
        .query_read_only(
            "select p.* from rounds p
              where p.items <> (select count(*) from items i where i.round_id = p.id)
                 or p.items_done <> (select count(*) from items i where i.round_id = p.id and i.state = 'done')
                 or p.tasks_open <> (select count(*) from tasks k where k.round_id = p.id
                                                   and k.state in ('planned', 'dispatched'))
                 or p.tasks_dead <> (select count(*) from tasks k where k.round_id = p.id and k.state = 'dead')",
        )
        .await
        .unwrap();
    assert_eq!(wrong.rows, Vec::<Vec<Value>>::new());
    let sums = demo
        .store
        .query_read_only(
            "select s.calls, s.tokens, s.cost_micros, sum(l.calls), sum(l.tokens), sum(l.cost_micros)
               from run_spend s join ledger l on l.run_id = s.run_id group by s.run_id",
        )
        .await
        .unwrap();
    let row = &sums.rows[0];
    assert_eq!(row[..3], row[3..]);
    assert_eq!(row[0], 10);
}

/// Bodies and outbox rows go with their tasks; what is left belongs to open ones.
#[tokio::test]
async fn closed_tasks_leave_no_body_behind() {
    let demo = demo().await;
    let sql = "select k.state, count(*), count(b.body), count(o.due) from tasks k
                 left join task_bodies b on b.task_seq = k.seq
                 left join outbox o on o.task_seq = k.seq group by k.state order by k.state";
    let table = demo.store.query_read_only(sql).await.unwrap();
    let rows: Vec<Value> = table.rows.into_iter().map(Value::from).collect();
    assert_eq!(
        rows,
        [
            serde_json::json!(["done", 4, 0, 0]),
            serde_json::json!(["planned", 1, 1, 1])
        ]
    );
}

/// New parents of items and tasks: their plans list a look for children that waited for them, which is skipped unless
/// a child is waiting (none is: parents are written first).
const PARENTS: [&str; 4] = [
    "INSERT INTO rounds",
    "INSERT INTO targets",
    "INSERT INTO candidates",
    "INSERT INTO examples",
];

/// What has children goes on a connection that does not look for them.
const UNCHECKED: [&str; 7] = [
    "DELETE FROM answers",
    "DELETE FROM candidates",
    "DELETE FROM examples",
    "DELETE FROM rounds",
    "DELETE FROM runs",
    "DELETE FROM targets",
    "DELETE FROM tasks",
];

/// A statement that says so reads whole tables, and nobody waits for it.
const WHOLE: &str = "/* all of it */";

/// No statement of the hot path reads a whole table: their cost does not grow with the run.
#[tokio::test]
async fn statements_find_their_rows_by_index() {
    let demo = demo().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx");
    let mut checked = 0;
    let mut scans = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let description: Value = serde_json::from_str(&text).unwrap();
        let sql = description["query"].as_str().unwrap();
        let plan = demo
            .store
            .query_read_only(&format!("explain query plan {sql}"))
            .await;
        let plan = plan.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut excused = PARENTS.iter().chain(&UNCHECKED);
        if excused.any(|begin| sql.starts_with(begin)) || sql.contains(WHOLE) {
            continue;
        }
        for row in &plan.rows {
            let detail = row[3].as_str().unwrap_or_default();
            let scan = detail.strip_prefix("SCAN ").unwrap_or_default();
            let table = scan.split(' ').next().unwrap_or_default();
            let large = [
                "items", "i", "w", "tasks", "t", "answers", "a", "grades", "g", "ledger", "outbox",
                "o",
            ];
            if large.contains(&table) {
                scans.push(format!("{sql}\n{detail}"));
            }
        }
        checked += 1;
    }
    assert!(scans.is_empty(), "{}", scans.join("\n\n"));
    assert!(checked > 50, "{checked} statements");
}
