//! Properties of the race, on tables of any shape.

use super::*;
use crate::pool::{Known, Member, Pool, Trial};
use domain::{
    example::{Example, Reference},
    hash::Hash,
    prompt::{PromptDoc, Shot},
};
use proptest::prelude::*;

/// Draws of tests.
pub(crate) type Lot = TestDraws;

pub(crate) struct TestDraws(crate::draws::Draws);

impl TestDraws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(crate::draws::Draws::of("tests", seed))
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.0.unit()
    }
}

/// A member that was tried.
pub(crate) fn member(values: &[(usize, f64)]) -> Member {
    let trial = |&(example, value): &(usize, f64)| Trial {
        example,
        value,
        said: None,
        feedback: String::new(),
    };
    Member {
        trials: values.iter().map(trial).collect(),
        ..Member::default()
    }
}

/// Members that were tried on some of so many examples.
pub(crate) fn pool(examples: usize, members: &[&[(usize, f64)]]) -> Pool {
    Pool {
        examples: (0..examples).map(known).collect(),
        members: members.iter().map(|m| member(m)).collect(),
        ..Pool::default()
    }
}

fn known(i: usize) -> Known {
    Known {
        id: Hash::of([i.to_le_bytes()]),
        example: Example {
            input: format!("Question {i}?"),
            context: None,
            choices: Vec::new(),
            reference: Reference::None,
            group: None,
        },
        answer: None,
    }
}

fn shot(pool: &Pool, i: usize) -> Shot {
    pool.examples[i].shot(String::new())
}

/// Any pool of up to 12 members and 30 examples: some untried, some with demonstrations, some children.
pub(crate) fn any_pool() -> impl Strategy<Value = Pool> {
    let tried = prop::collection::btree_map(0..30usize, 0..=4u8, 0..30);
    let shown = prop::collection::vec(0..30usize, 0..4);
    let parent = prop::option::of(0..12usize);
    let members = prop::collection::vec((tried, shown, parent), 1..12);
    (1..=30usize, members).prop_map(|(examples, members)| {
        let mut made = pool(examples, &[]);
        for (tried, shown, parent) in members {
            let values: Vec<(usize, f64)> = (tried.into_iter())
                .filter(|(i, _)| *i < examples && !shown.contains(i))
                .map(|(i, v)| (i, f64::from(v) / 4.0))
                .collect();
            let shots = shown.iter().filter(|i| **i < examples);
            let doc = PromptDoc {
                shots: shots.map(|i| shot(&made, *i)).collect(),
                ..PromptDoc::default()
            };
            made.members.push(Member {
                doc,
                parents: parent.into_iter().collect(),
                ..member(&values)
            });
        }
        made
    })
}

/// The same trials, in another order.
pub(crate) fn turned(pool: &Pool) -> Pool {
    let mut pool = pool.clone();
    for (m, member) in pool.members.iter_mut().enumerate() {
        member.trials.reverse();
        let n = member.trials.len().max(1);
        member.trials.rotate_left(m % n);
    }
    pool
}

proptest! {
    #[test]
    fn nobody_is_asked_twice_or_what_it_shows(
        pool in any_pool(), dead in prop::collection::vec(any::<bool>(), 12), calls in 0..200usize, (from, open) in (0..40usize, 1..40usize),
        block in 0..12usize, seed: u64,
    ) {
        let alive: Vec<bool> = dead[..pool.members.len()].iter().map(|d| !d).collect();
        let rules = Rules { block, ..Rules::default() };
        let span = Span { from, open };
        let asked = allocate(&pool, &alive, (calls, span), &rules, seed);
        prop_assert_eq!(asked.len(), pool.members.len());
        let n = pool.examples.len().min(open);
        let mut possible = 0;
        for (m, member) in pool.members.iter().enumerate() {
            let may = |i: &usize| member.on(*i).is_none() && !member.doc.shows(pool.examples[*i].id);
            let left: Vec<usize> = (0..n).map(|i| (from + i) % n).filter(may).collect();
            possible += if alive[m] { left.len() } else { 0 };
            // Always the first that are left, seen from there: in particular none twice.
            prop_assert!(left.starts_with(&asked[m]) && (alive[m] || asked[m].is_empty()));
        }
        let sum: usize = asked.iter().map(Vec::len).sum();
        prop_assert_eq!(sum, calls.min(possible));
        prop_assert_eq!(asked, allocate(&turned(&pool), &alive, (calls, span), &rules, seed));
    }

    #[test]
    fn newcomers_have_their_first_block_first(pool in any_pool(), calls in 0..200usize, seed: u64) {
        let alive = vec![true; pool.members.len()];
        let asked = allocate(&pool, &alive, (calls, Span::ALL), &Rules::default(), seed);
        let mut left = calls;
        for (m, member) in pool.members.iter().enumerate().filter(|(_, m)| m.trials.is_empty()) {
            let open = pool.examples.iter().filter(|e| !member.doc.shows(e.id)).count();
            prop_assert!(asked[m].len() >= open.min(10).min(left));
            left -= open.min(10).min(left);
        }
    }

    #[test]
    fn drops_do_not_depend_on_the_order_of_trials(pool in any_pool()) {
        let rules = Rules { alpha: 0.5, members: 5, ..Rules::default() };
        let out = dropped(&pool, &rules);
        for (m, drop) in out.iter().enumerate() {
            if let Some(drop) = drop {
                prop_assert!(drop.against != m && drop.e >= 1.0 / rules.alpha && drop.n > 0);
            }
        }
        prop_assert_eq!(out, dropped(&turned(&pool), &rules));
    }
}

#[test]
fn who_is_always_worse_is_dropped() {
    let better: Vec<(usize, f64)> = (0..40).map(|i| (i, 1.0)).collect();
    let worse: Vec<(usize, f64)> = (0..40)
        .map(|i| (i, f64::from(u8::from(i % 2 == 0))))
        .collect();
    let pool = pool(40, &[&worse, &better, &better[..3]]);
    let out = dropped(&pool, &Rules::default());
    let drop = out[0].unwrap();
    assert_eq!((drop.against, out[1], out[2]), (1, None, None));
    assert!(drop.n < 40 && drop.e >= 10.0, "{drop:?}");
}

#[test]
fn what_is_kept_back_is_met_in_the_last_rounds_by_all_alike() {
    let rules = Rules::default();
    let pool = pool(100, &[&[(3, 1.0)], &[(80, 1.0)]]);
    let asked = |round, calls| {
        let span = Span::of(100, round, &rules);
        allocate(&pool, &[true; 2], (calls, span), &rules, 1)
    };
    let mut all: Vec<usize> = (0..20)
        .flat_map(|round| asked(Some(round), 150))
        .flatten()
        .collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..75).collect::<Vec<_>>());
    assert!(
        asked(Some(7), 10)
            .concat()
            .starts_with(&[70, 71, 72, 73, 74, 0])
    );
    let last = asked(None, 150);
    assert_eq!(last[0][..6], [75, 76, 77, 78, 79, 80]);
    assert_eq!(last[1][..6], [75, 76, 77, 78, 79, 81]);
}

#[test]
fn leaders_are_asked_more_than_the_hopeless() {
    let values = |right: usize| -> Vec<(usize, f64)> {
        let value = |i| f64::from(u8::from((i * 7) % 30 < right));
        (0..30).map(|i| (i, value(i))).collect()
    };
    let (good, fair, bad) = (values(24), values(23), values(6));
    let pool = pool(2_000, &[&bad, &good, &fair]);
    let asked = allocate(&pool, &[true; 3], (600, Span::ALL), &Rules::default(), 5);
    let n: Vec<usize> = asked.iter().map(Vec::len).collect();
    assert!(n[0] < 60 && n[1] > 150 && n[2] > 150, "{n:?}");
}
