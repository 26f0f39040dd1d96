//! Tasks and items as columns.

use crate::{
    Tx,
    codec::{int, of_hash, plain},
    fault::{Fault, db},
    time::Micros,
};
use domain::{ids::RunId, run::Item};
use serde::Deserialize;
use sqlx::{query, query_scalar};
use std::borrow::Cow;
use store::NewTask;
use uuid::Uuid;

/// Items in one statement.
const ITEMS: usize = 4_096;
/// The first epoch of a task.
const FIRST_EPOCH: i64 = 1;

/// The one field of a body that the store keeps beside it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
}

/// Tasks, and the items that they ask.
#[derive(Default)]
pub struct TaskRows {
    ids: Vec<Uuid>,
    models: Vec<String>,
    calls: Vec<i64>,
    tokens: Vec<i64>,
    costs: Vec<i64>,
    bodies: Vec<String>,
    items: ItemRows,
}

impl TaskRows {
    /// Their columns. A body that is none is the planner's mistake; the worker will say so.
    pub fn of(tasks: &[NewTask]) -> Self {
        let mut rows = Self::default();
        for (nth, task) in (0..).zip(tasks) {
            let model = serde_json::from_str::<Head<'_>>(&task.body)
                .map_or_else(|_| String::new(), |head| plain(&head.model));
            rows.ids.push(task.id.0);
            rows.models.push(model);
            rows.calls.push(int(task.worst.calls));
            rows.tokens.push(int(task.worst.tokens));
            rows.costs.push(int(task.worst.cost_micros));
            rows.bodies.push(task.body.clone());
            for (place, item) in (0..).zip(&task.items) {
                rows.items
                    .push(item, Some((nth, place)), task.grader.as_ref());
            }
        }
        rows
    }

    /// Writes them, in a round of a run, at a time.
    pub async fn insert(mut self, tx: &mut Tx, at: (RunId, i64, i64)) -> Result<(), Fault> {
        let seqs = draw_numbers(tx, self.ids.len()).await?;
        // An item was made with its task's place among the others.
        for task in self.items.tasks.iter_mut().flatten() {
            let nth = usize::try_from(*task).ok();
            *task = nth.and_then(|nth| seqs.get(nth)).copied().unwrap_or(-1);
        }
        self.insert_tasks(tx, &seqs, at).await?;
        self.items.insert(tx, at.1).await
    }

    async fn insert_tasks(
        &self,
        tx: &mut Tx,
        seqs: &[i64],
        (run, round, now): (RunId, i64, i64),
    ) -> Result<(), Fault> {
        let insert = query!(
            "WITH messages AS (
                 INSERT INTO task_bodies (task_seq, body) SELECT * FROM unnest($3::bigint[], $11::text[])
             ), unsent AS (
                 INSERT INTO outbox (task_seq, run_id, due) SELECT seq, $1, $9 FROM unnest($3::bigint[]) t (seq)
             )
             INSERT INTO tasks (seq, id, run_id, round_id, model, epoch, worst_calls, worst_tokens,
                                worst_cost_micros, not_before)
             SELECT seq, id, $1, $2, model, $10, calls, tokens, cost, $9
               FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
                    t (seq, id, model, calls, tokens, cost)",
            run.0,
            round,
            seqs,
            &self.ids,
            &self.models,
            &self.calls,
            &self.tokens,
            &self.costs,
            Micros(now),
            FIRST_EPOCH,
            &self.bodies
        );
        db(insert.execute(&mut **tx)).await?;
        Ok(())
    }
}

/// Numbers for tasks, ascending: tasks are claimed in the order they were planned.
async fn draw_numbers(tx: &mut Tx, n: usize) -> Result<Vec<i64>, Fault> {
    let drawn = query_scalar!(
        r#"SELECT ARRAY(SELECT nextval('tasks_seq') FROM generate_series(1, $1::bigint)) AS "seqs!""#,
        int(n as u64)
    );
    let mut drawn = db(drawn.fetch_one(&mut **tx)).await?;
    drawn.sort_unstable();
    Ok(drawn)
}

/// Items of one round.
#[derive(Default)]
pub struct ItemRows {
    ordinals: Vec<i64>,
    tasks: Vec<Option<i64>>,
    places: Vec<Option<i64>>,
    targets: Vec<Uuid>,
    candidates: Vec<Option<Uuid>>,
    examples: Vec<Option<Uuid>>,
    repeats: Vec<i64>,
    keys: Vec<Uuid>,
    graders: Vec<Option<String>>,
    versions: Vec<Option<String>>,
}

impl ItemRows {
    /// One more, with task and place where it is asked.
    pub fn push(
        &mut self,
        item: &Item,
        asked: Option<(i64, i64)>,
        grader: Option<&(String, String)>,
    ) {
        self.ordinals.push(item.ordinal.into());
        self.tasks.push(asked.map(|a| a.0));
        self.places.push(asked.map(|a| a.1));
        self.targets.push(item.target.0);
        self.candidates.push(item.candidate.map(|c| c.0));
        self.examples.push(item.example.map(of_hash));
        self.repeats.push(item.repeat.into());
        self.keys.push(of_hash(item.key));
        self.graders.push(grader.map(|g| plain(&g.0)));
        self.versions.push(grader.map(|g| plain(&g.1)));
    }

    /// Writes them.
    pub async fn insert(&self, tx: &mut Tx, round: i64) -> Result<(), Fault> {
        for first in (0..self.keys.len()).step_by(ITEMS) {
            let last = self.keys.len().min(first + ITEMS);
            self.insert_part(tx, round, first..last).await?;
        }
        Ok(())
    }

    async fn insert_part(
        &self,
        tx: &mut Tx,
        round: i64,
        part: std::ops::Range<usize>,
    ) -> Result<(), Fault> {
        let insert = query!(
            "INSERT INTO items (round_id, ordinal, task_seq, place, target_id, candidate_id, example_id, repeat, key,
                                grader, grader_version)
             SELECT $1, i.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[], $6::uuid[], $7::uuid[],
                                        $8::bigint[], $9::uuid[], $10::text[], $11::text[]) i",
            round,
            &self.ordinals[part.clone()],
            &self.tasks[part.clone()] as &[Option<i64>],
            &self.places[part.clone()] as &[Option<i64>],
            &self.targets[part.clone()],
            &self.candidates[part.clone()] as &[Option<Uuid>],
            &self.examples[part.clone()] as &[Option<Uuid>],
            &self.repeats[part.clone()],
            &self.keys[part.clone()],
            &self.graders[part.clone()] as &[Option<String>],
            &self.versions[part] as &[Option<String>]
        );
        db(insert.execute(&mut **tx)).await?;
        Ok(())
    }
}
