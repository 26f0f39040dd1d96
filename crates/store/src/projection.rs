//! The projection by which two runs of the same spec are compared.
//!
//! One line per row, sorted; every line begins with the kind of row. Ids that derive from the run's id are
//! replaced by names that do not: a target by dataset, model and example; a candidate by its target, round,
//! arm and ordinal; where an adapter lies is left out of what a training came to. Times, attempts, epochs, workers and the ledger are left out, so two runs of the same
//! spec have the same lines whether or not something was killed on the way, in one process or in many.
//!
//! ```text
//! run        spec hash, kind, status
//! member     dataset, example, cluster, split
//! target     name
//! candidate  name, operator, author, parents, document, verdict
//! item       round, step, kind, ordinal, target, candidate, example, repeat, key, reply, grade
//! pair       target, candidate, original, improved, both grades, grader, operator, round, p value
//! ```

use crate::{MemberPage, Outcome, Result, StepStatus, Store, StoreError};
use domain::{
    call::Reply,
    candidate::{Candidate, Target},
    ids::{CandidateId, RunId, TargetId},
    run::{Pair, Step},
};
use serde::Serialize;
use std::{borrow::Cow, collections::HashMap};
use wire::Training;

/// Rows read at once.
const PAGE: u32 = 1000;

/// The sorted lines of a run, read through the store's own traits: any adapter's projection.
///
/// # Errors
/// When the store fails or a row names a target or candidate that is not stored.
pub async fn lines(store: &dyn Store, run: RunId) -> Result<Vec<String>> {
    let stored = store.run(run).await?.ok_or_else(|| StoreError::Corrupt {
        table: "runs",
        row: run.to_string(),
        problem: "not stored".to_owned(),
    })?;
    let mut out = vec![line("run", (stored.spec_hash, stored.kind, stored.status))?];
    members(store, run, &mut out).await?;
    let targets = store.targets(run).await?;
    let candidates = store.candidates(run).await?;
    let names = Names::of(&targets, &candidates);
    for target in &targets {
        out.push(line("target", (names.target(target.id)?,))?);
    }
    for candidate in &candidates {
        out.push(names.candidate_line(candidate)?);
    }
    for step in store.steps(run).await? {
        items(store, &step, &names, &mut out).await?;
    }
    for pair in store.pairs(run).await? {
        out.push(names.pair_line(&pair)?);
    }
    out.sort_unstable();
    Ok(out)
}

async fn members(store: &dyn Store, run: RunId, out: &mut Vec<String>) -> Result<()> {
    let mut page = MemberPage {
        run,
        dataset: None,
        split: None,
        after: 0,
        limit: PAGE,
    };
    loop {
        let rows = store.members(&page).await?;
        let Some((last, ..)) = rows.last() else {
            return Ok(());
        };
        page.after = *last;
        for (_, m, _) in &rows {
            out.push(line("member", (&m.dataset, m.example, m.cluster, m.split))?);
        }
    }
}

async fn items(
    store: &dyn Store,
    step: &StepStatus,
    names: &Names,
    out: &mut Vec<String>,
) -> Result<()> {
    let mut after = None;
    loop {
        let rows = store.outcomes(step.key, after, PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = Some(last.item.ordinal);
        for outcome in &rows {
            out.push(names.item_line(step, outcome)?);
        }
    }
}

/// Names that do not depend on the run's id.
struct Names {
    targets: HashMap<TargetId, String>,
    candidates: HashMap<CandidateId, String>,
}

impl Names {
    fn of(targets: &[Target], candidates: &[Candidate]) -> Self {
        let targets: HashMap<_, _> = targets
            .iter()
            .map(|t| {
                let example = t.example.map_or_else(|| "*".to_owned(), |e| e.to_string());
                (t.id, format!("{}/{}/{example}", t.dataset, t.model))
            })
            .collect();
        let candidates = candidates
            .iter()
            .map(|c| {
                let target = targets.get(&c.target).map_or("?", String::as_str);
                let name = format!("{target}/{}/{}/{}", c.round, c.arm.as_str(), c.ordinal);
                (c.id, name)
            })
            .collect();
        Self {
            targets,
            candidates,
        }
    }

    fn target(&self, id: TargetId) -> Result<&str> {
        let name = self.targets.get(&id).map(String::as_str);
        name.ok_or_else(|| missing("targets", id.to_string()))
    }

    fn candidate(&self, id: CandidateId) -> Result<&str> {
        let name = self.candidates.get(&id).map(String::as_str);
        name.ok_or_else(|| missing("candidates", id.to_string()))
    }

    fn candidate_line(&self, c: &Candidate) -> Result<String> {
        let parents: Result<Vec<_>> = c.parents.iter().map(|p| self.candidate(*p)).collect();
        let name = self.candidate(c.id)?;
        line(
            "candidate",
            (name, &c.operator, &c.author, parents?, &c.doc, &c.verdict),
        )
    }

    fn item_line(&self, step: &StepStatus, outcome: &Outcome) -> Result<String> {
        let item = &outcome.item;
        let candidate = item.candidate.map(|c| self.candidate(c)).transpose()?;
        line(
            "item",
            (
                (step.key.round, step.key.step, step.kind, item.ordinal),
                (self.target(item.target)?, candidate, item.example),
                (item.repeat, item.key),
                (reply(step.key.step, outcome), &outcome.grade),
            ),
        )
    }

    fn pair_line(&self, p: &Pair) -> Result<String> {
        line(
            "pair",
            (
                (self.target(p.target)?, self.candidate(p.candidate)?),
                (&p.original, &p.improved),
                (p.original_grade, p.improved_grade),
                (&p.grader, &p.operator, p.round, p.p_value),
            ),
        )
    }
}

/// What was said; of a training, what is the same wherever it was done.
fn reply(step: Step, outcome: &Outcome) -> Option<Cow<'_, Reply>> {
    let reply = outcome.reply.as_ref()?;
    let training = Training::of(reply).filter(|_| step == Step::Train);
    Some(match training {
        Some(training) => Cow::Owned(training.anywhere().reply()),
        None => Cow::Borrowed(reply),
    })
}

fn missing(table: &'static str, row: String) -> StoreError {
    StoreError::Corrupt {
        table,
        row,
        problem: "it is named by another row, but not stored".to_owned(),
    }
}

/// A kind of row and its fields as JSON: numbers are written so that equal text means equal bits.
fn line(kind: &str, fields: impl Serialize) -> Result<String> {
    serde_json::to_string(&fields)
        .map(|fields| format!("{kind} {fields}"))
        .map_err(|e| StoreError::Backend(format!("projection: {e}")))
}
