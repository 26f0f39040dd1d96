//! What is stored of a search for one instruction, as the pure functions look at it.

use crate::{
    CoordinatorError,
    board::{PAGE, Pages},
    plan::Planner,
    settings::{InstructPlan, Settings},
};
use domain::{
    call::Reply,
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::Grader,
    hash::Hash,
    ids::{CandidateId, RunId},
    prompt::letter,
    run::{RoundKind, Step, StepKey},
};
use search::pool::{Known, Member, Pool, Task, Trial};
use std::collections::HashMap;
use store::{MemberPage, Outcome, Store};

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
    /// Answers asked for by now.
    pub asked: u64,
}

impl Field {
    /// Reads a search.
    ///
    /// # Errors
    /// When the store fails, or the run has no data set.
    pub async fn load(
        store: &dyn Store,
        run: RunId,
        settings: &Settings,
        until: Until,
    ) -> Result<Self, CoordinatorError> {
        let plan = plan(settings)?;
        let (target, grader) = target(run, settings)?;
        let known = examples(store, run, settings, &grader).await?;
        let mut candidates = store.candidates(run).await?;
        candidates.retain(|c| c.round < until.born);
        let refused = candidates.iter().filter(|c| c.verdict != Verdict::Accepted);
        let refused = refused
            .map(|c| plain_name(&c.operator).to_owned())
            .collect();
        candidates.retain(|c| c.verdict == Verdict::Accepted);
        candidates.sort_by_key(|c| (c.round, c.arm, c.ordinal));
        let members = members(&candidates);
        let mut field = Self {
            pool: Pool {
                task: task(plan, settings, &grader),
                examples: known,
                members,
                refused,
            },
            target,
            grader,
            candidates,
            asked: 0,
        };
        field.read_trials(store, run, until).await?;
        Ok(field)
    }

    /// The start prompts, of which nothing is known yet.
    pub(super) async fn of_starts(
        planner: &Planner<'_>,
        candidates: Vec<Candidate>,
    ) -> Result<Self, CoordinatorError> {
        let settings = planner.settings;
        let (target, grader) = target(planner.run, settings)?;
        Ok(Self {
            pool: Pool {
                task: task(plan(settings)?, settings, &grader),
                examples: examples(planner.store, planner.run, settings, &grader).await?,
                members: members(&candidates),
                refused: Vec::new(),
            },
            target,
            grader,
            candidates,
            asked: 0,
        })
    }

    /// The member that a candidate is.
    pub fn member(&self, id: CandidateId) -> Option<usize> {
        self.candidates.iter().position(|c| c.id == id)
    }

    async fn read_trials(
        &mut self,
        store: &dyn Store,
        run: RunId,
        until: Until,
    ) -> Result<(), CoordinatorError> {
        let examples = self.pool.examples.iter().enumerate();
        let places: HashMap<Hash, usize> = examples.map(|(i, known)| (known.id, i)).collect();
        let of: HashMap<CandidateId, usize> = self
            .candidates
            .iter()
            .enumerate()
            .map(|(i, c)| (c.id, i))
            .collect();
        let graded = match self.grader.is_reward() {
            true => Step::Score,
            false => Step::Answer,
        };
        let mut sums: Vec<HashMap<usize, Sum>> = vec![HashMap::new(); self.candidates.len()];
        for status in store.steps(run).await? {
            if status.kind == RoundKind::Confirm || status.key.round >= until.tried {
                continue;
            }
            if status.key.step == Step::Answer {
                self.asked += status.items;
            }
            if status.key.step == graded {
                gather(store, status.key, &of, &places, &mut sums).await?;
            }
        }
        for (member, sums) in self.pool.members.iter_mut().zip(sums) {
            member.trials = sums.into_iter().map(|(at, sum)| sum.trial(at)).collect();
            member.trials.sort_by_key(|t| t.example);
        }
        Ok(())
    }
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
    fn add(&mut self, outcome: Outcome) {
        let Some(grade) = outcome.grade.filter(|g| g.value.is_finite()) else {
            return;
        };
        // What operators are shown is what the first repeat said.
        if self.n == 0 || outcome.item.repeat < self.first {
            self.first = outcome.item.repeat;
            self.feedback = grade.feedback;
            self.said = match outcome.reply {
                Some(Reply::Text { text }) => Some(text),
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

async fn gather(
    store: &dyn Store,
    key: StepKey,
    of: &HashMap<CandidateId, usize>,
    places: &HashMap<Hash, usize>,
    sums: &mut [HashMap<usize, Sum>],
) -> Result<(), CoordinatorError> {
    let mut pages = Pages::new(key);
    while let Some(page) = pages.next(store).await? {
        for outcome in page.into_iter().filter(|o| o.grade.is_some()) {
            let member = outcome.item.candidate.and_then(|c| of.get(&c));
            let example = outcome.item.example.and_then(|e| places.get(&e));
            if let (Some(&member), Some(&example)) = (member, example)
                && let Some(sums) = sums.get_mut(member)
            {
                sums.entry(example).or_default().add(outcome);
            }
        }
    }
    for sums in sums {
        sums.retain(|_, sum| sum.n > 0);
    }
    Ok(())
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

/// The first train examples of the race's order: a shuffled one, that the seed and the examples' ids decide. No more
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
    let mut after = 0;
    loop {
        let page = MemberPage {
            run,
            dataset: None,
            split: Some(Split::Train),
            after,
            limit: PAGE,
        };
        let members = store.members(&page).await?;
        let Some(last) = members.last().map(|m| m.0) else {
            break;
        };
        after = last;
        let placed =
            |(_, m, e): (i64, domain::run::Member, Example)| (place(m.example), m.example, e);
        kept.extend(members.into_iter().map(placed));
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
    Ok(kept.into_iter().map(known).collect())
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
    }
}

fn members(candidates: &[Candidate]) -> Vec<Member> {
    let place: HashMap<CandidateId, usize> = candidates
        .iter()
        .enumerate()
        .map(|(i, c)| (c.id, i))
        .collect();
    let one = |c: &Candidate| Member {
        mutation: c.doc.mutation.clone(),
        doc: c.doc.clone(),
        parents: c
            .parents
            .iter()
            .filter_map(|p| place.get(p).copied())
            .collect(),
        operator: (c.arm != Arm::Original).then(|| plain_name(&c.operator).to_owned()),
        round: c.round,
        trials: Vec::new(),
    };
    candidates.iter().map(one).collect()
}

/// An operator's name without its version.
pub fn plain_name(written: &str) -> &str {
    written.split_once('@').map_or(written, |(name, _)| name)
}
