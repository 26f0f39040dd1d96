//! Steps, targets, candidates, tasks and items: what the planner writes.

mod rows;

use crate::{
    PostgresStore, Tx,
    codec::{At, NO_EXAMPLE, columns, equally_long, int, maybe_plain, of_hash, plain, text},
    commit,
    fault::{Fault, again, db},
    time::Micros,
};
use async_trait::async_trait;
use domain::{
    candidate::{Candidate, Target, Verdict},
    ids::{CandidateId, RunId},
    run::{Item, Pair, RoundKind, Step, StepKey},
};
use rows::{ItemRows, TaskRows};
use sqlx::{query, query_as, query_scalar};
use std::collections::HashSet;
use store::{KeyQuery, NewTask, Plans, Result, StepStatus, StepWriter};

/// Rows in one statement.
const CHUNK: usize = 512;

#[async_trait]
impl Plans for PostgresStore {
    async fn begin_step(
        &self,
        key: StepKey,
        kind: RoundKind,
        now: i64,
    ) -> Result<Option<Box<dyn StepWriter>>> {
        let mut tx = self.write_by_key().await?;
        let round_id = match sabotage::breaks("unique") {
            true => Some(insert_round(&mut tx, key, kind, now).await?),
            false => claim_round(&mut tx, key, kind, now).await?,
        };
        Ok(round_id.map(|round_id| {
            Box::new(Writer {
                tx,
                run: key.run,
                round_id,
                tasks: 0,
                now,
            }) as Box<dyn StepWriter>
        }))
    }

    async fn last_step(&self, run: RunId) -> Result<Option<StepStatus>> {
        let row = query_as!(
            StepRow,
            "SELECT round, step, kind, items, items_done, tasks_open, tasks_dead FROM rounds
              WHERE run_id = $1 ORDER BY id DESC LIMIT 1",
            run.0
        );
        let row = db(row.fetch_optional(&self.pool)).await?;
        row.map(|row| row.status(run)).transpose()
    }

    async fn stored(
        &self,
        queries: &[KeyQuery],
        grader: Option<&(String, String)>,
    ) -> Result<Vec<bool>> {
        let mut out = vec![false; queries.len()];
        let (name, version) = grader.map(|(n, v)| (plain(n), plain(v))).unzip();
        for (chunk, out) in queries.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            columns!(chunk =>
                keys: |q| of_hash(q.key),
                examples: |q| q.example.map_or(NO_EXAMPLE, of_hash),
            );
            let found = query_scalar!(
                r#"SELECT k.place - 1 AS "place!"
                     FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY k (key, example_id, place)
                     JOIN answers a ON a.key = k.key
                    WHERE $3::text IS NULL OR EXISTS (
                          SELECT 1 FROM grades g
                           WHERE g.answer_seq = a.seq AND g.example_id = k.example_id
                             AND g.grader = $3 AND g.grader_version = $4)"#,
                &keys,
                &examples,
                name,
                version
            );
            for place in db(found.fetch_all(&self.pool)).await? {
                if let Some(stored) = usize::try_from(place).ok().and_then(|i| out.get_mut(i)) {
                    *stored = true;
                }
            }
        }
        Ok(out)
    }

    async fn add_pairs(&self, run: RunId, pairs: &[Pair]) -> Result<()> {
        again(|| self.add_pairs_once(run, pairs)).await
    }
}

impl PostgresStore {
    async fn add_pairs_once(&self, run: RunId, pairs: &[Pair]) -> Result<(), Fault> {
        columns!(pairs =>
            targets: |p| p.target.0,
            candidates: |p| p.candidate.0,
            originals: |p| plain(&p.original),
            improved: |p| plain(&p.improved),
            original_grades: |p| p.original_grade + 0.0,
            improved_grades: |p| p.improved_grade + 0.0,
            graders: |p| plain(&p.grader),
            operators: |p| plain(&p.operator),
            rounds: |p| i64::from(p.round),
            p_values: |p| p.p_value + 0.0,
        );
        let insert = query!(
            "INSERT INTO pairs (run_id, ordinal, target_id, candidate_id, original, improved, original_grade,
                    improved_grade, grader, operator, round, p_value)
             SELECT $1, p.place - 1, p.target_id, p.candidate_id, p.original, p.improved, p.original_grade,
                    p.improved_grade, p.grader, p.operator, p.round, p.p_value
               FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::text[],
                           $9::text[], $10::bigint[], $11::float8[]) WITH ORDINALITY
                    p (target_id, candidate_id, original, improved, original_grade, improved_grade, grader,
                       operator, round, p_value, place)
             ON CONFLICT (run_id, ordinal) DO NOTHING",
            run.0,
            &targets,
            &candidates,
            &originals,
            &improved,
            &original_grades,
            &improved_grades,
            &graders,
            &operators,
            &rounds,
            &p_values
        );
        db(insert.execute(&self.pool)).await?;
        Ok(())
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

/// The number of a step's new row; `None` when it was planned before. Another planner of the step is waited for: then
/// there is a row, or it gave up.
async fn claim_round(
    tx: &mut Tx,
    key: StepKey,
    kind: RoundKind,
    now: i64,
) -> Result<Option<i64>, Fault> {
    let id = query_scalar!(
        "INSERT INTO rounds (run_id, round, step, kind, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run_id, round, step) DO NOTHING RETURNING id",
        key.run.0,
        i64::from(key.round),
        key.step.as_str(),
        kind.as_str(),
        Micros(now)
    );
    db(id.fetch_optional(&mut **tx)).await
}

/// As [`claim_round`], without its guard: only to see that a test of faults then fails.
async fn insert_round(tx: &mut Tx, key: StepKey, kind: RoundKind, now: i64) -> Result<i64, Fault> {
    let id = query_scalar!(
        "INSERT INTO rounds (run_id, round, step, kind, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        key.run.0,
        i64::from(key.round),
        key.step.as_str(),
        kind.as_str(),
        Micros(now)
    );
    db(id.fetch_one(&mut **tx)).await
}

/// The transaction of a step. Dropped without commit, it rolls back.
///
/// It writes rows that nobody else knows before its end, so it conflicts with nobody but another planner of the
/// step.
struct Writer {
    tx: Tx,
    run: RunId,
    round_id: i64,
    tasks: i64,
    now: i64,
}

#[async_trait]
impl StepWriter for Writer {
    async fn targets(&mut self, targets: &[Target]) -> Result<()> {
        let tx = &mut self.tx;
        for chunk in targets.chunks(CHUNK) {
            columns!(chunk =>
                ids: |t| t.id.0,
                datasets: |t| plain(&t.dataset),
                models: |t| plain(&t.model),
                examples: |t| t.example.map(of_hash),
            );
            let insert = query!(
                "INSERT INTO targets (id, run_id, dataset, model, example_id)
                 SELECT t.id, $1, t.dataset, t.model, t.example_id
                   FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[]) WITH ORDINALITY
                        t (id, dataset, model, example_id, place)
                  ORDER BY t.place
                 ON CONFLICT (id) DO NOTHING",
                self.run.0,
                &ids,
                &datasets,
                &models,
                &examples as &[Option<uuid::Uuid>]
            );
            db(insert.execute(&mut **tx)).await?;
        }
        Ok(())
    }

    async fn candidates(&mut self, candidates: &[Candidate]) -> Result<()> {
        for chunk in candidates.chunks(CHUNK) {
            self.insert_candidates(chunk).await?;
            self.insert_parents(chunk).await?;
        }
        Ok(())
    }

    async fn verdicts(&mut self, verdicts: &[(CandidateId, Verdict)]) -> Result<()> {
        // The first verdict on a candidate holds.
        let mut seen = HashSet::new();
        let first: Vec<_> = verdicts.iter().filter(|(id, _)| seen.insert(*id)).collect();
        let tx = &mut self.tx;
        for chunk in first.chunks(CHUNK) {
            columns!(chunk =>
                ids: |(id, _)| id.0,
                words: |(_, v)| v.as_str(),
                reasons: |(_, v)| why(v).0,
                details: |(_, v)| why(v).1,
            );
            let update = query!(
                "UPDATE candidates c SET verdict = e.verdict, reason = e.reason, detail = e.detail
                   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) e (id, verdict, reason, detail)
                  WHERE c.id = e.id AND c.verdict = 'proposed'",
                &ids,
                &words as &[&str],
                &reasons as &[Option<String>],
                &details as &[Option<String>]
            );
            db(update.execute(&mut **tx)).await?;
        }
        Ok(())
    }

    async fn tasks(&mut self, tasks: &[NewTask]) -> Result<()> {
        for chunk in tasks.chunks(CHUNK) {
            let rows = TaskRows::of(chunk);
            let at = (self.run, self.round_id, self.now);
            rows.insert(&mut self.tx, at).await?;
            self.tasks += int(chunk.len() as u64);
        }
        Ok(())
    }

    async fn items(&mut self, items: &[Item], grader: Option<&(String, String)>) -> Result<()> {
        for chunk in items.chunks(CHUNK) {
            let mut rows = ItemRows::default();
            chunk.iter().for_each(|item| rows.push(item, None, grader));
            let round = self.round_id;
            let tx = &mut self.tx;
            rows.insert(tx, round).await?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.close_items_without_task().await?;
        let mut tx = self.tx;
        let count = query!(
            "UPDATE rounds SET
                items = (SELECT count(*) FROM items WHERE round_id = $1),
                items_done = (SELECT count(*) FROM items WHERE round_id = $1 AND state = 'done'),
                tasks_open = $2
              WHERE id = $1",
            self.round_id,
            self.tasks
        );
        db(count.execute(&mut *tx)).await?;
        Ok(commit(tx).await?)
    }
}

impl Writer {
    async fn insert_candidates(&mut self, candidates: &[Candidate]) -> Result<(), Fault> {
        let docs: Vec<String> = candidates
            .iter()
            .map(|c| text(&c.doc))
            .collect::<Result<_>>()?;
        columns!(candidates =>
            ids: |c| c.id.0,
            targets: |c| c.target.0,
            rounds: |c| i64::from(c.round),
            ordinals: |c| i64::from(c.ordinal),
            arms: |c| c.arm.as_str(),
            operators: |c| plain(&c.operator),
            authors: |c| plain(&c.author),
            questions: |c| maybe_plain(c.doc.words()),
            systems: |c| maybe_plain(c.doc.system.as_deref()),
            users: |c| plain(&c.doc.user),
            verdicts: |c| c.verdict.as_str(),
            reasons: |c| why(&c.verdict).0,
            details: |c| why(&c.verdict).1,
        );
        equally_long(&[ids.len(), docs.len()])?;
        let tx = &mut self.tx;
        let insert = query!(
            "INSERT INTO candidates (run_id, id, target_id, round, ordinal, arm, operator, author, question,
                    system_text, user_text, doc, verdict, reason, detail)
             SELECT $1, id, target_id, round, ordinal, arm, operator, author, question, system_text, user_text,
                    doc::json, verdict, reason, detail
               FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                           $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                           $15::text[]) WITH ORDINALITY
                    c (id, target_id, round, ordinal, arm, operator, author, question, system_text, user_text, doc,
                       verdict, reason, detail, place)
              ORDER BY place",
            self.run.0,
            &ids,
            &targets,
            &rounds,
            &ordinals,
            &arms as &[&str],
            &operators,
            &authors,
            &questions as &[Option<String>],
            &systems as &[Option<String>],
            &users,
            &docs,
            &verdicts as &[&str],
            &reasons as &[Option<String>],
            &details as &[Option<String>]
        );
        db(insert.execute(&mut **tx)).await?;
        Ok(())
    }

    async fn insert_parents(&mut self, candidates: &[Candidate]) -> Result<(), Fault> {
        let parents = candidates
            .iter()
            .flat_map(|c| (0i64..).zip(&c.parents).map(|(n, p)| (c.id, n, *p)));
        let parents: Vec<_> = parents.collect();
        columns!(parents =>
            children: |(child, _, _)| child.0,
            ordinals: |(_, n, _)| *n,
            parents: |(_, _, parent)| parent.0,
        );
        let tx = &mut self.tx;
        let insert = query!(
            "INSERT INTO candidate_parents (candidate_id, ordinal, parent_id)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[])",
            &children,
            &ordinals,
            &parents
        );
        db(insert.execute(&mut **tx)).await?;
        Ok(())
    }

    /// An item without a task waits for an equal item of the step that is asked; without one, its answer
    /// (and grade) must be stored.
    async fn close_items_without_task(&mut self) -> Result<()> {
        let tx = &mut self.tx;
        let close = query!(
            "UPDATE items i SET state = 'done'
              WHERE i.round_id = $1 AND i.task_seq IS NULL
                AND EXISTS (
                SELECT 1 FROM answers a
                 WHERE a.key = i.key AND (i.grader IS NULL OR EXISTS (
                       SELECT 1 FROM grades g
                        WHERE g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $2)
                          AND g.grader = i.grader AND g.grader_version = i.grader_version)))",
            self.round_id,
            NO_EXAMPLE
        );
        db(close.execute(&mut **tx)).await?;
        let orphan = query_scalar!(
            "SELECT i.ordinal FROM items i
              WHERE i.round_id = $1 AND i.task_seq IS NULL AND i.state = 'open' AND CASE
                    WHEN i.grader IS NULL THEN i.key NOT IN (
                         SELECT t.key FROM items t WHERE t.round_id = $1 AND t.task_seq IS NOT NULL)
                    ELSE (i.key, coalesce(i.example_id, $2), i.grader, i.grader_version) NOT IN (
                         SELECT t.key, coalesce(t.example_id, $2), t.grader, t.grader_version FROM items t
                          WHERE t.round_id = $1 AND t.task_seq IS NOT NULL AND t.grader IS NOT NULL)
                    END
              LIMIT 1",
            self.round_id,
            NO_EXAMPLE
        );
        match db(orphan.fetch_optional(&mut **tx)).await? {
            None => Ok(()),
            Some(ordinal) => Err(At("items", &ordinal.to_string()).corrupt(
                "it has no task, yet neither is its answer (and grade) stored nor is it asked by an equal item",
            )),
        }
    }
}

/// Reason and detail of a rejection.
fn why(verdict: &Verdict) -> (Option<String>, Option<String>) {
    match verdict {
        Verdict::Rejected { reason, detail } => (Some(plain(reason)), Some(plain(detail))),
        Verdict::Proposed | Verdict::Accepted => (None, None),
    }
}
