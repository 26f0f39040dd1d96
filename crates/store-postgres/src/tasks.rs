//! Dispatch, rescue, revive; claims are in [`crate::claim`], reports in [`crate::apply`].

use crate::{
    PostgresStore, Tx,
    apply::apply,
    codec::columns,
    commit,
    fault::{Fault, again, db},
    ledger,
    time::Micros,
};
use async_trait::async_trait;
use domain::{
    ids::{RunId, TaskId},
    run::Spend,
};
use sqlx::{query, query_scalar};
use store::{Applied, Claim, Result, RetryPolicy, Tasks};
use wire::Report;

#[async_trait]
impl Tasks for PostgresStore {
    async fn claim(&self, run: RunId, limit: u32, now: i64, hold: i64) -> Result<Claim> {
        again(|| self.claim_once(run, limit, now, hold)).await
    }

    async fn dispatched(&self, attempts: &[(TaskId, u32)], now: i64) -> Result<()> {
        again(|| self.dispatched_once(attempts, now)).await
    }

    async fn apply(&self, reports: &[Report], policy: RetryPolicy, now: i64) -> Result<Applied> {
        again(|| self.apply_once(reports, policy, now)).await
    }

    async fn rescue(&self, run: RunId, before: i64, now: i64) -> Result<u64> {
        again(|| self.rescue_once(run, before, now)).await
    }

    async fn revive(&self, run: RunId, now: i64) -> Result<u64> {
        again(|| self.revive_once(run, now)).await
    }

    async fn spend(&self, run: RunId) -> Result<Spend> {
        let mut conn = db(self.pool.acquire()).await?;
        Ok(ledger::spend(&mut conn, run).await?)
    }
}

impl PostgresStore {
    async fn dispatched_once(&self, attempts: &[(TaskId, u32)], now: i64) -> Result<(), Fault> {
        let mut tx = self.mark_by_key().await?;
        columns!(attempts =>
            ids: |(task, _)| task.0,
            epochs: |(_, epoch)| i64::from(*epoch),
        );
        let numbered = query!(
            r#"SELECT t.seq, e.epoch AS "epoch!" FROM unnest($1::uuid[], $2::bigint[]) e (id, epoch) JOIN tasks t ON t.id = e.id"#,
            &ids,
            &epochs
        );
        // In the order of their numbers, as whoever deletes outbox rows.
        let mut numbered = db(numbered.fetch_all(&mut *tx)).await?;
        numbered.sort_unstable_by_key(|row| row.seq);
        columns!(numbered => seqs: |row| row.seq, claimed: |row| row.epoch);
        // No lock on the task: whatever ends an attempt changes its outbox row too, which has an epoch while it is claimed.
        let mark = query!(
            "UPDATE outbox o SET sent_at = $3 FROM unnest($1::bigint[], $2::bigint[]) e (seq, epoch)
              WHERE o.task_seq = e.seq AND o.epoch = e.epoch AND o.sent_at IS NULL",
            &seqs,
            &claimed,
            Micros(now)
        );
        db(mark.execute(&mut *tx)).await?;
        commit(tx).await
    }

    async fn apply_once(
        &self,
        reports: &[Report],
        policy: RetryPolicy,
        now: i64,
    ) -> Result<Applied, Fault> {
        let mut tx = self.write_by_key().await?;
        let applied = apply(&mut tx, reports, policy, now).await?;
        commit(tx).await?;
        Ok(applied)
    }

    async fn rescue_once(&self, run: RunId, before: i64, now: i64) -> Result<u64, Fault> {
        let mut tx = self.write().await?;
        let lost = query_scalar!(
            "SELECT t.seq FROM outbox o JOIN tasks t ON t.seq = o.task_seq
              WHERE o.run_id = $1 AND o.claimed_at IS NOT NULL AND o.sent_at < $2 AND t.state = 'planned'
              ORDER BY t.seq FOR NO KEY UPDATE OF t, o",
            run.0,
            Micros(before)
        );
        let lost = db(lost.fetch_all(&mut *tx)).await?;
        ledger::expire(&mut tx, &lost, now).await?;
        let plan = query!(
            "UPDATE tasks SET epoch = epoch + 1, not_before = $2, reason = 'lost: its report never came'
              WHERE seq = ANY($1)",
            &lost,
            Micros(now)
        );
        let rescued = db(plan.execute(&mut *tx)).await?.rows_affected();
        publish(&mut tx, &lost).await?;
        commit(tx).await?;
        Ok(rescued)
    }

    async fn revive_once(&self, run: RunId, now: i64) -> Result<u64, Fault> {
        let mut tx = self.write().await?;
        let dead = query!(
            "SELECT t.seq, t.round_id FROM rounds p JOIN tasks t ON t.round_id = p.id
              WHERE p.run_id = $1 AND p.tasks_dead > 0 AND t.state = 'dead'
              ORDER BY t.seq FOR NO KEY UPDATE OF t",
            run.0
        );
        let dead = db(dead.fetch_all(&mut *tx)).await?;
        let rounds: Vec<i64> = dead.iter().map(|d| d.round_id).collect();
        let dead: Vec<i64> = dead.iter().map(|d| d.seq).collect();
        lock_rounds(&mut tx, &rounds).await?;
        let plan = query!(
            "UPDATE tasks SET state = 'planned', epoch = epoch + 1, attempts = 0, not_before = $2,
                    dispatched_at = NULL, closed_at = NULL, reason = NULL
              WHERE seq = ANY($1)",
            &dead,
            Micros(now)
        );
        let revived = db(plan.execute(&mut *tx)).await?.rows_affected();
        publish(&mut tx, &dead).await?;
        commit(tx).await?;
        Ok(revived)
    }
}

/// Takes the locks of rounds, in order, before their counters change.
pub async fn lock_rounds(tx: &mut Tx, rounds: &[i64]) -> Result<(), Fault> {
    let lock = query_scalar!(
        "SELECT id FROM rounds WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
        rounds
    );
    db(lock.fetch_all(&mut **tx)).await?;
    Ok(())
}

/// Outbox rows for tasks that are planned again, due when they may run.
pub async fn publish(tx: &mut Tx, seqs: &[i64]) -> Result<(), Fault> {
    let outbox = query!(
        "INSERT INTO outbox (task_seq, run_id, due)
         SELECT seq, run_id, not_before FROM tasks WHERE seq = ANY($1)
         ON CONFLICT (task_seq) DO UPDATE SET due = excluded.due, claimed_at = NULL, epoch = NULL, sent_at = NULL",
        seqs
    );
    db(outbox.execute(&mut **tx)).await?;
    Ok(())
}

/// No outbox rows for tasks that are closed.
pub async fn forget(tx: &mut Tx, seqs: &[i64]) -> Result<(), Fault> {
    let outbox = query!("DELETE FROM outbox WHERE task_seq = ANY($1)", seqs);
    db(outbox.execute(&mut **tx)).await?;
    Ok(())
}

/// Marks tasks done and drops what only open tasks need.
pub async fn close_done(
    tx: &mut Tx,
    seqs: &[i64],
    workers: &[String],
    now: i64,
) -> Result<(), Fault> {
    crate::codec::equally_long(&[seqs.len(), workers.len()])?;
    let done = query!(
        "WITH published AS (
             DELETE FROM outbox WHERE task_seq = ANY($1)
         ), worked_on AS (
             DELETE FROM task_bodies WHERE task_seq = ANY($1)
         )
         UPDATE tasks t SET state = 'done', closed_at = $3, worker = e.worker, reason = NULL,
                dispatched_at = (SELECT o.sent_at FROM outbox o WHERE o.task_seq = t.seq)
           FROM unnest($1::bigint[], $2::text[]) e (seq, worker)
          WHERE t.seq = e.seq AND t.state = 'planned'",
        seqs,
        workers,
        Micros(now)
    );
    db(done.execute(&mut **tx)).await?;
    Ok(())
}
