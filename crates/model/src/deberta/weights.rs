//! Weights of a model directory, read one tensor at a time: no file is ever in memory as a whole.

use crate::{
    error::{Error, Result},
    safetensors::{read_json, shards},
};
use candle_core::{DType, pickle::PthTensors};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Bytes read at once: what a tensor needs beside its numbers.
const PIECE: usize = 1 << 20;
/// A header beyond this is no header.
const LONGEST_HEADER: u64 = 100 << 20;

/// The files of weights that a model directory has, safetensors before PyTorch's.
pub(crate) fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
    for whole in ["model.safetensors", "pytorch_model.bin"] {
        if let Some(files) = shards(dir, whole)? {
            return Ok(files);
        }
    }
    Err(Error::load(format!(
        "{}: no weights: model.safetensors or pytorch_model.bin (or an index of shards beside it) is needed",
        dir.display()
    )))
}

/// A tensor in a safetensors file.
pub(crate) struct Place {
    file: usize,
    dtype: String,
    shape: Vec<usize>,
    at: u64,
    bytes: u64,
}

/// Opened weights.
pub(crate) enum Weights {
    /// Safetensors: where each tensor lies.
    Plain {
        files: Vec<(PathBuf, File)>,
        places: HashMap<String, Place>,
    },
    /// What `torch.save` wrote.
    Pickled(Vec<(PathBuf, PthTensors)>),
}

impl Weights {
    /// Opens the files that [`weight_files`] found.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths
            .iter()
            .all(|p| p.extension().is_some_and(|e| e == "bin"))
        {
            let open = |path: &PathBuf| {
                let opened = PthTensors::new(path, None);
                let opened = opened.map_err(|e| {
                    Error::load(format!(
                        "{}: not a file that torch.save writes: {e}",
                        path.display()
                    ))
                })?;
                Ok((path.clone(), opened))
            };
            return Ok(Self::Pickled(
                paths.iter().map(open).collect::<Result<_>>()?,
            ));
        }
        let (mut files, mut places) = (Vec::new(), HashMap::new());
        for path in paths {
            let mut file =
                File::open(path).map_err(|e| Error::load(format!("{}: {e}", path.display())))?;
            let found = header(&mut file, files.len());
            places.extend(found.map_err(|e| Error::load(format!("{}: {e}", path.display())))?);
            files.push((path.clone(), file));
        }
        Ok(Self::Plain { files, places })
    }

    /// Reads the tensor `name`, as f32.
    ///
    /// # Errors
    /// When it is missing, has another shape, or holds no plain numbers.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = match self {
            Self::Plain { places, .. } => places.get(name).map(|p| p.shape.clone()),
            Self::Pickled(files) => files
                .iter()
                .find_map(|(_, f)| f.tensor_infos().get(name))
                .map(|t| t.layout.dims().to_vec()),
        };
        let Some(found) = found else {
            return Err(Error::load(format!(
                "{}: the tensor {name} is missing{}",
                self.files(),
                self.hint()
            )));
        };
        if found != shape {
            return Err(Error::load(format!(
                "{}: the tensor {name} has the shape {found:?}; the configuration says {shape:?}",
                self.files()
            )));
        }
        let files = self.files();
        self.numbers(name)
            .map_err(|e| Error::load(format!("{files}: tensor {name}: {e}")))
    }

    fn numbers(&mut self, name: &str) -> Result<Vec<f32>, String> {
        match self {
            Self::Plain { files, places } => {
                let place = &places[name];
                numbers(&mut files[place.file].1, place)
            }
            Self::Pickled(files) => {
                let tensor = files.iter().find_map(|(_, f)| f.get(name).transpose());
                let read = || {
                    tensor
                        .transpose()?
                        .map(|t| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1())
                        .transpose()
                };
                read()
                    .map_err(|e: candle_core::Error| e.to_string())?
                    .ok_or_else(|| "gone".into())
            }
        }
    }

    /// The files' names, for errors.
    fn files(&self) -> String {
        let first = match self {
            Self::Plain { files, .. } => files.first().map(|(path, _)| path),
            Self::Pickled(files) => files.first().map(|(path, _)| path),
        };
        first.map_or_else(String::new, |path| path.display().to_string())
    }

    /// What the files have instead, where a tensor is missing.
    fn hint(&self) -> String {
        let mut names: Vec<&str> = match self {
            Self::Plain { places, .. } => places.keys().map(String::as_str).collect(),
            Self::Pickled(files) => files
                .iter()
                .flat_map(|(_, f)| f.tensor_infos().keys())
                .map(String::as_str)
                .collect(),
        };
        names.sort_unstable();
        let some: Vec<_> = names.iter().take(3).copied().collect();
        format!(" (there are {}, such as {})", names.len(), some.join(", "))
    }
}

/// Where a safetensors file has which tensor: eight bytes of length, a JSON header, the numbers.
fn header(file: &mut File, index: usize) -> Result<HashMap<String, Place>, String> {
    let mut length = [0u8; 8];
    file.read_exact(&mut length)
        .map_err(|e| format!("not a safetensors file: {e}"))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err("not a safetensors file: its header would be longer than 100 MiB".into());
    }
    let mut text = vec![0u8; length as usize];
    file.read_exact(&mut text)
        .map_err(|e| format!("the header is cut off: {e}"))?;
    let json: Value =
        serde_json::from_slice(&text).map_err(|e| format!("the header is no JSON: {e}"))?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let tensors = json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "__metadata__");
    let place = |(name, tensor): (&String, &Value)| {
        let number = |v: &Value| {
            v.as_u64()
                .ok_or_else(|| format!("the header does not say where {name} lies"))
        };
        let (from, to) = (
            number(&tensor["data_offsets"][0])?,
            number(&tensor["data_offsets"][1])?,
        );
        let shape = tensor["shape"]
            .as_array()
            .into_iter()
            .flatten()
            .map(&number);
        let shape = shape
            .map(|n| n.map(|n| n as usize))
            .collect::<Result<Vec<_>, _>>()?;
        let at = (8 + length).saturating_add(from);
        if to < from || at.saturating_add(to - from) > size {
            return Err(format!(
                "the file is cut off: {name} would end after its {size} bytes"
            ));
        }
        let dtype = tensor["dtype"].as_str().unwrap_or_default().to_owned();
        Ok((
            name.clone(),
            Place {
                file: index,
                dtype,
                shape,
                at,
                bytes: to - from,
            },
        ))
    };
    tensors.map(place).collect()
}

fn numbers(file: &mut File, place: &Place) -> Result<Vec<f32>, String> {
    let convert: fn(&[u8], &mut Vec<f32>) = match place.dtype.as_str() {
        "F32" => |bytes, out| {
            out.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b)),
            )
        },
        "BF16" => |bytes, out| {
            out.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)),
            )
        },
        "F16" => |bytes, out| {
            out.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|b| half(u16::from_le_bytes(*b))),
            )
        },
        other => {
            return Err(format!(
                "its numbers are {other}; F32, F16 and BF16 can be read"
            ));
        }
    };
    let width = if place.dtype == "F32" { 4 } else { 2 };
    let count: usize = place.shape.iter().product();
    if place.bytes != (count * width) as u64 {
        return Err(format!(
            "{} bytes are not {count} numbers of {width} bytes",
            place.bytes
        ));
    }
    let (mut out, mut buffer, mut left) = (
        Vec::with_capacity(count),
        vec![0u8; PIECE],
        place.bytes as usize,
    );
    file.seek(SeekFrom::Start(place.at))
        .map_err(|e| e.to_string())?;
    while left > 0 {
        let piece = &mut buffer[..left.min(PIECE)];
        file.read_exact(piece).map_err(|e| e.to_string())?;
        convert(piece, &mut out);
        left -= piece.len();
    }
    Ok(out)
}

/// An IEEE half as f32.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (
        u32::from(bits >> 15) << 31,
        (bits >> 10) & 31,
        u32::from(bits & 1023),
    );
    let magnitude = match exponent {
        // Subnormal: the fraction counts in steps of 2^-24.
        0 => return f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => 0x7f80_0000 | fraction << 13,
        e => (u32::from(e) + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// `config.json` of a directory.
pub(crate) fn config(dir: &Path) -> Result<(Value, String)> {
    let file = dir.join("config.json");
    Ok((read_json(&file)?, file.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn halves_are_those_of_the_standard() {
        for bits in 0..=u16::MAX {
            let bytes = bits.to_le_bytes();
            let tensor = Tensor::from_raw_buffer(&bytes, DType::F16, &[1], &Device::Cpu).unwrap();
            let want = tensor
                .to_dtype(DType::F32)
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()[0];
            assert!(
                half(bits).to_bits() == want.to_bits() || (want.is_nan() && half(bits).is_nan()),
                "{bits:x}"
            );
        }
    }

    #[test]
    fn tensors_are_read_one_by_one_and_what_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.safetensors");
        let say = weight_files(dir.path()).unwrap_err().to_string();
        assert!(
            say.contains("model.safetensors or pytorch_model.bin"),
            "{say}"
        );
        let numbers: Vec<f32> = (0..600_000).map(|i| i as f32 * 0.5).collect();
        let long = Tensor::from_vec(numbers.clone(), (600, 1000), &Device::Cpu).unwrap();
        let short = Tensor::new(&[1f32, -2.5], &Device::Cpu)
            .unwrap()
            .to_dtype(DType::BF16)
            .unwrap();
        let ids = Tensor::new(&[1u32], &Device::Cpu).unwrap();
        let tensors = HashMap::from([("long", long), ("short", short), ("ids", ids)]);
        candle_core::safetensors::save(&tensors, &file).unwrap();
        let mut weights = Weights::open(&weight_files(dir.path()).unwrap()).unwrap();
        assert_eq!(weights.read("long", &[600, 1000]).unwrap(), numbers);
        assert_eq!(weights.read("short", &[2]).unwrap(), [1.0, -2.5]);
        let say = |weights: &mut Weights, name: &str, shape: &[usize]| {
            weights.read(name, shape).unwrap_err().to_string()
        };
        let text = say(&mut weights, "wide", &[2]);
        assert!(
            text.contains("wide is missing (there are 3, such as ids"),
            "{text}"
        );
        let text = say(&mut weights, "short", &[3]);
        assert!(text.contains("shape [2]") && text.contains("[3]"), "{text}");
        let text = say(&mut weights, "ids", &[1]);
        assert!(text.contains("U32") && text.contains("F16"), "{text}");
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
        let text = Weights::open(&[file]).err().unwrap().to_string();
        assert!(text.contains("cut off"), "{text}");
    }
}
