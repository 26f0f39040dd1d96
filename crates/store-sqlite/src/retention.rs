//! Deleting the rows of runs that are over.
//!
//! On a connection of its own without foreign keys: to check them, SQLite would look through all items for each target
//! and candidate that goes. The order in which parts are deleted keeps them.

use crate::{
    SqliteStore,
    codec::{db, int, rows},
    options,
};
use async_trait::async_trait;
use domain::ids::RunId;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, query, query_as, query_scalar,
    sqlite::SqliteQueryResult,
};
use store::{
    Result, StoreError,
    retention::{Counts, PRUNED, Part, Retention, Unused},
};

#[async_trait]
impl Retention for SqliteStore {
    async fn pruned_at(&self, run: RunId) -> Result<Option<i64>> {
        let id = run.to_string();
        let found = query_scalar!("SELECT pruned_at FROM runs WHERE id = ?1", id)
            .fetch_optional(&self.reader)
            .await
            .map_err(db)?;
        Ok(found.flatten())
    }

    async fn mark_pruned(&self, run: RunId, now: i64) -> Result<bool> {
        let id = run.to_string();
        let mut tx = self.write().await?;
        let marked = query!(
            "UPDATE runs
                SET pruned_at = coalesce(pruned_at, ?2), reason = ?3, finished_at = coalesce(finished_at, ?2),
                    status = CASE status WHEN 'failed' THEN 'cancelled' ELSE status END
              WHERE id = ?1 AND status IN ('finished', 'failed', 'cancelled')",
            id,
            now,
            PRUNED
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(marked == 1)
    }

    async fn count_rows(&self, run: RunId) -> Result<Vec<(Part, u64)>> {
        let id = run.to_string();
        let n = query_as!(
            Counts,
            r#"SELECT (SELECT count(*) FROM outbox o WHERE o.run_id = r.id) AS "outbox!: i64",
                      (SELECT count(*) FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                         CROSS JOIN task_bodies b ON b.task_seq = k.seq WHERE p.run_id = r.id) AS "bodies!: i64",
                      (SELECT count(*) FROM rounds p CROSS JOIN items i ON i.round_id = p.id
                        WHERE p.run_id = r.id) AS "items!: i64",
                      (SELECT count(*) FROM pairs p WHERE p.run_id = r.id) AS "pairs!: i64",
                      (SELECT count(*) FROM candidates c CROSS JOIN candidate_parents q ON q.candidate_id = c.id
                        WHERE c.run_id = r.id) AS "parents!: i64",
                      (SELECT count(*) FROM candidates c WHERE c.run_id = r.id) AS "candidates!: i64",
                      (SELECT count(*) FROM targets t WHERE t.run_id = r.id) AS "targets!: i64",
                      (SELECT count(*) FROM run_examples m WHERE m.run_id = r.id) AS "members!: i64",
                      (SELECT count(*) FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                         CROSS JOIN ledger l ON l.task_seq = k.seq WHERE p.run_id = r.id) AS "ledger!: i64",
                      (SELECT count(*) FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                        WHERE p.run_id = r.id) AS "tasks!: i64",
                      (SELECT count(*) FROM rounds p WHERE p.run_id = r.id) AS "rounds!: i64",
                      (SELECT count(*) FROM run_limits l WHERE l.run_id = r.id) AS "limits!: i64",
                      (SELECT count(*) FROM run_models m WHERE m.run_id = r.id) AS "models!: i64",
                      (SELECT count(*) FROM run_tags t WHERE t.run_id = r.id) AS "tags!: i64",
                      (SELECT count(*) FROM run_spend s WHERE s.run_id = r.id) AS "spend!: i64"
                 FROM runs r WHERE r.id = ?1"#,
            id
        )
        .fetch_optional(&self.reader)
        .await
        .map_err(db)?;
        let Some(n) = n else { return Ok(vec![]) };
        Ok(n.parts())
    }

    async fn delete_rows(&self, run: RunId, part: Part, limit: u32) -> Result<u64> {
        let mut conn = self.unchecked().await?;
        let id = run.to_string();
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(db)?;
        match query_scalar!("SELECT pruned_at FROM runs WHERE id = ?1", id)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db)?
        {
            None => return Ok(0),
            Some(None) => return Err(unmarked(run)),
            Some(Some(_)) => {}
        }
        let deleted = delete(&mut tx, &id, part, limit).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        conn.close().await.map_err(db)?;
        Ok(deleted.rows_affected())
    }

    async fn count_unused(&self, without: &[RunId]) -> Result<Unused> {
        let without = rows(without)?;
        let n = query!(
            r#"WITH /* all of it */ kept (key) AS MATERIALIZED (
                   SELECT i.key FROM rounds p CROSS JOIN items i ON i.round_id = p.id
                    WHERE p.run_id NOT IN (SELECT value FROM json_each(?1))),
               gone (seq) AS MATERIALIZED (SELECT seq FROM answers WHERE key NOT IN (SELECT key FROM kept))
               SELECT (SELECT count(*) FROM gone) AS "answers!: i64",
                      (SELECT count(*) FROM gone CROSS JOIN grades g ON g.answer_seq = gone.seq)
                          AS "grades!: i64",
                      (SELECT count(*) FROM examples e
                        WHERE e.id NOT IN (SELECT m.example_id FROM run_examples m
                                            WHERE m.run_id NOT IN (SELECT value FROM json_each(?1)))
                          AND e.id NOT IN (SELECT t.example_id FROM targets t WHERE t.example_id IS NOT NULL
                                              AND t.run_id NOT IN (SELECT value FROM json_each(?1))))
                          AS "examples!: i64""#,
            without
        )
        .fetch_one(&self.reader)
        .await
        .map_err(db)?;
        Ok(Unused {
            answers: n.answers.unsigned_abs(),
            grades: n.grades.unsigned_abs(),
            examples: n.examples.unsigned_abs(),
        })
    }

    async fn delete_unused(&self, limit: u32) -> Result<Unused> {
        let mut conn = self.unchecked().await?;
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(db)?;
        nobody_runs(&mut tx).await?;
        let seqs = query_scalar!(
            "/* all of it */ SELECT seq FROM answers WHERE key NOT IN (SELECT key FROM items) ORDER BY seq LIMIT ?1",
            limit
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(db)?;
        let unused = match seqs.as_slice() {
            [] => Unused {
                examples: delete_examples(&mut tx, limit).await?,
                ..Unused::default()
            },
            seqs => delete_answers(&mut tx, &rows(seqs)?).await?,
        };
        tx.commit().await.map_err(db)?;
        conn.close().await.map_err(db)?;
        Ok(unused)
    }
}

impl SqliteStore {
    /// Gives the space of deleted rows back to the file system: writes the file anew, and needs as much space once
    /// more while it does. Returns how many bytes the file had, and has.
    ///
    /// # Errors
    /// When the disk is full, or somebody else writes.
    pub async fn compact(&self) -> Result<(u64, u64)> {
        let mut conn = self.unchecked().await?;
        let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
        query(fold).execute(&mut conn).await.map_err(db)?;
        let before = self.size().await?;
        query("VACUUM").execute(&mut conn).await.map_err(db)?;
        query(fold).execute(&mut conn).await.map_err(db)?;
        conn.close().await.map_err(db)?;
        Ok((before, self.size().await?))
    }

    async fn size(&self) -> Result<u64> {
        let meta = tokio::fs::metadata(self.path()).await;
        meta.map(|m| m.len())
            .map_err(|e| StoreError::Backend(format!("{}: {e}", self.path().display())))
    }

    /// A connection that checks no foreign keys.
    async fn unchecked(&self) -> Result<SqliteConnection> {
        if self.writer.is_none() {
            return Err(self.read_only_error());
        }
        let options = options(self.path()).foreign_keys(false);
        options.connect().await.map_err(db)
    }
}

fn unmarked(run: RunId) -> StoreError {
    StoreError::Refused(format!(
        "run {run} is not marked as pruned: nothing was deleted"
    ))
}

async fn nobody_runs(conn: &mut SqliteConnection) -> Result<()> {
    let running =
        query_scalar!("SELECT name FROM runs WHERE status = 'running' ORDER BY created_at LIMIT 1")
            .fetch_optional(conn)
            .await
            .map_err(db)?;
    match running {
        None => Ok(()),
        Some(name) => Err(store::retention::still_running(&name)),
    }
}

/// Deletes some rows of a part.
async fn delete(
    conn: &mut SqliteConnection,
    run: &str,
    part: Part,
    limit: u32,
) -> sqlx::Result<SqliteQueryResult> {
    let limit = int(u64::from(limit));
    match part {
        Part::Outbox => query!(
            "DELETE FROM outbox WHERE task_seq IN (SELECT task_seq FROM outbox WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Bodies => query!(
            "DELETE FROM task_bodies WHERE task_seq IN (
                 SELECT b.task_seq FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                  CROSS JOIN task_bodies b ON b.task_seq = k.seq WHERE p.run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Items => query!(
            "DELETE FROM items WHERE (round_id, ordinal) IN (
                 SELECT i.round_id, i.ordinal FROM rounds p CROSS JOIN items i ON i.round_id = p.id
                  WHERE p.run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Pairs => query!(
            "DELETE FROM pairs WHERE run_id = ?1
                AND ordinal IN (SELECT ordinal FROM pairs WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Parents => query!(
            "DELETE FROM candidate_parents WHERE (candidate_id, ordinal) IN (
                 SELECT q.candidate_id, q.ordinal
                   FROM candidates c CROSS JOIN candidate_parents q ON q.candidate_id = c.id
                  WHERE c.run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Candidates => query!(
            "DELETE FROM candidates WHERE seq IN (SELECT seq FROM candidates WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Targets => query!(
            "DELETE FROM targets WHERE seq IN (SELECT seq FROM targets WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Members => query!(
            "DELETE FROM run_examples WHERE run_id = ?1
                AND position IN (SELECT position FROM run_examples WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Ledger => query!(
            "DELETE FROM ledger WHERE seq IN (
                 SELECT l.seq FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                  CROSS JOIN ledger l ON l.task_seq = k.seq WHERE p.run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Tasks => query!(
            "DELETE FROM tasks WHERE seq IN (
                 SELECT k.seq FROM rounds p CROSS JOIN tasks k ON k.round_id = p.id
                  WHERE p.run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Rounds => query!(
            "DELETE FROM rounds WHERE id IN (SELECT id FROM rounds WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Limits => query!(
            "DELETE FROM run_limits WHERE seq IN (SELECT seq FROM run_limits WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Models => query!(
            "DELETE FROM run_models WHERE run_id = ?1
                AND name IN (SELECT name FROM run_models WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Tags => query!(
            "DELETE FROM run_tags WHERE run_id = ?1
                AND ordinal IN (SELECT ordinal FROM run_tags WHERE run_id = ?1 LIMIT ?2)",
            run,
            limit
        )
        .execute(conn),
        Part::Spend => query!("DELETE FROM run_spend WHERE run_id = ?1", run).execute(conn),
        Part::Run => query!("DELETE FROM runs WHERE id = ?1", run).execute(conn),
    }
    .await
}

/// Deletes answers (a JSON list of their numbers) with their grades, and the losses of those that are trainings.
async fn delete_answers(conn: &mut SqliteConnection, seqs: &str) -> Result<Unused> {
    let grades = query!(
        "DELETE FROM grades WHERE answer_seq IN (SELECT value FROM json_each(?1))",
        seqs
    )
    .execute(&mut *conn)
    .await
    .map_err(db)?
    .rows_affected();
    query!(
        "DELETE FROM training_losses WHERE key IN (
             SELECT a.key FROM json_each(?1) k CROSS JOIN answers a ON a.seq = k.value)",
        seqs
    )
    .execute(&mut *conn)
    .await
    .map_err(db)?;
    let answers = query!(
        "DELETE FROM answers WHERE seq IN (SELECT value FROM json_each(?1))",
        seqs
    )
    .execute(conn)
    .await
    .map_err(db)?
    .rows_affected();
    Ok(Unused {
        answers,
        grades,
        examples: 0,
    })
}

async fn delete_examples(conn: &mut SqliteConnection, limit: u32) -> Result<u64> {
    Ok(query!(
        "DELETE FROM examples WHERE id IN (
             SELECT e.id FROM examples e
              WHERE e.id NOT IN (SELECT example_id FROM run_examples)
                AND e.id NOT IN (SELECT example_id FROM targets WHERE example_id IS NOT NULL) LIMIT ?1)",
        limit
    )
    .execute(conn)
    .await
    .map_err(db)?
    .rows_affected())
}
