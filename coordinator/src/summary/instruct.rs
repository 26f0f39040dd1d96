//! The numbers of a search for one instruction.
//!
//! What chose is never what reports: candidates race on train examples, the chosen one is estimated on validation
//! examples, and its gain is measured on test examples that were sealed until the search had ended.

use super::{OperatorResult, judge::Verdicts, operators, places, unmeasured};
use crate::{
    CoordinatorError,
    board::{Pages, graded_in},
    plan::instruct::{
        alive, chosen,
        field::{Field, History, Until},
        learned,
    },
    settings::{InstructPlan, Settings},
};
use domain::{
    candidate::{Candidate, Verdict},
    example::Split,
    hash::Hash,
    ids::{CandidateId, RunId},
    prompt::PromptDoc,
    run::{RoundKind, RunStatus, Spend, Step},
    stats::{self, Estimate},
};
use search::{choose, pareto};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use store::{Run, StepStatus, Store};

/// The summary of a search for one instruction, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstructSummary {
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
    /// The data set.
    pub dataset: String,
    /// Its grader.
    pub grader: String,
    /// The first start prompt.
    pub start: Option<PromptResult>,
    /// The prompt that the search chose; the start prompt itself where nothing is believed better.
    pub chosen: Option<PromptResult>,
    /// Chosen against start on the sealed test examples, paired; only where the two differ and both were measured.
    pub gain: Option<Estimate>,
    /// How far two evaluations of one and the same prompt on the same test examples are apart, on average.
    pub noise_floor: Option<f64>,
    /// The best prompt after each round, as it was believed then; round 0 is the baseline.
    pub trajectory: Vec<InstructRound>,
    /// What each operator did, and how often it is drawn.
    pub operators: Vec<OperatorResult>,
    /// Prompts of which none is better, shorter and cheaper than another.
    pub front: Vec<FrontPoint>,
    /// Model calls.
    pub calls: u64,
    /// Tokens read and written.
    pub tokens: u64,
    /// What it cost.
    pub cost_usd: f64,
    /// Prompts rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Questions that could not be measured: outages, refusals; never counted as wrong.
    pub unmeasured: u64,
    /// From the first start to the end, or to now.
    pub seconds: f64,
    /// What a reader must know before quoting these numbers.
    pub marks: Vec<String>,
}

/// A prompt and how it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptResult {
    /// The candidate.
    pub candidate: CandidateId,
    /// The operator that made it; `none` for a start prompt.
    pub operator: String,
    /// The round that made it.
    pub round: u32,
    /// The prompt.
    pub doc: PromptDoc,
    /// What its mean on train examples is believed to be, after having looked at many.
    pub estimate: f64,
    /// Its plain mean on the train examples that it was tried on, which flatters whoever was chosen by it.
    pub train_mean: f64,
    /// How many those are.
    pub tried: u64,
    /// On validation examples, which had no part in the choice.
    pub validation: Option<Estimate>,
    /// On test examples, sealed until the end.
    pub test: Option<Estimate>,
}

/// Where the search stood after a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstructRound {
    /// The round; 0 is the baseline.
    pub round: u32,
    /// Answers of the target asked for by then.
    pub calls: u64,
    /// Prompts accepted and rejected in it.
    pub accepted: u64,
    /// See there.
    pub rejected: u64,
    /// Prompts that may still win, after it.
    pub alive: u64,
    /// The best prompt by then.
    pub best: CandidateId,
    /// Its estimate then.
    pub estimate: f64,
    /// The probability that it was the best of them.
    pub p_best: f64,
    /// The prompt itself.
    pub doc: PromptDoc,
}

/// A prompt of the front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontPoint {
    /// The candidate.
    pub candidate: CandidateId,
    /// What its mean is believed to be.
    pub estimate: f64,
    /// How long it is without the example, in tokens (a quarter of its bytes).
    pub tokens: f64,
    /// What a call of the target with it takes on average, in tokens read and written, as if all prompts had met the same
    /// examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_tokens: Option<f64>,
    /// The same in US dollars, where the target has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_usd: Option<f64>,
    /// Whether it is the chosen one.
    pub chosen: bool,
    /// The prompt itself.
    pub doc: PromptDoc,
}

/// Computes the summary of a search for one instruction from what is stored.
///
/// # Errors
/// When the store fails.
pub async fn instruct(
    store: &dyn Store,
    run: &Run,
    settings: &Settings,
    now: i64,
) -> Result<InstructSummary, CoordinatorError> {
    let plan = crate::plan::instruct::field::plan(settings)?;
    let all = store.candidates(run.id).await?;
    let history = History::load(store, run.id, settings).await?;
    let field = history.until(Until::after(plan.rounds));
    let estimates = choose::estimates(&field.pool);
    let steps = store.steps(run.id).await?;
    let totals = store.totals(run.id).await?;
    let last = Last::load(store, run.id, &field, &steps).await?;
    let choice = chosen(plan, &field);
    let best = choice.as_ref().map(|c| c.member);
    let result = |member: usize| {
        let estimate = estimates.get(member).copied().flatten()?;
        result(&field, &last, (member, estimate), settings.seed)
    };
    let (start, chosen) = (result(0), best.and_then(result));
    let mut marks = marks(settings, &history, &last, &field);
    if last.has(Split::Test) {
        marks.extend(nothing_better(start.as_ref(), chosen.as_ref()));
    }
    Ok(InstructSummary {
        run: run.id,
        name: run.name.clone(),
        tags: run.tags.clone(),
        status: run.status,
        reason: run.reason.clone(),
        dataset: field.target.dataset.clone(),
        grader: field.grader.name().to_owned(),
        start,
        chosen,
        gain: best.and_then(|best| last.gain(&field, best, settings.seed)),
        noise_floor: last.noise_floor(&field),
        trajectory: trajectory(plan, &history, &all, &steps),
        operators: operators::results(&learned(plan, settings, &field.pool), &all),
        front: front(&field, &estimates, best),
        calls: totals.spend.calls,
        tokens: totals.spend.tokens,
        cost_usd: totals.spend.cost_micros as f64 / 1e6,
        rejected: totals.rejected.into_iter().collect(),
        unmeasured: unmeasured(&steps),
        seconds: (run.finished_at.unwrap_or(now) - run.created_at) as f64 / 1e6,
        marks,
    })
}

fn result(
    field: &Field,
    last: &Last,
    (member, estimate): (usize, f64),
    seed: u64,
) -> Option<PromptResult> {
    let candidate = field.candidates.get(member)?;
    let of = field.pool.members.get(member)?;
    Some(PromptResult {
        candidate: candidate.id,
        operator: candidate.operator.clone(),
        round: candidate.round,
        doc: candidate.doc.clone(),
        estimate,
        train_mean: of.mean()?,
        tried: of.trials.len() as u64,
        validation: last.estimate(candidate.id, Split::Validation, seed),
        test: last.estimate(candidate.id, Split::Test, seed),
    })
}

fn trajectory(
    plan: &InstructPlan,
    history: &History,
    all: &[Candidate],
    steps: &[StepStatus],
) -> Vec<InstructRound> {
    let mut out = Vec::new();
    let tried = |s: &&StepStatus| {
        s.key.step == Step::Answer && s.kind != RoundKind::Confirm && s.open == 0 && s.items > 0
    };
    for status in steps.iter().filter(tried) {
        let round = status.key.round;
        let field = history.until(Until::after(round));
        let Some(choice) = chosen(plan, &field) else {
            continue;
        };
        let Some(best) = field.candidates.get(choice.member) else {
            continue;
        };
        let of_round = |accepted: bool| {
            let in_round = all.iter().filter(|c| c.round == round);
            in_round
                .filter(|c| (c.verdict == Verdict::Accepted) == accepted)
                .count() as u64
        };
        let alive = alive(plan, &field);
        out.push(InstructRound {
            round,
            calls: field.asked,
            accepted: of_round(true),
            rejected: of_round(false),
            alive: alive.iter().filter(|a| **a).count() as u64,
            best: best.id,
            estimate: choice.estimate,
            p_best: choice.p_best,
            doc: best.doc.clone(),
        });
    }
    out
}

/// What calls take, by member; NaN where nothing is known.
struct Costs {
    tokens: Vec<f64>,
    /// `None` where nobody was charged.
    micros: Option<Vec<f64>>,
}

impl Costs {
    fn of(field: &Field) -> Self {
        let costs = |part: fn(&Spend) -> u64| {
            let one = |(example, spent): &(usize, Spend)| (*example, part(spent) as f64);
            let members = field.spent.iter().map(|of| of.iter().map(one).collect());
            pareto::costs(&members.collect::<Vec<_>>())
        };
        let mut all = field.spent.iter().flatten();
        let priced = all.any(|(_, spent)| spent.cost_micros > 0);
        Self {
            tokens: costs(|s| s.tokens),
            micros: priced.then(|| costs(|s| s.cost_micros)),
        }
    }

    fn known(of: &[f64], member: usize) -> Option<f64> {
        of.get(member).copied().filter(|cost| cost.is_finite())
    }

    /// What prompts are compared by: money where it is charged, else tokens. In whole ones, so that no prompt is on the
    /// front for a part of one.
    fn objective(&self, member: usize) -> f64 {
        let of = self.micros.as_ref().unwrap_or(&self.tokens);
        Self::known(of, member).unwrap_or(f64::NAN).round()
    }
}

fn front(field: &Field, estimates: &[Option<f64>], best: Option<usize>) -> Vec<FrontPoint> {
    let costs = Costs::of(field);
    let tried: Vec<(usize, f64)> = estimates
        .iter()
        .enumerate()
        .filter_map(|(i, e)| Some((i, (*e)?)))
        .collect();
    let objectives = |(i, estimate): &(usize, f64)| {
        Some(pareto::Objectives {
            score: *estimate,
            length: field.pool.members.get(*i)?.tokens(),
            cost: costs.objective(*i),
        })
    };
    let points: Vec<pareto::Objectives> = tried.iter().filter_map(objectives).collect();
    let point = |at: usize| {
        let (member, estimate) = *tried.get(at)?;
        let candidate = field.candidates.get(member)?;
        let of = field.pool.members.get(member)?;
        let micros = costs.micros.as_ref();
        Some(FrontPoint {
            candidate: candidate.id,
            estimate,
            tokens: of.tokens(),
            call_tokens: Costs::known(&costs.tokens, member),
            call_usd: micros.and_then(|of| Some(Costs::known(of, member)? / 1e6)),
            chosen: best == Some(member),
            doc: candidate.doc.clone(),
        })
    };
    pareto::front(&points)
        .into_iter()
        .filter_map(point)
        .collect()
}

fn marks(settings: &Settings, history: &History, last: &Last, field: &Field) -> Vec<String> {
    let mut out = Vec::new();
    if !last.has(Split::Test) {
        out.push(
            "no test examples were measured: what is shown is what the search saw, and flatters"
                .to_owned(),
        );
    }
    if field.grader.is_reward() {
        out.push(
            "the grader is a reward model: means compare prompts on the same examples only"
                .to_owned(),
        );
    }
    if field.grader.is_judge() {
        let mut verdicts = last.verdicts;
        history.grades().for_each(|grade| verdicts.add(grade));
        out.extend(verdicts.marks("the first start prompt's"));
    }
    if settings.repeats == 1 && settings.sampling(crate::settings::TARGET).temperature > 0.0 {
        out.push(
            "the target samples its replies, and each was drawn once in the search".to_owned(),
        );
    }
    out
}

/// Who is believed to be better by less is not worth another prompt.
const WORTH: f64 = 0.01;

/// Says so where the search found nothing.
fn nothing_better(start: Option<&PromptResult>, chosen: Option<&PromptResult>) -> Option<String> {
    let gained = chosen?.estimate - start?.estimate;
    (gained < WORTH).then(|| {
        "the search believes of no prompt that it is better than the start prompt by a point: keep that one. Where the target \
         gets almost nothing right, or almost all, no instruction is seen to help"
            .to_owned()
    })
}

/// Values by example (its cluster and hash) and repeat.
type Draws = BTreeMap<(usize, Hash), BTreeMap<u32, f64>>;

/// What the last evaluation measured: values by candidate, split, example and repeat.
#[derive(Debug, Default)]
struct Last {
    /// By candidate and split.
    values: HashMap<(CandidateId, Split), Draws>,
    /// How they were judged, where a judge grades.
    verdicts: Verdicts,
}

impl Last {
    async fn load(
        store: &dyn Store,
        run: RunId,
        field: &Field,
        steps: &[StepStatus],
    ) -> Result<Self, CoordinatorError> {
        let graded = graded_in(&field.grader);
        let mut out = Self::default();
        let confirmed = |s: &&StepStatus| s.kind == RoundKind::Confirm && s.key.step == graded;
        let Some(step) = steps.iter().find(confirmed) else {
            return Ok(out);
        };
        let places = places(store, run).await?;
        let mut pages = Pages::new(step.key);
        while let Some(page) = pages.next(store).await? {
            for outcome in page {
                let place = outcome
                    .item
                    .example
                    .and_then(|e| Some((e, *places.get(&e)?)));
                let (Some(candidate), Some((example, (cluster, split))), Some(grade)) =
                    (outcome.item.candidate, place, outcome.grade)
                else {
                    continue;
                };
                out.verdicts.add(&grade);
                let of = out.values.entry((candidate, split)).or_default();
                of.entry((cluster, example))
                    .or_default()
                    .insert(outcome.item.repeat, grade.value);
            }
        }
        Ok(out)
    }

    fn has(&self, split: Split) -> bool {
        self.values.keys().any(|(_, s)| *s == split)
    }

    /// The mean over examples, of means over repeats; near-duplicates are drawn together.
    fn estimate(&self, candidate: CandidateId, split: Split, seed: u64) -> Option<Estimate> {
        let of = self.values.get(&(candidate, split))?;
        let values: Vec<(usize, f64)> = of
            .iter()
            .filter_map(|((cluster, _), repeats)| Some((*cluster, mean(repeats)?)))
            .collect();
        super::estimate(&values, seed)
    }

    /// The chosen prompt against the start prompt, on test examples that both answered.
    fn gain(&self, field: &Field, best: usize, seed: u64) -> Option<Estimate> {
        let (start, best) = (field.candidates.first()?, field.candidates.get(best)?);
        if start.id == best.id {
            return None;
        }
        let before = self.values.get(&(start.id, Split::Test))?;
        let after = self.values.get(&(best.id, Split::Test))?;
        let paired: Vec<(usize, f64)> = after
            .iter()
            .filter_map(|(at, repeats)| Some((at.0, mean(repeats)? - mean(before.get(at)?)?)))
            .collect();
        stats::cluster_bootstrap_within(&paired, (-1.0, 1.0), seed)
    }

    /// Repeats of the same prompt on the same test examples, two and two: how far are their means apart? What a judge
    /// compares with itself is not: that has no noise.
    fn noise_floor(&self, field: &Field) -> Option<f64> {
        let start = field.candidates.first().filter(|_| field.grader.is_judge());
        let mut apart = Vec::new();
        for ((candidate, split), examples) in &self.values {
            if *split != Split::Test || start.is_some_and(|s| s.id == *candidate) {
                continue;
            }
            let repeats: Vec<u32> = examples.values().next()?.keys().copied().collect();
            for (i, a) in repeats.iter().enumerate() {
                for b in &repeats[i + 1..] {
                    let diffs: Vec<f64> = examples
                        .values()
                        .filter_map(|v| Some(v.get(a)? - v.get(b)?))
                        .collect();
                    apart.extend(stats::mean(&diffs).map(f64::abs));
                }
            }
        }
        apart.sort_by(f64::total_cmp);
        stats::mean(&apart)
    }
}

fn mean(repeats: &BTreeMap<u32, f64>) -> Option<f64> {
    stats::mean(&repeats.values().copied().collect::<Vec<_>>())
}
