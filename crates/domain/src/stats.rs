//! Intervals, paired tests, lines and the false discovery rate.
//!
//! Everything is a pure function of its arguments. What is random takes a seed and draws from ChaCha8
//! through one integer-only reduction, so the same rows give the same bits on any machine.
//!
//! A value that is not finite is never averaged in silence: each function says what it does with one.

mod interval;
mod line;
mod paired;
mod pass;

pub use interval::{Estimate, cluster_bootstrap, cluster_bootstrap_within, wilson};
pub use line::{Line, cluster_bootstrap_intercept};
pub use paired::{benjamini_hochberg, rank_p, sign_flip_p};
pub use pass::pass_at;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The arithmetic mean; `None` where there are no values or one is not finite.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// The `q`-quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, the
/// default of numpy and R). `q` is clamped to `[0, 1]`; `None` where there are no values or any number is NaN.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if values.is_empty() || q.is_nan() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(quantile_of_sorted(&sorted, q))
}

/// [`quantile`] of values that are sorted, not empty and hold no NaN.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let at = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    if below == above {
        return below; // also keeps two equal infinities from becoming NaN
    }
    below + (above - below) * at.fract()
}

/// Seeded draws that depend on nothing but the seed.
struct Draws(ChaCha8Rng);

impl Draws {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number in `0..n`. The bias of the multiply-shift reduction is below n / 2^64.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// 64 coin tosses.
    fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The expected numbers come from numpy 2 and are checked to 1e-12:
    //   import numpy as np
    //   v = [3.5, -1.25, 8.0, 2.0, 2.0, 0.75]
    //   np.mean(v); [np.quantile(v, q) for q in (0, .025, .25, .5, .9, 1)]
    const V: [f64; 6] = [3.5, -1.25, 8.0, 2.0, 2.0, 0.75];

    #[test]
    fn mean_and_quantiles_agree_with_numpy() {
        assert!((mean(&V).unwrap() - 2.5).abs() < 1e-12);
        let expected = [
            (0.0, -1.25),
            (0.025, -1.0),
            (0.25, 1.0625),
            (0.5, 2.0),
            (0.9, 5.75),
            (1.0, 8.0),
        ];
        for (q, x) in expected {
            assert!((quantile(&V, q).unwrap() - x).abs() < 1e-12, "{q}");
        }
    }

    #[test]
    fn nothing_and_nan_have_no_mean() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, f64::NAN]), None);
        assert_eq!(mean(&[1.0, f64::INFINITY]), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[f64::NAN], 0.5), None);
        assert_eq!(
            quantile(&[f64::INFINITY, f64::INFINITY], 0.5),
            Some(f64::INFINITY)
        );
    }

    #[test]
    fn draws_cover_their_range() {
        let mut draws = Draws::new(7);
        let mut seen = [0; 5];
        (0..5000).for_each(|_| seen[draws.below(5)] += 1);
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }

    proptest! {
        #[test]
        fn a_quantile_lies_within_and_grows(v in prop::collection::vec(-1e6..1e6f64, 1..40), p in 0.0..1.0f64, q in 0.0..1.0f64) {
            let (lo, hi) = (p.min(q), p.max(q));
            let (a, b) = (quantile(&v, lo).unwrap(), quantile(&v, hi).unwrap());
            prop_assert!(a <= b + 1e-9);
            prop_assert!(a >= quantile(&v, 0.0).unwrap() && b <= quantile(&v, 1.0).unwrap());
        }
    }
}
