//! The steps between matrix products, each with its gradient.
//!
//! candle's own fused steps (softmax over the last dimension, rms norm, rotations) have no gradient and cut it for
//! everything beneath them without a word; its plain ones keep a tensor for every small step. These are fused *and*
//! have gradients. All work on rows of f32 that lie one after another; rows are independent, so that no sum depends on
//! the number of threads.
//!
//! On a device, where there is room, they are made of candle's plain ones ([`plain`]).

mod dropout;
mod exp;
mod gate;
mod norm;
mod plain;
mod rotate;
mod softmax;
mod sum;

pub(crate) use dropout::{Dropout, drop_some};
pub(crate) use exp::exp;
pub(crate) use gate::{silu_mul, silu_mul_back};
pub(crate) use norm::{rms_norm, rms_norm_back};
pub(crate) use rotate::{Turns, rotate};
pub(crate) use softmax::{Seen, causal_softmax, causal_softmax_back};
pub(crate) use sum::add_to;

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, bail};

/// The numbers of a storage, which must lie one after another.
pub(crate) fn numbers<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("f32 is needed")
    };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&all[from..to]),
        None => bail!("numbers that lie one after another are needed, found {layout:?}"),
    }
}

/// Has `read` see the numbers of some tensors of one shape, and makes a tensor of that shape from what it gives.
pub(crate) fn map<const N: usize>(
    tensors: [&Tensor; N],
    read: impl FnOnce([&[f32]; N]) -> Vec<f32>,
) -> Result<Tensor> {
    let mut dense = Vec::with_capacity(N);
    for tensor in tensors {
        dense.push(tensor.contiguous()?);
    }
    let held: Vec<_> = dense.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("a step for the processor, and numbers on a device")
        };
        *slice = numbers(storage, layout)?;
    }
    let out = read(slices);
    Tensor::from_vec(out, tensors[0].shape(), tensors[0].device())
}

/// A result of the shape of its input.
pub(crate) fn stored(out: Vec<f32>, layout: &Layout) -> (CpuStorage, Shape) {
    (CpuStorage::F32(out), layout.shape().clone())
}

#[cfg(test)]
mod tests;
