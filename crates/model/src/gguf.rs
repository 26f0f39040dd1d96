//! GGUF files: a header of typed metadata and named, perhaps quantised, tensors.

use crate::error::{Error, Result};
use candle_core::{
    Device,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Content, Value},
    },
};
use std::{
    fs::File,
    io::{BufReader, Seek, Write},
    path::{Path, PathBuf},
};

/// The metadata of a GGUF file.
#[derive(Debug)]
pub(crate) struct Header {
    /// Where the file is, for messages.
    pub(crate) path: PathBuf,
    content: Content,
}

/// An open GGUF file.
pub(crate) struct Gguf {
    /// Its metadata.
    pub(crate) header: Header,
    // Buffered: the header is thousands of small strings.
    reader: BufReader<File>,
}

impl Gguf {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| Error::load(format!("{}: {e}", path.display()));
        let mut reader = BufReader::new(File::open(path).map_err(|e| fail(&e))?);
        let content = Content::read(&mut reader)
            .map_err(|e| fail(&format!("not a GGUF file that can be read: {e}")))?;
        Ok(Self {
            header: Header {
                path: path.to_owned(),
                content,
            },
            reader,
        })
    }

    /// Reads the tensor `name`; `Ok(None)` when the file has none of that name.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<QTensor>> {
        if !self.has(name) {
            return Ok(None);
        }
        let tensor = self
            .header
            .content
            .tensor(&mut self.reader, name, &Device::Cpu);
        tensor.map(Some).map_err(|e| {
            Error::load(format!(
                "{}: tensor {name}: {e}",
                self.header.path.display()
            ))
        })
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.content.tensor_infos.contains_key(name)
    }

    /// Writes the file anew, each tensor as `change` gives it back.
    ///
    /// # Errors
    /// When a tensor can not be read or changed, or `out` not be written.
    pub(crate) fn copy(
        &mut self,
        out: &mut (impl Write + Seek),
        change: &mut dyn FnMut(&str, QTensor) -> Result<QTensor>,
    ) -> Result<()> {
        let mut names: Vec<String> = self.header.content.tensor_infos.keys().cloned().collect();
        names.sort();
        let mut tensors = Vec::with_capacity(names.len());
        for name in &names {
            let tensor = self.tensor(name)?;
            let missing = || Error::load(format!("the tensor {name} is missing"));
            tensors.push(change(name, tensor.ok_or_else(missing)?)?);
        }
        let metadata = &self.header.content.metadata;
        // Tensors are written at multiples of 32, which is what a file means that says nothing.
        let mut metadata: Vec<(&str, &Value)> = metadata
            .iter()
            .filter(|(key, _)| *key != "general.alignment")
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        metadata.sort_by_key(|(key, _)| *key);
        let tensors: Vec<(&str, &QTensor)> =
            names.iter().map(String::as_str).zip(&tensors).collect();
        Ok(gguf_file::write(out, &metadata, &tensors)?)
    }

    /// The types of all tensors that are not vectors.
    pub(crate) fn matrix_types(&self) -> impl Iterator<Item = GgmlDType> {
        let tensors = self.header.content.tensor_infos.values();
        let matrices = tensors.filter(|t| t.shape.rank() > 1);
        matrices.map(|t| t.ggml_dtype)
    }

    /// How many numbers all tensors hold.
    pub(crate) fn elements(&self) -> usize {
        self.header
            .content
            .tensor_infos
            .values()
            .map(|t| t.shape.elem_count())
            .sum()
    }
}

impl Header {
    fn get<'a, T>(
        &'a self,
        key: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T> {
        let value = self.content.metadata.get(key);
        value.and_then(read).ok_or_else(|| {
            let what = if value.is_some() {
                "is not"
            } else {
                "is missing; needed is"
            };
            Error::load(format!(
                "{}: metadata {key} {what} {kind}",
                self.path.display()
            ))
        })
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<String> {
        self.get(key, "a text", |v| v.to_string().ok().cloned())
    }

    /// Puts another text in a key's place.
    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        self.content
            .metadata
            .insert(key.to_owned(), Value::String(text.to_owned()));
    }

    /// Any kind of number.
    pub(crate) fn number(&self, key: &str) -> Result<f64> {
        self.get(key, "a number", number)
    }

    /// A size: a whole number of any width.
    pub(crate) fn size(&self, key: &str) -> Result<usize> {
        let whole = |v: f64| v >= 0.0 && v.fract() == 0.0 && v < 1e15;
        self.get(key, "a whole number", |v| {
            number(v).filter(|v| whole(*v)).map(|v| v as usize)
        })
    }

    /// A token's id.
    pub(crate) fn token(&self, key: &str) -> Option<u32> {
        self.size(key).ok().and_then(|v| u32::try_from(v).ok())
    }

    /// True or false; `None` when the key is missing.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.content.metadata.get(key)?.to_bool().ok()
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>> {
        self.list(key, "a list of texts", |v| v.to_string().ok().cloned())
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.list(key, "a list of numbers", number)
    }

    fn list<T>(&self, key: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        self.get(key, kind, |v| v.to_vec().ok()?.iter().map(&read).collect())
    }

    /// An error that names what was found at `key` and what would do.
    pub(crate) fn unsupported(
        &self,
        key: &str,
        found: impl std::fmt::Display,
        needed: impl std::fmt::Display,
    ) -> Error {
        let file = self.path.display();
        Error::load(format!(
            "{file}: {key} is {found}, which is not supported; needed is {needed}"
        ))
    }
}

fn number(value: &Value) -> Option<f64> {
    Some(match value {
        Value::U8(v) => f64::from(*v),
        Value::I8(v) => f64::from(*v),
        Value::U16(v) => f64::from(*v),
        Value::I16(v) => f64::from(*v),
        Value::U32(v) => f64::from(*v),
        Value::I32(v) => f64::from(*v),
        Value::U64(v) => *v as f64,
        Value::I64(v) => *v as f64,
        Value::F32(v) => f64::from(*v),
        Value::F64(v) => *v,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_model_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        std::fs::write(&path, b"GGUF but not really").unwrap();
        let error = Gguf::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("x.gguf") && error.contains("GGUF"),
            "{error}"
        );
        let error = Gguf::open(&dir.path().join("absent.gguf"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("absent.gguf"), "{error}");
    }
}
