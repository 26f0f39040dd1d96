//! The baseline, and mining: which examples are the hardest?

use super::{Additions, Planner, block::Question, drawn, propose, score};
use crate::{
    CoordinatorError,
    board::{Board, PAGE, Pages, Spot, Trial},
    pool::Pools,
    settings::{DatasetPlan, Settings, TARGET},
};
use domain::{
    call::Reply,
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Split},
    grade::{Grade, Grader},
    hash::Hash,
    ids::{CandidateId, TargetId},
    prompt::{self, Asking, PromptDoc},
    run::{RoundKind, RunKind, Step, StepKey},
    select,
};
use std::collections::HashMap;
use store::{MemberPage, Outcome};

/// What is tried on every example: for a search the unchanged prompt, for an evaluation each prompt on each
/// model. One target for each dataset and model.
pub struct Baseline<'a> {
    planner: &'a Planner<'a>,
    arms: Vec<(Target, Candidate)>,
    pools: Pools,
}

impl<'a> Baseline<'a> {
    /// Prepares the arms and reads the pools of controls.
    pub async fn new(planner: &'a Planner<'a>) -> Result<Self, CoordinatorError> {
        let pools = Pools::load(planner.store, planner.run, planner.settings).await?;
        Ok(Self {
            planner,
            arms: arms(planner),
            pools,
        })
    }

    /// The targets of the arms.
    pub fn targets(&self) -> Vec<Target> {
        let mut out: Vec<Target> = self.arms.iter().map(|(t, _)| t.clone()).collect();
        out.dedup();
        out
    }

    /// The candidates of the arms.
    pub fn candidates(&self) -> Vec<Candidate> {
        self.arms.iter().map(|(_, c)| c.clone()).collect()
    }

    /// The questions about the members after position `after`, and the position to go on from.
    pub async fn page(&self, after: i64) -> Result<Option<(i64, Vec<Question>)>, CoordinatorError> {
        let settings = self.planner.settings;
        let split = match settings.kind {
            RunKind::Optimise => Some(Split::Train),
            RunKind::Evaluate => settings.eval.split,
        };
        let page = MemberPage {
            run: self.planner.run,
            dataset: None,
            split,
            after,
            limit: PAGE,
        };
        let members = self.planner.store.members(&page).await?;
        let Some(last) = members.last().map(|m| m.0) else {
            return Ok(None);
        };
        let mut out = Vec::new();
        for (_, member, example) in &members {
            for (target, candidate) in self
                .arms
                .iter()
                .filter(|(t, _)| t.dataset == member.dataset)
            {
                for repeat in 0..settings.repeats {
                    out.extend(self.question(target, candidate, example, repeat));
                }
            }
        }
        Ok(Some((last, out)))
    }

    fn question(
        &self,
        target: &Target,
        candidate: &Candidate,
        example: &Example,
        repeat: u32,
    ) -> Option<Question> {
        let plan = self.planner.settings.dataset(&target.dataset)?;
        let controls = match plan.grader {
            Grader::ReferenceLoglik => self.pools.pick(&plan.name, example, score::SEARCH_CONTROLS),
            _ => Vec::new(),
        };
        let sampling = self.planner.settings.sampling(&target.model);
        let asking = Asking {
            grader: &plan.grader,
            sampling: &sampling,
            repeat,
            mismatched: &controls,
        };
        let asked = prompt::ask(&candidate.doc, example, &asking);
        Some(Question {
            target: target.id,
            candidate: Some(candidate.id),
            example: Some(example.id()),
            repeat,
            draw: repeat,
            model: target.model.clone(),
            grade: super::tries::grading(&plan.grader, asked.grade),
            call: asked.call,
        })
    }
}

fn arms(planner: &Planner<'_>) -> Vec<(Target, Candidate)> {
    let settings = planner.settings;
    let (models, prompts) = match settings.kind {
        RunKind::Optimise => (
            vec![TARGET.to_owned()],
            vec![("original".to_owned(), PromptDoc::default())],
        ),
        RunKind::Evaluate => {
            let named = settings
                .eval
                .prompts
                .iter()
                .map(|p| (p.name.clone(), p.doc.clone()));
            (settings.eval.models.clone(), named.collect())
        }
    };
    let mut out = Vec::new();
    for dataset in &settings.datasets {
        for model in &models {
            let name = format!("{}/{model}", dataset.name);
            let target = Target {
                id: planner.run.target(&name),
                dataset: dataset.name.clone(),
                model: model.clone(),
                example: None,
            };
            for (ordinal, (prompt, doc)) in prompts.iter().enumerate() {
                let place = format!("{name}/{ordinal}");
                out.push((
                    target.clone(),
                    as_given(planner, &target, &place, ordinal, prompt, doc),
                ));
            }
        }
    }
    out
}

pub(super) fn as_given(
    planner: &Planner<'_>,
    target: &Target,
    place: &str,
    ordinal: usize,
    name: &str,
    doc: &PromptDoc,
) -> Candidate {
    Candidate {
        id: planner.run.candidate(place),
        target: target.id,
        round: 0,
        ordinal: ordinal as u32,
        arm: Arm::Original,
        operator: "none".to_owned(),
        author: name.to_owned(),
        parents: Vec::new(),
        doc: doc.clone(),
        verdict: Verdict::Accepted,
    }
}

/// The hardest examples become targets; their unchanged prompts are candidates whose baseline answers count; and
/// round 1 asks for rewrites.
pub async fn first_round(planner: &Planner<'_>) -> Result<Additions, CoordinatorError> {
    let measured = measure(planner).await?;
    let quota: Vec<(String, usize)> = planner
        .settings
        .datasets
        .iter()
        .map(|d| (d.name.clone(), d.hardest))
        .collect();
    let hardest = select::hardest(&measured.rows, &quota);
    if hardest.is_empty() {
        return Err(CoordinatorError::NothingToSearch {
            measured: measured.rows.len(),
        });
    }
    let examples = fetch(planner, &hardest).await?;
    let mut spots = Vec::new();
    for id in hardest {
        let (Some(example), Some(dataset)) = (examples.get(&id), measured.dataset.get(&id)) else {
            continue;
        };
        let Some(plan) = planner.settings.dataset(dataset) else {
            continue;
        };
        spots.push(spot(planner, plan, id, example.clone()));
    }
    spots.sort_by_key(|s| (s.target.dataset.clone(), s.target.example));
    let mut board = Board {
        pools: Pools::load(planner.store, planner.run, planner.settings).await?,
        spots,
        trials: HashMap::new(),
    };
    baseline_trials(planner, &mut board).await?;
    let place = super::order::Place {
        round: 1,
        kind: RoundKind::Search,
        step: Step::Propose,
    };
    let mut additions = match drawn::plan(planner.settings, place.kind) {
        Some(plan) => drawn::questions(planner, plan, &board, place),
        None => propose::questions(planner, &board, place),
    };
    let originals = super::tries::originals(planner, &board);
    additions.questions.extend(originals);
    additions.targets = board.spots.iter().map(|s| s.target.clone()).collect();
    additions.candidates = board
        .spots
        .iter()
        .flat_map(|s| s.candidates.clone())
        .collect();
    Ok(additions)
}

/// A selected example as its own target, with its unchanged prompt.
pub(super) fn spot(planner: &Planner<'_>, plan: &DatasetPlan, id: Hash, example: Example) -> Spot {
    let name = format!("{}/{TARGET}/{id}", plan.name);
    let target = Target {
        id: planner.run.target(&name),
        dataset: plan.name.clone(),
        model: TARGET.to_owned(),
        example: Some(id),
    };
    let place = format!("{name}/original");
    let original = as_given(
        planner,
        &target,
        &place,
        0,
        "original",
        &PromptDoc::default(),
    );
    Spot {
        target,
        example,
        grader: plan.grader.clone(),
        candidates: vec![original],
    }
}

#[derive(Default)]
struct Measured {
    rows: Vec<select::Baseline>,
    dataset: HashMap<Hash, String>,
}

/// The steps of the baseline that give grades.
fn baseline_keys(planner: &Planner<'_>) -> [StepKey; 2] {
    [Step::Answer, Step::Score].map(|step| StepKey {
        run: planner.run,
        round: 0,
        step,
    })
}

/// What an example's grades add up to.
#[derive(Default)]
struct Sum {
    n: u32,
    value: f64,
    margin: f64,
    raw: f64,
    highest: f64,
}

impl Sum {
    fn add(&mut self, grade: &Grade) {
        let raw = grade.raw.unwrap_or(f64::NAN);
        self.highest = if self.n == 0 {
            raw
        } else {
            self.highest.max(raw)
        };
        self.n += 1;
        self.value += grade.value;
        self.margin += grade.margin.unwrap_or(0.0);
        self.raw += raw;
    }

    /// How hard an example is: the lowest grade and margin first.
    fn row(&self, example: Hash, plan: &DatasetPlan, seed: u64) -> select::Baseline {
        let n = f64::from(self.n);
        let (grade, margin) = match &plan.grader {
            // An original's answers tie with themselves, whatever its question: a lot decides.
            Grader::Judge { .. } => (self.value / n, lot(seed, example)),
            // Rewards of two questions do not compare. What does is the room that a question's own answers show: by how
            // much the best of them beats their mean. Among equals, as with one repeat all are, a lot decides.
            Grader::Reward { .. } => (self.raw / n - self.highest, lot(seed, example)),
            _ => (self.value / n, self.margin / n),
        };
        select::Baseline {
            example,
            group: plan.name.clone(),
            grade,
            margin: Some(margin),
        }
    }
}

/// How hard a prompt is by some draws of it; `None` where there are none.
pub fn hardness(trials: &[&Trial], spot: &Spot, settings: &Settings) -> Option<select::Baseline> {
    let (example, plan) = (
        spot.target.example?,
        settings.dataset(&spot.target.dataset)?,
    );
    let mut sum = Sum::default();
    trials.iter().for_each(|trial| sum.add(&trial.grade));
    (sum.n > 0).then(|| sum.row(example, plan, settings.seed))
}

/// A number in `[0, 1)` that is the same for an example on any machine, and another one under another seed.
fn lot(seed: u64, example: Hash) -> f64 {
    let drawn = Hash::of([&seed.to_le_bytes()[..], &example.0[..]]).seed();
    (drawn >> 11) as f64 / (1u64 << 53) as f64
}

/// How every example that was answered did.
async fn measure(planner: &Planner<'_>) -> Result<Measured, CoordinatorError> {
    let targets: HashMap<TargetId, String> = planner
        .store
        .targets(planner.run)
        .await?
        .into_iter()
        .map(|t| (t.id, t.dataset))
        .collect();
    let mut sums: HashMap<Hash, (TargetId, Sum)> = HashMap::new();
    for key in baseline_keys(planner) {
        let mut pages = Pages::new(key);
        while let Some(page) = pages.next(planner.store).await? {
            for outcome in page {
                let (Some(example), Some(grade)) = (outcome.item.example, outcome.grade) else {
                    continue;
                };
                let of = sums.entry(example);
                let (_, sum) = of.or_insert((outcome.item.target, Sum::default()));
                sum.add(&grade);
            }
        }
    }
    let mut out = Measured::default();
    for (example, (target, sum)) in sums {
        let plan = targets.get(&target);
        let Some(plan) = plan.and_then(|name| planner.settings.dataset(name)) else {
            continue;
        };
        out.dataset.insert(example, plan.name.clone());
        out.rows.push(sum.row(example, plan, planner.settings.seed));
    }
    Ok(out)
}

async fn fetch(
    planner: &Planner<'_>,
    ids: &[Hash],
) -> Result<HashMap<Hash, Example>, CoordinatorError> {
    let mut out = HashMap::new();
    for chunk in ids.chunks(PAGE as usize) {
        out.extend(planner.store.examples(chunk).await?);
    }
    Ok(out)
}

/// Gives each original the trials its example had in the baseline.
pub(super) async fn baseline_trials(
    planner: &Planner<'_>,
    board: &mut Board,
) -> Result<(), CoordinatorError> {
    let originals: HashMap<Hash, CandidateId> = board
        .spots
        .iter()
        .filter_map(|s| Some((s.target.example?, s.original()?.id)))
        .collect();
    for key in baseline_keys(planner) {
        let mut pages = Pages::new(key);
        while let Some(page) = pages.next(planner.store).await? {
            for outcome in page {
                let original = outcome.item.example.and_then(|e| originals.get(&e));
                if let (Some(id), Some(trial)) = (original, plain_trial(&outcome)) {
                    board.trials.entry(*id).or_default().push(trial);
                }
            }
        }
    }
    Ok(())
}

/// A trial for a proposer's eyes: what was said, and the grade.
fn plain_trial(outcome: &Outcome) -> Option<Trial> {
    let said = match outcome.reply.as_ref()? {
        Reply::Text { text } => Some(text.clone()),
        Reply::Scores { .. } => None,
    };
    let grade = outcome.grade.clone()?;
    Some(Trial {
        repeat: outcome.item.repeat,
        grade,
        controls: Vec::new(),
        said,
    })
}
