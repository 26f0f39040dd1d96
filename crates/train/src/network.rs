//! The LLaMA network with a gradient for every adapter.

use crate::{
    adapter::Adapter,
    batch::Batch,
    error::Result,
    frozen::{Frozen, Ground, Keep},
    fused,
    ops::{Dropout, Seen, Turns, causal_softmax, rms_norm, rotate, silu_mul},
};
use candle_core::{Device, Tensor};
use domain::hash::Hash;
use model::{
    base::{Base, Config, LayerPart, Part},
    lora::Target,
    place::Place,
};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

pub(crate) struct Layer {
    pub(crate) attention_norm: Arc<[f32]>,
    pub(crate) feed_forward_norm: Arc<[f32]>,
    pub(crate) matrices: BTreeMap<Target, Frozen>,
}

/// The base: nothing in it learns.
pub struct Network {
    config: Config,
    embedding: Frozen,
    layers: Vec<Arc<Layer>>,
    norm: Arc<[f32]>,
    head: Frozen,
    ground: Ground,
}

/// One pass of a batch: what the layers need beside their input.
pub(crate) struct Pass<'a> {
    pub(crate) adapter: &'a Adapter,
    /// The seed of everything dropped; `None` drops nothing.
    pub(crate) dropout: Option<u64>,
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
    pub(crate) turns: Turns,
    seen: Seen,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        network: &Network,
        batch: &Batch,
        adapter: &'a Adapter,
        dropout: Option<u64>,
    ) -> Result<Self> {
        let device = &network.ground.device;
        let heads = network.config.heads;
        let grouped = heads.query / heads.kv;
        Ok(Self {
            adapter,
            dropout: dropout.filter(|_| adapter.lora().dropout > 0.0),
            texts: batch.texts,
            tokens: batch.longest,
            turns: Turns::new(&network.config.frequencies, batch.longest, device)?,
            seen: Seen::new(grouped, batch.longest, device)?,
        })
    }

    /// Each adapted matrix drops by a mask of its own.
    pub(crate) fn dropout(&self, layer: usize, target: Target) -> Option<Dropout> {
        let place = format!("{layer} {target}");
        self.dropout.map(|seed| Dropout {
            share: self.adapter.lora().dropout,
            seed: Hash::of([&seed.to_le_bytes()[..], place.as_bytes()]).seed(),
        })
    }
}

impl Network {
    /// Reads all weights of a base, one after another: f32 on the processor.
    ///
    /// # Errors
    /// When a part is missing or has another shape than the configuration says.
    pub fn load(base: &mut Base, keep: Keep) -> Result<Self> {
        Self::load_at(base, keep, Place::default())
    }

    /// The same to another place.
    ///
    /// # Errors
    /// As [`Self::load`], and when there is no such place, or no room.
    pub fn load_at(base: &mut Base, keep: Keep, place: Place) -> Result<Self> {
        let (device, dtype) = place.open()?;
        let ground = Ground { device, dtype };
        let config = base.config().clone();
        let table = [base.vocabulary()?, config.width];
        let tied = !base.has_head();
        // Tied, they are one matrix in memory too.
        let embedding = Frozen::new(base.part(Part::Embedding, &table)?, keep.plain(), &ground)?;
        let head = match tied {
            true => embedding.clone(),
            false => Frozen::new(base.part(Part::Head, &table)?, keep.plain(), &ground)?,
        };
        let layers = (0..config.layers).map(|i| Layer::load(base, &config, i, (keep, &ground)));
        Ok(Self {
            layers: layers
                .map(|layer| layer.map(Arc::new))
                .collect::<Result<_>>()?,
            norm: vector(base, Part::Norm, config.width)?,
            embedding,
            head,
            config,
            ground,
        })
    }

    /// The architecture.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many layers there are.
    pub(crate) fn depth(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn head(&self) -> &Frozen {
        &self.head
    }

    /// What computes.
    pub(crate) fn device(&self) -> &Device {
        &self.ground.device
    }

    /// Tokens to hidden states, `[texts * longest, width]`.
    pub(crate) fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let ids = batch.ids.to_device(self.device())?;
        Ok(self.embedding.rows(&ids)?)
    }

    /// Some layers, one after another.
    pub(crate) fn run(&self, layers: Range<usize>, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in layers {
            x = match self.ground.is_usual() {
                true => fused::layer((&self.layers[layer], layer), &self.config, &x, pass)?,
                false => self.layer(layer, &x, pass)?,
            };
        }
        Ok(x)
    }

    /// The rows that the head reads, normed.
    pub(crate) fn finish(&self, x: &Tensor, rows: &Tensor) -> Result<Tensor> {
        let rows = x.index_select(&rows.to_device(self.device())?, 0)?;
        Ok(rms_norm(&rows, &self.norm, self.config.eps)?)
    }

    /// Logits after every token of a text, `[tokens, vocabulary]`: for checks against other engines.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub fn logits(&self, ids: &[u32], adapter: &Adapter) -> Result<Tensor> {
        let text = crate::Text {
            ids: ids.to_vec(),
            prompt: 0,
        };
        let batch = Batch::new(&[&text])?;
        let adapter = &adapter.to_device(self.device())?;
        let pass = Pass::new(self, &batch, adapter, None)?;
        let x = self.run(0..self.depth(), &self.embed(&batch)?, &pass)?;
        let hidden = rms_norm(&x, &self.norm, self.config.eps)?;
        Ok(self.head.forward(&hidden)?.detach())
    }

    /// A layer as a graph of steps that candle has for every device and every kind of numbers.
    pub(crate) fn layer(&self, i: usize, x: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
        let layer = &self.layers[i];
        let eps = self.config.eps;
        let product = |target: Target, x: &Tensor| -> candle_core::Result<Tensor> {
            let y = layer.matrices[&target].forward(x)?;
            let more =
                pass.adapter
                    .forward((i, target), x, pass.dropout(i, target), self.ground.dtype)?;
            more.map_or(Ok(y.clone()), |more| y + more)
        };
        let normed = rms_norm(x, &layer.attention_norm, eps)?;
        let queries = rotate(&product(Target::Query, &normed)?, &pass.turns)?;
        let keys = rotate(&product(Target::Key, &normed)?, &pass.turns)?;
        let mixed = self.attend(&queries, &keys, &product(Target::Value, &normed)?, pass)?;
        let x = (x + product(Target::Out, &mixed)?)?;
        let normed = rms_norm(&x, &layer.feed_forward_norm, eps)?;
        let gated = silu_mul(
            &product(Target::Gate, &normed)?,
            &product(Target::Up, &normed)?,
        )?;
        &x + product(Target::Down, &gated)?
    }

    /// Each token's mixture of the values that it sees, `[texts * tokens, query heads * dim]`.
    ///
    /// Query heads that share a key-value head stand under each other, so that keys are not repeated.
    fn attend(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        pass: &Pass,
    ) -> candle_core::Result<Tensor> {
        let heads = self.config.heads;
        let (texts, tokens) = (pass.texts, pass.tokens);
        let grouped = |x: &Tensor, count: usize| {
            let split = x.reshape((texts, tokens, count, heads.dim))?;
            let together = split.transpose(1, 2)?.contiguous()?;
            together.reshape((texts * heads.kv, count / heads.kv * tokens, heads.dim))
        };
        let (queries, keys, values) = (
            grouped(queries, heads.query)?,
            grouped(keys, heads.kv)?,
            grouped(values, heads.kv)?,
        );
        let scores = queries.matmul(&keys.t()?)?;
        let seen = causal_softmax(&scores, 1.0 / (heads.dim as f32).sqrt(), &pass.seen)?;
        let mixed = seen.matmul(&values)?;
        let apart = mixed.reshape((texts, heads.query, tokens, heads.dim))?;
        apart
            .transpose(1, 2)?
            .contiguous()?
            .reshape((texts * tokens, heads.query_width()))
    }
}

impl Layer {
    fn load(
        base: &mut Base,
        config: &Config,
        i: usize,
        (keep, ground): (Keep, &Ground),
    ) -> Result<Self> {
        let mut matrices = BTreeMap::new();
        for target in Target::ALL {
            let (rows, columns) = target.shape(config);
            let dense = base.part(Part::Layer(i, target.part()), &[rows, columns])?;
            matrices.insert(target, Frozen::new(dense, keep, ground)?);
        }
        let mut norm = |part| vector(base, Part::Layer(i, part), config.width);
        Ok(Self {
            attention_norm: norm(LayerPart::AttentionNorm)?,
            feed_forward_norm: norm(LayerPart::FeedForwardNorm)?,
            matrices,
        })
    }
}

fn vector(base: &mut Base, part: Part, len: usize) -> Result<Arc<[f32]>> {
    Ok(base.part(part, &[len])?.to_vec1::<f32>()?.into())
}
