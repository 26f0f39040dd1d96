//! Reports: what came back, under the fence `(task, epoch, open state)`.
//!
//! The order within the transaction matters, for what refers to what and for locks: tasks are locked, then answers
//! stored, then grades (which refer to answers), then items closed (which are done when both are stored), then
//! tasks (which are done when their items are), then money. Every part is a few statements for the whole batch.

mod changes;
mod items;
mod replies;

use crate::{
    Tx,
    codec::{At, of_hash},
    fault::{Fault, db},
    ledger::Settlement,
    quotas,
};
use domain::{ids::RunId, run::Spend};
use items::{Closing, Planned};
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::{
    Applied, RetryPolicy,
    changes::{Accepted, Changes},
    verdict::Verdict,
};
use uuid::Uuid;
use wire::Report;

pub use items::{Place, close_items};

/// A report whose task is stored.
struct Known<'a> {
    task: Accepted<'a>,
    round_id: i64,
    model: String,
    /// What the task reserves.
    worst: Spend,
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
    let planned = items::planned(tx, &known).await?;
    let mut applied = Applied {
        accepted: known.iter().filter(|k| k.accepted).count() as u64,
        ..Applied::default()
    };
    applied.stale = reports.len() as u64 - applied.accepted;
    let mut answers = replies::store_answers(tx, &known, &planned, now).await?;
    applied.answers = answers.len() as u64;
    if applied.accepted > 0 {
        let accepted: Vec<&Known<'_>> = known.iter().filter(|k| k.accepted).collect();
        let reported = reported(&accepted, &planned);
        replies::find_answers(tx, &reported, &mut answers).await?;
        let graded = replies::store_grades(tx, &reported, &answers, now).await?;
        let closing = Closing::of(&accepted, &planned, |seat, item| {
            answers.contains_key(&item.key) && (item.grader.is_none() || graded.contains(&seat))
        });
        applied.items_done = closing.close(tx).await?;
        let mut open = closing.open_places(tx).await?;
        let mut changes = Changes::default();
        for Known { task, .. } in &accepted {
            let open = open.remove(&task.seq).unwrap_or_default();
            let verdict = Verdict::of(task.report, open);
            changes.add(task, verdict, policy, now, &mut applied);
        }
        changes::write(tx, changes, now).await?;
    }
    let mut settlement = Settlement::default();
    for k in &known {
        // An attempt that is under way has its reservation, and nobody settled it: settling ends it.
        settlement.book(&k.task, k.accepted.then_some(k.worst));
    }
    settlement.write(tx, now).await?;
    let reports = known.iter().map(|k| (k.task.seq, k.task.report));
    applied.held = quotas::book(tx, reports, now).await?;
    Ok(applied)
}

/// What a report says of an item that was planned at this place with this key.
struct Reported<'a> {
    place: Seat,
    item: &'a wire::ReportItem,
    planned: &'a Planned,
}

/// A task's number, and the place of an item in it.
type Seat = (i64, i64);

/// A report can only answer what was planned.
fn reported<'a>(tasks: &[&Known<'a>], planned: &'a HashMap<Seat, Planned>) -> Vec<Reported<'a>> {
    let items = tasks.iter().flat_map(|k| {
        let seq = k.task.seq;
        k.task.report.items.iter().filter_map(move |item| {
            let place = (seq, i64::from(item.place));
            let planned = planned.get(&place)?;
            (planned.key == of_hash(item.key)).then_some(Reported {
                place,
                item,
                planned,
            })
        })
    });
    items.collect()
}

/// Locks the tasks and lets at most one report of each through: that of the present epoch, while the task
/// is claimed (a report can be faster than the mark that its task was sent).
async fn fence<'a>(tx: &mut Tx, reports: &'a [Report]) -> Result<Vec<Known<'a>>, Fault> {
    let ids: Vec<Uuid> = reports.iter().map(|r| r.task.0).collect();
    let found = query!(
        r#"SELECT t.seq, t.id, t.run_id, t.round_id, t.epoch, t.attempts, t.model, t.worst_calls, t.worst_tokens,
                  t.worst_cost_micros,
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
            model: row.model.clone(),
            worst: Spend {
                calls: at.number(row.worst_calls)?,
                tokens: at.number(row.worst_tokens)?,
                cost_micros: at.number(row.worst_cost_micros)?,
            },
            accepted: open
                && (row.epoch == i64::from(report.epoch) || sabotage::breaks("fence"))
                && seen.insert(row.seq),
        });
    }
    Ok(out)
}
