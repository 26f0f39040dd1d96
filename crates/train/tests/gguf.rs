//! A GGUF base: its queries and keys are laid out otherwise than an adapter in PEFT's layout expects.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::skip;
use model::{Engine, Options, Precision, base::Base, catalogue};
use train::{
    Adapter, Keep, Lora, Network, Target, Text, gradients_of,
    pairs::{Pair, Template},
};

const TEXT: &str =
    "The kettle sang before the rain reached the window, and nobody went to see why.";

#[test]
fn a_gguf_base_gives_the_logits_of_the_engine_and_gradients_everywhere() {
    let Some(file) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        return skip("the model smollm2-135m-instruct is not in the cache");
    };
    let options = Options {
        precision: Precision::F32,
        ..Options::default()
    };
    let engine = Engine::load(&file, options).unwrap();
    let ids = engine.tokeniser().encode(TEXT).unwrap();
    let wanted = engine.logits(&ids).unwrap();
    drop(engine);

    let mut base = Base::open(&file).unwrap();
    let network = Network::load(&mut base, Keep::F32).unwrap();
    let lora = Lora {
        rank: 2,
        dropout: 0.0,
        targets: Target::ALL.into(),
        ..Lora::default()
    };
    let adapter = Adapter::new(lora, network.config(), 1).unwrap();
    let ours = network.logits(&ids, &adapter).unwrap();
    let ours = ours.to_vec2::<f32>().unwrap();
    let pairs = ours.iter().flatten().zip(wanted.iter().flatten());
    let off = pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    println!("{} tokens: largest difference {off:.1e}", ids.len());
    assert!(off < 1e-3, "{off}");

    let pair = Pair {
        original: "rain?".to_owned(),
        improved: "Explain in two sentences how rain forms.".to_owned(),
    };
    for template in [Template::Inst, Template::Chat] {
        let text: Text = template.text(&base, &pair).unwrap();
        let said = base.tokeniser().decode(&text.ids[text.prompt..]).unwrap();
        assert_eq!(said.trim(), pair.improved);
        let last = *text.ids.last().unwrap();
        assert!(base.tokeniser().is_end(last));
        let (loss, found) = gradients_of(&network, &adapter, &[&text], true).unwrap();
        assert!(loss > 0.5 && loss < 10.0, "{loss}");
        // B is zero at first, so A has a gradient of zero: there, and no number but zero.
        assert_eq!(found.len(), 30 * 7 * 2);
        for (name, gradient) in &found {
            let most = gradient.abs().unwrap().max_all().unwrap();
            let most = most.to_scalar::<f32>().unwrap();
            assert_eq!(most > 0.0, name.contains("lora_B"), "{name}: {most}");
        }
    }
}
