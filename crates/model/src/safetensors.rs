//! A Hugging Face model directory: `config.json`, weights in one safetensors file or in shards.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
///
/// # Errors
/// When there are none, or an index that is there can not be read.
pub fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
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

/// Tensors as the bytes of a safetensors file: the length of the header, the header with some notes, the numbers. candle's
/// writer leaves out the note that transformers looks for.
///
/// # Errors
/// When a tensor can not be read, or is of a type that such files do not have.
pub fn encode(
    tensors: &BTreeMap<String, Tensor>,
    notes: &BTreeMap<String, String>,
) -> candle_core::Result<Vec<u8>> {
    let mut all_notes = Map::from_iter([("format".to_owned(), json!("pt"))]);
    all_notes.extend(notes.iter().map(|(k, v)| (k.clone(), json!(v))));
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(all_notes))]);
    let mut numbers: Vec<u8> = Vec::new();
    for (name, tensor) in tensors {
        let start = numbers.len();
        tensor.write_bytes(&mut numbers)?;
        let place = json!({
            "dtype": kind(tensor.dtype())?, "shape": tensor.dims(), "data_offsets": [start, numbers.len()],
        });
        header.insert(name.clone(), place);
    }
    let mut header = Value::Object(header).to_string();
    // The numbers begin at a multiple of eight.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length, header.as_bytes(), &numbers].concat())
}

/// The word for a type of numbers.
fn kind(dtype: DType) -> candle_core::Result<&'static str> {
    Ok(match dtype {
        DType::F64 => "F64",
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::U32 => "U32",
        DType::U8 => "U8",
        other => candle_core::bail!("no safetensors file is written of {other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.safetensors");
        let plain = Tensor::new(&[[1.5f32, -2.25], [0.0, 3.0]], &Device::Cpu).unwrap();
        let half = plain.to_dtype(DType::BF16).unwrap();
        let tensors =
            BTreeMap::from([("a".to_owned(), plain.t().unwrap()), ("b".to_owned(), half)]);
        let notes = BTreeMap::from([("why".to_owned(), "a test".to_owned())]);
        std::fs::write(&file, encode(&tensors, &notes).unwrap()).unwrap();
        let read = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        assert_eq!(read["b"].dtype(), DType::BF16);
        for (name, rows) in [
            ("a", [[1.5, 0.0], [-2.25, 3.0]]),
            ("b", [[1.5, -2.25], [0.0, 3.0]]),
        ] {
            let got = read[name].to_dtype(DType::F32).unwrap();
            assert_eq!(got.to_vec2::<f32>().unwrap(), rows);
        }
    }

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
