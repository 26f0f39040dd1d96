//! Prints how fast a model reads, writes and weighs:
//! `cargo run --release -p model --example speed -- FILE [precision]`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]
#![expect(clippy::print_stdout, reason = "an example's output")]

use model::{Engine, Error, GenerateJob, LoglikJob, Options, Turn};
use std::{path::PathBuf, time::Instant};

/// Wall-clock and processor time since a start: on a busy machine only the latter says much.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), processor_seconds())
    }

    /// Rates per wall-clock second and per processor second.
    fn rates(&self, count: usize) -> String {
        let (wall, busy) = (self.0.elapsed().as_secs_f64(), processor_seconds() - self.1);
        let count = count as f64;
        format!(
            "{:7.1} per s, {:7.1} per processor s",
            count / wall,
            count / busy
        )
    }
}

/// What all live threads have used, as Linux counts it; not a number elsewhere.
fn processor_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    let of = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<f64>().ok()
    };
    tasks.filter_map(Result::ok).filter_map(of).sum::<f64>() / 1e9
}

fn question(i: usize) -> String {
    let name = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana"][i % 8];
    let (pens, gives, had) = (20 + i, 3 + i % 5, 7 + 2 * i);
    format!(
        "{name} has {pens} pens and gives {gives} of them to a friend who already had {had} pens. \
         How many pens does the friend have now, and how many does {name} keep? Explain."
    )
}

fn write(engine: &mut Engine, rows: usize, max_tokens: usize) -> Result<(), Error> {
    let job = |i| GenerateJob {
        messages: vec![Turn::new("user", question(i))],
        max_tokens,
        temperature: 0.7,
        top_p: 0.95,
        stop: Vec::new(),
        seed: i as u64,
    };
    let jobs: Vec<_> = (0..rows).map(job).collect();
    let clock = Clock::start();
    let replies = engine
        .generate(&jobs)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let written: usize = replies.iter().map(|r| r.completion_tokens).sum();
    println!("write {rows:4} rows:   {}", clock.rates(written));
    Ok(())
}

fn weigh(engine: &mut Engine, jobs: usize) -> Result<(), Error> {
    let endings = [
        "It has ten pens now.",
        "Seven.",
        "There are no pens left",
        "Twenty-one.",
    ];
    let job = |i| LoglikJob {
        messages: vec![Turn::new("user", question(i))],
        prefix: String::new(),
        continuations: endings.map(String::from).to_vec(),
    };
    let jobs: Vec<_> = (0..jobs).map(job).collect();
    let clock = Clock::start();
    let scored = engine
        .loglik(&jobs)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let tokens: usize = scored.iter().map(|s| s.prompt_tokens).sum();
    println!("weigh {:4} jobs:   {}", scored.len(), clock.rates(tokens));
    Ok(())
}

fn read(engine: &mut Engine, tokens: usize) -> Result<(), Error> {
    let text: Vec<_> = (0..tokens / 20 + 2).map(question).collect();
    let ids = engine.tokeniser().encode(&text.join(" "))?;
    let prefix = engine.tokeniser().decode(&ids[..tokens])?;
    let job = LoglikJob {
        messages: Vec::new(),
        prefix,
        continuations: vec![" yes".into()],
    };
    engine
        .loglik(std::slice::from_ref(&job))
        .pop()
        .transpose()?;
    let clock = Clock::start();
    engine
        .loglik(std::slice::from_ref(&job))
        .pop()
        .transpose()?;
    println!("read  {tokens:4} tokens: {}", clock.rates(tokens));
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or_else(|| Error::Load("give a model file".into()))?;
    let precision = arguments.next().as_deref().unwrap_or("auto").parse()?;
    let clock = Clock::start();
    let options = Options {
        precision,
        ..Options::default()
    };
    let mut engine = Engine::load(&PathBuf::from(path), options)?;
    let precision = engine.description().precision;
    println!("load as {precision}:    {}", clock.rates(1));
    for tokens in [32, 128, 512, 1000] {
        read(&mut engine, tokens)?;
    }
    for rows in [1, 2, 4, 8, 16] {
        write(&mut engine, rows, 32)?;
    }
    for jobs in [1, 8, 32] {
        weigh(&mut engine, jobs)?;
    }
    Ok(())
}
