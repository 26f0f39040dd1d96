//! The outbox: claim, dispatch, rescue, revive.

use crate::{
    SqliteStore, Tx,
    apply::apply,
    codec::{At, db, int, reply, rows},
    ledger,
    runs::newest_limits,
};
use async_trait::async_trait;
use domain::{
    call::Reply,
    ids::{RunId, TaskId},
    run::Spend,
};
use sqlx::{query, query_as, query_scalar};
use std::collections::HashMap;
use store::{Applied, Claim, Claimed, Result, RetryPolicy, Tasks, budget::Budget};
use wire::Report;

/// A task whose time has come.
struct Due {
    seq: i64,
    id: String,
    epoch: i64,
    reserved: bool,
    calls: i64,
    tokens: i64,
    cost_micros: i64,
}

impl Due {
    fn worst(&self) -> Result<Spend> {
        let at = At("tasks", &self.id);
        Ok(Spend {
            calls: at.number(self.calls)?,
            tokens: at.number(self.tokens)?,
            cost_micros: at.number(self.cost_micros)?,
        })
    }
}

/// The open items of a task, and the replies that are stored for them.
#[derive(Default)]
struct Open {
    places: Vec<u32>,
    known: Vec<(u32, Reply)>,
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn claim(&self, run: RunId, limit: u32, now: i64, hold: i64) -> Result<Claim> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        let mut claim = Claim {
            next_at: next_at(&mut tx, &run, now).await?,
            ..Claim::default()
        };
        let used = ledger::spend(&mut tx, &run).await?;
        let mut budget = Budget::new(used, newest_limits(&mut tx, &run).await?);
        let mut wanted = limit as usize;
        while wanted > 0 && budget.over().is_none() {
            let due = due(&mut tx, &run, wanted, now).await?;
            if due.is_empty() {
                break;
            }
            let mut open = open_items(&mut tx, &due).await?;
            let (work, settled): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|d| open.contains_key(&d.seq));
            close_settled(&mut tx, &settled, now).await?;
            let work = affordable(&mut budget, work)?;
            mark_claimed(&mut tx, &work, now, hold).await?;
            wanted -= work.len();
            claim.tasks.extend(claimed(&mut tx, work, &mut open).await?);
        }
        claim.over_budget = budget.into_over();
        tx.commit().await.map_err(db)?;
        Ok(claim)
    }

    async fn dispatched(&self, attempts: &[(TaskId, u32)], now: i64) -> Result<()> {
        let batch = rows(attempts)?;
        let mut tx = self.write().await?;
        query!(
            "UPDATE tasks SET state = 'dispatched', dispatched_at = ?2
               FROM jsonb_each(?1) e
              WHERE tasks.id = e.value ->> 0 AND tasks.epoch = e.value ->> 1
                AND tasks.state = 'planned' AND tasks.claimed_at IS NOT NULL",
            batch,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        query!(
            "DELETE FROM outbox WHERE task_seq IN (
                SELECT t.seq FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.id = e.value ->> 0
                 WHERE t.epoch = e.value ->> 1 AND t.state = 'dispatched')",
            batch
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)
    }

    async fn apply(&self, reports: &[Report], policy: RetryPolicy, now: i64) -> Result<Applied> {
        let mut tx = self.write().await?;
        let applied = apply(&mut tx, reports, policy, now).await?;
        tx.commit().await.map_err(db)?;
        Ok(applied)
    }

    async fn rescue(&self, run: RunId, before: i64, now: i64) -> Result<u64> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        query!(
            "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
             SELECT run_id, seq, epoch, 'expire', 0, 0, 0, ?3 FROM tasks
              WHERE run_id = ?1 AND state = 'dispatched' AND dispatched_at < ?2",
            run,
            before,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        query!(
            "INSERT INTO outbox (task_seq, run_id, due)
             SELECT seq, run_id, ?3 FROM tasks
              WHERE run_id = ?1 AND state = 'dispatched' AND dispatched_at < ?2",
            run,
            before,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let rescued = query!(
            "UPDATE tasks SET state = 'planned', epoch = epoch + 1, not_before = ?3, claimed_at = NULL,
                    dispatched_at = NULL, reason = 'lost: its report never came'
              WHERE run_id = ?1 AND state = 'dispatched' AND dispatched_at < ?2",
            run,
            before,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(rescued)
    }

    async fn revive(&self, run: RunId, now: i64) -> Result<u64> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        query!(
            "INSERT INTO outbox (task_seq, run_id, due)
             SELECT seq, run_id, ?2 FROM tasks WHERE run_id = ?1 AND state = 'dead'",
            run,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let revived = query!(
            "UPDATE tasks SET state = 'planned', epoch = epoch + 1, attempts = 0, not_before = ?2,
                    claimed_at = NULL, dispatched_at = NULL, closed_at = NULL, reason = NULL
              WHERE run_id = ?1 AND state = 'dead'",
            run,
            now
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(revived)
    }

    async fn spend(&self, run: RunId) -> Result<Spend> {
        let mut conn = self.reader.acquire().await.map_err(db)?;
        ledger::spend(&mut conn, &run.to_string()).await
    }
}

/// Keeps the tasks that fit.
fn affordable(budget: &mut Budget, due: Vec<Due>) -> Result<Vec<Due>> {
    let mut kept = Vec::with_capacity(due.len());
    for task in due {
        let worst = (!task.reserved).then(|| task.worst()).transpose()?;
        if budget.take(worst) {
            kept.push(task);
        }
    }
    Ok(kept)
}

async fn next_at(tx: &mut Tx, run: &str, now: i64) -> Result<Option<i64>> {
    query_scalar!(
        r#"SELECT min(due) AS "due: i64" FROM outbox WHERE run_id = ?1 AND due > ?2"#,
        run,
        now
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(db)
}

async fn due(tx: &mut Tx, run: &str, limit: usize, now: i64) -> Result<Vec<Due>> {
    let limit = int(limit as u64);
    query_as!(
        Due,
        r#"SELECT t.seq, t.id, t.epoch, t.claimed_at IS NOT NULL AS "reserved!: bool",
                  t.worst_calls AS calls, t.worst_tokens AS tokens, t.worst_cost_micros AS cost_micros
             FROM outbox o INDEXED BY outbox_due CROSS JOIN tasks t ON t.seq = o.task_seq
            WHERE o.run_id = ?1 AND o.due <= ?2
            ORDER BY o.due, o.task_seq LIMIT ?3"#,
        run,
        now,
        limit
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)
}

/// Closes items whose answers (and grades) are stored meanwhile, and returns the open ones by task.
async fn open_items(tx: &mut Tx, due: &[Due]) -> Result<HashMap<i64, Open>> {
    let seqs = rows(&due.iter().map(|d| d.seq).collect::<Vec<_>>())?;
    query!(
        "UPDATE items INDEXED BY items_task SET state = 'done'
          WHERE task_seq IN (SELECT value FROM json_each(?1)) AND state = 'open'
            AND EXISTS (
                SELECT 1 FROM answers a
                 WHERE a.key = items.key AND (items.grader IS NULL OR EXISTS (
                       SELECT 1 FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(items.example_id, '')
                          AND g.grader = items.grader AND g.grader_version = items.grader_version)))",
        seqs
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    let found = query!(
        r#"SELECT i.task_seq AS "task_seq!: i64", json_group_array(i.place) AS "places!: String",
                  json_group_array(json_array(i.place, a.reply_text, a.reply_json))
                      FILTER (WHERE a.key IS NOT NULL) AS "known!: String"
             FROM json_each(?1) k
             CROSS JOIN items i INDEXED BY items_task ON i.task_seq = k.value
             LEFT JOIN answers a ON a.key = i.key
            WHERE i.state = 'open'
            GROUP BY i.task_seq"#,
        seqs
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    let mut out = HashMap::with_capacity(found.len());
    for row in found {
        let name = row.task_seq.to_string();
        let at = At("items", &name);
        let mut places: Vec<u32> = at.json(&row.places)?;
        places.sort_unstable();
        let mut open = Open {
            places,
            known: vec![],
        };
        type Known = Vec<(u32, Option<String>, Option<String>)>;
        for (place, text, json) in at.json::<Known>(&row.known)? {
            if let Some(reply) = reply(at, text, json.as_deref())? {
                open.known.push((place, reply));
            }
        }
        open.known.sort_by_key(|k| k.0);
        out.insert(row.task_seq, open);
    }
    Ok(out)
}

/// Nothing is left to ask: done, without a call. If an earlier claim reserved, that stays charged until a
/// report settles it: the attempt may have been published.
async fn close_settled(tx: &mut Tx, tasks: &[Due], now: i64) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let batch = rows(&tasks.iter().map(|d| (d.seq, "")).collect::<Vec<_>>())?;
    close_done(tx, &batch, now).await
}

/// Marks tasks (a JSON list of task and worker) done and drops what only open tasks need.
pub async fn close_done(tx: &mut Tx, batch: &str, now: i64) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'done', closed_at = ?2, worker = e.value ->> 1, reason = NULL
           FROM jsonb_each(?1) e
          WHERE tasks.seq = e.value ->> 0 AND tasks.state IN ('planned', 'dispatched')",
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
    query!(
        "DELETE FROM task_bodies WHERE task_seq IN (SELECT value ->> 0 FROM jsonb_each(?1))",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

async fn mark_claimed(tx: &mut Tx, tasks: &[Due], now: i64, hold: i64) -> Result<()> {
    let fresh: Vec<_> = tasks
        .iter()
        .filter(|d| !d.reserved)
        .map(|d| d.seq)
        .collect();
    ledger::reserve(tx, &rows(&fresh)?, now).await?;
    let seqs = rows(&tasks.iter().map(|d| d.seq).collect::<Vec<_>>())?;
    // At least one microsecond: what this claim took must not be due within it.
    let due = now.saturating_add(hold.max(1));
    query!(
        "UPDATE tasks SET claimed_at = ?2
          WHERE seq IN (SELECT value FROM json_each(?1)) AND state = 'planned'",
        seqs,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "UPDATE outbox SET due = ?2 WHERE task_seq IN (SELECT value FROM json_each(?1))",
        seqs,
        due
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Joins the claimed tasks with their bodies and open items.
async fn claimed(
    tx: &mut Tx,
    tasks: Vec<Due>,
    open: &mut HashMap<i64, Open>,
) -> Result<Vec<Claimed>> {
    let seqs = rows(&tasks.iter().map(|d| d.seq).collect::<Vec<_>>())?;
    let bodies = query!(
        r#"SELECT b.body FROM json_each(?1) k CROSS JOIN task_bodies b ON b.task_seq = k.value
            ORDER BY k.key"#,
        seqs
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    if bodies.len() != tasks.len() {
        return Err(At("task_bodies", &seqs).corrupt("an open task has no body"));
    }
    tasks
        .into_iter()
        .zip(bodies)
        .map(|(task, row)| {
            let at = At("tasks", &task.id);
            let items = open.remove(&task.seq).unwrap_or_default();
            Ok(Claimed {
                task: at.id(&task.id)?,
                epoch: at.number(task.epoch)?,
                body: row.body,
                open: items.places,
                known: items.known,
            })
        })
        .collect()
}
