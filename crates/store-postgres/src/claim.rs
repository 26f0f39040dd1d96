//! Claims: due tasks, those that still ask something, within the budget.
//!
//! Several coordinators claim side by side: each takes the tasks that no other holds. What the cap allows is
//! decided under the lock of the run's spend row, which is taken last and held for a few statements.

use crate::{
    PostgresStore, Tx,
    apply::{Place, close_items},
    codec::{At, NO_EXAMPLE, reply},
    commit,
    fault::{Fault, db},
    ledger,
    runs::newest_limits,
    tasks::close_done,
    time::Micros,
};
use domain::{
    call::Reply,
    ids::{RunId, TaskId},
    run::Spend,
};
use sqlx::{query, query_as, query_scalar};
use std::collections::HashMap;
use store::{Claim, Claimed, Result, budget::Budget};
use uuid::Uuid;

/// A task whose time has come.
struct Due {
    seq: i64,
    id: Uuid,
    round_id: i64,
    epoch: i64,
    reserved: bool,
    calls: i64,
    tokens: i64,
    cost_micros: i64,
}

impl Due {
    fn worst(&self) -> Result<Spend> {
        let id = self.id.to_string();
        let at = At("tasks", &id);
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

/// What was found of due tasks.
#[derive(Default)]
struct Found {
    /// Tasks that still ask something, in the order of the claim.
    work: Vec<Due>,
    /// Tasks with nothing left to ask.
    settled: Vec<Due>,
    open: HashMap<i64, Open>,
    /// Items whose answers (and grades) are stored meanwhile.
    answered: Vec<Place>,
}

impl PostgresStore {
    pub(crate) async fn claim_once(
        &self,
        run: RunId,
        limit: u32,
        now: i64,
        hold: i64,
    ) -> Result<Claim, Fault> {
        let mut tx = self.write().await?;
        let next_at = next_at(&mut tx, run, now).await?;
        let found = find(&mut tx, run, limit as usize, now).await?;
        if !found.answered.is_empty() || !found.settled.is_empty() {
            close_items(&mut tx, &found.answered, &found.rounds()).await?;
            close_settled(&mut tx, &found.settled, now).await?;
        }
        ledger::lock(&mut tx, run).await?;
        let used = ledger::spend(&mut tx, run).await?;
        let mut budget = Budget::new(used, newest_limits(&mut tx, run).await?);
        let Found { work, mut open, .. } = found;
        let mut kept = Vec::with_capacity(work.len());
        for task in work {
            let worst = (!task.reserved).then(|| task.worst()).transpose()?;
            if budget.take(worst) {
                kept.push(task);
            }
        }
        let mut claim = Claim {
            next_at,
            over_budget: budget.into_over(),
            ..Claim::default()
        };
        if !kept.is_empty() {
            mark_claimed(&mut tx, &kept, now, hold).await?;
            claim.tasks = claimed(&mut tx, kept, &mut open).await?;
        }
        commit(tx).await?;
        Ok(claim)
    }
}

impl Found {
    /// The rounds whose counters may change.
    fn rounds(&self) -> Vec<i64> {
        let tasks = self.settled.iter().chain(&self.work).map(|d| d.round_id);
        tasks.collect()
    }
}

async fn next_at(tx: &mut Tx, run: RunId, now: i64) -> Result<Option<i64>, Fault> {
    let due = query_scalar!(
        r#"SELECT min(due) AS "due: Micros" FROM outbox WHERE run_id = $1 AND due > $2"#,
        run.0,
        Micros(now)
    );
    let due = db(due.fetch_one(&mut **tx)).await?;
    Ok(due.map(|d| d.0))
}

/// Takes due tasks until as many as wanted have something to ask.
async fn find(tx: &mut Tx, run: RunId, wanted: usize, now: i64) -> Result<Found, Fault> {
    let mut found = Found::default();
    let mut seen: Vec<i64> = vec![];
    while found.work.len() < wanted {
        let due = due(tx, run, wanted - found.work.len(), now, &seen).await?;
        if due.is_empty() {
            break;
        }
        let seqs: Vec<i64> = due.iter().map(|d| d.seq).collect();
        open_items(tx, &seqs, &mut found).await?;
        seen.extend(seqs);
        let (work, settled): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|d| found.open.contains_key(&d.seq));
        found.work.extend(work);
        found.settled.extend(settled);
    }
    Ok(found)
}

/// Both rows are locked, so that both are seen as they are now: another claim may just have moved them. The task comes
/// first: who holds a task may write its outbox row, and must not find it held by somebody who then waits.
async fn due(
    tx: &mut Tx,
    run: RunId,
    limit: usize,
    now: i64,
    seen: &[i64],
) -> Result<Vec<Due>, Fault> {
    let due = query_as!(
        Due,
        r#"SELECT t.seq, t.id, t.round_id, t.epoch, t.claimed_at IS NOT NULL AS "reserved!",
                  t.worst_calls AS calls, t.worst_tokens AS tokens, t.worst_cost_micros AS cost_micros
             FROM outbox o JOIN tasks t ON t.seq = o.task_seq
            WHERE o.run_id = $1 AND o.due <= $2 AND o.task_seq <> ALL($4) AND t.state = 'planned'
            ORDER BY o.due, o.task_seq LIMIT $3
              FOR NO KEY UPDATE OF t, o SKIP LOCKED"#,
        run.0,
        Micros(now),
        crate::codec::int(limit as u64),
        seen
    );
    db(due.fetch_all(&mut **tx)).await
}

/// The open items of tasks: those that are answered (and graded) meanwhile, and those that still ask.
async fn open_items(tx: &mut Tx, seqs: &[i64], found: &mut Found) -> Result<(), Fault> {
    let rows = query!(
        r#"SELECT i.task_seq AS "task_seq!", i.place AS "place!", i.key, s.answered AS "answered!",
                  CASE WHEN NOT s.answered THEN a.reply_text END AS reply_text,
                  CASE WHEN NOT s.answered THEN a.reply_json::text END AS reply_json
             FROM items i
             LEFT JOIN answers a ON a.key = i.key
            CROSS JOIN LATERAL (SELECT a.seq IS NOT NULL AND (i.grader IS NULL OR EXISTS (
                       SELECT 1 FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $2)
                          AND g.grader = i.grader AND g.grader_version = i.grader_version)) AS answered) s
            WHERE i.task_seq = ANY($1) AND i.state = 'open'
            ORDER BY i.task_seq, i.place"#,
        seqs,
        NO_EXAMPLE
    );
    for row in db(rows.fetch_all(&mut **tx)).await? {
        let name = row.task_seq.to_string();
        let at = At("items", &name);
        if row.answered {
            found.answered.push(Place {
                task_seq: row.task_seq,
                key: row.key,
            });
            continue;
        }
        let place = at.number(row.place)?;
        let open = found.open.entry(row.task_seq).or_default();
        open.places.push(place);
        if let Some(reply) = reply(at, row.reply_text, row.reply_json.as_deref())? {
            open.known.push((place, reply));
        }
    }
    Ok(())
}

/// Nothing is left to ask: done, without a call. If an earlier claim reserved, that stays charged until a
/// report settles it: the attempt may have been published.
async fn close_settled(tx: &mut Tx, tasks: &[Due], now: i64) -> Result<(), Fault> {
    if tasks.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = tasks.iter().map(|d| d.seq).collect();
    let nobody = vec![String::new(); seqs.len()];
    close_done(tx, &seqs, &nobody, now).await
}

async fn mark_claimed(tx: &mut Tx, tasks: &[Due], now: i64, hold: i64) -> Result<(), Fault> {
    let fresh: Vec<i64> = tasks
        .iter()
        .filter(|d| !d.reserved)
        .map(|d| d.seq)
        .collect();
    ledger::reserve(tx, &fresh, now).await?;
    let seqs: Vec<i64> = tasks.iter().map(|d| d.seq).collect();
    let mark = query!(
        "UPDATE tasks SET claimed_at = $2 WHERE seq = ANY($1)",
        &seqs,
        Micros(now)
    );
    db(mark.execute(&mut **tx)).await?;
    // At least one microsecond: what this claim took must not be due within it.
    let due = Micros(now.saturating_add(hold.max(1)));
    let hold = query!(
        "UPDATE outbox SET due = $2 WHERE task_seq = ANY($1)",
        &seqs,
        due
    );
    db(hold.execute(&mut **tx)).await?;
    Ok(())
}

/// Joins the claimed tasks with their bodies and open items.
async fn claimed(
    tx: &mut Tx,
    tasks: Vec<Due>,
    open: &mut HashMap<i64, Open>,
) -> Result<Vec<Claimed>, Fault> {
    let seqs: Vec<i64> = tasks.iter().map(|d| d.seq).collect();
    let bodies = query!(
        "SELECT task_seq, body FROM task_bodies WHERE task_seq = ANY($1)",
        &seqs
    );
    let bodies = db(bodies.fetch_all(&mut **tx)).await?;
    let mut bodies: HashMap<i64, String> =
        bodies.into_iter().map(|b| (b.task_seq, b.body)).collect();
    tasks
        .into_iter()
        .map(|task| {
            let id = task.id.to_string();
            let at = At("tasks", &id);
            let body = bodies.remove(&task.seq);
            let items = open.remove(&task.seq).unwrap_or_default();
            Ok(Claimed {
                task: TaskId(task.id),
                epoch: at.number(task.epoch)?,
                body: body.ok_or_else(|| at.corrupt("an open task has no body"))?,
                open: items.places,
                known: items.known,
            })
        })
        .collect()
}
