//! Which prompt is the best.

use crate::{
    draws::Draws,
    pool::Pool,
    race::{belief::Belief, table::Table},
};

/// How often the members' true means are drawn for [`Choice::p_best`].
const DRAWS: usize = 1_000;
/// Estimates that are nearer than this are a tie.
const TIE: f64 = 1e-9;

/// The member that is believed best, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The member.
    pub member: usize,
    /// What its true mean is believed to be. Having looked at many is accounted for: the more members there are and the
    /// less each was tried, the more of a good result is taken for luck.
    pub estimate: f64,
    /// The mean of its values.
    pub naive: f64,
    /// The member that comes second.
    pub runner_up: Option<usize>,
    /// The probability that none of the others that were eligible and tried is better.
    pub p_best: f64,
}

/// The member with the highest estimate among those that are eligible and were tried; a tie goes to the shorter
/// instruction, then to the earlier member. `None` where there is none.
///
/// The highest posterior mean is the choice with the highest expected true mean, however much the members' numbers of
/// trials differ.
pub fn choose(pool: &Pool, eligible: &[bool]) -> Option<Choice> {
    choose_at(pool, eligible, &|_| 0.0)
}

/// The same where members have a price, in points of their mean: the best estimate less price.
pub fn choose_at(pool: &Pool, eligible: &[bool], price: &dyn Fn(usize) -> f64) -> Option<Choice> {
    let table = Table::of(pool);
    let open: Vec<usize> = (0..table.members())
        .filter(|m| table.count(*m) > 0 && eligible.get(*m).copied().unwrap_or(false))
        .collect();
    if open.is_empty() {
        return None;
    }
    let belief = Belief::of(pool, &table);
    let worth = |m: usize| belief.mean(m) - price(m);
    let member = best(pool, &worth, open.iter().copied())?;
    let others = open.iter().copied().filter(|m| *m != member);
    let runner_up = best(pool, &worth, others);
    Some(Choice {
        member,
        estimate: belief.mean(member).clamp(0.0, 1.0),
        naive: table.mean(member)?,
        runner_up,
        p_best: p_best(&belief, &open, member),
    })
}

/// What every member's true mean is believed to be; `None` for those that were not tried.
pub fn estimates(pool: &Pool) -> Vec<Option<f64>> {
    let table = Table::of(pool);
    let belief = Belief::of(pool, &table);
    let one = |m: usize| (table.count(m) > 0).then(|| belief.mean(m).clamp(0.0, 1.0));
    (0..table.members()).map(one).collect()
}

fn best(
    pool: &Pool,
    worth: &dyn Fn(usize) -> f64,
    among: impl Iterator<Item = usize>,
) -> Option<usize> {
    let length = |m: usize| pool.members[m].words().chars().count();
    among.reduce(|a, b| {
        let gain = worth(b) - worth(a);
        let better = gain > TIE || (gain.abs() <= TIE && length(b) < length(a));
        if better { b } else { a }
    })
}

fn p_best(belief: &Belief, open: &[usize], member: usize) -> f64 {
    let mut draws = Draws::of("choose", 0);
    let wins = |_: &usize| {
        let means = belief.draw(&mut draws);
        open.iter().all(|m| means[*m] <= means[member])
    };
    (0..DRAWS).filter(wins).count() as f64 / DRAWS as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::{any_pool, pool, turned};
    use proptest::prelude::*;

    /// Right on the first `right` of every ten examples.
    fn values(examples: std::ops::Range<usize>, right: usize) -> Vec<(usize, f64)> {
        examples
            .map(|i| (i, f64::from(u8::from(i % 10 < right))))
            .collect()
    }

    #[test]
    fn ten_good_answers_are_not_certain_to_be_the_best() {
        let steady = values(0..200, 8);
        let lucky = values(0..10, 9);
        let pool = pool(200, &[&steady, &lucky]);
        let both = choose(&pool, &[true, true]).unwrap();
        assert!(both.p_best < 0.95, "{both:?}");
        let lucky = choose(&pool, &[false, true]).unwrap();
        assert!(
            lucky.estimate < lucky.naive && lucky.p_best == 1.0,
            "{lucky:?}"
        );
    }

    /// The second was asked less, and only what all others find hard: its mean is lower, and it is better.
    #[test]
    fn who_met_the_hard_examples_is_not_blamed_for_it() {
        let all = |right_on_hard: usize| -> Vec<(usize, f64)> {
            let value = |i| {
                if i < 40 {
                    (i % 20 < right_on_hard).into()
                } else {
                    1u8
                }
            };
            (0..100).map(|i| (i, f64::from(value(i)))).collect()
        };
        let (a, b, c) = (all(8), all(6), all(5));
        let better = &all(15)[..40];
        let pool = pool(100, &[&a, better, &b, &c]);
        let choice = choose(&pool, &[true; 4]).unwrap();
        assert!(pool.members[1].mean() < pool.members[0].mean());
        assert_eq!((choice.member, choice.runner_up), (1, Some(0)));
        assert!(
            choice.p_best > 0.9 && choice.estimate > choice.naive,
            "{choice:?}"
        );
    }

    #[test]
    fn a_tie_goes_to_the_shorter_and_then_to_the_earlier() {
        let same = values(0..20, 6);
        let mut pool = pool(20, &[&same, &same, &same]);
        let long = "Answer with one word and nothing else.";
        for (member, text) in pool.members.iter_mut().zip([long, "Answer.", "Answer!"]) {
            member.doc.instruction = Some(text.to_owned());
        }
        let choice = choose(&pool, &[true; 3]).unwrap();
        assert_eq!((choice.member, choice.runner_up), (1, Some(2)));
        assert!((choice.p_best - 1.0 / 3.0).abs() < 0.06, "{choice:?}");
        assert_eq!(choose(&pool, &[true, false, false]).unwrap().member, 0);
    }

    #[test]
    fn who_was_not_tried_is_not_chosen() {
        let pool = pool(3, &[&[], &[(0, 0.0)]]);
        assert_eq!(choose(&pool, &[true, true]).unwrap().member, 1);
        assert_eq!(choose(&pool, &[true, false]), None);
        assert_eq!(choose(&pool, &[]), None);
    }

    proptest! {
        #[test]
        fn a_choice_is_eligible_and_the_same_for_any_order(pool in any_pool(), skip in 0..12usize) {
            let eligible: Vec<bool> = (0..pool.members.len()).map(|m| m != skip).collect();
            let choice = choose(&pool, &eligible);
            prop_assert_eq!(&choice, &choose(&turned(&pool), &eligible));
            if let Some(choice) = choice {
                prop_assert!(eligible[choice.member] && !pool.members[choice.member].trials.is_empty());
                prop_assert!((0.0..=1.0).contains(&choice.p_best) && choice.runner_up != Some(choice.member));
                prop_assert!((0.0..=1.0).contains(&choice.estimate));
            }
        }
    }
}
