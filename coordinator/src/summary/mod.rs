//! What came of a run, in honest numbers.
//!
//! Everything is computed from stored rows, at any time, also of a run that is under way. What is measured on the draws
//! that chose a winner flatters it: the gain counts fresh draws only, less what the placebo arm gained the same way.

mod evaluation;
mod instruct;
mod judge;
mod operators;
mod outcome;
mod reward;
mod rewriters;
mod search;
mod training;

pub use evaluation::{Cell, EvalSummary, evaluation};
pub use instruct::{FrontPoint, InstructRound, InstructSummary, PromptResult, instruct};
pub use operators::OperatorResult;
pub use outcome::{Evaluated, Shown, keep, missed, rewriter, shown, shown_of};
pub use reward::{Against, CellRewards, RewardSummary};
pub use rewriters::{Controls, Difference, RewriterSummary, Standing, rewriters};
pub use search::{Numbers, learnt, numbers, pairs};
pub use training::{TrainingSummary, note_losses, trained};

use crate::{
    CoordinatorError,
    board::{Board, Members, Pages},
    settings::Settings,
};
use domain::{
    example::Split,
    hash::Hash,
    ids::RunId,
    reward::LengthBias,
    run::{RoundKind, RunStatus, Spend, Step, StepKey},
    stats::{self, Estimate},
};
use judge::Verdicts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use store::{Run, StepStatus, Store};

/// The summary of a search, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it stands.
    pub status: RunStatus,
    /// Why, when paused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The unchanged prompts on all train examples; those that a reward model or a judge grades aside.
    pub baseline: Option<Estimate>,
    /// The hardest ones after each round, as the search saw them: chosen and measured on the same draws, so flattering.
    pub rounds: Vec<RoundSummary>,
    /// The chosen prompts of all targets, on fresh draws.
    pub best: Option<Estimate>,
    /// What was gained.
    pub gain: Option<Gain>,
    /// The same for each dataset: grades of different graders do not compare.
    pub datasets: Vec<DatasetSummary>,
    /// What each operator did, and how often it is drawn; empty where proposer and rewriter write in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorResult>,
    /// Training pairs kept.
    pub pairs: u64,
    /// The rewriter that was trained on them, where the spec asks for one and its training has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingSummary>,
    /// Three of the best, before and after.
    pub examples: Vec<BeforeAfter>,
    /// Model calls.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// Rewrites that gave the answer away.
    pub leaks_rejected: u64,
    /// Everything rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Questions that could not be measured: outages, refusals; never counted as wrong.
    pub unmeasured: u64,
    /// From the first start to the end, or to now.
    pub seconds: f64,
    /// What a reader must know before quoting these numbers.
    pub marks: Vec<String>,
}

/// The targets after a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// From 1.
    pub round: u32,
    /// The best prompt so far of every target.
    #[serde(flatten)]
    pub best: Estimate,
    /// Candidates tried in this round.
    pub tried: u64,
    /// Candidates rejected in this round.
    pub rejected: u64,
}

/// What was gained on fresh draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Winner against original, less placebo against original: the mean over targets.
    #[serde(flatten)]
    pub net: Estimate,
    /// `search`: measured on the targets searched. (`test`: on the sealed test split.)
    pub kind: GainKind,
    /// Winner against original alone.
    pub winners: Estimate,
    /// Placebo winner against original; absent where no placebo arm was tried.
    pub placebo: Option<Estimate>,
}

/// Where a gain was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GainKind {
    /// On the targets searched.
    Search,
    /// On the sealed test split.
    Test,
}

/// One dataset's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// Its name.
    pub dataset: String,
    /// Its grader.
    pub grader: String,
    /// Targets searched.
    pub targets: u64,
    /// The unchanged prompts on all its train examples.
    pub baseline: Option<Estimate>,
    /// The hardest ones, unchanged, on fresh draws.
    pub original: Option<Estimate>,
    /// The chosen prompts, on fresh draws.
    pub best: Option<Estimate>,
    /// What was gained.
    pub gain: Option<Gain>,
    /// Where a reward model grades: the same in rewards, and how much of it goes with longer answers. The values above
    /// are then chances of being preferred to the unchanged prompt's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardSummary>,
    /// Where a judge grades: how much of the winners' gain goes with longer answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<LengthBias>,
}

/// A prompt before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeforeAfter {
    /// The dataset.
    pub dataset: String,
    /// The original words.
    pub original: String,
    /// The better words.
    pub improved: String,
    /// On fresh draws.
    pub original_grade: f64,
    /// On fresh draws.
    pub improved_grade: f64,
    /// Whether it passed the false discovery rate.
    pub confirmed: bool,
}

/// Computes the summary of a search from what is stored.
///
/// # Errors
/// When the store fails.
pub async fn search(
    store: &dyn Store,
    run: &Run,
    settings: &Settings,
    now: i64,
) -> Result<Summary, CoordinatorError> {
    let board = Board::load(store, run.id, settings).await?;
    let clusters = clusters(store, run.id).await?;
    let (baseline, cut) = baseline(store, run.id, settings, &clusters).await?;
    let numbers = numbers(&board, settings, &clusters);
    let totals = store.totals(run.id).await?;
    let steps = store.steps(run.id).await?;
    let pairs = pairs(&board, settings);
    let leaks = totals
        .rejected
        .iter()
        .filter(|(r, _)| r.starts_with("leak_"))
        .map(|r| r.1)
        .sum();
    let datasets = settings.datasets.iter().map(|d| DatasetSummary {
        baseline: estimate(baseline.get(&d.name).map_or(&[][..], |v| v), settings.seed),
        ..search::dataset(&numbers, d, settings)
    });
    let all: Vec<(usize, f64)> = baseline.values().flatten().copied().collect();
    Ok(Summary {
        run: run.id,
        name: run.name.clone(),
        tags: run.tags.clone(),
        status: run.status,
        reason: run.reason.clone(),
        baseline: estimate(&all, settings.seed),
        rounds: search::rounds(&board, settings, &clusters, &steps),
        best: search::best(&numbers, settings.seed),
        gain: search::gain(&numbers, settings),
        datasets: datasets.collect(),
        operators: search::operators(&board, settings),
        pairs: pairs.len() as u64,
        training: training::training(store, run.id, &steps, settings).await?,
        examples: search::examples(&board, &numbers, &pairs),
        leaks_rejected: leaks,
        rejected: rejected(totals.rejected, unwritten(&steps, settings)),
        unmeasured: unmeasured(&steps),
        seconds: (run.finished_at.unwrap_or(now) - run.created_at) as f64 / 1e6,
        marks: marks(settings, cut + reward::cut(&board), Verdicts::of(&board)),
        ..spent(totals.spend, run)
    })
}

/// A summary with nothing but the costs, to be filled in.
fn spent(spend: Spend, run: &Run) -> Summary {
    Summary {
        run: run.id,
        name: String::new(),
        tags: Vec::new(),
        status: run.status,
        reason: None,
        baseline: None,
        rounds: Vec::new(),
        best: None,
        gain: None,
        datasets: Vec::new(),
        operators: Vec::new(),
        pairs: 0,
        training: None,
        examples: Vec::new(),
        calls: spend.calls,
        tokens: spend.tokens,
        cost_usd: spend.cost_micros as f64 / 1e6,
        leaks_rejected: 0,
        rejected: BTreeMap::new(),
        unmeasured: 0,
        seconds: 0.0,
        marks: Vec::new(),
    }
}

/// Items of all steps of a kind that no answer came to.
fn lost(steps: &[StepStatus], step: Step) -> u64 {
    let of_kind = steps.iter().filter(|s| s.key.step == step && s.open == 0);
    of_kind.map(|s| s.items - s.items_done).sum()
}

/// Rewrites that were never written and are no candidates: where operators are drawn, those of the search are.
fn unwritten(steps: &[StepStatus], settings: &Settings) -> u64 {
    let counts = |s: &&StepStatus| settings.drawn.is_none() || s.kind == RoundKind::Placebo;
    let steps: Vec<StepStatus> = steps.iter().filter(counts).copied().collect();
    lost(&steps, Step::Propose)
}

/// What was asked of a target, a judge or a reward model in vain.
fn unmeasured(steps: &[StepStatus]) -> u64 {
    let of = [Step::Answer, Step::Judge, Step::Score];
    of.iter().map(|step| lost(steps, *step)).sum()
}

/// Rejected rewrites by reason; those that were never written (cut off, refused, empty) among them.
fn rejected(reasons: Vec<(String, u64)>, unwritten: u64) -> BTreeMap<String, u64> {
    let unwritten = (unwritten > 0).then(|| ("no_reply".to_owned(), unwritten));
    reasons.into_iter().chain(unwritten).collect()
}

fn marks(settings: &Settings, cut: u64, verdicts: Verdicts) -> Vec<String> {
    let mut out = vec![
        "the gain is a search gain: measured on the questions that were searched, not on unseen ones"
            .to_owned(),
    ];
    if settings
        .datasets
        .iter()
        .any(|d| d.grader.name() == "reference_loglik")
    {
        out.push(
            "reference_loglik is a proxy: how probable the reference is, not how good an answer is"
                .to_owned(),
        );
    }
    if settings.confirm_repeats < spec::CLAIM_REPEATS {
        out.push(format!(
            "confirm.repeats = {} is fewer than the {} a claim needs",
            settings.confirm_repeats,
            spec::CLAIM_REPEATS
        ));
    }
    if !settings.placebo {
        out.push(
            "no placebo arm: part of the gain is the luck of choosing the best of many".into(),
        );
    }
    if settings.rewarded() {
        out.extend(reward::marks(cut));
    }
    if settings.judged() {
        out.extend(verdicts.marks("the unchanged prompt's"));
        out.push(
            "a judge's hardest examples are a sample: the unchanged prompt's answers tie with themselves"
                .to_owned(),
        );
    }
    if settings.show_reference {
        out.push("operators saw the references (search.feedback = \"reference\")".to_owned());
    }
    out
}

/// An estimate of a mean of values in `[0, 1]`.
pub(crate) fn estimate(values: &[(usize, f64)], seed: u64) -> Option<Estimate> {
    stats::cluster_bootstrap_within(values, (0.0, 1.0), seed)
}

/// The index of each example's near-duplicate cluster.
pub(crate) async fn clusters(
    store: &dyn Store,
    run: RunId,
) -> Result<HashMap<Hash, usize>, CoordinatorError> {
    let places = places(store, run).await?;
    Ok(places
        .into_iter()
        .map(|(e, (cluster, _))| (e, cluster))
        .collect())
}

/// The near-duplicate cluster of each example, as an index, and its split.
pub(crate) async fn places(
    store: &dyn Store,
    run: RunId,
) -> Result<HashMap<Hash, (usize, Split)>, CoordinatorError> {
    let mut index: HashMap<Hash, usize> = HashMap::new();
    let mut out = HashMap::new();
    let mut members = Members::new(run, None);
    while let Some(page) = members.next(store).await? {
        for (member, _) in page {
            let next = index.len();
            let cluster = *index.entry(member.cluster).or_insert(next);
            out.insert(member.example, (cluster, member.split));
        }
    }
    Ok(out)
}

/// Values by dataset, and how many texts a reward model did not see whole. What it grades has no values: rewards of
/// different questions do not compare.
type BaselineValues = (BTreeMap<String, Vec<(usize, f64)>>, u64);

async fn baseline(
    store: &dyn Store,
    run: RunId,
    settings: &Settings,
    clusters: &HashMap<Hash, usize>,
) -> Result<BaselineValues, CoordinatorError> {
    let targets: HashMap<_, String> = store
        .targets(run)
        .await?
        .into_iter()
        .map(|t| (t.id, t.dataset))
        .collect();
    let mut out: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
    let mut pages = Pages::new(baseline_step(run, Step::Answer));
    while let Some(page) = pages.next(store).await? {
        for outcome in page {
            let dataset = targets.get(&outcome.item.target);
            let cluster = outcome.item.example.and_then(|e| clusters.get(&e));
            if let (Some(dataset), Some(&cluster), Some(grade)) = (dataset, cluster, outcome.grade)
            {
                out.entry(dataset.clone())
                    .or_default()
                    .push((cluster, grade.value));
            }
        }
    }
    let mut cut = 0;
    if settings.rewarded() {
        let mut pages = Pages::new(baseline_step(run, Step::Score));
        while let Some(page) = pages.next(store).await? {
            let grades = page.iter().filter_map(|o| o.grade.as_ref());
            cut += grades.filter(|g| domain::reward::was_cut(g)).count() as u64;
        }
    }
    Ok((out, cut))
}

fn baseline_step(run: RunId, step: Step) -> StepKey {
    StepKey {
        run,
        round: 0,
        step,
    }
}
