//! A base and its adapter as one model: a folder in Hugging Face's layout, or a GGUF file, that needs no PEFT.

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
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

const WEIGHTS: &str = "model.safetensors";

/// Writes a base with the adapter's product added to its matrices: a GGUF file to a GGUF file, a folder in Hugging Face's
/// layout to such a folder.
///
/// In a folder, each matrix stays in the type of numbers that the base has it in, and all else is copied. In a GGUF file,
/// changed matrices in blocks become F16.
///
/// # Errors
/// When a matrix is missing or of another shape, or `out` can not be written.
pub fn merge(base: &Path, adapter: &Adapter, out: &Path) -> Result<()> {
    match base.is_dir() {
        true => merge_folder(base, adapter, out),
        false => merge_file(base, adapter, out),
    }
}

fn merge_file(base: &Path, adapter: &Adapter, out: &Path) -> Result<()> {
    let mut base = Base::open(base)?;
    let mut delta = |part: Part| {
        let target = Target::ALL.into_iter();
        let of = |layer, part| {
            target
                .clone()
                .find(|t| t.part() == part)
                .map(|t| (layer, t))
        };
        match part {
            Part::Layer(layer, part) => match of(layer, part) {
                Some(place) => Ok(adapter.delta(place)?),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    };
    folder::write_by(out, |file| {
        let mut buffered = BufWriter::new(file);
        base.write_with(&mut buffered, &mut delta)?;
        buffered.flush().map_err(|e| Error::at(out, e))
    })
}

fn merge_folder(base: &Path, adapter: &Adapter, out: &Path) -> Result<()> {
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
