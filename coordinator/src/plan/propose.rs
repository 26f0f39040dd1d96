//! What proposers are asked.

use super::{Additions, Planner, block::Question, order::Place, score::value};
use crate::{
    board::{Board, Spot, Trial},
    settings::{PROPOSER, Proposes, REWRITER, Settings},
};
use domain::{
    call::{Call, Message},
    candidate::{Arm, Candidate, Target},
    example::Reference,
    operator::{Operator, ProposeContext, Scored, TaskKind},
    proposal::Limits,
    run::RoundKind,
};
use search::operator::{Draft, Write};

/// The operator of a round.
pub fn operator(place: Place) -> Operator {
    match (place.kind, place.round) {
        (RoundKind::Placebo, _) => Operator::Paraphrase,
        (_, 1) => Operator::Improve,
        _ => Operator::Trajectory,
    }
}

/// Who is asked for what an operator drafts.
pub(super) fn author(operator: search::operator::Operator) -> &'static str {
    match operator {
        search::operator::Operator::Rewriter => REWRITER,
        _ => PROPOSER,
    }
}

/// The names of those operators that have a model to ask.
pub(super) fn usable(settings: &Settings, operators: &[search::operator::Operator]) -> Vec<String> {
    let has_model = |o: &&search::operator::Operator| {
        author(**o) != REWRITER || settings.sampling.contains_key(REWRITER)
    };
    let usable = operators.iter().filter(has_model);
    usable.map(|o| o.name().to_owned()).collect()
}

/// The question of a draft; `None` where it needs none.
pub(super) fn asked(
    planner: &Planner<'_>,
    target: &Target,
    draft: Draft,
    repeat: u32,
) -> Option<Question> {
    let Write::Ask(messages) = draft.write else {
        return None;
    };
    let model = author(draft.operator);
    let call = Call::Generate {
        messages,
        sampling: planner.settings.sampling(model),
    };
    Some(Question::ungraded(target, model, call, repeat))
}

/// How many rewrites a round asks for. The placebo arm gets as many as all search rounds together.
fn wanted(planner: &Planner<'_>, place: Place) -> u32 {
    let settings = planner.settings;
    match place.kind {
        RoundKind::Placebo => settings.rewrites * settings.rounds,
        _ => settings.rewrites,
    }
}

/// Who writes the nth rewrite of a target: the placebo arm is the proposer's alone.
pub fn by(planner: &Planner<'_>, place: Place, nth: u32) -> Proposes {
    match place.kind {
        RoundKind::Placebo => Proposes::Proposer,
        _ => planner.settings.proposes(nth),
    }
}

/// What a rewriter that was trained is asked: it reads what it read in training, the prompt's words.
pub(super) fn bare(original: &str) -> Vec<Message> {
    vec![Message::user(original)]
}

/// One question for each rewrite wanted of each target.
pub fn questions(planner: &Planner<'_>, board: &Board, place: Place) -> Additions {
    let operator = operator(place);
    let mut out = Additions::default();
    for spot in &board.spots {
        let told = Call::Generate {
            messages: messages(planner, board, spot, operator),
            sampling: planner.settings.sampling(PROPOSER),
        };
        let asked = Call::Generate {
            messages: bare(&spot.example.input),
            sampling: planner.settings.sampling(REWRITER),
        };
        for repeat in 0..wanted(planner, place) {
            let (model, call) = match by(planner, place, repeat) {
                Proposes::Proposer => (PROPOSER, &told),
                Proposes::Rewriter => (REWRITER, &asked),
            };
            // In round 2 it is asked what it was asked in round 1: another repeat is another draw.
            let repeat = match model {
                REWRITER => repeat + planner.settings.rewrites * (place.round - 1),
                _ => repeat,
            };
            let question = Question::ungraded(&spot.target, model, call.clone(), repeat);
            out.questions.push(question);
        }
    }
    out
}

fn messages(planner: &Planner<'_>, board: &Board, spot: &Spot, operator: Operator) -> Vec<Message> {
    let seen: Vec<Seen<'_>> = spot
        .original()
        .into_iter()
        .chain(spot.accepted(Arm::Search))
        .map(|c| seen(planner, board, spot, c))
        .collect();
    let trajectory: Vec<Scored<'_>> = seen
        .iter()
        .map(|s| Scored {
            text: s.text,
            score: s.score,
            answer: s.said.as_deref(),
            feedback: s.feedback.as_deref(),
        })
        .collect();
    operator.messages(&ProposeContext {
        original: &spot.example.input,
        kind: kind(spot),
        trajectory: &trajectory,
        max_chars: Limits::of(&spot.example.input, planner.settings.max_chars).max_chars,
    })
}

struct Seen<'a> {
    text: &'a str,
    score: f64,
    said: Option<String>,
    feedback: Option<String>,
}

/// What a grader said of a trial, as an operator may read it: with the reference only where the spec says so, which
/// marks the run.
pub(super) fn feedback(settings: &Settings, spot: &Spot, trial: Option<&Trial>) -> Option<String> {
    let said = trial.map(|t| t.grade.feedback.clone());
    match (settings.show_reference, spot.example.reference_text()) {
        (true, Some(reference)) => {
            let told = format!("The reference answer is: {reference}");
            Some(said.map_or(told.clone(), |f| format!("{f} {told}")))
        }
        _ => said,
    }
}

/// The outcome of a candidate, as an operator may see it.
fn seen<'a>(planner: &Planner<'_>, board: &Board, spot: &'a Spot, c: &'a Candidate) -> Seen<'a> {
    let trials = board.tried(c.id, false);
    let first: Option<&&Trial> = trials.first();
    let feedback = feedback(planner.settings, spot, first.copied());
    Seen {
        text: c.doc.question.as_deref().unwrap_or(&spot.example.input),
        score: 100.0 * value(board, spot, c, false).unwrap_or(f64::NAN),
        said: first.and_then(|t| t.said.clone()),
        feedback,
    }
}

/// What kind of question an operator is told it is.
pub(super) fn kind(spot: &Spot) -> TaskKind {
    match spot.example.reference {
        Reference::Choice { .. } => TaskKind::Choice,
        Reference::Code { .. } => TaskKind::Code,
        Reference::Text { .. } | Reference::None => TaskKind::Open,
    }
}
