//! Steps, targets, candidates, tasks and items: what the planner writes.

use crate::{
    SqliteStore, Tx,
    codec::{At, db, int, plain, rows, text},
};
use async_trait::async_trait;
use domain::{
    candidate::{Candidate, Target, Verdict},
    ids::{CandidateId, RunId},
    run::{Item, Pair, RoundKind, Step, StepKey},
};
use serde::{Deserialize, Serialize};
use sqlx::{query, query_as, query_scalar};
use std::{borrow::Cow, collections::HashSet};
use store::{KeyQuery, NewTask, Plans, Result, StepStatus, StepWriter};

/// Rows in one statement.
const CHUNK: usize = 512;
/// The first epoch of a task.
const FIRST_EPOCH: u32 = 1;

#[async_trait]
impl Plans for SqliteStore {
    async fn begin_step(
        &self,
        key: StepKey,
        kind: RoundKind,
        now: i64,
    ) -> Result<Option<Box<dyn StepWriter>>> {
        let mut tx = self.write().await?;
        let run = key.run.to_string();
        let (step, kind) = (key.step.as_str(), kind.as_str());
        let round_id = query_scalar!(
            r#"INSERT INTO rounds (run_id, round, step, kind, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (run_id, round, step) DO NOTHING RETURNING id AS "id!: i64""#,
            run,
            key.round,
            step,
            kind,
            now
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(round_id) = round_id else {
            return Ok(None);
        };
        let next_task =
            query_scalar!(r#"SELECT coalesce(max(seq), 0) + 1 AS "n!: i64" FROM tasks"#)
                .fetch_one(&mut *tx)
                .await
                .map_err(db)?;
        Ok(Some(Box::new(Writer {
            tx,
            run,
            round_id,
            next_task,
            tasks: 0,
            now,
        })))
    }

    async fn last_step(&self, run: RunId) -> Result<Option<StepStatus>> {
        let id = run.to_string();
        query_as!(
            StepRow,
            "SELECT round, step, kind, items, items_done, tasks_open, tasks_dead FROM rounds
              WHERE run_id = ?1 ORDER BY id DESC LIMIT 1",
            id
        )
        .fetch_optional(&self.reader)
        .await
        .map_err(db)?
        .map(|row| row.status(run))
        .transpose()
    }

    async fn stored(
        &self,
        queries: &[KeyQuery],
        grader: Option<&(String, String)>,
    ) -> Result<Vec<bool>> {
        let mut out = vec![false; queries.len()];
        for (chunk, out) in queries.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let asked: Vec<_> = chunk.iter().map(|q| (q.key, q.example)).collect();
            let asked = rows(&asked)?;
            let (name, version) = grader.map(|(n, v)| (n, v)).unzip();
            let found = query_scalar!(
                r#"SELECT k.key + 0 AS "place!: i64"
                     FROM jsonb_each(?1) k CROSS JOIN answers a ON a.key = k.value ->> 0
                    WHERE ?2 IS NULL OR EXISTS (
                          SELECT 1 FROM grades g
                           WHERE g.answer_seq = a.seq
                             AND g.example_id = coalesce(k.value ->> 1, '')
                             AND g.grader = ?2 AND g.grader_version = ?3)"#,
                asked,
                name,
                version
            )
            .fetch_all(&self.reader)
            .await
            .map_err(db)?;
            for place in found {
                if let Some(stored) = usize::try_from(place).ok().and_then(|i| out.get_mut(i)) {
                    *stored = true;
                }
            }
        }
        Ok(out)
    }

    async fn add_pairs(&self, run: RunId, pairs: &[Pair]) -> Result<()> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        for (ordinal, pair) in pairs.iter().enumerate() {
            let ordinal = int(ordinal as u64);
            let (target, candidate) = (pair.target.to_string(), pair.candidate.to_string());
            let (original, improved) = (plain(&pair.original), plain(&pair.improved));
            query!(
                "INSERT INTO pairs (run_id, ordinal, target_id, candidate_id, original, improved,
                        original_grade, improved_grade, grader, operator, round, p_value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT (run_id, ordinal) DO NOTHING",
                run,
                ordinal,
                target,
                candidate,
                original,
                improved,
                pair.original_grade,
                pair.improved_grade,
                pair.grader,
                pair.operator,
                pair.round,
                pair.p_value
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        }
        tx.commit().await.map_err(db)
    }
}

/// A planned step with its counters.
pub struct StepRow {
    pub round: i64,
    pub step: String,
    pub kind: String,
    pub items: i64,
    pub items_done: i64,
    pub tasks_open: i64,
    pub tasks_dead: i64,
}

impl StepRow {
    /// As the planner reads it.
    pub fn status(self, run: RunId) -> Result<StepStatus> {
        let id = run.to_string();
        let at = At("rounds", &id);
        Ok(StepStatus {
            key: StepKey {
                run,
                round: at.number(self.round)?,
                step: at.word(&self.step, Step::from_word)?,
            },
            kind: at.word(&self.kind, RoundKind::from_word)?,
            items: at.number(self.items)?,
            items_done: at.number(self.items_done)?,
            open: at.number(self.tasks_open)?,
            dead: at.number(self.tasks_dead)?,
        })
    }
}

/// The transaction of a step. Dropped without commit, it rolls back.
struct Writer {
    tx: Tx,
    run: String,
    round_id: i64,
    /// Tasks are numbered here: nobody else writes while this transaction is open.
    next_task: i64,
    tasks: i64,
    now: i64,
}

/// The one field of a body that the store keeps beside it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
}

/// An item as a row of a batch.
#[derive(Serialize)]
struct ItemRow<'a>(
    u32,
    Option<(i64, u32)>,
    &'a Item,
    Option<&'a (String, String)>,
);

#[async_trait]
impl StepWriter for Writer {
    async fn targets(&mut self, targets: &[Target]) -> Result<()> {
        for chunk in targets.chunks(CHUNK) {
            let chunk = rows(chunk)?;
            query!(
                "INSERT INTO targets (id, run_id, dataset, model, example_id)
                 SELECT value ->> 'id', ?1, value ->> 'dataset', value ->> 'model', value ->> 'example'
                   FROM jsonb_each(?2) WHERE true ORDER BY key
                 ON CONFLICT (id) DO NOTHING",
                self.run,
                chunk
            )
            .execute(&mut *self.tx)
            .await
            .map_err(db)?;
        }
        Ok(())
    }

    async fn candidates(&mut self, candidates: &[Candidate]) -> Result<()> {
        for chunk in candidates.chunks(CHUNK) {
            self.insert_candidates(chunk).await?;
        }
        Ok(())
    }

    async fn verdicts(&mut self, verdicts: &[(CandidateId, Verdict)]) -> Result<()> {
        // The first verdict on a candidate holds.
        let mut seen = HashSet::new();
        let first: Vec<_> = verdicts.iter().filter(|(id, _)| seen.insert(*id)).collect();
        for chunk in first.chunks(CHUNK) {
            let chunk = chunk.iter().map(|(id, v)| (id, v.as_str(), why(v).unzip()));
            let chunk = rows(&chunk.collect::<Vec<_>>())?;
            query!(
                "UPDATE candidates SET verdict = e.value ->> 1, reason = e.value ->> '$[2][0]',
                        detail = e.value ->> '$[2][1]'
                   FROM jsonb_each(?1) e
                  WHERE candidates.id = e.value ->> 0 AND candidates.verdict = 'proposed'",
                chunk
            )
            .execute(&mut *self.tx)
            .await
            .map_err(db)?;
        }
        Ok(())
    }

    async fn tasks(&mut self, tasks: &[NewTask]) -> Result<()> {
        for chunk in tasks.chunks(CHUNK) {
            self.insert_tasks(chunk).await?;
            self.insert_bodies(chunk).await?;
            let mut items = Vec::with_capacity(CHUNK);
            for (seq, task) in (self.next_task..).zip(chunk) {
                for (place, item) in (0..).zip(&task.items) {
                    let at = Some((seq, place));
                    items.push(ItemRow(item.ordinal, at, item, task.grader.as_ref()));
                }
                if items.len() >= CHUNK {
                    self.insert_items(&items).await?;
                    items.clear();
                }
            }
            self.insert_items(&items).await?;
            self.next_task += int(chunk.len() as u64);
            self.tasks += int(chunk.len() as u64);
        }
        Ok(())
    }

    async fn items(&mut self, items: &[Item], grader: Option<&(String, String)>) -> Result<()> {
        for chunk in items.chunks(CHUNK) {
            let chunk: Vec<_> = chunk
                .iter()
                .map(|i| ItemRow(i.ordinal, None, i, grader))
                .collect();
            self.insert_items(&chunk).await?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.close_items_without_task().await?;
        query!(
            "UPDATE rounds SET
                items = (SELECT count(*) FROM items WHERE round_id = ?1),
                items_done = (SELECT count(*) FROM items WHERE round_id = ?1 AND state = 'done'),
                tasks_open = ?2
              WHERE id = ?1",
            self.round_id,
            self.tasks
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        self.tx.commit().await.map_err(db)
    }
}

impl Writer {
    async fn insert_candidates(&mut self, candidates: &[Candidate]) -> Result<()> {
        let mut batch = Vec::with_capacity(candidates.len());
        for c in candidates {
            let doc = (
                c.doc.words().map(plain),
                c.doc.system.as_deref().map(plain),
                plain(&c.doc.user),
                text(&c.doc)?,
            );
            let verdict = (c.verdict.as_str(), why(&c.verdict).unzip());
            batch.push((
                (c.id, c.target, c.round, c.ordinal, c.arm),
                (&c.operator, &c.author),
                doc,
                verdict,
                &c.parents,
            ));
        }
        let batch = rows(&batch)?;
        query!(
            "INSERT INTO candidates (run_id, id, target_id, round, ordinal, arm, operator, author, question,
                    system_text, user_text, doc, verdict, reason, detail)
             SELECT ?1, value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', value ->> '$[0][3]',
                    value ->> '$[0][4]', value ->> '$[1][0]', value ->> '$[1][1]', value ->> '$[2][0]',
                    value ->> '$[2][1]', value ->> '$[2][2]', value ->> '$[2][3]', value ->> '$[3][0]',
                    value ->> '$[3][1][0]', value ->> '$[3][1][1]'
               FROM jsonb_each(?2) ORDER BY key",
            self.run,
            batch
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        query!(
            "INSERT INTO candidate_parents (candidate_id, ordinal, parent_id)
             SELECT c.value ->> '$[0][0]', p.key, p.value
               FROM jsonb_each(?1) c CROSS JOIN jsonb_each(c.value, '$[4]') p",
            batch
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        Ok(())
    }

    async fn insert_tasks(&mut self, tasks: &[NewTask]) -> Result<()> {
        let batch: Vec<_> = (self.next_task..)
            .zip(tasks)
            .map(|(seq, task)| {
                // A body that is none is the planner's mistake; the worker will say so.
                let head = serde_json::from_str::<Head<'_>>(&task.body).ok();
                let model = head.map(|h| h.model).unwrap_or_default();
                let w = task.worst;
                (
                    seq,
                    task.id,
                    model,
                    int(w.calls),
                    int(w.tokens),
                    int(w.cost_micros),
                )
            })
            .collect();
        let batch = rows(&batch)?;
        query!(
            "INSERT INTO tasks (seq, id, run_id, round_id, model, epoch, worst_calls, worst_tokens,
                                worst_cost_micros, not_before)
             SELECT value ->> 0, value ->> 1, ?1, ?2, value ->> 2, ?5, value ->> 3, value ->> 4,
                    value ->> 5, ?4
               FROM jsonb_each(?3)",
            self.run,
            self.round_id,
            batch,
            self.now,
            FIRST_EPOCH
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        query!(
            "INSERT INTO outbox (task_seq, run_id, due) SELECT value ->> 0, ?1, ?3 FROM jsonb_each(?2)",
            self.run,
            batch,
            self.now
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        Ok(())
    }

    /// Bodies are large: they travel as one blob, cut apart by offsets, because quoting them for a batch
    /// costs more than storing them.
    async fn insert_bodies(&mut self, tasks: &[NewTask]) -> Result<()> {
        let mut blob = Vec::with_capacity(tasks.iter().map(|t| t.body.len()).sum());
        let mut cuts = Vec::with_capacity(tasks.len());
        for (seq, task) in (self.next_task..).zip(tasks) {
            cuts.push((seq, blob.len() + 1, task.body.len()));
            blob.extend_from_slice(task.body.as_bytes());
        }
        let cuts = rows(&cuts)?;
        query!(
            "INSERT INTO task_bodies (task_seq, body)
             SELECT value ->> 0, CAST(substr(?2, value ->> 1, value ->> 2) AS TEXT) FROM jsonb_each(?1)",
            cuts,
            blob
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        Ok(())
    }

    async fn insert_items(&mut self, items: &[ItemRow<'_>]) -> Result<()> {
        let batch = rows(items)?;
        query!(
            "INSERT INTO items (round_id, ordinal, task_seq, place, target_id, candidate_id, example_id,
                                repeat, key, grader, grader_version)
             SELECT ?1, value ->> 0, value ->> '$[1][0]', value ->> '$[1][1]', value ->> '$[2].target',
                    value ->> '$[2].candidate', value ->> '$[2].example', value ->> '$[2].repeat',
                    value ->> '$[2].key', value ->> '$[3][0]', value ->> '$[3][1]'
               FROM jsonb_each(?2)",
            self.round_id,
            batch
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        Ok(())
    }

    /// An item without a task waits for an equal item of the step that is asked; without one, its answer
    /// (and grade) must be stored.
    async fn close_items_without_task(&mut self) -> Result<()> {
        query!(
            "UPDATE items SET state = 'done'
              WHERE round_id = ?1 AND task_seq IS NULL
                AND EXISTS (
                SELECT 1 FROM answers a
                 WHERE a.key = items.key AND (items.grader IS NULL OR EXISTS (
                       SELECT 1 FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(items.example_id, '')
                          AND g.grader = items.grader AND g.grader_version = items.grader_version)))",
            self.round_id
        )
        .execute(&mut *self.tx)
        .await
        .map_err(db)?;
        let orphan = query_scalar!(
            "SELECT i.ordinal FROM items i
              WHERE i.round_id = ?1 AND i.task_seq IS NULL AND i.state = 'open' AND CASE
                    WHEN i.grader IS NULL THEN i.key NOT IN (
                         SELECT t.key FROM items t WHERE t.round_id = ?1 AND t.task_seq IS NOT NULL)
                    ELSE (i.key, coalesce(i.example_id, ''), i.grader, i.grader_version) NOT IN (
                         SELECT t.key, coalesce(t.example_id, ''), t.grader, t.grader_version FROM items t
                          WHERE t.round_id = ?1 AND t.task_seq IS NOT NULL AND t.grader IS NOT NULL)
                    END
              LIMIT 1",
            self.round_id
        )
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(db)?;
        match orphan {
            None => Ok(()),
            Some(ordinal) => Err(At("items", &ordinal.to_string()).corrupt(
                "it has no task, yet neither is its answer (and grade) stored nor is it asked by an equal item",
            )),
        }
    }
}

/// Reason and detail of a rejection.
fn why(verdict: &Verdict) -> Option<(String, String)> {
    match verdict {
        Verdict::Rejected { reason, detail } => Some((plain(reason), plain(detail))),
        Verdict::Proposed | Verdict::Accepted => None,
    }
}
