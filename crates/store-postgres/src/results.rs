//! What the planner and the reports for people read.

use crate::{
    PostgresStore,
    codec::{At, NO_EXAMPLE, arm, reply, to_hash},
    fault::db,
    ledger,
    plans::StepRow,
};
use async_trait::async_trait;
use domain::{
    call::Reply,
    candidate::{Candidate, Target, Verdict},
    grade::Grade,
    ids::{CandidateId, RunId, TargetId},
    run::{Item, Pair, Spend, StepKey},
};
use sqlx::{query, query_as, query_scalar};
use store::{Outcome, Result, Results, StepStatus, StoreError, Totals};
use uuid::Uuid;

struct OutcomeRow {
    ordinal: i64,
    target_id: Uuid,
    candidate_id: Option<Uuid>,
    example_id: Option<Uuid>,
    repeat: i64,
    key: Uuid,
    reply_text: Option<String>,
    reply_json: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    cost_micros: Option<i64>,
    value: Option<f64>,
    raw: Option<f64>,
    margin: Option<f64>,
    feedback: Option<String>,
}

impl TryFrom<OutcomeRow> for Outcome {
    type Error = StoreError;

    fn try_from(row: OutcomeRow) -> Result<Self> {
        let key = to_hash(row.key);
        let name = key.to_string();
        let at = At("items", &name);
        let item = Item {
            ordinal: at.number(row.ordinal)?,
            target: TargetId(row.target_id),
            candidate: row.candidate_id.map(CandidateId),
            example: row.example_id.map(to_hash),
            repeat: at.number(row.repeat)?,
            key,
        };
        let reply: Option<Reply> = reply(at, row.reply_text, row.reply_json.as_deref())?;
        let grade = row.value.map(|value| Grade {
            value,
            raw: row.raw,
            margin: row.margin,
            feedback: row.feedback.unwrap_or_default(),
        });
        let number = |n: Option<i64>| at.number(n.unwrap_or_default());
        let spent = Spend {
            calls: 1,
            tokens: number(row.prompt_tokens)? + number(row.completion_tokens)?,
            cost_micros: number(row.cost_micros)?,
        };
        Ok(Self {
            item,
            spent: reply.is_some().then_some(spent),
            reply,
            grade,
        })
    }
}

struct CandidateRow {
    id: Uuid,
    target_id: Uuid,
    round: i64,
    ordinal: i64,
    arm: String,
    operator: String,
    author: String,
    doc: String,
    verdict: String,
    reason: Option<String>,
    detail: Option<String>,
    parents: Vec<Uuid>,
}

impl TryFrom<CandidateRow> for Candidate {
    type Error = StoreError;

    fn try_from(row: CandidateRow) -> Result<Self> {
        let id = row.id.to_string();
        let at = At("candidates", &id);
        let verdict = match row.verdict.as_str() {
            "proposed" => Verdict::Proposed,
            "accepted" => Verdict::Accepted,
            "rejected" => Verdict::Rejected {
                reason: row.reason.unwrap_or_default(),
                detail: row.detail.unwrap_or_default(),
            },
            word => return Err(at.corrupt(format!("unknown word {word:?}"))),
        };
        Ok(Self {
            id: CandidateId(row.id),
            target: TargetId(row.target_id),
            round: at.number(row.round)?,
            ordinal: at.number(row.ordinal)?,
            arm: at.word(&row.arm, arm)?,
            operator: row.operator,
            author: row.author,
            parents: row.parents.into_iter().map(CandidateId).collect(),
            doc: at.json(&row.doc)?,
            verdict,
        })
    }
}

struct PairRow {
    target_id: Uuid,
    candidate_id: Uuid,
    original: String,
    improved: String,
    original_grade: f64,
    improved_grade: f64,
    grader: String,
    operator: String,
    round: i64,
    p_value: f64,
}

impl TryFrom<PairRow> for Pair {
    type Error = StoreError;

    fn try_from(row: PairRow) -> Result<Self> {
        let id = row.candidate_id.to_string();
        Ok(Self {
            target: TargetId(row.target_id),
            candidate: CandidateId(row.candidate_id),
            round: At("pairs", &id).number(row.round)?,
            original: row.original,
            improved: row.improved,
            original_grade: row.original_grade,
            improved_grade: row.improved_grade,
            grader: row.grader,
            operator: row.operator,
            p_value: row.p_value,
        })
    }
}

#[async_trait]
impl Results for PostgresStore {
    async fn outcomes(&self, key: StepKey, after: Option<u32>, limit: u32) -> Result<Vec<Outcome>> {
        let rows = query_as!(
            OutcomeRow,
            r#"SELECT i.ordinal, i.target_id, i.candidate_id, i.example_id, i.repeat, i.key,
                      a.reply_text, a.reply_json::text AS reply_json,
                      a.prompt_tokens AS "prompt_tokens?", a.completion_tokens AS "completion_tokens?",
                      a.cost_micros AS "cost_micros?",
                      g.value AS "value?", g.raw, g.margin, g.feedback AS "feedback?"
                 FROM items i
                 LEFT JOIN answers a ON a.key = i.key
                 LEFT JOIN grades g ON g.answer_seq = a.seq AND g.example_id = coalesce(i.example_id, $6)
                      AND g.grader = i.grader AND g.grader_version = i.grader_version
                WHERE i.round_id = (SELECT id FROM rounds WHERE run_id = $1 AND round = $2 AND step = $3)
                  AND i.ordinal > $4
                ORDER BY i.ordinal LIMIT $5"#,
            key.run.0,
            i64::from(key.round),
            key.step.as_str(),
            after.map_or(-1, i64::from),
            i64::from(limit),
            NO_EXAMPLE
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(Outcome::try_from).collect()
    }

    async fn targets(&self, run: RunId) -> Result<Vec<Target>> {
        let rows = query!(
            "SELECT id, dataset, model, example_id FROM targets WHERE run_id = $1 ORDER BY seq",
            run.0
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        let targets = rows.into_iter().map(|row| Target {
            id: TargetId(row.id),
            dataset: row.dataset,
            model: row.model,
            example: row.example_id.map(to_hash),
        });
        Ok(targets.collect())
    }

    async fn candidates(&self, run: RunId) -> Result<Vec<Candidate>> {
        let rows = query_as!(
            CandidateRow,
            r#"SELECT c.id, c.target_id, c.round, c.ordinal, c.arm, c.operator, c.author, c.doc::text AS "doc!",
                      c.verdict, c.reason, c.detail,
                      ARRAY(SELECT parent_id FROM candidate_parents
                             WHERE candidate_id = c.id ORDER BY ordinal) AS "parents!"
                 FROM candidates c JOIN targets t ON t.id = c.target_id
                WHERE c.run_id = $1 ORDER BY c.round, t.seq, c.ordinal, c.arm, c.seq"#,
            run.0
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(Candidate::try_from).collect()
    }

    async fn pairs(&self, run: RunId) -> Result<Vec<Pair>> {
        let rows = query_as!(
            PairRow,
            "SELECT target_id, candidate_id, original, improved, original_grade, improved_grade, grader,
                    operator, round, p_value
               FROM pairs WHERE run_id = $1 ORDER BY ordinal",
            run.0
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(Pair::try_from).collect()
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepStatus>> {
        let rows = query_as!(
            StepRow,
            "SELECT round, step, kind, items, items_done, tasks_open, tasks_dead FROM rounds
              WHERE run_id = $1 ORDER BY id",
            run.0
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| row.status(run)).collect()
    }

    async fn totals(&self, run: RunId) -> Result<Totals> {
        let id = run.to_string();
        let at = At("rounds", &id);
        let mut conn = db(self.pool.acquire()).await?;
        let dead = query_scalar!(
            r#"SELECT coalesce(sum(tasks_dead), 0)::bigint AS "n!" FROM rounds WHERE run_id = $1"#,
            run.0
        );
        let dead = db(dead.fetch_one(&mut *conn)).await?;
        let rejected = query!(
            r#"SELECT reason AS "reason!", count(*) AS "n!" FROM candidates
                WHERE run_id = $1 AND verdict = 'rejected' GROUP BY reason ORDER BY reason"#,
            run.0
        );
        let rejected = db(rejected.fetch_all(&mut *conn)).await?;
        Ok(Totals {
            spend: ledger::spend(&mut conn, run).await?,
            dead: at.number(dead)?,
            rejected: rejected
                .into_iter()
                .map(|row| Ok((row.reason, at.number(row.n)?)))
                .collect::<Result<_>>()?,
        })
    }

    async fn projection(&self, run: RunId) -> Result<Vec<String>> {
        store::projection::lines(self, run).await
    }
}
