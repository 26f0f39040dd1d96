//! A straight line through points, and an interval for where it starts.

use super::{Draws, Estimate, quantile_of_sorted};
use std::{collections::BTreeMap, ops::AddAssign};

/// How many times the clusters are drawn.
const DRAWS: usize = 2_000;
/// With fewer clusters an interval for a line says nothing.
const FEWEST: usize = 3;

/// `y = intercept + slope x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// At x = 0.
    pub intercept: f64,
    /// Per unit of x.
    pub slope: f64,
}

impl Line {
    /// The least-squares line through `(cluster, x, y)` rows, each with the same weight. `None` where all x are the
    /// same, rounding aside, or a number is not finite.
    pub fn through(rows: &[(usize, f64, f64)]) -> Option<Self> {
        let mut sums = Sums::default();
        rows.iter().for_each(|(_, x, y)| sums += Sums::of(*x, *y));
        sums.line()
    }
}

/// What a least-squares line is made of.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn of(x: f64, y: f64) -> Self {
        Self {
            n: 1.0,
            x,
            y,
            xx: x * x,
            xy: x * y,
        }
    }

    fn line(&self) -> Option<Line> {
        let spread = self.xx - self.x * self.x / self.n;
        // Not `<=`: a NaN is no line either.
        if !(spread > 1e-9 * self.xx.max(f64::MIN_POSITIVE)) || !spread.is_finite() {
            return None;
        }
        let slope = (self.xy - self.x * self.y / self.n) / spread;
        let intercept = (self.y - slope * self.x) / self.n;
        (slope.is_finite() && intercept.is_finite()).then_some(Line { intercept, slope })
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.xy += other.xy;
    }
}

/// The intercept of the line through `(cluster index, x, y)` rows with a percentile bootstrap interval over clusters, as
/// in [`super::cluster_bootstrap`]: whole clusters are drawn with replacement, and the line is fitted again to each draw.
/// A draw in which x does not vary has no line: its mean y stands in.
///
/// `None` where there is no line, or there are fewer than three clusters.
pub fn cluster_bootstrap_intercept(rows: &[(usize, f64, f64)], seed: u64) -> Option<Estimate> {
    let mean = Line::through(rows)?.intercept;
    let mut clusters: BTreeMap<usize, Sums> = BTreeMap::new();
    for (cluster, x, y) in rows {
        *clusters.entry(*cluster).or_default() += Sums::of(*x, *y);
    }
    let clusters: Vec<Sums> = clusters.into_values().collect();
    if clusters.len() < FEWEST {
        return None;
    }
    let mut draws = Draws::new(seed);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| one_draw(&clusters, &mut draws))
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |q| quantile_of_sorted(&drawn, q);
    Some(Estimate {
        mean,
        ci95: (at(0.025).min(mean), at(0.975).max(mean)),
        n: rows.len(),
    })
}

fn one_draw(clusters: &[Sums], draws: &mut Draws) -> f64 {
    let mut sums = Sums::default();
    for _ in clusters {
        sums += clusters[draws.below(clusters.len())];
    }
    sums.line().map_or(sums.y / sums.n, |line| line.intercept)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Exact, by Python's fractions.Fraction: slope 1.2374005305039788, intercept 0.6210212201591512.
    const X: [f64; 7] = [0.5, -1.0, 2.0, 0.0, 1.5, 0.25, -0.5];
    const Y: [f64; 7] = [1.0, -0.5, 3.5, 0.25, 2.0, 1.5, 0.0];

    fn rows() -> Vec<(usize, f64, f64)> {
        (0..7).map(|i| (i, X[i], Y[i])).collect()
    }

    #[test]
    fn a_line_agrees_with_exact_arithmetic() {
        let line = Line::through(&rows()).unwrap();
        assert!(
            (line.slope - 1.237_400_530_503_978_8).abs() < 1e-12,
            "{}",
            line.slope
        );
        assert!(
            (line.intercept - 0.621_021_220_159_151_2).abs() < 1e-12,
            "{}",
            line.intercept
        );
    }

    #[test]
    fn the_interval_holds_the_line_and_widens_with_noise() {
        let tight = cluster_bootstrap_intercept(&rows(), 1).unwrap();
        assert!(tight.ci95.0 <= tight.mean && tight.mean <= tight.ci95.1);
        let noisy = |(i, x, y): (usize, f64, f64)| (i, x, y + if i % 2 == 0 { 2.0 } else { -2.0 });
        let noisy: Vec<_> = rows().into_iter().map(noisy).collect();
        let wide = cluster_bootstrap_intercept(&noisy, 1).unwrap();
        let width = |e: &Estimate| e.ci95.1 - e.ci95.0;
        assert!(width(&wide) > 2.0 * width(&tight));
        assert_eq!(cluster_bootstrap_intercept(&rows(), 1), Some(tight));
    }

    #[test]
    fn there_is_no_line_without_spread() {
        assert_eq!(Line::through(&[(0, 1.0, 1.0), (1, 1.0, 2.0)]), None);
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(0, f64::NAN, 1.0), (1, 1.0, 2.0)]), None);
        assert_eq!(cluster_bootstrap_intercept(&rows()[..2], 1), None);
    }
}
