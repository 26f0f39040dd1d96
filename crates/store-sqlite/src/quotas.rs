//! What models' servers allow: standings, grants, and what reports give back.

use crate::{
    SqliteStore, Tx,
    codec::{At, db, int, plain, rows},
};
use async_trait::async_trait;
use domain::{ids::RunId, run::Limits};
use sqlx::{query, query_as};
use store::{
    Quota, Quotas, Result, RunModel,
    quota::{Granted, Meters, Spent, StandingRow, pause, spent},
};
use wire::Report;

#[async_trait]
impl Quotas for SqliteStore {
    async fn use_models(&self, run: RunId, models: &[RunModel]) -> Result<()> {
        let run = run.to_string();
        let row = |m: &RunModel| {
            let quota = m.quota.as_ref();
            let of = |n: fn(&Quota) -> Option<u64>| quota.and_then(n).map(int);
            let (requests, tokens) = (of(|q| q.requests), of(|q| q.tokens));
            let per = quota.map_or(0, |q| q.per);
            (plain(&m.name), plain(&m.model), requests, tokens, per)
        };
        let batch = rows(&models.iter().map(row).collect::<Vec<_>>())?;
        let mut tx = self.write().await?;
        query!("DELETE FROM run_models WHERE run_id = ?1", run)
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        query!(
            "INSERT INTO run_models (run_id, name, model, requests, tokens, per_micros)
             SELECT ?1, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4
               FROM jsonb_each(?2) e",
            run,
            batch
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        query!(
            "INSERT INTO model_limits (model)
             SELECT DISTINCT model FROM run_models
              WHERE run_id = ?1 AND (requests IS NOT NULL OR tokens IS NOT NULL)
             ON CONFLICT (model) DO NOTHING",
            run
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)
    }
}

/// The budget that holds for a run, and whether one of its models is limited or left alone.
pub async fn limits(tx: &mut Tx, run: &str) -> Result<(Limits, bool)> {
    let at = At("run_limits", run);
    let row = query!(
        r#"SELECT l.calls, l.tokens, l.cost_micros,
                  EXISTS (SELECT 1 FROM run_models m CROSS JOIN model_limits x ON x.model = m.model
                           WHERE m.run_id = ?1) AS "metered!: bool"
             FROM run_limits l WHERE l.run_id = ?1 ORDER BY l.seq DESC LIMIT 1"#,
        run
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(db)?
    .ok_or_else(|| at.corrupt("the run is not stored, or has no limits"))?;
    let number = |n: Option<i64>| n.map(|n| at.number(n)).transpose();
    let limits = Limits {
        calls: number(row.calls)?,
        tokens: number(row.tokens)?,
        cost_micros: number(row.cost_micros)?,
    };
    Ok((limits, row.metered))
}

/// How the models of a run stand. Rows that say nothing any more go.
pub async fn meters(tx: &mut Tx, run: &str, now: i64) -> Result<Meters> {
    query!("DELETE FROM grants WHERE until <= ?1", now)
        .execute(&mut **tx)
        .await
        .map_err(db)?;
    query!(
        "DELETE FROM model_limits
          WHERE (not_before IS NULL OR not_before <= ?1) AND NOT EXISTS (
                SELECT 1 FROM run_models m WHERE m.model = model_limits.model
                   AND (m.requests IS NOT NULL OR m.tokens IS NOT NULL))",
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    let found = query_as!(
        StandingRow,
        r#"SELECT m.name, m.model, l.not_before, l.paced_until,
                  (SELECT min(o.requests) FROM run_models o CROSS JOIN runs r ON r.id = o.run_id
                    WHERE o.model = m.model AND (r.status = 'running' OR r.id = ?1)) AS "requests: i64",
                  (SELECT min(o.tokens) FROM run_models o CROSS JOIN runs r ON r.id = o.run_id
                    WHERE o.model = m.model AND (r.status = 'running' OR r.id = ?1)) AS "tokens: i64",
                  (SELECT max(o.per_micros) FROM run_models o CROSS JOIN runs r ON r.id = o.run_id
                    WHERE o.model = m.model AND (r.status = 'running' OR r.id = ?1)) AS "per_micros: i64",
                  (SELECT coalesce(sum(g.requests), 0) FROM grants g WHERE g.model = m.model) AS "held_requests!: i64",
                  (SELECT coalesce(sum(g.tokens), 0) FROM grants g WHERE g.model = m.model) AS "held_tokens!: i64",
                  (SELECT min(g.until) FROM grants g
                    WHERE g.model = m.model AND g.requests > 0) AS "first_end: i64"
             FROM run_models m CROSS JOIN model_limits l ON l.model = m.model
            WHERE m.run_id = ?1 ORDER BY m.name"#,
        run
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    let standings: Result<Vec<_>> = found.into_iter().map(StandingRow::read).collect();
    Ok(Meters::new(standings?, now))
}

/// Writes what was granted to attempts: task, epoch, grant.
pub async fn grant(
    tx: &mut Tx,
    granted: &[(i64, i64, &Granted)],
    taken: &[(String, Option<i64>)],
) -> Result<()> {
    let row = |(seq, epoch, g): &(i64, i64, &Granted)| {
        let (requests, tokens) = (int(g.requests), int(g.tokens));
        (
            *seq,
            *epoch,
            g.model.clone(),
            requests,
            tokens,
            g.per,
            g.until,
        )
    };
    let batch = rows(&granted.iter().map(row).collect::<Vec<_>>())?;
    query!(
        "INSERT INTO grants (task_seq, epoch, model, requests, tokens, per_micros, until)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5,
                e.value ->> 6
           FROM jsonb_each(?1) e",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    let batch = rows(taken)?;
    query!(
        "UPDATE model_limits SET paced_until = e.value ->> 1
           FROM jsonb_each(?1) e WHERE model_limits.model = e.value ->> 0",
        batch
    )
    .execute(&mut **tx)
    .await
    .map_err(db)?;
    Ok(())
}

/// Books what reports say of grants and of their models' servers. Returns the models that are to be left alone, and
/// until when.
pub async fn book<'a>(
    tx: &mut Tx,
    reports: impl Iterator<Item = (i64, &'a Report)> + Clone,
    now: i64,
) -> Result<Vec<(String, i64)>> {
    let spent = spent(reports.clone());
    if !spent.is_empty() {
        let row = |s: &Spent| (s.0, s.1, int(s.2), int(s.3));
        let batch = rows(&spent.iter().map(row).collect::<Vec<_>>())?;
        query!(
            "UPDATE grants SET requests = min(grants.requests, e.value ->> 2), tokens = e.value ->> 3,
                    until = min(grants.until, ?2 + grants.per_micros)
               FROM jsonb_each(?1) e WHERE grants.task_seq = e.value ->> 0 AND grants.epoch = e.value ->> 1",
            batch,
            now
        )
        .execute(&mut **tx)
        .await
        .map_err(db)?;
    }
    let pauses = reports.filter_map(|(seq, report)| Some((seq, pause(report, now)?)));
    let pauses: Vec<(i64, i64)> = pauses.collect();
    if pauses.is_empty() {
        return Ok(Vec::new());
    }
    let batch = rows(&pauses)?;
    let held = query!(
        r#"INSERT INTO model_limits (model, not_before)
           SELECT m.model, max(e.value ->> 1)
             FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.seq = e.value ->> 0
             CROSS JOIN run_models m ON m.run_id = t.run_id AND m.name = t.model
            WHERE true GROUP BY m.model
           ON CONFLICT (model) DO UPDATE
              SET not_before = max(coalesce(model_limits.not_before, 0), excluded.not_before)
           RETURNING model, not_before AS "not_before!""#,
        batch
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(db)?;
    let mut held: Vec<_> = held.into_iter().map(|h| (h.model, h.not_before)).collect();
    held.sort_unstable();
    Ok(held)
}
