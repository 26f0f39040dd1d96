//! Mining the hardest examples and choosing winners.
//!
//! Both orders are total: that of examples ends in their hash, that of candidates in their place in the plan. So the
//! same rows give the same choice on any machine and in any run.

use crate::{hash::Hash, ids::CandidateId};
use std::{cmp::Ordering, collections::HashSet};

/// How an example did with its own words.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The example.
    pub example: Hash,
    /// What quotas are counted by: the dataset's name.
    pub group: String,
    /// The mean grade; NaN where it was not measured.
    pub grade: f64,
    /// How clear the decision was, larger is better; see [`crate::grade::Grade::margin`].
    pub margin: Option<f64>,
}

/// The hardest examples of each group: the `n` lowest by grade, then margin, then hash. Groups come in the
/// order of `quota`, the hardest first within each. An example appears once. What was not measured (a NaN
/// grade) is never hard; without a margin an example comes after those of its grade that have one.
pub fn hardest(rows: &[Baseline], quota: &[(String, usize)]) -> Vec<Hash> {
    let mut measured: Vec<&Baseline> = rows.iter().filter(|r| !r.grade.is_nan()).collect();
    measured.sort_by(|a, b| harder(a, b));
    let mut taken = HashSet::new();
    let mut out = Vec::new();
    for (group, n) in quota {
        let of_group = measured.iter().filter(|r| r.group == *group);
        let fresh = of_group.filter(|r| taken.insert(r.example)).take(*n);
        out.extend(fresh.map(|r| r.example));
    }
    out
}

fn harder(a: &Baseline, b: &Baseline) -> Ordering {
    let margin = |r: &Baseline| known(r.margin).unwrap_or(f64::INFINITY);
    // Adding 0 makes -0 and 0 one number to `total_cmp`.
    (a.grade + 0.0)
        .total_cmp(&(b.grade + 0.0))
        .then((margin(a) + 0.0).total_cmp(&(margin(b) + 0.0)))
        .then(a.example.cmp(&b.example))
}

/// How a candidate did.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The candidate.
    pub id: CandidateId,
    /// Its mean grade (or mean raw reward); NaN where it was not measured.
    pub mean: f64,
    /// Its mean margin, where the grader has one.
    pub margin: Option<f64>,
    /// Its length in characters.
    pub length: usize,
    /// Whether it is the original prompt.
    pub is_original: bool,
}

/// The index of the best candidate: the best mean, then margin, then the shortest, then the first. `None` where no
/// candidate beats the original on mean, or on margin at the same mean (a margin that one of the two lacks
/// decides nothing), and where the original was not measured: nothing is shown to be better then. Without an
/// original among the candidates the best one wins.
///
/// Means and margins are compared to nine decimals: the order in which grades were summed must not decide.
pub fn winner(candidates: &[Tried]) -> Option<usize> {
    let mut originals = candidates.iter().filter(|c| c.is_original);
    let measured = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.is_original && !c.mean.is_nan());
    // `max_by` keeps the last of equals; ids differ from run to run, so the place decides.
    let (index, best) = measured.rev().max_by(|(_, a), (_, b)| better(a, b))?;
    originals.all(|o| beats(best, o)).then_some(index)
}

/// The places of those that were measured, the best first; of equals the first.
pub fn ranked(candidates: &[Tried]) -> Vec<usize> {
    let measured = |i: &usize| !candidates[*i].mean.is_nan();
    let mut out: Vec<usize> = (0..candidates.len()).filter(measured).collect();
    out.sort_by(|a, b| better(&candidates[*b], &candidates[*a]));
    out
}

fn better(a: &Tried, b: &Tried) -> Ordering {
    let margin = |t: &Tried| known(t.margin).map_or(f64::NEG_INFINITY, rounded);
    rounded(a.mean)
        .total_cmp(&rounded(b.mean))
        .then(margin(a).total_cmp(&margin(b)))
        .then(b.length.cmp(&a.length))
}

/// Whether a candidate is shown to be better than another: on mean, or on margin at the same mean. Never where one of
/// them was not measured.
pub fn beats(a: &Tried, original: &Tried) -> bool {
    let (mean, bar) = (rounded(a.mean), rounded(original.mean));
    if mean != bar {
        return mean > bar; // false where the bar is NaN
    }
    match (known(a.margin), known(original.margin)) {
        (Some(a), Some(b)) => rounded(a) > rounded(b),
        _ => false,
    }
}

fn known(margin: Option<f64>) -> Option<f64> {
    margin.filter(|m| !m.is_nan())
}

/// To nine decimals, with one zero. Numbers too large to have nine decimals stay as they are.
fn rounded(x: f64) -> f64 {
    let scaled = (x * 1e9).round();
    let out = if scaled.is_finite() { scaled / 1e9 } else { x };
    out + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use proptest::prelude::*;

    fn row(name: &str, group: &str, grade: f64, margin: Option<f64>) -> Baseline {
        Baseline {
            example: Hash::of([name]),
            group: group.into(),
            grade,
            margin,
        }
    }

    fn tried(place: &str, mean: f64, margin: Option<f64>, length: usize) -> Tried {
        Tried {
            id: RunId(uuid::Uuid::nil()).candidate(place),
            mean,
            margin,
            length,
            is_original: place == "original",
        }
    }

    #[test]
    fn the_lowest_grade_then_the_lowest_margin_is_hardest() {
        let rows = [
            row("easy", "m", 1.0, Some(0.9)),
            row("near", "m", 0.0, Some(-0.1)),
            row("far", "m", 0.0, Some(-0.9)),
            row("unclear", "m", 0.0, None),
            row("lost", "m", f64::NAN, Some(-5.0)),
            row("other", "a", 0.5, None),
        ];
        let quota = [("a".to_owned(), 3), ("m".to_owned(), 3)];
        let names = ["other", "far", "near", "unclear"];
        assert_eq!(hardest(&rows, &quota), names.map(|n| Hash::of([n])));
        assert!(hardest(&rows, &[("none".to_owned(), 3)]).is_empty());
    }

    #[test]
    fn a_group_named_twice_goes_on_where_it_stopped() {
        let rows = [
            row("x", "m", 0.1, None),
            row("x", "m", 0.1, None),
            row("y", "m", 0.2, None),
        ];
        let quota = [("m".to_owned(), 1), ("m".to_owned(), 5)];
        assert_eq!(hardest(&rows, &quota), ["x", "y"].map(|n| Hash::of([n])));
    }

    #[test]
    fn the_best_mean_wins_then_margin_then_the_shorter() {
        let o = tried("original", 0.25, Some(0.0), 50);
        let pick = |rest: &[Tried]| winner(&[std::slice::from_ref(&o), rest].concat());
        assert_eq!(
            pick(&[tried("a", 0.5, None, 9), tried("b", 0.75, None, 99)]),
            Some(2)
        );
        assert_eq!(
            pick(&[
                tried("a", 0.5, Some(0.1), 9),
                tried("b", 0.5, Some(0.2), 99)
            ]),
            Some(2)
        );
        assert_eq!(
            pick(&[
                tried("a", 0.5, Some(0.1), 99),
                tried("b", 0.5, Some(0.1), 9)
            ]),
            Some(2)
        );
        assert_eq!(
            pick(&[tried("a", 0.5, None, 9), tried("b", f64::NAN, None, 9)]),
            Some(1)
        );
    }

    #[test]
    fn ranks_follow_the_choice() {
        let rows = [
            tried("a", 0.5, None, 9),
            tried("b", f64::NAN, None, 9),
            tried("c", 0.5, None, 4),
            tried("d", 0.75, None, 99),
            tried("e", 0.5, None, 4),
        ];
        assert_eq!(ranked(&rows), [3, 2, 4, 0]);
        assert!(beats(&rows[3], &rows[0]) && !beats(&rows[2], &rows[0]));
        assert!(!beats(&rows[1], &rows[0]) && !beats(&rows[3], &rows[1]));
    }

    #[test]
    fn the_original_stays_unless_something_is_better() {
        let o = tried("original", 0.5, Some(0.1), 500);
        let pick = |c: Tried| winner(&[c, o.clone()]);
        assert_eq!(pick(tried("a", 0.5, Some(0.1), 1)), None);
        assert_eq!(pick(tried("a", 0.5, None, 1)), None);
        assert_eq!(pick(tried("a", 0.4, Some(9.0), 1)), None);
        assert_eq!(pick(tried("a", 0.5, Some(0.2), 900)), Some(0));
        assert_eq!(pick(tried("a", 0.5 + 1e-16, Some(0.1), 1)), None);
        assert_eq!(winner(std::slice::from_ref(&o)), None);
        assert_eq!(winner(&[]), None);
        assert_eq!(winner(&[tried("a", 0.1, None, 1)]), Some(0));
    }

    #[test]
    fn against_an_original_that_was_not_measured_nothing_wins() {
        let o = tried("original", f64::NAN, None, 5);
        assert_eq!(winner(&[o, tried("a", 1.0, None, 1)]), None);
    }

    fn any_tried() -> impl Strategy<Value = Tried> {
        let mean = prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), 0.0..1.0f64];
        let margin = prop::option::of(prop_oneof![Just(f64::NAN), -1.0..1.0f64]);
        (0..50u32, mean, margin, 0..5usize, prop::bool::weighted(0.2)).prop_map(
            |(place, mean, margin, length, is_original)| Tried {
                is_original,
                ..tried(&place.to_string(), mean, margin, length)
            },
        )
    }

    #[test]
    fn of_equals_the_first_wins() {
        // Ids differ from run to run and must decide nothing.
        let rows = [tried("b", 0.5, None, 4), tried("a", 0.5, None, 4)];
        assert_eq!(winner(&rows), Some(0));
        let turned = [rows[1].clone(), rows[0].clone()];
        assert_eq!(winner(&turned), Some(0));
    }

    proptest! {
        #[test]
        fn the_winner_does_not_depend_on_the_order(rows in prop::collection::vec(any_tried(), 0..12)) {
            let mut turned = rows.clone();
            turned.reverse();
            let show = |rows: &[Tried]| winner(rows).map(|i| format!("{:?}", (rounded(rows[i].mean), rows[i].length)));
            prop_assert_eq!(show(&rows), show(&turned));
        }

        #[test]
        fn the_hardest_do_not_depend_on_the_order(grades in prop::collection::vec((0..3u8, prop::option::of(-1.0..1.0f64)), 0..30), n in 0..10usize) {
            let rows: Vec<_> = grades.iter().enumerate()
                .map(|(i, (g, m))| row(&i.to_string(), "m", f64::from(*g), *m)).collect();
            let mut turned = rows.clone();
            turned.reverse();
            let quota = [("m".to_owned(), n)];
            let picked = hardest(&rows, &quota);
            prop_assert_eq!(picked.len(), n.min(rows.len()));
            prop_assert_eq!(picked, hardest(&turned, &quota));
        }
    }
}
