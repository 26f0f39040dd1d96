//! Seeded draws made of whole numbers, products and square roots only, so that they are the same bits on any machine.

use domain::hash::Hash;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A stream of draws.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of one purpose: two purposes with the same seed have nothing to do with each other.
    pub(crate) fn new(purpose: &str, seed: u64) -> Self {
        let seed = Hash::of([purpose.as_bytes(), &seed.to_le_bytes()]).seed();
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// In `[0, 1)`, in steps of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Close to standard normal: the sum of twelve uniform numbers of 16 bits, less its mean. Its tails end at 6, and
    /// it needs no logarithm, whose last bit differs between machines.
    pub(crate) fn normal(&mut self) -> f64 {
        let quarter = |bits: u64| (0..4).map(|k| (bits >> (16 * k)) & 0xFFFF).sum::<u64>();
        let sum: u64 = (0..3).map(|_| quarter(self.0.next_u64())).sum();
        (sum as f64 + 6.0) / 65_536.0 - 6.0
    }

    /// An index, drawn in proportion to weights; weights that are not above 0 are never drawn. `None` where all are
    /// such.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let positive = || weights.iter().enumerate().filter(|(_, w)| **w > 0.0);
        let mut left = self.unit() * positive().map(|(_, w)| w).sum::<f64>();
        let mut last = None;
        for (i, w) in positive() {
            last = Some(i);
            left -= w;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_draw_has_the_moments_of_one() {
        let mut draws = Draws::new("test", 3);
        let drawn: Vec<f64> = (0..40_000).map(|_| draws.normal()).collect();
        let moment = |k| drawn.iter().map(|x| x.powi(k)).sum::<f64>() / drawn.len() as f64;
        assert!(moment(1).abs() < 0.02, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "{}", moment(2));
        assert!((moment(4) - 2.9).abs() < 0.2, "{}", moment(4));
    }

    #[test]
    fn weights_are_shares() {
        let mut draws = Draws::new("test", 4);
        let mut seen = [0; 4];
        for _ in 0..4_000 {
            seen[draws.weighted(&[1.0, 0.0, 3.0, -2.0]).unwrap()] += 1;
        }
        assert!(seen[1] == 0 && seen[3] == 0, "{seen:?}");
        assert!((900..1_100).contains(&seen[0]), "{seen:?}");
        assert_eq!(draws.weighted(&[0.0, -1.0]), None);
    }
}
