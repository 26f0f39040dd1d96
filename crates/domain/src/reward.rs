//! What a reward says, and how much of a gain is length.
//!
//! A reward model is trained on pairs: it is made to say `logistic(r(a) - r(b))` for the chance that people prefer
//! answer `a` to answer `b` of the *same* question. So a difference of two rewards of one question means something,
//! and a reward alone, or beside one of another question, does not. Everything that compares goes through
//! [`preferred`] or through differences.

use crate::{
    grade::Grade,
    stats::{self, Estimate, Line},
};
use serde::{Deserialize, Serialize};

/// What the feedback on an answer ends with whose text was too long for the model.
const CUT: &str = " (the text was cut to what the model reads)";

/// Differences of rewards are taken to lie within this where nothing else is known: the logistic of 8 is 0.9997.
pub const BOUNDS: (f64, f64) = (-8.0, 8.0);

/// `1 / (1 + exp(-x))`.
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The grade that a finite reward is; `cut` where the model did not see the whole text.
pub fn grade(reward: f64, cut: bool) -> Grade {
    let cut = if cut { CUT } else { "" };
    Grade {
        value: logistic(reward),
        raw: Some(reward),
        margin: None,
        feedback: format!("the reward model gave {reward:.3}{cut}"),
    }
}

/// Whether the model did not see the whole text that a reward is of.
pub fn was_cut(grade: &Grade) -> bool {
    grade.feedback.ends_with(CUT)
}

/// The chance that an answer of `these` is preferred to one of `those`, answers to the same question: the mean over all
/// pairs, so that it is 0.5 for equal sets, whatever the question. `None` where a side is empty or a reward not finite.
pub fn preferred(these: &[f64], those: &[f64]) -> Option<f64> {
    let pairs = these
        .iter()
        .flat_map(|a| those.iter().map(move |b| logistic(a - b)));
    stats::mean(&pairs.collect::<Vec<_>>())
}

/// How often the first of a pair has the higher reward; equal ones count as half. `None` without pairs.
pub fn win_rate(pairs: &[(f64, f64)]) -> Option<f64> {
    let won = |(a, b): &(f64, f64)| match a.partial_cmp(b) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        Some(std::cmp::Ordering::Less) => 0.0,
        None => f64::NAN,
    };
    stats::mean(&pairs.iter().map(won).collect::<Vec<_>>())
}

/// One comparison of two answers to a question: the difference of their rewards, and the logarithm of how many times
/// longer the first is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duel {
    /// Duels of one index are not independent: those of one question, or of questions that are nearly the same.
    pub cluster: usize,
    /// The first one's reward less the second one's.
    pub gain: f64,
    /// `ln(length of the first / length of the second)`.
    pub stretch: f64,
}

impl Duel {
    /// Of rewards and lengths in characters; an empty answer counts as one character.
    pub fn new(cluster: usize, first: (f64, usize), second: (f64, usize)) -> Self {
        let ln = |chars: usize| (chars.max(1) as f64).ln();
        Self {
            cluster,
            gain: first.0 - second.0,
            stretch: ln(first.1) - ln(second.1),
        }
    }
}

/// How a gain in reward goes with longer answers: the least-squares line of gain on stretch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthBias {
    /// How many times longer the answers became: the geometric mean; 1 is no longer at all.
    pub longer: f64,
    /// Reward for each doubling of the length. `None` where all duels have the same stretch.
    pub per_doubling: Option<f64>,
    /// The part of the gain that goes with length: slope times the mean stretch. `None` as above.
    pub with_length: Option<f64>,
    /// The gain that is left at equal length: the line's value at stretch 0, with its interval.
    pub at_equal_length: Option<Estimate>,
}

/// Of some duels; `None` without any, or where a number is not finite.
pub fn length_bias(duels: &[Duel], seed: u64) -> Option<LengthBias> {
    let stretch = stats::mean(&duels.iter().map(|d| d.stretch).collect::<Vec<_>>())?;
    stats::mean(&duels.iter().map(|d| d.gain).collect::<Vec<_>>())?;
    let rows: Vec<(usize, f64, f64)> = duels
        .iter()
        .map(|d| (d.cluster, d.stretch, d.gain))
        .collect();
    let line = Line::through(&rows);
    Some(LengthBias {
        longer: stretch.exp(),
        per_doubling: line.map(|l| l.slope * std::f64::consts::LN_2),
        with_length: line.map(|l| l.slope * stretch),
        at_equal_length: stats::cluster_bootstrap_intercept(&rows, seed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_text_is_told_from_a_whole_one() {
        let (whole, cut) = (grade(-1.5, false), grade(-1.5, true));
        assert_eq!((whole.raw, whole.value), (Some(-1.5), logistic(-1.5)));
        assert!(was_cut(&cut) && !was_cut(&whole));
        assert_eq!(cut.raw, whole.raw);
    }

    #[test]
    fn wins_and_ties() {
        assert_eq!(win_rate(&[(1.0, 0.0), (2.0, 2.0), (0.0, 1.0)]), Some(0.5));
        assert_eq!(win_rate(&[(1.0, 0.0)]), Some(1.0));
        assert_eq!(win_rate(&[]), None);
        assert_eq!(win_rate(&[(f64::NAN, 0.0)]), None);
    }

    /// Gains that are nothing but length leave nothing at equal length; a constant gain is all left.
    #[test]
    fn length_is_told_from_gain() {
        let duels = |gain: fn(f64) -> f64| -> Vec<Duel> {
            let stretch = |i: usize| ((i % 5) as f64 - 1.0) / 2.0;
            (0..40)
                .map(|i| Duel {
                    cluster: i,
                    gain: gain(stretch(i)),
                    stretch: stretch(i),
                })
                .collect()
        };
        let bias = length_bias(&duels(|s| 3.0 * s), 1).unwrap();
        assert!((bias.longer - 0.5f64.exp()).abs() < 1e-12);
        assert!((bias.per_doubling.unwrap() - 3.0 * 2f64.ln()).abs() < 1e-9);
        assert!((bias.with_length.unwrap() - 1.5).abs() < 1e-9);
        assert!(bias.at_equal_length.unwrap().mean.abs() < 1e-9);
        let bias = length_bias(&duels(|_| 0.7), 1).unwrap();
        assert!((bias.at_equal_length.unwrap().mean - 0.7).abs() < 1e-9);
        assert!(bias.with_length.unwrap().abs() < 1e-9);
    }

    #[test]
    fn answers_of_one_length_say_nothing_of_length() {
        let duel = Duel::new(0, (2.0, 10), (1.0, 10));
        let bias = length_bias(&[duel, Duel { cluster: 1, ..duel }], 1).unwrap();
        assert_eq!((bias.longer, bias.per_doubling), (1.0, None));
        assert_eq!(bias.at_equal_length, None);
        assert_eq!(length_bias(&[], 1), None);
        assert_eq!(Duel::new(0, (0.0, 0), (0.0, 1)).stretch, 0.0);
    }

    proptest! {
        #[test]
        fn nothing_is_preferred_to_itself(rewards in prop::collection::vec(-20.0..20.0f64, 1..9), other in prop::collection::vec(-20.0..20.0f64, 1..9)) {
            prop_assert!((preferred(&rewards, &rewards).unwrap() - 0.5).abs() < 1e-12);
            let (there, back) = (preferred(&rewards, &other).unwrap(), preferred(&other, &rewards).unwrap());
            prop_assert!((there + back - 1.0).abs() < 1e-12);
            // What is added to every reward of a question changes nothing.
            let up = |r: &[f64]| r.iter().map(|r| r + 100.0).collect::<Vec<_>>();
            prop_assert!((preferred(&up(&rewards), &up(&other)).unwrap() - there).abs() < 1e-9);
        }
    }
}
