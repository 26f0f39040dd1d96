//! A run's pairs, candidates or answers as rows of text, piece by piece: memory does not grow with the answers.

use crate::{
    CoordinatorError,
    board::{PAGE, Pages},
};
use domain::{
    call::Reply,
    candidate::{Candidate, Target, Verdict},
    ids::{RunId, TargetId},
    run::Pair,
};
use serde_json::{Value, json};
use std::{collections::HashMap, vec::IntoIter};
use store::{Outcome, StepStatus, Store};

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Confirmed pairs (original, improved), what training reads.
    Pairs,
    /// Every candidate with its lineage and verdict.
    Candidates,
    /// Every answer with its grade.
    Answers,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated, with a header.
    Csv,
}

const PAIRS: &[&str] = &[
    "original",
    "improved",
    "original_grade",
    "improved_grade",
    "grader",
    "operator",
    "round",
    "p_value",
    "target",
    "candidate",
];
const CANDIDATES: &[&str] = &[
    "candidate",
    "target",
    "dataset",
    "example",
    "round",
    "ordinal",
    "arm",
    "operator",
    "author",
    "verdict",
    "reason",
    "prompt",
    "parents",
];
const ANSWERS: &[&str] = &[
    "round",
    "step",
    "target",
    "candidate",
    "example",
    "repeat",
    "key",
    "reply",
    "value",
    "raw",
    "margin",
    "feedback",
];

impl What {
    /// The word in arguments and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Pairs => "pairs",
            What::Candidates => "candidates",
            What::Answers => "answers",
        }
    }

    /// The thing of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [What::Pairs, What::Candidates, What::Answers];
        all.into_iter().find(|what| what.as_str() == word)
    }

    /// Its columns, in order.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            What::Pairs => PAIRS,
            What::Candidates => CANDIDATES,
            What::Answers => ANSWERS,
        }
    }
}

/// An export under way.
pub struct Export {
    run: RunId,
    what: What,
    format: Format,
    left: Left,
    rows: u64,
}

/// What is still to be written.
enum Left {
    All,
    Pairs(IntoIter<Pair>),
    Candidates(IntoIter<Candidate>, HashMap<TargetId, Target>),
    Answers(IntoIter<StepStatus>, Option<(StepStatus, Pages)>),
}

impl Export {
    /// From the beginning.
    pub fn new(run: RunId, what: What, format: Format) -> Self {
        Self {
            run,
            what,
            format,
            left: Left::All,
            rows: 0,
        }
    }

    /// How many rows were written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self, store: &dyn Store) -> Result<Option<Vec<u8>>, CoordinatorError> {
        if matches!(self.left, Left::All) {
            self.left = begin(self.run, self.what, store).await?;
            if self.format == Format::Csv {
                // Also of no rows: a reader may rely on it.
                let header = self.what.columns().iter().map(|c| (*c).to_owned());
                return csv(std::iter::once(header.collect())).map(Some);
            }
        }
        let rows = self.page(store).await?;
        self.rows += rows.len() as u64;
        match rows.is_empty() {
            true => Ok(None),
            false => self.encode(rows).map(Some),
        }
    }

    /// Some rows; none after the last.
    async fn page(&mut self, store: &dyn Store) -> Result<Vec<Value>, CoordinatorError> {
        const SOME: usize = PAGE as usize;
        Ok(match &mut self.left {
            Left::All => Vec::new(),
            Left::Pairs(pairs) => pairs.take(SOME).map(|p| pair(&p)).collect(),
            Left::Candidates(candidates, targets) => {
                let some = candidates.take(SOME);
                some.map(|c| candidate(&c, targets.get(&c.target)))
                    .collect()
            }
            Left::Answers(steps, under_way) => answers(steps, under_way, store).await?,
        })
    }

    fn encode(&self, rows: Vec<Value>) -> Result<Vec<u8>, CoordinatorError> {
        let columns = self.what.columns();
        match self.format {
            Format::Jsonl => {
                let lines = rows.iter().map(|row| ordered(columns, row) + "\n");
                Ok(lines.collect::<String>().into_bytes())
            }
            Format::Csv => {
                let flat = |row: &Value| columns.iter().map(|c| flat(&row[*c])).collect();
                csv(rows.iter().map(flat))
            }
        }
    }
}

async fn begin(run: RunId, what: What, store: &dyn Store) -> Result<Left, CoordinatorError> {
    Ok(match what {
        What::Pairs => Left::Pairs(store.pairs(run).await?.into_iter()),
        What::Candidates => {
            let targets = store.targets(run).await?;
            let targets = targets.into_iter().map(|t| (t.id, t)).collect();
            Left::Candidates(store.candidates(run).await?.into_iter(), targets)
        }
        What::Answers => Left::Answers(store.steps(run).await?.into_iter(), None),
    })
}

/// The next page of the step under way, or of the first one after it that has any.
async fn answers(
    steps: &mut IntoIter<StepStatus>,
    under_way: &mut Option<(StepStatus, Pages)>,
    store: &dyn Store,
) -> Result<Vec<Value>, CoordinatorError> {
    loop {
        if let Some((step, pages)) = under_way
            && let Some(page) = pages.next(store).await?
        {
            return Ok(page.iter().map(|outcome| answer(outcome, step)).collect());
        }
        match steps.next() {
            Some(step) => *under_way = Some((step, Pages::new(step.key))),
            None => return Ok(Vec::new()),
        }
    }
}

fn pair(p: &Pair) -> Value {
    json!({
        "original": p.original, "improved": p.improved, "original_grade": p.original_grade,
        "improved_grade": p.improved_grade, "grader": p.grader, "operator": p.operator,
        "round": p.round, "p_value": p.p_value, "target": p.target, "candidate": p.candidate,
    })
}

fn candidate(c: &Candidate, target: Option<&Target>) -> Value {
    let reason = match &c.verdict {
        Verdict::Rejected { reason, .. } => Some(reason),
        _ => None,
    };
    json!({
        "candidate": c.id, "target": c.target, "dataset": target.map(|t| &t.dataset),
        "example": target.and_then(|t| t.example), "round": c.round, "ordinal": c.ordinal,
        "arm": c.arm, "operator": c.operator, "author": c.author, "verdict": c.verdict.as_str(),
        "reason": reason, "prompt": c.doc.question.as_ref().unwrap_or(&c.doc.user),
        "parents": c.parents,
    })
}

fn answer(o: &Outcome, step: &StepStatus) -> Value {
    let reply = o.reply.as_ref().map(|r| match r {
        Reply::Text { text } => json!(text),
        Reply::Scores { scores } => json!(scores),
    });
    let grade = o.grade.as_ref();
    json!({
        "round": step.key.round, "step": step.key.step, "target": o.item.target,
        "candidate": o.item.candidate, "example": o.item.example, "repeat": o.item.repeat,
        "key": o.item.key, "reply": reply, "value": grade.map(|g| g.value),
        "raw": grade.and_then(|g| g.raw), "margin": grade.and_then(|g| g.margin),
        "feedback": grade.map(|g| &g.feedback),
    })
}

/// The columns in their order; serde_json's own map sorts names.
fn ordered(columns: &[&str], row: &Value) -> String {
    let field = |c: &&str| {
        format!(
            "{}:{}",
            Value::from(*c),
            row.get(*c).unwrap_or(&Value::Null)
        )
    };
    let fields: Vec<String> = columns.iter().map(field).collect();
    format!("{{{}}}", fields.join(","))
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn csv(records: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, CoordinatorError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(record)?;
    }
    let written = writer.into_inner();
    written.map_err(|e| CoordinatorError::Csv(e.into_error().into()))
}
