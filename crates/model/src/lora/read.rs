//! Reading `adapter_config.json` and `adapter_model.safetensors`.

use super::{Adapter, Lora, Target, names};
use crate::{
    config::Config,
    digest::sha256_files,
    error::{Error, Result},
};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

/// The file that says what an adapter is.
pub const CONFIG: &str = "adapter_config.json";
/// The file with its tensors.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// What failed at `path`.
fn at(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::load(format!("{}: {problem}", path.display()))
}

/// Reads an adapter for a base of this shape.
///
/// # Errors
/// [`Error::Load`] names what is missing, of another shape, or of a kind that is not supported.
pub fn read(dir: &Path, config: &Config) -> Result<Adapter> {
    let lora = options(&dir.join(CONFIG))?;
    let file = dir.join(WEIGHTS);
    let loaded = candle_core::safetensors::load(&file, &Device::Cpu);
    let mut tensors = loaded.map_err(|e| at(&file, e))?;
    let mut matrices = BTreeMap::new();
    for layer in 0..config.layers {
        for target in &lora.targets {
            let (rows, columns) = target.shape(config);
            let [a, b] = names((layer, *target));
            let a = take(&mut tensors, &a, (lora.rank, columns), &file)?;
            let b = take(&mut tensors, &b, (rows, lora.rank), &file)?;
            matrices.insert((layer, *target), [a, b]);
        }
    }
    match tensors.keys().min() {
        None => Ok(Adapter {
            lora,
            matrices,
            sha256: sha256_files(&[file])?,
        }),
        Some(name) => Err(at(
            &file,
            format!(
                "{name} has no place in this base of {} layers",
                config.layers
            ),
        )),
    }
}

fn take(
    tensors: &mut HashMap<String, Tensor>,
    name: &str,
    shape: (usize, usize),
    file: &Path,
) -> Result<Tensor> {
    let missing = || at(file, format!("{name} is missing"));
    let tensor = tensors.remove(name).ok_or_else(missing)?;
    if tensor.dims() != [shape.0, shape.1] {
        let (found, wanted) = (tensor.dims(), [shape.0, shape.1]);
        let what =
            format!("{name} has the shape {found:?}; the base and the options say {wanted:?}");
        return Err(at(file, what));
    }
    Ok(tensor.to_dtype(DType::F32)?)
}

/// The options of an `adapter_config.json`.
fn options(file: &Path) -> Result<Lora> {
    let text = std::fs::read_to_string(file).map_err(|e| at(file, e))?;
    let config: Value = serde_json::from_str(&text).map_err(|e| at(file, e))?;
    if let Some(key) = unsupported(&config) {
        let found = &config[key];
        let what = format!("{key} = {found} is not supported: plain LoRA without biases is");
        return Err(at(file, what));
    }
    let number = |key: &str| {
        let missing = || at(file, format!("{key} is missing or no number"));
        config[key].as_f64().ok_or_else(missing)
    };
    let lora = Lora {
        rank: number("r")? as usize,
        alpha: number("lora_alpha")?,
        dropout: config["lora_dropout"].as_f64().unwrap_or(0.0),
        rslora: config["use_rslora"].as_bool().unwrap_or(false),
        targets: targets(&config).map_err(|what| at(file, what))?,
    };
    lora.check().map_err(|e| at(file, e))?;
    Ok(lora)
}

/// The first key that asks for something that we do not compute.
fn unsupported(config: &Value) -> Option<&'static str> {
    let set = |key: &str| match &config[key] {
        Value::Null | Value::Bool(false) => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    if config["peft_type"] != "LORA" {
        return Some("peft_type");
    }
    if !matches!(config["bias"].as_str(), None | Some("none")) {
        return Some("bias");
    }
    let keys = [
        "use_dora",
        "fan_in_fan_out",
        "modules_to_save",
        "layers_to_transform",
        "rank_pattern",
        "alpha_pattern",
        "lora_bias",
        "layer_replication",
        "target_parameters",
        "use_bdlora",
        "use_qalora",
        "trainable_token_indices",
    ];
    keys.into_iter().find(|key| set(key))
}

fn targets(config: &Value) -> Result<BTreeSet<Target>, String> {
    let listed = config["target_modules"].as_array();
    let listed = listed.ok_or("target_modules is no list of modules")?;
    let names = listed.iter().map(|name| name.as_str().unwrap_or_default());
    // A module may be named with those that it is in: only the last part tells.
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    names
        .map(|name| last(name).parse().map_err(|e: Error| e.to_string()))
        .collect()
}
