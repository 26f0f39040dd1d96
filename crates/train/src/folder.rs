//! Files that are whole or not there: written beside, flushed, renamed.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

/// The longest header of a safetensors file that is read.
const MAX_HEADER: u64 = 100 << 20;

/// Makes a folder, with those above it.
pub(crate) fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::at(dir, e))
}

/// Puts a file in its place in one go: who reads it sees the old bytes or the new ones, also after a power cut.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, |file| {
        file.write_all(bytes).map_err(|e| Error::at(path, e))
    })
}

/// The same for what is written bit by bit.
pub(crate) fn write_by(path: &Path, by: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let fail = |e: std::io::Error| Error::at(path, e);
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let mut file = File::create(part).map_err(fail)?;
    by(&mut file)?;
    file.sync_all().map_err(fail)?;
    fs::rename(part, path).map_err(fail)?;
    // The new name is on the disk only when the folder is.
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail)
        }
        _ => Ok(()),
    }
}

/// The tensors of a safetensors file.
pub(crate) fn tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| Error::at(path, e))
}

/// The bytes of a safetensors file.
pub(crate) fn safetensors(
    tensors: &BTreeMap<String, Tensor>,
    notes: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    Ok(model::base::encode(tensors, notes)?)
}

/// A note in the header of a safetensors file.
pub(crate) fn note(path: &Path, key: &str) -> Result<Option<String>> {
    let fail = |e: &dyn std::fmt::Display| Error::at(path, e);
    let mut file = File::open(path).map_err(|e| fail(&e))?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|e| fail(&e))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(fail(&"not a safetensors file"));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(|e| fail(&e))?;
    let header: Value = serde_json::from_slice(&header).map_err(|e| fail(&e))?;
    Ok(header["__metadata__"][key].as_str().map(str::to_owned))
}
