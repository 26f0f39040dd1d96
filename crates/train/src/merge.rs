//! A base and its adapter as one model: a folder in Hugging Face's layout that needs no PEFT.

use crate::{
    adapter::Adapter,
    error::{Error, Result},
    folder,
};
use candle_core::{DType, Tensor};
use model::{
    base::{Base, Part},
    lora::Target,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const WEIGHTS: &str = "model.safetensors";

/// Writes the base in the folder `base` with the adapter's product added to its matrices, each in the type of numbers that
/// the base has it in. All else is copied.
///
/// # Errors
/// When the base is no folder in Hugging Face's layout, a matrix is missing or of another shape, or `out` can not be
/// written.
pub fn merge(base: &Path, adapter: &Adapter, out: &Path) -> Result<()> {
    if !base.is_dir() {
        return Err(Error::at(
            base,
            "only a base in Hugging Face's layout (a folder) can be merged with an adapter; a GGUF file can not",
        ));
    }
    // Opened for its checks: what is no model of ours is refused before anything is written.
    let layers = Base::open(base)?.config().layers;
    let mut tensors = BTreeMap::new();
    for file in model::base::weight_files(base)? {
        tensors.extend(folder::tensors(&file)?);
    }
    for layer in 0..layers {
        for target in Target::ALL {
            if let Some(delta) = adapter.delta((layer, target))? {
                add(
                    &mut tensors,
                    &Part::Layer(layer, target.part()).hf(),
                    &delta,
                    base,
                )?;
            }
        }
    }
    folder::make(out)?;
    for file in others(base)? {
        let name = file.file_name().unwrap_or_default();
        let read = fs::read(&file).map_err(|e| Error::at(&file, e))?;
        folder::write(&out.join(name), &read)?;
    }
    let bytes = folder::safetensors(&tensors, &BTreeMap::new())?;
    folder::write(&out.join(WEIGHTS), &bytes)
}

fn add(
    tensors: &mut BTreeMap<String, Tensor>,
    name: &str,
    delta: &Tensor,
    base: &Path,
) -> Result<()> {
    let missing = || Error::at(base, format!("the tensor {name} is missing"));
    let plain = tensors.get(name).ok_or_else(missing)?;
    if plain.dims() != delta.dims() {
        let (found, wanted) = (plain.dims(), delta.dims());
        let what = format!("{name} has the shape {found:?}; the adapter is for {wanted:?}");
        return Err(Error::at(base, what));
    }
    let sum = (plain.to_dtype(DType::F32)? + delta)?.to_dtype(plain.dtype())?;
    tensors.insert(name.to_owned(), sum);
    Ok(())
}

/// The files beside the weights: configuration, tokeniser, chat template.
fn others(base: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(base).map_err(|e| Error::at(base, e))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::at(base, e))?.path();
        let ending = path.extension().unwrap_or_default();
        let index = path.to_string_lossy().ends_with(".index.json");
        if path.is_file()
            && !index
            && ["json", "jinja", "txt", "model"]
                .iter()
                .any(|e| ending == *e)
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
