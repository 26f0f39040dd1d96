//! Rotary positions (Su et al. 2021), dimension i with i + half.

use super::{map, numbers, plain, stored};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Cosine and sine of every pair at every position.
#[derive(Clone)]
pub(crate) struct Turns {
    /// `[positions, half]`
    turns: Arc<[(f32, f32)]>,
    half: usize,
    positions: usize,
    /// The same as `[1, positions, 1, half]`, each, on the device that needs it.
    there: Option<(Tensor, Tensor)>,
}

impl Turns {
    /// For texts of at most `positions` tokens.
    pub(crate) fn new(frequencies: &[f32], positions: usize, device: &Device) -> Result<Self> {
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        let mut turns = Self {
            turns: angles.map(|a| (a.cos(), a.sin())).collect(),
            half: frequencies.len(),
            positions,
            there: None,
        };
        if !device.is_cpu() {
            turns.there = Some(turns.on(device)?);
        }
        Ok(turns)
    }

    /// Cosines and sines on a device, to be spread over texts and heads.
    pub(super) fn on(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let (cos, sin): (Vec<f32>, Vec<f32>) = self.turns.iter().copied().unzip();
        let shape = (1, self.positions, 1, self.half);
        let of = |numbers| Tensor::from_vec(numbers, shape, device);
        Ok((of(cos)?, of(sin)?))
    }

    /// Rotates every head of `[texts * positions, heads * dim]`, back where `back` says so.
    fn apply(&self, x: &[f32], width: usize, back: bool) -> Vec<f32> {
        let mut out = x.to_vec();
        let rows = out.par_chunks_exact_mut(width).enumerate();
        rows.for_each(|(row, numbers)| {
            for head in numbers.chunks_exact_mut(2 * self.half) {
                self.turn(row % self.positions, head, back);
            }
        });
        out
    }

    /// Rotates one head by a position, back where `back` says so.
    pub(crate) fn turn(&self, position: usize, head: &mut [f32], back: bool) {
        let turns = &self.turns[position * self.half..][..self.half];
        let (first, second) = head.split_at_mut(self.half);
        let way = if back { -1.0 } else { 1.0 };
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
            let sin = way * sin;
            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
        }
    }
}

struct Rotate(Turns);

/// Rotates `[texts * positions, heads * dim]` by the place of each row in its text.
pub(crate) fn rotate(x: &Tensor, turns: &Turns) -> Result<Tensor> {
    match &turns.there {
        None => x.contiguous()?.apply_op1(Rotate(turns.clone())),
        Some(there) => plain::rotate(x, there),
    }
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let out = self.0.apply(numbers(storage, layout)?, width, false);
        Ok(stored(out, layout))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = arg.dim(1)?;
        map([grad], |[grad]| self.0.apply(grad, width, true)).map(Some)
    }
}
