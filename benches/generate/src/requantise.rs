//! The model in 8-bit blocks: the type that llama.cpp and we both read well.

use candle_core::{
    Device,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Content, Value},
    },
};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
};

/// `general.file_type` of a file whose matrices are in Q8_0.
const MOSTLY_Q8_0: u32 = 7;

/// Writes the catalogue's model to `file` with its matrices in Q8_0, its vectors in f32, its metadata as they are.
pub fn make(file: &Path) -> anyhow::Result<serde_json::Value> {
    let source = model::catalogue::fetch("smollm2-135m-instruct", &mut |_| {})?;
    let mut reader = BufReader::new(File::open(&source)?);
    let content = Content::read(&mut reader)?;
    let mut tensors = Vec::new();
    for name in content.tensor_infos.keys() {
        let found = content.tensor(&mut reader, name, &Device::Cpu)?;
        let numbers = found.dequantize(&Device::Cpu)?;
        let wanted = match numbers.dims().len() {
            1 => GgmlDType::F32,
            _ => GgmlDType::Q8_0,
        };
        tensors.push((name.as_str(), QTensor::quantize(&numbers, wanted)?));
    }
    // In one order, so that the file has the same bits each time.
    tensors.sort_by_key(|(name, _)| *name);
    let tensors: Vec<_> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let kind = Value::U32(MOSTLY_Q8_0);
    let mut metadata: Vec<(&str, &Value)> = Vec::new();
    for (key, value) in &content.metadata {
        let value = if key == "general.file_type" {
            &kind
        } else {
            value
        };
        metadata.push((key, value));
    }
    metadata.sort_by_key(|(key, _)| *key);
    let part = file.with_extension("part");
    let mut writer = BufWriter::new(File::create(&part)?);
    gguf_file::write(&mut writer, &metadata, &tensors)?;
    writer.flush()?;
    std::fs::rename(&part, file)?;
    Ok(serde_json::json!({ "from": source, "tensors": tensors.len() }))
}
