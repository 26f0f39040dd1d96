//! The LLaMA network: packed texts of any lengths in, hidden states and logits out.
//!
//! There is no padding: the tokens of all texts of a batch stand in one matrix, and only attention
//! looks at which text a row belongs to.

use crate::{
    attention::{Span, attend},
    cache::{Beginning, Sequence},
    config::{Config, Pairing},
    error::{Error, Result},
    kernels::{RowKernel, add, rms_norm, rows, silu_mul},
    linear::{Embedding, Linear, Precision},
    lora::{Adapter, Factors, Target},
    quants,
    weights::{LayerPart, Part, Weights},
};
use std::ops::Range;

struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values side by side.
    qkv: Linear,
    attention_out: Linear,
    feed_forward_norm: Vec<f32>,
    /// Gates and ups side by side.
    gate_up: Linear,
    down: Linear,
}

/// A loaded network.
pub(crate) struct Llama {
    config: Config,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Linear,
    adapted: bool,
}

/// New tokens of one text, read after what its sequence already holds.
pub(crate) struct Segment<'a> {
    /// The text so far; the tokens are added to it.
    pub(crate) sequence: &'a mut Sequence,
    /// What to read.
    pub(crate) tokens: &'a [u32],
}

impl Llama {
    /// Reads all weights; an adapter lies beside them.
    pub(crate) fn load(
        config: Config,
        weights: &mut Weights,
        precision: Precision,
        adapter: Option<&Adapter>,
    ) -> Result<Self> {
        let vocabulary = weights.vocabulary()?;
        let table = [vocabulary, config.width];
        let embedding = weights.part(Part::Embedding, &table)?;
        let head = if weights.has_head() {
            Part::Head
        } else {
            Part::Embedding
        };
        let head = weights.part(head, &table)?;
        let how = (precision, adapter);
        let layers = (0..config.layers).map(|i| Layer::load(&config, weights, i, how));
        let mut layers = layers.collect::<Result<Vec<_>>>()?;
        let norm = weights.vector(Part::Norm, config.width)?;
        let embedding = Embedding::new(embedding, precision).map_err(prepare)?;
        let mut head = Linear::new(vec![head], precision).map_err(prepare)?;
        let linears = layers.iter_mut().flat_map(Layer::linears);
        quants::together(linears.chain([&mut head]).flat_map(Linear::bytes).collect());
        Ok(Self {
            config,
            embedding,
            layers,
            norm,
            head,
            adapted: adapter.is_some(),
        })
    }

    /// The architecture.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How many tokens there are.
    pub(crate) fn vocabulary(&self) -> usize {
        self.head.rows()
    }

    /// Whether the adapter takes part in texts that do not leave it out.
    pub(crate) fn is_adapted(&self) -> bool {
        self.adapted
    }

    /// An empty text, with the adapter if there is one.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence::new(self.layers.len(), self.adapted)
    }

    /// An empty text without the adapter.
    pub(crate) fn plain_sequence(&self) -> Sequence {
        Sequence::new(self.layers.len(), false)
    }

    /// An empty text after what was read.
    pub(crate) fn after(&self, beginning: Beginning) -> Sequence {
        Sequence::after(beginning, self.layers.len())
    }

    /// Bytes of the keys and values of one token.
    pub(crate) fn bytes_a_token(&self) -> usize {
        2 * self.layers.len() * self.config.heads.kv_width() * size_of::<f32>()
    }

    /// Reads the segments and gives the hidden state of each of their tokens, `[n, width]`, in order.
    pub(crate) fn forward(&self, segments: &mut [Segment<'_>]) -> Result<Vec<f32>> {
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let rotation = Rotation::new(&self.config, segments);
        let tuned = tuned(segments);
        let mut x = self.embedding.forward(&tokens)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, self.config.eps);
            let qkv = layer.qkv.forward(normed, &tuned)?;
            let mixed = self.attention(i, qkv, &rotation, segments);
            add(&mut x, &layer.attention_out.forward(mixed, &tuned)?);
            let normed = rms_norm(&x, &layer.feed_forward_norm, self.config.eps);
            let gated = silu_mul(&layer.gate_up.forward(normed, &tuned)?, self.config.inner);
            add(&mut x, &layer.down.forward(gated, &tuned)?);
        }
        Ok(x)
    }

    /// The logits of hidden states `[n, width]`, `[n, vocabulary]`.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Result<Vec<f32>> {
        let normed = rms_norm(hidden, &self.norm, self.config.eps);
        Ok(self.head.forward(normed, &[])?)
    }

    /// Rotates queries and keys, remembers keys and values, and attends.
    fn attention(
        &self,
        layer: usize,
        mut qkv: Vec<f32>,
        rotation: &Rotation,
        segments: &mut [Segment<'_>],
    ) -> Vec<f32> {
        let heads = self.config.heads;
        let (query, kv) = (heads.query_width(), heads.kv_width());
        let rotate = Rotate {
            rotation,
            width: query + kv,
            dim: heads.dim,
        };
        rows(&mut qkv, query + 2 * kv, 4 * (query + kv), &rotate);
        let mut queries = Vec::with_capacity(qkv.len() / (query + 2 * kv) * query);
        let mut packed = qkv.chunks_exact(query + 2 * kv);
        for segment in segments.iter_mut() {
            let cache = segment.sequence.layer_mut(layer);
            for row in packed.by_ref().take(segment.tokens.len()) {
                queries.extend_from_slice(&row[..query]);
                cache.push(&row[query..query + kv], &row[query + kv..]);
            }
        }
        let spans: Vec<_> = segments
            .iter()
            .map(|s| Span {
                chain: s.sequence.chain(layer),
                tokens: s.tokens.len(),
            })
            .collect();
        attend(heads, &queries, &spans)
    }
}

/// The rows that the adapter takes part in.
fn tuned(segments: &[Segment<'_>]) -> Vec<Range<usize>> {
    let (mut ranges, mut start): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for segment in segments {
        let end = start + segment.tokens.len();
        if segment.sequence.tuned() {
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        start = end;
    }
    ranges
}

fn prepare(error: candle_core::Error) -> Error {
    Error::load(format!("the weights can not be prepared: {error}"))
}

impl Layer {
    fn load(
        c: &Config,
        weights: &mut Weights,
        i: usize,
        (precision, adapter): (Precision, Option<&Adapter>),
    ) -> Result<Self> {
        use LayerPart::{AttentionNorm, AttentionOut, Down, FeedForwardNorm, Gate, Key, Query, Up};
        let (query, kv) = (c.heads.query_width(), c.heads.kv_width());
        let mut linear = |parts: &[(LayerPart, usize)], columns: usize| {
            let read = |&(part, rows)| weights.part(Part::Layer(i, part), &[rows, columns]);
            let weights = parts.iter().map(read).collect::<Result<_>>()?;
            let linear = Linear::new(weights, precision).map_err(prepare)?;
            Ok::<_, Error>(linear.tuned(factors(c, adapter, i, parts)?))
        };
        Ok(Self {
            qkv: linear(
                &[(Query, query), (Key, kv), (LayerPart::Value, kv)],
                c.width,
            )?,
            attention_out: linear(&[(AttentionOut, c.width)], query)?,
            gate_up: linear(&[(Gate, c.inner), (Up, c.inner)], c.width)?,
            down: linear(&[(Down, c.width)], c.inner)?,
            attention_norm: weights.vector(Part::Layer(i, AttentionNorm), c.width)?,
            feed_forward_norm: weights.vector(Part::Layer(i, FeedForwardNorm), c.width)?,
        })
    }
}

impl Layer {
    fn linears(&mut self) -> [&mut Linear; 4] {
        let Self {
            qkv,
            attention_out,
            gate_up,
            down,
            ..
        } = self;
        [qkv, attention_out, gate_up, down]
    }
}

/// What the adapter adds to matrices of layer `i` that read the same x.
fn factors(
    c: &Config,
    adapter: Option<&Adapter>,
    i: usize,
    parts: &[(LayerPart, usize)],
) -> Result<Vec<Factors>> {
    let Some(adapter) = adapter else {
        return Ok(Vec::new());
    };
    let (mut found, mut offset) = (Vec::new(), 0);
    for (part, rows) in parts {
        let target = Target::ALL.into_iter().find(|t| t.part() == *part);
        let matrices = target.and_then(|target| adapter.matrices.get(&(i, target)));
        if let Some(matrices) = matrices {
            let heads = match (c.pairing, part) {
                (Pairing::Interleaved, LayerPart::Query) => Some(c.heads.query),
                (Pairing::Interleaved, LayerPart::Key) => Some(c.heads.kv),
                _ => None,
            };
            let made = Factors::new(matrices, adapter.lora.scale(), heads, offset);
            found.push(made.map_err(prepare)?);
        }
        offset += rows;
    }
    Ok(found)
}

/// Rotates the heads of queries and keys, the first `width` numbers of a row.
struct Rotate<'a> {
    rotation: &'a Rotation,
    width: usize,
    dim: usize,
}

impl RowKernel for Rotate<'_> {
    #[inline(always)]
    fn row(&self, token: usize, row: &mut [f32]) {
        for head in row[..self.width].chunks_exact_mut(self.dim) {
            self.rotation.apply(token, head);
        }
    }
}

/// Cosines and sines of every token of a batch.
struct Rotation {
    /// `[n, head dim / 2]` of (cosine, sine).
    turns: Vec<(f32, f32)>,
    half: usize,
    pairing: Pairing,
}

impl Rotation {
    fn new(config: &Config, segments: &[Segment<'_>]) -> Self {
        let positions = segments
            .iter()
            .flat_map(|s| (s.sequence.len()..).take(s.tokens.len()));
        let turns = positions.flat_map(|position| {
            let angle = move |f: &f32| position as f32 * f;
            config
                .frequencies
                .iter()
                .map(angle)
                .map(|a| (a.cos(), a.sin()))
        });
        let half = config.frequencies.len();
        Self {
            turns: turns.collect(),
            half,
            pairing: config.pairing,
        }
    }

    /// Rotates one head of the batch's token `token`.
    #[inline(always)]
    fn apply(&self, token: usize, head: &mut [f32]) {
        let turns = &self.turns[token * self.half..(token + 1) * self.half];
        match self.pairing {
            Pairing::Interleaved => {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
            Pairing::Halves => {
                let (first, second) = head.split_at_mut(self.half);
                for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                    (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                }
            }
        }
    }
}
