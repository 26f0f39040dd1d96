//! Who is tried on which examples next.

use super::{
    field::{Field, History, Until, plan, target},
    living::{alive, round_seed},
};
use crate::{
    CoordinatorError,
    plan::{Additions, Planner, block::Question, mine::as_given, order::Place, tries::grading},
    settings::InstructPlan,
};
use domain::{
    candidate::{Candidate, Target},
    example::Example,
    grade::Grader,
    hash::Hash,
    prompt::{self, Asking, PromptDoc},
};
use search::{
    pool::Pool,
    race::{self, Rules, Span},
};
use std::collections::BTreeSet;

/// The most blocks that a start prompt is tried on before there are others: what is left serves the next rounds.
const FIRST: usize = 3;

/// The start prompts, and the first blocks for them.
pub(super) async fn baseline(planner: &Planner<'_>) -> Result<Additions, CoordinatorError> {
    let (target, _) = target(planner.run, planner.settings)?;
    let starts = plan(planner.settings)?.starts.iter().enumerate();
    let start = |(ordinal, doc): (usize, &PromptDoc)| {
        let place = format!("{}/start/{ordinal}", target.id);
        as_given(planner, &target, &place, ordinal, "user", doc)
    };
    let candidates: Vec<Candidate> = starts.map(start).collect();
    let history = History::of_starts(planner, candidates.clone()).await?;
    let field = history.until(Until::tried(0));
    let mut out = asked(planner, &field, 0);
    out.targets = vec![target];
    out.candidates = candidates;
    Ok(out)
}

/// The answers that a round asks for.
pub(super) fn questions(planner: &Planner<'_>, field: &Field, place: Place) -> Additions {
    asked(planner, field, place.round)
}

fn asked(planner: &Planner<'_>, field: &Field, round: u32) -> Additions {
    let mut out = Additions::default();
    let Some(plan) = &planner.settings.instruct else {
        return out;
    };
    let repeats = planner.settings.repeats.max(1);
    let left = plan.calls_until(round).saturating_sub(field.asked) / u64::from(repeats);
    let mut left = usize::try_from(left).unwrap_or(usize::MAX);
    if round == 0 {
        left = left.min(FIRST * plan.block * plan.starts.len());
    }
    let seed = round_seed(planner.settings.seed, round);
    let mut alive = alive(plan, field);
    if let (true, Some(first)) = (field.grader.is_judge() && round > 0, alive.first_mut()) {
        // It ties with itself on any example: it is asked for the sake of others alone.
        *first = false;
    }
    let bears = (round <= plan.bearing).then_some(round as usize);
    let span = Span::of(field.pool.examples.len(), bears, &rules(plan));
    let given = allocated(plan, field, &alive, (left, span, seed));
    for (candidate, examples) in field.candidates.iter().zip(given) {
        for known in examples.iter().filter_map(|&e| field.pool.examples.get(e)) {
            for repeat in 0..repeats {
                let draw = Drawn {
                    example: &known.example,
                    id: known.id,
                    repeat,
                };
                out.questions.push(question(
                    planner,
                    (&field.target, &field.grader),
                    candidate,
                    &draw,
                ));
            }
        }
    }
    out
}

/// Who is asked about which examples: at most so many.
fn allocated(
    plan: &InstructPlan,
    field: &Field,
    alive: &[bool],
    (most, span, seed): (usize, Span, u64),
) -> Vec<Vec<usize>> {
    let given = |calls| {
        let mut given = race::allocate(&field.pool, alive, (calls, span), &rules(plan), seed);
        if field.grader.is_judge() {
            accompany(&field.pool, &mut given);
        }
        given
    };
    let all = given(most);
    if count(&all) <= most {
        return all;
    }
    // What accompanies the others is taken out of the same calls: the most that leave room for it.
    let (mut fits, mut over) = (0, most);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        match count(&given(middle)) <= most {
            true => fits = middle,
            false => over = middle,
        }
    }
    given(fits)
}

fn count(given: &[Vec<usize>]) -> usize {
    given.iter().map(Vec::len).sum()
}

/// A judge compares answers with the first start prompt's: that one is asked whatever another is asked.
fn accompany(pool: &Pool, given: &mut [Vec<usize>]) {
    let Some((first, others)) = given.split_first_mut() else {
        return;
    };
    let tried = pool.members.first().into_iter().flat_map(|m| &m.trials);
    let mut known: BTreeSet<usize> = tried.map(|t| t.example).collect();
    known.extend(first.iter().copied());
    for example in others.iter().flatten() {
        if known.insert(*example) {
            first.push(*example);
        }
    }
}

/// An example and which draw of it.
pub(super) struct Drawn<'a> {
    pub(super) example: &'a Example,
    pub(super) id: Hash,
    pub(super) repeat: u32,
}

/// A candidate on an example.
pub(super) fn question(
    planner: &Planner<'_>,
    (target, grader): (&Target, &Grader),
    candidate: &Candidate,
    drawn: &Drawn<'_>,
) -> Question {
    let sampling = planner.settings.sampling(&target.model);
    let asking = Asking {
        grader,
        sampling: &sampling,
        repeat: drawn.repeat,
        mismatched: &[],
    };
    let asked = prompt::ask(&candidate.doc, drawn.example, &asking);
    Question {
        target: target.id,
        candidate: Some(candidate.id),
        example: Some(drawn.id),
        repeat: drawn.repeat,
        draw: drawn.repeat,
        model: target.model.clone(),
        grade: grading(grader, asked.grade),
        call: asked.call,
    }
}

/// The race's rules, as the spec sets them.
pub(super) fn rules(plan: &InstructPlan) -> Rules {
    Rules {
        block: plan.block,
        alpha: plan.alpha,
        members: plan.starts.len() + plan.bearing as usize * plan.candidates as usize,
    }
}

/// Whom the race has dropped, and why.
pub(super) fn dropped(plan: &InstructPlan, pool: &Pool) -> Vec<Option<race::Drop>> {
    race::dropped(pool, &rules(plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use search::pool::{Member, Trial};

    #[test]
    fn the_start_prompt_is_asked_whatever_another_is_asked() {
        let tried = |example| Trial {
            example,
            value: 0.5,
            said: None,
            feedback: String::new(),
        };
        let start = Member {
            trials: vec![tried(0), tried(1)],
            ..Member::default()
        };
        let pool = Pool {
            members: vec![start, Member::default(), Member::default()],
            ..Pool::default()
        };
        let mut given = vec![vec![2], vec![0, 1, 2, 3], vec![3, 4]];
        accompany(&pool, &mut given);
        assert_eq!(given, [vec![2, 3, 4], vec![0, 1, 2, 3], vec![3, 4]]);
        assert_eq!(count(&given), 9);
    }
}
