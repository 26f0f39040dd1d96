//! Claims: due tasks, those that still ask something, within the budget.
//!
//! Several coordinators claim side by side: each takes the tasks that no other holds. What the cap allows is
//! decided under the lock of the run's spend row, and what a model's quota allows under that of the model's row, which
//! are taken last and held for a few statements.

use crate::{
    PostgresStore, Tx,
    apply::{Place, close_items},
    codec::{At, NO_EXAMPLE, reply},
    commit,
    fault::{Fault, db},
    ledger, quotas,
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
use store::{
    Claim, Claimed, Result,
    budget::Budget,
    quota::{Granted, Meters, Need},
};
use uuid::Uuid;
use wire::{Grant, Terms};

/// A task whose time has come.
struct Due {
    seq: i64,
    due: Micros,
    id: Uuid,
    model: String,
    round_id: i64,
    epoch: i64,
    /// It was claimed, and not sent in time.
    lapsed: bool,
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

impl Open {
    /// How many questions are to be asked.
    fn asked(&self) -> u64 {
        (self.places.len() - self.known.len()) as u64
    }
}

/// A task that is claimed.
struct Taken {
    due: Due,
    granted: Option<Granted>,
}

/// Which claim.
#[derive(Clone, Copy)]
struct Ask {
    run: RunId,
    limit: usize,
    now: i64,
    hold: i64,
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
        let limit = limit as usize;
        let ask = Ask {
            run,
            limit,
            now,
            hold,
        };
        let (mut closed, mut next) = (vec![], None);
        loop {
            let (claim, full) = self.claim_of(ask, &mut closed).await?;
            next = earlier(next, claim.next_at);
            // Tasks that did not fit may have stood before others that would.
            if full.is_empty() || !claim.tasks.is_empty() || claim.over_budget.is_some() {
                let next_at = next.filter(|_| claim.tasks.is_empty());
                return Ok(Claim { next_at, ..claim });
            }
            closed.extend(full);
        }
    }

    /// A claim that does not look at the models of these names, nor at those that have no room from the beginning, which
    /// are added; and the names of those whose room was too small for what there was.
    async fn claim_of(
        &self,
        ask: Ask,
        closed: &mut Vec<String>,
    ) -> Result<(Claim, Vec<String>), Fault> {
        let Ask { run, now, .. } = ask;
        let mut tx = self.write_by_key().await?;
        let (limits, metered) = quotas::limits(&mut tx, run).await?;
        let metered = metered && !sabotage::breaks("grant");
        let mut meters = match metered {
            true => quotas::meters(&mut tx, run, now).await?,
            false => Meters::default(),
        };
        closed.extend(meters.closed());
        let found = find(&mut tx, ask, closed).await?;
        if !found.answered.is_empty() || !found.settled.is_empty() {
            close_items(&mut tx, &found.answered, &found.rounds()).await?;
            close_settled(&mut tx, &found.settled, now).await?;
        }
        ledger::lock(&mut tx, run).await?;
        let used = ledger::spend(&mut tx, run).await?;
        let mut budget = Budget::new(used, limits);
        let Found {
            mut work, mut open, ..
        } = found;
        lapse(&mut tx, &mut work, now).await?;
        if metered {
            quotas::lock(&mut tx, run, now).await?;
            meters = quotas::meters(&mut tx, run, now).await?;
        }
        let taken = take(&mut budget, &mut meters, work, &open)?;
        let mut claim = Claim::default();
        if !taken.is_empty() {
            mark_claimed(&mut tx, &taken, now, ask.hold).await?;
            grant(&mut tx, &taken, &meters).await?;
            claim.tasks = claimed(&mut tx, taken, &mut open, budget.is_limited()).await?;
        }
        claim.over_budget = budget.into_over();
        if claim.over_budget.is_some() && claim.tasks.is_empty() {
            claim.under_way = under_way(&mut tx, run, now).await?;
        }
        let mut full = meters.closed();
        full.retain(|name| !closed.contains(name));
        if claim.tasks.is_empty() {
            claim.next_at = earlier(next_at(&mut tx, run, now).await?, meters.retry_at());
        }
        commit(tx).await?;
        Ok((claim, full))
    }
}

/// The tasks that fit.
fn take(
    budget: &mut Budget,
    meters: &mut Meters,
    work: Vec<Due>,
    open: &HashMap<i64, Open>,
) -> Result<Vec<Taken>> {
    let mut taken = Vec::with_capacity(work.len());
    for due in work {
        let asked = open.get(&due.seq).map_or(0, Open::asked);
        let worst = due.worst()?;
        let need = Need::of(worst, asked);
        if meters.fits(&due.model, need) && budget.take(worst) {
            let granted = meters.take(&due.model, need);
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
async fn under_way(tx: &mut Tx, run: RunId, now: i64) -> Result<bool, Fault> {
    let found = query_scalar!(
        r#"SELECT EXISTS (SELECT FROM outbox o
                           WHERE o.run_id = $1 AND o.claimed_at IS NOT NULL
                             AND (o.sent_at IS NOT NULL OR o.due > $2)) AS "found!""#,
        run.0,
        Micros(now)
    );
    db(found.fetch_one(&mut **tx)).await
}

/// Claims that were not sent in time: whether they were sent after all, nobody knows.
async fn lapse(tx: &mut Tx, work: &mut [Due], now: i64) -> Result<(), Fault> {
    let lapsed: Vec<i64> = work.iter().filter(|d| d.lapsed).map(|d| d.seq).collect();
    if lapsed.is_empty() {
        return Ok(());
    }
    ledger::expire(tx, &lapsed, now).await?;
    let plan = query!(
        "WITH unclaimed AS (UPDATE outbox SET claimed_at = NULL, epoch = NULL WHERE task_seq = ANY($1))
         UPDATE tasks SET epoch = epoch + 1 WHERE seq = ANY($1)",
        &lapsed
    );
    db(plan.execute(&mut **tx)).await?;
    work.iter_mut()
        .filter(|d| d.lapsed)
        .for_each(|d| d.epoch += 1);
    Ok(())
}

async fn grant(tx: &mut Tx, taken: &[Taken], meters: &Meters) -> Result<(), Fault> {
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

impl Found {
    /// The rounds whose counters may change.
    fn rounds(&self) -> Vec<i64> {
        let tasks = self.settled.iter().chain(&self.work).map(|d| d.round_id);
        tasks.collect()
    }
}

async fn next_at(tx: &mut Tx, run: RunId, now: i64) -> Result<Option<i64>, Fault> {
    let due = query_scalar!(
        r#"SELECT least((SELECT min(due) FROM outbox WHERE run_id = $1 AND due > $2 AND claimed_at IS NULL),
                        (SELECT min(due) FROM outbox WHERE run_id = $1 AND due > $2 AND claimed_at IS NOT NULL
                            AND sent_at IS NULL)) AS "due: Micros""#,
        run.0,
        Micros(now)
    );
    let due = db(due.fetch_one(&mut **tx)).await?;
    Ok(due.map(|d| d.0))
}

/// Takes due tasks until as many as wanted have something to ask.
async fn find(tx: &mut Tx, ask: Ask, closed: &[String]) -> Result<Found, Fault> {
    let wanted = ask.limit;
    let mut found = Found::default();
    let mut seen: Vec<i64> = vec![];
    while found.work.len() < wanted {
        let left = wanted - found.work.len();
        let due = due(tx, Ask { limit: left, ..ask }, &seen, closed).await?;
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

/// Tasks that were never claimed, and those whose claim lapsed, oldest first.
///
/// Both rows are locked, so that both are seen as they are now: another claim may just have moved them. The task comes
/// first: who holds a task may write its outbox row, and must not find it held by somebody who then waits.
async fn due(tx: &mut Tx, ask: Ask, seen: &[i64], closed: &[String]) -> Result<Vec<Due>, Fault> {
    let fresh = query_as!(
        Due,
        r#"SELECT t.seq, o.due AS "due: Micros", t.id, t.model, t.round_id, t.epoch, false AS "lapsed!",
                  t.worst_calls AS calls, t.worst_tokens AS tokens, t.worst_cost_micros AS cost_micros
             FROM outbox o JOIN tasks t ON t.seq = o.task_seq
            WHERE o.run_id = $1 AND o.due <= $2 AND o.claimed_at IS NULL AND o.task_seq <> ALL($4)
              AND t.state = 'planned' AND t.model <> ALL($5)
            ORDER BY o.due, o.task_seq LIMIT $3
              FOR NO KEY UPDATE OF t, o SKIP LOCKED"#,
        ask.run.0,
        Micros(ask.now),
        crate::codec::int(ask.limit as u64),
        seen,
        closed
    );
    let mut due = db(fresh.fetch_all(&mut **tx)).await?;
    let lapsed = query_as!(
        Due,
        r#"SELECT t.seq, o.due AS "due: Micros", t.id, t.model, t.round_id, t.epoch, true AS "lapsed!",
                  t.worst_calls AS calls, t.worst_tokens AS tokens, t.worst_cost_micros AS cost_micros
             FROM outbox o JOIN tasks t ON t.seq = o.task_seq
            WHERE o.run_id = $1 AND o.due <= $2 AND o.claimed_at IS NOT NULL AND o.sent_at IS NULL
              AND o.task_seq <> ALL($4) AND t.state = 'planned' AND t.model <> ALL($5)
            ORDER BY o.due, o.task_seq LIMIT $3
              FOR NO KEY UPDATE OF t, o SKIP LOCKED"#,
        ask.run.0,
        Micros(ask.now),
        crate::codec::int(ask.limit as u64),
        seen,
        closed
    );
    due.extend(db(lapsed.fetch_all(&mut **tx)).await?);
    due.sort_by_key(|d| (d.due.0, d.seq));
    due.truncate(ask.limit);
    Ok(due)
}

/// The open items of tasks: those that are answered (and graded) meanwhile, and those that still ask.
async fn open_items(tx: &mut Tx, seqs: &[i64], found: &mut Found) -> Result<(), Fault> {
    let rows = query!(
        r#"SELECT i.task_seq AS "task_seq!", i.place AS "place!", i.key, s.answered AS "answered!",
                  CASE WHEN NOT s.answered THEN a.reply_text END AS reply_text,
                  CASE WHEN NOT s.answered THEN a.reply_json::text END AS reply_json
             FROM items i
             LEFT JOIN answers a ON a.key = i.key
            CROSS JOIN LATERAL (SELECT a.seq IS NOT NULL AND (i.grader IS NULL OR coalesce((
                       SELECT true FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $2)
                          AND g.grader = i.grader AND g.grader_version = i.grader_version), false)) AS answered) s
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

async fn mark_claimed(tx: &mut Tx, tasks: &[Taken], now: i64, hold: i64) -> Result<(), Fault> {
    let seqs: Vec<i64> = tasks.iter().map(|t| t.due.seq).collect();
    ledger::reserve(tx, &seqs, now).await?;
    // At least one microsecond: what this claim took must not be due within it.
    let due = Micros(now.saturating_add(hold.max(1)));
    let epochs: Vec<i64> = tasks.iter().map(|t| t.due.epoch).collect();
    let hold = query!(
        "UPDATE outbox o SET due = $2, claimed_at = $3, epoch = e.epoch
           FROM unnest($1::bigint[], $4::bigint[]) e (seq, epoch) WHERE o.task_seq = e.seq",
        &seqs,
        due,
        Micros(now),
        &epochs
    );
    db(hold.execute(&mut **tx)).await?;
    Ok(())
}

/// Joins the claimed tasks with their bodies and open items.
async fn claimed(
    tx: &mut Tx,
    tasks: Vec<Taken>,
    open: &mut HashMap<i64, Open>,
    limited: bool,
) -> Result<Vec<Claimed>, Fault> {
    let seqs: Vec<i64> = tasks.iter().map(|t| t.due.seq).collect();
    let bodies = query!(
        "SELECT task_seq, body FROM task_bodies WHERE task_seq = ANY($1)",
        &seqs
    );
    let bodies = db(bodies.fetch_all(&mut **tx)).await?;
    let mut bodies: HashMap<i64, String> =
        bodies.into_iter().map(|b| (b.task_seq, b.body)).collect();
    tasks
        .into_iter()
        .map(|Taken { due, granted }| {
            let id = due.id.to_string();
            let at = At("tasks", &id);
            let body = bodies.remove(&due.seq);
            let items = open.remove(&due.seq).unwrap_or_default();
            let counted = limited || granted.is_some();
            let grant = granted.map(|g| Grant {
                requests: g.requests,
                before: g.before,
            });
            Ok(Claimed {
                task: TaskId(due.id),
                epoch: at.number(due.epoch)?,
                body: body.ok_or_else(|| at.corrupt("an open task has no body"))?,
                open: items.places,
                known: items.known,
                terms: counted.then_some(Terms { grant }),
            })
        })
        .collect()
}
