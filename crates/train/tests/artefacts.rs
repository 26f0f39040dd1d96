//! What is written can be read: by us, and by PEFT.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{base, divided, fixture, oracle, plan, skip, texts, tiny};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use train::{Adapter, Keep, Lora, Model, Plan, Saving, Target, merge, peft, train};

/// An adapter of ours after some steps, with a scale of its own.
fn trained(model: &Model, dir: &Path) -> Adapter {
    let all = oracle();
    let plan = Plan {
        lora: Lora {
            rank: 3,
            alpha: 5.0,
            rslora: true,
            targets: [Target::Key, Target::Out, Target::Up, Target::Down].into(),
            ..Lora::default()
        },
        epochs: 2,
        ..plan(&all)
    };
    let data = divided(texts(&all), 8);
    let saving = Saving::default();
    train(model, &data, &plan, (dir, saving), &mut |_| true)
        .unwrap()
        .adapter
}

fn ids() -> Vec<u32> {
    (0..30).map(|i| (7 * i * i + i) % 261).collect()
}

fn rows(model: &Model, adapter: &Adapter) -> Vec<Vec<f32>> {
    model
        .network
        .logits(&ids(), adapter)
        .unwrap()
        .to_vec2()
        .unwrap()
}

fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn an_adapter_that_was_written_is_read_again() {
    let (model, dir) = (tiny(Keep::F32), tempfile::tempdir().unwrap());
    let adapter = trained(&model, dir.path());
    let again = peft::read(dir.path(), model.network.config()).unwrap();
    assert_eq!(adapter.lora(), again.lora());
    assert_eq!(rows(&model, &adapter), rows(&model, &again));
    let parameters = 2 * 3 * ((32 + 16) + (32 + 32) + (32 + 56) + (56 + 32));
    assert_eq!(again.parameters(), parameters);
}

#[test]
fn a_merged_model_is_the_base_with_its_adapter() {
    let (model, dir) = (tiny(Keep::F32), tempfile::tempdir().unwrap());
    let adapter = trained(&model, dir.path());
    let out = dir.path().join("merged");
    merge(&base(), &adapter, &out).unwrap();
    let engine = model::Engine::load(&out, model::Options::default()).unwrap();
    let merged = engine.logits(&ids()).unwrap();
    let off = apart(&merged, &rows(&model, &adapter));
    assert!(off < 1e-4, "{off}");
    let plain = model::Engine::load(&base(), model::Options::default()).unwrap();
    let moved = apart(&merged, &plain.logits(&ids()).unwrap());
    assert!(moved > 0.1, "{moved}");
    let file = base().join("model.safetensors");
    let refused = merge(&file, &adapter, &out).unwrap_err().to_string();
    assert!(refused.contains("GGUF"), "{refused}");
}

/// The fixture's adapter with other options.
fn changed(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_owned();
    let from = fixture("rslora");
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(from.join(peft::CONFIG)).unwrap()).unwrap();
    change(&mut config);
    std::fs::write(to.join(peft::CONFIG), config.to_string()).unwrap();
    std::fs::copy(from.join(peft::WEIGHTS), to.join(peft::WEIGHTS)).unwrap();
    (dir, to)
}

#[test]
fn what_is_not_plain_lora_is_refused_by_name() {
    let model = tiny(Keep::F32);
    let refused = |change: fn(&mut Value)| {
        let (_dir, folder) = changed(change);
        let read = peft::read(&folder, model.network.config());
        read.map_err(|e| e.to_string()).err()
    };
    assert_eq!(refused(|_| ()), None);
    for (change, say) in [
        (
            (|c| c["use_dora"] = json!(true)) as fn(&mut Value),
            "use_dora",
        ),
        (|c| c["peft_type"] = json!("IA3"), "IA3"),
        (|c| c["bias"] = json!("all"), "bias"),
        (|c| c["rank_pattern"] = json!({"q_proj": 2}), "rank_pattern"),
        (
            |c| c["modules_to_save"] = json!(["lm_head"]),
            "modules_to_save",
        ),
        (|c| c["r"] = json!(8), "the shape [9, "),
        (|c| c["target_modules"] = json!(["q_proj"]), "has no place"),
        (
            |c| c["target_modules"] = json!(["q_proj", "v_proj", "down_proj"]),
            "is missing",
        ),
        (|c| c["target_modules"] = json!(["lm_head"]), "lm_head"),
        (|c| c["target_modules"] = json!("all-linear"), "no list"),
    ] {
        let said = refused(change).unwrap();
        assert!(said.contains(say), "{said}");
    }
}

#[test]
fn an_adapter_of_ours_gives_our_logits_in_peft() {
    // Slow: PyTorch and its friends are fetched once.
    if std::env::var("PROMPTIMAL_FULL").as_deref() != Ok("1") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = Command::new(root.join("scripts/oracles/python"))
        .output()
        .unwrap();
    if !found.status.success() {
        return skip("there is no Python with PyTorch and PEFT");
    }
    let python = String::from_utf8(found.stdout).unwrap();
    let (model, dir) = (tiny(Keep::F32), tempfile::tempdir().unwrap());
    let adapter = trained(&model, dir.path());
    let logits = dir.path().join("logits.json");
    let ours = json!({ "ids": ids(), "rows": rows(&model, &adapter) });
    std::fs::write(&logits, ours.to_string()).unwrap();
    let checked = Command::new(python.trim())
        .arg(root.join("scripts/oracles/lora.py"))
        .arg("--check")
        .args([&base(), dir.path(), &logits])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}{wrong}");
    println!("{said}");
}
