//! The outbox: claim, dispatch, rescue, revive.

use crate::{
    SqliteStore, Tx,
    apply::apply,
    codec::{At, db, int, reply, rows},
    ledger, quotas,
    shared::{Return, give_back},
};
use async_trait::async_trait;
use domain::{
    call::Reply,
    ids::{RunId, TaskId},
    run::Spend,
};
use sqlx::{query, query_as, query_scalar};
use std::collections::HashMap;
use store::{
    Applied, Claim, Claimed, Result, RetryPolicy, Tasks,
    budget::Budget,
    quota::{Granted, Meters, Need},
};
use wire::{Grant, Report, Terms};

/// A task whose time has come.
struct Due {
    seq: i64,
    id: String,
    model: String,
    epoch: i64,
    /// It was claimed, and not sent in time.
    lapsed: bool,
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

impl Open {
    /// How many questions are to be asked.
    fn asked(&self) -> u64 {
        (self.places.len() - self.known.len()) as u64
    }
}

/// What limits a claim.
struct Bounds {
    budget: Budget,
    meters: Meters,
}

impl Bounds {
    /// Takes a task if it fits; with what it was granted of its model's quota.
    fn take(&mut self, due: &Due, asked: u64) -> Result<Option<Option<Granted>>> {
        let worst = due.worst()?;
        let need = Need::of(worst, asked);
        let fits = self.meters.fits(&due.model, need) && self.budget.take(worst);
        Ok(fits.then(|| self.meters.take(&due.model, need)))
    }
}

/// A task that is claimed.
struct Taken {
    due: Due,
    granted: Option<Granted>,
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn claim(&self, run: RunId, limit: u32, now: i64, hold: i64) -> Result<Claim> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        let used = ledger::spend(&mut tx, &run).await?;
        let (limits, metered) = quotas::limits(&mut tx, &run).await?;
        let mut bounds = Bounds {
            budget: Budget::new(used, limits),
            meters: match metered {
                true => quotas::meters(&mut tx, &run, now).await?,
                false => Meters::default(),
            },
        };
        let mut claim = Claim::default();
        let mut wanted = limit as usize;
        while wanted > 0 && bounds.budget.over().is_none() {
            // What a model has no room for is not looked at again.
            let closed = bounds.meters.closed();
            let mut due = due(&mut tx, &run, (wanted, now), &closed).await?;
            if due.is_empty() {
                break;
            }
            lapse(&mut tx, &mut due, now).await?;
            let mut open = open_items(&mut tx, &due).await?;
            let (work, settled): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|d| open.contains_key(&d.seq));
            close_settled(&mut tx, &settled, now).await?;
            let taken = take(&mut bounds, work, &open)?;
            mark_claimed(&mut tx, &taken, now, hold).await?;
            grant(&mut tx, &taken, &bounds.meters).await?;
            wanted -= taken.len();
            let limited = bounds.budget.is_limited();
            let claimed = claimed(&mut tx, taken, &mut open, limited).await?;
            claim.tasks.extend(claimed);
        }
        bounds.meters.closed();
        if claim.tasks.is_empty() {
            let due = next_at(&mut tx, &run, now).await?;
            claim.next_at = earlier(due, bounds.meters.retry_at());
        }
        claim.over_budget = bounds.budget.into_over();
        if claim.over_budget.is_some() && claim.tasks.is_empty() {
            claim.under_way = under_way(&mut tx, &run, now).await?;
        }
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
        let lost = query_scalar!(
            "SELECT seq FROM tasks WHERE run_id = ?1 AND state = 'dispatched' AND dispatched_at < ?2",
            run,
            before
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(db)?;
        let lost: Vec<_> = lost.into_iter().map(Return::unreported).collect();
        give_back(&mut tx, &lost, now).await?;
        tx.commit().await.map_err(db)?;
        Ok(lost.len() as u64)
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

/// The tasks that fit.
fn take(bounds: &mut Bounds, due: Vec<Due>, open: &HashMap<i64, Open>) -> Result<Vec<Taken>> {
    let mut taken = Vec::with_capacity(due.len());
    for due in due {
        let asked = open.get(&due.seq).map_or(0, Open::asked);
        if let Some(granted) = bounds.take(&due, asked)? {
            taken.push(Taken { due, granted });
        }
    }
    Ok(taken)
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether an attempt of the run may still be reported, and give back some of what it reserved.
async fn under_way(tx: &mut Tx, run: &str, now: i64) -> Result<bool> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM tasks t INDEXED BY tasks_dispatched
                           WHERE t.run_id = ?1 AND t.state = 'dispatched')
               OR EXISTS (SELECT 1 FROM outbox o INDEXED BY outbox_due CROSS JOIN tasks t ON t.seq = o.task_seq
                           WHERE o.run_id = ?1 AND o.due > ?2 AND t.claimed_at IS NOT NULL) AS "found!: bool""#,
        run,
        now
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(db)
}

/// Claims that were not sent in time: whether they were sent after all, nobody knows.
async fn lapse(tx: &mut Tx, due: &mut [Due], now: i64) -> Result<()> {
    let lapsed: Vec<i64> = due.iter().filter(|d| d.lapsed).map(|d| d.seq).collect();
    if lapsed.is_empty() {
        return Ok(());
    }
    let seqs = rows(&lapsed)?;
    ledger::expire(tx, &seqs, now).await?;
    query!(
        "UPDATE tasks SET epoch = epoch + 1, claimed_at = NULL WHERE seq IN (SELECT value FROM json_each(?1))",
        seqs
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    due.iter_mut()
        .filter(|d| d.lapsed)
        .for_each(|d| d.epoch += 1);
    Ok(())
}

async fn grant(tx: &mut Tx, taken: &[Taken], meters: &Meters) -> Result<()> {
    let granted = taken.iter().filter_map(|t| {
        let granted = t.granted.as_ref()?;
        Some((t.due.seq, t.due.epoch, granted))
    });
    let granted: Vec<_> = granted.collect();
    match granted.is_empty() {
        true => Ok(()),
        false => quotas::grant(tx, &granted, &meters.taken()).await,
    }
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

/// At most so many at this time; none of the models of these names.
async fn due(
    tx: &mut Tx,
    run: &str,
    (limit, now): (usize, i64),
    closed: &[String],
) -> Result<Vec<Due>> {
    let limit = int(limit as u64);
    let closed = rows(closed)?;
    query_as!(
        Due,
        r#"SELECT t.seq, t.id, t.model, t.epoch, t.claimed_at IS NOT NULL AS "lapsed!: bool",
                  t.worst_calls AS calls, t.worst_tokens AS tokens, t.worst_cost_micros AS cost_micros
             FROM outbox o INDEXED BY outbox_due CROSS JOIN tasks t ON t.seq = o.task_seq
            WHERE o.run_id = ?1 AND o.due <= ?2 AND t.model NOT IN (SELECT value FROM json_each(?4))
            ORDER BY o.due, o.task_seq LIMIT ?3"#,
        run,
        now,
        limit,
        closed
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

async fn mark_claimed(tx: &mut Tx, tasks: &[Taken], now: i64, hold: i64) -> Result<()> {
    let seqs = rows(&tasks.iter().map(|t| t.due.seq).collect::<Vec<_>>())?;
    ledger::reserve(tx, &seqs, now).await?;
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
    tasks: Vec<Taken>,
    open: &mut HashMap<i64, Open>,
    limited: bool,
) -> Result<Vec<Claimed>> {
    let seqs = rows(&tasks.iter().map(|t| t.due.seq).collect::<Vec<_>>())?;
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
        .map(|(Taken { due, granted }, row)| {
            let at = At("tasks", &due.id);
            let items = open.remove(&due.seq).unwrap_or_default();
            let counted = limited || granted.is_some();
            let grant = granted.map(|g| Grant {
                requests: g.requests,
                before: g.before,
            });
            Ok(Claimed {
                task: at.id(&due.id)?,
                epoch: at.number(due.epoch)?,
                body: row.body,
                open: items.places,
                known: items.known,
                terms: counted.then_some(Terms { grant }),
            })
        })
        .collect()
}
