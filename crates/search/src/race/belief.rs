//! What is believed of each member's true mean: the posterior of an additive model.
//!
//! `value = member + example + noise`. Examples are drawn from N(0, difficulty), noise from N(0, noise). A start prompt
//! is drawn around a common mean, a child around the parent that its instruction came from. Everything is normal, so the
//! posterior is exact once the variances are fixed; those are fitted to the pool (empirical Bayes).
//!
//! Examples that many were tried on tell how hard they are, so that a member that met the hard ones is not blamed for
//! it; and a child that was tried little is drawn to its parent, so that luck on ten examples is taken for luck.

use super::{
    table::Table,
    triangle::{Triangle, multiply_transposed},
    variance::Variance,
};
use crate::{draws::Draws, pool::Pool};

/// Standard deviation and mean of the mean of all start prompts, before anything is known.
const COMMON: (f64, f64) = (0.5, 0.3);
/// Variance of start prompts around their mean, and how many prompts the guess counts for.
const STARTS: (f64, f64) = (0.01, 10.0);
/// Variance of children around their parent, and how many the guess counts for.
const CHILDREN: (f64, f64) = (0.005, 20.0);
/// Rounds in which the two variances are fitted.
const FITS: usize = 3;

/// The joint posterior of all members' means.
#[derive(Debug)]
pub(crate) struct Belief {
    /// Means; the first is the start prompts' common mean.
    mean: Vec<f64>,
    /// The inverse of the precision's lower factor: the covariance is its transpose times itself.
    inverse: Triangle,
}

impl Belief {
    /// Of all members, tried or not.
    pub(crate) fn of(pool: &Pool, table: &Table) -> Self {
        let parents = parents(pool);
        let answers = Answers::of(table, Variance::of(table));
        let mut spread = (STARTS.0, CHILDREN.0);
        let mut belief = answers.with_prior(&parents, spread);
        for _ in 0..FITS {
            spread = belief.spread(&parents);
            belief = answers.with_prior(&parents, spread);
        }
        belief
    }

    /// The posterior mean of a member.
    pub(crate) fn mean(&self, member: usize) -> f64 {
        self.mean[member + 1]
    }

    /// All members' true means, drawn together.
    pub(crate) fn draw(&self, draws: &mut Draws) -> Vec<f64> {
        let normals: Vec<f64> = self.mean.iter().map(|_| draws.normal()).collect();
        let moved = multiply_transposed(&self.inverse, &normals);
        let drawn = moved.iter().zip(&self.mean).map(|(x, m)| x + m);
        drawn.skip(1).collect()
    }

    /// One step of expectation and maximisation for the variances of start prompts and of children.
    fn spread(&self, parents: &[usize]) -> (f64, f64) {
        let (mut starts, mut children) = (STARTS, CHILDREN);
        starts.0 *= starts.1;
        children.0 *= children.1;
        for (m, &parent) in parents.iter().enumerate() {
            let apart = self.mean[m + 1] - self.mean[parent];
            let square = apart * apart + self.inverse.contrast(m + 1, parent);
            let sum = if parent == 0 {
                &mut starts
            } else {
                &mut children
            };
            sum.0 += square;
            sum.1 += 1.0;
        }
        (starts.0 / starts.1, children.0 / children.1)
    }
}

/// For each member what it is drawn around: 0, the common mean, or 1 + its first parent.
fn parents(pool: &Pool) -> Vec<usize> {
    let first = |(m, member): (usize, &crate::pool::Member)| {
        let earlier = member.parents.first().filter(|p| **p < m);
        earlier.map_or(0, |p| p + 1)
    };
    pool.members.iter().enumerate().map(first).collect()
}

/// What the answers say, with the examples' effects integrated out: a precision and its product with the mean.
struct Answers {
    precision: Triangle,
    pull: Vec<f64>,
}

impl Answers {
    fn of(table: &Table, variance: Variance) -> Self {
        let size = table.members() + 1;
        let (mut precision, mut pull) = (Triangle::zero(size), vec![0.0; size]);
        let ratio = variance.noise / variance.difficulty;
        let mut columns = vec![(Vec::new(), 0.0); table.examples()];
        for m in 0..table.members() {
            for &(i, value) in table.row(m) {
                columns[i].0.push(m + 1);
                columns[i].1 += value;
                pull[m + 1] += value / variance.noise;
            }
            *precision.at(m + 1, m + 1) += table.count(m) as f64 / variance.noise;
        }
        for (tried, sum) in columns.iter().filter(|c| !c.0.is_empty()) {
            let share = 1.0 / (variance.noise * (tried.len() as f64 + ratio));
            for (k, &a) in tried.iter().enumerate() {
                pull[a] -= sum * share;
                precision.subtract(a, &tried[..=k], share);
            }
        }
        Self { precision, pull }
    }

    fn with_prior(&self, parents: &[usize], (starts, children): (f64, f64)) -> Belief {
        let (mut precision, mut pull) = (self.precision.clone(), self.pull.clone());
        let common = 1.0 / (COMMON.1 * COMMON.1);
        *precision.at(0, 0) += common;
        pull[0] += common * COMMON.0;
        for (m, &parent) in parents.iter().enumerate() {
            let tie = 1.0 / if parent == 0 { starts } else { children };
            *precision.at(m + 1, m + 1) += tie;
            *precision.at(parent, parent) += tie;
            *precision.at(m + 1, parent) -= tie;
        }
        precision.factor();
        let inverse = precision.inverted();
        let mean = multiply_transposed(&inverse, &inverse.multiply(&pull));
        Belief { mean, inverse }
    }
}
