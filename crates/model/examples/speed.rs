//! Prints how fast a model reads, writes and weighs: `cargo run --release -p model --example speed -- FILE [precision]`.
#![expect(clippy::print_stdout, reason = "an example's output")]

use model::{Engine, Error, GenerateJob, LoglikJob, Options, Turn};
use std::{path::PathBuf, time::Instant};

fn question(i: usize) -> String {
    let name = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana"][i % 8];
    format!(
        "{name} has {} pens and gives {} of them to a friend who already had {} pens. \
         How many pens does the friend have now, and how many does {name} keep? Explain.",
        20 + i,
        3 + i % 5,
        7 + 2 * i
    )
}

fn generate(engine: &mut Engine, rows: usize, tokens: usize) {
    let job = |i| GenerateJob {
        messages: vec![Turn::new("user", question(i))],
        max_tokens: tokens,
        temperature: 0.7,
        top_p: 0.95,
        stop: Vec::new(),
        seed: i as u64,
    };
    let jobs: Vec<_> = (0..rows).map(job).collect();
    let started = Instant::now();
    let replies: Vec<_> = engine.generate(&jobs).into_iter().flatten().collect();
    let seconds = started.elapsed().as_secs_f64();
    let written: usize = replies.iter().map(|r| r.completion_tokens).sum();
    println!(
        "write {rows:3} rows: {:7.1} tok/s ({written} tokens)",
        written as f64 / seconds
    );
}

fn weigh(engine: &mut Engine, jobs: usize) {
    let job = |i| LoglikJob {
        messages: vec![Turn::new("user", question(i))],
        prefix: String::new(),
        continuations: [
            "It has ten pens now.",
            "Seven.",
            "There are no pens left",
            "Twenty-one, I think.",
        ]
        .map(String::from)
        .to_vec(),
    };
    let jobs: Vec<_> = (0..jobs).map(job).collect();
    let started = Instant::now();
    let scored: Vec<_> = engine.loglik(&jobs).into_iter().flatten().collect();
    let seconds = started.elapsed().as_secs_f64();
    let tokens: usize = scored.iter().map(|s| s.prompt_tokens).sum();
    println!(
        "weigh {:3} jobs of 4: {:7.1} tok/s, {:5.1} jobs/s",
        scored.len(),
        tokens as f64 / seconds,
        scored.len() as f64 / seconds
    );
}

fn read(engine: &mut Engine, tokens: usize) -> Result<(), Error> {
    let text = (0..)
        .map(question)
        .take(tokens / 20 + 2)
        .collect::<Vec<_>>()
        .join(" ");
    let ids = engine.tokeniser().encode(&text)?;
    let text = engine.tokeniser().decode(&ids[..tokens])?;
    let job = LoglikJob {
        messages: Vec::new(),
        prefix: text,
        continuations: vec![" yes".into()],
    };
    let mut best = f64::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        engine
            .loglik(std::slice::from_ref(&job))
            .pop()
            .transpose()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    println!("read {tokens:5} tokens: {:7.1} tok/s", tokens as f64 / best);
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or_else(|| Error::Load("give a model file".into()))?;
    let precision = arguments.next().as_deref().unwrap_or("auto").parse()?;
    let started = Instant::now();
    let mut engine = Engine::load(
        &PathBuf::from(path),
        Options {
            precision,
            ..Options::default()
        },
    )?;
    println!(
        "loaded in {:.2} s as {}",
        started.elapsed().as_secs_f64(),
        engine.description().precision
    );
    for tokens in [32, 128, 512, 1000] {
        read(&mut engine, tokens)?;
    }
    for rows in [1, 2, 4, 8, 16] {
        generate(&mut engine, rows, 48);
    }
    for jobs in [1, 8, 32] {
        weigh(&mut engine, jobs);
    }
    Ok(())
}
