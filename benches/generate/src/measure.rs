//! How long the product's own ways of reading, writing and scoring take.

use crate::{clock::Clock, tasks::Tasks};
use anyhow::Context;
use model::{Draft, Engine, LoglikJob, Options, Writing};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Tokens written in each text that is measured.
const WRITTEN: usize = 128;
/// The same where sixteen stand side by side.
const TOGETHER: usize = 32;
/// Questions in one call: the product's default for a task.
const BLOCK: usize = 8;
/// How often the one long text is read.
const READINGS: usize = 3;

/// Everything, once.
pub fn all(model: &Path, tasks: &str, precision: &str) -> anyhow::Result<Value> {
    let tasks: Tasks = serde_json::from_str(&fs::read_to_string(tasks)?)?;
    let options = Options {
        precision: precision.parse()?,
        ..Options::default()
    };
    let started = Clock::start();
    let mut engine = Engine::load(model, options)?;
    let load = started.seconds();
    // Once aside: pages are touched, threads started.
    written(&engine, std::slice::from_ref(&tasks.short), 4)?;
    let reads: Vec<f64> = (0..READINGS)
        .map(|_| read(&engine, &tasks.read))
        .collect::<Result<_, _>>()?;
    let alone = rate(&engine, &tasks.begun[..1], WRITTEN)?;
    let together = rate(&engine, &tasks.begun, TOGETHER)?;
    let (questions, scores) = score(&mut engine, &tasks)?;
    let short = written(&engine, std::slice::from_ref(&tasks.short), 16)?;
    let logits = engine.logits(&tasks.short)?;
    let likeliest: Vec<usize> = logits.iter().map(|row| best(row)).collect();
    Ok(json!({
        "precision": engine.description().precision.to_string(), "load_seconds": load,
        "read": reads, "alone": [alone], "together": [together], "questions": [questions],
        "scores": scores, "short": short[0].written(), "likeliest": likeliest, "logits": logits.last().context("no logits")?,
        "peak_mib": peak_mib(),
    }))
}

/// The place of the largest number.
fn best(row: &[f32]) -> usize {
    (0..row.len())
        .max_by(|a, b| row[*a].total_cmp(&row[*b]))
        .unwrap_or(0)
}

fn draft(prompt: Vec<u32>, max_tokens: usize) -> Draft {
    Draft {
        prompt,
        plain: false,
        max_tokens,
        temperature: 0.0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 0,
        tell: None,
        tell_prompt: false,
    }
}

fn begin(engine: &Engine, prompts: &[Vec<u32>], most: usize) -> anyhow::Result<Vec<Writing>> {
    let begun = prompts.iter().map(|p| engine.begin(draft(p.clone(), most)));
    Ok(begun.collect::<Result<_, _>>()?)
}

fn step(engine: &Engine, texts: &mut [Writing]) -> anyhow::Result<()> {
    Ok(engine.step(&mut texts.iter_mut().collect::<Vec<_>>())?)
}

/// The texts written on to their ends.
fn written(engine: &Engine, prompts: &[Vec<u32>], most: usize) -> anyhow::Result<Vec<Writing>> {
    let mut texts = begin(engine, prompts, most)?;
    while texts.iter().any(|text| text.end().is_none()) {
        step(engine, &mut texts)?;
    }
    Ok(texts)
}

/// Tokens a second of reading a text up to its first new token.
fn read(engine: &Engine, text: &[u32]) -> anyhow::Result<f64> {
    let started = Clock::start();
    written(engine, &[text.to_vec()], 1)?;
    Ok(text.len() as f64 / started.seconds())
}

/// Tokens a second of writing side by side, from where every text has its first new token.
fn rate(engine: &Engine, prompts: &[Vec<u32>], steps: usize) -> anyhow::Result<f64> {
    let mut texts = begin(engine, prompts, 2 * steps)?;
    while texts.iter().any(|text| text.written().is_empty()) {
        step(engine, &mut texts)?;
    }
    let count = |texts: &[Writing]| texts.iter().map(|t| t.written().len()).sum::<usize>();
    let (before, started) = (count(&texts), Clock::start());
    for _ in 0..steps {
        step(engine, &mut texts)?;
    }
    let seconds = started.seconds();
    let done = count(&texts) - before;
    anyhow::ensure!(
        done == steps * texts.len(),
        "a text ended early: {done} tokens"
    );
    Ok(done as f64 / seconds)
}

/// Questions a second, and the log-likelihood of every choice.
fn score(engine: &mut Engine, tasks: &Tasks) -> anyhow::Result<(f64, Vec<Vec<f64>>)> {
    let jobs = tasks.questions.iter().map(|question| LoglikJob {
        messages: Vec::new(),
        prefix: question.prefix.clone(),
        continuations: question.choices.clone(),
    });
    let jobs: Vec<LoglikJob> = jobs.collect();
    let (started, mut scores) = (Clock::start(), Vec::new());
    for block in jobs.chunks(BLOCK) {
        for scored in engine.loglik(block) {
            scores.push(scored?.scores.iter().map(|s| s.logprob).collect());
        }
    }
    Ok((jobs.len() as f64 / started.seconds(), scores))
}

/// The largest resident size so far; NaN where the system does not tell.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
