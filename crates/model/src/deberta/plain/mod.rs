//! The network once more, in operations that have gradients and run on any device: for training, for half precision
//! and CUDA, and as a check of the quick one.
//!
//! Texts are padded to a rectangle. Weights are kept under the names that they have in a file. Everything between two
//! products with weights, attention among it, is f32: rounded to 16 bits at each of 24 layers, the sum that runs through
//! them would drift too far.

mod batch;
mod dropout;
mod shapes;

use super::{
    config::{Config, Positions},
    weights::Weights,
};
use crate::error::{Error, Result as ModelResult};
use batch::Batch;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shapes::{shapes, start};
use std::collections::BTreeMap;

pub(crate) use dropout::Dropout;

/// A network and its weights by name.
pub(crate) struct Plain {
    config: Config,
    weights: BTreeMap<String, Tensor>,
    /// The same where they are trained: an operation on one of these remembers what its gradient needs.
    trained: BTreeMap<String, Var>,
    device: Device,
}

impl Plain {
    /// New weights to train, drawn from a seed: f32 on the processor.
    pub(crate) fn new(config: Config, seed: u64) -> Result<Self> {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut trained = BTreeMap::new();
        for (name, shape) in shapes(&config) {
            let values = start(&name, shape.iter().product(), &mut draws);
            trained.insert(name, Var::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(Self::of(config, trained, Device::Cpu))
    }

    /// A network whose weights are trained.
    fn of(config: Config, trained: BTreeMap<String, Var>, device: Device) -> Self {
        let shared = |(name, var): (&String, &Var)| (name.clone(), var.as_tensor().clone());
        Self {
            config,
            weights: trained.iter().map(shared).collect(),
            trained,
            device,
        }
    }

    /// Reads all weights onto a device, matrices in `dtype`; they are not trained.
    pub(crate) fn load(
        config: Config,
        weights: &mut Weights,
        (device, dtype): (Device, DType),
    ) -> ModelResult<Self> {
        let mut read = BTreeMap::new();
        for (name, shape) in shapes(&config) {
            let numbers = weights.read(&name, &shape)?;
            let on_device = Tensor::from_vec(numbers, shape, &Device::Cpu)
                .and_then(|t| t.to_dtype(kept_in(&name, dtype))?.to_device(&device));
            let on_device = on_device
                .map_err(|e| Error::load(format!("the device has no room for {name}: {e}")))?;
            read.insert(name, on_device);
        }
        Ok(Self {
            config,
            weights: read,
            trained: BTreeMap::new(),
            device,
        })
    }

    /// The trained weights by name.
    pub(crate) fn weights(&self) -> &BTreeMap<String, Var> {
        &self.trained
    }

    /// The reward of each text.
    ///
    /// # Errors
    /// When a text is empty or has a token that the embedding does not have, or the device fails.
    pub(crate) fn score(&self, texts: &[&[u32]]) -> ModelResult<Vec<f32>> {
        let size = self.config.vocabulary;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        if texts.iter().any(|text| text.is_empty()) {
            return Err(Error::job("a text without tokens has no reward"));
        }
        let unknown = texts.iter().copied().flatten();
        if let Some(token) = unknown.copied().find(|t| *t as usize >= size) {
            let message = format!("token {token} is outside the vocabulary of {size}");
            return Err(Error::job(message));
        }
        Ok(self.forward(texts, &mut Dropout::new(0.0, 0))?.to_vec1()?)
    }

    /// The architecture.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The rewards of texts, `[texts]`, f32.
    pub(crate) fn forward(&self, texts: &[&[u32]], dropout: &mut Dropout) -> Result<Tensor> {
        let batch = Batch::new(texts, self.config.positions, &self.device)?;
        let (size, longest, width) = (batch.size, batch.longest, self.config.width);
        let x = self
            .weight("deberta.embeddings.word_embeddings.weight")
            .index_select(&batch.ids, 0)?
            .to_dtype(DType::F32)?;
        let x = self.norm(
            &x.reshape((size, longest, width))?,
            "deberta.embeddings.LayerNorm",
        )?;
        let mut x = dropout.apply(&x)?;
        let table = self
            .weight("deberta.encoder.rel_embeddings.weight")
            .narrow(0, batch.first_row, batch.used_rows)?
            .to_dtype(DType::F32)?;
        let table = match self.config.norm_positions {
            true => self.norm(&table, "deberta.encoder.LayerNorm")?,
            false => table,
        };
        for i in 0..self.config.layers {
            let read = match self.config.convolution {
                kernel if kernel > 0 && i == 0 => Some(self.convolution(&x, &batch)?),
                _ => None,
            };
            // The last layer's other rows are not looked at, unless the convolution adds to them.
            let last = i + 1 == self.config.layers && read.is_none();
            let asked = if last { 1 } else { longest };
            x = self.layer(i, &x, &table, (&batch, asked), dropout)?;
            if let Some(read) = read {
                x = self.norm(&(x + read)?, "deberta.encoder.conv.LayerNorm")?;
            }
        }
        let first = x.narrow(1, 0, 1)?.squeeze(1)?;
        let pooled = self.linear(&first, "pooler.dense")?.gelu_erf()?;
        self.linear(&pooled, "classifier")?.squeeze(1)
    }

    fn layer(
        &self,
        i: usize,
        x: &Tensor,
        table: &Tensor,
        (batch, asked): (&Batch, usize),
        dropout: &mut Dropout,
    ) -> Result<Tensor> {
        let name = |part: &str| format!("deberta.encoder.layer.{i}.{part}");
        let residual = x.narrow(1, 0, asked)?.contiguous()?;
        let mixed = self.attention(i, (x, &residual), table, batch)?;
        let out = dropout.apply(&self.linear(&mixed, &name("attention.output.dense"))?)?;
        let x = self.norm(&(out + residual)?, &name("attention.output.LayerNorm"))?;
        let up = self.linear(&x, &name("intermediate.dense"))?.gelu_erf()?;
        let down = dropout.apply(&self.linear(&up, &name("output.dense"))?)?;
        self.norm(&(down + x)?, &name("output.LayerNorm"))
    }

    /// The activated convolution of each text; beyond its ends are zeros.
    fn convolution(&self, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        let name = "deberta.encoder.conv.conv";
        let (kernel, longest) = (self.config.convolution, batch.longest);
        let x = x.broadcast_mul(&batch.present()?)?;
        let wide = x.pad_with_zeros(1, kernel / 2, kernel / 2)?;
        let weight = self.weight(&format!("{name}.weight"));
        let mut sum: Option<Tensor> = None;
        for place in 0..kernel {
            let seen = wide.narrow(1, place, longest)?.contiguous()?;
            let matrix = weight.narrow(2, place, 1)?.squeeze(2)?.contiguous()?;
            let product = times(&seen, &matrix)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
        let sum = sum.map_or_else(|| x.zeros_like(), Ok)?;
        sum.broadcast_add(self.weight(&format!("{name}.bias")))?
            .gelu_erf()
    }

    fn attention(
        &self,
        i: usize,
        (x, asking): (&Tensor, &Tensor),
        table: &Tensor,
        batch: &Batch,
    ) -> Result<Tensor> {
        let (heads, size, longest) = (self.config.heads, batch.size, batch.longest);
        let (dim, asked) = (self.config.width / heads, asking.dim(1)?);
        let own = |part: &str| format!("deberta.encoder.layer.{i}.attention.self.{part}_proj");
        // Heads first: [heads, batch, rows, dim].
        let split = |y: Tensor, rows: usize| {
            y.reshape((size, rows, heads, dim))?
                .permute((2, 0, 1, 3))?
                .contiguous()
        };
        let Positions { c2p, p2c, .. } = self.config.positions;
        let terms = 1 + usize::from(c2p) + usize::from(p2c);
        let query = split(self.linear(asking, &own("query"))?, asked)?;
        let key = split(self.linear(x, &own("key"))?, longest)?;
        let value = split(self.linear(x, &own("value"))?, longest)?;
        let mut scores = query.matmul(&key.t()?)?;
        let shape = |rows: usize, across: usize| (heads, size, rows, across);
        let with_table = |y: &Tensor, rows: usize, name: &str| -> Result<Tensor> {
            let table = self
                .linear(table, &own(name))?
                .reshape((batch.used_rows, heads, dim))?
                .permute((1, 2, 0))?;
            y.reshape((heads, size * rows, dim))?
                .matmul(&table.contiguous()?)?
                .reshape(shape(rows, batch.used_rows))
        };
        if c2p {
            let rows = batch
                .rows
                .narrow(0, 0, asked)?
                .broadcast_as(shape(asked, longest))?
                .contiguous()?;
            scores = (scores + with_table(&query, asked, "key")?.gather(&rows, D::Minus1)?)?;
        }
        if p2c {
            let rows = batch
                .rows
                .narrow(0, 0, asked)?
                .t()?
                .broadcast_as(shape(longest, asked))?
                .contiguous()?;
            let products = with_table(&key, longest, "query")?;
            scores = (scores + products.gather(&rows, D::Minus1)?.transpose(2, 3)?)?;
        }
        let scores = (scores * (1.0 / ((dim * terms) as f64).sqrt()))?;
        let scores = scores.broadcast_add(&batch.mask)?;
        let mixed = softmax(&scores)?.matmul(&value)?;
        mixed
            .permute((1, 2, 0, 3))?
            .reshape((size, asked, heads * dim))
    }

    fn weight(&self, name: &str) -> &Tensor {
        // Every name asked for is one of `shapes`.
        &self.weights[name]
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        times(x, self.weight(&format!("{name}.weight")))?
            .broadcast_add(self.weight(&format!("{name}.bias")))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(self.config.eps))?.sqrt()?)?;
        let scaled = normed.broadcast_mul(self.weight(&format!("{name}.weight")))?;
        scaled.broadcast_add(self.weight(&format!("{name}.bias")))
    }
}

/// What a weight is kept in where products are computed in `dtype`: only matrices are short, and not those of the head.
fn kept_in(name: &str, dtype: DType) -> DType {
    let head = ["pooler.", "classifier."];
    let exact = name.contains("LayerNorm") || name.ends_with("bias");
    match exact || head.iter().any(|part| name.starts_with(part)) {
        true => DType::F32,
        false => dtype,
    }
}

/// Every row of `x` (`[.., columns]`) times the transpose of `weight` (`[rows, columns]`); f32 in and out.
///
/// f16 multiplies in f16. bf16 is what the weight is kept in, and multiplied as f32 (as TF32 on a device): rounding what it
/// is multiplied with, and every product, to 8 bits as well makes rewards of the large size drift by more than 2e-2.
fn times(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (rows, columns) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    let flat = x.reshape((x.elem_count() / columns, columns))?;
    if let Some(last) = shape.last_mut() {
        *last = rows;
    }
    let product = match weight.dtype() {
        DType::F16 => flat.to_dtype(DType::F16)?.matmul(&weight.t()?)?,
        _ => flat.matmul(&weight.to_dtype(DType::F32)?.t()?)?,
    };
    product.to_dtype(DType::F32)?.reshape(shape)
}

fn softmax(scores: &Tensor) -> Result<Tensor> {
    let top = scores.max_keepdim(D::Minus1)?.detach();
    let raised = scores.broadcast_sub(&top)?.exp()?;
    raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)
}

#[cfg(test)]
mod tests;
