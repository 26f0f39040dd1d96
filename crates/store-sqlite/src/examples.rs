//! Examples and their membership in a run.

use crate::{
    SqliteStore,
    codec::{At, db, int, plain, rows, split, text},
};
use async_trait::async_trait;
use domain::{
    example::{Example, Split},
    hash::Hash,
    ids::RunId,
    run::Member,
};
use sqlx::{query, query_as};
use store::{Examples, MemberPage, Result};

/// Rows in one statement: large enough to be cheap, small enough that the parameter stays in memory.
const CHUNK: usize = 512;

struct Row {
    id: String,
    input: String,
    context: Option<String>,
    choices: String,
    reference: String,
    group_name: Option<String>,
    doc: Option<String>,
}

impl TryFrom<Row> for (Hash, Example) {
    type Error = store::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let at = At("examples", &row.id);
        let id = at.id(&row.id)?;
        if let Some(doc) = &row.doc {
            return Ok((id, at.json(doc)?));
        }
        let example = Example {
            choices: at.json(&row.choices)?,
            reference: at.json(&row.reference)?,
            input: row.input,
            context: row.context,
            group: row.group_name,
        };
        Ok((id, example))
    }
}

struct MemberRow {
    position: i64,
    dataset: String,
    cluster_id: String,
    split: String,
    id: String,
    input: String,
    context: Option<String>,
    choices: String,
    reference: String,
    group_name: Option<String>,
    doc: Option<String>,
}

impl TryFrom<MemberRow> for (i64, Member, Example) {
    type Error = store::StoreError;

    fn try_from(row: MemberRow) -> Result<Self> {
        let at = At("run_examples", &row.id);
        let member = Member {
            example: at.id(&row.id)?,
            cluster: at.id(&row.cluster_id)?,
            split: at.word(&row.split, split)?,
            dataset: row.dataset,
        };
        let example = Row {
            id: row.id,
            input: row.input,
            context: row.context,
            choices: row.choices,
            reference: row.reference,
            group_name: row.group_name,
            doc: row.doc,
        };
        let (_, example) = example.try_into()?;
        Ok((row.position, member, example))
    }
}

/// A text column takes the text as it is, save NUL characters: then `doc` holds the example.
fn example_row(member: &Member, example: &Example) -> Result<impl serde::Serialize> {
    let optional = |t: &Option<String>| t.as_deref().map(plain);
    let texts = [
        Some(&example.input),
        example.context.as_ref(),
        example.group.as_ref(),
    ];
    let doc = match texts.into_iter().flatten().any(|t| t.contains('\0')) {
        true => Some(text(example)?),
        false => None,
    };
    Ok((
        member.example.to_string(),
        plain(&example.input),
        optional(&example.context),
        text(&example.choices)?,
        text(&example.reference)?,
        example.reference_text().map(plain),
        optional(&example.group),
        doc,
    ))
}

#[async_trait]
impl Examples for SqliteStore {
    async fn add_examples(&self, run: RunId, members: &[(Member, Example)]) -> Result<u64> {
        let run = run.to_string();
        let mut tx = self.write().await?;
        let mut new = 0;
        for chunk in members.chunks(CHUNK) {
            let examples: Vec<_> = chunk
                .iter()
                .map(|(m, e)| example_row(m, e))
                .collect::<Result<_>>()?;
            let examples = rows(&examples)?;
            query!(
                "INSERT INTO examples (id, input, context, choices, reference, reference_text, group_name,
                                       doc)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                        value ->> 6, value ->> 7
                   FROM jsonb_each(?1) WHERE true
                 ON CONFLICT (id) DO NOTHING",
                examples
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
            let members: Vec<_> = chunk
                .iter()
                .map(|(m, _)| (m.example, &m.dataset, m.cluster, m.split))
                .collect();
            let members = rows(&members)?;
            // A member that is there already leaves a gap in the positions, which nobody minds.
            new += query!(
                "INSERT INTO run_examples (run_id, position, example_id, dataset, cluster_id, split)
                 SELECT ?1, key + 1 + (SELECT coalesce(max(position), 0) FROM run_examples WHERE run_id = ?1),
                        value ->> 0, value ->> 1, value ->> 2, value ->> 3
                   FROM jsonb_each(?2) WHERE true ORDER BY key
                 ON CONFLICT (run_id, dataset, example_id) DO NOTHING",
                run,
                members
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?
            .rows_affected();
        }
        tx.commit().await.map_err(db)?;
        Ok(new)
    }

    async fn members(&self, page: &MemberPage) -> Result<Vec<(i64, Member, Example)>> {
        let run = page.run.to_string();
        let part = page.split.map(|s| s.as_str());
        let limit = int(page.limit.into());
        query_as!(
            MemberRow,
            "SELECT m.position, m.dataset, m.cluster_id, m.split, e.id, e.input, e.context, e.choices,
                    e.reference, e.group_name, e.doc
               FROM run_examples m JOIN examples e ON e.id = m.example_id
              WHERE m.run_id = ?1 AND m.position > ?2
                AND (?3 IS NULL OR m.dataset = ?3) AND (?4 IS NULL OR m.split = ?4)
              ORDER BY m.position LIMIT ?5",
            run,
            page.after,
            page.dataset,
            part,
            limit
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
    }

    async fn examples(&self, ids: &[Hash]) -> Result<Vec<(Hash, Example)>> {
        let ids = rows(ids)?;
        query_as!(
            Row,
            "SELECT e.id, e.input, e.context, e.choices, e.reference, e.group_name, e.doc
               FROM json_each(?1) k CROSS JOIN examples e ON e.id = k.value ORDER BY k.key",
            ids
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
    }

    async fn member_counts(&self, run: RunId) -> Result<Vec<(String, Split, u64)>> {
        let id = run.to_string();
        query!(
            r#"SELECT dataset AS "dataset!", split AS "split!", count(*) AS "n!: i64" FROM run_examples WHERE run_id = ?1
                GROUP BY dataset, split ORDER BY min(position)"#,
            id
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?
        .into_iter()
        .map(|row| {
            let at = At("run_examples", &id);
            let part = at.word(&row.split, split)?;
            Ok((row.dataset, part, at.number(row.n)?))
        })
        .collect()
    }
}
