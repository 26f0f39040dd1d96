//! Numbers by which candidates are compared.

use crate::{
    board::{Board, Spot, Trial},
    settings::FRESH,
};
use domain::{
    candidate::{Arm, Candidate},
    grade::Grader,
    reward::{self, Duel},
    select::{self, Tried},
    stats,
};

/// Controls of `reference_loglik` in baseline and search; the confirmation uses more.
pub const SEARCH_CONTROLS: usize = 2;

/// The number by which a trial counts in the search. Under `reference_loglik` it is the margin over mismatched
/// references: a rewrite that makes every text more probable has gained nothing. Under `reward` it is the reward, which
/// compares with the others of its target: they answer the same question.
pub fn of(grader: &Grader, trial: &Trial) -> f64 {
    match grader {
        Grader::ReferenceLoglik => trial.grade.margin.unwrap_or(trial.grade.value),
        Grader::Reward { .. } => trial.reward(),
        _ => trial.grade.value,
    }
}

/// A candidate's mean value in `[0, 1]`, as people and proposers see it: in the search, or on fresh draws. Under `reward`
/// it is the chance that its answer is preferred to the original's (0.5 for the original itself), because a reward by
/// itself means nothing. `None` where it was not measured.
pub fn value(board: &Board, spot: &Spot, candidate: &Candidate, fresh: bool) -> Option<f64> {
    let trials = board.tried(candidate.id, fresh);
    if spot.grader.is_reward() {
        let original = board.tried(spot.original()?.id, fresh);
        return reward::preferred(&rewards(&trials), &rewards(&original));
    }
    let values: Vec<f64> = trials.iter().map(|t| t.grade.value).collect();
    stats::mean(&values)
}

fn rewards(trials: &[&Trial]) -> Vec<f64> {
    trials.iter().map(|t| t.reward()).collect()
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
    /// The same in rewards, where the grader is a reward model; the values above are then chances of being preferred.
    pub reward: Option<Rewards>,
    /// Where a judge grades: the draws one by one, by how much more than a tie the candidate's answer is worth; all of
    /// cluster 0.
    pub judged: Vec<Duel>,
}

/// A comparison in rewards: of answers to one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewards {
    /// The original's mean reward.
    pub original: f64,
    /// The candidate's.
    pub improved: f64,
    /// How often the candidate's answer has the higher reward; ties count as half.
    pub win_rate: f64,
    /// The draws one by one, the candidate's answer first; all of cluster 0.
    pub duels: Vec<Duel>,
}

/// Compares a candidate with the original over their fresh draws, paired by repeat. `None` without a pair.
pub fn effect(board: &Board, spot: &Spot, candidate: &Candidate) -> Option<Effect> {
    let original = board.tried(spot.original()?.id, true);
    let improved = board.tried(candidate.id, true);
    let pairs: Vec<(&Trial, &Trial)> = original
        .iter()
        .filter_map(|o| Some((*o, *improved.iter().find(|i| i.repeat == o.repeat)?)))
        .collect();
    compared(&spot.grader, &pairs, candidate.doc.fingerprint().seed())
}

/// Compares the original's other draws with its fresh ones: what a gain looks like where nothing was changed. `None` where
/// a judge grades: it is not asked to compare an original with itself.
pub fn against_itself(board: &Board, spot: &Spot) -> Option<Effect> {
    if spot.grader.is_judge() {
        return None;
    }
    let original = spot.original()?;
    let fresh = board.tried(original.id, true);
    let before = board.tried(original.id, false);
    let same = |o: &&Trial| before.iter().find(|b| b.repeat + FRESH == o.repeat);
    let pairs: Vec<(&Trial, &Trial)> = fresh.iter().filter_map(|o| Some((*o, *same(o)?))).collect();
    compared(&spot.grader, &pairs, 0)
}

/// What pairs of draws say: the original's first.
fn compared(grader: &Grader, pairs: &[(&Trial, &Trial)], seed: u64) -> Option<Effect> {
    if *grader == Grader::ReferenceLoglik {
        return pairs.first().map(|(o, i)| by_controls(o, i));
    }
    if grader.is_reward() {
        return by_reward(pairs, seed);
    }
    let diffs: Vec<f64> = pairs
        .iter()
        .map(|(o, i)| i.grade.value - o.grade.value)
        .collect();
    let mean = |f: &dyn Fn(&(&Trial, &Trial)) -> f64| {
        stats::mean(&pairs.iter().map(f).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    Some(Effect {
        gain: stats::mean(&diffs)?,
        p_value: stats::sign_flip_p(&diffs, seed),
        original: mean(&|p| p.0.grade.value),
        improved: mean(&|p| p.1.grade.value),
        draws: diffs.len(),
        reward: None,
        judged: match grader.is_judge() {
            true => pairs
                .iter()
                .map(|(o, i)| duel(o, i, &|t| t.grade.value))
                .collect(),
            false => Vec::new(),
        },
    })
}

/// Original and improved trials, paired. The test is on the differences of rewards; what people see is the chance that
/// the improved answer is preferred.
fn by_reward(pairs: &[(&Trial, &Trial)], seed: u64) -> Option<Effect> {
    let side = |f: fn(&(&Trial, &Trial)) -> f64| pairs.iter().map(f).collect::<Vec<_>>();
    let (original, improved) = (side(|p| p.0.reward()), side(|p| p.1.reward()));
    let duels: Vec<Duel> = pairs
        .iter()
        .map(|(o, i)| duel(o, i, &Trial::reward))
        .collect();
    let diffs: Vec<f64> = duels.iter().map(|d| d.gain).collect();
    let fought: Vec<(f64, f64)> = improved
        .iter()
        .copied()
        .zip(original.iter().copied())
        .collect();
    let preferred = reward::preferred(&improved, &original)?;
    Some(Effect {
        gain: preferred - 0.5,
        p_value: stats::sign_flip_p(&diffs, seed),
        original: 0.5,
        improved: preferred,
        draws: pairs.len(),
        reward: Some(Rewards {
            original: stats::mean(&original)?,
            improved: stats::mean(&improved)?,
            win_rate: reward::win_rate(&fought)?,
            duels,
        }),
        judged: Vec::new(),
    })
}

/// The improved answer against the original one, by their worths and lengths.
fn duel(original: &Trial, improved: &Trial, worth: &dyn Fn(&Trial) -> f64) -> Duel {
    let side = |t: &Trial| (worth(t), t.chars());
    Duel::new(0, side(improved), side(original))
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
        reward: None,
        judged: Vec::new(),
    }
}
