//! Who was tried on what.

use crate::pool::{Member, Pool, Trial};
use std::cmp::Ordering;

/// A row for each member: the examples that it was tried on, in their order, and its values there.
#[derive(Debug)]
pub(crate) struct Table {
    examples: usize,
    rows: Vec<Vec<(usize, f64)>>,
}

impl Table {
    /// Of all members. A trial of an example that the pool does not have, or whose value is no number, is passed over;
    /// several of the same example count as their mean; values are clamped to `[0, 1]`.
    pub(crate) fn of(pool: &Pool) -> Self {
        let examples = pool.examples.len();
        let rows = pool.members.iter().map(|m| row(m, examples)).collect();
        Self { examples, rows }
    }

    /// The same without the trials of some members.
    pub(crate) fn without(&self, of: impl Fn(usize) -> bool) -> Self {
        let row = |(m, row): (usize, &Vec<(usize, f64)>)| match of(m) {
            true => Vec::new(),
            false => row.clone(),
        };
        Self {
            examples: self.examples,
            rows: self.rows.iter().enumerate().map(row).collect(),
        }
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.rows.len()
    }

    /// How many examples there are.
    pub(crate) fn examples(&self) -> usize {
        self.examples
    }

    /// All trials of a member: example and value, by example.
    pub(crate) fn row(&self, member: usize) -> &[(usize, f64)] {
        &self.rows[member]
    }

    /// How many examples a member was tried on.
    pub(crate) fn count(&self, member: usize) -> usize {
        self.rows[member].len()
    }

    /// Whether a member was tried on an example.
    pub(crate) fn tried(&self, member: usize, example: usize) -> bool {
        let row = self.row(member);
        row.binary_search_by_key(&example, |t| t.0).is_ok()
    }

    /// The first member's value less the second's, on each example that both were tried on, in the order of examples.
    pub(crate) fn differences(&self, a: usize, b: usize) -> impl Iterator<Item = f64> + '_ {
        let (mut left, mut right) = (self.row(a), self.row(b));
        std::iter::from_fn(move || {
            while let ([x, later @ ..], [y, after @ ..]) = (left, right) {
                match x.0.cmp(&y.0) {
                    Ordering::Less => left = later,
                    Ordering::Greater => right = after,
                    Ordering::Equal => {
                        (left, right) = (later, after);
                        return Some(x.1 - y.1);
                    }
                }
            }
            None
        })
    }

    /// A member's mean value; `None` where it was not tried.
    pub(crate) fn mean(&self, member: usize) -> Option<f64> {
        let row = self.row(member);
        (!row.is_empty()).then(|| row.iter().map(|t| t.1).sum::<f64>() / row.len() as f64)
    }
}

/// Trials are sorted first: a sum's last bit depends on the order, and trials have none.
fn row(member: &Member, examples: usize) -> Vec<(usize, f64)> {
    let counts = |t: &&Trial| t.example < examples && t.value.is_finite();
    let mut trials: Vec<(usize, f64)> = (member.trials.iter().filter(counts))
        .map(|t| (t.example, t.value.clamp(0.0, 1.0)))
        .collect();
    trials.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mean = |same: &[(usize, f64)]| {
        let sum = same.iter().map(|t| t.1).sum::<f64>();
        (same[0].0, sum / same.len() as f64)
    };
    trials.chunk_by(|a, b| a.0 == b.0).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::pool;

    #[test]
    fn repeats_are_averaged_and_strangers_passed_over() {
        let mut pool = pool(
            3,
            &[&[(2, 1.0), (0, 0.5), (2, 0.0), (7, 1.0), (1, f64::NAN)]],
        );
        pool.members[0].trials[1].value = 3.0;
        let table = Table::of(&pool);
        assert_eq!(table.row(0), [(0, 1.0), (2, 0.5)]);
        assert!(table.tried(0, 2) && !table.tried(0, 1));
        assert_eq!(table.mean(0), Some(0.75));
    }

    #[test]
    fn differences_are_of_shared_examples_in_order() {
        let pool = pool(
            5,
            &[
                &[(4, 1.0), (0, 1.0), (2, 0.25)],
                &[(2, 1.0), (3, 1.0), (4, 0.0)],
            ],
        );
        let differences: Vec<f64> = Table::of(&pool).differences(0, 1).collect();
        assert_eq!(differences, [-0.75, 1.0]);
    }
}
