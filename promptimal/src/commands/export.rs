//! `promptimal export`

use crate::{
    cli::{ExportArgs, ExportFormat, What},
    out,
    site::{Site, whole},
};
use anyhow::Context;
use coordinator::board::Pages;
use domain::{call::Reply, run::Pair};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};
use store::{Outcome, Run, Store};

/// Columns of an export, in order.
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

/// Writes a run's pairs, candidates or answers.
pub async fn export(site: &Site, args: &ExportArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), &args.run).await?;
    let columns = match args.what {
        What::Pairs => PAIRS,
        What::Candidates => CANDIDATES,
        What::Answers => ANSWERS,
    };
    let mut sink = Sink::open(args, columns)?;
    match args.what {
        What::Pairs => store::Results::pairs(store.as_ref(), run.id)
            .await?
            .iter()
            .try_for_each(|p| sink.row(pair(p)))?,
        What::Candidates => candidates(store.as_ref(), &run, &mut sink).await?,
        What::Answers => answers(store.as_ref(), &run, &mut sink).await?,
    }
    let rows = sink.finish()?;
    if let Some(path) = &args.output {
        out::note(format!("{rows} rows written to {}", path.display()));
    }
    Ok(())
}

fn pair(p: &Pair) -> Value {
    json!({
        "original": p.original, "improved": p.improved, "original_grade": p.original_grade,
        "improved_grade": p.improved_grade, "grader": p.grader, "operator": p.operator,
        "round": p.round, "p_value": p.p_value, "target": p.target, "candidate": p.candidate,
    })
}

async fn candidates(store: &dyn Store, run: &Run, sink: &mut Sink) -> anyhow::Result<()> {
    let targets: std::collections::HashMap<_, _> = store
        .targets(run.id)
        .await?
        .into_iter()
        .map(|t| (t.id, t))
        .collect();
    for c in store.candidates(run.id).await? {
        let target = targets.get(&c.target);
        let reason = match &c.verdict {
            domain::candidate::Verdict::Rejected { reason, .. } => Some(reason),
            _ => None,
        };
        sink.row(json!({
            "candidate": c.id, "target": c.target, "dataset": target.map(|t| &t.dataset),
            "example": target.and_then(|t| t.example), "round": c.round, "ordinal": c.ordinal,
            "arm": c.arm, "operator": c.operator, "author": c.author, "verdict": c.verdict.as_str(),
            "reason": reason, "prompt": c.doc.question.as_ref().unwrap_or(&c.doc.user),
            "parents": c.parents,
        }))?;
    }
    Ok(())
}

async fn answers(store: &dyn Store, run: &Run, sink: &mut Sink) -> anyhow::Result<()> {
    for step in store.steps(run.id).await? {
        let mut pages = Pages::new(step.key);
        while let Some(page) = pages.next(store).await? {
            for outcome in page {
                sink.row(answer(&outcome, &step))?;
            }
        }
    }
    Ok(())
}

fn answer(o: &Outcome, step: &store::StepStatus) -> Value {
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

/// Where rows go. A file is written beside its name and renamed when whole.
struct Sink {
    columns: &'static [&'static str],
    to: To,
    file: Option<(std::path::PathBuf, std::path::PathBuf)>,
    rows: u64,
}

enum To {
    Jsonl(Box<dyn Write>),
    Csv(Box<csv::Writer<Box<dyn Write>>>),
}

impl Sink {
    fn open(args: &ExportArgs, columns: &'static [&'static str]) -> anyhow::Result<Self> {
        let part = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".part");
            std::path::PathBuf::from(name)
        };
        let file = args.output.as_ref().map(|path| (part(path), path.clone()));
        let writer: Box<dyn Write> = match &file {
            None => Box::new(io::stdout().lock()),
            Some((part, _)) => {
                let made = File::create(part);
                let made = made.with_context(|| format!("cannot write {}", part.display()))?;
                Box::new(BufWriter::new(made))
            }
        };
        let to = match args.format {
            ExportFormat::Jsonl => To::Jsonl(writer),
            ExportFormat::Csv => {
                let mut csv = csv::Writer::from_writer(writer);
                csv.write_record(columns)?;
                To::Csv(Box::new(csv))
            }
        };
        Ok(Self {
            columns,
            to,
            file,
            rows: 0,
        })
    }

    fn row(&mut self, row: Value) -> anyhow::Result<()> {
        self.rows += 1;
        match &mut self.to {
            To::Jsonl(writer) => writeln!(writer, "{}", ordered(self.columns, row))?,
            To::Csv(csv) => csv.write_record(self.columns.iter().map(|c| flat(&row[*c])))?,
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<u64> {
        match &mut self.to {
            To::Jsonl(writer) => writer.flush()?,
            To::Csv(csv) => csv.flush()?,
        }
        drop(self.to);
        if let Some((part, path)) = &self.file {
            std::fs::rename(part, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(self.rows)
    }
}

/// The columns in their order; serde_json's own map sorts names.
fn ordered(columns: &[&str], row: Value) -> String {
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
