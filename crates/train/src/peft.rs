//! Adapters in PEFT's own layout: `adapter_config.json` and `adapter_model.safetensors`.

pub use model::lora::{CONFIG, WEIGHTS};

use crate::{
    adapter::{Adapter, Pair},
    error::Result,
    folder,
};
use candle_core::Tensor;
use model::{
    base::Config,
    lora::{Lora, Place},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// Writes an adapter; the weights last, so that a folder with weights is whole.
///
/// # Errors
/// When the folder can not be written.
pub fn write(dir: &Path, adapter: &Adapter, base: &str) -> Result<()> {
    folder::make(dir)?;
    let config = format!("{:#}\n", described(adapter.lora(), base));
    folder::write(&dir.join(CONFIG), config.as_bytes())?;
    let tensors = adapter.tensors();
    let tensors = tensors.map(|(name, var)| (name, var.as_tensor().clone()));
    let bytes = folder::safetensors(&tensors.collect(), &BTreeMap::new())?;
    folder::write(&dir.join(WEIGHTS), &bytes)
}

/// The options in the words of PEFT.
fn described(lora: &Lora, base: &str) -> Value {
    json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": lora.rank,
        "lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "use_rslora": lora.rslora,
        "target_modules": lora.targets, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
        "init_lora_weights": true, "use_dora": false, "modules_to_save": null, "layers_to_transform": null,
        "layers_pattern": null, "rank_pattern": {}, "alpha_pattern": {}, "revision": null,
    })
}

/// Reads an adapter for a base of this shape.
///
/// # Errors
/// [`Error::Base`](crate::Error::Base) names what is missing, of another shape, or of a kind that is not supported.
pub fn read(dir: &Path, config: &Config) -> Result<Adapter> {
    let read = model::lora::read(dir, config)?;
    let pair = |(place, [a, b]): (Place, [Tensor; 2])| Ok((place, Pair::new(&a, &b)?));
    let pairs = read.matrices.into_iter().map(pair);
    Ok(Adapter::from_pairs(
        read.lora,
        pairs.collect::<Result<_>>()?,
    ))
}
