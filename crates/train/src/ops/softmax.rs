//! Scores to probabilities, each token seeing itself and those before it.

use super::{exp, map, numbers, plain, stored};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

struct CausalSoftmax {
    scale: f32,
}

/// Which tokens a token sees: those up to itself. The processor needs no mask to know.
pub(crate) struct Seen(Option<Tensor>);

impl Seen {
    /// For as many rows a token as query heads share a key-value head.
    pub(crate) fn new(grouped: usize, tokens: usize, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::here());
        }
        Ok(Self(Some(plain::hidden(grouped, tokens, device)?)))
    }

    /// On the processor.
    pub(crate) fn here() -> Self {
        Self(None)
    }
}

/// Softmax of `[.., rows, tokens]` times `scale`, where row r belongs to the token r % tokens and sees no later one.
pub(crate) fn causal_softmax(scores: &Tensor, scale: f32, seen: &Seen) -> Result<Tensor> {
    match &seen.0 {
        None => scores.contiguous()?.apply_op1(CausalSoftmax { scale }),
        Some(hidden) => plain::causal_softmax(scores, scale, hidden),
    }
}

fn softmax(out: &mut [f32], scores: &[f32], scale: f32) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (out, score) in out.iter_mut().zip(scores) {
        *out = exp((score - most) * scale);
    }
    let share = 1.0 / out.iter().sum::<f32>();
    out.iter_mut().for_each(|p| *p *= share);
}

impl CustomOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = numbers(storage, layout)?;
        let tokens = layout.dims()[layout.dims().len() - 1];
        let mut out = vec![0f32; scores.len()];
        let rows = out
            .par_chunks_exact_mut(tokens)
            .zip(scores.par_chunks_exact(tokens));
        rows.enumerate().for_each(|(row, (out, scores))| {
            let seen = row % tokens + 1;
            softmax(&mut out[..seen], &scores[..seen], self.scale);
        });
        Ok(stored(out, layout))
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        causal_softmax_back(res, grad, self.scale).map(Some)
    }
}

/// The gradient of [`causal_softmax`] where it gave `p`, on the processor.
pub(crate) fn causal_softmax_back(p: &Tensor, grad: &Tensor, scale: f32) -> Result<Tensor> {
    let tokens = p.dims()[p.rank() - 1];
    let backward = |[p, grad]: [&[f32]; 2]| {
        let mut out = vec![0f32; p.len()];
        let inputs = p
            .par_chunks_exact(tokens)
            .zip(grad.par_chunks_exact(tokens));
        let rows = out.par_chunks_exact_mut(tokens).zip(inputs);
        rows.enumerate().for_each(|(row, (out, (p, grad)))| {
            let seen = row % tokens + 1;
            let dot: f32 = p[..seen].iter().zip(grad).map(|(p, g)| p * g).sum();
            for i in 0..seen {
                out[i] = p[i] * (grad[i] - dot) * scale;
            }
        });
        out
    };
    map([p, grad], backward)
}
