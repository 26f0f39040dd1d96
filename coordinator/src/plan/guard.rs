//! From replies to candidates, and the leak guard.
//!
//! A reply is read (one that lost the question's material is rejected), deduplicated within its target, tested by text
//! rules (and, where operators are drawn, for being a near-copy), and, where the target model gives log-likelihoods, by the
//! [`probe`]: the words that a rewrite adds must not raise the probability of the reference above the 99th percentile of
//! what added words do to references of other questions.

use super::{
    Additions, Planner,
    block::Question,
    drawn::{self, Drafted, words},
    order::Place,
    probe, propose,
    rewriters::TRAINED,
};
use crate::{
    CoordinatorError,
    board::{Board, Pages, Spot, step_key},
    settings::{PROPOSER, Proposes, REWRITER, TARGET},
};
use domain::{
    call::Reply,
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    ids::CandidateId,
    leak,
    operator::Operator,
    prompt::PromptDoc,
    proposal::{self, Refusal},
    run::{RoundKind, Step},
};
use search::{
    operator::{self, Draft},
    refused::Refused,
    similar::{Profile, near_versions},
};
use std::collections::{HashMap, HashSet};
use store::Outcome;

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
    let drafted = match drawn::plan(planner.settings, place.kind) {
        Some(plan) => Some(drawn::drafted(planner, plan, board, place).await?),
        None => None,
    };
    let mut out = Additions::default();
    for (at, spot) in board.spots.iter().enumerate() {
        let mut sieve = Sieve::of(planner, spot, place);
        let own = replies
            .get(&spot.target.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let written = match drafted.as_ref().and_then(|of| of.get(at)) {
            Some(drafted) => of_drafts(planner, spot, place, drafted, own),
            None => of_replies(planner, spot, place, own),
        };
        for (mut candidate, read) in written {
            candidate.verdict = sieve.verdict(spot, read, &mut candidate.doc);
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

/// A candidate without its words, and the document that was read for it or why there is none.
type Written = (Candidate, Result<PromptDoc, Unread>);

/// Why nothing was read: one word, and a sentence.
pub(super) struct Unread(&'static str, String);

impl From<Refusal> for Unread {
    fn from(why: Refusal) -> Self {
        Self(why.name(), why.to_string())
    }
}

impl From<Refused> for Unread {
    fn from(why: Refused) -> Self {
        Self(why.name(), why.to_string())
    }
}

/// What proposer and rewriter wrote in turn.
fn of_replies(
    planner: &Planner<'_>,
    spot: &Spot,
    place: Place,
    replies: &[(u32, String)],
) -> Vec<Written> {
    let one = |(ordinal, reply): &(u32, String)| {
        let candidate = candidate(planner, spot, place, *ordinal);
        let read = read(planner, spot, reply, candidate.author == REWRITER);
        let read = read.map(PromptDoc::rewrite).map_err(Unread::from);
        (candidate, read)
    };
    replies.iter().map(one).collect()
}

/// What came of the drafts of operators; one that no usable reply came to among them, so that it counts against its
/// operator.
fn of_drafts(
    planner: &Planner<'_>,
    spot: &Spot,
    place: Place,
    drafted: &Drafted,
    replies: &[(u32, String)],
) -> Vec<Written> {
    let one = |(nth, draft): &(u32, Draft)| {
        let repeat = drawn::repeat(planner.settings, place.round, *nth);
        let reply = replies.iter().find(|(of, _)| *of == repeat);
        let operator = draft.operator.name();
        let read = reply
            .ok_or(Refused::NoReply { operator })
            .and_then(|(_, reply)| operator::read(draft, reply, &drafted.pool));
        let parents = draft.parents.iter();
        let parents = parents.filter_map(|p| Some(drafted.versions.get(*p)?.id));
        let candidate = Candidate {
            operator: format!("{operator}@{}", draft.operator.version()),
            author: propose::author(draft.operator).to_owned(),
            parents: parents.collect(),
            ..candidate(planner, spot, place, *nth)
        };
        (candidate, read.map_err(Unread::from))
    };
    drafted.drafts.iter().map(one).collect()
}

/// What is known of a target, so that nothing is tried twice.
#[derive(Default)]
pub(super) struct Sieve {
    /// Of all candidates.
    known: HashSet<Hash>,
    /// Where near-copies are refused: those of the same arm, and the original.
    near: Option<Vec<Profile>>,
}

impl Sieve {
    /// Of a target before a round. Near-copies are refused where operators are drawn; in both arms, so that the placebo
    /// stays a fair one.
    fn of(planner: &Planner<'_>, spot: &Spot, place: Place) -> Self {
        let arm = match place.kind {
            RoundKind::Placebo => Arm::Placebo,
            _ => Arm::Search,
        };
        let near = || {
            let versions = spot.original().into_iter().chain(spot.accepted(arm));
            versions.map(|c| Profile::of(words(spot, c))).collect()
        };
        let all = spot.candidates.iter();
        Self {
            known: all.map(|c| proposal::fingerprint(words(spot, c))).collect(),
            near: planner.settings.drawn.is_some().then(near),
        }
    }

    /// Puts what was read into `doc`; says whether it is rejected at sight.
    pub(super) fn verdict(
        &mut self,
        spot: &Spot,
        read: Result<PromptDoc, Unread>,
        doc: &mut PromptDoc,
    ) -> Verdict {
        let rejected = |reason: &str, detail: String| Verdict::Rejected {
            reason: reason.to_owned(),
            detail,
        };
        match read {
            Ok(read) => *doc = read,
            Err(Unread(reason, detail)) => return rejected(reason, detail),
        }
        let text = doc.question.as_deref().unwrap_or_default();
        if !self.known.insert(proposal::fingerprint(text)) {
            let detail = "the same words were proposed before".to_owned();
            return rejected("duplicate", detail);
        }
        if let Some(found) = leak::text_rules(&leak::Case::of(&spot.example, text)) {
            return rejected(&format!("leak_{}", found.rule.name()), found.detail);
        }
        match self.is_new(text) {
            true => Verdict::Proposed,
            false => {
                let detail = "no more than three words differ from a version that is known";
                rejected("near_copy", detail.to_owned())
            }
        }
    }

    /// Whether a text is no near-copy; it is known from then on.
    fn is_new(&mut self, text: &str) -> bool {
        let Some(near) = &mut self.near else {
            return true;
        };
        let profile = Profile::of(text);
        let is_new = !near.iter().any(|known| near_versions(known, &profile));
        if is_new {
            near.push(profile);
        }
        is_new
    }
}

/// The proposer's replies by target, in order.
pub(super) async fn replies(
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
    let (operator, author) = match by(planner, place, ordinal) {
        Proposes::Proposer => (written(propose::operator(place)), PROPOSER),
        Proposes::Rewriter => (TRAINED.to_owned(), REWRITER),
    };
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
        operator,
        author: author.to_owned(),
        parents,
        doc: PromptDoc::default(),
        verdict: Verdict::Proposed,
    }
}

/// The rewrite in a reply. All that a rewriter says that was trained is the rewrite.
pub(super) fn read(
    planner: &Planner<'_>,
    spot: &Spot,
    reply: &str,
    trained: bool,
) -> Result<String, Refusal> {
    let original = &spot.example.input;
    let limits = proposal::Limits::of(original, planner.settings.max_chars);
    match trained {
        true => proposal::read_bare(reply, original, &limits),
        false => proposal::read(reply, original, &limits),
    }
}

/// Who wrote the reply of this ordinal.
fn by(planner: &Planner<'_>, place: Place, ordinal: u32) -> Proposes {
    propose::by(planner, place, ordinal % planner.settings.rewrites.max(1))
}

/// An operator as candidates name it: with its version.
pub(super) fn written(operator: Operator) -> String {
    format!("{}@{}", operator.name(), operator.version())
}

/// The probe's two calls as questions.
fn probes(board: &Board, at: usize, candidate: &Candidate) -> Vec<Question> {
    let spot = &board.spots[at];
    let calls = probe::calls(
        &spot.example,
        words(spot, candidate),
        &probe_texts(board, at),
    );
    let Some([with_added, bare]) = calls else {
        return Vec::new();
    };
    let ask = |call, repeat| Question {
        candidate: Some(candidate.id),
        ..Question::ungraded(&spot.target, TARGET, call, repeat)
    };
    vec![ask(with_added, 0), ask(bare, BARE)]
}

fn probe_texts(board: &Board, at: usize) -> Vec<&str> {
    probe::texts(board.spots.iter().map(|s| &s.example), at)
}

/// The verdicts on candidates still in question, from the answers to their probes.
pub async fn verdicts(
    planner: &Planner<'_>,
    board: &Board,
    place: Place,
) -> Result<Vec<(CandidateId, Verdict)>, CoordinatorError> {
    let answers = answers(planner, place).await?;
    let (mut open, mut round) = (Vec::new(), Vec::new());
    for (at, spot) in board.spots.iter().enumerate() {
        let texts = probe_texts(board, at);
        for candidate in in_question(spot, place) {
            let with_added = answers.get(&(candidate.id, 0));
            let lifts = with_added.zip(answers.get(&(candidate.id, BARE)));
            let lifts = lifts.map(|(with, bare)| probe::lifts(&texts, with, bare));
            open.push(candidate.id);
            round.push(lifts.unwrap_or_default());
        }
    }
    let verdict = |found: Option<leak::Leak>| match found {
        Some(found) => Verdict::Rejected {
            reason: format!("leak_{}", found.rule.name()),
            detail: found.detail,
        },
        None => Verdict::Accepted,
    };
    let verdicts = probe::judge(&round).into_iter().map(verdict);
    Ok(open.into_iter().zip(verdicts).collect())
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
