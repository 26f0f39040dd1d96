//! Answers and grades of reports.

use super::{Known, exact::exact};
use crate::{
    Tx,
    codec::{db, int, plain, reply_columns, rows},
};
use domain::{call::Answer, grade::Grade, hash::Hash};
use serde::Serialize;
use sqlx::query;
use store::{Result, changes::Accepted};
use wire::ReportItem;

/// An answer: task, place, key; text, JSON; tokens read and written, cost, worker.
#[derive(Serialize)]
struct AnswerRow<'a>(
    (i64, u32, Hash),
    (Option<String>, Option<String>),
    (i64, i64, i64, &'a str),
);

impl<'a> AnswerRow<'a> {
    fn of(known: &Accepted<'a>, item: &ReportItem, answer: &Answer) -> Result<Self> {
        let u = answer.usage;
        let (read, written) = (int(u.prompt_tokens), int(u.completion_tokens));
        Ok(Self(
            (known.seq, item.place, item.key),
            reply_columns(&answer.reply)?,
            (read, written, int(answer.cost_micros), &known.report.worker),
        ))
    }
}

/// Stores answers, each once; returns how many were new. An item is matched by task, place and key, so that a report can only answer
/// what was planned.
pub async fn store_answers(tx: &mut Tx, known: &[Known<'_>], now: i64) -> Result<u64> {
    let mut batch = Vec::new();
    for k in known {
        for item in &k.task.report.items {
            if let Some(answer) = &item.answer {
                batch.push(AnswerRow::of(&k.task, item, answer)?);
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

/// A grade: task, place, key; whether an answer came with it, and its text and JSON; value, raw, margin
/// (each an exact fraction); feedback.
#[derive(Serialize)]
struct GradeRow(
    (i64, u32, Hash),
    (bool, Option<String>, Option<String>),
    [Option<(i64, u32, u32)>; 3],
    String,
);

/// A grade that has a number which is no such fraction: it is stored by itself.
struct Odd<'a> {
    row: GradeRow,
    grade: &'a Grade,
}

/// Stores the grades of accepted reports, each once. A grade counts only for the answer that is stored:
/// when another worker's answer to the same question came first, this report's grade is of another text
/// and is left out (the item stays open, and the stored reply is graded in the next attempt).
pub async fn store_grades(tx: &mut Tx, accepted: &[Accepted<'_>], now: i64) -> Result<()> {
    let (mut batch, mut odd) = (Vec::new(), Vec::new());
    for k in accepted {
        for item in &k.report.items {
            let Some(grade) = &item.grade else { continue };
            let numbers = [Some(grade.value), grade.raw, grade.margin];
            let fractions = numbers.map(|n| n.and_then(exact));
            let row = grade_row(k.seq, item, grade, fractions)?;
            match numbers
                .iter()
                .zip(fractions)
                .all(|(n, f)| n.is_some() == f.is_some())
            {
                true => batch.push(row),
                false => odd.push(Odd { row, grade }),
            }
        }
    }
    insert_grades(tx, &batch, now).await?;
    for odd in &odd {
        insert_odd(tx, odd, now).await?;
    }
    Ok(())
}

fn grade_row(
    task_seq: i64,
    item: &ReportItem,
    grade: &Grade,
    fractions: [Option<(i64, u32, u32)>; 3],
) -> Result<GradeRow> {
    let reply = item
        .answer
        .as_ref()
        .map(|a| reply_columns(&a.reply))
        .transpose()?;
    let asked = reply.is_some();
    let (text, json) = reply.unwrap_or_default();
    let place = (task_seq, item.place, item.key);
    Ok(GradeRow(
        place,
        (asked, text, json),
        fractions,
        plain(&grade.feedback),
    ))
}

/// A number comes as `[m, a, b]` and is `m / 2^a / 2^b`: divisions by powers of two are exact.
async fn insert_grades(tx: &mut Tx, batch: &[GradeRow], now: i64) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let batch = rows(batch)?;
    query!(
        "INSERT INTO grades (answer_seq, example_id, grader, grader_version, value, raw, margin, feedback,
                             created_at)
         SELECT a.seq, coalesce(i.example_id, ''), i.grader, i.grader_version,
                (e.value ->> '$[2][0][0]') * 1.0 / (1 << (e.value ->> '$[2][0][1]'))
                                                 / (1 << (e.value ->> '$[2][0][2]')),
                (e.value ->> '$[2][1][0]') * 1.0 / (1 << (e.value ->> '$[2][1][1]'))
                                                 / (1 << (e.value ->> '$[2][1][2]')),
                (e.value ->> '$[2][2][0]') * 1.0 / (1 << (e.value ->> '$[2][2][1]'))
                                                 / (1 << (e.value ->> '$[2][2][2]')),
                e.value ->> '$[3]', ?2
           FROM jsonb_each(?1) e
           CROSS JOIN items i INDEXED BY items_task
                   ON i.task_seq = e.value ->> '$[0][0]' AND i.place = e.value ->> '$[0][1]'
           CROSS JOIN answers a ON a.key = i.key
          WHERE i.key = e.value ->> '$[0][2]' AND i.grader IS NOT NULL
            AND (NOT e.value ->> '$[1][0]' OR (a.reply_text IS e.value ->> '$[1][1]'
                                           AND a.reply_json IS e.value ->> '$[1][2]'))
         ON CONFLICT (answer_seq, example_id, grader, grader_version) DO NOTHING",
        batch,
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

async fn insert_odd(tx: &mut Tx, odd: &Odd<'_>, now: i64) -> Result<()> {
    let GradeRow((task_seq, place, key), (asked, text, json), _, feedback) = &odd.row;
    let key = key.to_string();
    // A zero keeps no sign in the database.
    let value = odd.grade.value + 0.0;
    let [raw, margin] = [odd.grade.raw, odd.grade.margin].map(|n| n.map(|n| n + 0.0));
    query!(
        "INSERT INTO grades (answer_seq, example_id, grader, grader_version, value, raw, margin, feedback,
                             created_at)
         SELECT a.seq, coalesce(i.example_id, ''), i.grader, i.grader_version, ?4, ?5, ?6, ?7, ?8
           FROM items i INDEXED BY items_task
           CROSS JOIN answers a ON a.key = i.key
          WHERE i.task_seq = ?1 AND i.place = ?2 AND i.key = ?3 AND i.grader IS NOT NULL
            AND (NOT ?9 OR (a.reply_text IS ?10 AND a.reply_json IS ?11))
         ON CONFLICT (answer_seq, example_id, grader, grader_version) DO NOTHING",
        task_seq,
        place,
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
