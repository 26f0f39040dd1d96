//! Several processes on one store.

use crate::{
    PostgresStore, Tx,
    codec::{At, columns},
    commit,
    fault::{Fault, again, db},
    ledger,
    tasks::{forget, lock_rounds, publish},
    time::Micros,
};
use async_trait::async_trait;
use domain::{
    ids::{RunId, TaskId},
    run::RunKind,
};
use sqlx::{query, query_scalar};
use store::{Beat, LeaseAsk, Loss, Lost, RescuePolicy, Result, Running, Shared};

#[async_trait]
impl Shared for PostgresStore {
    async fn running(&self) -> Result<Vec<Running>> {
        let rows = query!(
            r#"SELECT r.id, r.kind, r.priority, (SELECT count(*) FROM outbox o
                        WHERE o.run_id = r.id AND o.claimed_at IS NOT NULL AND o.sent_at IS NOT NULL) AS "in_flight!"
                 FROM runs r WHERE r.status = 'running' ORDER BY r.created_at, r.id"#
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|row| {
                let name = row.id.to_string();
                let at = At("runs", &name);
                Ok(Running {
                    id: RunId(row.id),
                    kind: at.word(&row.kind, RunKind::from_word)?,
                    priority: row.priority,
                    in_flight: at.number(row.in_flight)?,
                })
            })
            .collect()
    }

    async fn set_priority(&self, run: RunId, priority: i32) -> Result<bool> {
        let set = query!(
            "UPDATE runs SET priority = $2 WHERE id = $1",
            run.0,
            priority
        );
        Ok(db(set.execute(&self.pool)).await?.rows_affected() == 1)
    }

    async fn beat(&self, beats: &[Beat], now: i64) -> Result<u64> {
        again(|| self.beat_once(beats, now)).await
    }

    async fn rescue_lost(&self, policy: &RescuePolicy, now: i64) -> Result<Vec<Lost>> {
        again(|| self.rescue_lost_once(policy, now)).await
    }

    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<i64>> {
        let term = query_scalar!(
            "INSERT INTO leases AS l (name, holder, term, until) VALUES ($1, $2, 1, $4)
             ON CONFLICT (name) DO UPDATE
                SET term = l.term + CASE WHEN l.holder <> excluded.holder OR l.until <= $3 THEN 1 ELSE 0 END,
                    holder = excluded.holder, until = excluded.until
              WHERE l.holder = excluded.holder OR l.until <= $3
             RETURNING term",
            ask.name,
            ask.holder,
            Micros(ask.now) as Micros,
            Micros(ask.now.saturating_add(ask.ttl)) as Micros
        );
        Ok(db(term.fetch_optional(&self.pool)).await?)
    }

    async fn release(&self, name: &str, holder: &str) -> Result<()> {
        // The row stays: it keeps the term.
        let release = query!(
            "UPDATE leases SET until = '-infinity' WHERE name = $1 AND holder = $2",
            name,
            holder
        );
        db(release.execute(&self.pool)).await?;
        Ok(())
    }
}

impl PostgresStore {
    async fn beat_once(&self, beats: &[Beat], now: i64) -> Result<u64, Fault> {
        let mut tx = self.write_by_key().await?;
        columns!(beats =>
            ids: |b| b.task.0,
            epochs: |b| i64::from(b.epoch),
            workers: |b| b.worker.clone(),
        );
        let lock = query_scalar!(
            "SELECT t.seq FROM unnest($1::uuid[], $2::bigint[]) e (id, epoch)
               JOIN tasks t ON t.id = e.id AND t.epoch = e.epoch
              WHERE t.state = 'planned'
              ORDER BY t.seq FOR NO KEY UPDATE OF t",
            &ids,
            &epochs
        );
        db(lock.fetch_all(&mut *tx)).await?;
        let note = query!(
            "UPDATE tasks t
                SET started_at = CASE WHEN t.beat_epoch = t.epoch AND t.worker = e.worker
                                      THEN t.started_at ELSE $4::timestamptz END,
                    beat_epoch = t.epoch, beat_at = $4, worker = e.worker
               FROM unnest($1::uuid[], $2::bigint[], $3::text[]) e (id, epoch, worker)
              WHERE t.id = e.id AND t.epoch = e.epoch AND t.state = 'planned'",
            &ids,
            &epochs,
            &workers,
            Micros(now) as Micros
        );
        let noted = db(note.execute(&mut *tx)).await?.rows_affected();
        commit(tx).await?;
        Ok(noted)
    }

    async fn rescue_lost_once(&self, policy: &RescuePolicy, now: i64) -> Result<Vec<Lost>, Fault> {
        let mut tx = self.write().await?;
        let found = find_lost(&mut tx, policy, now).await?;
        if !found.is_empty() {
            give_back(&mut tx, &found, now).await?;
        }
        commit(tx).await?;
        Ok(found.into_iter().map(|f| f.lost).collect())
    }
}

/// A lost task with its row's number and its round.
struct Found {
    seq: i64,
    round: i64,
    lost: Lost,
}

/// Dispatched tasks that nobody works on any more. One that a collector holds is not lost.
async fn find_lost(tx: &mut Tx, policy: &RescuePolicy, now: i64) -> Result<Vec<Found>, Fault> {
    let training = &policy.training;
    let [silent, unstarted, deadline] =
        [policy.silent, policy.unstarted, policy.deadline].map(|ago| now.saturating_sub(ago));
    let [training_unstarted, training_deadline] =
        [training.unstarted, training.deadline].map(|ago| now.saturating_sub(ago));
    let running = query_scalar!("SELECT id FROM runs WHERE status = 'running'");
    let running = db(running.fetch_all(&mut **tx)).await?;
    // Sorted here: with an ORDER BY the server may walk all tasks in order instead.
    let seqs = query_scalar!(
        "SELECT t.seq FROM outbox o JOIN tasks t ON t.seq = o.task_seq JOIN rounds p ON p.id = t.round_id
          WHERE o.run_id = ANY($4) AND o.claimed_at IS NOT NULL AND o.sent_at IS NOT NULL
            AND CASE WHEN t.beat_epoch = t.epoch
                     THEN t.beat_at < $1 OR t.started_at < CASE WHEN p.step = 'train' THEN $6::timestamptz ELSE $3 END
                     ELSE o.sent_at < CASE WHEN p.step = 'train' THEN $5::timestamptz ELSE $2 END END",
        Micros(silent) as Micros,
        Micros(unstarted) as Micros,
        Micros(deadline) as Micros,
        &running,
        Micros(training_unstarted) as Micros,
        Micros(training_deadline) as Micros
    );
    let mut seqs = db(seqs.fetch_all(&mut **tx)).await?;
    seqs.sort_unstable();
    seqs.truncate(policy.limit as usize);
    let rows = query!(
        r#"SELECT t.seq, t.id, t.run_id, t.round_id, t.epoch, t.attempts,
                  CASE WHEN t.beat_epoch IS DISTINCT FROM t.epoch THEN 'unstarted'
                       WHEN t.beat_at < $2 THEN 'silent' ELSE 'overdue' END AS "why!"
             FROM tasks t JOIN outbox o ON o.task_seq = t.seq
            WHERE t.seq = ANY($1) AND t.state = 'planned' AND o.sent_at IS NOT NULL
            ORDER BY t.seq FOR NO KEY UPDATE OF t, o SKIP LOCKED"#,
        &seqs,
        Micros(silent) as Micros
    );
    let rows = db(rows.fetch_all(&mut **tx)).await?;
    rows.into_iter()
        .map(|row| {
            let name = row.id.to_string();
            let at = At("tasks", &name);
            let loss = at.word(&row.why, Loss::from_word)?;
            let attempts: u32 = at.number(row.attempts)?;
            let lost = Lost {
                run: RunId(row.run_id),
                task: TaskId(row.id),
                epoch: at.number(row.epoch)?,
                loss,
                dead: loss.counts() && attempts + 1 >= policy.max_attempts,
            };
            Ok(Found {
                seq: row.seq,
                round: row.round_id,
                lost,
            })
        })
        .collect()
}

async fn give_back(tx: &mut Tx, found: &[Found], now: i64) -> Result<(), Fault> {
    let (dying, going): (Vec<_>, Vec<_>) = found.iter().partition(|f| f.lost.dead);
    let rounds: Vec<i64> = dying.iter().map(|f| f.round).collect();
    lock_rounds(tx, &rounds).await?;
    columns!(found =>
        seqs: |f| f.seq,
        counts: |f| i64::from(f.lost.loss.counts()),
        deaths: |f| f.lost.dead,
        reasons: |f| f.lost.loss.reason().to_owned(),
    );
    ledger::expire(tx, &seqs, now).await?;
    let plan = query!(
        "UPDATE tasks t
            SET state = CASE WHEN e.dead THEN 'dead' ELSE 'planned' END,
                epoch = t.epoch + CASE WHEN e.dead THEN 0 ELSE 1 END, attempts = t.attempts + e.counts,
                not_before = $5, closed_at = CASE WHEN e.dead THEN $5::timestamptz END, reason = e.reason
           FROM unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::text[]) e (seq, counts, dead, reason)
          WHERE t.seq = e.seq",
        &seqs,
        &counts,
        &deaths,
        &reasons,
        Micros(now) as Micros
    );
    db(plan.execute(&mut **tx)).await?;
    let [dying, going] = [dying, going].map(|of| of.iter().map(|f| f.seq).collect::<Vec<_>>());
    forget(tx, &dying).await?;
    publish(tx, &going).await
}
