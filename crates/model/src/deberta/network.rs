//! The network: token ids of any number of texts in, one number for each out.
//!
//! There is no padding: the tokens of all texts of a batch stand in one matrix, and only attention looks at which text
//! a row belongs to. The last layer computes what the first token of each text needs and no more: the reward is read
//! off that one.

use super::{
    attention::{Attention, Distances, Inputs},
    config::Config,
    dense::{Dense, Norm},
    weights::Weights,
};
use crate::{
    error::{Error, Result},
    packed::Room,
};

struct Layer {
    queries: Dense,
    /// Keys and values side by side.
    keys_values: Dense,
    distances: Distances,
    out: Dense,
    out_norm: Norm,
    up: Dense,
    down: Dense,
    down_norm: Norm,
}

/// The convolution beside the first layer that the large v2 models have.
struct Convolution {
    /// `[width, kernel * width]`
    dense: Dense,
    kernel: usize,
    norm: Norm,
}

/// What a forward pass writes to, used again by every layer: fresh memory costs the system time.
#[derive(Default)]
struct Buffers {
    product: Room,
    queries: Vec<f32>,
    keys_values: Vec<f32>,
    mixed: Vec<f32>,
    middle: Vec<f32>,
    inner: Vec<f32>,
}

/// What a layer must know of the pass.
struct Pass<'a> {
    /// The length of each text.
    lengths: &'a [usize],
    /// How many of its first rows come out.
    asked: usize,
    /// Rows of the table for the distances of the longest text.
    rows: &'a [usize],
    config: &'a Config,
}

/// A loaded network.
pub(crate) struct Network {
    config: Config,
    /// `[vocabulary, width]`
    embedding: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    convolution: Option<Convolution>,
    pooler: Dense,
    classifier: Dense,
}

impl Network {
    /// Reads all weights; each is in memory once, beside the tensor that is just being laid out.
    pub(crate) fn load(config: Config, weights: &mut Weights) -> Result<Self> {
        let (width, eps) = (config.width, config.eps);
        let embedding = weights.read(
            "deberta.embeddings.word_embeddings.weight",
            &[config.vocabulary, width],
        )?;
        let embedding_norm = Norm::read(weights, "deberta.embeddings.LayerNorm", width, eps)?;
        let table = table(&config, weights)?;
        let layers = (0..config.layers).map(|i| Layer::load(&config, weights, i, &table));
        let layers = layers.collect::<Result<_>>()?;
        let convolution = match config.convolution {
            0 => None,
            kernel => Some(Convolution::load(weights, kernel, width, eps)?),
        };
        let dense = |weights: &mut Weights, name: &str, rows| {
            Dense::read(weights, &[name.to_owned()], (rows, width))
        };
        Ok(Self {
            pooler: dense(weights, "pooler.dense", width)?,
            classifier: dense(weights, "classifier", 1)?,
            config,
            embedding,
            embedding_norm,
            layers,
            convolution,
        })
    }

    /// The reward of each text.
    ///
    /// # Errors
    /// When a text is empty or has a token that the embedding does not have.
    pub(crate) fn forward(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        if lengths.contains(&0) {
            return Err(Error::job("a text without tokens has no reward"));
        }
        let mut room = Buffers::default();
        let rows = self
            .config
            .positions
            .rows(lengths.iter().copied().max().unwrap_or(1));
        let mut x = self.embed(texts)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let last = i + 1 == self.layers.len();
            let read = match &self.convolution {
                Some(convolution) if i == 0 => Some(convolution.forward(&x, &lengths)),
                _ => None,
            };
            // The convolution adds to all rows of the first layer.
            let asked = if last && read.is_none() {
                1
            } else {
                usize::MAX
            };
            let pass = Pass {
                lengths: &lengths,
                asked,
                rows: &rows,
                config: &self.config,
            };
            layer.forward(&mut x, &pass, &mut room);
            if let (Some(read), Some(convolution)) = (read, &self.convolution) {
                crate::kernels::add(&mut x, &read);
                convolution.norm.apply(&mut x);
            }
        }
        let first = match self.layers.len() {
            1 if self.convolution.is_some() => first_rows(&x, &lengths, self.config.width),
            _ => x,
        };
        let (mut pooled, mut rewards) = (Vec::new(), Vec::new());
        self.pooler.gelu(&first, &mut room.product, &mut pooled);
        self.classifier
            .forward(&pooled, &mut room.product, &mut rewards);
        Ok(rewards)
    }

    fn embed(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        let width = self.config.width;
        let mut x = Vec::with_capacity(texts.iter().map(|t| t.len()).sum::<usize>() * width);
        for &token in texts.iter().copied().flatten() {
            let row = self
                .embedding
                .chunks_exact(width)
                .nth(token as usize)
                .ok_or_else(|| {
                    let size = self.config.vocabulary;
                    Error::job(format!("token {token} is outside the vocabulary of {size}"))
                })?;
            x.extend_from_slice(row);
        }
        self.embedding_norm.apply(&mut x);
        Ok(x)
    }
}

/// The table of relative positions, `[2 span, width]`, normed where the model does.
fn table(config: &Config, weights: &mut Weights) -> Result<Vec<f32>> {
    let shape = [2 * config.positions.span, config.width];
    let mut table = weights.read("deberta.encoder.rel_embeddings.weight", &shape)?;
    if config.norm_positions {
        let norm = Norm::read(
            weights,
            "deberta.encoder.LayerNorm",
            config.width,
            config.eps,
        )?;
        norm.apply(&mut table);
    }
    Ok(table)
}

/// The first row of each text.
fn first_rows(x: &[f32], lengths: &[usize], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(lengths.len() * width);
    let mut row = 0;
    for length in lengths {
        out.extend_from_slice(&x[row * width..(row + 1) * width]);
        row += length;
    }
    out
}

impl Layer {
    fn load(config: &Config, weights: &mut Weights, i: usize, table: &[f32]) -> Result<Self> {
        let (width, inner, eps) = (config.width, config.inner, config.eps);
        let name = |part: &str| format!("deberta.encoder.layer.{i}.{part}");
        let own = |part: &str| name(&format!("attention.self.{part}_proj"));
        let square = (width, width);
        let queries = Dense::read(weights, &[own("query")], square)?;
        let keys = Dense::read(weights, &[own("key")], square)?;
        let heads = (config.heads, width / config.heads);
        let forward = |dense: &Dense| {
            let mut out = Vec::new();
            dense.forward(table, &mut Room::default(), &mut out);
            out
        };
        let distances = Distances::new(&forward(&keys), &forward(&queries), heads);
        drop(keys);
        Ok(Self {
            queries,
            keys_values: Dense::read(weights, &[own("key"), own("value")], square)?,
            distances,
            out: Dense::read(weights, &[name("attention.output.dense")], square)?,
            out_norm: Norm::read(weights, &name("attention.output.LayerNorm"), width, eps)?,
            up: Dense::read(weights, &[name("intermediate.dense")], (inner, width))?,
            down: Dense::read(weights, &[name("output.dense")], (width, inner))?,
            down_norm: Norm::read(weights, &name("output.LayerNorm"), width, eps)?,
        })
    }

    /// Turns the rows of all texts, `x`, into those that come out: the first `asked` of each text.
    fn forward(&self, x: &mut Vec<f32>, pass: &Pass<'_>, room: &mut Buffers) {
        let config = pass.config;
        let first = match pass.asked {
            1 => Some(first_rows(x, pass.lengths, config.width)),
            _ => None,
        };
        let residual = first.as_deref().unwrap_or(x);
        let product = &mut room.product;
        self.queries.forward(residual, product, &mut room.queries);
        self.keys_values.forward(x, product, &mut room.keys_values);
        let attention = Attention {
            dim: config.width / config.heads,
            positions: config.positions,
            rows: pass.rows,
            distances: &self.distances,
        };
        let inputs = Inputs {
            lengths: pass.lengths,
            queries: &room.queries,
            asked: pass.asked,
            keys_values: &room.keys_values,
        };
        attention.forward(&inputs, &mut room.mixed);
        let after = (residual, &self.out_norm);
        self.out
            .add_norm(&room.mixed, after, product, &mut room.middle);
        self.up.gelu(&room.middle, product, &mut room.inner);
        let after = (room.middle.as_slice(), &self.down_norm);
        self.down.add_norm(&room.inner, after, product, x);
    }
}

impl Convolution {
    fn load(weights: &mut Weights, kernel: usize, width: usize, eps: f32) -> Result<Self> {
        let name = "deberta.encoder.conv";
        let matrix = weights.read(&format!("{name}.conv.weight"), &[width, width, kernel])?;
        let bias = weights.read(&format!("{name}.conv.bias"), &[width])?;
        // From [out, in, place] to [out, place, in]: a window of rows is then one row.
        let mut laid = vec![0f32; matrix.len()];
        for (out, target) in laid.chunks_exact_mut(kernel * width).enumerate() {
            for (i, v) in target.iter_mut().enumerate() {
                *v = matrix[(out * width + i % width) * kernel + i / width];
            }
        }
        Ok(Self {
            dense: Dense::new(&laid, kernel * width, bias),
            kernel,
            norm: Norm::read(weights, &format!("{name}.LayerNorm"), width, eps)?,
        })
    }

    /// The activated convolution of each text; beyond its ends are zeros.
    fn forward(&self, x: &[f32], lengths: &[usize]) -> Vec<f32> {
        let width = x.len() / lengths.iter().sum::<usize>();
        let mut windows = Vec::with_capacity(x.len() * self.kernel);
        let mut row = 0;
        for &length in lengths {
            let text = &x[row * width..(row + length) * width];
            for i in 0..length {
                for place in i..i + self.kernel {
                    let source = place.checked_sub(self.kernel / 2).filter(|p| *p < length);
                    match source {
                        Some(p) => windows.extend_from_slice(&text[p * width..(p + 1) * width]),
                        None => windows.resize(windows.len() + width, 0.0),
                    }
                }
            }
            row += length;
        }
        let mut out = Vec::new();
        self.dense.gelu(&windows, &mut Room::default(), &mut out);
        out
    }
}
