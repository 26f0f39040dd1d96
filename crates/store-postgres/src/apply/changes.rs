//! Writes where tasks go after their reports.

use crate::{
    Tx,
    codec::columns,
    fault::{Fault, db},
    tasks::{close_done, forget, publish},
    time::Micros,
};
use sqlx::query;
use store::changes::{Again, Changes, Dead};

/// Writes what a batch of reports changes, items before tasks.
pub async fn write(tx: &mut Tx, changes: Changes<'_>, now: i64) -> Result<(), Fault> {
    if !changes.given_up.is_empty() {
        give_up(tx, &changes.given_up).await?;
    }
    if !changes.done.is_empty() {
        columns!(changes.done => seqs: |d| d.0, workers: |d| crate::codec::plain(d.1));
        close_done(tx, &seqs, &workers, now).await?;
    }
    if !changes.again.is_empty() {
        plan_again(tx, &changes.again).await?;
    }
    if !changes.dead.is_empty() {
        die(tx, &changes.dead, now).await?;
    }
    Ok(())
}

/// Gives items up, and the items of their steps that waited for their answers. (Those are locked: they were planned
/// together with the reported ones, and ask the same keys.)
async fn give_up(tx: &mut Tx, given_up: &[(i64, u32, String)]) -> Result<(), Fault> {
    columns!(given_up =>
        seqs: |g| g.0,
        places: |g| i64::from(g.1),
        reasons: |g| g.2.as_str(),
    );
    let update = query!(
        "WITH lost AS MATERIALIZED (
             SELECT t.round_id, t.ordinal, t.key, t.grader, t.grader_version, t.example_id, e.reason
               FROM unnest($1::bigint[], $2::bigint[], $3::text[]) e (task_seq, place, reason)
               JOIN items t ON t.task_seq = e.task_seq AND t.place = e.place
         ), all_lost AS MATERIALIZED (
             SELECT round_id, ordinal, reason FROM lost
             UNION ALL
             SELECT w.round_id, w.ordinal, t.reason
               FROM lost t
               JOIN items w ON w.key = t.key
              WHERE w.state = 'open' AND w.task_seq IS NULL AND w.round_id = t.round_id
                AND (w.grader IS NULL OR (w.grader = t.grader AND w.grader_version = t.grader_version
                                          AND w.example_id IS NOT DISTINCT FROM t.example_id))
         )
         UPDATE items i SET state = 'given_up', reason = l.reason
           FROM all_lost l
          WHERE i.round_id = l.round_id AND i.ordinal = l.ordinal AND i.state = 'open'",
        &seqs,
        &places,
        &reasons as &[&str]
    );
    db(update.execute(&mut **tx)).await?;
    Ok(())
}

/// Plans tasks again under the next epoch.
async fn plan_again(tx: &mut Tx, again: &[Again]) -> Result<(), Fault> {
    columns!(again =>
        seqs: |a| a.0,
        epochs: |a| i64::from(a.1),
        attempts: |a| i64::from(a.2),
        times: |a| Micros(a.3),
        reasons: |a| a.4.as_deref(),
    );
    let update = query!(
        "UPDATE tasks t SET epoch = t.epoch + 1, attempts = e.attempts, not_before = e.not_before, reason = e.reason
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[])
                e (seq, epoch, attempts, not_before, reason)
          WHERE t.seq = e.seq AND t.epoch = e.epoch AND t.state = 'planned'",
        &seqs,
        &epochs,
        &attempts,
        &times as &[Micros],
        &reasons as &[Option<&str>]
    );
    db(update.execute(&mut **tx)).await?;
    publish(tx, &seqs).await
}

async fn die(tx: &mut Tx, dead: &[Dead<'_>], now: i64) -> Result<(), Fault> {
    columns!(dead =>
        seqs: |d| d.0,
        epochs: |d| i64::from(d.1),
        attempts: |d| i64::from(d.2),
        workers: |d| crate::codec::plain(d.3),
        reasons: |d| d.4.as_str(),
    );
    let update = query!(
        "UPDATE tasks t SET state = 'dead', attempts = e.attempts, closed_at = $6, worker = e.worker,
                reason = e.reason, dispatched_at = (SELECT o.sent_at FROM outbox o WHERE o.task_seq = t.seq)
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[])
                e (seq, epoch, attempts, worker, reason)
          WHERE t.seq = e.seq AND t.epoch = e.epoch AND t.state = 'planned'",
        &seqs,
        &epochs,
        &attempts,
        &workers,
        &reasons as &[&str],
        Micros(now)
    );
    db(update.execute(&mut **tx)).await?;
    forget(tx, &seqs).await
}
