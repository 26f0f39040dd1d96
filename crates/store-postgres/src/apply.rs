//! Reports: what came back, under the fence `(task, epoch, open state)`.
//!
//! The order within the transaction matters, for what refers to what and for locks: tasks are locked, then answers
//! stored, then grades (which refer to answers), then items closed (which are done when both are stored), then
//! tasks (which are done when their items are), then money. Every part is a few statements for the whole batch.

mod changes;
mod replies;

use crate::{
    Tx,
    codec::{At, NO_EXAMPLE, columns, of_hash, to_hash},
    fault::{Fault, db},
    ledger::Settlement,
    quotas,
    tasks::lock_rounds,
};
use domain::ids::RunId;
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::{
    Applied, RetryPolicy,
    changes::{Accepted, Changes},
    verdict::{Places, Verdict},
};
use uuid::Uuid;
use wire::Report;

/// A report whose task is stored.
struct Known<'a> {
    task: Accepted<'a>,
    round_id: i64,
    /// The fence let it through; otherwise it is stale.
    accepted: bool,
}

/// Applies a batch of reports.
pub async fn apply(
    tx: &mut Tx,
    reports: &[Report],
    policy: RetryPolicy,
    now: i64,
) -> Result<Applied, Fault> {
    let known = fence(tx, reports).await?;
    let accepted: Vec<Accepted<'_>> = known
        .iter()
        .filter(|k| k.accepted)
        .map(|k| k.task)
        .collect();
    let mut applied = Applied {
        accepted: accepted.len() as u64,
        stale: (reports.len() - accepted.len()) as u64,
        ..Applied::default()
    };
    applied.answers = replies::store_answers(tx, &known, now).await?;
    if !accepted.is_empty() {
        replies::store_grades(tx, &accepted, now).await?;
        let rounds: Vec<i64> = known
            .iter()
            .filter(|k| k.accepted)
            .map(|k| k.round_id)
            .collect();
        applied.items_done = close_items(tx, &reported(&accepted), &rounds).await?;
        let mut open = open_places(tx, &accepted).await?;
        let mut changes = Changes::default();
        for task in &accepted {
            let open = open.remove(&task.seq).unwrap_or_default();
            let verdict = Verdict::of(task.report, open);
            changes.add(task, verdict, policy, now, &mut applied);
        }
        changes::write(tx, changes, now).await?;
    }
    let mut settlement = Settlement::default();
    for k in &known {
        settlement.book(&k.task);
    }
    settlement.write(tx, now).await?;
    let reports = known.iter().map(|k| (k.task.seq, k.task.report));
    applied.held = quotas::book(tx, reports, now).await?;
    Ok(applied)
}

/// Locks the tasks and lets at most one report of each through: that of the present epoch, while the task
/// is claimed (a report can be faster than the mark that its task was sent).
async fn fence<'a>(tx: &mut Tx, reports: &'a [Report]) -> Result<Vec<Known<'a>>, Fault> {
    let ids: Vec<Uuid> = reports.iter().map(|r| r.task.0).collect();
    let found = query!(
        r#"SELECT t.seq, t.id, t.run_id, t.round_id, t.epoch, t.attempts,
                  t.state = 'planned' AND coalesce((SELECT o.claimed_at IS NOT NULL FROM outbox o
                      WHERE o.task_seq = t.seq), false) AS "claimed!"
             FROM tasks t WHERE t.id = ANY($1) ORDER BY t.seq FOR NO KEY UPDATE OF t"#,
        &ids
    );
    let found = db(found.fetch_all(&mut **tx)).await?;
    let found: HashMap<Uuid, _> = found.into_iter().map(|row| (row.id, row)).collect();
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(reports.len());
    for report in reports {
        let Some(row) = found.get(&report.task.0) else {
            continue;
        };
        let name = row.seq.to_string();
        let at = At("tasks", &name);
        let open = row.claimed;
        let task = Accepted {
            report,
            seq: row.seq,
            run: RunId(row.run_id),
            attempts: at.number(row.attempts)?,
        };
        out.push(Known {
            task,
            round_id: row.round_id,
            accepted: open
                && (row.epoch == i64::from(report.epoch) || sabotage::breaks("fence"))
                && seen.insert(row.seq),
        });
    }
    Ok(out)
}

/// An item of a task, and the key it asks.
pub struct Place {
    pub task_seq: i64,
    pub key: Uuid,
}

fn reported(accepted: &[Accepted<'_>]) -> Vec<Place> {
    let items = accepted.iter().flat_map(|task| {
        task.report.items.iter().map(|item| Place {
            task_seq: task.seq,
            key: of_hash(item.key),
        })
    });
    items.collect()
}

/// Closes the items whose answers (and grades) are stored now: those of these tasks, and those that wait for an
/// equal item. Equal items of other tasks are closed when their task is claimed or reported.
///
/// It takes all locks that are needed until the transaction ends: of the items that wait for these keys, then of
/// their rounds and of `rounds`.
///
/// Whether an answer (and grade) is stored is asked by sub-selects and not by `EXISTS`, which the server may turn into a hash
/// of all grades.
pub async fn close_items(tx: &mut Tx, places: &[Place], rounds: &[i64]) -> Result<u64, Fault> {
    let keys: Vec<Uuid> = places.iter().map(|p| p.key).collect();
    let waiting = query!(
        "SELECT round_id, ordinal FROM items WHERE key = ANY($1) AND task_seq IS NULL AND state = 'open'
          ORDER BY round_id, ordinal FOR NO KEY UPDATE",
        &keys
    );
    let waiting = db(waiting.fetch_all(&mut **tx)).await?;
    let affected: Vec<i64> = rounds
        .iter()
        .copied()
        .chain(waiting.iter().map(|w| w.round_id))
        .collect();
    lock_rounds(tx, &affected).await?;
    columns!(waiting => waiting_rounds: |w| w.round_id, ordinals: |w| w.ordinal);
    let mut seqs: Vec<i64> = places.iter().map(|p| p.task_seq).collect();
    seqs.dedup();
    let close = query!(
        "UPDATE items i SET state = 'done'
          WHERE i.task_seq = ANY($1) AND i.state = 'open'
            AND (SELECT i.grader IS NULL OR (
                        SELECT true FROM grades g
                         WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $2)
                           AND g.grader = i.grader AND g.grader_version = i.grader_version)
                   FROM answers a WHERE a.key = i.key)",
        &seqs,
        NO_EXAMPLE
    );
    let mut done = db(close.execute(&mut **tx)).await?.rows_affected();
    if !waiting.is_empty() {
        let close = query!(
            "UPDATE items i SET state = 'done'
               FROM unnest($1::bigint[], $2::bigint[]) w (round_id, ordinal)
              WHERE i.round_id = w.round_id AND i.ordinal = w.ordinal AND i.state = 'open'
                AND (SELECT i.grader IS NULL OR (
                            SELECT true FROM grades g
                             WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $3)
                               AND g.grader = i.grader AND g.grader_version = i.grader_version)
                       FROM answers a WHERE a.key = i.key)",
            &waiting_rounds,
            &ordinals,
            NO_EXAMPLE
        );
        done += db(close.execute(&mut **tx)).await?.rows_affected();
    }
    Ok(done)
}

/// Places and keys of the items that are still open, by task.
async fn open_places(
    tx: &mut Tx,
    accepted: &[Accepted<'_>],
) -> Result<HashMap<i64, Places>, Fault> {
    let seqs: Vec<i64> = accepted.iter().map(|k| k.seq).collect();
    let found = query!(
        r#"SELECT task_seq AS "task_seq!", place AS "place!", key
             FROM items WHERE task_seq = ANY($1) AND state = 'open'"#,
        &seqs
    );
    let mut out: HashMap<i64, Places> = HashMap::new();
    for row in db(found.fetch_all(&mut **tx)).await? {
        let name = row.task_seq.to_string();
        let places = out.entry(row.task_seq).or_default();
        places.insert(At("items", &name).number(row.place)?, to_hash(row.key));
    }
    Ok(out)
}
