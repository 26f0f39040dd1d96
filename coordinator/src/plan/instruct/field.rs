//! What is stored of a search for one instruction, as the pure functions look at it.

use crate::{
    CoordinatorError,
    board::{Members, Pages, graded_in},
    plan::{Planner, instruct::living},
    settings::{InstructPlan, Settings},
};
use domain::{
    call::Reply,
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::{Grade, Grader},
    hash::Hash,
    ids::{CandidateId, RunId},
    prompt::letter,
    run::{RoundKind, Spend, Step, StepKey},
};
use search::pool::{Known, Member, Pool, Task, Trial, evened};
use std::collections::{BTreeMap, HashMap};
use store::{Outcome, Store};

/// How far a search is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// Candidates of rounds before this one.
    born: u32,
    /// Answers of rounds before this one.
    tried: u32,
}

impl Until {
    /// As things stood before a round.
    pub fn before(round: u32) -> Self {
        Self {
            born: round,
            tried: round,
        }
    }

    /// The same, with the round's own candidates.
    pub fn tried(round: u32) -> Self {
        Self {
            born: round.saturating_add(1),
            tried: round,
        }
    }

    /// After a round.
    pub fn after(round: u32) -> Self {
        Self::before(round.saturating_add(1))
    }
}

/// All that is stored of a search: read once, and looked at as it stood at any time.
#[derive(Debug)]
pub struct History {
    target: Target,
    grader: Grader,
    task: Task,
    examples: Vec<Known>,
    /// Accepted and refused, in the order of birth.
    pub(super) candidates: Vec<Candidate>,
    /// Answers asked for in each round of the search.
    asked: Vec<(u32, u64)>,
    /// Graded answers, each with its round.
    tried: Vec<(u32, Outcome)>,
    /// Whose place a newcomer took, each with the round.
    left: Vec<(u32, CandidateId)>,
}

/// A search, up to some round.
#[derive(Debug)]
pub struct Field {
    /// The data set as a target.
    pub target: Target,
    /// How answers are graded.
    pub grader: Grader,
    /// What operators, races and choices look at.
    pub pool: Pool,
    /// The accepted candidates: those of the pool, in its order.
    pub candidates: Vec<Candidate>,
    /// Of each of them whether a newcomer took its place.
    pub left: Vec<bool>,
    /// Answers asked for by now.
    pub asked: u64,
    /// What the graded answers of each member took, by example.
    pub spent: Vec<Vec<(usize, Spend)>>,
}

impl History {
    /// Reads a search.
    ///
    /// # Errors
    /// When the store fails, or the run has no data set.
    pub async fn load(
        store: &dyn Store,
        run: RunId,
        settings: &Settings,
    ) -> Result<Self, CoordinatorError> {
        let mut candidates = store.candidates(run).await?;
        candidates.sort_by_key(|c| (c.round, c.arm, c.ordinal));
        let mut history = Self::of(store, run, settings, candidates).await?;
        for status in store.steps(run).await? {
            if status.kind == RoundKind::Confirm {
                continue;
            }
            if status.key.step == Step::Answer {
                history.asked.push((status.key.round, status.items));
            }
            if status.key.step == graded_in(&history.grader) {
                history.gather(store, status.key).await?;
            }
        }
        history.replay(settings);
        Ok(history)
    }

    /// The start prompts, of which nothing is known yet.
    pub(super) async fn of_starts(
        planner: &Planner<'_>,
        candidates: Vec<Candidate>,
    ) -> Result<Self, CoordinatorError> {
        Self::of(planner.store, planner.run, planner.settings, candidates).await
    }

    async fn of(
        store: &dyn Store,
        run: RunId,
        settings: &Settings,
        candidates: Vec<Candidate>,
    ) -> Result<Self, CoordinatorError> {
        let (target, grader) = target(run, settings)?;
        Ok(Self {
            task: task(plan(settings)?, settings, &grader),
            examples: examples(store, run, settings, &grader).await?,
            target,
            grader,
            candidates,
            asked: Vec::new(),
            tried: Vec::new(),
            left: Vec::new(),
        })
    }

    /// Plays all tournaments so far again, in order: who was alive in a round hangs on who had left before.
    fn replay(&mut self, settings: &Settings) {
        let limited = |plan: &&InstructPlan| plan.population.is_some();
        let Some(plan) = settings.instruct.as_ref().filter(limited) else {
            return;
        };
        let last = self.candidates.last().map_or(0, |c| c.round);
        for round in 1..=last {
            let left = living::left(self, plan, (settings.seed, round));
            self.left.extend(left.into_iter().map(|id| (round, id)));
        }
    }

    async fn gather(&mut self, store: &dyn Store, key: StepKey) -> Result<(), CoordinatorError> {
        let mut pages = Pages::new(key);
        while let Some(page) = pages.next(store).await? {
            let graded = |o: &Outcome| o.grade.as_ref().is_some_and(|g| g.value.is_finite());
            let of_round = page.into_iter().filter(graded).map(|o| (key.round, o));
            self.tried.extend(of_round);
        }
        Ok(())
    }

    /// Every grade of the search.
    pub fn grades(&self) -> impl Iterator<Item = &Grade> {
        self.tried.iter().filter_map(|(_, o)| o.grade.as_ref())
    }

    /// The search as it stood.
    pub fn until(&self, until: Until) -> Field {
        let born = self.candidates.iter().filter(|c| c.round < until.born);
        let accepted = |c: &&Candidate| c.verdict == Verdict::Accepted;
        let (kept, refused): (Vec<_>, Vec<_>) = born.partition(accepted);
        let candidates: Vec<Candidate> = kept.into_iter().cloned().collect();
        let refused = refused.into_iter().map(|c| plain_name(&c.operator));
        let asked = self.asked.iter().filter(|(round, _)| *round < until.tried);
        let left = |c: &Candidate| {
            let mut left = self.left.iter().filter(|(round, _)| *round < until.born);
            left.any(|(_, id)| *id == c.id)
        };
        Field {
            left: candidates.iter().map(left).collect(),
            spent: self.spent(&candidates, until.tried),
            pool: Pool {
                task: self.task.clone(),
                examples: self.examples.clone(),
                members: self.members(&candidates, until.tried),
                refused: refused.map(str::to_owned).collect(),
            },
            target: self.target.clone(),
            grader: self.grader.clone(),
            candidates,
            asked: asked.map(|(_, items)| items).sum(),
        }
    }

    /// The candidates as members, with what was tried in rounds before this one.
    fn members(&self, candidates: &[Candidate], before: u32) -> Vec<Member> {
        let of = places(candidates);
        let mut sums: Vec<BTreeMap<usize, Sum>> = vec![BTreeMap::new(); candidates.len()];
        for (member, example, outcome) in self.outcomes(&of, before) {
            if let Some(sums) = sums.get_mut(member) {
                sums.entry(example).or_default().add(outcome);
            }
        }
        let trials = |sums: BTreeMap<usize, Sum>| sums.into_iter().map(|(at, sum)| sum.trial(at));
        let member = |(c, sums)| Member {
            trials: trials(sums).collect(),
            ..member(c, &of)
        };
        candidates.iter().zip(sums).map(member).collect()
    }
}

impl History {
    /// Outcomes of rounds before this one, with the places of candidate and example.
    fn outcomes<'h>(
        &'h self,
        of: &'h HashMap<CandidateId, usize>,
        before: u32,
    ) -> impl Iterator<Item = (usize, usize, &'h Outcome)> {
        let examples = self.examples.iter().enumerate();
        let places: HashMap<Hash, usize> = examples.map(|(i, known)| (known.id, i)).collect();
        let tried = self.tried.iter().filter(move |(round, _)| *round < before);
        tried.filter_map(move |(_, outcome)| {
            let member = outcome.item.candidate.and_then(|c| of.get(&c))?;
            let example = outcome.item.example.and_then(|e| places.get(&e))?;
            Some((*member, *example, outcome))
        })
    }

    fn spent(&self, candidates: &[Candidate], before: u32) -> Vec<Vec<(usize, Spend)>> {
        let mut out = vec![Vec::new(); candidates.len()];
        for (member, example, outcome) in self.outcomes(&places(candidates), before) {
            if let (Some(own), Some(spent)) = (out.get_mut(member), outcome.spent) {
                own.push((example, spent));
            }
        }
        out
    }
}

fn places(candidates: &[Candidate]) -> HashMap<CandidateId, usize> {
    let born = candidates.iter().enumerate();
    born.map(|(i, c)| (c.id, i)).collect()
}

/// What the answers of one candidate to one example add up to.
#[derive(Clone, Debug, Default)]
struct Sum {
    n: u32,
    value: f64,
    first: u32,
    said: Option<String>,
    feedback: String,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        let Some(grade) = &outcome.grade else {
            return;
        };
        // What operators are shown is what the first repeat said.
        if self.n == 0 || outcome.item.repeat < self.first {
            self.first = outcome.item.repeat;
            self.feedback.clone_from(&grade.feedback);
            self.said = match &outcome.reply {
                Some(Reply::Text { text }) => Some(text.clone()),
                _ => None,
            };
        }
        self.n += 1;
        self.value += grade.value;
    }

    fn trial(self, example: usize) -> Trial {
        Trial {
            example,
            value: (self.value / f64::from(self.n.max(1))).clamp(0.0, 1.0),
            said: self.said,
            feedback: self.feedback,
        }
    }
}

/// The run's plan for this mode.
pub fn plan(settings: &Settings) -> Result<&InstructPlan, CoordinatorError> {
    let none = || CoordinatorError::Brief("the run searches for no instruction".to_owned());
    settings.instruct.as_ref().ok_or_else(none)
}

/// The data set as a target, and its grader.
pub fn target(run: RunId, settings: &Settings) -> Result<(Target, Grader), CoordinatorError> {
    let none = || CoordinatorError::Brief("the run has no data set that can be graded".to_owned());
    let dataset = settings.datasets.first().ok_or_else(none)?;
    let name = format!("{}/{}", dataset.name, crate::settings::TARGET);
    let target = Target {
        id: run.target(&name),
        dataset: dataset.name.clone(),
        model: crate::settings::TARGET.to_owned(),
        example: None,
    };
    Ok((target, dataset.grader.clone()))
}

/// The first train examples of the race's order: a shuffled one, that the seed and the examples' ids decide, evened. No more
/// than the search could ever ask, and some to choose demonstrations from.
async fn examples(
    store: &dyn Store,
    run: RunId,
    settings: &Settings,
    grader: &Grader,
) -> Result<Vec<Known>, CoordinatorError> {
    let most = plan(settings)?.most_examples();
    let place = |id: Hash| Hash::of([&settings.seed.to_le_bytes()[..], &id.0[..]]);
    let mut kept: Vec<(Hash, Hash, Example)> = Vec::new();
    let mut members = Members::new(run, Some(Split::Train));
    while let Some(page) = members.next(store).await? {
        let placed = page
            .into_iter()
            .map(|(m, e)| (place(m.example), m.example, e));
        kept.extend(placed);
        if kept.len() >= 2 * most {
            kept.sort_by_key(|k| k.0);
            kept.truncate(most);
        }
    }
    kept.sort_by_key(|k| k.0);
    kept.truncate(most);
    let known = |(_, id, example): (Hash, Hash, Example)| Known {
        id,
        answer: written(&example, grader),
        example,
    };
    Ok(evened(kept.into_iter().map(known).collect()))
}

/// A right answer in the form that the grader reads; `None` where none is known.
fn written(example: &Example, grader: &Grader) -> Option<String> {
    match &example.reference {
        Reference::Choice { index } if *grader == Grader::ChoiceLetter => {
            letter(*index).map(String::from)
        }
        _ => example.reference_text().map(str::to_owned),
    }
}

fn task(plan: &InstructPlan, settings: &Settings, grader: &Grader) -> Task {
    let first = plan.starts.first();
    let said = first.and_then(|doc| doc.instruction.clone());
    Task {
        description: match plan.description.is_empty() {
            true => said.unwrap_or_default(),
            false => plan.description.clone(),
        },
        labels: match grader {
            Grader::Label { labels } => labels.clone(),
            _ => Vec::new(),
        },
        max_chars: settings.max_chars,
        max_shots: plan.shots,
        must_keep: plan.must_keep.clone(),
        must_not_contain: plan.must_not_contain.clone(),
        show_references: true,
        ..Task::default()
    }
}

/// A candidate as a member that was not tried.
fn member(c: &Candidate, of: &HashMap<CandidateId, usize>) -> Member {
    let parents = c.parents.iter().filter_map(|p| of.get(p).copied());
    Member {
        doc: c.doc.clone(),
        parents: parents.collect(),
        operator: (c.arm != Arm::Original).then(|| plain_name(&c.operator).to_owned()),
        round: c.round,
        trials: Vec::new(),
    }
}

/// An operator's name without its version.
pub fn plain_name(written: &str) -> &str {
    written.split_once('@').map_or(written, |(name, _)| name)
}
