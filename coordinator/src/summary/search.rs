//! A search's numbers: per target first, then means over targets.

use super::{
    BeforeAfter, DatasetSummary, Gain, GainKind, OperatorResult, RoundSummary, estimate,
    operators::results, reward,
};
use crate::{
    board::{Board, Spot},
    plan::{Effect, drawn, effect, selected, value},
    settings::{DatasetPlan, Settings},
};
use domain::{
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    reward::{Duel, length_bias},
    run::{Pair, RoundKind, Step},
    stats::{self, Estimate},
};
use std::collections::HashMap;
use store::StepStatus;

/// One target's numbers on fresh draws.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Its place on the board.
    pub spot: usize,
    /// Its dataset.
    pub dataset: String,
    /// The index of its near-duplicate cluster.
    pub cluster: usize,
    /// The unchanged prompt's mean value.
    pub original: f64,
    /// The chosen prompt's mean value: the unchanged prompt's where nothing beat it.
    pub best: f64,
    /// The winner's gain; 0 where nothing beat the original.
    pub gain: f64,
    /// The placebo winner's gain; 0 where no paraphrase beat the original.
    pub placebo: f64,
    /// The same in rewards, where a reward model grades; the values above are then chances of being preferred.
    pub reward: Option<reward::Numbers>,
    /// The winner's draws against the original's, where a judge grades.
    pub judged: Vec<Duel>,
}

/// The numbers of every target that was measured on fresh draws.
pub fn numbers(
    board: &Board,
    settings: &Settings,
    clusters: &HashMap<Hash, usize>,
) -> Vec<Numbers> {
    let one = |(at, spot): (usize, &Spot)| {
        let original = value(board, spot, spot.original()?, true)?;
        let winner = arm(
            board,
            spot,
            selected(board, spot, Arm::Search, settings.rounds),
        )?;
        let placebo = arm(board, spot, selected(board, spot, Arm::Placebo, u32::MAX))?;
        let cluster = spot.target.example.and_then(|e| clusters.get(&e));
        let cluster = cluster.copied().unwrap_or(at);
        let judged = winner.iter().flat_map(|e| &e.judged);
        Some(Numbers {
            spot: at,
            dataset: spot.target.dataset.clone(),
            cluster,
            judged: judged.map(|d| Duel { cluster, ..*d }).collect(),
            original,
            best: winner.as_ref().map_or(original, |e| e.improved),
            gain: winner.as_ref().map_or(0.0, |e| e.gain),
            placebo: placebo.as_ref().map_or(0.0, |e| e.gain),
            reward: reward::numbers(spot, winner.as_ref(), placebo.as_ref()),
        })
    };
    board.spots.iter().enumerate().filter_map(one).collect()
}

/// The effect of an arm's winner: `Some(None)` when the arm has none, `None` when it has one that was not measured.
fn arm(board: &Board, spot: &Spot, winner: Option<&Candidate>) -> Option<Option<Effect>> {
    match winner {
        None => Some(None),
        Some(winner) => effect(board, spot, winner).map(Some),
    }
}

/// What a training learns from: the pairs that hold up, or, where the spec says so, all that did better.
pub fn learnt(board: &Board, settings: &Settings) -> Vec<Pair> {
    let all = settings
        .train
        .as_ref()
        .is_some_and(|t| t.tuning.all_improved());
    if !all {
        return pairs(board, settings);
    }
    let better = effects(board, settings)
        .into_iter()
        .filter(|(_, _, e)| e.gain > 0.0);
    better
        .map(|(spot, winner, effect)| pair(spot, winner, &effect))
        .collect()
}

/// The winner of each target, and what it did on fresh draws.
fn effects<'b>(board: &'b Board, settings: &Settings) -> Vec<(&'b Spot, &'b Candidate, Effect)> {
    let spots = board.spots.iter();
    let found = spots.filter_map(|spot| {
        let winner = selected(board, spot, Arm::Search, settings.rounds)?;
        Some((spot, winner, effect(board, spot, winner)?))
    });
    found.collect()
}

/// The pairs that hold up: winners whose gain on fresh draws passes the false discovery rate.
pub fn pairs(board: &Board, settings: &Settings) -> Vec<Pair> {
    let found = effects(board, settings);
    let p: Vec<f64> = found.iter().map(|(_, _, e)| e.p_value).collect();
    let kept = stats::benjamini_hochberg(&p, settings.fdr);
    let kept = found
        .into_iter()
        .zip(kept)
        .filter(|((_, _, e), keep)| *keep && e.gain > 0.0);
    kept.map(|((spot, winner, effect), _)| pair(spot, winner, &effect))
        .collect()
}

fn pair(spot: &Spot, winner: &Candidate, effect: &Effect) -> Pair {
    // Whoever trains on pairs wants the rewards themselves: by how much is one better?
    let rewards = effect.reward.as_ref();
    Pair {
        target: spot.target.id,
        candidate: winner.id,
        original: spot.example.input.clone(),
        improved: winner.doc.question.clone().unwrap_or_default(),
        original_grade: rewards.map_or(effect.original, |r| r.original),
        improved_grade: rewards.map_or(effect.improved, |r| r.improved),
        grader: format!("{}@{}", spot.grader.name(), spot.grader.version()),
        operator: winner.operator.clone(),
        round: winner.round,
        p_value: effect.p_value,
    }
}

/// The chosen prompts of all targets.
pub fn best(numbers: &[Numbers], seed: u64) -> Option<Estimate> {
    estimate(&of(numbers, |n| n.best), seed)
}

/// The gain over all targets.
pub fn gain(numbers: &[Numbers], settings: &Settings) -> Option<Gain> {
    let seed = settings.seed;
    let winners = stats::cluster_bootstrap(&of(numbers, |n| n.gain), seed)?;
    let placebo = settings.placebo.then(|| of(numbers, |n| n.placebo));
    let net = if settings.placebo {
        of(numbers, |n| n.gain - n.placebo)
    } else {
        of(numbers, |n| n.gain)
    };
    Some(Gain {
        net: stats::cluster_bootstrap_within(&net, (-2.0, 2.0), seed)?,
        kind: GainKind::Search,
        winners,
        placebo: placebo.and_then(|values| stats::cluster_bootstrap(&values, seed)),
    })
}

pub(super) fn of(numbers: &[Numbers], value: impl Fn(&Numbers) -> f64) -> Vec<(usize, f64)> {
    numbers.iter().map(|n| (n.cluster, value(n))).collect()
}

/// One dataset's numbers, its baseline aside.
pub fn dataset(numbers: &[Numbers], plan: &DatasetPlan, settings: &Settings) -> DatasetSummary {
    let own: Vec<Numbers> = numbers
        .iter()
        .filter(|n| n.dataset == plan.name)
        .cloned()
        .collect();
    let judged: Vec<Duel> = own.iter().flat_map(|n| n.judged.iter().copied()).collect();
    DatasetSummary {
        dataset: plan.name.clone(),
        grader: plan.grader.name().to_owned(),
        targets: own.len() as u64,
        baseline: None,
        reward: reward::summary(&own, settings),
        length: length_bias(&judged, settings.seed),
        original: estimate(&of(&own, |n| n.original), settings.seed),
        best: best(&own, settings.seed),
        gain: gain(&own, settings),
    }
}

/// Every target's best prompt after each closed round.
pub fn rounds(
    board: &Board,
    settings: &Settings,
    clusters: &HashMap<Hash, usize>,
    steps: &[StepStatus],
) -> Vec<RoundSummary> {
    let graded = match settings.scored() {
        true => Step::Score,
        false => Step::Answer,
    };
    let closed =
        |s: &&StepStatus| s.kind == RoundKind::Search && s.key.step == graded && s.open == 0;
    let one = |s: &StepStatus| {
        let round = s.key.round;
        let value = |(at, spot): (usize, &Spot)| {
            let chosen = selected(board, spot, Arm::Search, round).or(spot.original())?;
            let cluster = spot.target.example.and_then(|e| clusters.get(&e)).copied();
            Some((cluster.unwrap_or(at), value(board, spot, chosen, false)?))
        };
        let values: Vec<(usize, f64)> = board.spots.iter().enumerate().filter_map(value).collect();
        let made = || {
            board
                .spots
                .iter()
                .flat_map(|s| &s.candidates)
                .filter(|c| c.round == round)
        };
        let rejected = made()
            .filter(|c| matches!(c.verdict, Verdict::Rejected { .. }))
            .count();
        Some(RoundSummary {
            round,
            best: estimate(&values, settings.seed)?,
            tried: (made().count() - rejected) as u64,
            rejected: rejected as u64,
        })
    };
    steps.iter().filter(closed).filter_map(one).collect()
}

/// What each operator did, and how often it is drawn; empty where none is.
pub fn operators(board: &Board, settings: &Settings) -> Vec<OperatorResult> {
    let Some(plan) = &settings.drawn else {
        return Vec::new();
    };
    let arms = drawn::arms(settings, plan, board, u32::MAX);
    results(&arms, board.spots.iter().flat_map(|spot| &spot.candidates))
}

/// The three largest gains, confirmed ones first.
pub fn examples(board: &Board, numbers: &[Numbers], pairs: &[Pair]) -> Vec<BeforeAfter> {
    let mut order: Vec<(bool, &Numbers)> = numbers
        .iter()
        .filter(|n| n.gain > 0.0 && n.best > n.original)
        .map(|n| {
            (
                pairs
                    .iter()
                    .any(|p| p.target == board.spots[n.spot].target.id),
                n,
            )
        })
        .collect();
    order.sort_by(|a, b| {
        b.0.cmp(&a.0)
            .then(b.1.gain.total_cmp(&a.1.gain))
            .then(a.1.spot.cmp(&b.1.spot))
    });
    let show = |(confirmed, n): (bool, &Numbers)| {
        let spot = &board.spots[n.spot];
        let winner = selected(board, spot, Arm::Search, u32::MAX)?;
        Some(BeforeAfter {
            dataset: n.dataset.clone(),
            original: spot.example.input.clone(),
            improved: winner.doc.question.clone()?,
            original_grade: n.original,
            improved_grade: n.best,
            confirmed,
        })
    };
    order.into_iter().filter_map(show).take(3).collect()
}
