//! Deleting the rows of runs that are over. Space is given back by the server's own vacuum.

use crate::{
    PostgresStore, commit,
    fault::{Fault, again, db},
    time::Micros,
};
use async_trait::async_trait;
use domain::ids::RunId;
use sqlx::{PgConnection, postgres::PgQueryResult, query, query_as, query_scalar};
use store::{
    Result, StoreError,
    retention::{Counts, PRUNED, Part, Retention, Unused},
};
use uuid::Uuid;

#[async_trait]
impl Retention for PostgresStore {
    async fn pruned_at(&self, run: RunId) -> Result<Option<i64>> {
        let found = query_scalar!("SELECT pruned_at FROM runs WHERE id = $1", run.0);
        let found = db(found.fetch_optional(&self.pool)).await?;
        Ok(found.flatten().map(|at: Micros| at.0))
    }

    async fn mark_pruned(&self, run: RunId, now: i64) -> Result<bool> {
        let mark = query!(
            "UPDATE runs
                SET pruned_at = coalesce(pruned_at, $2), reason = $3, finished_at = coalesce(finished_at, $2),
                    status = CASE status WHEN 'failed' THEN 'cancelled' ELSE status END
              WHERE id = $1 AND status IN ('finished', 'failed', 'cancelled')",
            run.0,
            Micros(now) as Micros,
            PRUNED
        );
        let done = db(mark.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn count_rows(&self, run: RunId) -> Result<Vec<(Part, u64)>> {
        let n = query_as!(
            Counts,
            r#"SELECT (SELECT count(*) FROM rounds p JOIN tasks k ON k.round_id = p.id
                         JOIN outbox o ON o.task_seq = k.seq WHERE p.run_id = r.id) AS "outbox!",
                      (SELECT count(*) FROM rounds p JOIN tasks k ON k.round_id = p.id
                         JOIN task_bodies b ON b.task_seq = k.seq WHERE p.run_id = r.id) AS "bodies!",
                      (SELECT count(*) FROM rounds p JOIN items i ON i.round_id = p.id
                        WHERE p.run_id = r.id) AS "items!",
                      (SELECT count(*) FROM pairs p WHERE p.run_id = r.id) AS "pairs!",
                      (SELECT count(*) FROM candidates c JOIN candidate_parents q ON q.candidate_id = c.id
                        WHERE c.run_id = r.id) AS "parents!",
                      (SELECT count(*) FROM candidates c WHERE c.run_id = r.id) AS "candidates!",
                      (SELECT count(*) FROM targets t WHERE t.run_id = r.id) AS "targets!",
                      (SELECT count(*) FROM run_examples m WHERE m.run_id = r.id) AS "members!",
                      (SELECT count(*) FROM rounds p JOIN tasks k ON k.round_id = p.id
                         JOIN ledger l ON l.task_seq = k.seq WHERE p.run_id = r.id) AS "ledger!",
                      (SELECT count(*) FROM rounds p JOIN tasks k ON k.round_id = p.id
                        WHERE p.run_id = r.id) AS "tasks!",
                      (SELECT count(*) FROM rounds p WHERE p.run_id = r.id) AS "rounds!",
                      (SELECT count(*) FROM run_limits l WHERE l.run_id = r.id) AS "limits!",
                      (SELECT count(*) FROM run_models m WHERE m.run_id = r.id) AS "models!",
                      (SELECT count(*) FROM run_tags t WHERE t.run_id = r.id) AS "tags!",
                      (SELECT count(*) FROM run_spend s WHERE s.run_id = r.id) AS "spend!"
                 FROM runs r WHERE r.id = $1"#,
            run.0
        );
        let Some(n) = db(n.fetch_optional(&self.pool)).await? else {
            return Ok(vec![]);
        };
        Ok(n.parts())
    }

    async fn delete_rows(&self, run: RunId, part: Part, limit: u32) -> Result<u64> {
        again(|| self.delete_rows_once(run, part, limit)).await
    }

    async fn count_unused(&self, without: &[RunId]) -> Result<Unused> {
        let without: Vec<Uuid> = without.iter().map(|r| r.0).collect();
        let n = query!(
            r#"WITH /* all of it */ gone AS MATERIALIZED (
                   SELECT a.seq FROM answers a
                    WHERE NOT EXISTS (SELECT FROM items i JOIN rounds p ON p.id = i.round_id
                                       WHERE i.key = a.key AND p.run_id <> ALL($1)))
               SELECT (SELECT count(*) FROM gone) AS "answers!",
                      (SELECT count(*) FROM gone JOIN grades g ON g.answer_seq = gone.seq) AS "grades!",
                      (SELECT count(*) FROM examples e
                        WHERE NOT EXISTS (SELECT FROM run_examples m
                                           WHERE m.example_id = e.id AND m.run_id <> ALL($1))
                          AND NOT EXISTS (SELECT FROM targets t
                                           WHERE t.example_id = e.id AND t.run_id <> ALL($1))) AS "examples!""#,
            &without
        );
        let n = db(n.fetch_one(&self.pool)).await?;
        Ok(Unused {
            answers: n.answers.unsigned_abs(),
            grades: n.grades.unsigned_abs(),
            examples: n.examples.unsigned_abs(),
        })
    }

    async fn delete_unused(&self, limit: u32) -> Result<Unused> {
        again(|| self.delete_unused_once(limit)).await
    }
}

impl PostgresStore {
    async fn delete_rows_once(&self, run: RunId, part: Part, limit: u32) -> Result<u64, Fault> {
        let mut tx = self.write().await?;
        let marked = query_scalar!(
            "SELECT pruned_at IS NOT NULL FROM runs WHERE id = $1 FOR KEY SHARE",
            run.0
        );
        match db(marked.fetch_optional(&mut *tx)).await? {
            None => return Ok(0),
            Some(Some(true)) => {}
            Some(_) => Err(StoreError::Refused(format!(
                "run {run} is not marked as pruned: nothing was deleted"
            )))?,
        }
        let deleted = db(delete(&mut tx, run.0, part, i64::from(limit))).await?;
        commit(tx).await?;
        Ok(deleted.rows_affected())
    }

    async fn delete_unused_once(&self, limit: u32) -> Result<Unused, Fault> {
        let mut tx = self.write().await?;
        nobody_runs(&mut tx).await?;
        let answers = query!(
            "/* all of it */ DELETE FROM answers WHERE seq IN (
                 SELECT a.seq FROM answers a WHERE NOT EXISTS (SELECT FROM items i WHERE i.key = a.key)
                  ORDER BY a.seq LIMIT $1)
             RETURNING seq, key",
            i64::from(limit)
        );
        let answers = db(answers.fetch_all(&mut *tx)).await?;
        let seqs: Vec<i64> = answers.iter().map(|a| a.seq).collect();
        let mut unused = Unused {
            answers: seqs.len() as u64,
            ..Unused::default()
        };
        if seqs.is_empty() {
            unused.examples = delete_examples(&mut tx, limit).await?;
        } else {
            let grades = query!("DELETE FROM grades WHERE answer_seq = ANY($1)", &seqs);
            unused.grades = db(grades.execute(&mut *tx)).await?.rows_affected();
            // Of those that are trainings.
            let keys: Vec<Uuid> = answers.iter().map(|a| a.key).collect();
            let losses = query!("DELETE FROM training_losses WHERE key = ANY($1)", &keys);
            db(losses.execute(&mut *tx)).await?;
        }
        commit(tx).await?;
        Ok(unused)
    }
}

async fn nobody_runs(conn: &mut PgConnection) -> Result<(), Fault> {
    let running =
        query_scalar!("SELECT name FROM runs WHERE status = 'running' ORDER BY created_at LIMIT 1");
    match db(running.fetch_optional(conn)).await? {
        None => Ok(()),
        Some(name) => Err(store::retention::still_running(&name).into()),
    }
}

async fn delete_examples(conn: &mut PgConnection, limit: u32) -> Result<u64, Fault> {
    let examples = query!(
        "DELETE FROM examples WHERE id IN (
             SELECT e.id FROM examples e
              WHERE NOT EXISTS (SELECT FROM run_examples m WHERE m.example_id = e.id)
                AND NOT EXISTS (SELECT FROM targets t WHERE t.example_id = e.id) LIMIT $1)",
        i64::from(limit)
    );
    Ok(db(examples.execute(conn)).await?.rows_affected())
}

/// Deletes some rows of a part.
async fn delete(
    conn: &mut PgConnection,
    run: Uuid,
    part: Part,
    limit: i64,
) -> sqlx::Result<PgQueryResult> {
    match part {
        Part::Outbox => query!(
            "DELETE FROM outbox WHERE task_seq IN (
                 SELECT o.task_seq FROM rounds p JOIN tasks k ON k.round_id = p.id
                   JOIN outbox o ON o.task_seq = k.seq WHERE p.run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Bodies => query!(
            "DELETE FROM task_bodies WHERE task_seq IN (
                 SELECT b.task_seq FROM rounds p JOIN tasks k ON k.round_id = p.id
                   JOIN task_bodies b ON b.task_seq = k.seq WHERE p.run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Items => query!(
            "DELETE FROM items WHERE (round_id, ordinal) IN (
                 SELECT i.round_id, i.ordinal FROM rounds p JOIN items i ON i.round_id = p.id
                  WHERE p.run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Pairs => query!(
            "DELETE FROM pairs WHERE run_id = $1
                AND ordinal IN (SELECT ordinal FROM pairs WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Parents => query!(
            "DELETE FROM candidate_parents WHERE (candidate_id, ordinal) IN (
                 SELECT q.candidate_id, q.ordinal
                   FROM candidates c JOIN candidate_parents q ON q.candidate_id = c.id
                  WHERE c.run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Candidates => query!(
            "DELETE FROM candidates WHERE seq IN (SELECT seq FROM candidates WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Targets => query!(
            "DELETE FROM targets WHERE seq IN (SELECT seq FROM targets WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Members => query!(
            "DELETE FROM run_examples WHERE run_id = $1
                AND position IN (SELECT position FROM run_examples WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Ledger => query!(
            "DELETE FROM ledger d USING (
                 SELECT l.task_seq, l.epoch, l.kind, l.worker FROM rounds p JOIN tasks k ON k.round_id = p.id
                   JOIN ledger l ON l.task_seq = k.seq WHERE p.run_id = $1 LIMIT $2) l
              WHERE (d.task_seq, d.epoch, d.kind, d.worker) = (l.task_seq, l.epoch, l.kind, l.worker)",
            run,
            limit
        )
        .execute(conn),
        Part::Tasks => query!(
            "DELETE FROM tasks WHERE seq IN (
                 SELECT k.seq FROM rounds p JOIN tasks k ON k.round_id = p.id WHERE p.run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Rounds => query!(
            "DELETE FROM rounds WHERE id IN (SELECT id FROM rounds WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Limits => query!(
            "DELETE FROM run_limits WHERE seq IN (SELECT seq FROM run_limits WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Models => query!(
            "DELETE FROM run_models WHERE run_id = $1
                AND name IN (SELECT name FROM run_models WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Tags => query!(
            "DELETE FROM run_tags WHERE run_id = $1
                AND ordinal IN (SELECT ordinal FROM run_tags WHERE run_id = $1 LIMIT $2)",
            run,
            limit
        )
        .execute(conn),
        Part::Spend => query!("DELETE FROM run_spend WHERE run_id = $1", run).execute(conn),
        Part::Run => query!("DELETE FROM runs WHERE id = $1", run).execute(conn),
    }
    .await
}
