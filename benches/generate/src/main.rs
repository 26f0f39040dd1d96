//! The local model's side of the comparison; prints one JSON object.
//!
//! `generate make FILE` fetches the model that the product knows by name and writes it with all matrices in 8-bit blocks.
//! `generate tokens MODEL TEXTS.json TASKS.json` puts texts in tokens, so that both engines read the same.
//! `generate measure MODEL TASKS.json PRECISION` measures.

mod clock;
mod measure;
mod requantise;
mod tasks;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match arguments.as_slice() {
        ["make", file] => requantise::make(Path::new(file))?,
        ["tokens", model, texts, tasks] => tasks::write(Path::new(model), texts, tasks)?,
        ["measure", model, tasks, precision] => measure::all(Path::new(model), tasks, precision)?,
        _ => anyhow::bail!("give make, tokens or measure, and what they need"),
    };
    println!("{told}");
    Ok(())
}
