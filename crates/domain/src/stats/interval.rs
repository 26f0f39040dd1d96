//! Means and shares with 95% intervals.

use super::{Draws, mean, quantile_of_sorted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// How many times the clusters are drawn.
const DRAWS: usize = 2_000;

/// A mean with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean of all values, each with the same weight.
    pub mean: f64,
    /// Lower and upper end of the 95% interval; the mean lies within.
    pub ci95: (f64, f64),
    /// How many values (not clusters) went in.
    pub n: usize,
}

/// [`cluster_bootstrap_within`] for paired differences of grades, which lie in `[-1, 1]`.
pub fn cluster_bootstrap(values: &[(usize, f64)], seed: u64) -> Option<Estimate> {
    cluster_bootstrap_within(values, (-1.0, 1.0), seed)
}

/// The mean of `(cluster index, value)` rows with a percentile bootstrap interval over clusters: whole
/// clusters are drawn with replacement 2,000 times, as many as there are; items weigh the same, so larger
/// clusters weigh more (Efron and Tibshirani 1993, chapter 13; Field and Welsh 2007 for clusters). Below
/// some 20 clusters the interval is known to be too narrow.
///
/// Where nothing varies between clusters (one cluster, or all the same), resampling would claim certainty.
/// There the interval answers another question: at most which share of clusters, unlike any seen, hides behind k that
/// agree? Wilson's bound for 0 of k says z²/(k + z²); these could lie at either end of `bounds` (the least
/// and largest possible value: (0, 1) for grades, (-1, 1) for differences). So 0 of k right is Wilson's
/// interval exactly, and one lone value has an interval of four fifths of the range. Values beyond
/// `bounds` widen them.
///
/// `None` where there are no values or one is not finite.
pub fn cluster_bootstrap_within(
    values: &[(usize, f64)],
    bounds: (f64, f64),
    seed: u64,
) -> Option<Estimate> {
    let flat: Vec<f64> = values.iter().map(|(_, v)| *v).collect();
    let mean = mean(&flat)?;
    let clusters = totals(values);
    let ci95 = match agreed(&clusters) {
        true => unseen(mean, bounds, clusters.len()),
        false => resampled(&clusters, mean, seed),
    };
    Some(Estimate {
        mean,
        ci95,
        n: flat.len(),
    })
}

/// Sum and count of each cluster, in the order of the indices.
fn totals(values: &[(usize, f64)]) -> Vec<(f64, f64)> {
    let mut clusters: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (index, value) in values {
        let total = clusters.entry(*index).or_default();
        *total = (total.0 + value, total.1 + 1.0);
    }
    clusters.into_values().collect()
}

/// Whether all clusters have the same mean, rounding aside.
fn agreed(clusters: &[(f64, f64)]) -> bool {
    let means = clusters.iter().map(|(sum, n)| sum / n);
    let (lo, hi) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), m| {
        (lo.min(m), hi.max(m))
    });
    hi - lo <= 1e-12 * hi.abs().max(lo.abs())
}

fn unseen(mean: f64, bounds: (f64, f64), clusters: usize) -> (f64, f64) {
    let share = Z * Z / (clusters as f64 + Z * Z);
    let (least, most) = (bounds.0.min(mean), bounds.1.max(mean));
    (mean - share * (mean - least), mean + share * (most - mean))
}

fn resampled(clusters: &[(f64, f64)], mean: f64, seed: u64) -> (f64, f64) {
    let mut draws = Draws::new(seed);
    let mut means: Vec<f64> = (0..DRAWS).map(|_| one_draw(clusters, &mut draws)).collect();
    means.sort_by(f64::total_cmp);
    let at = |q| quantile_of_sorted(&means, q);
    // A very skewed sample could put the mean outside; the promise is that it lies within.
    (at(0.025).min(mean), at(0.975).max(mean))
}

fn one_draw(clusters: &[(f64, f64)], draws: &mut Draws) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for _ in clusters {
        let drawn = clusters[draws.below(clusters.len())];
        sum += drawn.0;
        n += drawn.1;
    }
    sum / n
}

/// Wilson's 95% interval for a share of `successes` in `n` (Wilson 1927). `(0, 1)` where `n` is 0;
/// more successes than trials count as all.
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (s, n) = (successes.min(n) as f64, n as f64);
    let (p, z2) = (s / n, Z * Z);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and n the ends are exact; rounding must not push them off.
    let low = if s == 0.0 {
        0.0
    } else {
        (centre - half).max(0.0)
    };
    let high = if s == n {
        1.0
    } else {
        (centre + half).min(1.0)
    };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: (f64, f64), b: (f64, f64), within: f64) -> bool {
        (a.0 - b.0).abs() < within && (a.1 - b.1).abs() < within
    }

    /// scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    #[test]
    fn wilson_agrees_with_scipy() {
        let oracle = [
            (0, 1, 0.0, 0.793_450_685_622_762_6),
            (1, 1, 0.206_549_314_377_237_45, 1.0),
            (0, 40, 0.0, 0.087_621_601_197_286_62),
            (7, 20, 0.181_191_824_101_082_1, 0.567_145_723_314_763_7),
            (50, 100, 0.403_831_530_365_995_6, 0.596_168_469_634_004_4),
            (333, 1000, 0.304_477_903_348_356_2, 0.362_800_233_985_819_2),
        ];
        for (s, n, low, high) in oracle {
            assert!(close(wilson(s, n), (low, high), 1e-12), "{s}/{n}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(9, 5), wilson(5, 5));
    }

    // numpy, the rows below as (c, x), two million draws instead of our 2,000:
    //   sums = np.bincount(c, x); n = np.bincount(c)
    //   ix = np.random.default_rng(4).integers(0, 10, (2_000_000, 10))
    //   np.quantile(sums[ix].sum(1) / n[ix].sum(1), [.025, .975])
    #[test]
    fn the_interval_agrees_with_a_longer_bootstrap_in_numpy() {
        let sizes = [1, 2, 3, 4, 1, 2, 3, 4, 5, 6];
        let rows: Vec<(usize, f64)> = (0..10)
            .flat_map(|c| {
                (0..sizes[c]).map(move |i| (c, ((c * 7 + i * 3) % 11) as f64 / 10.0 - 0.4))
            })
            .collect();
        let e = cluster_bootstrap(&rows, 9).unwrap();
        assert!((e.mean - 0.09677419354838707).abs() < 1e-12, "{e:?}");
        assert!(close(e.ci95, (0.0206, 0.1821), 0.02), "{e:?}");
    }

    #[test]
    fn no_spread_is_not_certainty() {
        let one = cluster_bootstrap(&[(3, 0.5)], 1).unwrap();
        assert_eq!((one.mean, one.n), (0.5, 1));
        assert!(one.ci95.0 < -0.6 && one.ci95.1 > 0.85, "{one:?}");
        let zeros: Vec<_> = (0..40).map(|i| (i, 0.0)).collect();
        let e = cluster_bootstrap_within(&zeros, (0.0, 1.0), 1).unwrap();
        assert!(close(e.ci95, wilson(0, 40), 1e-12), "{e:?}");
        let ones: Vec<_> = (0..40).map(|i| (i, 1.0)).collect();
        let e = cluster_bootstrap_within(&ones, (0.0, 1.0), 1).unwrap();
        assert!(close(e.ci95, wilson(40, 40), 1e-12), "{e:?}");
    }

    #[test]
    fn nothing_or_nan_has_no_estimate() {
        assert_eq!(cluster_bootstrap(&[], 1), None);
        assert_eq!(cluster_bootstrap(&[(0, 1.0), (1, f64::NAN)], 1), None);
    }

    #[test]
    fn repeats_of_one_question_do_not_narrow_the_interval() {
        let single: Vec<_> = (0..30)
            .map(|i| (i, f64::from(u8::from(i % 3 == 0))))
            .collect();
        let repeated: Vec<_> = single.iter().flat_map(|row| [*row; 8]).collect();
        let (a, b) = (
            cluster_bootstrap(&single, 5).unwrap(),
            cluster_bootstrap(&repeated, 5).unwrap(),
        );
        assert!(close(a.ci95, b.ci95, 1e-12));
        assert_eq!((a.n, b.n), (30, 240));
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_mean(rows in prop::collection::vec((0..12usize, -1.0..1.0f64), 1..60), seed: u64) {
            let e = cluster_bootstrap(&rows, seed).unwrap();
            prop_assert!(e.ci95.0 <= e.mean && e.mean <= e.ci95.1);
            prop_assert!(e.ci95.0 < e.ci95.1);
            prop_assert!(e.ci95.0 >= -1.0 - 1e-9 && e.ci95.1 <= 1.0 + 1e-9);
            prop_assert_eq!(e, cluster_bootstrap(&rows, seed).unwrap());
        }

        #[test]
        fn wilson_holds_the_share(s in 0..500usize, more in 0..500usize) {
            let n = s + more;
            let (low, high) = wilson(s, n);
            let p = if n == 0 { 0.5 } else { s as f64 / n as f64 };
            prop_assert!(0.0 <= low && low <= p && p <= high && high <= 1.0 && low < high);
        }
    }
}
