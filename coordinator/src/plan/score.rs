//! Numbers by which candidates are compared.

use crate::board::{Board, Spot, Trial};
use domain::{
    candidate::{Arm, Candidate},
    grade::Grader,
    select::{self, Tried},
    stats,
};

/// Controls of `reference_loglik` in baseline and search; the confirmation uses more.
pub const SEARCH_CONTROLS: usize = 2;

/// The number by which a trial counts in the search. Under `reference_loglik` it is the margin over mismatched
/// references: a rewrite that makes every text more probable has gained nothing.
pub fn of(grader: &Grader, trial: &Trial) -> f64 {
    match grader {
        Grader::ReferenceLoglik => trial.grade.margin.unwrap_or(trial.grade.value),
        _ => trial.grade.value,
    }
}

/// A candidate's standing in the search.
pub fn tried(board: &Board, spot: &Spot, candidate: &Candidate) -> Tried {
    let trials = board.tried(candidate.id, false);
    let scores: Vec<f64> = trials.iter().map(|t| of(&spot.grader, t)).collect();
    let margins: Vec<f64> = trials.iter().filter_map(|t| t.grade.margin).collect();
    let words = candidate
        .doc
        .question
        .as_deref()
        .unwrap_or(&spot.example.input);
    Tried {
        id: candidate.id,
        mean: stats::mean(&scores).unwrap_or(f64::NAN),
        margin: stats::mean(&margins),
        length: words.chars().count(),
        is_original: candidate.arm == Arm::Original,
    }
}

/// The winner of an arm, `None` when no candidate of it beats the original. Only candidates of rounds up to
/// `until` count.
pub fn selected<'a>(board: &Board, spot: &'a Spot, arm: Arm, until: u32) -> Option<&'a Candidate> {
    let field: Vec<&Candidate> = spot
        .original()
        .into_iter()
        .chain(spot.accepted(arm).filter(|c| c.round <= until))
        .collect();
    let standing: Vec<Tried> = field.iter().map(|c| tried(board, spot, c)).collect();
    select::winner(&standing).map(|i| field[i])
}

/// What the fresh draws say of a candidate against the original.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Mean difference in value, in `[-1, 1]`; under `reference_loglik` less the mean difference of mismatched
    /// references.
    pub gain: f64,
    /// One-sided: how likely is such a gain without any?
    pub p_value: f64,
    /// The original's mean value on the same draws.
    pub original: f64,
    /// The candidate's mean value.
    pub improved: f64,
    /// How many paired draws.
    pub draws: usize,
}

/// Compares a candidate with the original over their fresh draws, paired by repeat. `None` without a pair.
pub fn effect(board: &Board, spot: &Spot, candidate: &Candidate) -> Option<Effect> {
    let original = board.tried(spot.original()?.id, true);
    let improved = board.tried(candidate.id, true);
    let pairs: Vec<(&Trial, &Trial)> = original
        .iter()
        .filter_map(|o| Some((*o, *improved.iter().find(|i| i.repeat == o.repeat)?)))
        .collect();
    if spot.grader == Grader::ReferenceLoglik {
        return pairs.first().map(|(o, i)| by_controls(o, i));
    }
    let diffs: Vec<f64> = pairs
        .iter()
        .map(|(o, i)| i.grade.value - o.grade.value)
        .collect();
    let mean = |f: &dyn Fn(&(&Trial, &Trial)) -> f64| {
        stats::mean(&pairs.iter().map(f).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    let seed = candidate.doc.fingerprint().seed();
    Some(Effect {
        gain: stats::mean(&diffs)?,
        p_value: stats::sign_flip_p(&diffs, seed),
        original: mean(&|p| p.0.grade.value),
        improved: mean(&|p| p.1.grade.value),
        draws: diffs.len(),
    })
}

/// A deterministic grader has no fresh draws. Its controls are mismatched references: by how much does the rewrite
/// raise the right one more than it raises those? The p value is the rank of the right one among them.
fn by_controls(original: &Trial, improved: &Trial) -> Effect {
    let raw = |t: &Trial| t.grade.raw.unwrap_or(f64::NAN);
    let controls: Vec<f64> = original
        .controls
        .iter()
        .zip(&improved.controls)
        .map(|(o, i)| i - o)
        .collect();
    let own = raw(improved) - raw(original);
    let values: Vec<f64> = original
        .controls
        .iter()
        .zip(&improved.controls)
        .map(|(o, i)| i.exp() - o.exp())
        .collect();
    let (before, after) = (original.grade.value, improved.grade.value);
    Effect {
        gain: after - before - stats::mean(&values).unwrap_or(0.0),
        p_value: stats::rank_p(own, &controls),
        original: before,
        improved: after,
        draws: 1 + controls.len(),
    }
}
