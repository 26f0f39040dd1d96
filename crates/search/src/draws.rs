//! Chance that derives from a seed: the same draws on any machine.
//!
//! Numbers are made of whole numbers, products and square roots only, so that they are the same bits everywhere.

use domain::hash::Hash;
use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of one purpose: two purposes with the same seed have nothing to do with each other.
    pub fn of(purpose: &str, seed: u64) -> Self {
        let seed = Hash::of([purpose.as_bytes(), &seed.to_le_bytes()]).seed();
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// In `[0, 1)`, in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Close to standard normal: the sum of twelve uniform numbers of 16 bits, less its mean. Its tails end at 6, and
    /// it needs no logarithm, whose last bit differs between machines.
    pub fn normal(&mut self) -> f64 {
        let quarter = |bits: u64| (0..4).map(|k| (bits >> (16 * k)) & 0xFFFF).sum::<u64>();
        let sum: u64 = (0..3).map(|_| quarter(self.0.next_u64())).sum();
        (sum as f64 + 6.0) / 65_536.0 - 6.0
    }

    /// A number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // 32 bits: the same draws where pointers are shorter.
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        match n {
            0 => 0,
            n => self.0.random_range(0..n) as usize,
        }
    }

    /// One of these; `None` where there is none.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// Puts them in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// A place, with probability in proportion to its weight (a roulette wheel). What is not above 0 or no number is
    /// never drawn; `None` where nothing is left.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let positive = || {
            let usable = |(_, w): &(usize, &f64)| **w > 0.0 && w.is_finite();
            weights.iter().enumerate().filter(usable)
        };
        let mut left = self.unit() * positive().map(|(_, w)| w).sum::<f64>();
        let mut last = None;
        for (at, weight) in positive() {
            last = Some(at);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        // The last one where rounding used the wheel up.
        last
    }

    /// Up to `n` different places, each drawn as in [`Draws::weighted`].
    pub fn several(&mut self, weights: &[f64], n: usize) -> Vec<usize> {
        let mut weights = weights.to_vec();
        let mut out = Vec::new();
        while out.len() < n {
            let Some(at) = self.weighted(&weights) else {
                break;
            };
            weights[at] = 0.0;
            out.push(at);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_draw_has_the_moments_of_one() {
        let mut draws = Draws::of("test", 3);
        let drawn: Vec<f64> = (0..40_000).map(|_| draws.normal()).collect();
        let moment = |k| drawn.iter().map(|x| x.powi(k)).sum::<f64>() / drawn.len() as f64;
        assert!(moment(1).abs() < 0.02, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "{}", moment(2));
        assert!((moment(4) - 2.9).abs() < 0.2, "{}", moment(4));
    }

    #[test]
    fn weights_are_shares() {
        let mut draws = Draws::of("test", 4);
        let mut seen = [0; 4];
        for _ in 0..4_000 {
            seen[draws.weighted(&[1.0, 0.0, 3.0, -2.0]).unwrap()] += 1;
        }
        assert!(seen[1] == 0 && seen[3] == 0, "{seen:?}");
        assert!((900..1_100).contains(&seen[0]), "{seen:?}");
        assert_eq!(draws.weighted(&[0.0, -1.0, f64::NAN, f64::INFINITY]), None);
        assert_eq!(draws.weighted(&[]), None);
    }

    #[test]
    fn several_are_different() {
        let mut draw = Draws::of("test", 2);
        let mut drawn = draw.several(&[0.1, 0.2, 0.0, 9.0], 9);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 3]);
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.one::<u8>(&[]), None);
    }

    /// Frozen: a change here would change every plan.
    #[test]
    fn draws_stay_the_same() {
        let mut draw = Draws::of("frozen", 7);
        let seen: Vec<usize> = (0..6).map(|_| draw.below(100)).collect();
        assert_eq!(seen, [26, 3, 12, 0, 47, 11]);
    }
}
