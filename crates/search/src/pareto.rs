//! Which member has the next child, and which prompts are the best trade between several aims.

use crate::{
    draws::Draws,
    pool::Pool,
    race::{belief::Belief, table::Table},
};
use std::collections::BTreeMap;

/// Examples for which a member's share of fronts is taken to be the mean share.
const PRIOR: f64 = 5.0;
/// How often the parent is drawn by what is believed of its mean, not by fronts. A prompt that makes a model say one label
/// whatever the input is stands in half of the fronts of two labels.
const BELIEVED: f64 = 0.85;
/// Values that are nearer than this are equal.
const TIE: f64 = 1e-9;

/// The members that may have the next child: what is believed of them is worked out once for all draws.
///
/// Most draws are by Thompson sampling: all true means are drawn from what is believed of them, and the highest wins. The
/// others are after GEPA (Agrawal et al. 2025): for each example the front is the members that did best on
/// it. A member is out where others stand in all its fronts, the one believed worst first. Of the rest one is drawn in
/// proportion to the fronts it won. So one who alone can do something has children, even if its mean is low.
///
/// Differs from GEPA where members were not tried on the same examples: an example counts only for members that were
/// tried on it and only where at least two were, and a member's weight is its share of fronts among its own examples,
/// drawn to the mean of all shares where they are few.
///
/// Members that are not alive or were not tried are passed over; where no others are, the first that is alive is
/// returned, and 0 where none is.
#[derive(Debug)]
pub struct Parents {
    /// Those that are alive and were tried.
    open: Vec<usize>,
    belief: Belief,
    /// The share of fronts of each of them.
    weights: Vec<f64>,
    /// Where there are none.
    otherwise: usize,
}

impl Parents {
    /// Of a pool, and who of it is alive.
    pub fn of(pool: &Pool, alive: &[bool]) -> Self {
        let living = |m: &usize| alive.get(*m).copied().unwrap_or(false);
        let table = Table::of(pool);
        let open: Vec<usize> = (0..table.members())
            .filter(|m| living(m) && table.count(*m) > 0)
            .collect();
        let belief = Belief::of(pool, &table);
        let mut fronts = fronts(&table, &open);
        keep_undominated(&mut fronts, &open, &belief);
        Self {
            weights: weights(&fronts, &table, &open),
            otherwise: (0..table.members()).find(living).unwrap_or(0),
            open,
            belief,
        }
    }

    /// One of them.
    pub fn pick(&self, seed: u64) -> usize {
        let open = self.open.iter().copied();
        let mut draws = Draws::of("parent", seed);
        if draws.unit() < BELIEVED {
            let means = self.belief.draw(&mut draws);
            let better = |a: usize, b: usize| if means[b] > means[a] { b } else { a };
            return open.reduce(better).unwrap_or(self.otherwise);
        }
        let first = self.open.first().copied().unwrap_or(self.otherwise);
        draws
            .weighted(&self.weights)
            .map_or(first, |k| self.open[k])
    }
}

/// The place of a version of one question that is to have the next child, where so many are ordered with the best first:
/// the best twice as often as the next, three times as often as the third, and so on. One question has no fronts, and too
/// few answers to believe in means. `None` where there is none.
pub fn by_rank(versions: usize, seed: u64) -> Option<usize> {
    let weights: Vec<f64> = (1..=versions).map(|rank| 1.0 / rank as f64).collect();
    Draws::of("rank", seed).weighted(&weights)
}

/// For each example that at least two were tried on, who did best.
struct Front {
    example: usize,
    best: Vec<usize>,
}

fn fronts(table: &Table, open: &[usize]) -> Vec<Front> {
    let mut columns = vec![Vec::new(); table.examples()];
    for &m in open {
        table
            .row(m)
            .iter()
            .for_each(|&(i, value)| columns[i].push((m, value)));
    }
    let contested = columns.into_iter().enumerate().filter(|c| c.1.len() > 1);
    let front = |(example, tried): (usize, Vec<(usize, f64)>)| {
        let best = tried.iter().map(|t| t.1).fold(0.0, f64::max);
        let won = tried.iter().filter(|t| t.1 > 0.0 && t.1 >= best - TIE);
        Front {
            example,
            best: won.map(|t| t.0).collect(),
        }
    };
    contested.map(front).collect()
}

/// Takes members out of all fronts if each front of theirs has another. One pass is enough: who was needed stays
/// needed as others go.
fn keep_undominated(fronts: &mut [Front], open: &[usize], belief: &Belief) {
    let mut worst_first = open.to_vec();
    worst_first.sort_by(|a, b| belief.mean(*a).total_cmp(&belief.mean(*b)).then(b.cmp(a)));
    for m in worst_first {
        let mut own = fronts.iter().filter(|f| f.best.contains(&m));
        if own.all(|f| f.best.len() > 1) {
            fronts.iter_mut().for_each(|f| f.best.retain(|b| *b != m));
        }
    }
}

/// The weight of each of `open`: 0 for who won no front.
fn weights(fronts: &[Front], table: &Table, open: &[usize]) -> Vec<f64> {
    let shares: Vec<(f64, f64)> = (open.iter())
        .map(|&m| {
            let own = || fronts.iter().filter(|f| table.tried(m, f.example));
            let won = own().filter(|f| f.best.contains(&m)).count();
            (won as f64, own().count() as f64)
        })
        .collect();
    let sum = |part: fn(&(f64, f64)) -> f64| shares.iter().map(part).sum::<f64>();
    let mean = sum(|s| s.0) / sum(|s| s.1).max(1.0);
    let weight = |(won, of): &(f64, f64)| match *won > 0.0 {
        true => (won + PRIOR * mean) / (of + PRIOR),
        false => 0.0,
    };
    shares.iter().map(weight).collect()
}

/// What a prompt is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// More is better; in `[0, 1]`.
    pub score: f64,
    /// Length of the prompt, in any unit, the same for all; less is better.
    pub length: f64,
    /// What a call costs, in any unit, the same for all; less is better.
    pub cost: f64,
}

/// What a longer and a dearer prompt must bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// The score that the longest prompt of all must be ahead of one of no length.
    pub length: f64,
    /// The score that the dearest prompt of all must be ahead of one that costs nothing.
    pub cost: f64,
}

impl Objectives {
    /// As good in all and better in one. What is not a number is worse than any.
    fn dominates(&self, other: &Self) -> bool {
        let (a, b) = (self.losses(), other.losses());
        a != b && a.iter().zip(b).all(|(a, b)| *a <= b)
    }

    /// Less is better in all.
    fn losses(&self) -> [f64; 3] {
        let known = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
        [known(-self.score), known(self.length), known(self.cost)]
    }
}

/// What a call of each member costs on average, as if all members had met the same examples: from each cost that of its
/// example is taken, the mean of all members on it, and the mean of all is put in its place. Costs stand by example; NaN
/// for a member that has none.
pub fn costs(members: &[Vec<(usize, f64)>]) -> Vec<f64> {
    let mut of_example: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (example, cost) in members.iter().flatten() {
        of_example.entry(*example).or_default().push(*cost);
    }
    let mean = |of: &[f64]| domain::stats::mean(of).unwrap_or(f64::NAN);
    let all: Vec<f64> = members.iter().flatten().map(|(_, cost)| *cost).collect();
    let examples: BTreeMap<usize, f64> = of_example.iter().map(|(e, of)| (*e, mean(of))).collect();
    let own = |costs: &Vec<(usize, f64)>| {
        let apart = costs
            .iter()
            .filter_map(|(e, cost)| Some(cost - examples.get(e)?));
        mean(&apart.collect::<Vec<f64>>()) + mean(&all)
    };
    members.iter().map(own).collect()
}

/// The points that no other dominates, in order. Equal points are all on the front.
pub fn front(points: &[Objectives]) -> Vec<usize> {
    let free = |p: &usize| !points.iter().any(|other| other.dominates(&points[*p]));
    (0..points.len()).filter(free).collect()
}

/// The point of the front with the highest `score - weights.length length / longest - weights.cost cost / dearest`,
/// longest and dearest of all points (CAPO's scalarisation, Zehle et al. 2025, with cost beside length). A tie goes to the
/// earlier. `None` where there are no points.
pub fn prefer(points: &[Objectives], weights: Weights) -> Option<usize> {
    let most = |part: fn(&Objectives) -> f64| points.iter().map(part).fold(0.0, f64::max);
    let (longest, dearest) = (most(|p| p.length), most(|p| p.cost));
    let share = |x: f64, most: f64| if most > 0.0 { x / most } else { 0.0 };
    let value = |p: usize| {
        let length = weights.length * share(points[p].length, longest);
        let cost = weights.cost * share(points[p].cost, dearest);
        points[p].score - length - cost
    };
    let better = |a: usize, b: usize| if value(b) > value(a) + TIE { b } else { a };
    front(points).into_iter().reduce(better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::{any_pool, pool, turned};
    use proptest::prelude::*;

    fn drawn(pool: &Pool, alive: &[bool]) -> Vec<usize> {
        let mut drawn = vec![0; pool.members.len()];
        let parents = Parents::of(pool, alive);
        (0..2_000).for_each(|seed| drawn[parents.pick(seed)] += 1);
        drawn
    }

    #[test]
    fn the_best_version_has_most_children() {
        let mut seen = [0; 3];
        for seed in 0..1_100 {
            seen[by_rank(3, seed).unwrap()] += 1;
        }
        // 6, 3 and 2 of 11.
        assert!((540..660).contains(&seen[0]), "{seen:?}");
        assert!((240..360).contains(&seen[1]), "{seen:?}");
        assert_eq!(by_rank(0, 1), None);
    }

    #[test]
    fn a_member_that_met_dear_examples_is_not_dear() {
        // Example 1 is a long text; the first member says twenty tokens more than the others.
        let members = [
            vec![(0, 120.0), (1, 920.0)],
            vec![(0, 100.0), (1, 900.0)],
            vec![(1, 900.0)],
            vec![],
        ];
        let costs = costs(&members);
        assert!(costs[0] > costs[1] + 15.0, "{costs:?}");
        assert!((costs[1] - costs[2]).abs() < 5.0, "{costs:?}");
        assert!(costs[3].is_nan());
    }

    /// The last can do alone what no other can; the second does nothing that the first does not.
    #[test]
    fn who_wins_alone_has_children_and_the_dominated_has_fewest() {
        let first: Vec<(usize, f64)> = (0..10).map(|i| (i, f64::from(u8::from(i < 8)))).collect();
        let second: Vec<(usize, f64)> = (0..10).map(|i| (i, f64::from(u8::from(i < 6)))).collect();
        let alone: Vec<(usize, f64)> = (0..10).map(|i| (i, f64::from(u8::from(i == 9)))).collect();
        let pool = pool(10, &[&first, &second, &alone, &[]]);
        let times = drawn(&pool, &[true; 4]);
        assert!(times[0] > times[2] && times[2] > 30, "{times:?}");
        assert!(times[1] < times[0] && times[3] == 0, "{times:?}");
        let times = drawn(&pool, &[false, true, true, true]);
        assert!(times[0] == 0 && times[1] > 500, "{times:?}");
    }

    #[test]
    fn without_trials_the_first_alive_is_the_parent() {
        let untried = pool(3, &[&[], &[], &[]]);
        assert_eq!(Parents::of(&untried, &[false, true, true]).pick(1), 1);
        assert_eq!(Parents::of(&Pool::default(), &[]).pick(1), 0);
    }

    #[test]
    fn a_shorter_prompt_is_preferred_for_little() {
        let point = |score, length, cost| Objectives {
            score,
            length,
            cost,
        };
        let points = [
            point(0.80, 100.0, 2.0),
            point(0.78, 10.0, 2.0),
            point(0.70, 20.0, 3.0),
        ];
        assert_eq!(front(&points), [0, 1]);
        let weights = |length| Weights { length, cost: 0.0 };
        assert_eq!(prefer(&points, weights(0.0)), Some(0));
        assert_eq!(prefer(&points, weights(0.05)), Some(1));
        assert_eq!(prefer(&[], weights(0.05)), None);
    }

    fn points() -> impl Strategy<Value = Vec<Objectives>> {
        let point = (0..5u8, 0..5u8, 0..3u8).prop_map(|(s, l, c)| Objectives {
            score: f64::from(s) / 4.0,
            length: f64::from(l),
            cost: f64::from(c),
        });
        prop::collection::vec(point, 1..15)
    }

    proptest! {
        #[test]
        fn a_front_covers_the_rest(points in points(), length in 0.0..0.3f64, cost in 0.0..0.3f64) {
            let front = front(&points);
            for p in 0..points.len() {
                let covered = front.iter().any(|f| points[*f].dominates(&points[p]));
                prop_assert_eq!(covered, !front.contains(&p));
            }
            let preferred = prefer(&points, Weights { length, cost });
            prop_assert!(preferred.is_some_and(|p| front.contains(&p)));
        }

        #[test]
        fn a_parent_is_alive_and_tried(pool in any_pool(), dead in prop::collection::vec(any::<bool>(), 12), seed: u64) {
            let alive: Vec<bool> = dead[..pool.members.len()].iter().map(|d| !d).collect();
            let drawn = Parents::of(&pool, &alive).pick(seed);
            let tried = |m: usize| alive[m] && !pool.members[m].trials.is_empty();
            prop_assert!(tried(drawn) || !(0..alive.len()).any(tried));
            prop_assert_eq!(drawn, Parents::of(&turned(&pool), &alive).pick(seed));
        }
    }
}
