//! Answers and grades of reports.

use super::{Known, Reported, Seat, items::Planned, reported};
use crate::{
    Tx,
    codec::{columns, int, plain, reply_columns},
    fault::{Fault, db},
    time::Micros,
};
use domain::{call::Answer, grade::Grade};
use sqlx::query;
use std::collections::{HashMap, HashSet};
use store::Result;
use uuid::Uuid;

/// A stored answer, by the columns of its reply.
#[derive(Debug)]
pub struct Stored {
    seq: i64,
    reply: Columns,
}

/// Text and JSON.
type Columns = (Option<String>, Option<String>);

/// Stored answers by key.
pub type Answers = HashMap<Uuid, Stored>;

struct AnswerRow<'a> {
    key: Uuid,
    reply: Columns,
    answer: &'a Answer,
    model: &'a str,
    worker: &'a str,
}

/// The answers of reports, each key once: the first answer to a question holds. In the order of their keys, because two
/// reports may bring the same ones.
fn answer_rows<'a>(
    known: &'a [Known<'a>],
    planned: &'a HashMap<Seat, Planned>,
) -> Result<Vec<AnswerRow<'a>>> {
    let mut rows = Vec::new();
    for k in known {
        for Reported { item, planned, .. } in reported(&[k], planned) {
            if let Some(answer) = &item.answer {
                rows.push(AnswerRow {
                    key: planned.key,
                    reply: reply_columns(&answer.reply)?,
                    answer,
                    model: &k.model,
                    worker: &k.task.report.worker,
                });
            }
        }
    }
    // Stable: equal keys stay in the order of the batch.
    rows.sort_by_key(|row| row.key);
    rows.dedup_by_key(|row| row.key);
    Ok(rows)
}

/// Stores answers, each once; returns those that were new.
pub async fn store_answers(
    tx: &mut Tx,
    known: &[Known<'_>],
    planned: &HashMap<Seat, Planned>,
    now: i64,
) -> Result<Answers, Fault> {
    let rows = answer_rows(known, planned)?;
    if rows.is_empty() {
        return Ok(Answers::new());
    }
    columns!(rows =>
        keys: |r| r.key,
        models: |r| r.model,
        texts: |r| r.reply.0.as_deref(),
        jsons: |r| r.reply.1.as_deref(),
        read: |r| int(r.answer.usage.prompt_tokens),
        written: |r| int(r.answer.usage.completion_tokens),
        costs: |r| int(r.answer.cost_micros),
        workers: |r| plain(r.worker),
    );
    let insert = query!(
        "INSERT INTO answers (key, model, reply_text, reply_json, prompt_tokens, completion_tokens,
                              cost_micros, worker, created_at)
         SELECT e.key, e.model, e.text, e.json::json, e.read, e.written, e.cost, e.worker, $9
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                       $7::bigint[], $8::text[])
                e (key, model, text, json, read, written, cost, worker)
         ON CONFLICT (key) DO NOTHING RETURNING seq, key",
        &keys,
        &models as &[&str],
        &texts as &[Option<&str>],
        &jsons as &[Option<&str>],
        &read,
        &written,
        &costs,
        &workers,
        Micros(now)
    );
    let new = db(insert.fetch_all(&mut **tx)).await?;
    let new: HashMap<Uuid, i64> = new.into_iter().map(|row| (row.key, row.seq)).collect();
    let stored = rows.into_iter().filter_map(|row| {
        let seq = *new.get(&row.key)?;
        let reply = row.reply;
        Some((row.key, Stored { seq, reply }))
    });
    Ok(stored.collect())
}

/// Finds the answers that were stored before, of items that say something of one.
pub async fn find_answers(
    tx: &mut Tx,
    reported: &[Reported<'_>],
    answers: &mut Answers,
) -> Result<(), Fault> {
    let says = |r: &&Reported<'_>| r.item.answer.is_some() || r.item.grade.is_some();
    let keys = reported.iter().filter(says).map(|r| r.planned.key);
    let keys: Vec<Uuid> = keys.filter(|key| !answers.contains_key(key)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let found = query!(
        "SELECT key, seq, reply_text, reply_json::text AS reply_json FROM answers WHERE key = ANY($1)",
        &keys
    );
    let found = db(found.fetch_all(&mut **tx)).await?;
    answers.extend(found.into_iter().map(|row| {
        let reply = (row.reply_text, row.reply_json);
        let seq = row.seq;
        (row.key, Stored { seq, reply })
    }));
    Ok(())
}

struct GradeRow<'a> {
    answer_seq: i64,
    example: Uuid,
    grader: &'a (String, String),
    grade: &'a Grade,
}

impl GradeRow<'_> {
    fn key(&self) -> (i64, Uuid, &(String, String)) {
        (self.answer_seq, self.example, self.grader)
    }
}

/// Stores the grades of accepted reports, each once, and says at which places they are stored. A grade counts only for the
/// answer that is stored: when another worker's answer to the same question came first, this report's grade is of another
/// text and is left out (the item stays open, and the stored reply is graded in the next attempt).
pub async fn store_grades(
    tx: &mut Tx,
    reported: &[Reported<'_>],
    answers: &Answers,
    now: i64,
) -> Result<HashSet<Seat>, Fault> {
    let (mut rows, mut graded) = (Vec::new(), HashSet::new());
    for Reported {
        place,
        item,
        planned,
    } in reported
    {
        let (Some(grade), Some(grader)) = (&item.grade, &planned.grader) else {
            continue;
        };
        let Some(stored) = answers.get(&planned.key) else {
            continue;
        };
        let other = match &item.answer {
            Some(answer) => reply_columns(&answer.reply)? != stored.reply,
            None => false,
        };
        if !other {
            graded.insert(*place);
            rows.push(GradeRow {
                answer_seq: stored.seq,
                example: planned.example,
                grader,
                grade,
            });
        }
    }
    // Stable: of equal ones the first of the batch holds.
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    if !rows.is_empty() {
        insert_grades(tx, &rows, now).await?;
    }
    Ok(graded)
}

async fn insert_grades(tx: &mut Tx, rows: &[GradeRow<'_>], now: i64) -> Result<(), Fault> {
    // A zero keeps no sign, as in the other store.
    columns!(rows =>
        answers: |r| r.answer_seq,
        examples: |r| r.example,
        graders: |r| r.grader.0.as_str(),
        versions: |r| r.grader.1.as_str(),
        values: |r| r.grade.value + 0.0,
        raws: |r| r.grade.raw.map(|x| x + 0.0),
        margins: |r| r.grade.margin.map(|x| x + 0.0),
        feedbacks: |r| plain(&r.grade.feedback),
    );
    let insert = query!(
        "INSERT INTO grades (answer_seq, example_id, grader, grader_version, value, raw, margin, feedback,
                             created_at)
         SELECT e.*, $9
           FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::float8[],
                       $8::text[]) e
         ON CONFLICT (answer_seq, example_id, grader, grader_version) DO NOTHING",
        &answers,
        &examples,
        &graders as &[&str],
        &versions as &[&str],
        &values,
        &raws as &[Option<f64>],
        &margins as &[Option<f64>],
        &feedbacks,
        Micros(now)
    );
    db(insert.execute(&mut **tx)).await?;
    Ok(())
}
