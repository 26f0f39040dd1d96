//! What models' servers allow: standings, grants, and what reports give back.
//!
//! Grants of a model are made under the lock of its row in `model_limits`, which is taken last of all.

use crate::{
    PostgresStore, Tx,
    codec::{At, columns, int, plain},
    commit,
    fault::{Fault, again, db},
    time::Micros,
};
use async_trait::async_trait;
use domain::{ids::RunId, run::Limits};
use sqlx::{query, query_scalar};
use store::{
    Quotas, Result, RunModel,
    quota::{Granted, Meters, Spent, StandingRow, pause, spent},
};
use wire::Report;

#[async_trait]
impl Quotas for PostgresStore {
    async fn use_models(&self, run: RunId, models: &[RunModel]) -> Result<()> {
        again(|| self.use_models_once(run, models)).await
    }
}

impl PostgresStore {
    async fn use_models_once(&self, run: RunId, models: &[RunModel]) -> Result<(), Fault> {
        let mut tx = self.write().await?;
        columns!(models =>
            names: |m| plain(&m.name),
            keys: |m| plain(&m.model),
            requests: |m| m.quota.and_then(|q| q.requests).map(int),
            tokens: |m| m.quota.and_then(|q| q.tokens).map(int),
            pers: |m| m.quota.map_or(0, |q| q.per),
        );
        let before = query!("DELETE FROM run_models WHERE run_id = $1", run.0);
        db(before.execute(&mut *tx)).await?;
        let insert = query!(
            "INSERT INTO run_models (run_id, name, model, requests, tokens, per_micros)
             SELECT $1, m.* FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) m
             ON CONFLICT (run_id, name) DO UPDATE
                SET model = excluded.model, requests = excluded.requests, tokens = excluded.tokens,
                    per_micros = excluded.per_micros",
            run.0,
            &names,
            &keys,
            &requests as &[Option<i64>],
            &tokens as &[Option<i64>],
            &pers
        );
        db(insert.execute(&mut *tx)).await?;
        // A row that is there is locked: nobody may take it for one that says nothing any more.
        let limits = query!(
            "INSERT INTO model_limits (model)
             SELECT DISTINCT model FROM run_models
              WHERE run_id = $1 AND (requests IS NOT NULL OR tokens IS NOT NULL)
              ORDER BY model
             ON CONFLICT (model) DO UPDATE SET model = excluded.model",
            run.0
        );
        db(limits.execute(&mut *tx)).await?;
        commit(tx).await
    }
}

/// The budget that holds for a run, and whether one of its models is limited or left alone.
pub async fn limits(tx: &mut Tx, run: RunId) -> Result<(Limits, bool), Fault> {
    let row = query!(
        r#"SELECT l.calls, l.tokens, l.cost_micros,
                  EXISTS (SELECT FROM run_models m JOIN model_limits x ON x.model = m.model
                           WHERE m.run_id = $1) AS "metered!"
             FROM run_limits l WHERE l.run_id = $1 ORDER BY l.seq DESC LIMIT 1"#,
        run.0
    );
    let row = db(row.fetch_optional(&mut **tx)).await?;
    let id = run.to_string();
    let at = At("run_limits", &id);
    let row = row.ok_or_else(|| at.corrupt("the run is not stored, or has no limits"))?;
    let number = |n: Option<i64>| n.map(|n| at.number(n)).transpose();
    let limits = Limits {
        calls: number(row.calls)?,
        tokens: number(row.tokens)?,
        cost_micros: number(row.cost_micros)?,
    };
    Ok((limits, row.metered))
}

/// Until the end of the transaction nobody else grants anything of the run's models. Rows that say nothing any more go.
pub async fn lock(tx: &mut Tx, run: RunId, now: i64) -> Result<(), Fault> {
    let models = query_scalar!(
        "SELECT l.model FROM model_limits l
          WHERE l.model IN (SELECT model FROM run_models WHERE run_id = $1)
          ORDER BY l.model FOR UPDATE",
        run.0
    );
    let models = db(models.fetch_all(&mut **tx)).await?;
    let over = query!(
        "DELETE FROM grants WHERE model = ANY($1) AND until <= $2",
        &models,
        Micros(now)
    );
    db(over.execute(&mut **tx)).await?;
    let said = query!(
        "DELETE FROM model_limits l
          WHERE l.model = ANY($1) AND (l.not_before IS NULL OR l.not_before <= $2) AND NOT EXISTS (
                SELECT FROM run_models m WHERE m.model = l.model
                   AND (m.requests IS NOT NULL OR m.tokens IS NOT NULL))",
        &models,
        Micros(now)
    );
    db(said.execute(&mut **tx)).await?;
    Ok(())
}

/// How the models of a run stand.
pub async fn meters(tx: &mut Tx, run: RunId, now: i64) -> Result<Meters, Fault> {
    let found = query!(
        r#"SELECT m.name, m.model, l.not_before AS "not_before: Micros", l.paced_until AS "paced_until: Micros",
                  q.requests, q.tokens, q.per_micros, h.requests AS "held_requests!", h.tokens AS "held_tokens!",
                  h.first_end AS "first_end: Micros"
             FROM run_models m JOIN model_limits l ON l.model = m.model
            CROSS JOIN LATERAL (
                  SELECT min(o.requests) AS requests, min(o.tokens) AS tokens, max(o.per_micros) AS per_micros
                    FROM run_models o JOIN runs r ON r.id = o.run_id
                   WHERE o.model = m.model AND (r.status = 'running' OR r.id = $1)) q
            CROSS JOIN LATERAL (
                  SELECT coalesce(sum(g.requests), 0)::bigint AS requests, coalesce(sum(g.tokens), 0)::bigint AS tokens,
                         min(g.until) FILTER (WHERE g.requests > 0) AS first_end
                    FROM grants g WHERE g.model = m.model AND g.until > $2) h
            WHERE m.run_id = $1 ORDER BY m.name"#,
        run.0,
        Micros(now) as Micros
    );
    let found = db(found.fetch_all(&mut **tx)).await?;
    let standings: Result<Vec<_>> = found
        .into_iter()
        .map(|row| {
            let row = StandingRow {
                name: row.name,
                model: row.model,
                requests: row.requests,
                tokens: row.tokens,
                per_micros: row.per_micros,
                not_before: row.not_before.map(|t| t.0),
                paced_until: row.paced_until.map(|t| t.0),
                held_requests: row.held_requests,
                held_tokens: row.held_tokens,
                first_end: row.first_end.map(|t| t.0),
            };
            row.read()
        })
        .collect();
    Ok(Meters::new(standings?, now))
}

/// Writes what was granted to attempts: task, epoch, grant.
pub async fn grant(
    tx: &mut Tx,
    granted: &[(i64, i64, &Granted)],
    taken: &[(String, Option<i64>)],
) -> Result<(), Fault> {
    columns!(granted =>
        seqs: |g| g.0,
        epochs: |g| g.1,
        models: |g| g.2.model.as_str(),
        requests: |g| int(g.2.requests),
        tokens: |g| int(g.2.tokens),
        pers: |g| g.2.per,
        untils: |g| Micros(g.2.until),
    );
    let insert = query!(
        "INSERT INTO grants (task_seq, epoch, model, requests, tokens, per_micros, until)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::timestamptz[])",
        &seqs,
        &epochs,
        &models as &[&str],
        &requests,
        &tokens,
        &pers,
        &untils as &[Micros]
    );
    db(insert.execute(&mut **tx)).await?;
    columns!(taken =>
        models: |t| t.0.as_str(),
        turns: |t| t.1.map(Micros),
    );
    let paced = query!(
        "UPDATE model_limits l SET paced_until = e.at
           FROM unnest($1::text[], $2::timestamptz[]) e (model, at) WHERE l.model = e.model",
        &models as &[&str],
        &turns as &[Option<Micros>]
    );
    db(paced.execute(&mut **tx)).await?;
    Ok(())
}

/// Books what reports say of grants and of their models' servers. Returns the models that are to be left alone, and
/// until when.
pub async fn book<'a>(
    tx: &mut Tx,
    reports: impl Iterator<Item = (i64, &'a Report)> + Clone,
    now: i64,
) -> Result<Vec<(String, i64)>, Fault> {
    let pauses = reports
        .clone()
        .filter_map(|(seq, report)| Some((seq, pause(report, now)?)));
    let pauses: Vec<(i64, i64)> = pauses.collect();
    // Models before grants, as claims take them.
    let held = match pauses.is_empty() {
        true => Vec::new(),
        false => hold(tx, &pauses).await?,
    };
    let said = spent(reports);
    if !said.is_empty() {
        give_back(tx, &said, now).await?;
    }
    Ok(held)
}

async fn give_back(tx: &mut Tx, said: &[Spent], now: i64) -> Result<(), Fault> {
    columns!(said =>
        seqs: |s| s.0,
        epochs: |s| i64::from(s.1),
        requests: |s| int(s.2),
        tokens: |s| int(s.3),
    );
    let update = query!(
        "UPDATE grants g SET requests = least(g.requests, e.requests), tokens = e.tokens,
                until = least(g.until, $5::timestamptz + g.per_micros * interval '1 microsecond')
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) e (seq, epoch, requests, tokens)
          WHERE g.task_seq = e.seq AND g.epoch = e.epoch",
        &seqs,
        &epochs,
        &requests,
        &tokens,
        Micros(now) as Micros
    );
    db(update.execute(&mut **tx)).await?;
    Ok(())
}

async fn hold(tx: &mut Tx, pauses: &[(i64, i64)]) -> Result<Vec<(String, i64)>, Fault> {
    columns!(pauses => seqs: |p| p.0, untils: |p| Micros(p.1));
    let held = query!(
        r#"INSERT INTO model_limits AS l (model, not_before)
           SELECT m.model, max(e.until)
             FROM unnest($1::bigint[], $2::timestamptz[]) e (seq, until)
             JOIN tasks t ON t.seq = e.seq
             JOIN run_models m ON m.run_id = t.run_id AND m.name = t.model
            GROUP BY m.model ORDER BY m.model
           ON CONFLICT (model) DO UPDATE SET not_before = greatest(l.not_before, excluded.not_before)
           RETURNING model, not_before AS "not_before!: Micros""#,
        &seqs,
        &untils as &[Micros]
    );
    let held = db(held.fetch_all(&mut **tx)).await?;
    let mut held: Vec<_> = held
        .into_iter()
        .map(|h| (h.model, h.not_before.0))
        .collect();
    held.sort_unstable();
    Ok(held)
}
