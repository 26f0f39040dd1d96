//! Trying candidates: the guard's verdicts, then every accepted candidate on its example.

use super::{Additions, Planner, block::Question, guard, order::Place, score};
use crate::{
    CoordinatorError,
    board::{Board, Spot},
};
use domain::{
    candidate::{Candidate, Verdict},
    grade::{GradeInput, Grader},
    prompt::{self, Asking},
};
use std::collections::HashMap;

/// How candidates are tried.
#[derive(Clone, Copy)]
pub struct Draw {
    /// The first repeat.
    pub first: u32,
    /// How many.
    pub repeats: u32,
    /// Mismatched references for `reference_loglik`.
    pub controls: usize,
    /// Replies are sampled at least at this temperature where nothing else varies.
    pub temperature: Option<f64>,
}

impl Draw {
    /// As the baseline was tried.
    pub fn search(planner: &Planner<'_>) -> Self {
        let repeats = planner.settings.repeats;
        Self {
            first: 0,
            repeats,
            controls: score::SEARCH_CONTROLS,
            temperature: None,
        }
    }
}

/// The originals as the baseline tried them: their answers are stored, so nothing is asked again.
pub fn originals(planner: &Planner<'_>, board: &Board) -> Vec<Question> {
    let draw = Draw::search(planner);
    let tries = board.spots.iter().filter_map(|s| Some((s, s.original()?)));
    tries
        .flat_map(|(spot, c)| of(planner, board, spot, c, draw))
        .collect()
}

/// Verdicts on the round's candidates, and the questions that try the accepted ones.
pub async fn additions(
    planner: &Planner<'_>,
    board: &Board,
    place: Place,
) -> Result<Additions, CoordinatorError> {
    let verdicts = guard::verdicts(planner, board, place).await?;
    let decided: HashMap<_, &Verdict> = verdicts.iter().map(|(id, v)| (*id, v)).collect();
    let draw = Draw::search(planner);
    let mut questions = Vec::new();
    for spot in &board.spots {
        for candidate in spot.candidates.iter().filter(|c| c.round == place.round) {
            let verdict = decided
                .get(&candidate.id)
                .copied()
                .unwrap_or(&candidate.verdict);
            if *verdict == Verdict::Accepted {
                questions.extend(of(planner, board, spot, candidate, draw));
            }
        }
    }
    Ok(Additions {
        verdicts,
        questions,
        ..Additions::default()
    })
}

/// How the worker that asks grades the answer; `None` where a reward model or a judge does, afterwards.
pub fn grading(grader: &Grader, input: GradeInput) -> Option<(Grader, GradeInput)> {
    (!grader.compares()).then(|| (grader.clone(), input))
}

/// The questions that try one candidate.
pub fn of(
    planner: &Planner<'_>,
    board: &Board,
    spot: &Spot,
    candidate: &Candidate,
    draw: Draw,
) -> Vec<Question> {
    let mut sampling = planner.settings.sampling(&spot.target.model);
    let varies = !spot.example.choices.is_empty() || sampling.temperature > 0.0;
    if let (Some(temperature), false) = (draw.temperature, varies) {
        sampling.temperature = temperature;
    }
    let (repeats, controls) = match spot.grader {
        // Nothing varies from repeat to repeat but the controls, and those are asked at once.
        Grader::ReferenceLoglik => {
            let dataset = &spot.target.dataset;
            (1, board.pools.pick(dataset, &spot.example, draw.controls))
        }
        _ => (draw.repeats, Vec::new()),
    };
    let one = |repeat| {
        let asking = Asking {
            grader: &spot.grader,
            sampling: &sampling,
            repeat,
            mismatched: &controls,
        };
        let asked = prompt::ask(&candidate.doc, &spot.example, &asking);
        Question {
            target: spot.target.id,
            candidate: Some(candidate.id),
            example: spot.target.example,
            repeat,
            draw: repeat,
            model: spot.target.model.clone(),
            grade: grading(&spot.grader, asked.grade),
            call: asked.call,
        }
    };
    (draw.first..draw.first + repeats).map(one).collect()
}
