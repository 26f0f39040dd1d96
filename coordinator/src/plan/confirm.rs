//! Once more, on fresh draws: originals, winners, and the placebo arm's winners.

use super::{
    Additions, Planner,
    score::selected,
    tries::{self, Draw},
};
use crate::{board::Board, settings::FRESH};
use domain::candidate::Arm;

/// The questions of the confirmation.
pub fn questions(planner: &Planner<'_>, board: &Board) -> Additions {
    let settings = planner.settings;
    let draw = Draw {
        first: FRESH,
        repeats: settings.confirm_repeats,
        controls: settings.controls,
        temperature: Some(settings.confirm_temperature),
    };
    let mut out = Additions::default();
    for spot in &board.spots {
        let winner = selected(board, spot, Arm::Search, settings.rounds);
        let placebo = selected(board, spot, Arm::Placebo, u32::MAX);
        for candidate in spot.original().into_iter().chain(winner).chain(placebo) {
            out.questions
                .extend(tries::of(planner, board, spot, candidate, draw));
        }
    }
    out
}
