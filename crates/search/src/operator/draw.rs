//! Chance that derives from a seed.

use domain::hash::Hash;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Draws of one draft: the same ones on any machine.
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// For what it says, and a seed.
    pub fn of(what: &str, seed: u64) -> Self {
        let key = Hash::of([what.as_bytes(), &seed.to_le_bytes()]);
        Self(ChaCha8Rng::seed_from_u64(key.seed()))
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

    /// A place, with probability in proportion to its weight (a roulette wheel). What is not above 0 is never drawn;
    /// `None` where nothing is.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let usable = |w: f64| if w > 0.0 && w.is_finite() { w } else { 0.0 };
        let sum: f64 = weights.iter().map(|w| usable(*w)).sum();
        let mut left = self.0.random_range(0.0..1.0) * sum;
        let mut last = None;
        for (at, weight) in weights.iter().enumerate() {
            let weight = usable(*weight);
            if weight > 0.0 {
                last = Some(at);
                if left < weight {
                    return last;
                }
                left -= weight;
            }
        }
        // Rounding used the wheel up.
        last
    }

    /// Up to `n` different places, each drawn as in [`Draw::weighted`].
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
    fn weights_weigh() {
        let mut draw = Draw::of("test", 1);
        let mut seen = [0; 3];
        for _ in 0..3000 {
            seen[draw.weighted(&[1.0, 0.0, 3.0]).unwrap()] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((650..850).contains(&seen[0]), "{seen:?}");
        assert_eq!(draw.weighted(&[0.0, f64::NAN]), None);
        assert_eq!(draw.weighted(&[]), None);
    }

    #[test]
    fn several_are_different() {
        let mut draw = Draw::of("test", 2);
        let mut drawn = draw.several(&[0.1, 0.2, 0.0, 9.0], 9);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 3]);
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.one::<u8>(&[]), None);
    }

    /// Frozen: a change here would change every plan.
    #[test]
    fn draws_stay_the_same() {
        let mut draw = Draw::of("frozen", 7);
        let seen: Vec<usize> = (0..6).map(|_| draw.below(100)).collect();
        assert_eq!(seen, [26, 3, 12, 0, 47, 11]);
    }
}
