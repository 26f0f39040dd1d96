//! The feed-forward part's gate.

use super::{exp, map, numbers, plain, stored};
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
    1.0 / (1.0 + exp(-x))
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
        let mut out = vec![0f32; gate.len()];
        let chunks = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK));
        let outs = out.par_chunks_mut(CHUNK);
        outs.zip(chunks).for_each(|(out, (gate, up))| {
            for ((out, g), u) in out.iter_mut().zip(gate).zip(up) {
                *out = g * sigmoid(*g) * u;
            }
        });
        Ok(stored(out, gates))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (for_gate, for_up) = silu_mul_back(gate, up, grad)?;
        Ok((Some(for_gate), Some(for_up)))
    }
}

/// The gradients of [`silu_mul`] for the gate and for what it lets through, on the processor.
pub(crate) fn silu_mul_back(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let mut for_up = Vec::new();
    let for_gate = map([gate, up, grad], |[gate, up, grad]| {
        let mut for_gate = vec![0f32; gate.len()];
        for_up = vec![0f32; gate.len()];
        let outs = for_gate
            .par_chunks_mut(CHUNK)
            .zip(for_up.par_chunks_mut(CHUNK));
        let chunks = gate
            .par_chunks(CHUNK)
            .zip(up.par_chunks(CHUNK))
            .zip(grad.par_chunks(CHUNK));
        outs.zip(chunks)
            .for_each(|((for_gate, for_up), ((gate, up), grad))| {
                let inputs = gate.iter().zip(up).zip(grad);
                let outs = for_gate.iter_mut().zip(for_up);
                for ((for_gate, for_up), ((g, u), grad)) in outs.zip(inputs) {
                    let s = sigmoid(*g);
                    *for_gate = grad * u * s * (1.0 + g * (1.0 - s));
                    *for_up = grad * g * s;
                }
            });
        for_gate
    })?;
    let for_up = Tensor::from_vec(for_up, up.shape(), up.device())?;
    Ok((for_gate, for_up))
}
