//! Reports: what came back, under the fence `(task, epoch, open state)`.
//!
//! The order within the transaction matters: answers, then grades (which refer to answers), then items
//! (which are done when both are stored), then tasks (which are done when their items are), then money.

use crate::{
    Tx,
    codec::{At, db, int, plain, reply_columns, rows},
    ledger::Settlement,
    tasks::close_done,
};
use domain::{call::Answer, grade::Grade, hash::Hash, ids::RunId, run::TaskState};
use serde::Serialize;
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::{Applied, Result, RetryPolicy};
use wire::{Action, Report, ReportItem};

/// A report whose task is stored.
struct Known<'a> {
    report: &'a Report,
    seq: i64,
    run: RunId,
    attempts: u32,
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
    let accepted: Vec<&Known<'_>> = known.iter().filter(|k| k.accepted).collect();
    let mut applied = Applied {
        accepted: accepted.len() as u64,
        stale: (reports.len() - accepted.len()) as u64,
        ..Applied::default()
    };
    applied.answers = store_answers(tx, &known, now).await?;
    store_grades(tx, &accepted, now).await?;
    close_items(tx, &accepted, &mut applied).await?;
    let mut open = open_places(tx, &accepted).await?;
    let mut done = Vec::new();
    for task in accepted {
        let verdict = Verdict::of(task.report, open.remove(&task.seq).unwrap_or_default());
        for (item, message) in &verdict.given_up {
            give_up(tx, task.seq, item, message).await?;
            trouble(&mut applied.trouble, task.run, message);
        }
        match verdict.next {
            Next::Done => done.push((task.seq, task.report.worker.as_str())),
            next => send_back(tx, task, next, policy, now, &mut applied).await?,
        }
    }
    close_tasks(tx, &done, now).await?;
    let mut settlement = Settlement::default();
    for k in &known {
        settlement.book(k.seq, k.report);
    }
    settlement.write(tx, now).await?;
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
        out.push(Known {
            report,
            seq: row.seq,
            run: at.id(&row.run_id)?,
            attempts: at.number(row.attempts)?,
            accepted: open && row.epoch == i64::from(report.epoch) && seen.insert(row.seq),
        });
    }
    Ok(out)
}

/// An answer: task, place, key; text, JSON; tokens read and written, cost, worker.
#[derive(Serialize)]
struct AnswerRow<'a>(
    (i64, u32, Hash),
    (Option<String>, Option<String>),
    (i64, i64, i64, &'a str),
);

impl<'a> AnswerRow<'a> {
    fn of(known: &Known<'a>, item: &ReportItem, answer: &Answer) -> Result<Self> {
        let u = answer.usage;
        let (read, written) = (int(u.prompt_tokens), int(u.completion_tokens));
        Ok(Self(
            (known.seq, item.place, item.key),
            reply_columns(&answer.reply)?,
            (read, written, int(answer.cost_micros), &known.report.worker),
        ))
    }
}

/// Stores answers, each once. An item is matched by task, place and key, so that a report can only answer
/// what was planned.
async fn store_answers(tx: &mut Tx, known: &[Known<'_>], now: i64) -> Result<u64> {
    let mut batch = Vec::new();
    for k in known {
        for item in &k.report.items {
            if let Some(answer) = &item.answer {
                batch.push(AnswerRow::of(k, item, answer)?);
            }
        }
    }
    let batch = rows(&batch)?;
    let stored = query!(
        "INSERT INTO answers (key, model, reply_text, reply_json, prompt_tokens, completion_tokens,
                              cost_micros, worker, created_at)
         SELECT i.key, t.model, e.value ->> '$[1][0]', e.value ->> '$[1][1]', e.value ->> '$[2][0]',
                e.value ->> '$[2][1]', e.value ->> '$[2][2]', e.value ->> '$[2][3]', ?2
           FROM jsonb_each(?1) e
           CROSS JOIN items i INDEXED BY items_task
                   ON i.task_seq = e.value ->> '$[0][0]' AND i.place = e.value ->> '$[0][1]'
           CROSS JOIN tasks t ON t.seq = i.task_seq
          WHERE i.key = e.value ->> '$[0][2]'
         ON CONFLICT (key) DO NOTHING",
        batch,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(stored.rows_affected())
}

/// Stores the grades of accepted reports, each once; one by one, because a number in a batch's text would
/// not come back to the last bit. A grade counts only for the answer that is stored: when another worker's
/// answer to the same question came first, this report's grade is of another text and is left out (the
/// item stays open, and the stored reply is graded in the next attempt).
async fn store_grades(tx: &mut Tx, accepted: &[&Known<'_>], now: i64) -> Result<()> {
    for k in accepted {
        for item in &k.report.items {
            if let Some(grade) = &item.grade {
                let answer = item.answer.as_ref();
                let reply = answer.map(|a| reply_columns(&a.reply)).transpose()?;
                store_grade(tx, (k.seq, item), grade, reply, now).await?;
            }
        }
    }
    Ok(())
}

async fn store_grade(
    tx: &mut Tx,
    (task_seq, item): (i64, &ReportItem),
    grade: &Grade,
    reply: Option<(Option<String>, Option<String>)>,
    now: i64,
) -> Result<()> {
    let key = item.key.to_string();
    let feedback = plain(&grade.feedback);
    let asked = reply.is_some();
    let (text, json) = reply.unwrap_or_default();
    // A zero keeps no sign in the database.
    let value = grade.value + 0.0;
    let [raw, margin] = [grade.raw, grade.margin].map(|n| n.map(|n| n + 0.0));
    query!(
        "INSERT INTO grades (answer_key, example_id, grader, grader_version, value, raw, margin, feedback,
                             created_at)
         SELECT i.key, coalesce(i.example_id, ''), i.grader, i.grader_version, ?4, ?5, ?6, ?7, ?8
           FROM items i INDEXED BY items_task
           CROSS JOIN answers a ON a.key = i.key
          WHERE i.task_seq = ?1 AND i.place = ?2 AND i.key = ?3 AND i.grader IS NOT NULL
            AND (NOT ?9 OR (a.reply_text IS ?10 AND a.reply_json IS ?11))
         ON CONFLICT (answer_key, example_id, grader, grader_version) DO NOTHING",
        task_seq,
        item.place,
        key,
        value,
        raw,
        margin,
        feedback,
        now,
        asked,
        text,
        json
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Closes every open item, of any task and run, that the accepted reports' keys answer.
async fn close_items(tx: &mut Tx, accepted: &[&Known<'_>], applied: &mut Applied) -> Result<()> {
    let items = accepted.iter().flat_map(|k| &k.report.items);
    let keys = rows(&items.map(|i| i.key).collect::<Vec<_>>())?;
    applied.items_done += query!(
        "UPDATE items INDEXED BY items_open_key SET state = 'done'
          WHERE state = 'open' AND key IN (SELECT value FROM json_each(?1))
            AND EXISTS (SELECT 1 FROM answers a WHERE a.key = items.key)
            AND (grader IS NULL OR EXISTS (
                 SELECT 1 FROM grades g
                  WHERE g.answer_key = items.key AND g.example_id = coalesce(items.example_id, '')
                    AND g.grader = items.grader AND g.grader_version = items.grader_version))",
        keys
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?
    .rows_affected();
    Ok(())
}

/// Places and keys of the items that are still open, by task.
async fn open_places(tx: &mut Tx, accepted: &[&Known<'_>]) -> Result<HashMap<i64, Places>> {
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

/// The key asked at each place.
type Places = HashMap<u32, Hash>;

/// What a report means for its task.
struct Verdict<'a> {
    given_up: Vec<(&'a ReportItem, &'a str)>,
    next: Next<'a>,
}

/// Where the task goes.
enum Next<'a> {
    /// Every item is done or given up.
    Done,
    /// Some items failed: again later, as one attempt more.
    Retry { after_ms: u64, message: &'a str },
    /// Some replies were kept but not their grades: again at once, and not held against the task.
    Regrade,
    /// No call can work: the task waits for the run to go on.
    Stop { message: &'a str },
}

impl<'a> Verdict<'a> {
    /// `open` are the items that neither this report nor another one closed.
    fn of(report: &'a Report, mut open: Places) -> Self {
        let mut given_up = Vec::new();
        let mut next = Next::Done;
        for item in &report.items {
            let Some(key) = open.remove(&item.place) else {
                continue;
            };
            let error = item.error.as_ref();
            next = match error.map(|e| (e.action, e.message.as_str())) {
                Some((Action::GiveUp, message)) => {
                    given_up.push((item, message));
                    next
                }
                Some((Action::StopRun, message)) => next.stop(message),
                Some((Action::Retry { after_ms }, message)) => next.retry(after_ms, message),
                None if item.answer.is_some() && item.key == key => next.regrade(),
                None => next.retry(
                    0,
                    "a worker reported an item that it was not asked, or no answer",
                ),
            };
        }
        if !open.is_empty() {
            next = next.retry(0, "a worker left an item out of its report");
        }
        Self { given_up, next }
    }
}

/// The gravest holds: stop, then retry, then regrade.
impl<'a> Next<'a> {
    /// The first message holds.
    fn stop(self, message: &'a str) -> Self {
        match self {
            Next::Stop { message } => Next::Stop { message },
            _ => Next::Stop { message },
        }
    }

    /// The longest wait and the first message hold.
    fn retry(self, after_ms: u64, message: &'a str) -> Self {
        match self {
            Next::Stop { message } => Next::Stop { message },
            Next::Retry {
                after_ms: other,
                message,
            } => Next::Retry {
                after_ms: after_ms.max(other),
                message,
            },
            Next::Done | Next::Regrade => Next::Retry { after_ms, message },
        }
    }

    fn regrade(self) -> Self {
        match self {
            Next::Done => Next::Regrade,
            next => next,
        }
    }
}

/// Gives an item up, and the items of its step that waited for its answer.
async fn give_up(tx: &mut Tx, task_seq: i64, item: &ReportItem, message: &str) -> Result<()> {
    let message = plain(message);
    let key = item.key.to_string();
    query!(
        "UPDATE items INDEXED BY items_open_key SET state = 'given_up', reason = ?4
          WHERE state = 'open' AND key = ?3 AND task_seq IS NULL
            AND EXISTS (SELECT 1 FROM items t INDEXED BY items_task
                         WHERE t.task_seq = ?1 AND t.place = ?2 AND t.round_id = items.round_id
                           AND (items.grader IS NULL OR (items.grader = t.grader
                                AND items.grader_version = t.grader_version
                                AND items.example_id IS t.example_id)))",
        task_seq,
        item.place,
        key,
        message
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "UPDATE items INDEXED BY items_task SET state = 'given_up', reason = ?3
          WHERE task_seq = ?1 AND place = ?2 AND state = 'open'",
        task_seq,
        item.place,
        message
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Plans the task again under the next epoch, or declares it dead.
async fn send_back(
    tx: &mut Tx,
    task: &Known<'_>,
    next: Next<'_>,
    policy: RetryPolicy,
    now: i64,
    applied: &mut Applied,
) -> Result<()> {
    let (attempts, wait, message) = match next {
        Next::Done => return Ok(()),
        Next::Regrade => (task.attempts, 0, None),
        Next::Stop { message } => {
            first_of_run(&mut applied.stop, task.run, message);
            (task.attempts, 0, Some(plain(message)))
        }
        Next::Retry { after_ms, message } => {
            let wait = back_off(policy, task.attempts).max(int(after_ms).saturating_mul(1000));
            let attempts = task.attempts.saturating_add(1);
            if attempts >= policy.max_attempts {
                let message = plain(&format!("{message} (given up after {attempts} attempts)"));
                trouble(&mut applied.trouble, task.run, &message);
                return die(tx, task, attempts, &message, now).await;
            }
            trouble(&mut applied.trouble, task.run, message);
            (attempts, wait, Some(plain(message)))
        }
    };
    plan_again(tx, task, attempts, now.saturating_add(wait), message).await
}

/// The first back-off, doubled for each attempt before, at most the longest.
fn back_off(policy: RetryPolicy, attempts: u32) -> i64 {
    let factor = 1i64
        .checked_shl(attempts)
        .filter(|f| *f > 0)
        .unwrap_or(i64::MAX);
    policy
        .backoff
        .saturating_mul(factor)
        .min(policy.max_backoff)
}

async fn plan_again(
    tx: &mut Tx,
    task: &Known<'_>,
    attempts: u32,
    not_before: i64,
    reason: Option<String>,
) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'planned', epoch = epoch + 1, attempts = ?3, not_before = ?4,
                claimed_at = NULL, dispatched_at = NULL, reason = ?5
          WHERE seq = ?1 AND epoch = ?2 AND state IN ('planned', 'dispatched')",
        task.seq,
        task.report.epoch,
        attempts,
        not_before,
        reason
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!(
        "INSERT INTO outbox (task_seq, run_id, due) SELECT seq, run_id, ?2 FROM tasks WHERE seq = ?1
         ON CONFLICT (task_seq) DO UPDATE SET due = excluded.due",
        task.seq,
        not_before
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

async fn die(tx: &mut Tx, task: &Known<'_>, attempts: u32, reason: &str, now: i64) -> Result<()> {
    query!(
        "UPDATE tasks SET state = 'dead', attempts = ?3, closed_at = ?4, worker = ?5, reason = ?6
          WHERE seq = ?1 AND epoch = ?2 AND state IN ('planned', 'dispatched')",
        task.seq,
        task.report.epoch,
        attempts,
        now,
        task.report.worker,
        reason
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    query!("DELETE FROM outbox WHERE task_seq = ?1", task.seq)
        .execute(&mut **tx)
        .await
        .map_err(db)?;
    Ok(())
}

/// Closes the tasks of each worker.
async fn close_tasks(tx: &mut Tx, done: &[(i64, &str)], now: i64) -> Result<()> {
    let mut by_worker: HashMap<&str, Vec<i64>> = HashMap::new();
    for (seq, worker) in done {
        by_worker.entry(worker).or_default().push(*seq);
    }
    for (worker, seqs) in by_worker {
        close_done(tx, &rows(&seqs)?, worker, now).await?;
    }
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
