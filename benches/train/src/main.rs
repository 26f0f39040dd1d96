//! The product's training of an adapter on one batch, again and again, timed.
//!
//! `training unfold FOLDER` writes the base to FOLDER in Hugging Face's layout, in f32, for the peer.
//! `training measure FOLDER STEPS [checkpointing]` trains from the adapter in FOLDER/start on the texts of
//! FOLDER/texts.json, and prints one JSON object: the seconds and the loss of every step, and the memory it needed.

mod unfold;

use anyhow::Context;
use model::{base::Base, catalogue};
use std::{fs, path::Path, time::Instant};
use train::{Keep, Model, Order, Plan, Progress, Saving, Text, Texts, peft, train};

const BASE: &str = "smollm2-135m-instruct";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let file = catalogue::fetch(BASE, &mut |_| ())?;
    let started = Instant::now();
    let mut base = Base::open(&file)?;
    match arguments.as_slice() {
        ["unfold", folder] => unfold::unfold(&mut base, Path::new(folder)),
        ["measure", folder, steps, how @ ..] => {
            let model = Model::load(&mut base, Keep::F32)?;
            drop(base);
            let load = started.elapsed().as_secs_f64();
            measure(model, load, Path::new(folder), steps.parse()?, how)
        }
        _ => anyhow::bail!("give unfold or measure, and a folder"),
    }
}

fn measure(
    mut model: Model,
    load: f64,
    folder: &Path,
    steps: usize,
    how: &[&str],
) -> anyhow::Result<()> {
    let start = peft::read(&folder.join("start"), model.network.config())?;
    let texts = texts(&folder.join("texts.json"))?;
    let plan = Plan {
        lora: start.lora().clone(),
        epochs: steps,
        batch: texts.train.len(),
        accumulate: 1,
        warmup: 0.0,
        order: Order::Given,
        checkpointing: how == ["checkpointing"],
        ..Plan::default()
    };
    model.start = Some(start);
    let out = folder.join(format!("trained-{}", std::process::id()));
    let (mut seconds, mut losses, mut last) = (Vec::new(), Vec::new(), Instant::now());
    let mut progress = |at: Progress| {
        if let Some(loss) = at.loss {
            seconds.push(last.elapsed().as_secs_f64());
            losses.push(loss);
        }
        last = Instant::now();
        true
    };
    train(
        &model,
        &texts,
        &plan,
        (&out, Saving::default()),
        &mut progress,
    )?;
    fs::remove_dir_all(&out)?;
    let out = serde_json::json!({
        "load_seconds": load, "seconds": seconds, "losses": losses, "peak_mib": peak_mib(),
    });
    println!("{out}");
    Ok(())
}

fn texts(file: &Path) -> anyhow::Result<Texts> {
    let read = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let train: Vec<Text> = serde_json::from_str(&read)?;
    Ok(Texts {
        train,
        validation: Vec::new(),
    })
}

/// The largest resident size so far; NaN where the system does not tell.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
