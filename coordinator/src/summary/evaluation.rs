//! The summary of an evaluation: prompts x models x datasets.

use super::{
    baseline_step, clusters, estimate,
    reward::{self, CellRewards, Row},
};
use crate::{CoordinatorError, board::Pages, settings::Settings};
use domain::{
    call::Reply,
    grade::Grader,
    hash::Hash,
    ids::{CandidateId, RunId, TargetId},
    run::{RunStatus, Step},
    stats::{self, Estimate},
};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};
use store::{Outcome, Run, Store};

/// The summary of an evaluation, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalSummary {
    /// The run.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: RunStatus,
    /// One for each prompt, model and dataset, in the order of the spec.
    pub cells: Vec<Cell>,
    /// Model calls.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// From the first start to the end, or to now.
    pub seconds: f64,
}

/// One prompt on one model and dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The prompt's name.
    pub prompt: String,
    /// The model's name.
    pub model: String,
    /// The dataset's name.
    pub dataset: String,
    /// The grader.
    pub grader: String,
    /// The mean grade of what was measured. Where a reward model grades: the chance that an answer is preferred to that
    /// of the first prompt, which is 0.5 for the first prompt itself; where a judge does, how often it is found better (a
    /// tie is half).
    pub mean: Option<Estimate>,
    /// The same in rewards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<CellRewards>,
    /// Where programs are graded: pass@k, by k, for those k that there are draws enough for. Every example counts once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at: BTreeMap<u32, Estimate>,
    /// Questions asked.
    pub asked: u64,
    /// Questions without a grade: outages, refusals; not counted as wrong.
    pub unmeasured: u64,
}

impl Cell {
    /// The share of questions without a grade.
    pub fn failed(&self) -> f64 {
        self.unmeasured as f64 / self.asked.max(1) as f64
    }
}

/// Those k that pass@k is told for.
const PASS_AT: [u32; 5] = [1, 2, 5, 10, 100];

#[derive(Default)]
struct Tally {
    values: Vec<(usize, f64)>,
    /// Answers and right ones of each example, and its cluster.
    right: HashMap<Hash, (u64, u64, usize)>,
    /// Sorted by example and repeat.
    rewards: Vec<Row>,
    asked: u64,
}

/// Computes the summary of an evaluation from what is stored.
///
/// # Errors
/// When the store fails.
pub async fn evaluation(
    store: &dyn Store,
    run: &Run,
    settings: &Settings,
    now: i64,
) -> Result<EvalSummary, CoordinatorError> {
    let tallies = tally(store, run.id).await?;
    let targets: HashMap<_, _> = store
        .targets(run.id)
        .await?
        .into_iter()
        .map(|t| (t.id, t))
        .collect();
    let spend = store.spend(run.id).await?;
    let candidates = store.candidates(run.id).await?;
    // The first prompt of each model and dataset.
    let mut first: HashMap<TargetId, CandidateId> = HashMap::new();
    for c in candidates.iter().filter(|c| c.ordinal == 0) {
        first.insert(c.target, c.id);
    }
    let mut cells = Vec::new();
    for candidate in candidates {
        let Some(target) = targets.get(&candidate.target) else {
            continue;
        };
        let grader = settings
            .dataset(&target.dataset)
            .map_or("", |d| d.grader.name());
        let tally = tallies.get(&candidate.id);
        let measured = tally.map_or(0, |t| (t.values.len() + t.rewards.len()) as u64);
        let of_first = first.get(&candidate.target).and_then(|id| tallies.get(id));
        let of_first = of_first.map_or(&[][..], |t| &t.rewards);
        let asked = tally.map_or(0, |t| t.asked);
        cells.push(Cell {
            prompt: candidate.author.clone(),
            model: target.model.clone(),
            dataset: target.dataset.clone(),
            grader: grader.to_owned(),
            mean: tally.and_then(|t| mean(t, of_first, settings.seed)),
            reward: tally.and_then(|t| {
                let is_first = first.get(&candidate.target) == Some(&candidate.id);
                reward::cell(&t.rewards, (!is_first).then_some(of_first), settings.seed)
            }),
            pass_at: match (grader == Grader::Code.name(), tally) {
                (true, Some(tally)) => passes(tally, settings.seed),
                _ => BTreeMap::new(),
            },
            asked,
            unmeasured: asked - measured,
        });
    }
    Ok(EvalSummary {
        run: run.id,
        name: run.name.clone(),
        status: run.status,
        cells: ordered(cells, settings),
        calls: spend.calls,
        tokens: spend.tokens,
        cost_usd: spend.cost_micros as f64 / 1e6,
        seconds: (run.finished_at.unwrap_or(now) - run.created_at) as f64 / 1e6,
    })
}

fn ordered(mut cells: Vec<Cell>, settings: &Settings) -> Vec<Cell> {
    let place = |names: Vec<&str>, name: &str| names.iter().position(|n| *n == name);
    cells.sort_by_key(|c| {
        (
            place(
                settings.datasets.iter().map(|d| d.name.as_str()).collect(),
                &c.dataset,
            ),
            place(
                settings.eval.models.iter().map(String::as_str).collect(),
                &c.model,
            ),
            place(
                settings
                    .eval
                    .prompts
                    .iter()
                    .map(|p| p.name.as_str())
                    .collect(),
                &c.prompt,
            ),
        )
    });
    cells
}

async fn tally(
    store: &dyn Store,
    run: RunId,
) -> Result<HashMap<CandidateId, Tally>, CoordinatorError> {
    let clusters = clusters(store, run).await?;
    let mut out: HashMap<CandidateId, Tally> = HashMap::new();
    let mut pages = Pages::new(baseline_step(run, Step::Answer));
    while let Some(page) = pages.next(store).await? {
        for outcome in page {
            let Some(candidate) = outcome.item.candidate else {
                continue;
            };
            let tally = out.entry(candidate).or_default();
            tally.asked += 1;
            let cluster = outcome.item.example.and_then(|e| clusters.get(&e));
            if let (Some(&cluster), Some(grade)) = (cluster, outcome.grade) {
                tally.values.push((cluster, grade.value));
                if let Some(example) = outcome.item.example {
                    let (answers, right, _) = tally.right.entry(example).or_insert((0, 0, cluster));
                    *answers += 1;
                    *right += u64::from(grade.value >= 1.0);
                }
            }
        }
    }
    let mut numbers: HashMap<Hash, u32> = HashMap::new();
    let mut pages = Pages::new(baseline_step(run, Step::Score));
    while let Some(page) = pages.next(store).await? {
        for outcome in page {
            if let Some((candidate, row)) = row(&outcome, &clusters, &mut numbers) {
                out.entry(candidate).or_default().rewards.push(row);
            } else if let Some((candidate, value)) = judged(&outcome, &clusters) {
                out.entry(candidate).or_default().values.push(value);
            }
        }
    }
    for tally in out.values_mut() {
        tally
            .rewards
            .sort_unstable_by_key(|r| (r.example, r.repeat));
    }
    Ok(out)
}

/// pass@k of a cell. Examples with fewer draws than k have none.
fn passes(tally: &Tally, seed: u64) -> BTreeMap<u32, Estimate> {
    let at = |k: u32| {
        let of = |(answers, right, cluster): &(u64, u64, usize)| {
            Some((*cluster, stats::pass_at(k.into(), *answers, *right)?))
        };
        let mut values: Vec<(usize, f64)> = tally.right.values().filter_map(of).collect();
        // The bootstrap draws by place.
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        Some((k, estimate(&values, seed)?))
    };
    PASS_AT.iter().filter_map(|k| at(*k)).collect()
}

/// The mean of a cell's values, or of its chances against the first prompt.
fn mean(tally: &Tally, of_first: &[Row], seed: u64) -> Option<Estimate> {
    match tally.rewards.is_empty() {
        true => estimate(&tally.values, seed),
        false => estimate(&reward::preferences(&tally.rewards, of_first), seed),
    }
}

/// What a judge said of an answer, with the cluster of its example.
fn judged(
    outcome: &Outcome,
    clusters: &HashMap<Hash, usize>,
) -> Option<(CandidateId, (usize, f64))> {
    let cluster = *clusters.get(&outcome.item.example?)?;
    let grade = outcome.grade.as_ref().filter(|g| g.raw.is_none())?;
    Some((outcome.item.candidate?, (cluster, grade.value)))
}

/// A scored answer as a row; examples are numbered as they come.
fn row(
    outcome: &Outcome,
    clusters: &HashMap<Hash, usize>,
    numbers: &mut HashMap<Hash, u32>,
) -> Option<(CandidateId, Row)> {
    let (candidate, example) = (outcome.item.candidate?, outcome.item.example?);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let next = small(numbers.len());
    let chars = match outcome.reply.as_ref()? {
        Reply::Text { text } => text.chars().count(),
        Reply::Scores { .. } => return None,
    };
    let row = Row {
        cluster: small(*clusters.get(&example)?),
        example: *numbers.entry(example).or_insert(next),
        repeat: outcome.item.repeat,
        chars: small(chars),
        reward: outcome.grade.as_ref()?.raw?,
    };
    Some((candidate, row))
}
