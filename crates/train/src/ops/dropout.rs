//! Dropout whose mask is a function of a seed: drawn again for the gradient (and when a layer is computed again)
//! instead of being kept, and the same after a restart.

use super::{map, numbers, plain, stored};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Numbers that share a draw of 64 bits.
const PER_DRAW: usize = 4;
/// Numbers worked on by one thread at a time.
const CHUNK: usize = 1 << 14;

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dropout {
    /// This share of the numbers.
    pub(crate) share: f64,
    /// The mask derives from it.
    pub(crate) seed: u64,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let keep = (1.0 / (1.0 - self.share)) as f32;
        let bar = (self.share * 65536.0).round() as u64;
        let mut out = x.to_vec();
        let chunks = out.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(chunk, numbers)| {
            let first = (chunk * CHUNK / PER_DRAW) as u64;
            for (four, i) in numbers.chunks_mut(PER_DRAW).zip(first..) {
                let mut bits = draw(self.seed, i);
                for number in four {
                    *number *= if bits & 0xFFFF < bar { 0.0 } else { keep };
                    bits >>= 16;
                }
            }
        });
        out
    }
}

/// The i-th draw of a seed: SplitMix64 (Steele, Lea and Flood 2014), which can be entered anywhere.
fn draw(seed: u64, i: u64) -> u64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Drops a share of the numbers and scales up the others.
pub(crate) fn drop_some(x: &Tensor, dropout: Option<Dropout>) -> Result<Tensor> {
    match dropout {
        Some(dropout) if x.device().is_cpu() => x.contiguous()?.apply_op1(dropout),
        Some(dropout) => plain::drop_some(x, dropout),
        None => Ok(x.clone()),
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(stored(self.apply(numbers(storage, layout)?), layout))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        map([grad], |[grad]| self.apply(grad)).map(Some)
    }
}
