//! The search for one instruction: `instruct` mode.
//!
//! ```text
//! baseline   start prompts on the first blocks of train examples
//! round      propose: operators draft prompts from what was tried, the proposer writes those that need words
//!            guard:   drafts and replies become candidates, or are rejected
//!            answer:  the round's share of the calls, given to those who may still win
//! confirm    the chosen prompt and the start prompt on validation and on the sealed test examples
//! ```
//!
//! What is drafted, dropped, tried and chosen is decided by pure functions of crate `search`. This module reads what they
//! look at from the store ([`field`]) and turns what they say into candidates and questions. All candidates are tried on
//! the same examples where they are asked together, so that comparisons are paired.

mod birth;
pub mod field;
mod last;
mod living;
mod tries;

pub use birth::learned;
pub use last::chosen;
pub use living::alive;

use super::{Additions, Planner, order::Place};
use crate::CoordinatorError;
use domain::run::{RoundKind, Step};
use field::{History, Until};

/// What a step of a search for one instruction adds.
pub(super) async fn additions(
    planner: &Planner<'_>,
    place: Place,
) -> Result<Additions, CoordinatorError> {
    let until = match place.step {
        Step::Answer => Until::tried(place.round),
        _ => Until::before(place.round),
    };
    if (place.kind, place.round) == (RoundKind::Baseline, 0) {
        return tries::baseline(planner).await;
    }
    let history = History::load(planner.store, planner.run, planner.settings).await?;
    let field = history.until(until);
    match (place.kind, place.step) {
        (RoundKind::Confirm, _) => last::questions(planner, &field).await,
        (_, Step::Propose) => Ok(birth::questions(planner, &field, place)),
        (_, Step::Guard) => birth::candidates(planner, &field, place).await,
        _ => Ok(tries::questions(planner, &field, place)),
    }
}
