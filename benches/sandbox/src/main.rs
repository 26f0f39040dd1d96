//! `sandbox-bench SLOTS trivial N` runs N trivial programs, `sandbox-bench SLOTS solutions FILE` judges the canonical
//! solutions of HumanEval problems (JSON lines), from as many threads as there are slots. What it measured is one line of
//! JSON.

use anyhow::{Context, Result, bail, ensure};
use sandbox::{Ended, Options, Problem, Program, Sandbox};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (slots, what) = arguments.split_first().context("how many slots")?;
    let slots = slots.parse()?;
    let options = Options {
        slots,
        ..Options::default()
    };
    let begun = Instant::now();
    let sandbox = Sandbox::open(options)?;
    let opened = begun.elapsed();
    let (count, took) = match what.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["trivial", count] => trivial(&sandbox, slots, count.parse()?)?,
        ["solutions", file] => solutions(&sandbox, slots, file)?,
        _ => bail!("usage: sandbox-bench SLOTS trivial N | SLOTS solutions FILE"),
    };
    println!(
        "{}",
        json!({"count": count, "seconds": took.as_secs_f64(), "open_seconds": opened.as_secs_f64()})
    );
    Ok(())
}

fn trivial(sandbox: &Sandbox, slots: usize, count: usize) -> Result<(usize, Duration)> {
    each(slots, count, |_| {
        let verdict = sandbox.run(&Program::new("print('hello')"))?;
        ensure!(
            verdict.ended == Ended::Exited(0) && verdict.stdout.text == "hello\n",
            "{verdict:?}"
        );
        Ok(())
    })
}

fn solutions(sandbox: &Sandbox, slots: usize, file: &str) -> Result<(usize, Duration)> {
    let text = std::fs::read_to_string(file).context(file.to_owned())?;
    let solved = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line)?;
        let problem: Problem = serde_json::from_value(row.clone())?;
        let solution = row["canonical_solution"].as_str().context("no solution")?;
        let code = format!("{}{solution}", problem.prompt);
        Ok((problem, code))
    });
    let solved = solved.collect::<Result<Vec<_>>>()?;
    each(slots, solved.len(), |i| {
        let (problem, code) = &solved[i];
        let judged = sandbox.judge(problem, code)?;
        ensure!(
            judged.passed,
            "{}: {:?}",
            problem.entry_point,
            judged.failure
        );
        Ok(())
    })
}

/// Does something so many times, from a thread for each slot, and takes the time.
fn each(
    slots: usize,
    count: usize,
    act: impl Fn(usize) -> Result<()> + Sync,
) -> Result<(usize, Duration)> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let work = || -> Result<()> {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(());
            }
            act(i)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..slots).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok((count, begun.elapsed()))
    })
}
