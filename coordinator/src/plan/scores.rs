//! The step that follows answers where a reward model or a judge grades: one item for each answer that is not graded yet.
//! A reward model reads the answer now; what a judge said is stored (`judge`), and the task brings it.
//!
//! The answers are rows by now, so a kill between the two steps loses nothing, an answer that was scored in an earlier
//! run is not scored again, and answers can be scored anew by another model without asking for them. The step can be as
//! large as the data: it is planned page by page.

use super::{
    Planner,
    block::{BLOCK_BYTES, asked_as, named, write_satisfied},
    judge::{self, ANSWERED, Bench, question},
    order::Place,
    seen::Seen,
};
use crate::{
    CoordinatorError,
    board::{Pages, step_key},
};
use domain::{
    call::Reply,
    example::Example,
    grade::Grader,
    hash::Hash,
    ids::TargetId,
    judge::Judgement,
    run::{Item, Spend, StepKey},
};
use std::collections::HashMap;
use store::{KeyQuery, NewTask, Outcome, StepWriter};
use wire::{Body, BodyItem, ScoreBody, ScoreItem, Work};

/// Plans the scores of a round's answers; does nothing when they were planned before.
pub async fn plan(planner: &Planner<'_>, place: Place, now: i64) -> Result<(), CoordinatorError> {
    let key = step_key(planner.run, place);
    let graders = graders(planner).await?;
    let mut bench = match planner.settings.judged() {
        true => Some((
            Bench::load(planner, place).await?,
            judge::verdicts(planner, place).await?,
        )),
        false => None,
    };
    let Some(mut writer) = planner.store.begin_step(key, place.kind, now).await? else {
        return Ok(());
    };
    let mut blocks = Blocks {
        planner,
        step: key,
        next_item: 0,
        next_task: 0,
        asked: Seen::default(),
        filling: Vec::new(),
    };
    for step in ANSWERED {
        let mut pages = Pages::new(step_key(planner.run, Place { step, ..place }));
        while let Some(page) = pages.next(planner.store).await? {
            let mut answers = rewarded(planner, &graders, &page).await?;
            if let Some((bench, verdicts)) = &mut bench {
                let duels = bench.duels(planner, page).await?;
                let judged = |duel: judge::Duel| {
                    let judgement = duel.judgement(planner, verdicts)?;
                    Some(Answer {
                        bytes: duel.candidate.len(),
                        grader: duel.grader,
                        item: duel.item,
                        graded_by: By::Judge(judgement),
                    })
                };
                answers.extend(duels.into_iter().filter_map(judged));
            }
            blocks.add(answers, writer.as_mut()).await?;
        }
    }
    blocks.finish(writer.as_mut()).await?;
    Ok(writer.commit().await?)
}

/// The targets whose answers a reward model grades.
async fn graders(planner: &Planner<'_>) -> Result<HashMap<TargetId, Grader>, CoordinatorError> {
    let mut out = HashMap::new();
    for target in planner.store.targets(planner.run).await? {
        let plan = planner.settings.dataset(&target.dataset);
        let Some(grader) = plan.map(|p| &p.grader).filter(|g| g.is_reward()) else {
            continue;
        };
        if let Grader::Reward { model, identity } = grader
            && identity.is_empty()
        {
            return Err(CoordinatorError::UnknownModel(model.clone()));
        }
        out.insert(target.id, grader.clone());
    }
    Ok(out)
}

/// An answer to be graded.
struct Answer {
    grader: Grader,
    /// As it was asked; its ordinal is that of the other step.
    item: Item,
    graded_by: By,
    /// How long it is, bytes.
    bytes: usize,
}

/// What a grade is made from, beside the answer.
enum By {
    /// The question that a reward model reads it with.
    Reward(String),
    /// What a judge said of it.
    Judge(Judgement),
}

/// What a reward model has to score on a page of a step.
async fn rewarded(
    planner: &Planner<'_>,
    graders: &HashMap<TargetId, Grader>,
    page: &[Outcome],
) -> Result<Vec<Answer>, CoordinatorError> {
    let wanted = |o: &&Outcome| {
        let text = matches!(o.reply, Some(Reply::Text { .. }));
        text && o.item.candidate.is_some() && graders.contains_key(&o.item.target)
    };
    let page: Vec<&Outcome> = page.iter().filter(wanted).collect();
    let mut ids: Vec<Hash> = page.iter().filter_map(|o| o.item.example).collect();
    ids.sort_unstable();
    ids.dedup();
    let examples: HashMap<Hash, Example> =
        planner.store.examples(&ids).await?.into_iter().collect();
    let answer = |outcome: &Outcome| {
        let Some(Reply::Text { text }) = &outcome.reply else {
            return None;
        };
        let question = question(examples.get(&outcome.item.example?)?);
        Some(Answer {
            grader: graders.get(&outcome.item.target)?.clone(),
            bytes: question.len() + text.len(),
            graded_by: By::Reward(question),
            item: outcome.item.clone(),
        })
    };
    Ok(page.into_iter().filter_map(answer).collect())
}

/// Turns answers into items and tasks, in the order they come.
struct Blocks<'a> {
    planner: &'a Planner<'a>,
    step: StepKey,
    next_item: u32,
    next_task: u32,
    asked: Seen,
    filling: Vec<Filling>,
}

/// A block that is not full yet.
struct Filling {
    grader: Grader,
    items: Vec<(Item, By)>,
    bytes: usize,
}

impl Blocks<'_> {
    /// Those already scored in the store, and those that this step scores already, need no task.
    async fn add(
        &mut self,
        answers: Vec<Answer>,
        writer: &mut dyn StepWriter,
    ) -> Result<(), CoordinatorError> {
        let (mut full, mut satisfied) = (Vec::new(), Vec::new());
        for (stored, mut answer) in self.stored(answers).await? {
            answer.item.ordinal = self.next_item;
            self.next_item += 1;
            let asked = asked_as(answer.item.key, answer.item.example);
            if stored || !self.asked.insert(asked)? {
                satisfied.push((answer.item, Some(answer.grader)));
            } else {
                full.extend(self.fill(answer));
            }
        }
        write_satisfied(writer, satisfied).await?;
        Ok(writer.tasks(&full).await?)
    }

    async fn stored(&self, answers: Vec<Answer>) -> Result<Vec<(bool, Answer)>, CoordinatorError> {
        let mut out = Vec::with_capacity(answers.len());
        let mut rest = answers;
        while let Some(grader) = rest.first().map(|a| a.grader.clone()) {
            let alike = rest.iter().take_while(|a| a.grader == grader).count();
            let later = rest.split_off(alike);
            let query = |a: &Answer| KeyQuery {
                key: a.item.key,
                example: a.item.example,
            };
            let queries: Vec<KeyQuery> = rest.iter().map(query).collect();
            let grader = named(&grader);
            let found = self.planner.store.stored(&queries, Some(&grader)).await?;
            out.extend(found.into_iter().zip(rest));
            rest = later;
        }
        Ok(out)
    }

    fn fill(&mut self, answer: Answer) -> Option<NewTask> {
        let same = |f: &Filling| f.grader == answer.grader;
        let at = self.filling.iter().position(same).unwrap_or_else(|| {
            self.filling.push(Filling {
                grader: answer.grader.clone(),
                items: Vec::new(),
                bytes: 0,
            });
            self.filling.len() - 1
        });
        let block = &mut self.filling[at];
        block.bytes += answer.bytes;
        block.items.push((answer.item, answer.graded_by));
        let full =
            block.items.len() >= self.planner.settings.block.max(1) || block.bytes >= BLOCK_BYTES;
        full.then(|| {
            let block = self.filling.remove(at);
            self.close(block)
        })
    }

    async fn finish(mut self, writer: &mut dyn StepWriter) -> Result<(), CoordinatorError> {
        let filling = std::mem::take(&mut self.filling);
        let rest: Vec<NewTask> = filling.into_iter().map(|f| self.close(f)).collect();
        Ok(writer.tasks(&rest).await?)
    }

    fn close(&mut self, block: Filling) -> NewTask {
        let place = format!("{}/{}/{}", self.step.round, self.step.step, self.next_task);
        self.next_task += 1;
        let grader = Some(named(&block.grader));
        let body = self.body(&block);
        NewTask {
            id: self.step.run.task(&place),
            body,
            items: block.items.into_iter().map(|(item, _)| item).collect(),
            // A reward model is our own, and a judge has said what it has to say: nobody charges for it, and no limit of
            // calls is meant for it.
            worst: Spend::default(),
            grader,
        }
    }

    /// The message: to the reward model, or to any worker that has the judge's model.
    fn body(&self, block: &Filling) -> String {
        let run = self.step.run;
        let body = match &block.grader {
            Grader::Judge { model, .. } => {
                let item = |(item, by): &(Item, By)| match by {
                    By::Judge(judgement) => Some(BodyItem::judged(item.key, *judgement)),
                    By::Reward(_) => None,
                };
                let facts = self.planner.facts.get(model);
                serde_json::to_string(&Body {
                    run,
                    model: model.clone(),
                    identity: facts.map(|f| f.identity.key.clone()).unwrap_or_default(),
                    grader: None,
                    items: block.items.iter().filter_map(item).collect(),
                })
            }
            grader => {
                let (model, identity) = match grader {
                    Grader::Reward { model, identity } => (model.clone(), identity.clone()),
                    _ => Default::default(),
                };
                let item = |(item, by): &(Item, By)| match by {
                    By::Reward(question) => Some(ScoreItem {
                        key: item.key,
                        question: question.clone(),
                    }),
                    By::Judge(_) => None,
                };
                serde_json::to_string(&ScoreBody {
                    work: Work::Score,
                    run,
                    model,
                    identity,
                    items: block.items.iter().filter_map(item).collect(),
                })
            }
        };
        body.unwrap_or_default()
    }
}
