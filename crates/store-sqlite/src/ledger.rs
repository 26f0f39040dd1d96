//! The ledger: what is reserved before dispatch, settled by reports, and left charged by losses.

use crate::{
    Tx,
    codec::{At, db, int, rows},
};
use domain::run::Spend;
use serde::Serialize;
use sqlx::{SqliteConnection, query};
use std::collections::{HashMap, HashSet};
use store::{Result, budget::used};
use wire::Report;

/// What a run has used, reservations included.
pub async fn spend(conn: &mut SqliteConnection, run: &str) -> Result<Spend> {
    let at = At("run_spend", run);
    let row = query!(
        "SELECT calls, tokens, cost_micros FROM run_spend WHERE run_id = ?1",
        run
    )
    .fetch_optional(conn)
    .await
    .map_err(db)?
    .ok_or_else(|| at.corrupt("the run is not stored"))?;
    Ok(Spend {
        calls: at.number(row.calls)?,
        tokens: at.number(row.tokens)?,
        cost_micros: at.number(row.cost_micros)?,
    })
}

/// Reserves the worst case of tasks (a JSON list of their numbers) for their present epochs.
pub async fn reserve(tx: &mut Tx, seqs: &str, now: i64) -> Result<()> {
    query!(
        "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
         SELECT t.run_id, t.seq, t.epoch, 'reserve', t.worst_calls, t.worst_tokens, t.worst_cost_micros, ?2
           FROM json_each(?1) k CROSS JOIN tasks t ON t.seq = k.value",
        seqs,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Says of the present epochs of tasks (a JSON list of their numbers) that nobody knows what became of them: what they
/// had reserved stays charged.
pub async fn expire(tx: &mut Tx, seqs: &str, now: i64) -> Result<()> {
    query!(
        "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
         SELECT t.run_id, t.seq, t.epoch, 'expire', 0, 0, 0, ?2
           FROM json_each(?1) k CROSS JOIN tasks t ON t.seq = k.value",
        seqs,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Reports to be settled. The first report of an attempt gives back its reservation; one of another worker
/// (the queue delivered the attempt twice) is charged in full; the same report again changes nothing.
#[derive(Default)]
pub struct Settlement<'a> {
    attempts: HashMap<(i64, u32), HashSet<&'a str>>,
    rows: Vec<Row<'a>>,
}

/// Task, epoch, worker, whether the reservation is given back, and what was used.
#[derive(Serialize)]
struct Row<'a>(i64, u32, &'a str, bool, i64, i64, i64);

impl<'a> Settlement<'a> {
    /// Books a report of a task. Who declined an attempt says nothing of what others did under it.
    pub fn book(&mut self, task_seq: i64, report: &'a Report) {
        if report.counted.declined {
            return;
        }
        let workers = self.attempts.entry((task_seq, report.epoch)).or_default();
        let first = workers.is_empty();
        if workers.insert(&report.worker) {
            let u = used(report);
            let (calls, tokens, cost) = (int(u.calls), int(u.tokens), int(u.cost_micros));
            self.rows.push(Row(
                task_seq,
                report.epoch,
                &report.worker,
                first,
                calls,
                tokens,
                cost,
            ));
        }
    }

    /// Writes the rows. What was settled by earlier batches is seen here.
    pub async fn write(self, tx: &mut Tx, now: i64) -> Result<()> {
        let batch = rows(&self.rows)?;
        query!(
            "INSERT INTO ledger (run_id, task_seq, epoch, kind, worker, calls, tokens, cost_micros, created_at)
             SELECT t.run_id, t.seq, e.value ->> 1, 'settle', e.value ->> 2,
                    (e.value ->> 4) - coalesce(r.calls, 0), (e.value ->> 5) - coalesce(r.tokens, 0),
                    (e.value ->> 6) - coalesce(r.cost_micros, 0), ?2
               FROM jsonb_each(?1) e
               CROSS JOIN tasks t ON t.seq = e.value ->> 0
               LEFT JOIN ledger r ON r.task_seq = t.seq AND r.epoch = e.value ->> 1 AND r.kind = 'reserve'
                     AND e.value ->> 3
                     AND NOT EXISTS (SELECT 1 FROM ledger s WHERE s.task_seq = t.seq
                                        AND s.epoch = e.value ->> 1 AND s.kind = 'settle')
              WHERE true
             ON CONFLICT (task_seq, epoch, kind, worker) DO NOTHING",
            batch,
            now
        )
        .execute(&mut **tx)
        .await
        .map_err(db)?;
        Ok(())
    }
}
