//! What a reward model adds to a summary: the gain in its own units, and how much of that is length.
//!
//! Only differences of rewards on one question are averaged.

use super::{
    Gain, GainKind,
    search::{self, of},
};
use crate::{
    board::{Board, Spot},
    plan::Effect,
    settings::Settings,
};
use domain::{
    reward::{self, BOUNDS, Duel, LengthBias},
    stats::{self, Estimate},
};
use serde::{Deserialize, Serialize};

/// A data set's numbers in rewards, on fresh draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardSummary {
    /// What was gained, in units of the reward model.
    pub gain: Gain,
    /// How often the chosen prompt's answer has the higher reward; ties, and targets where nothing beat the unchanged
    /// prompt, count as half.
    pub win_rate: Estimate,
    /// How much of the winners' gain goes with longer answers; absent where there is no winner.
    pub length: Option<LengthBias>,
}

/// One target's numbers in rewards.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The winner's gain; 0 where nothing beat the original.
    pub gain: f64,
    /// The placebo winner's gain; 0 where no paraphrase beat the original.
    pub placebo: f64,
    /// How often the winner's answer won; 0.5 where nothing beat the original.
    pub win_rate: f64,
    /// The winner's draws against the original's; none where nothing beat it.
    pub duels: Vec<Duel>,
}

/// One target's numbers; `None` where another grader grades.
pub fn numbers(spot: &Spot, winner: Option<&Effect>, placebo: Option<&Effect>) -> Option<Numbers> {
    if !spot.grader.is_reward() {
        return None;
    }
    let rewards = |e: Option<&Effect>| e.and_then(|e| e.reward.clone());
    let gain = |e: Option<&Effect>| rewards(e).map_or(0.0, |r| r.improved - r.original);
    Some(Numbers {
        gain: gain(winner),
        placebo: gain(placebo),
        win_rate: rewards(winner).map_or(0.5, |r| r.win_rate),
        duels: rewards(winner).map_or_else(Vec::new, |r| r.duels),
    })
}

/// The numbers of a data set; `None` where another grader grades, or nothing was measured.
pub fn summary(numbers: &[search::Numbers], settings: &Settings) -> Option<RewardSummary> {
    let own: Vec<search::Numbers> = numbers
        .iter()
        .filter(|n| n.reward.is_some())
        .cloned()
        .collect();
    let of = |value: fn(&Numbers) -> f64| of(&own, |n| n.reward.as_ref().map_or(0.0, value));
    let estimate = |values: &[(usize, f64)], bounds| {
        stats::cluster_bootstrap_within(values, bounds, settings.seed)
    };
    let placebo = settings.placebo.then(|| of(|n| n.placebo));
    let net = match settings.placebo {
        true => of(|n| n.gain - n.placebo),
        false => of(|n| n.gain),
    };
    let duels: Vec<Duel> = own.iter().flat_map(duels).collect();
    Some(RewardSummary {
        gain: Gain {
            net: estimate(&net, BOUNDS)?,
            kind: GainKind::Search,
            winners: estimate(&of(|n| n.gain), BOUNDS)?,
            placebo: placebo.and_then(|values| estimate(&values, BOUNDS)),
        },
        win_rate: estimate(&of(|n| n.win_rate), (0.0, 1.0))?,
        length: reward::length_bias(&duels, settings.seed),
    })
}

/// A target's draws; those of targets that are nearly the same are not independent.
fn duels(numbers: &search::Numbers) -> Vec<Duel> {
    let own = numbers.reward.iter().flat_map(|r| &r.duels);
    own.map(|duel| Duel {
        cluster: numbers.cluster,
        ..*duel
    })
    .collect()
}

/// Texts of the search and the confirmation that the model did not see whole.
pub fn cut(board: &Board) -> u64 {
    let trials = board.trials.values().flatten();
    trials.filter(|t| reward::was_cut(&t.grade)).count() as u64
}

/// What a reader must know of rewards.
pub fn marks(cut: u64) -> Vec<String> {
    let mut out = vec![
        "where a reward model grades, values are chances that an answer is preferred to the unchanged prompt's \
         (0.5 is no difference), and its hardest examples are those whose answers vary most, or a sample"
            .to_owned(),
        "the reward model that chose the winners also judges them: a gain is what it likes, longer answers among that"
            .to_owned(),
    ];
    if cut > 0 {
        let texts = if cut == 1 { "text" } else { "texts" };
        out.push(format!(
            "the reward model read {cut} {texts} cut short: they are longer than it reads"
        ));
    }
    out
}

/// A cell of an evaluation in rewards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellRewards {
    /// The mean reward: it compares with that of other prompts on the same questions, and with nothing else.
    pub mean: Estimate,
    /// Against the first prompt of the same model and data set, question by question; absent for that one itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against_first: Option<Against>,
}

/// One prompt against another on the same questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Mean difference of rewards.
    pub gain: Estimate,
    /// How often its answer has the higher reward; ties count as half.
    pub win_rate: Estimate,
    /// How much of the gain goes with longer answers.
    pub length: Option<LengthBias>,
}

/// One answer's reward. `example` is an index, so that a row stays small: there are as many as answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The example's near-duplicate cluster.
    pub cluster: u32,
    /// The example, by its place in the tally.
    pub example: u32,
    /// Which repeat.
    pub repeat: u32,
    /// How long the answer is, characters.
    pub chars: u32,
    /// The reward.
    pub reward: f64,
}

/// Chances that answers are preferred to those of `first`, one for each question that both answered.
pub fn preferences(rows: &[Row], first: &[Row]) -> Vec<(usize, f64)> {
    let rewards = |rows: &[Row]| rows.iter().map(|r| r.reward).collect::<Vec<_>>();
    let one = |(these, those): (&[Row], &[Row])| {
        let preferred = reward::preferred(&rewards(these), &rewards(those))?;
        Some((these[0].cluster as usize, preferred))
    };
    by_question(rows, first)
        .into_iter()
        .filter_map(one)
        .collect()
}

/// A cell's rewards; `first` are those of the first prompt, `None` when this is it.
pub fn cell(rows: &[Row], first: Option<&[Row]>, seed: u64) -> Option<CellRewards> {
    let values: Vec<(usize, f64)> = rows
        .iter()
        .map(|r| (r.cluster as usize, r.reward))
        .collect();
    Some(CellRewards {
        mean: stats::cluster_bootstrap_within(&values, BOUNDS, seed)?,
        against_first: first.and_then(|first| against(rows, first, seed)),
    })
}

fn against(rows: &[Row], first: &[Row], seed: u64) -> Option<Against> {
    let mut duels = Vec::new();
    for (these, those) in by_question(rows, first) {
        for this in these {
            let same = those.iter().find(|that| that.repeat == this.repeat);
            let side = |r: &Row| (r.reward, r.chars as usize);
            duels.extend(same.map(|that| Duel::new(this.cluster as usize, side(this), side(that))));
        }
    }
    let won = |d: &Duel| Some((d.cluster, reward::win_rate(&[(d.gain, 0.0)])?));
    let wins: Vec<(usize, f64)> = duels.iter().filter_map(won).collect();
    let gains: Vec<(usize, f64)> = duels.iter().map(|d| (d.cluster, d.gain)).collect();
    Some(Against {
        gain: stats::cluster_bootstrap_within(&gains, BOUNDS, seed)?,
        win_rate: stats::cluster_bootstrap_within(&wins, (0.0, 1.0), seed)?,
        length: reward::length_bias(&duels, seed),
    })
}

/// The rows of each question that both sides have. Both are sorted by example.
fn by_question<'a>(rows: &'a [Row], first: &'a [Row]) -> Vec<(&'a [Row], &'a [Row])> {
    let same = |a: &Row, b: &Row| a.example == b.example;
    let mut those = first.chunk_by(same).peekable();
    let mut out = Vec::new();
    for these in rows.chunk_by(same) {
        while those.next_if(|t| t[0].example < these[0].example).is_some() {}
        if let Some(found) = those.next_if(|t| t[0].example == these[0].example) {
            out.push((these, found));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(of: &[(u32, u32, f64, u32)]) -> Vec<Row> {
        let row = |&(example, repeat, reward, chars): &(u32, u32, f64, u32)| Row {
            cluster: example,
            example,
            repeat,
            chars,
            reward,
        };
        of.iter().map(row).collect()
    }

    /// Questions 1 and 3 are answered by both, 3 with another offset: offsets cancel.
    #[test]
    fn only_answers_to_the_same_question_meet() {
        let first = rows(&[
            (1, 0, 1.0, 10),
            (2, 0, 9.0, 10),
            (3, 0, -50.0, 10),
            (3, 1, -51.0, 10),
        ]);
        let second = rows(&[
            (0, 0, 7.0, 10),
            (1, 0, 2.0, 20),
            (3, 0, -49.0, 20),
            (3, 1, -50.0, 20),
        ]);
        let met = against(&second, &first, 1).unwrap();
        assert_eq!((met.gain.mean, met.gain.n), (1.0, 3));
        assert_eq!(met.win_rate.mean, 1.0);
        assert!((met.length.unwrap().longer - 2.0).abs() < 1e-12);
        let chances = preferences(&second, &first);
        assert_eq!(chances.len(), 2);
        assert!((chances[0].1 - reward::logistic(1.0)).abs() < 1e-12);
        let itself = preferences(&first, &first);
        assert!(itself.iter().all(|(_, p)| (p - 0.5).abs() < 1e-12));
    }
}
