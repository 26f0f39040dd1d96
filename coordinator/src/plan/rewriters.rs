//! An evaluation of rewriters: each of them writes one rewrite of every prompt of a part of the data that no search saw;
//! then the target answers the original, the rewrites and a control on the same draws.
//!
//! ```text
//! propose ──► guard ──────────────► answer ─────────────────────────────────► (score)
//! one rewrite  is it a prompt?       the original: draws that say how hard it is
//! each         else the original     all of them: fresh draws, paired
//! ```
//!
//! What a rewriter writes that is no prompt counts as the original: whoever uses it would be given that.

use super::{
    Additions, Planner,
    block::Question,
    guard::{self, Sieve},
    mine,
    order::Place,
    propose::{bare, kind},
    tries::{self, Draw},
};
use crate::{
    CoordinatorError,
    board::{Board, Members, Spot},
    settings::FRESH,
};
use domain::{
    call::{Call, Message},
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    operator::{Operator, ProposeContext},
    prompt::PromptDoc,
    proposal::{self, Limits},
};

/// The author of the control: the words of another person's prompt.
pub const RESAMPLED: &str = "resampled";
/// The operator of a rewriter that was trained: it sees the prompt's words and nothing else.
pub const TRAINED: &str = "rewriter@1";

/// The prompts, with their controls, and what the rewriters are asked.
pub(super) async fn first_round(planner: &Planner<'_>) -> Result<Additions, CoordinatorError> {
    let mut spots = spots(planner).await?;
    if spots.is_empty() {
        return Err(CoordinatorError::NothingToSearch { measured: 0 });
    }
    refuse_seen(planner, &spots)?;
    resample(planner, &mut spots);
    let mut out = Additions::default();
    for spot in spots {
        for (nth, model) in planner.settings.eval.rewriters.iter().enumerate() {
            let call = Call::Generate {
                messages: asked(planner, &spot, model),
                sampling: planner.settings.sampling(model),
            };
            let nth = nth as u32;
            let question = Question::ungraded(&spot.target, model, call, nth);
            out.questions.push(question);
        }
        out.targets.push(spot.target);
        out.candidates.extend(spot.candidates);
    }
    Ok(out)
}

/// What was trained on proves nothing: one such prompt is one too many.
fn refuse_seen(planner: &Planner<'_>, spots: &[Spot]) -> Result<(), CoordinatorError> {
    let seen = &planner.settings.eval.seen;
    let is_seen = |spot: &&Spot| seen.contains(&proposal::fingerprint(&spot.example.input));
    let found: Vec<&Spot> = spots.iter().filter(is_seen).collect();
    match found.first() {
        None => Ok(()),
        Some(first) => Err(CoordinatorError::TrainedOn {
            found: found.len(),
            prompts: spots.len(),
            first: first.example.input.chars().take(80).collect(),
        }),
    }
}

/// Every example of the part of the data, as a target with its unchanged prompt.
async fn spots(planner: &Planner<'_>) -> Result<Vec<Spot>, CoordinatorError> {
    let mut out = Vec::new();
    let mut members = Members::new(planner.run, planner.settings.eval.split);
    while let Some(page) = members.next(planner.store).await? {
        for (member, example) in page {
            if let Some(plan) = planner.settings.dataset(&member.dataset) {
                out.push(mine::spot(planner, plan, member.example, example));
            }
        }
    }
    out.sort_by_key(|s| (s.target.dataset.clone(), s.target.example));
    Ok(out)
}

/// Gives each prompt a control: the words of the next one of its dataset in an order drawn by the run's seed. What a
/// rewriter gains must be more than what a prompt about something else gains.
fn resample(planner: &Planner<'_>, spots: &mut [Spot]) {
    let seed = planner.settings.seed.to_le_bytes();
    let drawn = |spot: &Spot| Hash::of([&b"resampled"[..], &seed[..], &spot.example.id().0[..]]);
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by_key(|&i| (spots[i].target.dataset.clone(), drawn(&spots[i])));
    let of_dataset = |a: &usize, b: &usize| spots[*a].target.dataset == spots[*b].target.dataset;
    let mut words = Vec::new();
    for group in order.chunk_by(of_dataset).filter(|group| group.len() > 1) {
        let next = group.iter().cycle().skip(1);
        words.extend(
            group
                .iter()
                .zip(next)
                .map(|(&at, &other)| (at, spots[other].example.input.clone())),
        );
    }
    for (at, words) in words {
        let doc = PromptDoc::rewrite(words);
        let control = candidate(planner, &spots[at], (Arm::Placebo, 0), RESAMPLED, doc);
        spots[at].candidates.push(control);
    }
}

/// A candidate of an author. Its place among those of its arm is `ordinal`.
fn candidate(
    planner: &Planner<'_>,
    spot: &Spot,
    (arm, ordinal): (Arm, u32),
    author: &str,
    doc: PromptDoc,
) -> Candidate {
    let operator = match planner.settings.is_trained(author) {
        _ if arm == Arm::Placebo => "none".to_owned(),
        true => TRAINED.to_owned(),
        false => guard::written(Operator::Improve),
    };
    Candidate {
        id: planner
            .run
            .candidate(&format!("{}/{author}/{}", spot.target.id, arm.as_str())),
        target: spot.target.id,
        round: 1,
        ordinal,
        arm,
        operator,
        author: author.to_owned(),
        parents: spot.original().map(|c| c.id).into_iter().collect(),
        doc,
        verdict: Verdict::Accepted,
    }
}

/// What a rewriter is asked. One that was trained reads what it read in training, the prompt's words; any other model
/// is told what to do, as a proposer is in the first round, and sees no answer and no grade either.
fn asked(planner: &Planner<'_>, spot: &Spot, model: &str) -> Vec<Message> {
    let original = &spot.example.input;
    if planner.settings.is_trained(model) {
        return bare(original);
    }
    Operator::Improve.messages(&ProposeContext {
        original,
        kind: kind(spot),
        trajectory: &[],
        max_chars: Limits::of(original, planner.settings.max_chars).max_chars,
    })
}

/// From replies to candidates; what is no prompt is rejected with the reason, and counts as the original.
pub(super) async fn candidates(
    planner: &Planner<'_>,
    board: &Board,
    place: Place,
) -> Result<Additions, CoordinatorError> {
    let replies = guard::replies(planner, place).await?;
    let mut out = Additions::default();
    for spot in &board.spots {
        let own = replies.get(&spot.target.id);
        for (nth, model) in planner.settings.eval.rewriters.iter().enumerate() {
            let nth = nth as u32;
            let reply = own.and_then(|own| own.iter().find(|(repeat, _)| *repeat == nth));
            let (doc, verdict) = match reply {
                Some((_, reply)) => judged(planner, spot, model, reply),
                None => (PromptDoc::default(), unwritten()),
            };
            let candidate = candidate(planner, spot, (Arm::Search, nth), model, doc);
            out.candidates.push(Candidate {
                verdict,
                ..candidate
            });
        }
    }
    Ok(out)
}

/// Cut off, empty, or not to be had: whoever uses the rewriter keeps the original.
fn unwritten() -> Verdict {
    Verdict::Rejected {
        reason: "no_reply".to_owned(),
        detail: "the rewriter wrote nothing, or came to no end".to_owned(),
    }
}

/// No rewriter knows what another wrote, so nothing is a duplicate; and what the text rules let pass is tried.
fn judged(planner: &Planner<'_>, spot: &Spot, model: &str, reply: &str) -> (PromptDoc, Verdict) {
    let read = guard::read(planner, spot, reply, planner.settings.is_trained(model));
    let read = read.map(PromptDoc::rewrite).map_err(Into::into);
    let mut doc = PromptDoc::default();
    let verdict = match Sieve::default().verdict(spot, read, &mut doc) {
        Verdict::Proposed => Verdict::Accepted,
        decided => decided,
    };
    (doc, verdict)
}

/// The draws: of the originals those that say how hard they are, and of everything fresh ones.
pub(super) fn questions(planner: &Planner<'_>, board: &Board) -> Additions {
    let settings = planner.settings;
    let fresh = Draw {
        first: FRESH,
        repeats: settings.repeats,
        controls: settings.controls,
        temperature: Some(settings.confirm_temperature),
    };
    let before = Draw { first: 0, ..fresh };
    let mut out = Additions::default();
    for spot in &board.spots {
        if let Some(original) = spot.original() {
            let questions = tries::of(planner, board, spot, original, before);
            out.questions.extend(questions);
        }
        let tried = spot
            .candidates
            .iter()
            .filter(|c| c.verdict == Verdict::Accepted);
        for candidate in tried {
            out.questions
                .extend(tries::of(planner, board, spot, candidate, fresh));
        }
    }
    out
}
