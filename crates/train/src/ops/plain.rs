//! The same steps in operations that candle has for every device, with its gradients: more memory and more launches than
//! one fused step, and no kernel of our own to keep.

use super::Dropout;
use candle_core::{D, DType, Device, Result, Tensor};

/// As [`super::rms_norm`].
pub(super) fn rms_norm(x: &Tensor, weight: &[f32], eps: f32) -> Result<Tensor> {
    let weight = Tensor::new(weight, x.device())?;
    let squares = x.sqr()?.mean_keepdim(D::Minus1)?;
    let length = (squares + f64::from(eps))?.sqrt()?;
    x.broadcast_div(&length)?.broadcast_mul(&weight)
}

/// As [`super::silu_mul`].
pub(super) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()?.mul(up)
}

/// As [`super::rotate`], with cosines and sines of `[1, positions, 1, half]`.
pub(super) fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
    let (_, positions, _, half) = cos.dims4()?;
    let (rows, width) = x.dims2()?;
    let heads = x.reshape((rows / positions, positions, width / (2 * half), 2 * half))?;
    let (first, second) = (heads.narrow(3, 0, half)?, heads.narrow(3, half, half)?);
    let turned = [
        (first.broadcast_mul(cos)? - second.broadcast_mul(sin)?)?,
        (first.broadcast_mul(sin)? + second.broadcast_mul(cos)?)?,
    ];
    Tensor::cat(&turned, 3)?.reshape((rows, width))
}

/// What is added to the scores of [`causal_softmax`]: `[grouped * tokens, tokens]`.
pub(super) fn hidden(grouped: usize, tokens: usize, device: &Device) -> Result<Tensor> {
    let row = |r: usize| {
        (0..tokens).map(move |k| {
            if k > r % tokens {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
    };
    let mask: Vec<f32> = (0..grouped * tokens).flat_map(row).collect();
    Tensor::from_vec(mask, (grouped * tokens, tokens), device)
}

/// As [`super::causal_softmax`].
pub(super) fn causal_softmax(scores: &Tensor, scale: f32, hidden: &Tensor) -> Result<Tensor> {
    let scores = (scores * f64::from(scale))?.broadcast_add(hidden)?;
    let most = scores.max_keepdim(D::Minus1)?.detach();
    let grown = scores.broadcast_sub(&most)?.exp()?;
    grown.broadcast_div(&grown.sum_keepdim(D::Minus1)?)
}

/// As [`super::drop_some`], with draws of the device's own: the same for the same seed there, and others than elsewhere.
pub(super) fn drop_some(x: &Tensor, dropout: Dropout) -> Result<Tensor> {
    x.device().set_seed(dropout.seed)?;
    let draws = Tensor::rand(0f32, 1f32, x.shape(), x.device())?;
    let kept = draws.ge(dropout.share)?.to_dtype(DType::F32)?;
    x.mul(&(kept / (1.0 - dropout.share))?)
}
