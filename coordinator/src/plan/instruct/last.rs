//! The last evaluation: the chosen prompt and the start prompt on examples that no choice has seen.

use super::{
    field::{Field, plan},
    tries::{Drawn, question},
};
use crate::{
    CoordinatorError,
    board::Members,
    plan::{Additions, Planner},
    settings::{FRESH, InstructPlan},
};
use domain::{candidate::Candidate, example::Split};
use search::{choose, pool::Member};

/// Which of all candidates is chosen: the one that is believed best, less what its length costs. The choice looks at
/// train examples alone.
pub fn chosen(plan: &InstructPlan, field: &Field) -> Option<choose::Choice> {
    let members = &field.pool.members;
    // A point of accuracy is a hundredth, and the price is for a hundred tokens.
    let price = |member: usize| {
        let tokens = members.get(member).map_or(0.0, Member::tokens);
        tokens / 100.0 * plan.length_price / 100.0
    };
    choose::choose_at(&field.pool, &vec![true; members.len()], &price)
}

/// The start prompt and the chosen one; one prompt where the search found nothing better.
fn compared<'f>(plan: &InstructPlan, field: &'f Field) -> Vec<&'f Candidate> {
    let start = field.candidates.first();
    let best = chosen(plan, field).and_then(|choice| field.candidates.get(choice.member));
    let mut out: Vec<&Candidate> = start.into_iter().chain(best).collect();
    out.dedup_by_key(|c| c.id);
    out
}

/// Validation examples once, test examples as often as the spec says.
pub(super) async fn questions(
    planner: &Planner<'_>,
    field: &Field,
) -> Result<Additions, CoordinatorError> {
    let plan = plan(planner.settings)?;
    let compared = compared(plan, field);
    let mut out = Additions::default();
    for (split, repeats) in [(Split::Validation, 1), (Split::Test, plan.test_repeats)] {
        let mut members = Members::new(planner.run, Some(split));
        while let Some(page) = members.next(planner.store).await? {
            for candidate in &compared {
                for (member, example) in &page {
                    for repeat in FRESH..FRESH + repeats {
                        let drawn = Drawn {
                            example,
                            id: member.example,
                            repeat,
                        };
                        let of = (&field.target, &field.grader);
                        out.questions.push(question(planner, of, candidate, &drawn));
                    }
                }
            }
        }
    }
    Ok(out)
}
