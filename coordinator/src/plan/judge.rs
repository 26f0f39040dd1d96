//! The step that follows answers where a judge grades: two calls for each answer and the one that it is compared with.
//!
//! Each call is a question like any other: it has an answer key, is stored, reserved, tried again after an outage, and
//! never bought twice, also where another run meets the same pair of texts. What the two verdicts come to is the answer's
//! grade, which the next step gives (`scores`). Pairs of texts that are the same need no call.

use super::{
    Planner,
    block::{Blocks, Question},
    order::Place,
};
use crate::{
    CoordinatorError,
    board::{Pages, step_key},
    settings::Settings,
};
use domain::{
    call::{Call, Reply},
    candidate::{Arm, Candidate},
    example::Example,
    grade::Grader,
    hash::{Hash, answer_key},
    ids::{CandidateId, TargetId},
    judge::{self, Judgement, Order, Pair, Verdict},
    run::{Item, RoundKind, Step},
};
use std::collections::HashMap;
use store::Outcome;

/// Plans what the judges of a round are asked; does nothing when it was planned before.
pub async fn plan(planner: &Planner<'_>, place: Place, now: i64) -> Result<(), CoordinatorError> {
    let key = step_key(planner.run, place);
    let mut bench = Bench::load(planner, place).await?;
    let Some(mut writer) = planner.store.begin_step(key, place.kind, now).await? else {
        return Ok(());
    };
    let mut blocks = Blocks::new(key, planner.settings.block, planner.facts);
    for step in ANSWERED {
        let mut pages = Pages::new(step_key(planner.run, Place { step, ..place }));
        while let Some(page) = pages.next(planner.store).await? {
            let duels = bench.duels(planner, page).await?;
            let questions = duels.iter().flat_map(|duel| duel.questions(planner));
            blocks
                .add(questions.collect(), planner.store, writer.as_mut())
                .await?;
        }
    }
    blocks.finish(writer.as_mut()).await?;
    Ok(writer.commit().await?)
}

/// The steps of a round that have answers: round 1 notes with its proposals how the originals did.
pub(super) const ANSWERED: [Step; 2] = [Step::Propose, Step::Answer];

/// What the judges of a round said, by the key of the question.
pub(super) async fn verdicts(
    planner: &Planner<'_>,
    place: Place,
) -> Result<HashMap<Hash, Option<Verdict>>, CoordinatorError> {
    let step = Step::Judge;
    let mut pages = Pages::new(step_key(planner.run, Place { step, ..place }));
    let mut out = HashMap::new();
    while let Some(page) = pages.next(planner.store).await? {
        let said = page.into_iter().filter_map(|o| match o.reply {
            Some(Reply::Text { text }) => Some((o.item.key, judge::read(&text))),
            _ => None,
        });
        out.extend(said);
    }
    Ok(out)
}

/// An answer beside the one that it is compared with.
pub(super) struct Duel {
    /// The answer, as it was asked; its ordinal is that of the other step.
    pub(super) item: Item,
    /// The judge.
    pub(super) grader: Grader,
    question: String,
    reference: Option<String>,
    /// What it says.
    pub(super) candidate: String,
    original: String,
}

impl Duel {
    fn pair(&self) -> Pair<'_> {
        Pair {
            question: &self.question,
            reference: self.reference.as_deref(),
            candidate: &self.candidate,
            original: &self.original,
        }
    }

    /// The name of the judge's model, and what it is asked in both orders; `None` where nobody need be asked.
    fn calls(&self, settings: &Settings) -> Option<(&str, [Call; 2])> {
        let Grader::Judge { model, rubric, .. } = &self.grader else {
            return None;
        };
        let pair = self.pair();
        if judge::settled(&pair).is_some() {
            return None;
        }
        let rubric = rubric.as_deref().unwrap_or(judge::RUBRIC);
        let call = |order| Call::Generate {
            messages: judge::messages(&pair, rubric, order),
            sampling: settings.verdict_sampling(model),
        };
        Some((model.as_str(), Order::BOTH.map(call)))
    }

    fn questions(&self, planner: &Planner<'_>) -> Vec<Question> {
        let Some((model, calls)) = self.calls(planner.settings) else {
            return Vec::new();
        };
        let question = |call| Question {
            target: self.item.target,
            candidate: self.item.candidate,
            example: self.item.example,
            repeat: self.item.repeat,
            // The same two texts are judged once, whichever draws they are.
            draw: DRAW,
            model: model.to_owned(),
            grade: None,
            call,
        };
        calls.map(question).into()
    }

    /// What came of it; `None` where a verdict could not be had.
    pub(super) fn judgement(
        &self,
        planner: &Planner<'_>,
        verdicts: &HashMap<Hash, Option<Verdict>>,
    ) -> Option<Judgement> {
        if let Some(settled) = judge::settled(&self.pair()) {
            return Some(settled);
        }
        let (model, calls) = self.calls(planner.settings)?;
        let identity = &planner.facts.get(model)?.identity.key;
        let [first, second] = calls.map(|call| {
            let key = answer_key(identity, &call, DRAW);
            verdicts.get(&key).copied()
        });
        Some(Judgement::Said {
            verdicts: [first?, second?],
        })
    }
}

/// A judge is asked about two texts once.
const DRAW: u32 = 0;

/// Who judges a target's answers, and whose answers they are compared with.
struct Judging {
    grader: Grader,
    original: CandidateId,
}

/// What judging a round's answers takes.
pub(super) struct Bench {
    judges: HashMap<TargetId, Judging>,
    /// What originals answered: by target, example and repeat.
    originals: HashMap<(TargetId, Hash, u32), String>,
    /// The step can be as large as the data: what a page needs is read with it, and let go.
    streams: bool,
}

impl Bench {
    /// Reads the judges, and what they compare with.
    pub(super) async fn load(
        planner: &Planner<'_>,
        place: Place,
    ) -> Result<Self, CoordinatorError> {
        // In a baseline that tries given prompts on all data, the first prompt answers an example before the others do.
        let instruct = planner.settings.instruct.is_some();
        let mut bench = Self {
            judges: judges(planner).await?,
            originals: HashMap::new(),
            streams: place.kind == RoundKind::Baseline && !instruct,
        };
        if bench.streams {
            return Ok(bench);
        }
        for status in planner.store.steps(planner.run).await? {
            let of_data = status.kind == RoundKind::Baseline && !instruct;
            if of_data || !ANSWERED.contains(&status.key.step) {
                continue;
            }
            let mut pages = Pages::new(status.key);
            while let Some(page) = pages.next(planner.store).await? {
                page.iter().for_each(|outcome| bench.note(outcome));
            }
        }
        Ok(bench)
    }

    /// Keeps an original's answer.
    fn note(&mut self, outcome: &Outcome) {
        let item = &outcome.item;
        let judging = self.judges.get(&item.target);
        let is_original = judging.is_some_and(|j| Some(j.original) == item.candidate);
        if let (true, Some(example), Some(Reply::Text { text })) =
            (is_original, item.example, &outcome.reply)
        {
            let key = (item.target, example, item.repeat);
            self.originals.insert(key, text.clone());
        }
    }

    /// The answers of a page that a judge grades. One whose counterpart could not be had is left out: nothing can be said
    /// of it.
    pub(super) async fn duels(
        &mut self,
        planner: &Planner<'_>,
        page: Vec<Outcome>,
    ) -> Result<Vec<Duel>, CoordinatorError> {
        if self.streams {
            page.iter().for_each(|outcome| self.note(outcome));
        }
        let last = page.last().and_then(|o| o.item.example);
        let mut ids: Vec<Hash> = page.iter().filter_map(|o| o.item.example).collect();
        ids.sort_unstable();
        ids.dedup();
        let examples: HashMap<Hash, Example> =
            planner.store.examples(&ids).await?.into_iter().collect();
        let duel = |outcome| self.duel(&examples, outcome);
        let duels = page.into_iter().filter_map(duel).collect();
        if self.streams {
            self.originals
                .retain(|(_, example, _), _| Some(*example) == last);
        }
        Ok(duels)
    }

    fn duel(&self, examples: &HashMap<Hash, Example>, outcome: Outcome) -> Option<Duel> {
        let item = outcome.item;
        item.candidate?;
        let Some(Reply::Text { text }) = outcome.reply else {
            return None;
        };
        let example = examples.get(&item.example?)?;
        let counterpart = (item.target, item.example?, item.repeat);
        Some(Duel {
            grader: self.judges.get(&item.target)?.grader.clone(),
            question: question(example),
            reference: example.reference_text().map(str::to_owned),
            candidate: text,
            original: self.originals.get(&counterpart)?.clone(),
            item,
        })
    }
}

/// The judges of the run's targets. Answers are compared with those of the first prompt that was given.
async fn judges(planner: &Planner<'_>) -> Result<HashMap<TargetId, Judging>, CoordinatorError> {
    let candidates = planner.store.candidates(planner.run).await?;
    let mut originals: HashMap<TargetId, &Candidate> = HashMap::new();
    for c in candidates.iter().filter(|c| c.arm == Arm::Original) {
        let first = originals.entry(c.target).or_insert(c);
        if (c.round, c.ordinal) < (first.round, first.ordinal) {
            *first = c;
        }
    }
    let mut out = HashMap::new();
    for target in planner.store.targets(planner.run).await? {
        let plan = planner.settings.dataset(&target.dataset);
        let Some(grader) = plan.map(|p| &p.grader).filter(|g| g.is_judge()) else {
            continue;
        };
        if let Grader::Judge {
            model, identity, ..
        } = grader
            && identity.is_empty()
        {
            return Err(CoordinatorError::UnknownModel(model.clone()));
        }
        if let Some(original) = originals.get(&target.id) {
            let judging = Judging {
                grader: grader.clone(),
                original: original.id,
            };
            out.insert(target.id, judging);
        }
    }
    Ok(out)
}

/// What an answer must answer, however the candidate put it: the data's own words.
pub(super) fn question(example: &Example) -> String {
    match example.context.as_deref().filter(|c| !c.is_empty()) {
        Some(context) => format!("{}\n\n{context}", example.input),
        None => example.input.clone(),
    }
}
