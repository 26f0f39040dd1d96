//! Runs, their limits and tags.

use crate::{
    SqliteStore,
    codec::{At, db, int, rows},
};
use async_trait::async_trait;
use domain::{
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use sqlx::{query, query_as, query_scalar};
use store::{Result, Run, RunPage, Runs, StatusChange};

struct Row {
    id: String,
    name: String,
    kind: String,
    status: String,
    reason: Option<String>,
    spec: String,
    spec_hash: String,
    summary: Option<String>,
    created_at: i64,
    finished_at: Option<i64>,
    tags: String,
}

impl TryFrom<Row> for Run {
    type Error = store::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let at = At("runs", &row.id);
        Ok(Self {
            id: at.id(&row.id)?,
            kind: at.word(&row.kind, RunKind::from_word)?,
            status: at.word(&row.status, RunStatus::from_word)?,
            spec_hash: at.id(&row.spec_hash)?,
            tags: at.json(&row.tags)?,
            name: row.name,
            reason: row.reason,
            spec: row.spec,
            summary: row.summary,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

#[async_trait]
impl Runs for SqliteStore {
    async fn create_run(&self, run: &Run, limits: &Limits) -> Result<()> {
        let mut tx = self.write().await?;
        let id = run.id.to_string();
        let (kind, status) = (run.kind.as_str(), run.status.as_str());
        let spec_hash = run.spec_hash.to_string();
        let new = query!(
            "INSERT INTO runs (id, name, kind, status, reason, spec, spec_hash, summary, created_at,
                               finished_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO NOTHING",
            id,
            run.name,
            kind,
            status,
            run.reason,
            run.spec,
            spec_hash,
            run.summary,
            run.created_at,
            run.finished_at,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        if new == 0 {
            return Ok(());
        }
        let tags = rows(&run.tags)?;
        query!(
            "INSERT INTO run_tags (run_id, ordinal, tag) SELECT ?1, key, value FROM json_each(?2)",
            id,
            tags
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        query!("INSERT INTO run_spend (run_id) VALUES (?1)", id)
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        insert_limits(&mut tx, &id, limits, run.created_at).await?;
        tx.commit().await.map_err(db)
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        let id = id.to_string();
        query_as!(
            Row,
            r#"SELECT id, name, kind, status, reason, spec, spec_hash, summary, created_at, finished_at,
                      (SELECT json_group_array(tag) FROM (SELECT tag FROM run_tags
                         WHERE run_id = r.id ORDER BY ordinal)) AS "tags!: String"
                 FROM runs r WHERE id = ?1"#,
            id
        )
        .fetch_optional(&self.reader)
        .await
        .map_err(db)?
        .map(Run::try_from)
        .transpose()
    }

    async fn status(&self, id: RunId) -> Result<Option<(RunStatus, Option<String>)>> {
        let id = id.to_string();
        let row = query!("SELECT status, reason FROM runs WHERE id = ?1", id)
            .fetch_optional(&self.reader)
            .await
            .map_err(db)?;
        row.map(|row| {
            let status = At("runs", &id).word(&row.status, RunStatus::from_word)?;
            Ok((status, row.reason))
        })
        .transpose()
    }

    async fn runs_page(&self, page: &RunPage) -> Result<Vec<Run>> {
        let status = page.status.map(|status| status.as_str());
        let (created_at, id) = page.after.unzip();
        let id = id.map(|id| id.to_string());
        query_as!(
            Row,
            r#"SELECT id, name, kind, status, reason, spec, spec_hash, summary, created_at, finished_at,
                      (SELECT json_group_array(tag) FROM (SELECT tag FROM run_tags
                         WHERE run_id = r.id ORDER BY ordinal)) AS "tags!: String"
                 FROM runs r
                WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR (created_at, id) < (?2, ?3))
                ORDER BY created_at DESC, id DESC LIMIT ?4"#,
            status,
            created_at,
            id,
            page.limit
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?
        .into_iter()
        .map(Run::try_from)
        .collect()
    }

    async fn paused_because(&self, reason: &str) -> Result<Vec<RunId>> {
        let ids = query_scalar!(
            "SELECT id FROM runs WHERE status = 'paused' AND reason = ?1 ORDER BY created_at, id",
            reason
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?;
        ids.iter().map(|id| At("runs", id).id(id)).collect()
    }

    async fn set_status(&self, change: &StatusChange) -> Result<bool> {
        let id = change.run.to_string();
        let (from, to) = (change.from.as_str(), change.to.as_str());
        let mut tx = self.write().await?;
        let changed = query!(
            "UPDATE runs SET status = ?3, reason = ?4,
                    finished_at = CASE WHEN ?3 IN ('finished', 'cancelled') THEN ?5 END
              WHERE id = ?1 AND status = ?2",
            id,
            from,
            to,
            change.reason,
            change.now,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?
        .rows_affected();
        tx.commit().await.map_err(db)?;
        Ok(changed == 1)
    }

    async fn set_summary(&self, id: RunId, summary: &str) -> Result<()> {
        let id = id.to_string();
        let mut tx = self.write().await?;
        query!("UPDATE runs SET summary = ?2 WHERE id = ?1", id, summary)
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)
    }

    async fn add_limits(&self, id: RunId, limits: &Limits, now: i64) -> Result<()> {
        let mut tx = self.write().await?;
        insert_limits(&mut tx, &id.to_string(), limits, now).await?;
        tx.commit().await.map_err(db)
    }

    async fn limits(&self, id: RunId) -> Result<Limits> {
        let mut conn = self.reader.acquire().await.map_err(db)?;
        newest_limits(&mut conn, &id.to_string()).await
    }
}

/// The limits that hold: the newest row.
pub async fn newest_limits(conn: &mut sqlx::SqliteConnection, run: &str) -> Result<Limits> {
    let at = At("run_limits", run);
    let row = query!(
        "SELECT calls, tokens, cost_micros FROM run_limits WHERE run_id = ?1 ORDER BY seq DESC LIMIT 1",
        run
    )
    .fetch_optional(conn)
    .await
    .map_err(db)?
    .ok_or_else(|| at.corrupt("the run is not stored, or has no limits"))?;
    let number = |n: Option<i64>| n.map(|n| at.number(n)).transpose();
    Ok(Limits {
        calls: number(row.calls)?,
        tokens: number(row.tokens)?,
        cost_micros: number(row.cost_micros)?,
    })
}

async fn insert_limits(
    conn: &mut sqlx::SqliteConnection,
    run: &str,
    limits: &Limits,
    now: i64,
) -> Result<()> {
    let [calls, tokens, cost] =
        [limits.calls, limits.tokens, limits.cost_micros].map(|n| n.map(int));
    query!(
        "INSERT INTO run_limits (run_id, calls, tokens, cost_micros, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        run,
        calls,
        tokens,
        cost,
        now
    )
    .execute(conn)
    .await
    .map_err(db)?;
    Ok(())
}
