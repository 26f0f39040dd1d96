//! Runs, their limits and tags.

use crate::{
    PostgresStore, Tx,
    codec::{At, int, maybe_plain, of_hash, plain, to_hash},
    commit,
    fault::{Fault, again, db},
    ledger,
    time::Micros,
};
use async_trait::async_trait;
use domain::{
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use sqlx::{query, query_as, query_scalar};
use store::{Result, Run, RunPage, Runs, StatusChange};
use uuid::Uuid;

struct Row {
    id: Uuid,
    name: String,
    kind: String,
    status: String,
    reason: Option<String>,
    spec: String,
    spec_hash: Uuid,
    summary: Option<String>,
    created_at: Micros,
    finished_at: Option<Micros>,
    tags: Vec<String>,
}

impl TryFrom<Row> for Run {
    type Error = store::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id.to_string();
        let at = At("runs", &id);
        Ok(Self {
            id: RunId(row.id),
            kind: at.word(&row.kind, RunKind::from_word)?,
            status: at.word(&row.status, RunStatus::from_word)?,
            spec_hash: to_hash(row.spec_hash),
            tags: row.tags,
            name: row.name,
            reason: row.reason,
            spec: row.spec,
            summary: row.summary,
            created_at: row.created_at.0,
            finished_at: row.finished_at.map(|t| t.0),
        })
    }
}

#[async_trait]
impl Runs for PostgresStore {
    async fn create_run(&self, run: &Run, limits: &Limits) -> Result<()> {
        again(|| self.create_run_once(run, limits)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        let row = query_as!(
            Row,
            r#"SELECT id, name, kind, status, reason, spec::text AS "spec!", spec_hash, summary::text AS summary,
                      created_at, finished_at,
                      ARRAY(SELECT tag FROM run_tags WHERE run_id = r.id ORDER BY ordinal) AS "tags!"
                 FROM runs r WHERE id = $1"#,
            id.0
        );
        let row = db(row.fetch_optional(&self.pool)).await?;
        row.map(Run::try_from).transpose()
    }

    async fn status(&self, id: RunId) -> Result<Option<(RunStatus, Option<String>)>> {
        let row = query!("SELECT status, reason FROM runs WHERE id = $1", id.0);
        let row = db(row.fetch_optional(&self.pool)).await?;
        row.map(|row| {
            let name = id.to_string();
            let status = At("runs", &name).word(&row.status, RunStatus::from_word)?;
            Ok((status, row.reason))
        })
        .transpose()
    }

    async fn runs_page(&self, page: &RunPage) -> Result<Vec<Run>> {
        let (created_at, id) = page.after.unzip();
        let rows = query_as!(
            Row,
            r#"SELECT id, name, kind, status, reason, spec::text AS "spec!", spec_hash, summary::text AS summary,
                      created_at, finished_at,
                      ARRAY(SELECT tag FROM run_tags WHERE run_id = r.id ORDER BY ordinal) AS "tags!"
                 FROM runs r
                WHERE ($1::text IS NULL OR status = $1)
                  AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
                ORDER BY created_at DESC, id DESC LIMIT $4"#,
            page.status.map(|status| status.as_str()),
            created_at.map(Micros) as Option<Micros>,
            id.map(|id| id.0),
            i64::from(page.limit)
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(Run::try_from).collect()
    }

    async fn paused_because(&self, reason: &str) -> Result<Vec<RunId>> {
        let ids = query_scalar!(
            "SELECT id FROM runs WHERE status = 'paused' AND reason = $1 ORDER BY created_at, id",
            reason
        );
        let ids = db(ids.fetch_all(&self.pool)).await?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    async fn set_status(&self, change: &StatusChange) -> Result<bool> {
        again(|| self.set_status_once(change)).await
    }

    async fn set_summary(&self, id: RunId, summary: &str) -> Result<()> {
        again(async || {
            let change = query!(
                "UPDATE runs SET summary = $2::text::json WHERE id = $1",
                id.0,
                summary
            );
            db(change.execute(&self.pool)).await?;
            Ok(())
        })
        .await
    }

    async fn add_limits(&self, id: RunId, limits: &Limits, now: i64) -> Result<()> {
        again(|| self.add_limits_once(id, limits, now)).await
    }

    async fn limits(&self, id: RunId) -> Result<Limits> {
        let mut conn = db(self.pool.acquire()).await?;
        Ok(newest_limits(&mut conn, id).await?)
    }
}

impl PostgresStore {
    async fn create_run_once(&self, run: &Run, limits: &Limits) -> Result<(), Fault> {
        let mut tx = self.write().await?;
        let new = query!(
            "INSERT INTO runs (id, name, kind, status, reason, spec, spec_hash, summary, created_at,
                               finished_at)
             VALUES ($1, $2, $3, $4, $5, $6::text::json, $7, $8::text::json, $9, $10)
             ON CONFLICT (id) DO NOTHING",
            run.id.0,
            plain(&run.name),
            run.kind.as_str(),
            run.status.as_str(),
            maybe_plain(run.reason.as_deref()),
            run.spec,
            of_hash(run.spec_hash),
            run.summary,
            Micros(run.created_at),
            run.finished_at.map(Micros) as Option<Micros>,
        );
        if db(new.execute(&mut *tx)).await?.rows_affected() == 0 {
            return Ok(());
        }
        let tags: Vec<String> = run.tags.iter().map(|t| plain(t)).collect();
        let tags = query!(
            "INSERT INTO run_tags (run_id, ordinal, tag)
             SELECT $1, t.place - 1, t.tag FROM unnest($2::text[]) WITH ORDINALITY t (tag, place)",
            run.id.0,
            &tags
        );
        db(tags.execute(&mut *tx)).await?;
        let spend = query!("INSERT INTO run_spend (run_id) VALUES ($1)", run.id.0);
        db(spend.execute(&mut *tx)).await?;
        insert_limits(&mut tx, run.id, limits, run.created_at).await?;
        commit(tx).await
    }

    async fn set_status_once(&self, change: &StatusChange) -> Result<bool, Fault> {
        let ends = matches!(change.to, RunStatus::Finished | RunStatus::Cancelled);
        let update = query!(
            "UPDATE runs SET status = $3, reason = $4, finished_at = $5 WHERE id = $1 AND status = $2",
            change.run.0,
            change.from.as_str(),
            change.to.as_str(),
            maybe_plain(change.reason.as_deref()),
            ends.then_some(Micros(change.now)) as Option<Micros>,
        );
        let done = db(update.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Under the lock of the claims: the row that is newest to one is newest to all.
    async fn add_limits_once(&self, id: RunId, limits: &Limits, now: i64) -> Result<(), Fault> {
        let mut tx = self.write().await?;
        ledger::lock(&mut tx, id).await?;
        insert_limits(&mut tx, id, limits, now).await?;
        commit(tx).await
    }
}

/// The limits that hold: the newest row.
pub async fn newest_limits(conn: &mut sqlx::PgConnection, run: RunId) -> Result<Limits, Fault> {
    let row = query!(
        "SELECT calls, tokens, cost_micros FROM run_limits WHERE run_id = $1 ORDER BY seq DESC LIMIT 1",
        run.0
    );
    let row = db(row.fetch_optional(conn)).await?;
    let id = run.to_string();
    let at = At("run_limits", &id);
    let row = row.ok_or_else(|| at.corrupt("the run is not stored, or has no limits"))?;
    let number = |n: Option<i64>| n.map(|n| at.number(n)).transpose();
    Ok(Limits {
        calls: number(row.calls)?,
        tokens: number(row.tokens)?,
        cost_micros: number(row.cost_micros)?,
    })
}

async fn insert_limits(tx: &mut Tx, run: RunId, limits: &Limits, now: i64) -> Result<(), Fault> {
    let [calls, tokens, cost] =
        [limits.calls, limits.tokens, limits.cost_micros].map(|n| n.map(int));
    let row = query!(
        "INSERT INTO run_limits (run_id, calls, tokens, cost_micros, created_at) VALUES ($1, $2, $3, $4, $5)",
        run.0,
        calls,
        tokens,
        cost,
        Micros(now)
    );
    db(row.execute(&mut **tx)).await?;
    Ok(())
}
