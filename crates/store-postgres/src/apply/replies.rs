//! Answers and grades of reports.

use super::Known;
use crate::{
    Tx,
    codec::{NO_EXAMPLE, columns, int, of_hash, plain, reply_columns},
    fault::{Fault, db},
    time::Micros,
};
use domain::{call::Answer, grade::Grade};
use sqlx::query;
use store::{Result, changes::Accepted};
use uuid::Uuid;
use wire::ReportItem;

struct AnswerRow<'a> {
    task_seq: i64,
    place: i64,
    key: Uuid,
    text: Option<String>,
    json: Option<String>,
    answer: &'a Answer,
    worker: &'a str,
}

impl<'a> AnswerRow<'a> {
    fn of(task: &Accepted<'a>, item: &'a ReportItem, answer: &'a Answer) -> Result<Self> {
        let (text, json) = reply_columns(&answer.reply)?;
        Ok(Self {
            task_seq: task.seq,
            place: item.place.into(),
            key: of_hash(item.key),
            text,
            json,
            answer,
            worker: &task.report.worker,
        })
    }
}

/// Stores answers, each once; returns how many were new. An item is matched by task, place and key, so that a
/// report can only answer what was planned. In the order of their keys, because two reports may bring the same
/// ones, and of the batch: the first answer to a question holds.
pub async fn store_answers(tx: &mut Tx, known: &[Known<'_>], now: i64) -> Result<u64, Fault> {
    let mut rows = Vec::new();
    for k in known {
        for item in &k.task.report.items {
            if let Some(answer) = &item.answer {
                rows.push(AnswerRow::of(&k.task, item, answer)?);
            }
        }
    }
    if rows.is_empty() {
        return Ok(0);
    }
    columns!(rows =>
        tasks: |r| r.task_seq,
        places: |r| r.place,
        keys: |r| r.key,
        texts: |r| r.text.as_deref(),
        jsons: |r| r.json.as_deref(),
        read: |r| int(r.answer.usage.prompt_tokens),
        written: |r| int(r.answer.usage.completion_tokens),
        costs: |r| int(r.answer.cost_micros),
        workers: |r| plain(r.worker),
    );
    let insert = query!(
        "INSERT INTO answers (key, model, reply_text, reply_json, prompt_tokens, completion_tokens,
                              cost_micros, worker, created_at)
         SELECT i.key, t.model, e.text, e.json::json, e.read, e.written, e.cost, e.worker, $10
           FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                       $8::bigint[], $9::text[]) WITH ORDINALITY
                e (task_seq, place, key, text, json, read, written, cost, worker, nth)
           JOIN items i ON i.task_seq = e.task_seq AND i.place = e.place AND i.key = e.key
           JOIN tasks t ON t.seq = i.task_seq
          ORDER BY i.key, e.nth
         ON CONFLICT (key) DO NOTHING",
        &tasks,
        &places,
        &keys,
        &texts as &[Option<&str>],
        &jsons as &[Option<&str>],
        &read,
        &written,
        &costs,
        &workers,
        Micros(now)
    );
    Ok(db(insert.execute(&mut **tx)).await?.rows_affected())
}

struct GradeRow<'a> {
    task_seq: i64,
    place: i64,
    key: Uuid,
    /// The reply that came with it, if one did.
    reply: Option<(Option<String>, Option<String>)>,
    grade: &'a Grade,
}

impl<'a> GradeRow<'a> {
    fn of(task_seq: i64, item: &ReportItem, grade: &'a Grade) -> Result<Self> {
        let reply = item.answer.as_ref().map(|a| reply_columns(&a.reply));
        Ok(Self {
            task_seq,
            place: item.place.into(),
            key: of_hash(item.key),
            reply: reply.transpose()?,
            grade,
        })
    }
}

/// Stores the grades of accepted reports, each once. A grade counts only for the answer that is stored:
/// when another worker's answer to the same question came first, this report's grade is of another text
/// and is left out (the item stays open, and the stored reply is graded in the next attempt).
pub async fn store_grades(tx: &mut Tx, accepted: &[Accepted<'_>], now: i64) -> Result<(), Fault> {
    let mut rows = Vec::new();
    for task in accepted {
        for item in &task.report.items {
            if let Some(grade) = &item.grade {
                rows.push(GradeRow::of(task.seq, item, grade)?);
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    insert_grades(tx, &rows, now).await
}

async fn insert_grades(tx: &mut Tx, rows: &[GradeRow<'_>], now: i64) -> Result<(), Fault> {
    // A zero keeps no sign, as in the other store.
    columns!(rows =>
        tasks: |r| r.task_seq,
        places: |r| r.place,
        keys: |r| r.key,
        replied: |r| r.reply.is_some(),
        texts: |r| r.reply.as_ref().and_then(|reply| reply.0.as_deref()),
        jsons: |r| r.reply.as_ref().and_then(|reply| reply.1.as_deref()),
        values: |r| r.grade.value + 0.0,
        raws: |r| r.grade.raw.map(|x| x + 0.0),
        margins: |r| r.grade.margin.map(|x| x + 0.0),
        feedbacks: |r| plain(&r.grade.feedback),
    );
    let insert = query!(
        "INSERT INTO grades (answer_seq, example_id, grader, grader_version, value, raw, margin, feedback,
                             created_at)
         SELECT a.seq, coalesce(i.example_id, $12), i.grader, i.grader_version, e.value, e.raw, e.margin, e.feedback,
                $11
           FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::boolean[], $5::text[], $6::text[], $7::float8[],
                       $8::float8[], $9::float8[], $10::text[]) WITH ORDINALITY
                e (task_seq, place, key, replied, text, json, value, raw, margin, feedback, nth)
           JOIN items i ON i.task_seq = e.task_seq AND i.place = e.place AND i.key = e.key
           JOIN answers a ON a.key = i.key
          WHERE i.grader IS NOT NULL
            AND (NOT e.replied OR (a.reply_text IS NOT DISTINCT FROM e.text
                                   AND a.reply_json::text IS NOT DISTINCT FROM e.json))
          ORDER BY a.seq, 2, i.grader, i.grader_version, e.nth
         ON CONFLICT (answer_seq, example_id, grader, grader_version) DO NOTHING",
        &tasks,
        &places,
        &keys,
        &replied,
        &texts as &[Option<&str>],
        &jsons as &[Option<&str>],
        &values,
        &raws as &[Option<f64>],
        &margins as &[Option<f64>],
        &feedbacks,
        Micros(now),
        NO_EXAMPLE
    );
    db(insert.execute(&mut **tx)).await?;
    Ok(())
}
