//! Our numbers and tokens against those of transformers and llama.cpp (see `scripts/oracles`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{fixture, fixture_path, ids, real_file, with_real};
use model::{Engine, Options, Precision};
use serde_json::Value;

/// The largest difference between our logits and the fixture's rows.
fn difference(ours: &[Vec<f32>], rows: &Value) -> f64 {
    let mut worst = 0f64;
    for row in rows.as_array().unwrap() {
        let place = row["place"].as_u64().unwrap() as usize;
        for (id, logit) in ids(&row["ids"])
            .into_iter()
            .zip(row["logits"].as_array().unwrap())
        {
            let got = f64::from(ours[place][id as usize]);
            worst = worst.max((got - logit.as_f64().unwrap()).abs());
        }
        let total = ours[place]
            .iter()
            .map(|v| f64::from(*v).exp())
            .sum::<f64>()
            .ln();
        worst = worst.max((total - row["logsumexp"].as_f64().unwrap()).abs());
    }
    worst
}

#[test]
fn logits_are_those_of_transformers() {
    with_real(|engine| {
        let cases = fixture("logits.json");
        let cases = cases.as_array().unwrap();
        assert!(cases.iter().any(|c| ids(&c["tokens"]).len() > 256));
        for case in cases {
            let tokens = ids(&case["tokens"]);
            let worst = difference(&engine.logits(&tokens).unwrap(), &case["rows"]);
            println!("{} tokens: largest difference {worst:.2e}", tokens.len());
            assert!(worst < 1e-3, "{} tokens: {worst}", tokens.len());
        }
    });
}

#[test]
fn tokens_are_those_of_llama_cpp() {
    let Some(file) = real_file() else { return };
    let cases = fixture("tokens.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 100);
    for pre in ["smollm", "gpt-2", "default", "llama-bpe", "qwen2"] {
        let tokeniser = Engine::tokeniser_of(&file, Some(pre)).unwrap();
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let want = case.get(pre).unwrap_or(&case["smollm"]);
            let got = tokeniser.encode_with_specials(text, None).unwrap();
            assert_eq!(got, ids(want), "{pre}: {text:?}");
            if pre == "smollm" {
                let plain = case.get("plain").unwrap_or(want);
                let got = tokeniser.encode(text).unwrap();
                assert_eq!(got, ids(plain), "plain: {text:?}");
                assert_eq!(tokeniser.decode(&got).unwrap(), text);
            }
        }
    }
}

#[test]
fn a_safetensors_model_gives_the_logits_of_transformers() {
    let cases = fixture("tiny.json");
    for (name, case) in cases.as_object().unwrap() {
        let dir = fixture_path(&format!("tiny-{name}"));
        let engine = Engine::load(&dir, Options::default()).unwrap();
        assert_eq!(engine.description().precision, Precision::F32);
        let ours = engine.logits(&ids(&case["tokens"])).unwrap();
        for (place, row) in case["rows"].as_object().unwrap() {
            let ours = &ours[place.parse::<usize>().unwrap()];
            assert_eq!(ours.len(), row.as_array().unwrap().len());
            for (got, want) in ours.iter().zip(row.as_array().unwrap()) {
                let want = want.as_f64().unwrap();
                assert!(
                    (f64::from(*got) - want).abs() < 1e-4,
                    "{name} {place}: {got} {want}"
                );
            }
        }
    }
}

#[test]
fn sentencepiece_tokens_are_those_of_llama_cpp() {
    let tokeniser = Engine::tokeniser_of(&fixture_path("sentencepiece.gguf"), None).unwrap();
    let cases = fixture("sentencepiece.json");
    assert!(cases.as_array().unwrap().len() >= 100);
    for case in cases.as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let got = tokeniser.encode(text).unwrap();
        assert_eq!(got, ids(&case["ids"]), "{text:?}");
        assert_eq!(tokeniser.decode(&got).unwrap(), text);
    }
}
