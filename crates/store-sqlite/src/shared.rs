//! Several processes on one store.

use crate::{
    SqliteStore, Tx,
    codec::{At, db, rows},
    ledger,
};
use async_trait::async_trait;
use domain::{ids::RunId, run::RunKind};
use serde::Serialize;
use sqlx::{query, query_scalar};
use store::{Beat, LeaseAsk, Loss, Lost, RescuePolicy, Result, Running, Shared};

#[async_trait]
impl Shared for SqliteStore {
    async fn running(&self) -> Result<Vec<Running>> {
        let rows = query!(
            r#"SELECT r.id, r.kind, r.priority, (SELECT count(*) FROM tasks t
                        WHERE t.run_id = r.id AND t.state = 'dispatched') AS "in_flight!: i64"
                 FROM runs r WHERE r.status = 'running' ORDER BY r.created_at, r.id"#
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?;
        rows.into_iter()
            .map(|row| {
                let at = At("runs", &row.id);
                Ok(Running {
                    id: at.id(&row.id)?,
                    kind: at.word(&row.kind, RunKind::from_word)?,
                    priority: at.number(row.priority)?,
                    in_flight: at.number(row.in_flight)?,
                })
            })
            .collect()
    }

    async fn set_priority(&self, run: RunId, priority: i32) -> Result<bool> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        let changed = query!("UPDATE runs SET priority = ?2 WHERE id = ?1", run, priority)
            .execute(&mut *tx)
            .await
            .map_err(db)?
            .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(changed == 1)
    }

    async fn beat(&self, beats: &[Beat], now: i64) -> Result<u64> {
        let batch: Vec<_> = beats.iter().map(|b| (b.task, b.epoch, &b.worker)).collect();
        let batch = rows(&batch)?;
        let mut tx = self.write().await?;
        let noted = query!(
            "UPDATE tasks
                SET started_at = CASE WHEN beat_epoch = epoch AND worker = e.value ->> 2
                                      THEN started_at ELSE ?2 END,
                    beat_epoch = epoch, beat_at = ?2, worker = e.value ->> 2
               FROM jsonb_each(?1) e
              WHERE tasks.id = e.value ->> 0 AND tasks.epoch = e.value ->> 1
                AND tasks.state IN ('planned', 'dispatched')",
            batch,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(noted)
    }

    async fn rescue_lost(&self, policy: &RescuePolicy, now: i64) -> Result<Vec<Lost>> {
        let mut tx = self.write().await?;
        let found = find_lost(&mut tx, policy, now).await?;
        let lost: Vec<_> = found
            .iter()
            .map(|(seq, lost)| Return::of(*seq, lost))
            .collect();
        give_back(&mut tx, &lost, now).await?;
        tx.commit().await.map_err(db)?;
        Ok(found.into_iter().map(|(_, lost)| lost).collect())
    }

    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<i64>> {
        let until = ask.now.saturating_add(ask.ttl);
        let mut tx = self.write().await?;
        query!(
            "INSERT INTO leases (name, holder, term, until) VALUES (?1, ?2, 1, ?4)
             ON CONFLICT (name) DO UPDATE
                SET term = term + (holder <> excluded.holder OR until <= ?3),
                    holder = excluded.holder, until = excluded.until
              WHERE holder = excluded.holder OR until <= ?3",
            ask.name,
            ask.holder,
            ask.now,
            until
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let term = query_scalar!(
            "SELECT term FROM leases WHERE name = ?1 AND holder = ?2",
            ask.name,
            ask.holder
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(term)
    }

    async fn release(&self, name: &str, holder: &str) -> Result<()> {
        let mut tx = self.write().await?;
        // The row stays: it keeps the term.
        query!(
            "UPDATE leases SET until = 0 WHERE name = ?1 AND holder = ?2",
            name,
            holder
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)
    }
}

/// Dispatched tasks that nobody works on any more, each with its row's number.
async fn find_lost(tx: &mut Tx, policy: &RescuePolicy, now: i64) -> Result<Vec<(i64, Lost)>> {
    let training = &policy.training;
    let [silent, unstarted, deadline] =
        [policy.silent, policy.unstarted, policy.deadline].map(|ago| now.saturating_sub(ago));
    let [training_unstarted, training_deadline] =
        [training.unstarted, training.deadline].map(|ago| now.saturating_sub(ago));
    let found = query!(
        r#"SELECT t.seq AS "seq!: i64", t.id, t.run_id, t.epoch, t.attempts,
                  CASE WHEN t.beat_epoch IS NOT t.epoch THEN 'unstarted'
                       WHEN t.beat_at < ?1 THEN 'silent' ELSE 'overdue' END AS "why!: String"
             FROM runs r
             CROSS JOIN tasks t INDEXED BY tasks_dispatched ON t.run_id = r.id AND t.state = 'dispatched'
             CROSS JOIN rounds p ON p.id = t.round_id
            WHERE r.status = 'running'
              AND CASE WHEN t.beat_epoch IS t.epoch
                       THEN t.beat_at < ?1 OR t.started_at < CASE WHEN p.step = 'train' THEN ?6 ELSE ?3 END
                       ELSE t.dispatched_at < CASE WHEN p.step = 'train' THEN ?5 ELSE ?2 END END
            ORDER BY t.seq LIMIT ?4"#,
        silent,
        unstarted,
        deadline,
        policy.limit,
        training_unstarted,
        training_deadline
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    found
        .into_iter()
        .map(|row| {
            let at = At("tasks", &row.id);
            let loss = at.word(&row.why, Loss::from_word)?;
            let attempts: u32 = at.number(row.attempts)?;
            let lost = Lost {
                run: at.id(&row.run_id)?,
                task: at.id(&row.id)?,
                epoch: at.number(row.epoch)?,
                loss,
                dead: loss.counts() && attempts + 1 >= policy.max_attempts,
            };
            Ok((row.seq, lost))
        })
        .collect()
}

/// A task that is given back, or given up: its row's number, whether that counts as an attempt, whether it was the last
/// one, and the sentence that the row keeps.
#[derive(Serialize)]
pub struct Return(i64, bool, bool, &'static str);

impl Return {
    fn of(seq: i64, lost: &Lost) -> Self {
        Self(seq, lost.loss.counts(), lost.dead, lost.loss.reason())
    }

    /// Whoever had it is gone, and its report with them.
    pub fn unreported(seq: i64) -> Self {
        Self(seq, false, false, "lost: its report never came")
    }
}

/// Gives dispatched tasks back: what they had reserved stays charged, and what is not dead goes out under its next epoch.
pub async fn give_back(tx: &mut Tx, lost: &[Return], now: i64) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let seqs = rows(&lost.iter().map(|l| l.0).collect::<Vec<_>>())?;
    let batch = rows(lost)?;
    ledger::expire(tx, &seqs, now).await?;
    query!(
        "INSERT INTO outbox (task_seq, run_id, due)
         SELECT t.seq, t.run_id, ?2 FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.seq = e.value ->> 0
          WHERE NOT e.value ->> 2",
        batch,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "UPDATE tasks
            SET state = CASE WHEN e.value ->> 2 THEN 'dead' ELSE 'planned' END,
                epoch = epoch + NOT (e.value ->> 2), attempts = attempts + (e.value ->> 1), not_before = ?2,
                claimed_at = NULL, dispatched_at = NULL,
                closed_at = CASE WHEN e.value ->> 2 THEN ?2 END, reason = e.value ->> 3
           FROM jsonb_each(?1) e WHERE tasks.seq = e.value ->> 0",
        batch,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}
