//! An adapter beside its base at inference gives the logits of the network that trained it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{base, fixture, made_up, skip, tiny};
use model::{Draft, Engine, Options, Precision, base::Base, catalogue};
use std::path::PathBuf;
use train::{Keep, Network, merge, peft};

fn ids(count: u32, vocabulary: u32) -> Vec<u32> {
    (0..count).map(|i| (7 * i * i + i) % vocabulary).collect()
}

fn options(precision: Precision, adapter: Option<PathBuf>) -> Options {
    Options {
        precision,
        adapter,
        ..Options::default()
    }
}

fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn adapters_give_the_logits_of_the_network_that_trained_them() {
    let model = tiny(Keep::F32);
    let ids = ids(40, 261);
    let plain = Engine::load(&base(), Options::default()).unwrap();
    let plain = plain.logits(&ids).unwrap();
    let dir = tempfile::tempdir().unwrap();
    made_up(dir.path(), model.network.config(), 3);
    for folder in [fixture("trained"), fixture("rslora"), dir.path().to_owned()] {
        let adapter = peft::read(&folder, model.network.config()).unwrap();
        let wanted = model.network.logits(&ids, &adapter).unwrap();
        let wanted: Vec<Vec<f32>> = wanted.to_vec2().unwrap();
        for (precision, share) in [(Precision::F32, 1e-3), (Precision::Q8_0, 0.1)] {
            let options = options(precision, Some(folder.clone()));
            let engine = Engine::load(&base(), options).unwrap();
            let ours = engine.logits(&ids).unwrap();
            let (off, moved) = (apart(&ours, &wanted), apart(&ours, &plain));
            println!(
                "{} in {precision}: {off:.1e} of {moved:.2}",
                folder.display()
            );
            assert!(off < 1e-4 || precision == Precision::Q8_0);
            assert!(moved > 0.05 && off < share * moved);
        }
    }
}

#[test]
fn a_merged_model_says_the_same() {
    let model = tiny(Keep::F32);
    let dir = tempfile::tempdir().unwrap();
    made_up(dir.path(), model.network.config(), 3);
    let adapter = peft::read(dir.path(), model.network.config()).unwrap();
    let out = dir.path().join("merged");
    merge(&base(), &adapter, &out).unwrap();
    let merged = Engine::load(&out, Options::default()).unwrap();
    let beside = options(Precision::F32, Some(dir.path().to_owned()));
    let beside = Engine::load(&base(), beside).unwrap();
    let (ids, description) = (ids(40, 261), beside.description());
    assert!(description.adapter.is_some());
    assert!(merged.description().adapter.is_none());
    let off = apart(&beside.logits(&ids).unwrap(), &merged.logits(&ids).unwrap());
    assert!(off < 1e-4, "{off}");
}

fn draft(prompt: &[u32], plain: bool) -> Draft {
    Draft {
        prompt: prompt.to_vec(),
        plain,
        max_tokens: 12,
        temperature: 0.0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 1,
        tell: None,
        tell_prompt: false,
    }
}

#[test]
fn texts_with_and_without_the_adapter_stand_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    made_up(dir.path(), tiny(Keep::F32).network.config(), 3);
    let both = options(Precision::F32, Some(dir.path().to_owned()));
    let mut both = Engine::load(&base(), both).unwrap();
    let mut alone = Engine::load(&base(), Options::default()).unwrap();
    // Byte tokens only: the tiny tokeniser has a text for each.
    let prompts: Vec<Vec<u32>> = (1..6).map(|i| ids(5 * i, 97 + i)).collect();
    let mixed = prompts
        .iter()
        .flat_map(|p| [Ok(draft(p, true)), Ok(draft(p, false))]);
    let mixed = both.write(mixed.collect());
    let mut differ = 0;
    for (prompt, pair) in prompts.iter().zip(mixed.chunks(2)) {
        let plain = alone.write(vec![Ok(draft(prompt, false))]).pop().unwrap();
        let tuned = both.write(vec![Ok(draft(prompt, false))]).pop().unwrap();
        let (plain, tuned) = (plain.unwrap(), tuned.unwrap());
        assert_eq!(pair[0].as_ref().unwrap(), &plain);
        assert_eq!(pair[1].as_ref().unwrap(), &tuned);
        differ += usize::from(plain != tuned);
    }
    assert!(differ > 2, "the adapter changed {differ} texts of five");
}

#[test]
fn a_gguf_base_takes_an_adapter_whose_rows_are_in_pefts_order() {
    let Some(file) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        return skip("the model smollm2-135m-instruct is not in the cache");
    };
    let mut opened = Base::open(&file).unwrap();
    let network = Network::load(&mut opened, Keep::F32).unwrap();
    let dir = tempfile::tempdir().unwrap();
    made_up(dir.path(), network.config(), 2);
    let text = "Nobody went to see why the kettle sang before the rain.";
    let ids = opened.tokeniser().encode(text).unwrap();
    let adapter = peft::read(dir.path(), network.config()).unwrap();
    let wanted = network.logits(&ids, &adapter).unwrap();
    let wanted: Vec<Vec<f32>> = wanted.to_vec2().unwrap();
    let engine = options(Precision::F32, Some(dir.path().to_owned()));
    let ours = Engine::load(&file, engine).unwrap().logits(&ids).unwrap();
    let off = apart(&ours, &wanted);
    println!("{} tokens: largest difference {off:.1e}", ids.len());
    assert!(off < 1e-3, "{off}");
    let plain = Engine::load(&file, options(Precision::F32, None)).unwrap();
    let moved = apart(&ours, &plain.logits(&ids).unwrap());
    assert!(moved > 1.0, "{moved}");
}
