//! What the tests share: the tiny base, and what the oracle says of it.

use candle_core::{Device, Tensor};
use model::{
    base::{Base, Config, encode},
    lora::{CONFIG, WEIGHTS, names},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use train::{Keep, Lora, Model, Order, Plan, Target, Text, Texts};

/// A file that `scripts/oracles/lora.py` wrote.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The folder of the tiny base.
#[allow(dead_code)]
pub fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-plain")
}

/// The tiny base, loaded.
#[allow(dead_code)]
pub fn tiny(keep: Keep) -> Model {
    Model::load(&mut Base::open(&base()).unwrap(), keep).unwrap()
}

/// What the oracle says.
#[allow(dead_code)]
pub fn oracle() -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("lora.json")).unwrap()).unwrap()
}

/// The oracle's texts.
#[allow(dead_code)]
pub fn texts(oracle: &Value) -> Vec<Text> {
    serde_json::from_value(oracle["texts"].clone()).unwrap()
}

/// The oracle's way to train.
#[allow(dead_code)]
pub fn plan(oracle: &Value) -> Plan {
    let number = |key: &str| oracle[key].as_f64().unwrap();
    Plan {
        lora: Lora {
            rank: 4,
            alpha: 8.0,
            dropout: 0.0,
            rslora: false,
            targets: Target::ALL.into(),
        },
        epochs: number("epochs") as usize,
        batch: number("batch") as usize,
        accumulate: number("accumulate") as usize,
        rate: number("rate"),
        warmup: number("warmup"),
        decay: number("decay"),
        clip: number("clip"),
        order: Order::Given,
        ..Plan::default()
    }
}

/// The texts, all learnt from but the last few.
#[allow(dead_code)]
pub fn divided(texts: Vec<Text>, held: usize) -> Texts {
    let mut train = texts;
    let validation = train.split_off(train.len() - held);
    Texts { train, validation }
}

/// Tells that a test cannot run here.
#[allow(dead_code, clippy::print_stdout)]
pub fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// An adapter of made-up numbers for every matrix of a base: large enough to be seen, small enough to stay tame.
#[allow(dead_code)]
pub fn made_up(dir: &Path, config: &Config, rank: usize) {
    let mut tensors = BTreeMap::new();
    for layer in 0..config.layers {
        for (t, target) in Target::ALL.into_iter().enumerate() {
            let (rows, columns) = target.shape(config);
            let numbers = |rows: usize, columns: usize, salt: usize| {
                let size = 1.0 / (columns as f32).sqrt();
                let one =
                    |i: usize| (((i * 7919 + salt * 131) % 2003) as f32 / 1000.0 - 1.0) * size;
                let all: Vec<f32> = (0..rows * columns).map(one).collect();
                Tensor::from_vec(all, (rows, columns), &Device::Cpu).unwrap()
            };
            let [a, b] = names((layer, target));
            tensors.insert(a, numbers(rank, columns, 17 * layer + t));
            tensors.insert(b, numbers(rows, rank, 1000 + 17 * layer + t));
        }
    }
    let bytes = encode(&tensors, &BTreeMap::new()).unwrap();
    std::fs::write(dir.join(WEIGHTS), bytes).unwrap();
    let modules: Vec<&str> = Target::ALL.iter().map(|t| t.module()).collect();
    let described = serde_json::json!({
        "peft_type": "LORA", "r": rank, "lora_alpha": 1.0, "use_rslora": true, "target_modules": modules,
    });
    std::fs::write(dir.join(CONFIG), described.to_string()).unwrap();
}
