//! Who cannot win.

use super::{Rules, belief::Belief, table::Table};
use crate::pool::Pool;

/// Shares of the capital that are bet on each difference. Each is a whole strategy, and the capital is split evenly
/// between them: small ones win slowly on small gains, large ones fast on large gains.
const BETS: [f64; 5] = [0.1, 0.2, 0.35, 0.55, 0.8];
/// How many of the best members others are compared with.
const RIVALS: usize = 12;

/// Why a member is out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drop {
    /// The better member.
    pub against: usize,
    /// The evidence when it was first enough: a gambler who bets on `against` in a fair game, or in one that favours the
    /// member, multiplies the stake by more than e with a chance below 1 / e.
    pub e: f64,
    /// On how many shared examples it was enough.
    pub n: usize,
}

/// For each member whether another is shown to be better, and by what.
///
/// For members a and b, a gambler bets on each difference `d = value(a) - value(b)`, on the examples that both were
/// tried on and in their order, that a is better: the capital is multiplied by `1 + bet d`. Were b at least as good, the
/// capital would be a supermartingale, and would reach a bound c once, at any time, with probability of at most 1 / c
/// (Ville's inequality; the tests of means by betting of Waudby-Smith and Ramdas 2023, with a fixed mixture of bets). b is
/// dropped when the capital has reached `1 / (alpha share(a))` at any number of shared examples. The shares of all a ever
/// sum to 1.
///
/// So: **the probability that the member with the highest true mean is ever dropped, by whomever and however often this
/// is asked, is at most alpha**. It holds for any rule of who is asked next and of which members are compared, and
/// for differences that depend on each other across members. It needs that examples are a random sample, that which
/// of them lack an answer does not depend on what the answer would be, and that members do not know the examples: one
/// that was written after reading some is flattered by those.
///
/// Compared are all members with the few that are believed best. A dropped member may be back once its
/// better is no longer one of those; that costs questions, not validity.
pub fn dropped(pool: &Pool, rules: &Rules) -> Vec<Option<Drop>> {
    let table = Table::of(pool);
    let belief = Belief::of(pool, &table);
    let mut rivals: Vec<usize> = (0..table.members())
        .filter(|m| table.count(*m) > 0)
        .collect();
    rivals.sort_by(|a, b| belief.mean(*b).total_cmp(&belief.mean(*a)).then(a.cmp(b)));
    rivals.truncate(RIVALS);
    let against_all = |b: usize| {
        let others = rivals.iter().filter(|a| **a != b);
        others.filter_map(|&a| beaten(&table, a, b, rules)).next()
    };
    (0..table.members()).map(against_all).collect()
}

fn beaten(table: &Table, a: usize, b: usize, rules: &Rules) -> Option<Drop> {
    let bound = 1.0 / (rules.alpha * share(a, rules.members));
    let (n, e) = first_above(table.differences(a, b), bound)?;
    Some(Drop { against: a, e, n })
}

/// The part of the risk that comparisons with a member may take. M / ((M + a)(M + a + 1)) summed over all a from 0 is 1;
/// nearly equal for the first M.
fn share(a: usize, members: usize) -> f64 {
    let (a, members) = (a as f64, members.max(1) as f64);
    members / ((members + a) * (members + a + 1.0))
}

/// After how many differences the capital first reaches a bound, and what it is then.
fn first_above(differences: impl Iterator<Item = f64>, bound: f64) -> Option<(usize, f64)> {
    let mut capitals = [1.0 / BETS.len() as f64; BETS.len()];
    for (k, difference) in differences.enumerate() {
        for (capital, bet) in capitals.iter_mut().zip(BETS) {
            *capital *= 1.0 + bet * difference;
        }
        let e = capitals.iter().sum::<f64>();
        if e >= bound {
            return Some((k + 1, e));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::{Lot, pool};

    #[test]
    fn the_risk_is_shared_out_and_no_more() {
        for members in [1, 20, 50] {
            let sum: f64 = (0..100_000).map(|a| share(a, members)).sum();
            assert!(sum < 1.0 && sum > 0.999, "{sum}");
            assert!(share(members / 2, members) > 0.4 / members as f64);
        }
    }

    #[test]
    fn capital_grows_as_it_was_bet() {
        // Of the strategy that bets 0.8 alone, after three wins: 1.8^3 / 5 = 1.17; the others add to it.
        let e = |bet: f64| (1.0 + bet).powi(3) / 5.0;
        let expected: f64 = BETS.iter().map(|b| e(*b)).sum();
        let (n, reached) = first_above([1.0; 3].into_iter(), expected - 1e-9).unwrap();
        assert!(n == 3 && (reached - expected).abs() < 1e-12, "{reached}");
        assert_eq!(first_above([1.0; 3].into_iter(), expected + 1e-9), None);
        assert_eq!(first_above([0.0; 500].into_iter(), 1.1), None);
    }

    /// Where both are equally good, the mean capital stays at 1, and at most one in ten ever has ten times its stake: for
    /// answers of 0 and 1, and for differences that are skewed.
    #[test]
    fn a_fair_game_makes_nobody_rich() {
        let mut lot = Lot::new(11);
        let mut toss = |p: f64| f64::from(u8::from(lot.unit() < p));
        for skewed in [false, true] {
            let (mut sum, mut squares, mut rich) = (0.0, 0.0, 0.0);
            const GAMES: usize = 20_000;
            for _ in 0..GAMES {
                let d: Vec<f64> = (0..60)
                    .map(|_| match skewed {
                        true => toss(0.1) - 0.1,
                        false => toss(0.7) - toss(0.7),
                    })
                    .collect();
                let capital = |bet: &f64| d.iter().map(|d| 1.0 + bet * d).product::<f64>();
                // Large bets have means that no simulation sees; the small ones' capital has a variance.
                let e = BETS[..2].iter().map(capital).sum::<f64>() / 2.0;
                sum += e;
                squares += e * e;
                rich += f64::from(u8::from(first_above(d.into_iter(), 10.0).is_some()));
            }
            let n = GAMES as f64;
            let mean = sum / n;
            let error = ((squares / n - mean * mean) / n).sqrt();
            assert!(
                (mean - 1.0).abs() < 7.0 * error && error < 0.05,
                "{mean} {error}"
            );
            assert!(rich / n <= 0.1 && rich > 0.0, "{rich}");
        }
    }

    /// A thousand races of eight equal members, looked at after every block of ten: the first is best, as good as all
    /// others, and is dropped in no more than alpha of them.
    #[test]
    fn the_best_is_rarely_dropped_however_often_one_looks() {
        let mut lot = Lot::new(12);
        let rules = Rules {
            alpha: 0.2,
            members: 8,
            ..Rules::default()
        };
        let mut lost = 0;
        for _ in 0..1_000 {
            let hard: Vec<f64> = (0..100).map(|_| lot.unit()).collect();
            let mut row = || -> Vec<(usize, f64)> {
                let mut value =
                    |i: usize| f64::from(u8::from(lot.unit() * 0.6 + hard[i] * 0.4 < 0.5));
                (0..100).map(|i| (i, value(i))).collect()
            };
            let rows: Vec<Vec<(usize, f64)>> = (0..8).map(|_| row()).collect();
            let looks = (1..=10).map(|k| {
                let seen: Vec<&[(usize, f64)]> = rows.iter().map(|r| &r[..10 * k]).collect();
                dropped(&pool(100, &seen), &rules)[3].is_some()
            });
            lost += usize::from(looks.filter(|lost| *lost).count() > 0);
        }
        assert!(lost <= 200, "{lost}");
    }
}
