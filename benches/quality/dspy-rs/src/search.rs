//! GEPA of dspy-rs on one task.
//!
//! It draws a parent from its frontier, asks it the first rows of the training set (always the same), has what was replied and
//! what would have been right reflected on, and asks the new instruction all rows of the validation set. Its choice is the
//! best mean on them, so after each such evaluation the best so far is the incumbent.

use crate::{
    gateway::Gateway,
    job::Job,
    lenient::Lenient,
    program::{Classifier, Task},
    turns::row,
};
use anyhow::{Result, ensure};
use dspy_rs::{GEPA, LM, configure};

/// Rows to validate; the others train.
const VALIDATION: usize = 80;
/// Rows to reflect on. By default 25, about 4,000 tokens to read in each of two questions; in the paper 3, but others each time.
const MINIBATCH: usize = 8;
/// The bench's own: what GEPA has, 1.0, it tells a `prompt_model` alone. At that what this proposer writes falls apart.
const TEMPERATURE: f32 = 0.8;
const TARGET_TOKENS: u32 = 16;
const PROPOSER_TOKENS: u32 = 256;

/// Searches until the gateway refuses.
pub async fn run(job: Job) -> Result<()> {
    let rows = job.pool.len();
    ensure!(
        rows > VALIDATION,
        "a pool of {rows} rows leaves none to train on: give more than {VALIDATION}"
    );
    let (gateway, gepa) = (Gateway::new()?, gepa(&job));
    let proposer = model(&job, "proposer", TEMPERATURE, PROPOSER_TOKENS).await?;
    let target = model(&job, "target", 0.0, TARGET_TOKENS).await?;
    configure(proposer, Lenient(gateway.clone()));
    let train = job.pool[VALIDATION..].iter().map(|(text, _)| row(text));
    let train = train.collect();
    let mut program = Classifier::new(Task::new(job, VALIDATION), target, gateway)?;
    gepa.compile_with_feedback(&mut program, train).await?;
    Ok(())
}

fn gepa(job: &Job) -> GEPA {
    let validation = job.pool[..VALIDATION].iter().map(|(text, _)| row(text));
    GEPA::builder()
        // More than the budget allows: each asks the whole of the validation set.
        .num_iterations(job.budget / VALIDATION + 1)
        .minibatch_size(MINIBATCH)
        .valset(validation.collect())
        .build()
}

/// Without the cache of dspy-rs, which no adapter of ours looks into either.
async fn model(job: &Job, name: &str, temperature: f32, tokens: u32) -> Result<LM> {
    LM::builder()
        .base_url(format!("{}/v1", job.url))
        .api_key("none".to_owned())
        .model(name.to_owned())
        .temperature(temperature)
        .max_tokens(tokens)
        .cache(false)
        .build()
        .await
}
