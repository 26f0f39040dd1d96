//! Reports: what came back, under the fence `(task, epoch, open state)`.
//!
//! The order within the transaction matters: answers, then grades (which refer to answers), then items
//! (which are done when both are stored), then tasks (which are done when their items are), then money.
//! Every part is one statement for the whole batch.

mod changes;
mod exact;
mod replies;

use crate::{
    Tx,
    codec::{At, db, rows},
    ledger::Settlement,
    quotas,
};
use domain::run::TaskState;
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::{
    Applied, Result, RetryPolicy,
    changes::{Accepted, Changes},
    verdict::{Places, Verdict},
};
use wire::Report;

/// A report whose task is stored.
struct Known<'a> {
    task: Accepted<'a>,
    /// The fence let it through; otherwise it is stale.
    accepted: bool,
}

/// Applies a batch of reports.
pub async fn apply(
    tx: &mut Tx,
    reports: &[Report],
    policy: RetryPolicy,
    now: i64,
) -> Result<Applied> {
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
    replies::store_grades(tx, &accepted, now).await?;
    close_items(tx, &accepted, &mut applied).await?;
    let mut open = open_places(tx, &accepted).await?;
    let mut changes = Changes::default();
    for task in &accepted {
        let open = open.remove(&task.seq).unwrap_or_default();
        changes.add(
            task,
            Verdict::of(task.report, open),
            policy,
            now,
            &mut applied,
        );
    }
    changes::write(tx, changes, now).await?;
    let mut settlement = Settlement::default();
    for k in &known {
        settlement.book(k.task.seq, k.task.report);
    }
    settlement.write(tx, now).await?;
    let reports = known.iter().map(|k| (k.task.seq, k.task.report));
    applied.held = quotas::book(tx, reports, now).await?;
    Ok(applied)
}

/// Finds the tasks and lets at most one report of each through: that of the present epoch, while the task
/// is dispatched, or claimed (a report can be faster than the mark that its task was published).
async fn fence<'a>(tx: &mut Tx, reports: &'a [Report]) -> Result<Vec<Known<'a>>> {
    let ids = rows(&reports.iter().map(|r| r.task).collect::<Vec<_>>())?;
    let found = query!(
        r#"SELECT k.key + 0 AS "place!: i64", t.seq AS "seq!", t.run_id, t.state, t.epoch, t.attempts,
                  t.claimed_at IS NOT NULL AS "claimed!: bool"
             FROM json_each(?1) k CROSS JOIN tasks t ON t.id = k.value ORDER BY k.key"#,
        ids
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(found.len());
    for row in found {
        let name = row.seq.to_string();
        let at = At("tasks", &name);
        let place: usize = at.number(row.place)?;
        let Some(report) = reports.get(place) else {
            continue;
        };
        let open = match at.word(&row.state, TaskState::from_word)? {
            TaskState::Dispatched => true,
            TaskState::Planned => row.claimed,
            TaskState::Done | TaskState::Dead => false,
        };
        let task = Accepted {
            report,
            seq: row.seq,
            run: at.id(&row.run_id)?,
            attempts: at.number(row.attempts)?,
        };
        out.push(Known {
            task,
            accepted: open && row.epoch == i64::from(report.epoch) && seen.insert(row.seq),
        });
    }
    Ok(out)
}

/// Closes the items whose answers (and grades) are stored now: those of the reported tasks, and those that
/// wait for an equal item. Equal items of other tasks are closed when their task is claimed or reported.
async fn close_items(tx: &mut Tx, accepted: &[Accepted<'_>], applied: &mut Applied) -> Result<()> {
    let seqs = rows(&accepted.iter().map(|k| k.seq).collect::<Vec<_>>())?;
    applied.items_done += query!(
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
    .map_err(db)?
    .rows_affected();
    let items = accepted.iter().flat_map(|k| &k.report.items);
    let keys = rows(&items.map(|i| i.key).collect::<Vec<_>>())?;
    applied.items_done += query!(
        "UPDATE items INDEXED BY items_waiting SET state = 'done'
          WHERE state = 'open' AND task_seq IS NULL AND key IN (SELECT value FROM json_each(?1))
            AND EXISTS (
                SELECT 1 FROM answers a
                 WHERE a.key = items.key AND (items.grader IS NULL OR EXISTS (
                       SELECT 1 FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(items.example_id, '')
                          AND g.grader = items.grader AND g.grader_version = items.grader_version)))",
        keys
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?
    .rows_affected();
    Ok(())
}

/// Places and keys of the items that are still open, by task.
async fn open_places(tx: &mut Tx, accepted: &[Accepted<'_>]) -> Result<HashMap<i64, Places>> {
    let seqs = rows(&accepted.iter().map(|k| k.seq).collect::<Vec<_>>())?;
    let found = query!(
        r#"SELECT i.task_seq AS "task_seq!: i64", i.place AS "place!: i64", i.key AS "key!"
             FROM json_each(?1) k CROSS JOIN items i INDEXED BY items_task ON i.task_seq = k.value
            WHERE i.state = 'open'"#,
        seqs
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    let mut out: HashMap<i64, Places> = HashMap::new();
    for row in found {
        let name = row.task_seq.to_string();
        let at = At("items", &name);
        let places = out.entry(row.task_seq).or_default();
        places.insert(at.number(row.place)?, at.id(&row.key)?);
    }
    Ok(out)
}
