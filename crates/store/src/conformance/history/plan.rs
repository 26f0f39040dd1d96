//! What is asked in a step, and how it is planned.

use super::{
    cast::{self, Block},
    stage::{Asked, Done, Stage},
};
use crate::KeyQuery;
use domain::{
    candidate::{Candidate, Target, Verdict},
    hash::Hash,
    ids::CandidateId,
    run::{Item, RoundKind, Step, StepKey},
};
use std::{collections::HashSet, ops::Range};

/// Items in a task.
const BLOCK: usize = 3;

/// Something to be asked.
pub struct Question {
    pub model: String,
    pub grader: Option<(String, String)>,
    pub target: Target,
    pub candidate: Option<CandidateId>,
    pub example: Option<Hash>,
    pub repeat: u32,
    pub key: Hash,
}

/// What a step adds beside its questions.
#[derive(Default)]
pub struct New<'a> {
    pub targets: &'a [Target],
    pub candidates: &'a [Candidate],
    pub verdicts: &'a [(CandidateId, Verdict)],
}

/// An item without a task.
type Free = (Option<(String, String)>, Item);

impl Stage<'_> {
    pub fn draws(
        &self,
        target: &Target,
        candidate: &Candidate,
        repeats: Range<u32>,
    ) -> Vec<Question> {
        let input = &self.example(target).input;
        let words = candidate.doc.question.as_ref().unwrap_or(input);
        repeats
            .map(|repeat| self.question(target, Some(candidate), repeat, words))
            .collect()
    }

    /// The key hashes what is asked, so that two runs that ask the same share the answer.
    pub fn question(
        &self,
        target: &Target,
        candidate: Option<&Candidate>,
        repeat: u32,
        words: &str,
    ) -> Question {
        Question {
            model: target.model.clone(),
            grader: Some(cast::grader(&target.dataset)),
            target: target.clone(),
            candidate: candidate.map(|c| c.id),
            example: target.example,
            repeat,
            key: Hash::of([target.model.as_str(), words, &repeat.to_string()]),
        }
    }

    pub fn proposal(&self, target: &Target, round: u32, n: u32) -> Question {
        Question {
            model: "proposer".to_owned(),
            grader: None,
            example: None,
            ..self.question(target, None, n, &format!("rewrite {} {round}", target.id))
        }
    }

    pub fn probe(&self, targets: &[Target], candidate: &Candidate) -> Question {
        let target = targets.iter().find(|t| t.id == candidate.target);
        let words = format!("probe {}", candidate.id);
        Question {
            grader: None,
            ..self.question(target.unwrap_or(&targets[0]), Some(candidate), 0, &words)
        }
    }

    pub async fn plan(
        &mut self,
        (kind, round, step): (RoundKind, u32, Step),
        new: New<'_>,
        questions: Vec<Question>,
    ) -> Done {
        let key = StepKey {
            run: self.run.id,
            round,
            step,
        };
        let (free, blocks) = self.blocks(questions).await?;
        let writer = self.store.begin_step(key, kind, self.now).await?;
        let mut writer = writer.expect("not planned before");
        writer.targets(new.targets).await?;
        writer.candidates(new.candidates).await?;
        writer.verdicts(new.verdicts).await?;
        for (grader, item) in free {
            writer.items(&[item], grader.as_ref()).await?;
        }
        for (n, block) in blocks.iter().enumerate() {
            let place = format!("{round}/{step}/{n}");
            let task = cast::task(self.run.id, &place, block);
            let (model, items) = (block.model.clone(), block.items.clone());
            let asked = Asked {
                place,
                items,
                model,
            };
            self.asked.insert(task.id, asked);
            writer.tasks(&[task]).await?;
        }
        let made = new.candidates.iter().map(|c| (c.id, c.clone()));
        self.candidates.extend(made);
        writer.commit().await
    }

    /// What needs no task, since it is stored or asked by an equal item, and the rest in blocks.
    async fn blocks(&self, questions: Vec<Question>) -> Done<(Vec<Free>, Vec<Block>)> {
        let (mut free, mut blocks) = (vec![], Vec::<Block>::new());
        let mut seen = HashSet::new();
        for (ordinal, q) in (0..).zip(questions) {
            let item = Item {
                ordinal,
                target: q.target.id,
                candidate: q.candidate,
                example: q.example,
                repeat: q.repeat,
                key: q.key,
            };
            let query = KeyQuery {
                key: q.key,
                example: q.example,
            };
            let stored = self.store.stored(&[query], q.grader.as_ref()).await?;
            if stored == [true] || !seen.insert(q.key) {
                free.push((q.grader, item));
                continue;
            }
            let fits =
                |b: &Block| b.items.len() < BLOCK && b.model == q.model && b.grader == q.grader;
            match blocks.iter_mut().find(|b| fits(b)) {
                Some(block) => block.items.push(item),
                None => blocks.push(Block {
                    model: q.model,
                    grader: q.grader,
                    items: vec![item],
                }),
            }
        }
        Ok((free, blocks))
    }
}
