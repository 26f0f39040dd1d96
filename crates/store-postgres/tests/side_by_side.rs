//! Several coordinators on one database: nothing is lost, nothing is exceeded, nobody waits in a circle.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{connect, number, open, schema, skipped};
use domain::ids::RunId;
use futures::future::join_all;
use store::{Store, Tasks, conformance};

/// The rows themselves say the same as the counters.
async fn counters_equal_a_recount(name: &str) {
    let mut conn = connect(&schema(name).await).await;
    for wrong in [
        "select count(*) from rounds p
          where p.items <> (select count(*) from items i where i.round_id = p.id)
             or p.items_done <> (select count(*) from items i where i.round_id = p.id and i.state = 'done')
             or p.tasks_open <> (select count(*) from tasks k where k.round_id = p.id
                                               and k.state in ('planned', 'dispatched'))
             or p.tasks_dead <> (select count(*) from tasks k where k.round_id = p.id and k.state = 'dead')",
        "select count(*) from run_spend s
          where (s.calls, s.tokens, s.cost_micros) <>
                (select coalesce(sum(calls), 0), coalesce(sum(tokens), 0), coalesce(sum(cost_micros), 0)
                   from ledger l where l.run_id = s.run_id)",
        "select count(*) from outbox o join tasks t on t.seq = o.task_seq where t.state <> 'planned'",
        "select count(*) from task_bodies b join tasks t on t.seq = b.task_seq where t.state = 'done'",
    ] {
        assert_eq!(number(&mut conn, wrong).await, 0, "{wrong}");
    }
}

/// Coordinators on other machines: each has its own connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_with_pools_of_their_own_share_a_database() {
    if skipped() {
        return;
    }
    for name in ["pools_1", "pools_2", "pools_3"] {
        let stores = join_all((0..4).map(|_| open(name))).await;
        let stores: Vec<&dyn Store> = stores.iter().map(|s| s as &dyn Store).collect();
        conformance::coordinators_share(&stores).await;
        conformance::coordinators_share_a_quota(&stores).await;
        counters_equal_a_recount(name).await;
    }
}

/// Neither of two transactions that overlap sees what the other writes; what follows must make up for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_may_be_planned_while_it_is_answered() {
    if skipped() {
        return;
    }
    let store = open("overlap").await;
    let mut conn = connect(&schema("overlap").await).await;
    // The planner is held after it looked for answers and before it commits.
    for sql in [
        "create function wait() returns trigger language plpgsql as $$
         begin perform pg_advisory_xact_lock_shared(20, 26); return new; end $$",
        "create trigger wait before update on rounds for each row
         when (old.items = 0 and new.items = 2) execute function wait()",
        "select pg_advisory_lock(20, 26)",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    let waits = "select count(*) from pg_locks
                  where locktype = 'advisory' and (classid, objid) = (20, 26) and not granted";
    conformance::an_item_is_planned_while_it_is_answered(&store, async |planner, report| {
        let release = async {
            while number(&mut conn, waits).await == 0 {}
            report.await;
            let release = sqlx::query("select pg_advisory_unlock(20, 26)");
            release.execute(&mut conn).await.unwrap();
        };
        futures::join!(planner, release);
    })
    .await;
    counters_equal_a_recount("overlap").await;
}

/// A transaction that conflicts with another one is tried again, and then counts once.
#[tokio::test]
async fn a_conflict_is_tried_again() {
    if skipped() {
        return;
    }
    let store = open("conflict").await;
    let mut conn = connect(&schema("conflict").await).await;
    // Numbers of a sequence are not given back with their transaction.
    for sql in [
        "create sequence conflicts",
        "create function conflict() returns trigger language plpgsql as $$
         begin
             if nextval('conflicts') % 3 <> 0 then
                 raise exception 'a conflict' using errcode = 'deadlock_detected';
             end if;
             return null;
         end $$",
        "create trigger conflict after insert on ledger for each statement execute function conflict()",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    let run = RunId::new();
    conformance::demo(&store, run).await;
    counters_equal_a_recount("conflict").await;
    assert_eq!(store.spend(run).await.unwrap().calls, 10);
    let conflicts = number(&mut conn, "select last_value from conflicts").await;
    assert!(conflicts >= 9, "{conflicts}");
    // One that never ends is given up, and leaves nothing behind.
    sqlx::query(
        "create or replace function conflict() returns trigger language plpgsql as $$
         begin raise exception 'a conflict' using errcode = 'deadlock_detected'; end $$",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let error = store.rescue(run, i64::MAX, 0).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("a conflict (tried 6 times"), "{error}");
}

/// Locks are taken in one order. (The server counts deadlocks for the database; a session tells it what it met at the
/// latest when it ends.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_a_circle() {
    if skipped() {
        return;
    }
    let mut conn = connect(&schema("circle").await).await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let before = number(&mut conn, deadlocks).await;
    let stores = join_all((0..4).map(|_| open("circle"))).await;
    let handles: Vec<&dyn Store> = stores.iter().map(|s| s as &dyn Store).collect();
    conformance::coordinators_share(&handles).await;
    conformance::coordinators_share_a_quota(&handles).await;
    for store in &stores {
        store.close().await;
    }
    assert_eq!(number(&mut conn, deadlocks).await, before);
}
