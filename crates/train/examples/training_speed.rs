//! How quick training is here: tokens per second and the largest memory.
//!
//!     cargo run --release -p train --example training_speed -- MODEL [KEEP] [checkpointing]

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use model::base::Base;
use std::{path::Path, time::Instant};
use train::{Keep, Lora, Model, Order, Plan, Saving, Target, Text, Texts, train};

const TEXTS: usize = 8;
const TOKENS: usize = 64;
const STEPS: usize = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a model")?;
    let keep: Keep = arguments.next().as_deref().unwrap_or("f32").parse()?;
    let checkpointing = arguments.next().is_some();
    let model = Model::load(&mut Base::open(Path::new(&path))?, keep)?;
    let text = |i: usize| Text {
        ids: (0..TOKENS)
            .map(|j| (7 * i * i + 31 * j * j + j) as u32 % 40_000)
            .collect(),
        prompt: TOKENS / 2,
    };
    let texts = Texts {
        train: (0..TEXTS).map(text).collect(),
        validation: Vec::new(),
    };
    let plan = Plan {
        lora: Lora {
            rank: 8,
            dropout: 0.0,
            targets: [Target::Query, Target::Key, Target::Value, Target::Out].into(),
            ..Lora::default()
        },
        keep,
        epochs: STEPS,
        batch: TEXTS,
        accumulate: 1,
        order: Order::Given,
        checkpointing,
        ..Plan::default()
    };
    let dir = std::env::temp_dir().join(format!("promptimal-speed-{}", std::process::id()));
    let mut last = Instant::now();
    let mut seconds = Vec::new();
    train(&model, &texts, &plan, (&dir, Saving::default()), &mut |p| {
        if p.step > 0 {
            seconds.push(last.elapsed().as_secs_f64());
            println!(
                "step {}: {:.2} s, loss {:.4}",
                p.step,
                last.elapsed().as_secs_f64(),
                p.loss.unwrap_or_default()
            );
        }
        last = Instant::now();
        true
    })?;
    std::fs::remove_dir_all(&dir)?;
    seconds.sort_by(f64::total_cmp);
    let best = (TEXTS * TOKENS) as f64 / seconds[0];
    let median = (TEXTS * TOKENS) as f64 / seconds[seconds.len() / 2];
    println!(
        "{keep}: {median:.0} tokens per second in the middle, {best:.0} at best; {}",
        peak()
    );
    Ok(())
}

/// The largest memory so far, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("memory unknown").to_owned()
}
