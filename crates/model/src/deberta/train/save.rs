//! A trained model as a folder in Hugging Face's layout.

use super::{super::config::Config, vocabulary::SPECIAL};
use crate::error::{Error, Result};
use candle_core::Tensor;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// Makes the folder.
pub(super) fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::load(format!("{}: {e}", dir.display())))
}

fn write(dir: &Path, name: &str, json: &Value) -> Result<()> {
    let path = dir.join(name);
    std::fs::write(&path, format!("{json:#}\n"))
        .map_err(|e| Error::load(format!("{}: {e}", path.display())))
}

/// Writes the tokeniser.
pub(super) fn tokeniser(dir: &Path, tokeniser: &Value, context: usize) -> Result<()> {
    write(dir, "tokenizer.json", tokeniser)?;
    let [pad, cls, sep, unk, mask] = SPECIAL;
    let side = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context, "cls_token": cls, "sep_token": sep,
        "bos_token": cls, "eos_token": sep, "pad_token": pad, "unk_token": unk, "mask_token": mask,
    });
    write(dir, "tokenizer_config.json", &side)
}

/// Writes configuration and weights; the weights last, so that a folder with weights is whole.
pub(super) fn weights(
    dir: &Path,
    config: &Config,
    weights: &BTreeMap<String, Tensor>,
) -> Result<()> {
    write(dir, "config.json", &described(config))?;
    let (file, unfinished) = (
        dir.join("model.safetensors"),
        dir.join("model.safetensors.part"),
    );
    let fail = |e: &dyn std::fmt::Display| Error::load(format!("{}: {e}", file.display()));
    let bytes = crate::safetensors::encode(weights, &BTreeMap::new())?;
    std::fs::write(&unfinished, bytes).map_err(|e| fail(&e))?;
    std::fs::rename(&unfinished, &file).map_err(|e| fail(&e))
}

/// The configuration in the words of transformers.
fn described(config: &Config) -> Value {
    let kinds = [(config.positions.c2p, "c2p"), (config.positions.p2c, "p2c")];
    let kinds: Vec<&str> = kinds
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name)
        .collect();
    json!({
        "model_type": "deberta-v2", "architectures": ["DebertaV2ForSequenceClassification"],
        "vocab_size": config.vocabulary, "hidden_size": config.width, "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads, "intermediate_size": config.inner,
        "max_position_embeddings": config.context, "max_relative_positions": -1,
        "position_buckets": config.positions.buckets, "pos_att_type": kinds.join("|"), "relative_attention": true,
        "share_att_key": true, "position_biased_input": false, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0,
        "layer_norm_eps": 1e-7, "hidden_act": "gelu", "pooler_hidden_act": "gelu", "pooler_hidden_size": config.width,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "pooler_dropout": 0, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "id2label": {"0": "reward"}, "label2id": {"reward": 0},
        "dtype": "float32",
    })
}
