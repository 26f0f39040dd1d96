//! What is believed of each member's true mean: the posterior of an additive model.
//!
//! ```text
//! value = member + example + noise
//! start = common + N(0, starts)
//! child = common + 0.7 (parent - common) + drift + operator + N(0, spread of its operator)
//! ```
//!
//! Examples are drawn from N(0, difficulty), noise from N(0, noise). Everything is normal, so the posterior is exact once the
//! variances are fixed; those are fitted to the pool (empirical Bayes).
//!
//! Examples that many were tried on tell how hard they are, so that a member that met the hard ones is not blamed for
//! it. A child that was tried little is drawn to what children of such a parent by such an operator are like: luck on ten
//! examples is taken for luck, the less the more that operator's children are known to differ. Poor children are no evidence
//! against their parent, as long as they are poor alike: that is the drift.

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
/// Variance of an operator's children around what is expected of them, and how many the guess counts for.
const CHILDREN: (f64, f64) = (0.007, 4.0);
/// How much of what a parent is above or below the common mean its children are expected to keep. The best of many are lucky
/// in part, and what made them good is lost on the way: believing that children stay as good as their parents is what lets a
/// search chase luck from one generation to the next.
const KEPT: f64 = 0.7;
/// Standard deviation of how much poorer or better children are on the whole, and of what an operator adds to that.
const DRIFT: (f64, f64) = (0.10, 0.08);
/// Rounds in which the variances are fitted.
const FITS: usize = 10;

/// The joint posterior of all members' means.
#[derive(Debug)]
pub(crate) struct Belief {
    kin: Kin,
    /// Means of all nodes; see [`Kin`].
    mean: Vec<f64>,
    /// The inverse of the precision's lower factor: the covariance is its transpose times itself.
    inverse: Triangle,
    /// Variances of start prompts and of each operator's children.
    spread: Vec<f64>,
}

impl Belief {
    /// Of all members, tried or not.
    pub(crate) fn of(pool: &Pool, table: &Table) -> Self {
        let kin = Kin::of(pool);
        let answers = Answers::of(table, Variance::of(table), kin.first());
        let mut spread = vec![CHILDREN.0; 1 + kin.operators.len()];
        spread[0] = STARTS.0;
        let mut belief = answers.with_prior(kin, spread);
        for _ in 0..FITS {
            let spread = belief.spread();
            belief = answers.with_prior(belief.kin, spread);
        }
        belief
    }

    /// The posterior mean of a member.
    pub(crate) fn mean(&self, member: usize) -> f64 {
        self.mean[self.kin.first() + member]
    }

    /// All members' true means, drawn together.
    pub(crate) fn draw(&self, draws: &mut Draws) -> Vec<f64> {
        let normals: Vec<f64> = self.mean.iter().map(|_| draws.normal()).collect();
        let moved = multiply_transposed(&self.inverse, &normals);
        let drawn = moved.iter().zip(&self.mean).map(|(x, m)| x + m);
        drawn.skip(self.kin.first()).collect()
    }

    /// What a child of `parent` by this operator is expected to be: mean and standard deviation.
    pub(crate) fn child(&self, parent: usize, operator: &str) -> (f64, f64) {
        let known = self.kin.operators.iter().position(|o| o == operator);
        let from = Some(self.kin.first() + parent);
        let terms = self.kin.terms(None, from, known);
        let mean = -terms
            .iter()
            .map(|(node, c)| c * self.mean[*node])
            .sum::<f64>();
        let own = known.map_or(CHILDREN.0 + DRIFT.1 * DRIFT.1, |o| self.spread[1 + o]);
        (mean, (own + self.inverse.contrast(&terms)).sqrt())
    }

    /// One step of expectation and maximisation for the variances.
    fn spread(&self) -> Vec<f64> {
        let mut sums = vec![(CHILDREN.0 * CHILDREN.1, CHILDREN.1); self.spread.len()];
        sums[0] = (STARTS.0 * STARTS.1, STARTS.1);
        for m in 0..self.kin.members.len() {
            let (group, terms) = self.kin.born(m);
            let apart = terms
                .iter()
                .map(|(node, c)| c * self.mean[*node])
                .sum::<f64>();
            sums[group].0 += apart * apart + self.inverse.contrast(&terms);
            sums[group].1 += 1.0;
        }
        sums.iter().map(|(sum, n)| sum / n).collect()
    }
}

/// Who comes from whom, and the nodes of the model: the start prompts' common mean, the drift of children, one for each
/// operator, then the members.
#[derive(Debug)]
struct Kin {
    operators: Vec<String>,
    /// Of each member the parent, where it has one that is older, and the operator.
    members: Vec<Option<(usize, usize)>>,
}

impl Kin {
    fn of(pool: &Pool) -> Self {
        let mut operators: Vec<String> = Vec::new();
        let mut place = |name: &str| {
            let known = operators.iter().position(|o| o == name);
            known.unwrap_or_else(|| {
                operators.push(name.to_owned());
                operators.len() - 1
            })
        };
        let mut born = |(m, member): (usize, &crate::pool::Member)| {
            let parent = member.parents.first().copied().filter(|p| *p < m)?;
            Some((parent, place(member.operator.as_deref().unwrap_or(""))))
        };
        let members = pool.members.iter().enumerate().map(&mut born).collect();
        Self { operators, members }
    }

    /// The node of the first member.
    fn first(&self) -> usize {
        2 + self.operators.len()
    }

    /// The group whose variance a member's is, and the sum of nodes that is drawn around 0 with it.
    fn born(&self, member: usize) -> (usize, Vec<(usize, f64)>) {
        let own = Some(self.first() + member);
        match self.members[member] {
            None => (0, self.terms(own, None, None)),
            Some((parent, operator)) => {
                let parent = Some(self.first() + parent);
                (1 + operator, self.terms(own, parent, Some(operator)))
            }
        }
    }

    /// A member less what is expected of it.
    fn terms(
        &self,
        own: Option<usize>,
        parent: Option<usize>,
        operator: Option<usize>,
    ) -> Vec<(usize, f64)> {
        let mut terms: Vec<(usize, f64)> = own.map(|node| (node, 1.0)).into_iter().collect();
        match parent {
            None => terms.push((0, -1.0)),
            Some(parent) => terms.extend([(parent, -KEPT), (0, KEPT - 1.0), (1, -1.0)]),
        }
        terms.extend(operator.map(|o| (2 + o, -1.0)));
        terms
    }
}

/// What the answers say, with the examples' effects integrated out: a precision and its product with the mean.
struct Answers {
    precision: Triangle,
    pull: Vec<f64>,
}

impl Answers {
    /// `first` is the node of the first member.
    fn of(table: &Table, variance: Variance, first: usize) -> Self {
        let size = table.members() + first;
        let (mut precision, mut pull) = (Triangle::zero(size), vec![0.0; size]);
        let ratio = variance.noise / variance.difficulty;
        let mut columns = vec![(Vec::new(), 0.0); table.examples()];
        for m in 0..table.members() {
            for &(i, value) in table.row(m) {
                columns[i].0.push(m + first);
                columns[i].1 += value;
                pull[m + first] += value / variance.noise;
            }
            *precision.at(m + first, m + first) += table.count(m) as f64 / variance.noise;
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

    fn with_prior(&self, kin: Kin, spread: Vec<f64>) -> Belief {
        let (mut precision, mut pull) = (self.precision.clone(), self.pull.clone());
        let common = 1.0 / (COMMON.1 * COMMON.1);
        pull[0] += common * COMMON.0;
        *precision.at(0, 0) += common;
        *precision.at(1, 1) += 1.0 / (DRIFT.0 * DRIFT.0);
        (2..kin.first()).for_each(|o| *precision.at(o, o) += 1.0 / (DRIFT.1 * DRIFT.1));
        for m in 0..kin.members.len() {
            let (group, terms) = kin.born(m);
            for (a, x) in &terms {
                for (b, y) in terms.iter().filter(|(b, _)| b <= a) {
                    *precision.at(*a, *b) += x * y / spread[group];
                }
            }
        }
        precision.factor();
        let inverse = precision.inverted();
        let mean = multiply_transposed(&inverse, &inverse.multiply(&pull));
        Belief {
            kin,
            mean,
            inverse,
            spread,
        }
    }
}
