//! What is stored of a run, as the planner and the summary look at it.

use crate::{CoordinatorError, plan::order::Place, pool::Pools, settings::Settings};
use domain::{
    call::{Reply, Score},
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Split},
    grade::{Grade, Grader},
    hash::Hash,
    ids::{CandidateId, RunId, TargetId},
    run::{Member, RoundKind, Step, StepKey},
};
use std::collections::HashMap;
use store::{MemberPage, Outcome, Store};

/// Rows read at a time: memory does not grow with the run.
pub const PAGE: u32 = 1_000;

/// One try of a candidate: an answer with its grade.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which repeat.
    pub repeat: u32,
    /// The grade.
    pub grade: Grade,
    /// `reference_loglik` only: nats per byte of each mismatched reference under the same prompt.
    pub controls: Vec<f64>,
    /// What the model wrote, if it wrote.
    pub said: Option<String>,
}

impl Trial {
    /// The reward, where the grade is one.
    pub fn reward(&self) -> f64 {
        self.grade.raw.unwrap_or(f64::NAN)
    }

    /// How long the answer is, characters.
    pub fn chars(&self) -> usize {
        self.said.as_ref().map_or(0, |said| said.chars().count())
    }
}

/// A target with all that was made and tried for it.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The target.
    pub target: Target,
    /// Its example.
    pub example: Example,
    /// How its answers are graded.
    pub grader: Grader,
    /// Its candidates: the original first, then by round and ordinal.
    pub candidates: Vec<Candidate>,
}

impl Spot {
    /// The unchanged prompt.
    pub fn original(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.arm == Arm::Original)
    }

    /// Candidates of an arm that passed the guard.
    pub fn accepted(&self, arm: Arm) -> impl Iterator<Item = &Candidate> {
        self.candidates
            .iter()
            .filter(move |c| c.arm == arm && c.verdict == Verdict::Accepted)
    }
}

/// The state of a search: targets in a fixed order, and every trial.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The targets, sorted by id.
    pub spots: Vec<Spot>,
    /// References of other examples.
    pub pools: Pools,
    /// Trials by candidate, sorted by repeat.
    pub trials: HashMap<CandidateId, Vec<Trial>>,
}

impl Board {
    /// Reads the board of a run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(
        store: &dyn Store,
        run: RunId,
        settings: &Settings,
    ) -> Result<Self, CoordinatorError> {
        let mut board = Self {
            spots: spots(store, run, settings).await?,
            pools: Pools::load(store, run, settings).await?,
            trials: HashMap::new(),
        };
        for status in store.steps(run).await? {
            let tried = matches!(status.key.step, Step::Propose | Step::Answer | Step::Score);
            if status.kind != RoundKind::Baseline && tried {
                board.read_trials(store, status.key).await?;
            }
        }
        for trials in board.trials.values_mut() {
            trials.sort_by_key(|t| t.repeat);
        }
        Ok(board)
    }

    async fn read_trials(
        &mut self,
        store: &dyn Store,
        key: StepKey,
    ) -> Result<(), CoordinatorError> {
        let place: HashMap<TargetId, usize> = self
            .spots
            .iter()
            .enumerate()
            .map(|(i, s)| (s.target.id, i))
            .collect();
        let mut pages = Pages::new(key);
        while let Some(page) = pages.next(store).await? {
            for outcome in page {
                let spot = place.get(&outcome.item.target).map(|&i| &self.spots[i]);
                let tried = outcome.item.candidate.zip(spot);
                let Some((candidate, spot)) = tried else {
                    continue;
                };
                let Some(trial) = self.trial(spot, &outcome) else {
                    continue;
                };
                self.trials.entry(candidate).or_default().push(trial);
            }
        }
        Ok(())
    }

    /// The trial an outcome stands for; `None` when it was not answered or not graded.
    fn trial(&self, spot: &Spot, outcome: &Outcome) -> Option<Trial> {
        let grade = outcome.grade.clone()?;
        let (said, controls) = match outcome.reply.as_ref()? {
            Reply::Text { text } => (Some(text.clone()), Vec::new()),
            Reply::Scores { scores } if spot.grader == Grader::ReferenceLoglik => {
                let n = scores.len().saturating_sub(1);
                let texts = self.pools.pick(&spot.target.dataset, &spot.example, n);
                let per_byte = |(s, t): (&Score, &String)| s.logprob / t.len().max(1) as f64;
                (
                    None,
                    scores.iter().skip(1).zip(&texts).map(per_byte).collect(),
                )
            }
            Reply::Scores { .. } => (None, Vec::new()),
        };
        Some(Trial {
            repeat: outcome.item.repeat,
            grade,
            controls,
            said,
        })
    }

    /// Trials of a candidate in the search (`fresh = false`) or on fresh draws.
    pub fn tried(&self, candidate: CandidateId, fresh: bool) -> Vec<&Trial> {
        let all = self
            .trials
            .get(&candidate)
            .map(Vec::as_slice)
            .unwrap_or_default();
        all.iter()
            .filter(|t| (t.repeat >= crate::settings::FRESH) == fresh)
            .collect()
    }
}

async fn spots(
    store: &dyn Store,
    run: RunId,
    settings: &Settings,
) -> Result<Vec<Spot>, CoordinatorError> {
    let targets: Vec<Target> = store
        .targets(run)
        .await?
        .into_iter()
        .filter(|t| t.example.is_some())
        .collect();
    let ids: Vec<Hash> = targets.iter().filter_map(|t| t.example).collect();
    let mut examples: HashMap<Hash, Example> = HashMap::new();
    for chunk in ids.chunks(PAGE as usize) {
        examples.extend(store.examples(chunk).await?);
    }
    let mut candidates: HashMap<TargetId, Vec<Candidate>> = HashMap::new();
    for candidate in store.candidates(run).await? {
        candidates
            .entry(candidate.target)
            .or_default()
            .push(candidate);
    }
    let mut spots: Vec<Spot> = targets
        .into_iter()
        .filter_map(|target| {
            let example = examples.get(&target.example?)?.clone();
            let grader = settings.dataset(&target.dataset)?.grader.clone();
            let mut candidates = candidates.remove(&target.id).unwrap_or_default();
            candidates.sort_by_key(|c| (c.round, c.arm, c.ordinal));
            Some(Spot {
                target,
                example,
                grader,
                candidates,
            })
        })
        .collect();
    spots.sort_by_key(|s| (s.target.dataset.clone(), s.target.example));
    Ok(spots)
}

/// The step of a round after which answers have grades.
pub fn graded_in(grader: &Grader) -> Step {
    match grader.compares() {
        true => Step::Score,
        false => Step::Answer,
    }
}

/// Pages through the examples of a run.
pub struct Members(MemberPage);

impl Members {
    /// All of a run, or those of a split, from the beginning.
    pub fn new(run: RunId, split: Option<Split>) -> Self {
        Self(MemberPage {
            run,
            dataset: None,
            split,
            after: 0,
            limit: PAGE,
        })
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(
        &mut self,
        store: &dyn Store,
    ) -> Result<Option<Vec<(Member, Example)>>, CoordinatorError> {
        let page = store.members(&self.0).await?;
        let Some((last, _, _)) = page.last() else {
            return Ok(None);
        };
        self.0.after = *last;
        Ok(Some(page.into_iter().map(|(_, m, e)| (m, e)).collect()))
    }
}

/// Pages through the outcomes of a step.
pub struct Pages {
    key: StepKey,
    after: Option<u32>,
    done: bool,
}

impl Pages {
    /// From the beginning.
    pub fn new(key: StepKey) -> Self {
        Self {
            key,
            after: None,
            done: false,
        }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(
        &mut self,
        store: &dyn Store,
    ) -> Result<Option<Vec<Outcome>>, CoordinatorError> {
        if self.done {
            return Ok(None);
        }
        let page = store.outcomes(self.key, self.after, PAGE).await?;
        self.done = page.len() < PAGE as usize;
        self.after = page.last().map(|o| o.item.ordinal).or(self.after);
        Ok((!page.is_empty()).then_some(page))
    }
}

/// The key of a step.
pub fn step_key(run: RunId, place: Place) -> StepKey {
    StepKey {
        run,
        round: place.round,
        step: place.step,
    }
}
