//! Examples and their membership in a run.

use crate::{
    PostgresStore, Tx,
    codec::{At, columns, maybe_plain, of_hash, plain, split, text, to_hash},
    commit,
    fault::{Fault, again, db},
};
use async_trait::async_trait;
use domain::{
    example::{Example, Reference, Split},
    hash::Hash,
    ids::RunId,
    run::Member,
};
use sqlx::{query, query_as, query_scalar};
use store::{Examples, MemberPage, Result};
use uuid::Uuid;

/// Rows in one statement: large enough to be cheap, small enough that the parameters stay in memory.
const CHUNK: usize = 512;

struct Row {
    id: Uuid,
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
        let id = to_hash(row.id);
        let name = id.to_string();
        let at = At("examples", &name);
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
    cluster_id: Uuid,
    split: String,
    id: Uuid,
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
        let name = to_hash(row.id).to_string();
        let member = Member {
            example: to_hash(row.id),
            cluster: to_hash(row.cluster_id),
            split: At("run_examples", &name).word(&row.split, split)?,
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

/// An example as columns that hold no NUL character; where it has one, `doc` holds it all.
struct Columns {
    id: Uuid,
    plain: Example,
    choices: String,
    reference: String,
    reference_text: Option<String>,
    doc: Option<String>,
}

impl Columns {
    fn of(id: Hash, example: &Example) -> Result<Self> {
        let whole = text(example)?;
        // The escape of a NUL, or the text of that escape: then a copy too many is kept.
        let has_nul = whole.contains("\\u0000");
        let clean = |t: &String| plain(t);
        let shown = Example {
            input: plain(&example.input),
            context: maybe_plain(example.context.as_deref()),
            choices: example.choices.iter().map(clean).collect(),
            reference: plain_reference(&example.reference),
            group: maybe_plain(example.group.as_deref()),
        };
        Ok(Self {
            id: of_hash(id),
            choices: text(&shown.choices)?,
            reference: text(&shown.reference)?,
            reference_text: maybe_plain(example.reference_text()),
            plain: shown,
            doc: has_nul.then_some(whole),
        })
    }
}

fn plain_reference(reference: &Reference) -> Reference {
    match reference {
        Reference::Text { text } => Reference::Text { text: plain(text) },
        Reference::Code { entry_point, tests } => Reference::Code {
            entry_point: plain(entry_point),
            tests: plain(tests),
        },
        Reference::Choice { .. } | Reference::None => reference.clone(),
    }
}

#[async_trait]
impl Examples for PostgresStore {
    async fn add_examples(&self, run: RunId, members: &[(Member, Example)]) -> Result<u64> {
        again(|| self.add_examples_once(run, members)).await
    }

    async fn members(&self, page: &MemberPage) -> Result<Vec<(i64, Member, Example)>> {
        let rows = query_as!(
            MemberRow,
            r#"SELECT m.position, m.dataset, m.cluster_id, m.split, e.id, e.input, e.context,
                      e.choices::text AS "choices!", e.reference::text AS "reference!", e.group_name,
                      e.doc::text AS doc
                 FROM run_examples m JOIN examples e ON e.id = m.example_id
                WHERE m.run_id = $1 AND m.position > $2
                  AND ($3::text IS NULL OR m.dataset = $3) AND ($4::text IS NULL OR m.split = $4)
                ORDER BY m.position LIMIT $5"#,
            page.run.0,
            page.after,
            maybe_plain(page.dataset.as_deref()),
            page.split.map(|s| s.as_str()),
            i64::from(page.limit)
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn examples(&self, ids: &[Hash]) -> Result<Vec<(Hash, Example)>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| of_hash(*id)).collect();
        let rows = query_as!(
            Row,
            r#"SELECT e.id, e.input, e.context, e.choices::text AS "choices!", e.reference::text AS "reference!",
                      e.group_name, e.doc::text AS doc
                 FROM unnest($1::uuid[]) WITH ORDINALITY k (id, place) JOIN examples e ON e.id = k.id
                ORDER BY k.place"#,
            &ids
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn member_counts(&self, run: RunId) -> Result<Vec<(String, Split, u64)>> {
        let rows = query!(
            r#"SELECT dataset, split, count(*) AS "n!" FROM run_examples WHERE run_id = $1
                GROUP BY dataset, split ORDER BY min(position)"#,
            run.0
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        let id = run.to_string();
        let at = At("run_examples", &id);
        rows.into_iter()
            .map(|row| {
                let part = at.word(&row.split, split)?;
                Ok((row.dataset, part, at.number(row.n)?))
            })
            .collect()
    }
}

impl PostgresStore {
    async fn add_examples_once(
        &self,
        run: RunId,
        members: &[(Member, Example)],
    ) -> Result<u64, Fault> {
        let mut tx = self.write().await?;
        insert_examples(&mut tx, members).await?;
        // Positions are counted: one caller at a time.
        let lock = query_scalar!("SELECT id FROM runs WHERE id = $1 FOR NO KEY UPDATE", run.0);
        db(lock.fetch_optional(&mut *tx)).await?;
        let mut new = 0;
        for chunk in members.chunks(CHUNK) {
            new += insert_members(&mut tx, run, chunk).await?;
        }
        commit(tx).await?;
        Ok(new)
    }
}

/// In the order of their ids: two runs may store the same examples at once, and wait for each other's rows.
async fn insert_examples(tx: &mut Tx, members: &[(Member, Example)]) -> Result<(), Fault> {
    let mut sorted: Vec<_> = members.iter().map(|(m, e)| (m.example, e)).collect();
    sorted.sort_by_key(|(id, _)| *id);
    sorted.dedup_by_key(|(id, _)| *id);
    for chunk in sorted.chunks(CHUNK) {
        let rows: Vec<Columns> = chunk
            .iter()
            .map(|(id, e)| Columns::of(*id, e))
            .collect::<Result<_>>()?;
        columns!(rows =>
            ids: |r| r.id,
            inputs: |r| r.plain.input.as_str(),
            contexts: |r| r.plain.context.as_deref(),
            choices: |r| r.choices.as_str(),
            references: |r| r.reference.as_str(),
            texts: |r| r.reference_text.as_deref(),
            groups: |r| r.plain.group.as_deref(),
            docs: |r| r.doc.as_deref(),
        );
        let insert = query!(
            "INSERT INTO examples (id, input, context, choices, reference, reference_text, group_name, doc)
             SELECT id, input, context, choices::jsonb, reference::jsonb, reference_text, group_name, doc::json
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                           $8::text[])
                    e (id, input, context, choices, reference, reference_text, group_name, doc)
              ORDER BY id
             ON CONFLICT (id) DO NOTHING",
            &ids,
            &inputs as &[&str],
            &contexts as &[Option<&str>],
            &choices as &[&str],
            &references as &[&str],
            &texts as &[Option<&str>],
            &groups as &[Option<&str>],
            &docs as &[Option<&str>]
        );
        db(insert.execute(&mut **tx)).await?;
    }
    Ok(())
}

/// A member that is there already leaves a gap in the positions, which nobody minds.
async fn insert_members(
    tx: &mut Tx,
    run: RunId,
    members: &[(Member, Example)],
) -> Result<u64, Fault> {
    columns!(members =>
        examples: |(m, _)| of_hash(m.example),
        datasets: |(m, _)| plain(&m.dataset),
        clusters: |(m, _)| of_hash(m.cluster),
        splits: |(m, _)| m.split.as_str(),
    );
    let insert = query!(
        "INSERT INTO run_examples (run_id, position, example_id, dataset, cluster_id, split)
         SELECT $1, m.place + (SELECT coalesce(max(position), 0) FROM run_examples WHERE run_id = $1),
                m.example_id, m.dataset, m.cluster_id, m.split
           FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[]) WITH ORDINALITY
                m (example_id, dataset, cluster_id, split, place)
          ORDER BY m.place
         ON CONFLICT (run_id, dataset, example_id) DO NOTHING",
        run.0,
        &examples,
        &datasets,
        &clusters,
        &splits as &[&str]
    );
    Ok(db(insert.execute(&mut **tx)).await?.rows_affected())
}
