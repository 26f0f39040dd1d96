//! `promptimal init`: a few questions, a commented spec.

mod data;
mod questions;

use crate::{
    cli::{InitArgs, Task},
    init::{Data, Plan, ask::Asker, survey::Survey},
    out,
};
use anyhow::{Context, anyhow, bail};
use questions::{calls, start, task, there, who};
use spec::{Found, Purpose, SpecError};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// `promptimal init`
pub fn init(args: &InitArgs) -> anyhow::Result<()> {
    free(args)?;
    let asker = Asker::find(args.yes);
    let (plan, survey) = plan(asker, args)?;
    let file = args.file.display().to_string();
    let text = plan.spec(&file)?;
    let lacks = checked(&text, &args.file)?;
    fs::write(&args.file, &text).with_context(|| format!("cannot write {file}"))?;
    let next = format!("promptimal run {file} --dry-run");
    if args.json {
        return out::json(&serde_json::json!({
            "file": file, "mode": mode(plan.task), "task": plan.task.name(), "rows": survey.rows,
            "format": plan.data.format.name(), "labels": plan.data.labels, "calls": plan.calls,
            "missing": lacks, "next": next,
        }));
    }
    out::line(format!("{file} is written."));
    lacks
        .iter()
        .for_each(|what| out::line(format!("Before it runs: {what}")));
    out::line(format!("next: {next}"));
    Ok(())
}

fn mode(task: Task) -> &'static str {
    match task {
        Task::Rewrite => "rewrite",
        _ => "instruct",
    }
}

/// Whether the spec may be written, before anybody is asked anything.
fn free(args: &InitArgs) -> anyhow::Result<()> {
    let file = args.file.display();
    if args.file.is_dir() {
        bail!("{file} is a folder: name a file in it, such as {file}/promptimal.toml");
    }
    if args.file.exists() && !args.force {
        bail!("{file} exists: name another file, or replace it with --force");
    }
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "{file}: there is no folder {}: make it first",
            folder.display()
        );
    }
    if args.start.is_some() && args.task == Some(Task::Rewrite) {
        bail!(
            "--start is for tasks with one instruction, and --task rewrite has none: leave it out"
        );
    }
    Ok(())
}

fn plan(asker: Asker, args: &InitArgs) -> anyhow::Result<(Plan, Survey)> {
    let path = match &args.data {
        Some(path) => path.clone(),
        None => PathBuf::from(asker.text(("--data", "where are the data?"), None, there)?),
    };
    let (source, survey) = data::read(asker, args, &path)?;
    let task = task(asker, args, &survey)?;
    survey.suits(task)?;
    let labels = match task {
        Task::Label => survey.labels.clone(),
        Task::Rewrite if survey.task() == Task::Label => survey.labels.clone(),
        _ => Vec::new(),
    };
    let mut plan = Plan {
        name: name(&path),
        task,
        kind: survey.kind,
        data: Data {
            path: as_written(&path, &args.file)?,
            format: source.format,
            fields: source.fields,
            labels,
            objects: survey.objects.clone(),
            longest: survey.longest,
        },
        model: who(asker, args)?,
        calls: calls(asker, args, task)?,
        start: String::new(),
    };
    if task != Task::Rewrite {
        plan.start = start(asker, args, &plan)?;
    } else if args.start.is_some() {
        bail!(
            "--start is for tasks with one instruction, and these data are for --task rewrite: leave it out"
        );
    }
    Ok((plan, survey))
}

/// A name for data and run, after the file or folder.
fn name(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let stem = whole
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let stem = stem
        .split('.')
        .find(|part| !part.is_empty())
        .unwrap_or("data");
    let plain = |c: char| if c.is_control() { '-' } else { c };
    stem.chars().take(60).map(plain).collect()
}

/// The data's path as it is found from the spec: relative where the data lie below the spec's folder, else absolute.
fn as_written(data: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = match folder {
        Some(folder) => fs::canonicalize(folder)?,
        None => env::current_dir()?.canonicalize()?,
    };
    let whole = fs::canonicalize(data)?;
    let below = whole
        .strip_prefix(&folder)
        .ok()
        .filter(|p| !p.as_os_str().is_empty());
    let written = below.unwrap_or(&whole);
    let text = written.to_str().map(str::to_owned);
    text.with_context(|| format!("--data {}: the path is no UTF-8: rename it", data.display()))
}

/// Loads the text as a run would. What is only missing on this machine is returned, one line each.
fn checked(text: &str, file: &Path) -> anyhow::Result<Vec<String>> {
    let Err(first) = spec::load_text(text, file, &[], Purpose::Run, &spec::Machine) else {
        return Ok(Vec::new());
    };
    // With every variable set, what is left is wrong with the spec itself.
    match spec::load_text(text, file, &[], Purpose::Run, &Keyed) {
        Ok(_) => Ok(first.problems.into_iter().map(|p| p.message).collect()),
        Err(error) => Err(unfit(error)),
    }
}

/// This machine with every environment variable set.
struct Keyed;

impl spec::Environment for Keyed {
    fn is_set(&self, _: &str) -> bool {
        true
    }

    fn find(&self, path: &Path) -> Found {
        spec::Machine.find(path)
    }

    fn current_dir(&self) -> PathBuf {
        spec::Machine.current_dir()
    }
}

fn unfit(error: SpecError) -> anyhow::Error {
    anyhow!("with these answers the spec would not load, and nothing is written:\n{error}")
}
