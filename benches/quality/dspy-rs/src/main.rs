//! dspy-rs's GEPA as a method of this bench: `quality-dspy-rs JOB.json`, started by `methods/dspy_rs.py`.
//!
//! Of the three optimisers of dspy-rs 0.7.3 it is the one that learns from what it has asked, and goes on until its calls are
//! used up. The README of dspy-rs, which does not mention GEPA, has COPRO for quick and MIPROv2 for best results. Read in their
//! source they do less than that:
//!
//! * COPRO asks for new instructions after its first round, and drops them all: it pairs each with a prefix, for which its
//!   signature has no field. What is left are paraphrases of the start prompt, written without a look at data.
//! * MIPROv2 asks the start prompt all of the training set, one row after the other, writes all instructions from one question,
//!   and scores each once, on the same first rows. Demonstrations are chosen and not set, `num_trials` and `seed` are not read,
//!   and the start prompt itself is no candidate.
//! * Both send the proposer's questions through `ChatAdapter`, whatever adapter is configured. A reply without its headings is
//!   the start prompt again for COPRO, and none for MIPROv2, which ends with an error where it has no other. The bench's
//!   model, tried by hand, gave no heading in nine replies to COPRO's first question and three to MIPROv2's. GEPA without a
//!   `prompt_model` asks through the configured adapter, so that such replies can be read (`lenient.rs`).
//!
//! Settings: 80 rows to validate, as for GEPA's own implementation; all else is in `search.rs`.

mod gateway;
mod job;
mod labels;
mod lenient;
mod program;
mod search;
mod turns;

use anyhow::{Context, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args().nth(1);
    let job = job::Job::read(&path.context("usage: quality-dspy-rs JOB.json")?)?;
    match search::run(job).await {
        Err(error) if error.is::<gateway::Ended>() => {
            println!("{error}");
            Ok(())
        }
        done => done,
    }
}
