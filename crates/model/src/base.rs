//! A model's files, opened: its shape, its weights part by part, its tokeniser and chat template.
//!
//! [`crate::Engine`] makes a network for answering of them; training makes one with gradients.

pub use crate::{
    attention::Heads,
    config::Config,
    safetensors::{encode, weight_files},
    weights::{LayerPart, Part},
};

use crate::{
    chat::{Template, Turn},
    digest::sha256_files,
    error::{Error, Result},
    gguf::Gguf,
    safetensors::{Directory, read_json},
    tokeniser::Tokeniser,
    weights::Weights,
};
use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    io::{Seek, Write},
    path::{Path, PathBuf},
};

/// Everything that a GGUF file, or a Hugging Face directory with safetensors, says.
pub struct Base {
    pub(crate) config: Config,
    pub(crate) weights: Weights,
    pub(crate) tokeniser: Tokeniser,
    pub(crate) template: Option<Template>,
    pub(crate) name: String,
    /// How many numbers all tensors hold.
    pub(crate) elements: usize,
    /// The files with the weights.
    pub(crate) files: Vec<PathBuf>,
}

impl Base {
    /// Opens a GGUF file, or a Hugging Face directory with safetensors.
    ///
    /// # Errors
    /// [`Error::Load`] says what was found and what is needed.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            Self::open_directory(path)
        } else {
            Self::open_gguf(path)
        }
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let mut gguf = Gguf::open(path)?;
        let factors = gguf.tensor("rope_freqs.weight")?;
        let factors = factors.map(|f| f.dequantize(&Device::Cpu)?.to_vec1());
        let template = gguf.header.text("tokenizer.chat_template").ok();
        let name = gguf.header.text("general.name");
        Ok(Self {
            config: Config::from_gguf(&gguf.header, factors.transpose()?)?,
            tokeniser: Tokeniser::from_gguf(&gguf.header)?,
            template: template.map(Template::new).transpose()?,
            name: name.unwrap_or_else(|_| file_name(path)),
            elements: gguf.elements(),
            weights: Weights::Gguf(Box::new(gguf)),
            files: vec![path.to_owned()],
        })
    }

    fn open_directory(dir: &Path) -> Result<Self> {
        let file = dir.join("config.json");
        let config = read_json(&file)?;
        let (tokeniser, template) = read_tokeniser(dir, &config)?;
        let files = weight_files(dir)?;
        let weights = Directory::open(dir)?;
        Ok(Self {
            config: Config::from_hf(&config, &file.display().to_string())?,
            tokeniser,
            template: template.map(Template::new).transpose()?,
            name: file_name(dir),
            elements: weights.elements(),
            weights: Weights::Safetensors(weights),
            files,
        })
    }

    /// The name in the file, or the file's own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The architecture.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tokeniser.
    pub fn tokeniser(&self) -> &Tokeniser {
        &self.tokeniser
    }

    /// SHA-256 of the weight files. Reads them whole.
    ///
    /// # Errors
    /// When a file can not be read.
    pub fn sha256(&self) -> Result<String> {
        sha256_files(&self.files)
    }

    /// How many tokens there are.
    ///
    /// # Errors
    /// When the files have no embedding.
    pub fn vocabulary(&mut self) -> Result<usize> {
        self.weights.vocabulary()
    }

    /// Whether the output head is a tensor of its own; else the embedding serves.
    pub fn has_head(&self) -> bool {
        self.weights.has_head()
    }

    /// A part of exactly this shape, in f32 and in Hugging Face's layout whatever the file is: pairs of
    /// dimensions that rotate together stand half a head apart.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn part(&mut self, part: Part, shape: &[usize]) -> Result<Tensor> {
        let dense = self.weights.part(part, shape)?.dense()?;
        let heads = match part {
            Part::Layer(_, LayerPart::Query) => self.config.heads.query,
            Part::Layer(_, LayerPart::Key) => self.config.heads.kv,
            _ => return Ok(dense),
        };
        match &self.weights {
            Weights::Safetensors(_) => Ok(dense),
            Weights::Gguf(_) => Ok(halves(&dense, heads)?),
        }
    }

    /// Writes the GGUF file that this is of anew, with `more` added to the parts that it gives something for, in Hugging
    /// Face's layout. A changed part in blocks becomes F16: rounded to blocks once more, even of 8 bits, it would lose a
    /// sixth of what a small adapter changes.
    ///
    /// # Errors
    /// When this is no GGUF file, something of another shape is given, or `out` can not be written.
    pub fn write_with(
        &mut self,
        out: &mut (impl Write + Seek),
        more: &mut dyn FnMut(Part) -> Result<Option<Tensor>>,
    ) -> Result<()> {
        let Weights::Gguf(gguf) = &mut self.weights else {
            return Err(Error::load("only GGUF files can be written as such"));
        };
        let layers = 0..self.config.layers;
        let parts = layers.flat_map(|i| LayerPart::MATRICES.map(|part| Part::Layer(i, part)));
        let parts: HashMap<String, Part> = parts.map(|part| (part.gguf(), part)).collect();
        let heads = self.config.heads;
        gguf.copy(out, &mut |name, tensor| {
            let Some(part) = parts.get(name) else {
                return Ok(tensor);
            };
            let Some(more) = more(*part)? else {
                return Ok(tensor);
            };
            let more = match part {
                Part::Layer(_, LayerPart::Query) => pairs(&more, heads.query)?,
                Part::Layer(_, LayerPart::Key) => pairs(&more, heads.kv)?,
                _ => more,
            };
            Ok(sum(&tensor, &more)?)
        })
    }

    /// The tokens of a conversation by the model's chat template: up to where a reply starts (`reply`), or
    /// as far as it goes.
    ///
    /// # Errors
    /// When the model has no chat template, or the template refuses the conversation.
    pub fn encode_chat(&self, turns: &[Turn], reply: bool) -> Result<Vec<u32>> {
        let template = self.template.as_ref().ok_or_else(|| {
            Error::job(format!(
                "{} has no chat template: it is not a chat model",
                self.name
            ))
        })?;
        template.encode(turns, &self.tokeniser, reply)
    }
}

/// Rows of heads from pairs that stand side by side (GGUF) to pairs that stand half a head apart.
fn halves(rows: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (count, columns) = rows.dims2()?;
    let pairs = rows.reshape((heads, count / heads / 2, 2, columns))?;
    pairs.transpose(1, 2)?.reshape((count, columns))
}

/// The way back of [`halves`].
fn pairs(rows: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (count, columns) = rows.dims2()?;
    let halves = rows.reshape((heads, 2, count / heads / 2, columns))?;
    halves.transpose(1, 2)?.reshape((count, columns))
}

/// A matrix and what is added to it, in the matrix's own type where that is not too coarse.
fn sum(tensor: &QTensor, more: &Tensor) -> candle_core::Result<QTensor> {
    let sum = (tensor.dequantize(&Device::Cpu)? + more)?;
    let dtype = match tensor.dtype() {
        own @ (GgmlDType::F32 | GgmlDType::BF16) => own,
        _ => GgmlDType::F16,
    };
    QTensor::quantize(&sum, dtype)
}

fn file_name(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "model".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Reads `tokenizer.json` and its neighbours: special texts, end tokens, the chat template.
fn read_tokeniser(dir: &Path, config: &Value) -> Result<(Tokeniser, Option<String>)> {
    let optional = |name: &str| {
        let path = dir.join(name);
        if path.is_file() {
            read_json(&path)
        } else {
            Ok(Value::Null)
        }
    };
    let file = dir.join("tokenizer.json");
    if !file.is_file() {
        return Err(Error::load(format!(
            "{}: tokenizer.json is missing",
            dir.display()
        )));
    }
    let (side, generation) = (
        optional("tokenizer_config.json")?,
        optional("generation_config.json")?,
    );
    // A special token stands there as a text or as an object with `content`.
    let special = |key: &str| side[key].as_str().or(side[key]["content"].as_str());
    let ends: Vec<u32> = [&generation["eos_token_id"], &config["eos_token_id"]]
        .into_iter()
        .flat_map(|v| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()]))
        .filter_map(|v| v.as_u64().and_then(|id| u32::try_from(id).ok()))
        .collect();
    let tokeniser = Tokeniser::from_json(&file, special("bos_token"), special("eos_token"), &ends)?;
    let template = match std::fs::read_to_string(dir.join("chat_template.jinja")) {
        Ok(template) => Some(template),
        Err(_) => side["chat_template"].as_str().map(str::to_owned),
    };
    Ok((tokeniser, template))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_stand_side_by_side_are_put_half_a_head_apart() {
        // Two heads of four rows; a row's number says where it stands in a GGUF file.
        let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
        let rows = Tensor::from_vec(rows, (8, 1), &Device::Cpu).unwrap();
        let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let order = halves(&rows, 2).unwrap();
        assert_eq!(numbers(&order), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(numbers(&pairs(&order, 2).unwrap()), numbers(&rows));
    }
}
