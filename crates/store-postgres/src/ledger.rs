//! The ledger: what is reserved before dispatch, settled by reports, and left charged by losses.

use crate::{
    Tx,
    codec::{At, columns, int, plain},
    fault::{Fault, db},
    time::Micros,
};
use domain::{ids::RunId, run::Spend};
use sqlx::{PgConnection, query, query_scalar};
use std::collections::{HashMap, HashSet};
use store::{budget::used, changes::Accepted};

/// What a run has used, reservations included.
pub async fn spend(conn: &mut PgConnection, run: RunId) -> Result<Spend, Fault> {
    let row = query!(
        "SELECT calls, tokens, cost_micros FROM run_spend WHERE run_id = $1",
        run.0
    );
    let row = db(row.fetch_optional(conn)).await?;
    let id = run.to_string();
    let at = At("run_spend", &id);
    let row = row.ok_or_else(|| at.corrupt("the run is not stored"))?;
    Ok(Spend {
        calls: at.number(row.calls)?,
        tokens: at.number(row.tokens)?,
        cost_micros: at.number(row.cost_micros)?,
    })
}

/// Until the end of the transaction nobody else reserves for the run.
pub async fn lock(tx: &mut Tx, run: RunId) -> Result<(), Fault> {
    let row = query_scalar!(
        "SELECT run_id FROM run_spend WHERE run_id = $1 FOR NO KEY UPDATE",
        run.0
    );
    db(row.fetch_optional(&mut **tx)).await?;
    Ok(())
}

/// Reserves the worst case of tasks for their present epochs.
pub async fn reserve(tx: &mut Tx, seqs: &[i64], now: i64) -> Result<(), Fault> {
    let rows = query!(
        "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
         SELECT run_id, seq, epoch, 'reserve', worst_calls, worst_tokens, worst_cost_micros, $2
           FROM tasks WHERE seq = ANY($1)",
        seqs,
        Micros(now)
    );
    db(rows.execute(&mut **tx)).await?;
    Ok(())
}

/// Says of the present epochs of tasks that nobody knows what became of them: what they had reserved stays charged.
pub async fn expire(tx: &mut Tx, seqs: &[i64], now: i64) -> Result<(), Fault> {
    let rows = query!(
        "INSERT INTO ledger (run_id, task_seq, epoch, kind, calls, tokens, cost_micros, created_at)
         SELECT run_id, seq, epoch, 'expire', 0, 0, 0, $2 FROM tasks WHERE seq = ANY($1)",
        seqs,
        Micros(now) as Micros
    );
    db(rows.execute(&mut **tx)).await?;
    Ok(())
}

/// Reports to be settled. The first report of an attempt gives back its reservation; one of another worker
/// (the queue delivered the attempt twice) is charged in full; the same report again changes nothing.
#[derive(Default)]
pub struct Settlement<'a> {
    attempts: HashMap<(i64, u32), HashSet<&'a str>>,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    run: RunId,
    task_seq: i64,
    epoch: u32,
    worker: &'a str,
    /// Whether the ledger is asked for a reservation, which is then given back.
    asks: bool,
    /// What is given back in any case.
    back: Spend,
    used: Spend,
}

impl<'a> Settlement<'a> {
    /// Books a report of a task, with its reservation where that is known to be there and not settled. Who declined an
    /// attempt says nothing of what others did under it.
    pub fn book(&mut self, task: &Accepted<'a>, reserved: Option<Spend>) {
        let (task_seq, report) = (task.seq, task.report);
        if report.counted.declined {
            return;
        }
        let workers = self.attempts.entry((task_seq, report.epoch)).or_default();
        let first = workers.is_empty();
        if workers.insert(&report.worker) {
            self.rows.push(Row {
                run: task.run,
                task_seq,
                epoch: report.epoch,
                worker: &report.worker,
                asks: first && reserved.is_none(),
                back: reserved.filter(|_| first).unwrap_or_default(),
                used: used(report),
            });
        }
    }

    /// Writes the rows. What was settled by earlier batches is seen here: the tasks are locked.
    pub async fn write(self, tx: &mut Tx, now: i64) -> Result<(), Fault> {
        columns!(self.rows =>
            runs: |r| r.run.0,
            tasks: |r| r.task_seq,
            epochs: |r| i64::from(r.epoch),
            workers: |r| plain(r.worker),
            asks: |r| r.asks,
            calls: |r| int(r.used.calls) - int(r.back.calls),
            tokens: |r| int(r.used.tokens) - int(r.back.tokens),
            costs: |r| int(r.used.cost_micros) - int(r.back.cost_micros),
        );
        let rows = query!(
            "INSERT INTO ledger (run_id, task_seq, epoch, kind, worker, calls, tokens, cost_micros, created_at)
             SELECT e.run_id, e.task_seq, e.epoch, 'settle', e.worker, e.calls - coalesce(r.calls, 0),
                    e.tokens - coalesce(r.tokens, 0), e.cost - coalesce(r.cost_micros, 0), $8
               FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[],
                           $7::bigint[], $9::uuid[]) e (task_seq, epoch, worker, asks, calls, tokens, cost, run_id)
               LEFT JOIN LATERAL (
                    SELECT * FROM ledger r
                     WHERE r.task_seq = e.task_seq AND r.epoch = e.epoch AND r.kind = 'reserve' AND r.worker = ''
                       AND e.asks AND (SELECT true FROM ledger s WHERE s.task_seq = e.task_seq AND s.epoch = e.epoch
                                           AND s.kind = 'settle' LIMIT 1) IS NULL
                     LIMIT 1) r ON true
             ON CONFLICT (task_seq, epoch, kind, worker) DO NOTHING",
            &tasks,
            &epochs,
            &workers,
            &asks,
            &calls,
            &tokens,
            &costs,
            Micros(now),
            &runs
        );
        db(rows.execute(&mut **tx)).await?;
        Ok(())
    }
}
