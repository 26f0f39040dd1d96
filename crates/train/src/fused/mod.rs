//! A whole layer as one step with a gradient, on the processor in f32.
//!
//! In a graph of small steps, every edge costs a tensor of zeros and a sum on one thread, and every step keeps its result.
//! Here the way back is written out: what is cheap to make again is not kept, and nothing is added to zeros. The graph
//! ([`crate::network`]) stays for devices, and is what this is compared with.

mod adapted;
mod attention;
mod back;
#[cfg(test)]
mod tests;

use crate::{
    network::{Layer, Pass},
    ops::{Dropout, add_to, numbers, rms_norm, silu_mul, stored},
};
use adapted::Pair;
use attention::{Attention, ByHead};
use back::Way;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};
use model::{base::Config, lora::Target};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// One adapted matrix: its shape, and where its pair stands among all numbers of the layer's adapters.
struct Adapted {
    shape: (usize, usize),
    start: usize,
    dropout: Option<Dropout>,
}

struct Fused {
    layer: Arc<Layer>,
    eps: f32,
    attention: Attention,
    rank: usize,
    scale: f64,
    adapted: BTreeMap<Target, Adapted>,
    kept: Mutex<Option<Kept>>,
}

/// What the way back needs and can not make cheaply.
struct Kept {
    by_head: ByHead,
    mixed: Tensor,
    /// Between attention and the feed-forward part.
    middle: Tensor,
    gate: Tensor,
    up: Tensor,
}

/// Layer `i` for x of `[texts * tokens, width]`.
pub(crate) fn layer(
    (layer, i): (&Arc<Layer>, usize),
    config: &Config,
    x: &Tensor,
    pass: &Pass,
) -> Result<Tensor> {
    let (mut adapted, mut all, mut start) = (BTreeMap::new(), Vec::new(), 0);
    for target in Target::ALL {
        let Some([a, b]) = pass.adapter.pair((i, target)) else {
            continue;
        };
        let one = Adapted {
            shape: (b.dim(0)?, a.dim(1)?),
            start,
            dropout: pass.dropout(i, target),
        };
        start += a.elem_count() + b.elem_count();
        adapted.insert(target, one);
        all.extend([a.flatten_all()?, b.flatten_all()?]);
    }
    let fused = Fused {
        layer: layer.clone(),
        eps: config.eps,
        attention: Attention {
            heads: config.heads,
            texts: pass.texts,
            tokens: pass.tokens,
            turns: pass.turns.clone(),
        },
        rank: pass.adapter.lora().rank,
        scale: pass.adapter.lora().scale(),
        adapted,
        kept: Mutex::new(None),
    };
    // A step has three inputs at most: all pairs go in as one.
    x.contiguous()?.apply_op2(&Tensor::cat(&all, 0)?, fused)
}

impl Fused {
    fn pairs(&self, all: &Tensor) -> Result<BTreeMap<Target, Pair>> {
        let rank = self.rank;
        let of = |(target, one): (&Target, &Adapted)| {
            let (rows, columns) = one.shape;
            let a = all.narrow(0, one.start, rank * columns)?;
            let b = all.narrow(0, one.start + rank * columns, rows * rank)?;
            let pair = Pair {
                a: a.reshape((rank, columns))?,
                b: b.reshape((rows, rank))?,
                scale: self.scale,
                dropout: one.dropout,
            };
            Ok((*target, pair))
        };
        self.adapted.iter().map(of).collect()
    }

    fn forward(&self, x: &Tensor, pairs: &BTreeMap<Target, Pair>) -> Result<(Tensor, Kept)> {
        let layer = &self.layer;
        let product = |target: Target, x: &Tensor| {
            adapted::forward(x, &layer.matrices[&target], pairs.get(&target))
        };
        let normed = rms_norm(x, &layer.attention_norm, self.eps)?;
        let queries = product(Target::Query, &normed)?;
        let (keys, values) = (
            product(Target::Key, &normed)?,
            product(Target::Value, &normed)?,
        );
        let by_head = self.attention.by_head([&queries, &keys, &values])?;
        drop((normed, queries, keys, values));
        let mixed = self.attention.forward(&by_head)?;
        let middle = product(Target::Out, &mixed)?;
        add_to(&middle, x)?;
        let normed = rms_norm(&middle, &layer.feed_forward_norm, self.eps)?;
        let (gate, up) = (
            product(Target::Gate, &normed)?,
            product(Target::Up, &normed)?,
        );
        let out = product(Target::Down, &silu_mul(&gate, &up)?)?;
        add_to(&out, &middle)?;
        Ok((
            out,
            Kept {
                by_head,
                mixed,
                middle,
                gate,
                up,
            },
        ))
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        at: &Layout,
        all: &CpuStorage,
        from: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let here = |of: &CpuStorage, layout: &Layout| {
            Tensor::from_slice(numbers(of, layout)?, layout.shape(), &Device::Cpu)
        };
        let (x, pairs) = (here(x, at)?, self.pairs(&here(all, from)?)?);
        let (out, kept) = self.forward(&x, &pairs)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(stored(out.flatten_all()?.to_vec1()?, at))
    }

    fn bwd(
        &self,
        x: &Tensor,
        all: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x, all, grad) = (x.detach(), all.detach(), grad.detach());
        let pairs = self.pairs(&all)?;
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A second way back through one graph.
        let kept = match kept {
            Some(kept) => kept,
            None => self.forward(&x, &pairs)?.1,
        };
        let mut way = Way::new(self, pairs);
        let for_x = way.back(&x, &grad, kept)?;
        Ok((Some(for_x), Some(way.pairs()?)))
    }
}
