//! Root-mean-square norm with a constant weight.

use super::{map, numbers, plain, stored};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

struct RmsNorm {
    weight: Arc<[f32]>,
    eps: f32,
}

/// x / sqrt(mean(x^2) + eps) * weight, row by row.
pub(crate) fn rms_norm(x: &Tensor, weight: &Arc<[f32]>, eps: f32) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return plain::rms_norm(x, weight, eps);
    }
    let weight = weight.clone();
    x.contiguous()?.apply_op1(RmsNorm { weight, eps })
}

/// 1 / sqrt(mean(x^2) + eps)
fn scale(row: &[f32], eps: f32) -> f32 {
    let squares: f32 = row.iter().map(|x| x * x).sum();
    1.0 / (squares / row.len() as f32 + eps).sqrt()
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(storage, layout)?;
        let width = self.weight.len();
        let mut out = vec![0f32; x.len()];
        let rows = out
            .par_chunks_exact_mut(width)
            .zip(x.par_chunks_exact(width));
        rows.for_each(|(out, x)| {
            let scale = scale(x, self.eps);
            for ((out, x), w) in out.iter_mut().zip(x).zip(&*self.weight) {
                *out = x * scale * w;
            }
        });
        Ok(stored(out, layout))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        rms_norm_back(arg, grad, &self.weight, self.eps).map(Some)
    }
}

/// The gradient of [`rms_norm`] at x, on the processor.
pub(crate) fn rms_norm_back(x: &Tensor, grad: &Tensor, weight: &[f32], eps: f32) -> Result<Tensor> {
    let width = weight.len();
    let backward = |[x, grad]: [&[f32]; 2]| {
        let mut out = vec![0f32; x.len()];
        let inputs = x.par_chunks_exact(width).zip(grad.par_chunks_exact(width));
        let rows = out.par_chunks_exact_mut(width).zip(inputs);
        rows.for_each(|(out, (x, grad))| {
            let scale = scale(x, eps);
            let weighed = x.iter().zip(grad).zip(weight);
            let dot: f32 = weighed.map(|((x, g), w)| x * g * w).sum();
            let shrink = dot * scale * scale * scale / width as f32;
            for (i, out) in out.iter_mut().enumerate() {
                *out = grad[i] * weight[i] * scale - x[i] * shrink;
            }
        });
        out
    };
    map([x, grad], backward)
}
