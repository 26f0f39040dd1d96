//! Scores batches of token ids with a reward model and prints one JSON object: how long each round took, what memory it
//! needed, and the rewards.
//!
//! `reward FOLDER BATCHES.json ROUNDS`; the batches are lists of lists of token ids.

use anyhow::Context;
use model::deberta::RewardModel;
use std::{path::Path, time::Instant};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batches, rounds] = arguments.as_slice() else {
        anyhow::bail!("give a folder, a file of batches and a number of rounds");
    };
    let batches: Vec<Vec<Vec<u32>>> = serde_json::from_str(&std::fs::read_to_string(batches)?)?;
    let started = Instant::now();
    let model = RewardModel::load(Path::new(folder))?;
    let load_seconds = started.elapsed().as_secs_f64();
    let score = |batch: &Vec<Vec<u32>>| {
        let texts: Vec<&[u32]> = batch.iter().map(Vec::as_slice).collect();
        model.score(&texts)
    };
    // Once aside: pages are touched, threads started.
    score(batches.first().context("no batches")?)?;
    let (mut seconds, mut rewards) = (Vec::new(), Vec::new());
    for _ in 0..rounds.parse()? {
        let started = Instant::now();
        let scored: Result<Vec<Vec<f32>>, _> = batches.iter().map(score).collect();
        seconds.push(started.elapsed().as_secs_f64());
        rewards = scored?.concat();
    }
    let out = serde_json::json!({
        "load_seconds": load_seconds, "seconds": seconds, "peak_mib": peak_mib(), "rewards": rewards,
    });
    println!("{out}");
    Ok(())
}

/// The largest resident size so far; NaN where the system does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
