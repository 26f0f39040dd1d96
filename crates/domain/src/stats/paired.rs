//! Randomisation tests and the false discovery rate.

use super::Draws;

/// Up to so many differences all sign patterns are counted: 2^16 of them.
const EXACT: usize = 16;
/// Above, so many are drawn.
const DRAWS: usize = 10_000;

/// One-sided p-value of a paired randomisation test: how often would random signs of the differences give a
/// sum at least as large? Small means that the differences are above 0 (Fisher 1935).
///
/// Exact for up to 16 differences (zeros, whose sign is nothing, aside), else 10,000 draws with the
/// observed pattern counted among them (Phipson and Smyth 2010), so the result lies in `(0, 1]`. A
/// difference that is not finite was not measured and is left out; no differences at all give 1.
pub fn sign_flip_p(diffs: &[f64], seed: u64) -> f64 {
    let diffs: Vec<f64> = diffs
        .iter()
        .copied()
        .filter(|d| d.is_finite() && *d != 0.0)
        .collect();
    if diffs.is_empty() {
        return 1.0;
    }
    // Sums of the same numbers in another order differ by rounding; those are ties.
    let slack = 1e-12 * diffs.iter().map(|d| d.abs()).sum::<f64>();
    let bar = diffs.iter().sum::<f64>() - slack;
    if diffs.len() <= EXACT {
        let patterns = 1u64 << diffs.len();
        let reached = (0..patterns).filter(|p| flipped_sum(&diffs, *p) >= bar);
        return reached.count() as f64 / patterns as f64;
    }
    let mut draws = Draws::new(seed);
    let reached = (0..DRAWS).filter(|_| random_sum(&diffs, &mut draws) >= bar);
    (1 + reached.count()) as f64 / (1 + DRAWS) as f64
}

/// The sum with the sign of the i-th value turned where bit i is set.
fn flipped_sum(diffs: &[f64], pattern: u64) -> f64 {
    let signed = |(i, d): (usize, &f64)| if pattern >> i & 1 == 1 { -d } else { *d };
    diffs.iter().enumerate().map(signed).sum()
}

fn random_sum(diffs: &[f64], draws: &mut Draws) -> f64 {
    diffs.chunks(64).map(|c| flipped_sum(c, draws.bits())).sum()
}

/// The share of controls that reach `value`, the value itself counted among them:
/// `(1 + #{c >= value}) / (1 + n)`. A control that is NaN counts as having reached it, and so do all when
/// the value is NaN: what was not measured proves nothing.
pub fn rank_p(value: f64, controls: &[f64]) -> f64 {
    let below = controls.iter().filter(|c| **c < value).count();
    (1 + controls.len() - below) as f64 / (1 + controls.len()) as f64
}

/// Which hypotheses are discoveries at false discovery rate `q`, in the order given (the step-up procedure
/// of Benjamini and Hochberg 1995). A p-value that is NaN counts as a hypothesis and is no discovery.
pub fn benjamini_hochberg(p: &[f64], q: f64) -> Vec<bool> {
    let mut sorted: Vec<f64> = p.iter().copied().filter(|p| !p.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let bar = |rank: usize| q * (rank + 1) as f64 / p.len() as f64;
    let last = sorted
        .iter()
        .enumerate()
        .rev()
        .find(|(i, p)| **p <= bar(*i));
    match last {
        Some((_, cut)) => p.iter().map(|p| p <= cut).collect(),
        None => vec![false; p.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // scipy.stats.permutation_test((d,), np.sum, permutation_type="samples", alternative="greater",
    //     n_resamples=np.inf).pvalue  -> exact; for the 40 values n_resamples=2_000_000, rng=1
    #[test]
    fn sign_flips_agree_with_scipy() {
        let d = [0.3, -0.1, 0.25, 0.0, 0.5, -0.2, 0.125, 0.4, 0.05, -0.05];
        assert_eq!(sign_flip_p(&d, 1), 0.0625);
        let many = [
            0.09, 0.488, 0.447, -0.073, -0.009, -0.078, 0.251, 0.063, 0.304, -0.474, 0.55, 0.051,
            0.284, 0.039, -0.034, 0.219, 0.327, 0.019, 0.034, 0.286, -0.181, -0.374, 0.198, -0.121,
            -0.496, -0.164, -0.06, -0.278, -0.368, 0.091, 0.349, 0.01, -0.143, 0.195, 0.295, -0.01,
            0.243, 0.393, 0.018, -0.164,
        ];
        // 0.01 is more than three standard errors of 10,000 draws.
        assert!((sign_flip_p(&many, 1) - 0.089_871).abs() < 0.01);
        let negative = many.map(|d| -d);
        assert!((sign_flip_p(&negative, 1) - 0.910_2).abs() < 0.01);
    }

    // scipy.stats.false_discovery_control(p) <= q
    #[test]
    fn discoveries_agree_with_scipy() {
        let p = [
            0.34, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251,
            0.269, 0.275, 0.001,
        ];
        let found = |q| {
            let found = benjamini_hochberg(&p, q);
            (0..p.len()).filter(|i| found[*i]).collect::<Vec<_>>()
        };
        assert_eq!(found(0.05), [14]);
        assert_eq!(found(0.1), [1, 14]);
        // 0.041 and 0.039 miss their own bars and are carried by 0.042.
        assert_eq!(found(0.128), [1, 2, 3, 4, 14]);
        assert_eq!(found(0.25), [1, 2, 3, 4, 5, 6, 14]);
    }

    #[test]
    fn what_was_not_measured_proves_nothing() {
        assert_eq!(sign_flip_p(&[], 1), 1.0);
        assert_eq!(sign_flip_p(&[f64::NAN, 0.0], 1), 1.0);
        assert_eq!(rank_p(f64::NAN, &[1.0, 2.0]), 1.0);
        assert_eq!(rank_p(5.0, &[f64::NAN, 2.0, 1.0]), 0.5);
        assert_eq!(rank_p(5.0, &[]), 1.0);
        assert_eq!(rank_p(2.0, &[1.0, 2.0, 3.0]), 0.75);
        assert_eq!(benjamini_hochberg(&[f64::NAN, 0.01], 0.1), [false, true]);
        assert!(benjamini_hochberg(&[], 0.1).is_empty());
    }

    #[test]
    fn eight_wins_of_eight_are_one_pattern_in_256() {
        assert_eq!(sign_flip_p(&[1.0; 8], 0), 1.0 / 256.0);
        assert_eq!(sign_flip_p(&[-1.0; 8], 0), 1.0);
    }

    proptest! {
        #[test]
        fn p_is_in_range_and_falls_as_differences_grow(d in prop::collection::vec(-1.0..1.0f64, 0..14), up in 0.0..1.0f64) {
            let p = sign_flip_p(&d, 3);
            prop_assert!(p > 0.0 && p <= 1.0);
            let more: Vec<f64> = d.iter().map(|d| d + up).collect();
            // Adding to every difference never weakens the evidence of the one-sided test.
            prop_assert!(sign_flip_p(&more, 3) <= p + 1e-12);
        }

        #[test]
        fn sampled_p_is_in_range(d in prop::collection::vec(-1.0..1.0f64, 17..80), seed: u64) {
            let p = sign_flip_p(&d, seed);
            prop_assert!(p > 0.0 && p <= 1.0);
        }

        #[test]
        fn a_rank_is_a_p_value(v in -1.0..1.0f64, c in prop::collection::vec(-1.0..1.0f64, 0..30)) {
            let p = rank_p(v, &c);
            prop_assert!(p > 0.0 && p <= 1.0);
        }

        #[test]
        fn discoveries_are_the_smallest_and_grow_with_q(p in prop::collection::vec(0.0..1.0f64, 1..40), q in 0.0..0.5f64, more in 0.0..0.5f64) {
            let (few, many) = (benjamini_hochberg(&p, q), benjamini_hochberg(&p, q + more));
            for i in 0..p.len() {
                prop_assert!(!few[i] || many[i]);
                for j in 0..p.len() {
                    prop_assert!(!(few[j] && p[i] <= p[j]) || few[i]);
                }
            }
        }
    }
}
