//! Who is tried on which examples next.

use super::field::{Field, History, Until, plan, target};
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
    race::{self, Rules},
};

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
    let seed = Hash::of([planner.settings.seed, u64::from(round)].map(u64::to_le_bytes)).seed();
    let alive = alive(plan, &field.pool);
    // Where the round begins: what is new meets examples that nobody has been chosen by.
    let from = round as usize * plan.block % field.pool.examples.len().max(1);
    let given = race::allocate(&field.pool, &alive, (left, from), &rules(plan), seed);
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
pub fn dropped(plan: &InstructPlan, pool: &Pool) -> Vec<Option<race::Drop>> {
    race::dropped(pool, &rules(plan))
}

/// Who may still win.
pub(super) fn alive(plan: &InstructPlan, pool: &Pool) -> Vec<bool> {
    dropped(plan, pool).iter().map(Option::is_none).collect()
}
