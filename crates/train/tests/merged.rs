//! A GGUF base and its adapter as one GGUF file: read by the engine, and by llama.cpp.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{made_up, skip};
use model::{Engine, Options, Precision, base::Base, catalogue};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use train::{merge, peft};

const TEXT: &str = "Name three rivers of France and say in one sentence where each begins.";

fn logits(file: &Path, adapter: Option<PathBuf>) -> (Vec<u32>, Vec<Vec<f32>>) {
    let options = Options {
        precision: Precision::F32,
        adapter,
        ..Options::default()
    };
    let engine = Engine::load(file, options).unwrap();
    let ids = engine.tokeniser().encode(TEXT).unwrap();
    let rows = engine.logits(&ids).unwrap();
    (ids, rows)
}

/// The root of the mean square of the differences: the largest of a million is a matter of chance.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    let squares = pairs.map(|(a, b)| f64::from((a - b) * (a - b)));
    let count = a.len() * a[0].len();
    (squares.sum::<f64>() / count as f64).sqrt() as f32
}

#[test]
fn a_merged_file_says_what_base_and_adapter_say() {
    let Some(base) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        return skip("the model smollm2-135m-instruct is not in the cache");
    };
    let dir = tempfile::tempdir().unwrap();
    let config = Base::open(&base).unwrap().config().clone();
    made_up(dir.path(), &config, 2);
    let adapter = peft::read(dir.path(), &config).unwrap();
    let out = dir.path().join("merged.gguf");
    merge(&base, &adapter, &out).unwrap();
    assert!(!dir.path().join("merged.gguf.part").exists());
    let (_, plain) = logits(&base, None);
    let (_, beside) = logits(&base, Some(dir.path().to_owned()));
    let (ids, merged) = logits(&out, None);
    // The changed matrices, which the base has at 4 bits, are in 16.
    let (off, moved) = (apart(&merged, &beside), apart(&beside, &plain));
    println!("merged: {off:.1e} of {moved:.2}");
    assert!(moved > 1.0 && off < 0.01 * moved, "{off} {moved}");
    by_llama(&out, &ids, &merged);
}

/// Slow: llama.cpp is built once.
fn by_llama(file: &Path, ids: &[u32], rows: &[Vec<f32>]) {
    if std::env::var("PROMPTIMAL_FULL").as_deref() != Ok("1") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = Command::new(root.join("scripts/oracles/python"))
        .arg("llama")
        .output()
        .unwrap();
    if !found.status.success() {
        return skip("there is no Python with llama.cpp");
    }
    let python = String::from_utf8(found.stdout).unwrap();
    let ours = file.with_extension("json");
    std::fs::write(
        &ours,
        json!({ "ids": ids, "last": rows.last() }).to_string(),
    )
    .unwrap();
    let checked = Command::new(python.trim())
        .arg(root.join("scripts/oracles/llama.py"))
        .args([file, &ours])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}{wrong}");
    println!("{said}");
}
