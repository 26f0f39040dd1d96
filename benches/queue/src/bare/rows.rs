//! The rows, in the store's own tables without their triggers.

use crate::{model, ours};
use domain::{
    call::{Call, Message, Sampling},
    example::Reference,
    grade::{Grade, GradeInput, Grader},
    hash::Hash,
    ids::{RunId, TaskId},
};
use sqlx::PgPool;
use std::{collections::BTreeMap, fmt::Write};
use uuid::Uuid;
use wire::{Body, BodyItem, Counted, Report, ReportItem, Task, VERSION};

/// Rows in one COPY.
const CHUNK: usize = 10_000;

/// All tasks of a run.
pub struct Rows {
    run: Uuid,
    target: Uuid,
    candidate: Uuid,
    /// Task, answer key and example of each.
    tasks: Vec<[Uuid; 3]>,
}

impl Rows {
    pub fn new(n: usize) -> Self {
        let three = || [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
        Self {
            run: Uuid::now_v7(),
            target: Uuid::new_v4(),
            candidate: Uuid::new_v4(),
            tasks: (0..n).map(|_| three()).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Triggers off, and the rows that all others refer to.
    pub async fn prepare(&self, pool: &PgPool) -> anyhow::Result<()> {
        sqlx::raw_sql(
            "ALTER TABLE tasks DISABLE TRIGGER USER; ALTER TABLE items DISABLE TRIGGER USER;
             ALTER TABLE ledger DISABLE TRIGGER USER",
        )
        .execute(pool)
        .await?;
        sqlx::query(
            "INSERT INTO runs (id, name, kind, status, spec, spec_hash, created_at)
             VALUES ($1, 'bare', 'evaluate', 'running', '{}', $1, now())",
        )
        .bind(self.run)
        .execute(pool)
        .await?;
        sqlx::query(
            "INSERT INTO rounds (run_id, round, step, kind, created_at) VALUES ($1, 0, 'answer', 'baseline', now())",
        )
        .bind(self.run)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// The planned rows: task, body, item and outbox, in one transaction as Promptimal writes them.
    pub async fn plan(&self, pool: &PgPool) -> anyhow::Result<()> {
        let mut tx = pool.begin().await?;
        let (round, now): (i64, String) =
            sqlx::query_as("SELECT max(id), now()::text FROM rounds").fetch_one(&mut *tx).await?;
        let (run, target, candidate) = (self.run, self.target, self.candidate);
        for (first, chunk) in (0..).step_by(CHUNK).zip(self.tasks.chunks(CHUNK)) {
            let (mut tasks, mut bodies) = (String::new(), String::new());
            let (mut items, mut outbox) = (String::new(), String::new());
            for (i, [task, key, example]) in (first..).zip(chunk) {
                writeln!(tasks, "{i}\t{task}\t{run}\t{round}\ttarget\t1\t100\t0\t{now}")?;
                writeln!(bodies, "{i}\t{}", self.body(i))?;
                writeln!(
                    items,
                    "{round}\t{i}\t{i}\t0\t{target}\t{candidate}\t{example}\t0\t{key}\texact\t1"
                )?;
                writeln!(outbox, "{i}\t{run}\t{now}")?;
            }
            for (statement, rows) in [
                (
                    "COPY tasks (seq, id, run_id, round_id, model, worst_calls, worst_tokens, worst_cost_micros,
                                 not_before) FROM STDIN",
                    tasks,
                ),
                ("COPY task_bodies (task_seq, body) FROM STDIN", bodies),
                (
                    "COPY items (round_id, ordinal, task_seq, place, target_id, candidate_id, example_id, repeat, key,
                                 grader, grader_version) FROM STDIN",
                    items,
                ),
                ("COPY outbox (task_seq, run_id, due) FROM STDIN", outbox),
            ] {
                let mut copy = tx.copy_in_raw(statement).await?;
                copy.send(rows.into_bytes()).await?;
                copy.finish().await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// What Promptimal ends up with for these tasks: an answer, a grade, two rows of the ledger; task and item done;
    /// outbox and body gone.
    pub async fn apply(&self, pool: &PgPool, done: &[usize]) -> anyhow::Result<()> {
        let seqs: Vec<i64> = done.iter().map(|i| *i as i64).collect();
        let keys: Vec<Uuid> = done.iter().map(|i| self.tasks[*i][1]).collect();
        let examples: Vec<Uuid> = done.iter().map(|i| self.tasks[*i][2]).collect();
        let mut tx = pool.begin().await?;
        sqlx::query(
            "WITH answered AS (
                 INSERT INTO answers (key, model, reply_text, prompt_tokens, completion_tokens, cost_micros, worker,
                                      created_at)
                 SELECT key, 'target', 'A', 20, 1, 0, 'worker-0123456789ab', now() FROM unnest($1::uuid[]) k (key)
                 RETURNING seq, key
             )
             INSERT INTO grades (answer_seq, example_id, grader, grader_version, value, feedback, created_at)
             SELECT a.seq, k.example, 'exact', '1', 1, 'the answer is right', now()
               FROM answered a JOIN unnest($1::uuid[], $2::uuid[]) k (key, example) ON k.key = a.key",
        )
        .bind(&keys)
        .bind(&examples)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO ledger (run_id, task_seq, epoch, kind, worker, calls, tokens, cost_micros, created_at)
             SELECT $2, s.seq, 1, k.kind, k.worker, k.calls, k.tokens, 0, now()
               FROM unnest($1::bigint[]) s (seq),
                    (VALUES ('reserve', '', 1, 100), ('settle', 'worker-0123456789ab', 0, -79))
                        k (kind, worker, calls, tokens)",
        )
        .bind(&seqs)
        .bind(self.run)
        .execute(&mut *tx)
        .await?;
        for statement in [
            "UPDATE tasks SET state = 'done', dispatched_at = now(), closed_at = now(),
                    worker = 'worker-0123456789ab' WHERE seq = ANY($1)",
            "UPDATE items SET state = 'done' WHERE task_seq = ANY($1)",
            "DELETE FROM outbox WHERE task_seq = ANY($1)",
            "DELETE FROM task_bodies WHERE task_seq = ANY($1)",
        ] {
            sqlx::query(statement).bind(&seqs).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Every task is done, and nothing is left to send.
    pub async fn check(&self, pool: &PgPool) -> anyhow::Result<()> {
        let counted: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM tasks WHERE state = 'done'), (SELECT count(*) FROM items WHERE state = 'done'),
                    (SELECT count(*) FROM answers), (SELECT count(*) FROM grades), (SELECT count(*) FROM ledger),
                    (SELECT count(*) FROM outbox)",
        )
        .fetch_one(pool)
        .await?;
        let n = self.len() as i64;
        anyhow::ensure!(
            counted == (n, n, n, n, 2 * n, 0),
            "rows are missing: {counted:?} for {n} tasks"
        );
        Ok(())
    }

    /// The message of a task, as large as Promptimal's.
    pub fn task(&self, i: usize) -> anyhow::Result<Vec<u8>> {
        let task = Task {
            v: VERSION,
            task: TaskId(self.tasks[i][0]),
            epoch: 1,
            open: vec![0],
            known: BTreeMap::new(),
            terms: None,
            body: serde_json::value::RawValue::from_string(self.body(i))?,
        };
        Ok(task.encode())
    }

    fn body(&self, i: usize) -> String {
        let asked = ours::question(i);
        let reference = Reference::Text { text: "A".into() };
        let item = BodyItem {
            key: Hash(self.tasks[i][1].into_bytes()),
            call: Call::Generate {
                messages: vec![Message::user(asked.clone())],
                sampling: Sampling::default(),
            },
            grade: Some(GradeInput {
                input: asked,
                choices: vec![],
                reference,
            }),
            judged: None,
        };
        let body = Body {
            run: RunId(self.run),
            model: "target".into(),
            identity: "nothing".into(),
            grader: Some(Grader::Exact),
            items: vec![item],
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The report on any task, as large as a worker's.
pub fn report() -> Vec<u8> {
    let grade = Grade {
        value: 1.0,
        raw: None,
        margin: None,
        feedback: "the answer is right".into(),
    };
    let item = ReportItem {
        place: 0,
        key: Hash::of(["any"]),
        answer: Some(model::answer()),
        grade: Some(grade),
        error: None,
        paid: None,
    };
    let report = Report {
        v: VERSION,
        task: TaskId(Uuid::new_v4()),
        epoch: 1,
        worker: "worker-0123456789ab".into(),
        items: vec![item],
        counted: Counted::default(),
    };
    report.encode()
}
