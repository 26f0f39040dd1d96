//! What is dropped while training: a share, drawn from a seed.

use candle_core::{Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is dropped while training: a share, drawn from a seed.
pub(crate) struct Dropout {
    share: f32,
    draws: ChaCha8Rng,
}

impl Dropout {
    /// Drops `share` of the numbers.
    pub(crate) fn new(share: f32, seed: u64) -> Self {
        Self {
            share,
            draws: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// `x` with its share dropped, and the rest larger by as much.
    pub(super) fn apply(&mut self, x: &Tensor) -> Result<Tensor> {
        if self.share <= 0.0 {
            return Ok(x.clone());
        }
        let keep = 1.0 / (1.0 - self.share);
        let bar = (f64::from(self.share) * f64::from(u32::MAX)) as u32;
        let mask = (0..x.elem_count()).map(|_| {
            if self.draws.next_u32() < bar {
                0.0
            } else {
                keep
            }
        });
        let mask = Tensor::from_vec(mask.collect::<Vec<f32>>(), x.shape(), x.device())?;
        x.mul(&mask)
    }
}
