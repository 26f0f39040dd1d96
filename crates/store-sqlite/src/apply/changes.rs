//! Writes where tasks go after their reports.

use crate::{
    Tx,
    codec::{db, rows},
    tasks::close_done,
};
use sqlx::query;
use store::{Result, changes::Changes};

/// Writes what a batch of reports changes, items before tasks.
pub async fn write(tx: &mut Tx, changes: Changes<'_>, now: i64) -> Result<()> {
    if !changes.given_up.is_empty() {
        give_up(tx, &rows(&changes.given_up)?).await?;
    }
    if !changes.done.is_empty() {
        close_done(tx, &rows(&changes.done)?, now).await?;
    }
    if !changes.again.is_empty() {
        plan_again(tx, &rows(&changes.again)?).await?;
    }
    if !changes.dead.is_empty() {
        die(tx, &rows(&changes.dead)?, now).await?;
    }
    Ok(())
}

/// Gives items up, and the items of their steps that waited for their answers.
async fn give_up(tx: &mut Tx, batch: &str) -> Result<()> {
    query!(
        "WITH lost AS MATERIALIZED (
             SELECT t.round_id, t.ordinal, e.value ->> 2 AS reason
               FROM jsonb_each(?1) e
               CROSS JOIN items t INDEXED BY items_task
                       ON t.task_seq = e.value ->> 0 AND t.place = e.value ->> 1
             UNION ALL
             SELECT w.round_id, w.ordinal, e.value ->> 2
               FROM jsonb_each(?1) e
               CROSS JOIN items t INDEXED BY items_task
                       ON t.task_seq = e.value ->> 0 AND t.place = e.value ->> 1
               CROSS JOIN items w INDEXED BY items_waiting ON w.key = t.key
              WHERE w.state = 'open' AND w.task_seq IS NULL AND w.round_id = t.round_id
                AND (w.grader IS NULL OR (w.grader = t.grader AND w.grader_version = t.grader_version
                                          AND w.example_id IS t.example_id)))
         UPDATE items SET state = 'given_up', reason = lost.reason
           FROM lost
          WHERE items.round_id = lost.round_id AND items.ordinal = lost.ordinal AND items.state = 'open'",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Plans tasks again under the next epoch.
async fn plan_again(tx: &mut Tx, batch: &str) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'planned', epoch = epoch + 1, attempts = e.value ->> 2,
                not_before = e.value ->> 3, claimed_at = NULL, dispatched_at = NULL, reason = e.value ->> 4
           FROM jsonb_each(?1) e
          WHERE tasks.seq = e.value ->> 0 AND tasks.epoch = e.value ->> 1
            AND tasks.state IN ('planned', 'dispatched')",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "INSERT INTO outbox (task_seq, run_id, due)
         SELECT t.seq, t.run_id, t.not_before
           FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.seq = e.value ->> 0
          WHERE true
         ON CONFLICT (task_seq) DO UPDATE SET due = excluded.due",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

async fn die(tx: &mut Tx, batch: &str, now: i64) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'dead', attempts = e.value ->> 2, closed_at = ?2, worker = e.value ->> 3,
                reason = e.value ->> 4
           FROM jsonb_each(?1) e
          WHERE tasks.seq = e.value ->> 0 AND tasks.epoch = e.value ->> 1
            AND tasks.state IN ('planned', 'dispatched')",
        batch,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "DELETE FROM outbox WHERE task_seq IN (SELECT value ->> 0 FROM jsonb_each(?1))",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}
