//! From replies to candidates, and the leak guard.
//!
//! A reply is read (one that lost the question's material is rejected), deduplicated within its target, tested by
//! text rules, and (where the target model gives log-likelihoods) by a probe: the words that a rewrite adds must not
//! by themselves raise the probability of the reference above the 99th percentile of what added words do to
//! references of other questions.

use super::{Additions, Planner, block::Question, order::Place, propose};
use crate::{
    CoordinatorError,
    board::{Board, Pages, Spot, step_key},
    settings::{PROPOSER, TARGET},
};
use domain::{
    call::{Call, Reply},
    candidate::{Arm, Candidate, Verdict},
    example::Reference,
    hash::Hash,
    ids::CandidateId,
    leak,
    prompt::PromptDoc,
    proposal,
    run::{RoundKind, Step},
};
use std::collections::{HashMap, HashSet};
use store::Outcome;

/// How many references of other targets each probe scores beside its own.
const STRANGERS: usize = 4;
/// The repeat that marks the probe without added words.
const BARE: u32 = 1;

/// The round's candidates with their first verdicts, and the probes of those still in question.
pub async fn additions(
    planner: &Planner<'_>,
    board: &Board,
    place: Place,
) -> Result<Additions, CoordinatorError> {
    let replies = replies(planner, place).await?;
    let probing = planner.settings.probe
        && planner
            .facts
            .get(TARGET)
            .is_some_and(|facts| facts.identity.scores);
    let mut out = Additions::default();
    for (at, spot) in board.spots.iter().enumerate() {
        let mut known: HashSet<Hash> = spot
            .candidates
            .iter()
            .map(|c| proposal::fingerprint(words(spot, c)))
            .collect();
        let own = replies
            .get(&spot.target.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for (ordinal, reply) in own {
            let mut candidate = candidate(planner, spot, place, *ordinal);
            candidate.verdict = first_verdict(planner, spot, reply, &mut known, &mut candidate.doc);
            if candidate.verdict == Verdict::Proposed && !probing {
                candidate.verdict = Verdict::Accepted;
            }
            if candidate.verdict == Verdict::Proposed {
                out.questions.extend(probes(board, at, &candidate));
            }
            out.candidates.push(candidate);
        }
    }
    Ok(out)
}

/// The proposer's replies by target, in order.
async fn replies(
    planner: &Planner<'_>,
    place: Place,
) -> Result<HashMap<domain::ids::TargetId, Vec<(u32, String)>>, CoordinatorError> {
    let mut out: HashMap<_, Vec<(u32, String)>> = HashMap::new();
    let mut pages = Pages::new(step_key(
        planner.run,
        Place {
            step: Step::Propose,
            ..place
        },
    ));
    while let Some(page) = pages.next(planner.store).await? {
        for outcome in page.into_iter().filter(|o| o.item.candidate.is_none()) {
            if let Some(Reply::Text { text }) = outcome.reply {
                out.entry(outcome.item.target)
                    .or_default()
                    .push((outcome.item.repeat, text));
            }
        }
    }
    out.values_mut().for_each(|v| v.sort());
    Ok(out)
}

fn candidate(planner: &Planner<'_>, spot: &Spot, place: Place, ordinal: u32) -> Candidate {
    let operator = propose::operator(place);
    let (arm, parents) = match place.kind {
        RoundKind::Placebo => (
            Arm::Placebo,
            spot.original().map(|c| c.id).into_iter().collect(),
        ),
        _ => {
            let seen = spot
                .original()
                .into_iter()
                .chain(spot.accepted(Arm::Search));
            (Arm::Search, seen.map(|c| c.id).collect())
        }
    };
    let name = spot.target.id;
    Candidate {
        id: planner
            .run
            .candidate(&format!("{name}/{}/{ordinal}", place.round)),
        target: spot.target.id,
        round: place.round,
        ordinal,
        arm,
        operator: format!("{}@{}", operator.name(), operator.version()),
        author: PROPOSER.to_owned(),
        parents,
        doc: PromptDoc::default(),
        verdict: Verdict::Proposed,
    }
}

/// Reads a reply into `doc`; says whether it is rejected at sight.
fn first_verdict(
    planner: &Planner<'_>,
    spot: &Spot,
    reply: &str,
    known: &mut HashSet<Hash>,
    doc: &mut PromptDoc,
) -> Verdict {
    let rejected = |reason: String, detail: String| Verdict::Rejected { reason, detail };
    let limits = proposal::Limits::of(&spot.example.input, planner.settings.max_chars);
    let text = match proposal::read(reply, &spot.example.input, &limits) {
        Ok(text) => text,
        Err(refusal) => return rejected(refusal.name().to_owned(), refusal.to_string()),
    };
    *doc = PromptDoc::rewrite(text.clone());
    if !known.insert(proposal::fingerprint(&text)) {
        let detail = "the same words were proposed before".to_owned();
        return rejected("duplicate".to_owned(), detail);
    }
    match leak::text_rules(&case(spot, &text)) {
        Some(found) => rejected(format!("leak_{}", found.rule.name()), found.detail),
        None => Verdict::Proposed,
    }
}

fn case<'a>(spot: &'a Spot, rewrite: &'a str) -> leak::Case<'a> {
    let (right, reference) = match &spot.example.reference {
        Reference::Choice { index } => (Some(*index), None),
        Reference::Text { text } => (None, Some(text.as_str())),
        Reference::Code { .. } | Reference::None => (None, None),
    };
    leak::Case {
        original: &spot.example.input,
        rewrite,
        context: spot.example.context.as_deref(),
        choices: &spot.example.choices,
        right,
        reference,
    }
}

fn words<'a>(spot: &'a Spot, candidate: &'a Candidate) -> &'a str {
    candidate
        .doc
        .question
        .as_deref()
        .unwrap_or(&spot.example.input)
}

/// Two questions: the reference and some strangers after the added words, and after nothing.
fn probes(board: &Board, at: usize, candidate: &Candidate) -> Vec<Question> {
    let spot = &board.spots[at];
    let added = leak::added_words(&spot.example.input, words(spot, candidate));
    let texts = probe_texts(board, at);
    if added.trim().is_empty() || texts.len() < 2 {
        return Vec::new();
    }
    let call = |prefix: String| Call::Loglik {
        messages: Vec::new(),
        prefix,
        continuations: texts.iter().map(|t| format!(" {t}")).collect(),
    };
    let ask = |prefix: String, repeat: u32| Question {
        candidate: Some(candidate.id),
        ..Question::ungraded(&spot.target, TARGET, call(prefix), repeat)
    };
    vec![
        ask(format!("{}\n\nAnswer:", added.trim()), 0),
        ask("Answer:".to_owned(), BARE),
    ]
}

/// The reference, then references of the next targets round the board.
fn probe_texts(board: &Board, at: usize) -> Vec<&str> {
    let Some(own) = board.spots[at].example.reference_text() else {
        return Vec::new();
    };
    let others = board
        .spots
        .iter()
        .cycle()
        .skip(at + 1)
        .take(board.spots.len() - 1);
    let strangers = others
        .filter_map(|s| s.example.reference_text())
        .filter(|t| *t != own)
        .take(STRANGERS);
    [own].into_iter().chain(strangers).collect()
}

/// The verdicts on candidates still in question, from the answers to their probes.
pub async fn verdicts(
    planner: &Planner<'_>,
    board: &Board,
    place: Place,
) -> Result<Vec<(CandidateId, Verdict)>, CoordinatorError> {
    let mut lifts: HashMap<CandidateId, Vec<f64>> = HashMap::new();
    let answers = answers(planner, place).await?;
    for (at, spot) in board.spots.iter().enumerate() {
        let texts = probe_texts(board, at);
        for candidate in in_question(spot, place) {
            let (with, bare) = (
                answers.get(&(candidate.id, 0)),
                answers.get(&(candidate.id, BARE)),
            );
            if let (Some(with), Some(bare)) = (with, bare) {
                let lift = |(i, text): (usize, &&str)| leak::lift(with[i], bare[i], text.len() + 1);
                lifts.insert(candidate.id, texts.iter().enumerate().map(lift).collect());
            }
        }
    }
    let mut strange: Vec<f64> = lifts
        .values()
        .flat_map(|l| l.iter().skip(1).copied())
        .collect();
    strange.sort_by(f64::total_cmp);
    let threshold = leak::threshold(&strange);
    let judge = |c: &Candidate| {
        let lift = lifts.get(&c.id).and_then(|l| l.first().copied());
        match lift.and_then(|l| leak::probe(l, threshold)) {
            Some(found) => Verdict::Rejected {
                reason: format!("leak_{}", found.rule.name()),
                detail: found.detail,
            },
            None => Verdict::Accepted,
        }
    };
    let open = board.spots.iter().flat_map(|s| in_question(s, place));
    Ok(open.map(|c| (c.id, judge(c))).collect())
}

fn in_question(spot: &Spot, place: Place) -> impl Iterator<Item = &Candidate> {
    let open = move |c: &&Candidate| c.round == place.round && c.verdict == Verdict::Proposed;
    spot.candidates.iter().filter(open)
}

/// Log-likelihoods by candidate and probe.
async fn answers(
    planner: &Planner<'_>,
    place: Place,
) -> Result<HashMap<(CandidateId, u32), Vec<f64>>, CoordinatorError> {
    let mut out = HashMap::new();
    let mut pages = Pages::new(step_key(
        planner.run,
        Place {
            step: Step::Guard,
            ..place
        },
    ));
    while let Some(page) = pages.next(planner.store).await? {
        out.extend(page.iter().filter_map(scores));
    }
    Ok(out)
}

fn scores(outcome: &Outcome) -> Option<((CandidateId, u32), Vec<f64>)> {
    match outcome.reply.as_ref()? {
        Reply::Scores { scores } => Some((
            (outcome.item.candidate?, outcome.item.repeat),
            scores.iter().map(|s| s.logprob).collect(),
        )),
        Reply::Text { .. } => None,
    }
}
