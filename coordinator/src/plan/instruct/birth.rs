//! New prompts: drafts of operators, what the proposer wrote, and the guards.

use super::{field::Field, living::Bearing};
use crate::{
    CoordinatorError,
    plan::{Additions, Planner, guard::replies, order::Place, propose},
    settings::{InstructPlan, Settings},
};
use domain::{
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    prompt::PromptDoc,
};
use search::{
    bandit::Arms,
    guard::judge,
    operator::{self, Draft, Operator, Write},
    pool::Pool,
    refused::Refused,
};
use std::collections::HashMap;

/// Who is said to have written a prompt that no model wrote.
const SEARCH: &str = "search";
/// How often another operator, parent or draw is tried where a draft comes to nothing.
const TRIES: u32 = 16;

/// The proposer's questions of a round.
pub(super) fn questions(planner: &Planner<'_>, field: &Field, place: Place) -> Additions {
    let mut out = Additions::default();
    for (nth, draft) in drafts(planner.settings, field, place.round) {
        let repeat = repeat(planner.settings, place.round, nth);
        let question = propose::asked(planner, &field.target, draft, repeat);
        out.questions.extend(question);
    }
    out
}

/// The round's candidates with their verdicts.
pub(super) async fn candidates(
    planner: &Planner<'_>,
    field: &Field,
    place: Place,
) -> Result<Additions, CoordinatorError> {
    let replies = replies(planner, place).await?;
    let written: HashMap<u32, &String> = replies
        .get(&field.target.id)
        .into_iter()
        .flatten()
        .map(|(repeat, text)| (*repeat, text))
        .collect();
    let mut out = Additions::default();
    let mut pool = field.pool.clone();
    for (nth, draft) in drafts(planner.settings, field, place.round) {
        let reply = written.get(&repeat(planner.settings, place.round, nth));
        let read = read(&draft, reply.copied(), &field.pool);
        let judged = read.and_then(|doc| judge(&doc, &pool).map(|()| doc));
        let candidate = candidate(planner, field, place, (nth, &draft), judged);
        if candidate.verdict == Verdict::Accepted {
            // The next of this round may not be the same again.
            pool.members.push(search::pool::Member {
                doc: candidate.doc.clone(),
                round: place.round,
                ..Default::default()
            });
        }
        out.candidates.push(candidate);
    }
    Ok(out)
}

/// The prompt in a draft or in the reply to it.
fn read(draft: &Draft, reply: Option<&String>, pool: &Pool) -> Result<PromptDoc, Refused> {
    match &draft.write {
        Write::Made(doc) => Ok(with_mutation(doc.clone(), draft.mutation.clone())),
        Write::Ask(_) => {
            let reply = reply.ok_or(Refused::NoReply {
                operator: draft.operator.name(),
            })?;
            operator::read(draft, reply, pool)
        }
    }
}

fn with_mutation(doc: PromptDoc, mutation: Option<String>) -> PromptDoc {
    PromptDoc { mutation, ..doc }
}

fn candidate(
    planner: &Planner<'_>,
    field: &Field,
    place: Place,
    (nth, draft): (u32, &Draft),
    judged: Result<PromptDoc, Refused>,
) -> Candidate {
    let id = field.target.id;
    let parents = draft.parents.iter();
    let (doc, verdict) = match judged {
        Ok(doc) => (doc, Verdict::Accepted),
        Err(refused) => (
            PromptDoc::default(),
            Verdict::Rejected {
                reason: refused.name().to_owned(),
                detail: refused.to_string(),
            },
        ),
    };
    Candidate {
        id: planner
            .run
            .candidate(&format!("{id}/{}/{nth}", place.round)),
        target: id,
        round: place.round,
        ordinal: nth,
        arm: Arm::Search,
        operator: format!("{}@{}", draft.operator.name(), draft.operator.version()),
        author: match &draft.write {
            Write::Made(_) => SEARCH,
            Write::Ask(_) => propose::author(draft.operator),
        }
        .to_owned(),
        parents: parents
            .filter_map(|&p| Some(field.candidates.get(p)?.id))
            .collect(),
        doc,
        verdict,
    }
}

/// The repeat under which a draft is asked for: another one in each round, so that equal words are another draw.
fn repeat(settings: &Settings, round: u32, nth: u32) -> u32 {
    let in_round = settings.instruct.as_ref().map_or(1, |plan| plan.candidates);
    round.saturating_sub(1) * in_round + nth
}

/// What the round's new prompts are to be: a function of what was tried before it, and of the seed.
fn drafts(settings: &Settings, field: &Field, round: u32) -> Vec<(u32, Draft)> {
    let Some(plan) = &settings.instruct else {
        return Vec::new();
    };
    if round > plan.bearing {
        return Vec::new();
    }
    let arms = learned(plan, settings, &field.pool);
    let bearing = Bearing::of(plan, field, (settings.seed, round));
    let mut out: Vec<(u32, Draft)> = Vec::new();
    for nth in 0..plan.candidates {
        let one = |attempt: u32| {
            let seed = seed(settings.seed, round, nth, attempt);
            let operator = Operator::from_name(arms.pick(seed))?;
            let draft = operator::draft(operator, &field.pool, bearing.parent(nth, seed), seed)?;
            usable(&draft, &field.pool, &out).then_some(draft)
        };
        if let Some(draft) = (0..TRIES).find_map(one) {
            out.push((nth, draft));
        }
    }
    out
}

/// What needs no reply is known to pass the guards, and to be no twin of another of the round.
fn usable(draft: &Draft, pool: &Pool, others: &[(u32, Draft)]) -> bool {
    let Write::Made(doc) = &draft.write else {
        return true;
    };
    let twin = |(_, other): &(u32, Draft)| matches!(&other.write, Write::Made(made) if made.fingerprint() == doc.fingerprint());
    !others.iter().any(twin) && judge(doc, pool).is_ok()
}

/// How often each operator is drawn: as the spec fixes it, or as learnt from what its prompts achieved.
pub fn learned(plan: &InstructPlan, settings: &Settings, pool: &Pool) -> Arms {
    let named: Vec<Operator> = match plan.operators.is_empty() {
        true => Operator::DEFAULT.to_vec(),
        false => plan
            .operators
            .iter()
            .filter_map(|name| Operator::from_name(name))
            .collect(),
    };
    let names = propose::usable(settings, &named);
    match plan.weights.is_empty() {
        true => Arms::learned(&names, pool),
        false => Arms::fixed(&names, &plan.weights),
    }
}

fn seed(run: u64, round: u32, nth: u32, attempt: u32) -> u64 {
    let numbers = [run, u64::from(round), u64::from(nth), u64::from(attempt)];
    Hash::of(numbers.map(u64::to_le_bytes)).seed()
}
