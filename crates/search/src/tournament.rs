//! A population of a fixed size, as in Promptbreeder (Fernando et al. 2023): the loser of a tournament of two is replaced by a
//! changed copy of the winner.

use crate::{
    draws::Draws,
    pool::Pool,
    race::{belief::Belief, table::Table},
};

/// Two members that met: the winner is the parent of a newcomer, and the loser makes room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tournament {
    /// Who is believed better; the earlier of equals.
    pub winner: usize,
    /// The other.
    pub loser: usize,
}

/// For each of a round's newcomers the tournament that decides whose child it is and who leaves; `None` while there is room for
/// one more beside those alive, and where there are no two that were tried.
///
/// Who meets whom is drawn at random. A loser is in no other tournament of the round, a winner may be. Promptbreeder compares by
/// accuracy on a batch that both are tried on for this purpose; here no answer is asked for that, and what is believed after all
/// answers so far decides.
pub fn tournaments(
    pool: &Pool,
    alive: &[bool],
    population: usize,
    newcomers: usize,
    seed: u64,
) -> Vec<Option<Tournament>> {
    let table = Table::of(pool);
    let living = |m: &usize| alive.get(*m).copied().unwrap_or(false);
    let living: Vec<usize> = (0..table.members()).filter(living).collect();
    let room = population.saturating_sub(living.len()).min(newcomers);
    let mut out = vec![None; room];
    let (belief, mut draws) = (Belief::of(pool, &table), Draws::of("tournament", seed));
    let mut open = living;
    open.retain(|m| table.count(*m) > 0);
    out.resize_with(newcomers, || meet(&mut open, &belief, &mut draws));
    out
}

/// Two of them; the loser is taken out.
fn meet(open: &mut Vec<usize>, belief: &Belief, draws: &mut Draws) -> Option<Tournament> {
    if open.len() < 2 {
        return None;
    }
    draws.shuffle(open);
    let (one, other) = (open.pop()?, open.pop()?);
    let (first, second) = (one.min(other), one.max(other));
    let (winner, loser) = match belief.mean(second) > belief.mean(first) {
        true => (second, first),
        false => (first, second),
    };
    open.push(winner);
    open.sort_unstable();
    Some(Tournament { winner, loser })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::{any_pool, pool, turned};
    use proptest::prelude::*;

    #[test]
    fn the_better_of_two_is_the_parent_and_the_other_leaves() {
        let good: Vec<(usize, f64)> = (0..20).map(|i| (i, 1.0)).collect();
        let poor: Vec<(usize, f64)> = (0..20).map(|i| (i, 0.0)).collect();
        let pool = pool(20, &[&poor, &good, &[]]);
        let met = |population, newcomers| tournaments(&pool, &[true; 3], population, newcomers, 1);
        let won = Some(Tournament {
            winner: 1,
            loser: 0,
        });
        // Three are alive, one of them not tried yet.
        assert_eq!(met(3, 1), [won]);
        assert_eq!(met(5, 3), [None, None, won]);
        // With the loser gone there are no two.
        assert_eq!(met(3, 3), [won, None, None]);
        assert_eq!(
            tournaments(&pool, &[true, false, true], 2, 1, 1),
            [None],
            "the dead do not meet"
        );
        assert_eq!(tournaments(&Pool::default(), &[], 4, 1, 1), [None]);
    }

    #[test]
    fn whoever_is_not_the_best_can_be_met_and_leave() {
        let rows: Vec<Vec<(usize, f64)>> = (0..5)
            .map(|m| {
                (0..20)
                    .map(|i| (i, f64::from(u8::from(i < 4 * m))))
                    .collect()
            })
            .collect();
        let rows: Vec<&[(usize, f64)]> = rows.iter().map(Vec::as_slice).collect();
        let pool = pool(20, &rows);
        let mut left = [0; 5];
        for seed in 0..500 {
            let met = tournaments(&pool, &[true; 5], 5, 1, seed)[0].unwrap();
            left[met.loser] += 1;
        }
        // Of ten pairs the worst is in four, the best in none as a loser.
        assert!(left[..4].windows(2).all(|w| w[0] > w[1]), "{left:?}");
        assert!((150..250).contains(&left[0]) && left[4] == 0, "{left:?}");
    }

    proptest! {
        #[test]
        fn all_who_meet_are_alive_and_tried_and_leave_once(
            pool in any_pool(),
            dead in prop::collection::vec(any::<bool>(), 12),
            (population, newcomers) in (2..14usize, 0..8usize),
            seed: u64,
        ) {
            let alive: Vec<bool> = dead[..pool.members.len()].iter().map(|d| !d).collect();
            let met = tournaments(&pool, &alive, population, newcomers, seed);
            prop_assert_eq!(met.len(), newcomers);
            let mut left: Vec<usize> = met.iter().flatten().map(|t| t.loser).collect();
            for of in met.iter().flatten() {
                for m in [of.winner, of.loser] {
                    prop_assert!(alive[m] && !pool.members[m].trials.is_empty());
                }
                prop_assert_ne!(of.winner, of.loser);
            }
            let living = alive.iter().filter(|a| **a).count();
            prop_assert!(met.iter().take(population.saturating_sub(living)).all(Option::is_none));
            left.sort_unstable();
            let times = left.len();
            left.dedup();
            prop_assert_eq!(left.len(), times);
            prop_assert_eq!(met, tournaments(&turned(&pool), &alive, population, newcomers, seed));
        }
    }
}
