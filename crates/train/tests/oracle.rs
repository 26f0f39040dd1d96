//! Our gradients, losses and logits against those of PyTorch and PEFT (see `scripts/oracles/lora.py`).

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use candle_core::{Device, Tensor};
use common::{fixture, oracle, plan, texts, tiny};
use serde_json::Value;
use train::{
    Keep, Model, Numbers, Place, Processor, Saving, Text, Texts, gradients_of, peft, place, train,
};

/// The largest difference of two tensors.
fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn every_gradient_is_that_of_pytorch() {
    let oracle = oracle();
    let plan = plan(&oracle);
    let model = tiny(Keep::F32);
    let start = peft::read(&fixture("start"), model.network.config()).unwrap();
    let texts = texts(&oracle);
    let step: Vec<&Text> = texts.iter().take(plan.batch * plan.accumulate).collect();
    let file = fixture("gradients.safetensors");
    let wanted = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    for checkpointing in [false, true] {
        let (loss, found) = gradients_of(&model.network, &start, &step, checkpointing).unwrap();
        let want = oracle["steps"][0][0].as_f64().unwrap();
        assert!((loss - want).abs() < 1e-5, "{loss} {want}");
        assert_eq!(found.len(), wanted.len());
        assert_eq!(found.len(), 2 * 7 * 2);
        for (name, want) in &wanted {
            let difference = apart(&found[name], want);
            let size = want.abs().unwrap().max_all().unwrap();
            assert!(size.to_scalar::<f32>().unwrap() > 1e-4, "{name} is no test");
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn fifty_steps_have_the_losses_and_norms_of_pytorch_and_end_with_its_adapter() {
    let oracle = oracle();
    let mut model = tiny(Keep::F32);
    let config = model.network.config().clone();
    model.start = Some(peft::read(&fixture("start"), &config).unwrap());
    let texts = Texts {
        train: texts(&oracle),
        validation: Vec::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let saving = Saving::default();
    let mut norms = Vec::new();
    let mut seen = |p: train::Progress| {
        norms.extend(p.norm);
        true
    };
    let trained = train(
        &model,
        &texts,
        &plan(&oracle),
        (dir.path(), saving),
        &mut seen,
    )
    .unwrap();
    let wanted = oracle["steps"].as_array().unwrap();
    assert_eq!((trained.history.losses.len(), norms.len()), (50, 50));
    let mut worst = 0f64;
    for (step, want) in wanted.iter().enumerate() {
        let off = (trained.history.losses[step] - want[0].as_f64().unwrap()).abs();
        let norm_off = (norms[step] / want[1].as_f64().unwrap() - 1.0).abs();
        assert!(
            off < 1e-3 && norm_off < 1e-2,
            "step {step}: {off} {norm_off}"
        );
        worst = worst.max(off);
    }
    println!("50 steps: largest difference of losses {worst:.1e}");
    let (first, last) = (&wanted[0][0], &wanted[49][0]);
    assert!(
        first.as_f64().unwrap() > last.as_f64().unwrap() + 0.3,
        "it learnt nothing"
    );
    same_logits(&model, &dir.path().join(""), &oracle["trained"], 1e-2);
}

/// Compares the logits of the base with a folder's adapter.
fn same_logits(model: &Model, folder: &std::path::Path, oracle: &Value, most: f32) {
    let adapter = peft::read(folder, model.network.config()).unwrap();
    let ids: Vec<u32> = serde_json::from_value(oracle["ids"].clone()).unwrap();
    let ours = model.network.logits(&ids, &adapter).unwrap();
    let ours = ours.to_vec2::<f32>().unwrap();
    for (place, wanted) in oracle["rows"].as_object().unwrap() {
        let wanted: Vec<f32> = serde_json::from_value(wanted.clone()).unwrap();
        let row = &ours[place.parse::<usize>().unwrap()];
        assert_eq!(row.len(), wanted.len());
        let off = row.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        let worst = off.fold(0f32, f32::max);
        assert!(
            worst < most,
            "{} after token {place}: {worst}",
            folder.display()
        );
    }
}

#[test]
fn adapters_of_peft_give_its_logits() {
    let (model, oracle) = (tiny(Keep::F32), oracle());
    same_logits(&model, &fixture("trained"), &oracle["trained"], 1e-4);
    same_logits(&model, &fixture("rslora"), &oracle["rslora"], 1e-4);
}

/// What a CUDA device does by itself is not known here; that products in bf16 learn, is.
#[test]
fn products_in_bf16_learn_the_same() {
    let oracle = oracle();
    let half = Place {
        processor: Processor::Cpu,
        numbers: Numbers::Bf16,
    };
    let mut base = model::base::Base::open(&common::base()).unwrap();
    let mut model = Model::load_at(&mut base, Keep::Bf16, half).unwrap();
    let config = model.network.config().clone();
    model.start = Some(peft::read(&fixture("start"), &config).unwrap());
    let texts = Texts {
        train: texts(&oracle),
        validation: Vec::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let to = (dir.path(), Saving::default());
    let trained = train(&model, &texts, &plan(&oracle), to, &mut |_| true).unwrap();
    let losses = &trained.history.losses;
    let wanted = oracle["steps"].as_array().unwrap();
    let off = losses.iter().zip(wanted);
    let off = off.map(|(a, b)| (a - b[0].as_f64().unwrap()).abs());
    let worst = off.fold(0f64, f64::max);
    println!("50 steps in bf16: largest difference of losses {worst:.1e}");
    assert!(worst < 5e-2, "{worst}");
    assert!(worst > 1e-6, "that was no bf16");
}

#[test]
fn places_that_can_not_be_had_are_told_before_anything_is_read() {
    let usual = place(Processor::Cpu, None).unwrap();
    assert_eq!(usual, Place::default());
    let coarse = place(Processor::Cpu, Some(Numbers::F16)).unwrap_err();
    assert!(coarse.to_string().contains("bf16"), "{coarse}");
    #[cfg(not(feature = "cuda"))]
    {
        let absent = place(Processor::Cuda, None).unwrap_err().to_string();
        assert!(absent.contains("--features cuda"), "{absent}");
    }
}
