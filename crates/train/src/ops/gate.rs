//! The feed-forward part's gate.

use super::{map, numbers, plain, stored};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Numbers worked on by one thread at a time.
const CHUNK: usize = 1 << 14;

struct SiluMul;

/// gate * sigmoid(gate) * up
pub(crate) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if !gate.device().is_cpu() {
        return plain::silu_mul(gate, up);
    }
    gate.contiguous()?.apply_op2(&up.contiguous()?, SiluMul)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `each` of three numbers at a time.
fn zip3(a: &[f32], b: &[f32], c: &[f32], each: impl Fn(f32, f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0f32; a.len()];
    let chunks = a
        .par_chunks(CHUNK)
        .zip(b.par_chunks(CHUNK))
        .zip(c.par_chunks(CHUNK));
    out.par_chunks_mut(CHUNK)
        .zip(chunks)
        .for_each(|(out, ((a, b), c))| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = each(a[i], b[i], c[i]);
            }
        });
    out
}

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gates: &Layout,
        up: &CpuStorage,
        ups: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (numbers(gate, gates)?, numbers(up, ups)?);
        Ok(stored(
            zip3(gate, up, up, |g, u, _| g * sigmoid(g) * u),
            gates,
        ))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let for_gate = |[gate, up, grad]: [&[f32]; 3]| {
            zip3(gate, up, grad, |g, u, grad| {
                let s = sigmoid(g);
                grad * u * s * (1.0 + g * (1.0 - s))
            })
        };
        let for_up = |[gate, up, grad]: [&[f32]; 3]| {
            zip3(gate, up, grad, |g, _, grad| grad * g * sigmoid(g))
        };
        let inputs = [gate, up, grad];
        Ok((Some(map(inputs, for_gate)?), Some(map(inputs, for_up)?)))
    }
}
