//! Weights by the part they play, whatever file they come from and whatever it calls them.

use crate::{
    error::{Error, Result},
    gguf::Gguf,
    quants,
    safetensors::Directory,
};
use candle_core::{Device, Tensor, quantized::QTensor};

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A row for each token.
    Embedding,
    /// The norm before the head.
    Norm,
    /// Hidden states to logits.
    Head,
    /// A part of the layer of this number.
    Layer(usize, LayerPart),
}

/// A part of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerPart {
    /// The norm before attention.
    AttentionNorm,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// From heads back to the hidden state.
    AttentionOut,
    /// The norm before the feed-forward part.
    FeedForwardNorm,
    /// What opens and closes the inner state.
    Gate,
    /// To the inner state.
    Up,
    /// From the inner state back.
    Down,
}

impl LayerPart {
    /// Those that are matrices.
    pub(crate) const MATRICES: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOut,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// GGUF's and Hugging Face's name of the part.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::AttentionNorm => ("attn_norm", "input_layernorm"),
            Self::Query => ("attn_q", "self_attn.q_proj"),
            Self::Key => ("attn_k", "self_attn.k_proj"),
            Self::Value => ("attn_v", "self_attn.v_proj"),
            Self::AttentionOut => ("attn_output", "self_attn.o_proj"),
            Self::FeedForwardNorm => ("ffn_norm", "post_attention_layernorm"),
            Self::Gate => ("ffn_gate", "mlp.gate_proj"),
            Self::Up => ("ffn_up", "mlp.up_proj"),
            Self::Down => ("ffn_down", "mlp.down_proj"),
        }
    }
}

impl Part {
    pub(crate) fn gguf(self) -> String {
        match self {
            Self::Embedding => "token_embd.weight".into(),
            Self::Norm => "output_norm.weight".into(),
            Self::Head => "output.weight".into(),
            Self::Layer(i, part) => format!("blk.{i}.{}.weight", part.names().0),
        }
    }

    /// Hugging Face's name of the part's tensor.
    pub fn hf(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens.weight".into(),
            Self::Norm => "model.norm.weight".into(),
            Self::Head => "lm_head.weight".into(),
            Self::Layer(i, part) => format!("model.layers.{i}.{}.weight", part.names().1),
        }
    }
}

/// A weight as its file has it.
pub(crate) enum Weight {
    /// Plain numbers, f32.
    Dense(Tensor),
    /// Blocks of a GGML type.
    Blocks(QTensor),
}

impl Weight {
    /// The numbers, `[rows, columns]` in f32.
    pub(crate) fn dense(&self) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.clone()),
            Self::Blocks(blocks) => blocks.dequantize(&Device::Cpu),
        }
    }

    /// Rows and columns.
    pub(crate) fn dims2(&self) -> candle_core::Result<(usize, usize)> {
        match self {
            Self::Dense(tensor) => tensor.dims2(),
            Self::Blocks(blocks) => blocks.shape().dims2(),
        }
    }

    fn dims(&self) -> Vec<usize> {
        match self {
            Self::Dense(tensor) => tensor.dims().to_vec(),
            Self::Blocks(blocks) => blocks.shape().dims().to_vec(),
        }
    }
}

/// Where weights are read from.
pub(crate) enum Weights {
    Gguf(Box<Gguf>),
    Safetensors(Directory),
}

impl Weights {
    /// Reads a part; `Ok(None)` when the files have none.
    fn find(&mut self, part: Part) -> Result<Option<Weight>> {
        match self {
            Self::Gguf(gguf) => Ok(gguf.tensor(&part.gguf())?.map(Weight::Blocks)),
            Self::Safetensors(dir) => Ok(dir.tensor(&part.hf())?.map(Weight::Dense)),
        }
    }

    fn name(&self, part: Part) -> String {
        match self {
            Self::Gguf(_) => part.gguf(),
            Self::Safetensors(_) => part.hf(),
        }
    }

    /// Reads a part of exactly this shape.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub(crate) fn part(&mut self, part: Part, shape: &[usize]) -> Result<Weight> {
        let found = self.find(part)?;
        let weight = found
            .ok_or_else(|| Error::load(format!("the tensor {} is missing", self.name(part))))?;
        let found = weight.dims();
        if found != shape {
            let name = self.name(part);
            return Err(Error::load(format!(
                "the tensor {name} has the shape {found:?}; the configuration says {shape:?}"
            )));
        }
        Ok(weight)
    }

    /// Whether the output head is a tensor of its own; else the embedding serves.
    pub(crate) fn has_head(&self) -> bool {
        match self {
            Self::Gguf(gguf) => gguf.has(&Part::Head.gguf()),
            Self::Safetensors(dir) => dir.has(&Part::Head.hf()),
        }
    }

    /// Whether all matrices are blocks of whole numbers.
    pub(crate) fn are_quants(&self) -> bool {
        match self {
            Self::Gguf(gguf) => gguf.matrix_types().all(quants::is_read),
            Self::Safetensors(_) => false,
        }
    }

    /// The rows of the embedding: the size of the vocabulary.
    pub(crate) fn vocabulary(&mut self) -> Result<usize> {
        let embedding = self.find(Part::Embedding)?.map(|w| w.dims());
        embedding
            .and_then(|dims| dims.first().copied())
            .ok_or_else(|| {
                Error::load(format!(
                    "the tensor {} is missing",
                    self.name(Part::Embedding)
                ))
            })
    }

    /// Reads a vector.
    pub(crate) fn vector(&mut self, part: Part, len: usize) -> Result<Vec<f32>> {
        let weight = self.part(part, &[len])?;
        Ok(weight.dense()?.to_vec1()?)
    }
}
