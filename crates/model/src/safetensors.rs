//! A Hugging Face model directory: `config.json`, weights in one safetensors file or in shards.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

/// An opened model directory with its weights in memory.
pub(crate) struct Directory {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Directory {
    /// Reads all weights of the directory.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut tensors = HashMap::new();
        for file in weight_files(path)? {
            let loaded = candle_core::safetensors::load(&file, &Device::Cpu);
            tensors.extend(loaded.map_err(|e| Error::load(format!("{}: {e}", file.display())))?);
        }
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    /// Takes the tensor `name` out, as f32; `Ok(None)` when there is none.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>> {
        let Some(tensor) = self.tensors.get(name) else {
            return Ok(None);
        };
        let dense = tensor.to_dtype(DType::F32).and_then(|t| t.contiguous());
        dense
            .map(Some)
            .map_err(|e| Error::load(format!("{}: tensor {name}: {e}", self.path.display())))
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// How many numbers all tensors hold.
    pub(crate) fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }
}

/// The weight files of a model directory, in a fixed order.
pub(crate) fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
    shards(dir, "model.safetensors")?.ok_or_else(|| {
        Error::load(format!(
            "{}: neither model.safetensors nor model.safetensors.index.json is there",
            dir.display()
        ))
    })
}

/// The file `whole`, or the shards that the index beside it names, in a fixed order; `Ok(None)` where neither is there.
pub(crate) fn shards(dir: &Path, whole: &str) -> Result<Option<Vec<PathBuf>>> {
    let file = dir.join(whole);
    if file.is_file() {
        return Ok(Some(vec![file]));
    }
    let index = dir.join(format!("{whole}.index.json"));
    if !index.is_file() {
        return Ok(None);
    }
    let index = read_json(&index)?;
    let map = index["weight_map"].as_object();
    let names: BTreeSet<&str> = map
        .into_iter()
        .flat_map(|m| m.values())
        .filter_map(Value::as_str)
        .collect();
    // A shard's name comes from a file somebody else wrote: it stays in this directory.
    let plain = |name: &&str| Path::new(name).file_name() == Some((*name).as_ref());
    if names.is_empty() || !names.iter().all(plain) {
        return Err(Error::load(format!(
            "{}: {whole}.index.json names no shards in its weight_map",
            dir.display()
        )));
    }
    Ok(Some(names.into_iter().map(|name| dir.join(name)).collect()))
}

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let fail = |e: &dyn std::fmt::Display| Error::load(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| fail(&e))?;
    serde_json::from_str(&text).map_err(|e| fail(&format!("not JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_from_the_index_and_stay_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let say = weight_files(dir.path()).unwrap_err().to_string();
        assert!(say.contains("model.safetensors.index.json"), "{say}");
        let index = dir.path().join("model.safetensors.index.json");
        std::fs::write(
            &index,
            r#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}"#,
        )
        .unwrap();
        let files = weight_files(dir.path()).unwrap();
        assert_eq!(
            files,
            [
                dir.path().join("1.safetensors"),
                dir.path().join("2.safetensors")
            ]
        );
        std::fs::write(&index, r#"{"weight_map": {"a": "../2.safetensors"}}"#).unwrap();
        assert!(weight_files(dir.path()).is_err());
    }
}
