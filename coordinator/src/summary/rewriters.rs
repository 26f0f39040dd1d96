//! The summary of an evaluation of rewriters: what they gain on prompts that nobody searched, beside the prompts that
//! people wrote.
//!
//! A prompt's numbers come first (its fresh draws against the original's, paired), then means over prompts, with
//! intervals by a bootstrap over near-duplicate clusters. A rewrite that is no prompt counts as the original: a tie.

use super::{clusters, reward::Against};
use crate::{
    CoordinatorError,
    board::{Board, Spot},
    plan::{self, Effect, rewriters::RESAMPLED},
    settings::{DatasetPlan, Settings},
};
use domain::{
    candidate::{Arm, Candidate, Verdict},
    grade::Grader,
    ids::RunId,
    reward::{BOUNDS, Duel, length_bias, win_rate},
    run::RunStatus,
    select,
    stats::{self, Estimate},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use store::{Run, Store};

/// The least number of draws of each prompt that a claim needs.
const CLAIM_REPEATS: u32 = 4;
/// Differences of means below this are none: the order in which grades were summed must not decide.
const NOTHING: f64 = 1e-9;

/// The summary, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewriterSummary {
    /// The run.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Fresh draws of each prompt.
    pub repeats: u32,
    /// One for each rewriter and dataset, in the order of the spec.
    pub rewriters: Vec<Standing>,
    /// One for each dataset: how well a prompt does that nobody improved.
    pub controls: Vec<Controls>,
    /// Each two rewriters on each dataset: the first less the second.
    pub differences: Vec<Difference>,
    /// Answers that could not be had: outages, refusals; their prompts are left out, not counted as worse.
    pub unmeasured: u64,
    /// Model calls.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// From the first start to the end, or to now.
    pub seconds: f64,
    /// What a reader must know before quoting these numbers.
    pub marks: Vec<String>,
}

/// One rewriter on one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The rewriter: a model's name in the spec.
    pub rewriter: String,
    /// The dataset.
    pub dataset: String,
    /// The grader.
    pub grader: String,
    /// Prompts that were measured.
    pub prompts: u64,
    /// What was written and is no prompt, by reason: those prompts stay as they were.
    pub fallbacks: BTreeMap<String, u64>,
    /// Prompts whose rewrite did better than the original, as well, and worse, by their mean over the draws.
    pub wins: u64,
    /// As well, fallbacks among them.
    pub ties: u64,
    /// Worse.
    pub losses: u64,
    /// The mean gain: in grade, or, where a reward model grades, in the chance of being preferred (0 is no difference).
    pub gain: Option<Estimate>,
    /// The same over the hardest half, picked on draws that the gain does not count.
    pub hard: Option<Estimate>,
    /// Human-level: P(win) + P(tie) / 2.
    pub human_level: Option<Estimate>,
    /// Whether human level may be claimed: the lower end of its interval is at least 0.5, on enough draws.
    pub claimed: bool,
    /// How often the rewrite is at least as good. A number to be read beside the controls, which have it too.
    pub as_good: Option<Estimate>,
    /// Where a reward model grades: the same in rewards, and how much of it goes with longer answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<Against>,
}

/// What a dataset gives to prompts that nobody improved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// The dataset.
    pub dataset: String,
    /// The original's mean grade on the fresh draws; `None` where a reward model grades.
    pub original: Option<Estimate>,
    /// How often the unchanged prompt is at least as good as itself, on other draws.
    pub unchanged: Option<Estimate>,
    /// How often the words of another person's prompt, drawn from the dataset, are at least as good.
    pub resampled: Option<Estimate>,
}

/// Two rewriters on the same prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first.
    pub rewriter: String,
    /// The second.
    pub than: String,
    /// The dataset.
    pub dataset: String,
    /// Mean gain of the first less that of the second.
    pub gain: Estimate,
}

/// A prompt with one rewriter.
struct Met {
    cluster: usize,
    hard: bool,
    /// 0 where the original was kept.
    gain: f64,
    duels: Vec<Duel>,
}

/// Computes the summary from what is stored.
///
/// # Errors
/// When the store fails.
pub async fn rewriters(
    store: &dyn Store,
    run: &Run,
    settings: &Settings,
    now: i64,
) -> Result<RewriterSummary, CoordinatorError> {
    let board = Board::load(store, run.id, settings).await?;
    let clusters = clusters(store, run.id).await?;
    let ground = Ground {
        hard: hardest_half(&board, settings),
        cluster: |spot: &Spot| spot.target.example.and_then(|e| clusters.get(&e)).copied(),
        board: &board,
        settings,
    };
    let (mut standings, mut controls, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in &settings.datasets {
        let met: Vec<HashMap<usize, Met>> = ground.met(dataset);
        let named = settings.eval.rewriters.iter().zip(&met);
        standings.extend(named.map(|(name, met)| ground.standing(name, dataset, met)));
        differences.extend(ground.differences(dataset, &met));
        controls.push(ground.controls(dataset));
    }
    let spend = store.spend(run.id).await?;
    let steps = store.steps(run.id).await?;
    Ok(RewriterSummary {
        run: run.id,
        name: run.name.clone(),
        status: run.status,
        repeats: settings.repeats,
        rewriters: standings,
        controls,
        differences,
        unmeasured: super::unmeasured(&steps),
        calls: spend.calls,
        tokens: spend.tokens,
        cost_usd: spend.cost_micros as f64 / 1e6,
        seconds: (run.finished_at.unwrap_or(now) - run.created_at) as f64 / 1e6,
        marks: marks(settings),
    })
}

/// What all numbers are made from.
struct Ground<'a, F> {
    board: &'a Board,
    settings: &'a Settings,
    /// Places on the board.
    hard: HashSet<usize>,
    cluster: F,
}

impl<F: Fn(&Spot) -> Option<usize>> Ground<'_, F> {
    fn spots<'b>(&'b self, dataset: &'b DatasetPlan) -> impl Iterator<Item = (usize, &'b Spot)> {
        let all = self.board.spots.iter().enumerate();
        all.filter(|(_, spot)| spot.target.dataset == dataset.name)
    }

    /// For each rewriter the prompts that were measured, by their place on the board.
    fn met(&self, dataset: &DatasetPlan) -> Vec<HashMap<usize, Met>> {
        let one = |name: &String| {
            let met = |(at, spot): (usize, &Spot)| Some((at, self.one(at, spot, name)?));
            self.spots(dataset).filter_map(met).collect()
        };
        self.settings.eval.rewriters.iter().map(one).collect()
    }

    /// `None` where the rewriter was not heard, or an answer could not be had.
    fn one(&self, at: usize, spot: &Spot, rewriter: &str) -> Option<Met> {
        let cluster = (self.cluster)(spot).unwrap_or(at);
        let candidate = written(spot, rewriter)?;
        let effect = match candidate.verdict {
            Verdict::Rejected { .. } => None,
            _ => Some(plan::effect(self.board, spot, candidate)?),
        };
        let rewards = effect.as_ref().and_then(|e| e.reward.as_ref());
        let duel = |d: &Duel| Duel { cluster, ..*d };
        Some(Met {
            cluster,
            hard: self.hard.contains(&at),
            gain: effect.as_ref().map_or(0.0, |e| e.gain),
            duels: rewards.map_or_else(Vec::new, |r| r.duels.iter().map(duel).collect()),
        })
    }

    fn standing(&self, name: &str, dataset: &DatasetPlan, met: &HashMap<usize, Met>) -> Standing {
        let seed = self.settings.seed;
        let all = in_order(met);
        let count = |sign: i8| all.iter().filter(|m| side(m.gain) == sign).count() as u64;
        let human_level = share(&all, seed, |side| f64::from(side + 1) / 2.0);
        let proven = human_level.is_some_and(|h| h.ci95.0 >= 0.5);
        Standing {
            rewriter: name.to_owned(),
            dataset: dataset.name.clone(),
            grader: dataset.grader.name().to_owned(),
            prompts: all.len() as u64,
            fallbacks: self.fallbacks(name, dataset),
            wins: count(1),
            ties: count(0),
            losses: count(-1),
            gain: gain(all.iter().copied(), seed),
            hard: gain(all.iter().copied().filter(|m| m.hard), seed),
            human_level,
            claimed: proven && self.settings.repeats >= CLAIM_REPEATS,
            as_good: share(&all, seed, at_least),
            reward: in_rewards(&all, seed),
        }
    }

    fn fallbacks(&self, name: &str, dataset: &DatasetPlan) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for (_, spot) in self.spots(dataset) {
            if let Some(Verdict::Rejected { reason, .. }) = written(spot, name).map(|c| &c.verdict)
            {
                *out.entry(reason.clone()).or_default() += 1;
            }
        }
        out
    }

    fn differences(&self, dataset: &DatasetPlan, met: &[HashMap<usize, Met>]) -> Vec<Difference> {
        let names = &self.settings.eval.rewriters;
        let mut out = Vec::new();
        for (i, first) in met.iter().enumerate() {
            for (j, second) in met.iter().enumerate().skip(i + 1) {
                let mut both: Vec<(&usize, &Met)> = first.iter().collect();
                both.sort_by_key(|(at, _)| **at);
                let less =
                    |(at, m): (&usize, &Met)| Some((m.cluster, m.gain - second.get(at)?.gain));
                let values: Vec<(usize, f64)> = both.into_iter().filter_map(less).collect();
                let gain =
                    stats::cluster_bootstrap_within(&values, (-2.0, 2.0), self.settings.seed);
                out.extend(gain.map(|gain| Difference {
                    rewriter: names[i].clone(),
                    than: names[j].clone(),
                    dataset: dataset.name.clone(),
                    gain,
                }));
            }
        }
        out
    }

    fn controls(&self, dataset: &DatasetPlan) -> Controls {
        let seed = self.settings.seed;
        let sides = |of: &dyn Fn(&Spot) -> Option<f64>| {
            let one = |(at, spot): (usize, &Spot)| {
                let cluster = (self.cluster)(spot).unwrap_or(at);
                Some((cluster, at_least(side(of(spot)?))))
            };
            let values: Vec<(usize, f64)> = self.spots(dataset).filter_map(one).collect();
            stats::cluster_bootstrap_within(&values, (0.0, 1.0), seed)
        };
        let value = |(at, spot): (usize, &Spot)| {
            let cluster = (self.cluster)(spot).unwrap_or(at);
            Some((
                cluster,
                plan::value(self.board, spot, spot.original()?, true)?,
            ))
        };
        let values: Vec<(usize, f64)> = self.spots(dataset).filter_map(value).collect();
        Controls {
            dataset: dataset.name.clone(),
            original: match dataset.grader.compares() {
                true => None,
                false => super::estimate(&values, seed),
            },
            // A grader without fresh draws would say that everything is as good as itself.
            unchanged: match dataset.grader {
                Grader::ReferenceLoglik => None,
                _ => sides(&|spot| Some(plan::against_itself(self.board, spot)?.gain)),
            },
            resampled: sides(&|spot| {
                let mut controls = spot.accepted(Arm::Placebo);
                let control = controls.find(|c| c.author == RESAMPLED)?;
                plan::effect(self.board, spot, control).map(|e: Effect| e.gain)
            }),
        }
    }
}

/// What a rewriter wrote for a prompt.
fn written<'a>(spot: &'a Spot, rewriter: &str) -> Option<&'a Candidate> {
    let mut candidates = spot.candidates.iter().filter(|c| c.arm == Arm::Search);
    candidates.find(|c| c.author == rewriter)
}

/// Sorted by place: sums do not depend on how a map lies in memory.
fn in_order(met: &HashMap<usize, Met>) -> Vec<&Met> {
    let mut all: Vec<(&usize, &Met)> = met.iter().collect();
    all.sort_by_key(|(at, _)| **at);
    all.into_iter().map(|(_, m)| m).collect()
}

/// 1 for better, 0 for as good, -1 for worse.
fn side(gain: f64) -> i8 {
    match gain {
        g if g > NOTHING => 1,
        g if g < -NOTHING => -1,
        _ => 0,
    }
}

fn at_least(side: i8) -> f64 {
    f64::from(u8::from(side >= 0))
}

fn share(met: &[&Met], seed: u64, of: impl Fn(i8) -> f64) -> Option<Estimate> {
    let values: Vec<(usize, f64)> = met.iter().map(|m| (m.cluster, of(side(m.gain)))).collect();
    stats::cluster_bootstrap_within(&values, (0.0, 1.0), seed)
}

fn gain<'m>(met: impl Iterator<Item = &'m Met>, seed: u64) -> Option<Estimate> {
    let values: Vec<(usize, f64)> = met.map(|m| (m.cluster, m.gain)).collect();
    stats::cluster_bootstrap_within(&values, (-1.0, 1.0), seed)
}

/// The same in rewards; prompts that stayed as they were are duels of nothing.
fn in_rewards(met: &[&Met], seed: u64) -> Option<Against> {
    let duels: Vec<Duel> = met.iter().flat_map(|m| m.duels.iter().copied()).collect();
    let mean = |m: &Met, of: &dyn Fn(&Duel) -> f64, none: f64| {
        stats::mean(&m.duels.iter().map(of).collect::<Vec<_>>()).unwrap_or(none)
    };
    let won = |d: &Duel| win_rate(&[(d.gain, 0.0)]).unwrap_or(f64::NAN);
    let gains: Vec<(usize, f64)> = met
        .iter()
        .map(|m| (m.cluster, mean(m, &|d| d.gain, 0.0)))
        .collect();
    let wins: Vec<(usize, f64)> = met
        .iter()
        .map(|m| (m.cluster, mean(m, &won, 0.5)))
        .collect();
    if duels.is_empty() {
        return None;
    }
    Some(Against {
        gain: stats::cluster_bootstrap_within(&gains, BOUNDS, seed)?,
        win_rate: stats::cluster_bootstrap_within(&wins, (0.0, 1.0), seed)?,
        length: length_bias(&duels, seed),
    })
}

/// The hardest half of each dataset by the draws that no gain counts, in the order that mining uses.
fn hardest_half(board: &Board, settings: &Settings) -> HashSet<usize> {
    let row = |spot: &Spot| {
        let trials = board.tried(spot.original()?.id, false);
        plan::hardness(&trials, spot, settings)
    };
    let rows: Vec<select::Baseline> = board.spots.iter().filter_map(row).collect();
    let half = |d: &DatasetPlan| {
        let of = rows.iter().filter(|r| r.group == d.name);
        (d.name.clone(), of.count().div_ceil(2))
    };
    let quota: Vec<(String, usize)> = settings.datasets.iter().map(half).collect();
    let hard: HashSet<_> = select::hardest(&rows, &quota).into_iter().collect();
    let place = board.spots.iter().enumerate();
    let is_hard = |spot: &Spot| spot.target.example.is_some_and(|e| hard.contains(&e));
    place
        .filter(|(_, s)| is_hard(s))
        .map(|(at, _)| at)
        .collect()
}

fn marks(settings: &Settings) -> Vec<String> {
    let mut out = Vec::new();
    if settings.repeats < CLAIM_REPEATS {
        out.push(format!(
            "eval.repeats = {} is fewer than the {CLAIM_REPEATS} a claim needs",
            settings.repeats
        ));
    }
    let any = |of: &dyn Fn(&Grader) -> bool| settings.datasets.iter().any(|d| of(&d.grader));
    if any(&|g| *g == Grader::ReferenceLoglik) {
        out.push(
            "reference_loglik is a proxy: how probable the reference is, not how good an answer is"
                .to_owned(),
        );
    }
    if any(&Grader::is_reward) {
        out.push(
            "where a reward model grades, a gain is the chance that an answer is preferred to the unchanged prompt's, \
             less 0.5"
                .to_owned(),
        );
    }
    if any(&Grader::is_judge) {
        out.push(
            "where a judge grades, a gain is how much more often than half of the time an answer is found better than the \
             unchanged prompt's (a tie is half)"
                .to_owned(),
        );
    }
    out.push(
        "human-level compares with the prompts of these data: it says something about people only where people wrote them"
            .to_owned(),
    );
    out
}
