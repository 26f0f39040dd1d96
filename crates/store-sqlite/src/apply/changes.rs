//! Where tasks go after their reports, collected and then written.

use super::{
    Known,
    verdict::{Next, Verdict, back_off},
};
use crate::{
    Tx,
    codec::{db, int, plain, rows},
    tasks::close_done,
};
use domain::ids::RunId;
use serde::Serialize;
use sqlx::query;
use store::{Applied, Result, RetryPolicy};

/// What a batch of reports changes.
#[derive(Default)]
pub struct Changes<'a> {
    /// Task and worker.
    done: Vec<(i64, &'a str)>,
    again: Vec<Again>,
    dead: Vec<Dead<'a>>,
    /// Task, place, reason.
    given_up: Vec<(i64, u32, String)>,
}

/// Task, epoch of the report, attempts, not before, reason.
#[derive(Serialize)]
struct Again(i64, u32, u32, i64, Option<String>);

/// Task, epoch of the report, attempts, worker, reason.
#[derive(Serialize)]
struct Dead<'a>(i64, u32, u32, &'a str, String);

impl<'a> Changes<'a> {
    /// Adds what follows from a report, and what people should hear of it.
    pub fn add(
        &mut self,
        task: &Known<'a>,
        verdict: Verdict<'_>,
        policy: RetryPolicy,
        now: i64,
        applied: &mut Applied,
    ) {
        for (place, message) in verdict.given_up {
            trouble(&mut applied.trouble, task.run, message);
            self.given_up.push((task.seq, place, plain(message)));
        }
        match verdict.next {
            Next::Done => self.done.push((task.seq, &task.report.worker)),
            Next::Regrade => self.plan(task, task.attempts, now, None),
            Next::Stop { message } => {
                first_of_run(&mut applied.stop, task.run, message);
                self.plan(task, task.attempts, now, Some(message));
            }
            Next::Retry { after_ms, message } => {
                let attempts = task.attempts.saturating_add(1);
                if attempts >= policy.max_attempts {
                    let message = format!("{message} (given up after {attempts} attempts)");
                    trouble(&mut applied.trouble, task.run, &message);
                    let (epoch, worker) = (task.report.epoch, task.report.worker.as_str());
                    self.dead
                        .push(Dead(task.seq, epoch, attempts, worker, plain(&message)));
                    return;
                }
                trouble(&mut applied.trouble, task.run, message);
                let asked = int(after_ms).saturating_mul(1000);
                let wait = back_off(policy, task.attempts).max(asked);
                self.plan(task, attempts, now.saturating_add(wait), Some(message));
            }
        }
    }

    fn plan(&mut self, task: &Known<'_>, attempts: u32, not_before: i64, reason: Option<&str>) {
        let epoch = task.report.epoch;
        self.again.push(Again(
            task.seq,
            epoch,
            attempts,
            not_before,
            reason.map(plain),
        ));
    }

    /// Writes them, items before tasks.
    pub async fn write(self, tx: &mut Tx, now: i64) -> Result<()> {
        if !self.given_up.is_empty() {
            give_up(tx, &rows(&self.given_up)?).await?;
        }
        if !self.done.is_empty() {
            close_done(tx, &rows(&self.done)?, now).await?;
        }
        if !self.again.is_empty() {
            plan_again(tx, &rows(&self.again)?).await?;
        }
        if !self.dead.is_empty() {
            die(tx, &rows(&self.dead)?, now).await?;
        }
        Ok(())
    }
}

/// Gives items up, and the items of their steps that waited for their answers.
async fn give_up(tx: &mut Tx, batch: &str) -> Result<()> {
    query!(
        "WITH lost AS MATERIALIZED (
             SELECT t.round_id, t.ordinal, e.value ->> 2 AS reason
               FROM jsonb_each(?1) e
               CROSS JOIN items t INDEXED BY items_task
                       ON t.task_seq = e.value ->> 0 AND t.place = e.value ->> 1
             UNION ALL
             SELECT w.round_id, w.ordinal, e.value ->> 2
               FROM jsonb_each(?1) e
               CROSS JOIN items t INDEXED BY items_task
                       ON t.task_seq = e.value ->> 0 AND t.place = e.value ->> 1
               CROSS JOIN items w INDEXED BY items_waiting ON w.key = t.key
              WHERE w.state = 'open' AND w.task_seq IS NULL AND w.round_id = t.round_id
                AND (w.grader IS NULL OR (w.grader = t.grader AND w.grader_version = t.grader_version
                                          AND w.example_id IS t.example_id)))
         UPDATE items SET state = 'given_up', reason = lost.reason
           FROM lost
          WHERE items.round_id = lost.round_id AND items.ordinal = lost.ordinal AND items.state = 'open'",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Plans tasks again under the next epoch.
async fn plan_again(tx: &mut Tx, batch: &str) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'planned', epoch = epoch + 1, attempts = e.value ->> 2,
                not_before = e.value ->> 3, claimed_at = NULL, dispatched_at = NULL, reason = e.value ->> 4
           FROM jsonb_each(?1) e
          WHERE tasks.seq = e.value ->> 0 AND tasks.epoch = e.value ->> 1
            AND tasks.state IN ('planned', 'dispatched')",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "INSERT INTO outbox (task_seq, run_id, due)
         SELECT t.seq, t.run_id, t.not_before
           FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.seq = e.value ->> 0
          WHERE true
         ON CONFLICT (task_seq) DO UPDATE SET due = excluded.due",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

async fn die(tx: &mut Tx, batch: &str, now: i64) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'dead', attempts = e.value ->> 2, closed_at = ?2, worker = e.value ->> 3,
                reason = e.value ->> 4
           FROM jsonb_each(?1) e
          WHERE tasks.seq = e.value ->> 0 AND tasks.epoch = e.value ->> 1
            AND tasks.state IN ('planned', 'dispatched')",
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
    Ok(())
}

/// One message for each run: the first.
fn first_of_run(list: &mut Vec<(RunId, String)>, run: RunId, message: &str) {
    if !list.iter().any(|(r, _)| *r == run) {
        list.push((run, message.to_owned()));
    }
}

/// Each message once.
fn trouble(list: &mut Vec<(RunId, String)>, run: RunId, message: &str) {
    if !list.iter().any(|(r, m)| *r == run && m == message) {
        list.push((run, message.to_owned()));
    }
}
