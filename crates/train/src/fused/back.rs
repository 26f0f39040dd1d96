//! The way back through a layer.

use super::{
    Fused, Kept,
    adapted::{self, Pair, PairGradient},
};
use crate::ops::{add_to, rms_norm, rms_norm_back, silu_mul, silu_mul_back};
use candle_core::{Result, Tensor};
use model::lora::Target;
use std::collections::BTreeMap;

pub(super) struct Way<'a> {
    fused: &'a Fused,
    pairs: BTreeMap<Target, Pair>,
    found: BTreeMap<Target, PairGradient>,
}

impl<'a> Way<'a> {
    pub(super) fn new(fused: &'a Fused, pairs: BTreeMap<Target, Pair>) -> Self {
        Self {
            fused,
            pairs,
            found: BTreeMap::new(),
        }
    }

    /// Back through one matrix.
    fn product(
        &mut self,
        target: Target,
        x: impl FnOnce() -> Result<Tensor>,
        grad: &Tensor,
    ) -> Result<Tensor> {
        let matrix = &self.fused.layer.matrices[&target];
        let (for_x, found) = adapted::back(x, grad, matrix, self.pairs.get(&target))?;
        self.found.extend(found.map(|found| (target, found)));
        Ok(for_x)
    }

    /// Back through the layer: the gradient of x.
    pub(super) fn back(&mut self, x: &Tensor, grad: &Tensor, kept: Kept) -> Result<Tensor> {
        let middle = self.feed_forward(&kept, grad)?;
        let Kept { by_head, mixed, .. } = kept;
        let for_mixed = self.product(Target::Out, || Ok(mixed), &middle)?;
        let [queries, keys, values] = self.fused.attention.back(&by_head, &for_mixed)?;
        drop((by_head, for_mixed));
        let (norm, eps) = (&self.fused.layer.attention_norm, self.fused.eps);
        let normed = || rms_norm(x, norm, eps);
        let for_normed = self.product(Target::Query, normed, &queries)?;
        add_to(&for_normed, &self.product(Target::Key, normed, &keys)?)?;
        add_to(&for_normed, &self.product(Target::Value, normed, &values)?)?;
        let for_x = rms_norm_back(x, &for_normed, norm, eps)?;
        add_to(&for_x, &middle)?;
        Ok(for_x)
    }

    /// Back through the feed-forward part: the gradient of what it was given.
    fn feed_forward(&mut self, kept: &Kept, grad: &Tensor) -> Result<Tensor> {
        let Kept {
            middle, gate, up, ..
        } = kept;
        let for_gated = self.product(Target::Down, || silu_mul(gate, up), grad)?;
        let (for_gate, for_up) = silu_mul_back(gate, up, &for_gated)?;
        drop(for_gated);
        let (norm, eps) = (&self.fused.layer.feed_forward_norm, self.fused.eps);
        let normed = || rms_norm(middle, norm, eps);
        let for_normed = self.product(Target::Gate, normed, &for_gate)?;
        add_to(&for_normed, &self.product(Target::Up, normed, &for_up)?)?;
        let for_middle = rms_norm_back(middle, &for_normed, norm, eps)?;
        add_to(&for_middle, grad)?;
        Ok(for_middle)
    }

    /// The gradient of all pairs, one after another as they were given.
    pub(super) fn pairs(mut self) -> Result<Tensor> {
        let found = Target::ALL.iter().filter_map(|t| self.found.remove(t));
        let flat = found.flat_map(|pair| [pair.a.flatten_all(), pair.b.flatten_all()]);
        Tensor::cat(&flat.collect::<Result<Vec<_>>>()?, 0)
    }
}
