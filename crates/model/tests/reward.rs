//! The reward model beside transformers: `scripts/oracles/deberta.py` made the fixtures.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{fixture, fixture_path, ids};
use model::deberta::{Numbers, Place, Processor, RewardModel, batches};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

fn load(name: &str) -> RewardModel {
    RewardModel::load(&fixture_path(&format!("deberta-{name}"))).unwrap()
}

/// The texts of a case with transformers' logits.
fn texts(case: &Value) -> (Vec<Vec<u32>>, Vec<f32>) {
    let texts = case["texts"].as_array().unwrap();
    let logit = |t: &Value| t["logit"].as_f64().unwrap() as f32;
    texts.iter().map(|t| (ids(&t["ids"]), logit(t))).unzip()
}

/// Scores as one batch; says the largest difference, and that order and company make none.
fn compare(model: &RewardModel, case: &Value) -> f32 {
    let (texts, want) = texts(case);
    let batch: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let got = model.score(&batch).unwrap();
    let backwards: Vec<&[u32]> = batch.iter().rev().copied().collect();
    let turned: Vec<f32> = model.score(&backwards).unwrap().into_iter().rev().collect();
    assert_eq!(got, turned);
    for (text, reward) in batch.iter().zip(&got) {
        assert_eq!(model.score(&[text]).unwrap(), [*reward]);
    }
    let differences = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn rewards_are_those_of_transformers_alone_and_together() {
    let cases = fixture("deberta.json");
    for name in ["v3", "v2"] {
        let worst = compare(&load(name), &cases[name]);
        println!("{name}: largest difference {worst:.1e}");
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

/// The largest difference of half precision, computed by tensor operations, to transformers in f32.
fn half(dir: &Path, numbers: Numbers, case: &Value) -> f32 {
    let place = Place {
        processor: Processor::Cpu,
        numbers,
    };
    let model = RewardModel::load_at(dir, place).unwrap();
    assert_ne!(
        model.description().engine,
        RewardModel::load(dir).unwrap().description().engine
    );
    let (texts, want) = texts(case);
    let batch: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let got = model.score(&batch).unwrap();
    let differences = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn half_precision_is_near_transformers() {
    let cases = fixture("deberta.json");
    for name in ["v3", "v2"] {
        for numbers in [Numbers::Bf16, Numbers::F16] {
            let dir = fixture_path(&format!("deberta-{name}"));
            let worst = half(&dir, numbers, &cases[name]);
            println!("{name} {numbers:?}: largest difference {worst:.1e}");
            assert!(worst > 0.0 && worst < 2e-2, "{name} {numbers:?}: {worst}");
        }
    }
}

#[test]
fn pairs_are_encoded_as_transformers_does() {
    let cases = fixture("deberta.json");
    for name in ["v3", "v2"] {
        let model = load(name);
        let mut cut = 0;
        for pair in cases[name]["pairs"].as_array().unwrap() {
            let text = |key: &str| pair[key].as_str().unwrap();
            let got = model.encode(text("question"), text("answer")).unwrap();
            assert_eq!(got.ids, ids(&pair["ids"]), "{name}: {pair}");
            cut += usize::from(got.cut > 0);
        }
        assert!(cut >= 4, "{name}: {cut} pairs were too long");
    }
}

/// A copy of the v3 fixture in which something can be spoilt.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture_path("deberta-v3")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn refusal(dir: &Path) -> String {
    RewardModel::load(dir).err().unwrap().to_string()
}

fn spoil(dir: &Path, key: &str, value: Value) {
    let file = dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(file, config.to_string()).unwrap();
}

#[test]
fn what_can_not_be_loaded_says_what_was_found_and_what_is_needed() {
    let dir = copy();
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let say = refusal(dir.path());
    assert!(say.contains("tokenizer.json or spm.model"), "{say}");

    let dir = copy();
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let say = refusal(dir.path());
    assert!(
        say.contains("no weights") && say.contains("pytorch_model.bin"),
        "{say}"
    );

    let dir = copy();
    spoil(dir.path(), "num_hidden_layers", json!(4));
    let say = refusal(dir.path());
    assert!(
        say.contains("layer.3.") && say.contains("is missing"),
        "{say}"
    );

    let dir = copy();
    spoil(dir.path(), "intermediate_size", json!(50));
    let say = refusal(dir.path());
    assert!(
        say.contains("[48, 32]") && say.contains("[50, 32]"),
        "{say}"
    );

    let dir = copy();
    spoil(dir.path(), "id2label", json!({"0": "no", "1": "yes"}));
    let say = refusal(dir.path());
    assert!(say.contains("2 outputs"), "{say}");

    let dir = copy();
    spoil(dir.path(), "vocab_size", json!(100));
    let say = refusal(dir.path());
    assert!(say.contains("do not belong together"), "{say}");

    let dir = copy();
    spoil(dir.path(), "model_type", json!("roberta"));
    let say = refusal(dir.path());
    assert!(say.contains("\"roberta\""), "{say}");

    let say = refusal(&dir.path().join("config.json"));
    assert!(say.contains("is a folder"), "{say}");
}

#[test]
fn foreign_tokens_and_empty_texts_are_errors_of_the_job() {
    let model = load("v3");
    let say = model.score(&[&[1, 100_000]]).unwrap_err().to_string();
    assert!(say.contains("100000"), "{say}");
    assert!(model.score(&[&[1, 2], &[]]).is_err());
    assert!(model.score(&[]).unwrap().is_empty());
}

/// The numbers of a tensor of the large model: SplitMix64 from the FNV-1a hash of its name, as in the script.
fn uniform(name: &str, count: usize, out: &mut impl Write) {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    let shift = if name.contains("LayerNorm.weight") {
        1.0
    } else {
        0.0
    };
    for i in 1..=count as u64 {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let value = ((z >> 40) as f32 / 16_777_216.0 - 0.5) * 0.125 + shift;
        out.write_all(&value.to_le_bytes()).unwrap();
    }
}

/// Writes the large model's folder.
fn write_large(dir: &Path, case: &Value) {
    std::fs::write(dir.join("config.json"), case["config"].to_string()).unwrap();
    std::fs::copy(
        fixture_path("deberta-v3/tokenizer.json"),
        dir.join("tokenizer.json"),
    )
    .unwrap();
    let shapes = case["shapes"].as_object().unwrap();
    let count = |shape: &Value| ids(shape).iter().map(|n| *n as usize).product::<usize>();
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let end = at + 4 * count(shape);
        header.insert(
            name.clone(),
            json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]}),
        );
        at = end;
    }
    let header = Value::Object(header).to_string();
    let mut out = BufWriter::with_capacity(
        1 << 20,
        File::create(dir.join("model.safetensors")).unwrap(),
    );
    out.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    out.write_all(header.as_bytes()).unwrap();
    for (name, shape) in shapes {
        uniform(name, count(shape), &mut out);
    }
    out.flush().unwrap();
}

/// The size of deberta-v3-large: 1.7 GB on the disk for a moment, so only in the slow suite.
#[test]
fn the_large_size_gives_the_rewards_of_transformers() {
    if std::env::var("PROMPTIMAL_FULL").as_deref() != Ok("1") {
        return;
    }
    let case = fixture("deberta-large.json");
    let dir = tempfile::tempdir().unwrap();
    write_large(dir.path(), &case);
    let model = RewardModel::load(dir.path()).unwrap();
    let worst = compare(&model, &case);
    println!("large: largest difference {worst:.1e}");
    assert!(worst < 1e-4, "{worst}");
    drop(model);
    for numbers in [Numbers::Bf16, Numbers::F16] {
        let worst = half(dir.path(), numbers, &case);
        println!("large, {numbers:?}: largest difference {worst:.1e}");
        assert!(worst < 2e-2, "{numbers:?}: {worst}");
    }
}

#[test]
fn the_fixtures_have_texts_of_all_lengths() {
    let (texts, _) = texts(&fixture("deberta.json")["v3"]);
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    assert_eq!(
        (lengths.iter().min(), lengths.iter().max()),
        (Some(&1), Some(&512))
    );
    assert!(
        batches(&lengths, 512)
            .iter()
            .all(|b| b.len() == 1 || b.iter().map(|i| lengths[*i]).sum::<usize>() <= 512)
    );
}
