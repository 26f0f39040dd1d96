//! Rewrites where a spec names operators: which of them writes each rewrite of a target, from which version, and what it
//! is told.
//!
//! All targets share one account of what each operator achieved ([`arms`]): a target alone has too few rewrites to learn
//! from. What a round drafts follows from the rows of the rounds before it and from the seed. The guard step drafts anew
//! to read the replies, as in `instruct` mode, so that nothing has to be stored in between.
//!
//! An operator looks at a [`Pool`] of one question: its versions and their outcomes, no example and no reference.

use super::{Additions, Planner, instruct::field::plain_name, mine, order::Place, propose, score};
use crate::{
    CoordinatorError,
    board::{Board, Spot},
    settings::{DrawPlan, Settings},
};
use domain::{
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    operator::TaskKind,
    prompt::PromptDoc,
    run::RoundKind,
    select::{self, Tried},
};
use search::{
    bandit::{Arms, Fate},
    operator::{self, Draft, Operator},
    pareto,
    pool::{Member, Pool, Subject, Task, Trial},
};
use std::{borrow::Cow, collections::HashMap};

/// How often another operator or version is tried where a draft comes to nothing.
const TRIES: u32 = 16;

/// The plan of a round in which operators are drawn; the placebo arm paraphrases, whatever the spec names.
pub fn plan(settings: &Settings, kind: RoundKind) -> Option<&DrawPlan> {
    settings
        .drawn
        .as_ref()
        .filter(|_| kind == RoundKind::Search)
}

/// One question for each rewrite wanted of each target.
pub(super) fn questions(
    planner: &Planner<'_>,
    plan: &DrawPlan,
    board: &Board,
    place: Place,
) -> Additions {
    let mut out = Additions::default();
    let arms = arms(planner.settings, plan, board, place.round);
    for spot in &board.spots {
        for (nth, draft) in of_target(planner.settings, &arms, board, spot, place.round).drafts {
            let repeat = repeat(planner.settings, place.round, nth);
            let question = propose::asked(planner, &spot.target, draft, repeat);
            out.questions.extend(question);
        }
    }
    out
}

/// What was drafted for a target in a round.
pub(super) struct Drafted {
    /// By ordinal.
    pub drafts: Vec<(u32, Draft)>,
    /// What the operators looked at.
    pub pool: Pool,
    /// The candidates that the pool's members stand for.
    pub versions: Vec<Candidate>,
}

/// What was drafted in a round, one for each target of the board, in its order. The board may have the round's own rows.
pub(super) async fn drafted(
    planner: &Planner<'_>,
    plan: &DrawPlan,
    board: &Board,
    place: Place,
) -> Result<Vec<Drafted>, CoordinatorError> {
    let settings = planner.settings;
    let then = as_it_was(planner, board, place.round).await?;
    let arms = arms(settings, plan, &then, place.round);
    let spots = then.spots.iter();
    let one = |spot| of_target(settings, &arms, &then, spot, place.round);
    Ok(spots.map(one).collect())
}

/// The board as the round found it. Round 1 was planned with the trials of the baseline, which are noted as the originals'
/// own only with that plan, and scored only at its end.
async fn as_it_was<'b>(
    planner: &Planner<'_>,
    board: &'b Board,
    round: u32,
) -> Result<Cow<'b, Board>, CoordinatorError> {
    if round > 1 {
        return Ok(Cow::Borrowed(board));
    }
    let mut then = Board {
        trials: HashMap::new(),
        ..board.clone()
    };
    mine::baseline_trials(planner, &mut then).await?;
    Ok(Cow::Owned(then))
}

/// The repeat under which a draft is asked for: another one in each round, so that equal words are another draw.
pub(super) fn repeat(settings: &Settings, round: u32, nth: u32) -> u32 {
    round.saturating_sub(1) * settings.rewrites + nth
}

/// How often each operator is drawn: as the spec fixes it, or as learnt from rounds before this one.
///
/// A rewrite counts as a success where it is better than all that was known of its target before its round, by the rule
/// that chooses winners. Whatever an operator started from, all are held against the same bar.
pub fn arms(settings: &Settings, plan: &DrawPlan, board: &Board, before: u32) -> Arms {
    let names = propose::usable(settings, &plan.operators);
    let arms = match plan.weights.is_empty() {
        true => Arms::untried(&names),
        false => Arms::fixed(&names, &plan.weights),
    };
    with_children(arms, board, before)
}

fn with_children(mut arms: Arms, board: &Board, before: u32) -> Arms {
    for spot in &board.spots {
        let born = |c: &&Candidate| c.arm == Arm::Search && c.round < before;
        let children: Vec<&Candidate> = spot.candidates.iter().filter(born).collect();
        for of_round in children.chunk_by(|a, b| a.round == b.round) {
            let known = standing(board, spot, &versions(spot, of_round[0].round));
            let best = select::ranked(&known)
                .first()
                .map(|best| known[*best].clone());
            for child in of_round {
                let fate = fate(board, spot, child, best.as_ref());
                arms.born(plain_name(&child.operator), fate);
            }
        }
    }
    arms
}

fn fate(board: &Board, spot: &Spot, child: &Candidate, best: Option<&Tried>) -> Fate {
    match child.verdict {
        Verdict::Rejected { .. } => return Fate::NoBetter,
        Verdict::Proposed => return Fate::Unknown,
        Verdict::Accepted => {}
    }
    let own = score::tried(board, spot, child);
    match best {
        // Nothing can be shown to be better than what is right each time.
        Some(best) if own.mean.is_nan() || is_highest(spot, best) => Fate::Unknown,
        Some(best) if select::beats(&own, best) => Fate::Better,
        Some(_) => Fate::NoBetter,
        None => Fate::Unknown,
    }
}

fn is_highest(spot: &Spot, best: &Tried) -> bool {
    !spot.grader.is_reward() && best.margin.is_none() && best.mean >= 1.0 - 1e-9
}

/// The versions of a target before a round: the original, and what the search made that was accepted.
fn versions(spot: &Spot, before: u32) -> Vec<&Candidate> {
    let made = spot.accepted(Arm::Search).filter(|c| c.round < before);
    spot.original().into_iter().chain(made).collect()
}

fn standing(board: &Board, spot: &Spot, versions: &[&Candidate]) -> Vec<Tried> {
    let tried = |c: &&Candidate| score::tried(board, spot, c);
    versions.iter().map(tried).collect()
}

fn of_target(settings: &Settings, arms: &Arms, board: &Board, spot: &Spot, round: u32) -> Drafted {
    let versions = versions(spot, round);
    let ranked = select::ranked(&standing(board, spot, &versions));
    let pool = pool(settings, board, spot, &versions);
    let draft = |nth: u32| {
        let one = |attempt: u32| {
            let seed = seed(settings.seed, spot, [round, nth, attempt]);
            let parent = pareto::by_rank(ranked.len(), seed).and_then(|rank| ranked.get(rank));
            let operator = Operator::from_name(arms.pick(seed))?;
            operator::draft(operator, &pool, parent.copied().unwrap_or(0), seed)
        };
        // Where none of those that are named has what it needs, as in a first round that can only go on from the original.
        let improved = || {
            let seed = seed(settings.seed, spot, [round, nth, TRIES]);
            operator::draft(Operator::Improve, &pool, 0, seed)
        };
        let draft = (0..TRIES).find_map(one).or_else(improved)?;
        Some((nth, draft))
    };
    Drafted {
        drafts: (0..settings.rewrites).filter_map(draft).collect(),
        versions: versions.into_iter().cloned().collect(),
        pool,
    }
}

/// The versions of a question as operators look at them.
fn pool(settings: &Settings, board: &Board, spot: &Spot, versions: &[&Candidate]) -> Pool {
    let of: HashMap<_, usize> = versions
        .iter()
        .enumerate()
        .map(|(i, c)| (c.id, i))
        .collect();
    let member = |c: &&Candidate| Member {
        doc: PromptDoc {
            mutation: c.doc.mutation.clone(),
            ..PromptDoc::rewrite(words(spot, c))
        },
        parents: c
            .parents
            .iter()
            .filter_map(|p| of.get(p).copied())
            .collect(),
        operator: (c.arm != Arm::Original).then(|| plain_name(&c.operator).to_owned()),
        round: c.round,
        trials: trials(settings, board, spot, c),
    };
    let kind = propose::kind(spot);
    Pool {
        task: Task {
            subject: Subject::Question {
                original: spot.example.input.clone(),
                kind,
                // Of two answers to an open instruction one is better, and none is the reference.
                keyed: !(spot.grader.is_reward() && kind == TaskKind::Open),
            },
            max_chars: settings.max_chars,
            ..Task::default()
        },
        members: versions.iter().map(member).collect(),
        ..Pool::default()
    }
}

/// What was answered to a version, and what was said of that.
fn trials(settings: &Settings, board: &Board, spot: &Spot, c: &Candidate) -> Vec<Trial> {
    // A reward says something beside another of the same question: all repeats have what they say together.
    let preferred = match spot.grader.is_reward() {
        true => Some(score::value(board, spot, c, false).unwrap_or(f64::NAN)),
        false => None,
    };
    let tried = board.tried(c.id, false);
    let trial = |t: &&crate::board::Trial| Trial {
        example: 0,
        value: preferred.unwrap_or(t.grade.value),
        said: t.said.clone(),
        feedback: propose::feedback(settings, spot, Some(t)).unwrap_or_default(),
    };
    tried.iter().map(trial).collect()
}

/// The words of a version.
pub(super) fn words<'a>(spot: &'a Spot, c: &'a Candidate) -> &'a str {
    c.doc.question.as_deref().unwrap_or(&spot.example.input)
}

/// Ids differ from run to run and decide nothing: a target is known by its example.
fn seed(run: u64, spot: &Spot, of: [u32; 3]) -> u64 {
    let example = spot.target.example.map(|e| e.0).unwrap_or_default();
    let mut bytes = run.to_le_bytes().to_vec();
    bytes.extend(example);
    bytes.extend(spot.target.dataset.as_bytes());
    bytes.extend(of.into_iter().flat_map(u32::to_le_bytes));
    Hash::of([bytes]).seed()
}
