//! Picking the next token.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Temperature and nucleus sampling (Holtzman et al. 2020) with a stream of chance of its own.
pub(crate) struct Sampler {
    temperature: f64,
    top_p: f64,
    chance: ChaCha8Rng,
}

impl Sampler {
    /// A sampler; temperature 0 is greedy, `top_p` 1 keeps every token.
    pub(crate) fn new(temperature: f64, top_p: f64, seed: u64) -> Self {
        Self {
            temperature,
            top_p,
            chance: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Picks a token; `None` when a logit is not a number or all are infinite.
    pub(crate) fn pick(&mut self, logits: &[f32]) -> Option<u32> {
        let best = best(logits)?;
        if self.temperature <= 0.0 {
            return Some(best);
        }
        let top = f64::from(logits[best as usize]);
        let weight = |v: &f32| ((f64::from(*v) - top) / self.temperature).exp();
        let weights: Vec<f64> = logits.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let mut kept: Vec<(u32, f64)> = (0..).zip(weights).collect();
        let mut mass = total;
        if self.top_p < 1.0 {
            (kept, mass) = nucleus(kept, self.top_p, total);
        }
        let mut left = self.chance.random::<f64>() * mass;
        for (token, weight) in &kept {
            left -= weight;
            if left < 0.0 {
                return Some(*token);
            }
        }
        // Rounding can leave a crumb: it belongs to the last token that has any weight.
        kept.iter()
            .rev()
            .find(|(_, w)| *w > 0.0)
            .map(|(token, _)| *token)
    }
}

/// The first of the largest logits.
fn best(logits: &[f32]) -> Option<u32> {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, value) in (0..).zip(logits) {
        if value.is_nan() {
            return None;
        }
        if *value > best.1 {
            best = (token, *value);
        }
    }
    best.1.is_finite().then_some(best.0)
}

/// The smallest set of heaviest tokens with at least `top_p` of the mass, and its mass.
fn nucleus(weights: Vec<(u32, f64)>, top_p: f64, total: f64) -> (Vec<(u32, f64)>, f64) {
    // Tokens this light are outside the nucleus even all together: most need no sorting.
    let light = (1.0 - top_p) * total / weights.len() as f64;
    let mut kept: Vec<_> = weights
        .iter()
        .copied()
        .filter(|(_, w)| *w >= light)
        .collect();
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut mass = 0.0;
    let enough = kept.iter().position(|(_, w)| {
        mass += w;
        mass >= top_p * total
    });
    kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    (kept, mass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn greedy_takes_the_first_of_equals_and_refuses_nonsense() {
        let mut sampler = Sampler::new(0.0, 1.0, 0);
        assert_eq!(sampler.pick(&[0.0, 2.0, 2.0, 1.0]), Some(1));
        assert_eq!(sampler.pick(&[0.0, f32::NAN]), None);
        assert_eq!(sampler.pick(&[f32::NEG_INFINITY; 3]), None);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [0.0f32, 1.0, 2.0, -1.0];
        let weights = logits.map(|v| f64::from(v / 0.7).exp());
        let total: f64 = weights.iter().sum();
        let mut sampler = Sampler::new(0.7, 1.0, 42);
        let mut counts = [0f64; 4];
        for _ in 0..20_000 {
            counts[sampler.pick(&logits).unwrap() as usize] += 1.0;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!(
                (count / 20_000.0 - weight / total).abs() < 0.015,
                "{counts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_nucleus_is_smallest_and_heavy_enough(
            logits in prop::collection::vec(-8f32..8.0, 2..200), top_p in 0.05f64..0.99,
        ) {
            let weights: Vec<(u32, f64)> =
                (0..).zip(logits.iter().map(|v| f64::from(*v).exp())).collect();
            let total: f64 = weights.iter().map(|w| w.1).sum();
            let (kept, mass) = nucleus(weights.clone(), top_p, total);
            prop_assert!(mass >= top_p * total * (1.0 - 1e-12));
            let lightest = kept.last().unwrap().1;
            prop_assert!(mass - lightest < top_p * total);
            let outside = weights.iter().filter(|w| !kept.iter().any(|k| k.0 == w.0));
            prop_assert!(outside.clone().all(|w| w.1 <= lightest));
            prop_assert_eq!(outside.count() + kept.len(), weights.len());
        }

        #[test]
        fn a_seed_says_everything(seed: u64, logits in prop::collection::vec(-4f32..4.0, 2..50)) {
            let draw = || {
                let mut sampler = Sampler::new(1.0, 0.9, seed);
                (0..8).map(|_| sampler.pick(&logits)).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(), draw());
        }
    }
}
