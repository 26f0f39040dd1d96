//! From questions to tasks: keys, look-up of what is stored, blocks.

use super::seen::Seen;
use crate::{CoordinatorError, ModelFacts};
use domain::{
    call::Call,
    candidate::Target,
    grade::{GradeInput, Grader},
    hash::{Hash, answer_key},
    ids::CandidateId,
    run::{Item, Spend, StepKey},
};
use std::collections::HashMap;
use store::{KeyQuery, NewTask, Quota, StepWriter, Store};
use wire::{Body, BodyItem};

/// One question of a step, before it has a key.
pub struct Question {
    /// What it is for.
    pub target: domain::ids::TargetId,
    /// The candidate tried.
    pub candidate: Option<CandidateId>,
    /// The example asked.
    pub example: Option<Hash>,
    /// Which repeat.
    pub repeat: u32,
    /// Which draw of the call: equal calls of one draw have one answer.
    pub draw: u32,
    /// The model asked, by name.
    pub model: String,
    /// How the answer is graded, and with what.
    pub grade: Option<(Grader, GradeInput)>,
    /// The question itself.
    pub call: Call,
}

impl Question {
    /// A question about a target that is not graded.
    pub fn ungraded(target: &Target, model: &str, call: Call, repeat: u32) -> Self {
        Self {
            target: target.id,
            candidate: None,
            example: target.example,
            repeat,
            draw: repeat,
            model: model.to_owned(),
            grade: None,
            call,
        }
    }
}

/// A block that is not full yet.
struct Filling {
    model: String,
    grader: Option<Grader>,
    items: Vec<(Item, BodyItem)>,
    /// About how large its message becomes.
    bytes: usize,
    worst: Spend,
}

impl Filling {
    /// A limited model gets smaller blocks.
    fn is_full(&self, size: usize, quota: Option<Quota>) -> bool {
        let questions = self.items.len() as u64;
        let reached = |most: Option<u64>, n: u64| most.is_some_and(|most| n >= most);
        self.items.len() >= size
            || self.bytes >= BLOCK_BYTES
            || reached(quota.and_then(|q| q.block()), questions)
            || reached(quota.and_then(|q| q.block_tokens()), self.worst.tokens)
    }
}

/// A block that is about this large is full, whatever its size: a queue takes messages up to a limit.
pub const BLOCK_BYTES: usize = 128 * 1024;

/// Turns questions into items and tasks, in the order they come: the same questions give the same tasks.
pub struct Blocks<'a> {
    step: StepKey,
    size: usize,
    facts: &'a HashMap<String, ModelFacts>,
    next_item: u32,
    next_task: u32,
    asked: Seen,
    filling: Vec<Filling>,
}

impl<'a> Blocks<'a> {
    /// No questions yet.
    pub fn new(step: StepKey, size: usize, facts: &'a HashMap<String, ModelFacts>) -> Self {
        Self {
            step,
            size: size.max(1),
            facts,
            next_item: 0,
            next_task: 0,
            asked: Seen::default(),
            filling: Vec::new(),
        }
    }

    /// Adds questions. Those already answered (and graded) in the store, and those that this step asks
    /// already, need no task.
    ///
    /// # Errors
    /// When the store fails, or a question names a model without facts.
    pub async fn add(
        &mut self,
        questions: Vec<Question>,
        store: &dyn Store,
        writer: &mut dyn StepWriter,
    ) -> Result<(), CoordinatorError> {
        let keyed = self.keyed(questions)?;
        let stored = self.stored(&keyed, store).await?;
        let mut full = Vec::new();
        let mut satisfied: Vec<(Item, Option<Grader>)> = Vec::new();
        for ((question, item), stored) in keyed.into_iter().zip(stored) {
            let fresh = self
                .asked
                .insert(asked_as(item.key, graded_example(&question)))?;
            if stored || !fresh {
                satisfied.push((item, question.grade.map(|(grader, _)| grader)));
            } else {
                full.extend(self.fill(question, item)?);
            }
        }
        write_satisfied(writer, satisfied).await?;
        Ok(writer.tasks(&full).await?)
    }

    /// Writes the blocks that are not full.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(mut self, writer: &mut dyn StepWriter) -> Result<(), CoordinatorError> {
        let filling = std::mem::take(&mut self.filling);
        let rest: Vec<NewTask> = filling.into_iter().map(|f| self.close(f)).collect();
        Ok(writer.tasks(&rest).await?)
    }

    fn keyed(
        &mut self,
        questions: Vec<Question>,
    ) -> Result<Vec<(Question, Item)>, CoordinatorError> {
        let mut out = Vec::with_capacity(questions.len());
        for question in questions {
            let facts = self.facts(&question.model)?;
            let item = Item {
                ordinal: self.next_item,
                target: question.target,
                candidate: question.candidate,
                example: question.example,
                repeat: question.repeat,
                key: answer_key(&facts.identity.key, &question.call, question.draw),
            };
            self.next_item += 1;
            out.push((question, item));
        }
        Ok(out)
    }

    /// Asks the store about all keys, one query for each grader.
    async fn stored(
        &self,
        keyed: &[(Question, Item)],
        store: &dyn Store,
    ) -> Result<Vec<bool>, CoordinatorError> {
        let mut groups: HashMap<Option<(String, String)>, Vec<usize>> = HashMap::new();
        for (i, (question, _)) in keyed.iter().enumerate() {
            groups
                .entry(question.grade.as_ref().map(|g| named(&g.0)))
                .or_default()
                .push(i);
        }
        let mut out = vec![false; keyed.len()];
        for (grader, places) in groups {
            let query = |&i: &usize| KeyQuery {
                key: keyed[i].1.key,
                example: graded_example(&keyed[i].0),
            };
            let queries: Vec<KeyQuery> = places.iter().map(query).collect();
            let found = store.stored(&queries, grader.as_ref()).await?;
            places
                .into_iter()
                .zip(found)
                .for_each(|(i, found)| out[i] = found);
        }
        Ok(out)
    }

    fn fill(&mut self, q: Question, item: Item) -> Result<Option<NewTask>, CoordinatorError> {
        let facts = self.facts(&q.model)?;
        let worst = (facts.worst_case)(&q.call);
        let quota = facts.quota;
        let (grader, grade) = q.grade.unzip();
        let same = |f: &Filling| f.model == q.model && f.grader == grader;
        let at = match self.filling.iter().position(same) {
            Some(at) => at,
            None => {
                self.filling.push(Filling {
                    model: q.model,
                    grader,
                    items: Vec::new(),
                    bytes: 0,
                    worst: Spend::default(),
                });
                self.filling.len() - 1
            }
        };
        let block = &mut self.filling[at];
        let spend = Spend {
            calls: 1,
            tokens: worst.tokens,
            cost_micros: worst.cost_micros,
        };
        block.worst += spend;
        // What is asked stands there once more for the grader.
        block.bytes += 2 * q.call.prompt_bytes();
        block.items.push((
            item.clone(),
            BodyItem {
                key: item.key,
                call: q.call,
                grade,
                judged: None,
            },
        ));
        if !block.is_full(self.size, quota) {
            return Ok(None);
        }
        let full = self.filling.remove(at);
        Ok(Some(self.close(full)))
    }

    fn close(&mut self, block: Filling) -> NewTask {
        let place = format!("{}/{}/{}", self.step.round, self.step.step, self.next_task);
        self.next_task += 1;
        let grader = block.grader.as_ref().map(named);
        let (items, body_items) = block.items.into_iter().unzip();
        let identity = self.facts.get(&block.model).map(|f| f.identity.key.clone());
        let body = Body {
            run: self.step.run,
            model: block.model,
            identity: identity.unwrap_or_default(),
            grader: block.grader,
            items: body_items,
        };
        NewTask {
            id: self.step.run.task(&place),
            body: serde_json::to_string(&body).unwrap_or_default(),
            items,
            worst: block.worst,
            grader,
        }
    }

    fn facts(&self, model: &str) -> Result<&'a ModelFacts, CoordinatorError> {
        self.facts
            .get(model)
            .ok_or_else(|| CoordinatorError::UnknownModel(model.to_owned()))
    }
}

/// A grader's name and version.
type GraderName = (String, String);

/// The name and version under which a grader's grades are stored.
pub fn named(grader: &Grader) -> (String, String) {
    (grader.name().to_owned(), grader.version())
}

/// Key and graded example in one: both are hashes, so their combination meets another no sooner than they do.
pub fn asked_as(key: Hash, example: Option<Hash>) -> Hash {
    let example = example.map_or(0, |e| u128::from_le_bytes(e.0));
    Hash((u128::from_le_bytes(key.0) ^ example.rotate_left(1)).to_le_bytes())
}

fn graded_example(question: &Question) -> Option<Hash> {
    question.grade.as_ref().and(question.example)
}

/// Writes items that need no task, those of one grader together.
pub async fn write_satisfied(
    writer: &mut dyn StepWriter,
    satisfied: Vec<(Item, Option<Grader>)>,
) -> Result<(), CoordinatorError> {
    let mut groups: Vec<(Option<GraderName>, Vec<Item>)> = Vec::new();
    for (item, grader) in satisfied {
        let grader = grader.as_ref().map(named);
        match groups.iter_mut().find(|(g, _)| *g == grader) {
            Some((_, items)) => items.push(item),
            None => groups.push((grader, vec![item])),
        }
    }
    for (grader, items) in groups {
        writer.items(&items, grader.as_ref()).await?;
    }
    Ok(())
}
