//! What is believed of each member's true mean: the posterior of an additive model.
//!
//! ```text
//! value = member + example + noise
//! start = common + N(0, starts)
//! child = common + sum of kept (parent - common) + drift + operator + N(0, spread of its operator)
//! ```
//!
//! Examples are drawn from N(0, difficulty), noise from N(0, noise). The noise of a child is like its parent's on the same example
//! where the operator changes words alone: a model that is shown the same demonstrations says much the same. So a family that
//! was lucky on twenty examples is not believed for having been asked them ten times over. Everything is normal, so the
//! posterior is exact once the variances are fixed; those are fitted to the pool (empirical Bayes), from guesses that differ between families of operators
//! ([`Guess`]): one who knows nothing yet knows that other demonstrations change more than other words.
//!
//! Examples that many were tried on tell how hard they are, so that a member that met the hard ones is not blamed for
//! it. Of prompts to which the model always says the same, more is known ([`super::steady`]). A child that was tried little is drawn to what children of such a parent by such an operator are like: luck on ten
//! examples is taken for luck, the less the more that operator's children are known to differ. Poor children are no evidence
//! against their parent, as long as they are poor alike: that is the drift.

use super::{
    steady::{self, Steady},
    table::Table,
    triangle::{Triangle, multiply_transposed},
    variance::Variance,
};
use crate::{
    draws::Draws,
    operator::Operator,
    pool::{Member, Pool},
};

/// Standard deviation and mean of the mean of all start prompts, before anything is known.
const COMMON: (f64, f64) = (0.5, 0.3);
/// Variance of start prompts around their mean, and how many prompts the guess counts for.
const STARTS: (f64, f64) = (0.01, 10.0);
/// How many children the guess at an operator's spread counts for.
const CHILDREN: f64 = 4.0;
/// Standard deviation of how much poorer or better children are on the whole.
const DRIFT: f64 = 0.05;
/// Rounds in which the variances are fitted.
const FITS: usize = 10;

/// What is believed of an operator's children before there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Guess {
    /// How much they keep of what their first parent is above or below the common mean, and of what their second is. The best
    /// of many are lucky in part, and what made them good is lost on the way: believing that children stay as good as their
    /// parents is what lets a search chase luck from one generation to the next.
    kept: [f64; 2],
    /// Mean and standard deviation of what the operator adds to all of its children.
    adds: (f64, f64),
    /// Standard deviation of one child around what is expected of it.
    spread: f64,
    /// The correlation of its noise with its first parent's on the same example.
    alike: f64,
}

impl Guess {
    /// Other words for the same: mostly a little poorer.
    const WORDS: Self = Self {
        kept: [0.7, 0.0],
        adds: (-0.03, 0.04),
        spread: 0.07,
        alike: 0.7,
    };
    /// Other demonstrations: next to nothing of the parent is left, and anything can come of them.
    const DEMONSTRATIONS: Self = Self {
        kept: [0.05, 0.0],
        adds: (0.0, 0.05),
        spread: 0.13,
        alike: 0.0,
    };
    /// One demonstration changed with a purpose.
    const CORRECTED: Self = Self {
        kept: [0.6, 0.0],
        adds: (0.0, 0.05),
        spread: 0.1,
        alike: 0.3,
    };
    /// The instruction of one, the demonstrations of another, which decide more.
    const CROSSED: Self = Self {
        kept: [0.2, 0.5],
        adds: (0.0, 0.05),
        spread: 0.08,
        alike: 0.0,
    };

    fn of(operator: &str) -> Self {
        match Operator::from_name(operator) {
            Some(operator) if operator.begins_anew() => Self::DEMONSTRATIONS,
            Some(Operator::Corrected) => Self::CORRECTED,
            Some(Operator::Crossover) => Self::CROSSED,
            _ => Self::WORDS,
        }
    }

    fn variance(&self) -> f64 {
        self.spread * self.spread
    }
}

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
        let (kin, steady) = (Kin::of(pool), steady::of(pool));
        let varied = table.without(|m| steady[m].is_some());
        let mut answers = Answers::of(&varied, Variance::of(&varied), &kin);
        for (m, known) in steady.iter().enumerate() {
            if let Some(known) = known {
                answers.know(m + kin.first(), known);
            }
        }
        let guessed = kin.guesses().map(|guess| guess.variance());
        let spread = std::iter::once(STARTS.0).chain(guessed).collect();
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

    /// By how much a child of `parent` by this operator is expected to be better than it: mean and standard deviation. Where
    /// the operator takes two parents, it is the one that more is kept of, and of the other nothing is known.
    pub(crate) fn gain(&self, parent: usize, operator: &str) -> (f64, f64) {
        let guess = Guess::of(operator);
        let known = self.kin.operators.iter().position(|o| o == operator);
        let kept = guess.kept[0].max(guess.kept[1]);
        let mut terms = self.kin.of_child(&[(parent, kept)], known);
        terms.push((self.kin.first() + parent, 1.0));
        let expected: f64 = terms.iter().map(|(node, c)| -c * self.mean[*node]).sum();
        let (adds, own) = match known {
            Some(operator) => (0.0, self.spread[1 + operator]),
            None => (guess.adds.0, guess.variance() + guess.adds.1.powi(2)),
        };
        let variance = own + self.inverse.contrast(&terms);
        (expected + adds, variance.sqrt())
    }

    /// One step of expectation and maximisation for the variances.
    fn spread(&self) -> Vec<f64> {
        let guessed = self.kin.guesses();
        let mut sums = vec![(STARTS.0 * STARTS.1, STARTS.1)];
        sums.extend(guessed.map(|guess| (guess.variance() * CHILDREN, CHILDREN)));
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
    /// Of each member how it was born; `None` for start prompts.
    members: Vec<Option<Birth>>,
}

/// A child's parents with how much it keeps of each, and the operator.
#[derive(Debug)]
struct Birth {
    parents: Vec<(usize, f64)>,
    operator: usize,
}

impl Kin {
    fn of(pool: &Pool) -> Self {
        let mut kin = Self {
            operators: Vec::new(),
            members: Vec::new(),
        };
        for (m, member) in pool.members.iter().enumerate() {
            let birth = kin.birth(m, member);
            kin.members.push(birth);
        }
        kin
    }

    /// Parents that are no older than their child, or of which nothing is kept, are none.
    fn birth(&mut self, place: usize, member: &Member) -> Option<Birth> {
        let name = member.operator.as_deref().unwrap_or("");
        let parents = member.parents.iter().copied().zip(Guess::of(name).kept);
        let parents: Vec<(usize, f64)> = parents
            .filter(|(p, kept)| *p < place && *kept > 0.0)
            .collect();
        if parents.is_empty() {
            return None;
        }
        let known = self.operators.iter().position(|o| o == name);
        let operator = known.unwrap_or_else(|| {
            self.operators.push(name.to_owned());
            self.operators.len() - 1
        });
        Some(Birth { parents, operator })
    }

    fn guesses(&self) -> impl Iterator<Item = Guess> + '_ {
        self.operators.iter().map(|operator| Guess::of(operator))
    }

    /// The node of the first member.
    fn first(&self) -> usize {
        2 + self.operators.len()
    }

    /// The group whose variance a member's is, and the sum of nodes that is drawn around 0 with it.
    fn born(&self, member: usize) -> (usize, Vec<(usize, f64)>) {
        let own = (self.first() + member, 1.0);
        let (group, mut terms) = match &self.members[member] {
            None => (0, vec![(0, -1.0)]),
            Some(birth) => (
                1 + birth.operator,
                self.of_child(&birth.parents, Some(birth.operator)),
            ),
        };
        terms.push(own);
        (group, terms)
    }

    /// The correlation of the noise of any two members on the same example: along the line that joins them, the product of
    /// how alike each child is to its first parent. Rows of what is on or below the diagonal.
    fn likeness(&self) -> Vec<Vec<f64>> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(self.members.len());
        for (m, birth) in self.members.iter().enumerate() {
            let mut row = vec![0.0; m];
            if let Some(birth) = birth
                && let Some(&(parent, _)) = birth.parents.first()
            {
                let alike = Guess::of(&self.operators[birth.operator]).alike;
                for (other, cell) in row.iter_mut().enumerate() {
                    let (older, younger) = (parent.min(other), parent.max(other));
                    *cell = alike * rows[younger][older];
                }
            }
            row.push(1.0);
            rows.push(row);
        }
        rows
    }

    /// What is expected of a child, with its sign turned.
    fn of_child(&self, parents: &[(usize, f64)], operator: Option<usize>) -> Vec<(usize, f64)> {
        let kept: f64 = parents.iter().map(|p| p.1).sum();
        let mut terms = vec![(0, kept - 1.0), (1, -1.0)];
        terms.extend(parents.iter().map(|(p, kept)| (self.first() + p, -kept)));
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
    fn of(table: &Table, variance: Variance, kin: &Kin) -> Self {
        let (first, alike) = (kin.first(), kin.likeness());
        let size = table.members() + first;
        let mut answers = Self {
            precision: Triangle::zero(size),
            pull: vec![0.0; size],
        };
        let mut columns = vec![Vec::new(); table.examples()];
        for m in 0..table.members() {
            let row = table.row(m).iter();
            row.for_each(|&(i, value)| columns[i].push((m, value)));
        }
        for tried in columns.iter().filter(|tried| !tried.is_empty()) {
            answers.add(tried, variance, &alike, first);
        }
        answers
    }

    /// What one example says of the members that were tried on it, the oldest first.
    fn add(
        &mut self,
        tried: &[(usize, f64)],
        variance: Variance,
        alike: &[Vec<f64>],
        first: usize,
    ) {
        let mut covariance = Triangle::zero(tried.len());
        for (k, &(a, _)) in tried.iter().enumerate() {
            for (l, &(b, _)) in tried[..=k].iter().enumerate() {
                *covariance.at(k, l) = variance.noise * alike[a][b] + variance.difficulty;
            }
        }
        covariance.factor();
        let inverse = covariance.inverted();
        let values: Vec<f64> = tried.iter().map(|t| t.1).collect();
        let pull = multiply_transposed(&inverse, &inverse.multiply(&values));
        for (k, &(a, _)) in tried.iter().enumerate() {
            self.pull[a + first] += pull[k];
            for (l, &(b, _)) in tried[..=k].iter().enumerate() {
                *self.precision.at(a + first, b + first) += inverse.product(k, l);
            }
        }
    }

    /// What a member's replies say by being all the same.
    fn know(&mut self, node: usize, known: &Steady) {
        *self.precision.at(node, node) += 1.0 / known.variance;
        self.pull[node] += known.share / known.variance;
    }

    fn with_prior(&self, kin: Kin, spread: Vec<f64>) -> Belief {
        let (mut precision, mut pull) = (self.precision.clone(), self.pull.clone());
        let common = 1.0 / (COMMON.1 * COMMON.1);
        pull[0] += common * COMMON.0;
        *precision.at(0, 0) += common;
        *precision.at(1, 1) += 1.0 / (DRIFT * DRIFT);
        for (o, guess) in kin.guesses().enumerate() {
            let (mean, deviation) = guess.adds;
            *precision.at(2 + o, 2 + o) += 1.0 / (deviation * deviation);
            pull[2 + o] += mean / (deviation * deviation);
        }
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
