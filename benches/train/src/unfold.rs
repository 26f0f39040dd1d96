//! A base in Hugging Face's layout, its weights in f32: what the peer reads.

use model::{
    base::{Base, Config, LayerPart, Part, encode},
    lora::Target,
};
use std::{collections::BTreeMap, fs, path::Path};

pub fn unfold(base: &mut Base, folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!base.has_head(), "the base has a head of its own");
    let config = base.config().clone();
    let vocabulary = base.vocabulary()?;
    let mut tensors = BTreeMap::new();
    for (part, shape) in parts(&config, vocabulary) {
        tensors.insert(part.hf(), base.part(part, &shape)?);
    }
    fs::create_dir_all(folder)?;
    let described = serde_json::to_string_pretty(&described(&config, vocabulary))?;
    fs::write(folder.join("config.json"), described)?;
    // Last: a folder with weights is whole.
    let part = folder.join("model.safetensors.part");
    fs::write(&part, encode(&tensors, &BTreeMap::new())?)?;
    fs::rename(&part, folder.join("model.safetensors"))?;
    Ok(())
}

fn parts(config: &Config, vocabulary: usize) -> Vec<(Part, Vec<usize>)> {
    let mut parts = vec![
        (Part::Embedding, vec![vocabulary, config.width]),
        (Part::Norm, vec![config.width]),
    ];
    for layer in 0..config.layers {
        for norm in [LayerPart::AttentionNorm, LayerPart::FeedForwardNorm] {
            parts.push((Part::Layer(layer, norm), vec![config.width]));
        }
        for target in Target::ALL {
            let (rows, columns) = target.shape(config);
            parts.push((Part::Layer(layer, target.part()), vec![rows, columns]));
        }
    }
    parts
}

fn described(config: &Config, vocabulary: usize) -> serde_json::Value {
    // The second pair of dimensions turns by theta^(-2 / dim).
    let theta = config.frequencies[1].powf(-(config.heads.dim as f32) / 2.0);
    serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
        "vocab_size": vocabulary, "hidden_size": config.width, "intermediate_size": config.inner,
        "num_hidden_layers": config.layers, "num_attention_heads": config.heads.query,
        "num_key_value_heads": config.heads.kv, "head_dim": config.heads.dim, "rms_norm_eps": config.eps,
        "max_position_embeddings": config.context, "rope_theta": theta.round(), "hidden_act": "silu",
        "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false, "bos_token_id": 1, "eos_token_id": 2,
    })
}
