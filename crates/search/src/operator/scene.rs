//! What an operator looks at: a pool seen from one member, with scores and a source of chance.

use super::Operator;
use crate::{
    draws::Draws,
    pool::{Known, Member, Pool, Subject, Trial},
    text::{
        mutations, questions,
        turns::{self, Turn},
    },
};

/// An answer is right from here on.
pub const RIGHT: f64 = 1.0 - 1e-9;
/// Trials of the pool's mean value that every score contains: a member with two lucky answers is not the best.
const PRIOR: f64 = 4.0;
/// What even the worst member weighs on a roulette wheel.
const LEAST: f64 = 0.01;

/// A pool seen from the member that the planner chose.
pub struct Scene<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// The member's index.
    pub parent: usize,
    /// The member.
    pub member: &'a Member,
    /// Its mutation prompt, or one of ours.
    pub mutation: String,
    /// How good each member is, in `[0, 1]`: see [`scores`].
    pub scores: Vec<f64>,
    /// Chance.
    pub draw: Draws,
}

impl<'a> Scene<'a> {
    /// `None` where there is no such member.
    pub fn of(operator: Operator, pool: &'a Pool, parent: usize, seed: u64) -> Option<Self> {
        let member = pool.members.get(parent)?;
        let mut draw = Draws::of(&format!("{} {parent}", operator.name()), seed);
        let ours = draw
            .one(mutations::of(&pool.task.subject))
            .copied()
            .unwrap_or_default();
        let mutation = match member.doc.mutation.as_deref().map(str::trim) {
            Some(own) if !own.is_empty() => own.to_owned(),
            _ => ours.to_owned(),
        };
        Some(Self {
            pool,
            parent,
            member,
            mutation,
            scores: scores(pool),
            draw,
        })
    }

    /// What is searched.
    pub fn subject(&self) -> &'a Subject {
        &self.pool.task.subject
    }

    /// The member with the question's own words; the parent where there is none.
    pub fn root(&self) -> usize {
        let own = |m: &usize| self.subject().original() == Some(self.text(*m));
        let mut members = 0..self.pool.members.len();
        members.find(own).unwrap_or(self.parent)
    }

    /// The parents of what is made while these members were shown: of a question all of them, the scene's own first; of an
    /// instruction the one whose prompt it inherits.
    pub fn parents(&self, shown: &[usize]) -> Vec<usize> {
        if self.subject().original().is_none() {
            return vec![self.parent];
        }
        let mut out = shown.to_vec();
        out.sort_by_key(|m| *m != self.parent);
        out
    }

    /// The parent's words; `None` where it has none.
    pub fn words(&self) -> Option<&'a str> {
        Some(self.member.words()).filter(|i| !i.trim().is_empty())
    }

    /// What the task is; `None` where nothing is said.
    pub fn description(&self) -> Option<&'a str> {
        Some(self.pool.task.description.trim()).filter(|d| !d.is_empty())
    }

    /// Members with words that were tried, the best last. Of equal ones the newer stands later.
    pub fn ranked(&self) -> Vec<usize> {
        let mut tried: Vec<usize> = self.with_instruction();
        tried.retain(|&m| !values(&self.pool.members[m]).is_empty());
        tried.sort_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]).then(a.cmp(&b)));
        tried
    }

    /// Members with words.
    pub fn with_instruction(&self) -> Vec<usize> {
        let has = |m: &usize| !self.text(*m).trim().is_empty();
        (0..self.pool.members.len()).filter(has).collect()
    }

    /// A member's words.
    pub fn text(&self, member: usize) -> &'a str {
        self.pool
            .members
            .get(member)
            .map(Member::words)
            .unwrap_or_default()
    }

    /// One of these members, with probability in proportion to its score.
    pub fn roulette(&mut self, of: &[usize]) -> Option<usize> {
        let weight = |&m: &usize| self.scores.get(m).copied().unwrap_or_default() + LEAST;
        let weights: Vec<f64> = of.iter().map(weight).collect();
        of.get(self.draw.weighted(&weights)?).copied()
    }

    /// The example of a trial.
    pub fn example(&self, trial: &Trial) -> Option<&'a Known> {
        self.pool.examples.get(trial.example)
    }

    /// Worked turns from other tasks.
    pub fn turns(&mut self, n: usize) -> Vec<Turn> {
        match &self.pool.task.subject {
            Subject::Instruction => turns::drawn(&mut self.draw, &self.pool.task.description, n),
            Subject::Question { original, .. } => questions::drawn(&mut self.draw, original, n),
        }
    }
}

/// How good each member is, in `[0, 1]`: its mean over its trials and over [`PRIOR`] more of the pool's mean value.
/// Members were tried on different numbers of examples: few trials say little.
pub fn scores(pool: &Pool) -> Vec<f64> {
    let all: Vec<f64> = pool.members.iter().flat_map(values).collect();
    let prior = domain::stats::mean(&all).unwrap_or(0.5);
    let score = |m: &Member| {
        let own = values(m);
        (own.iter().sum::<f64>() + PRIOR * prior) / (own.len() as f64 + PRIOR)
    };
    pool.members.iter().map(score).collect()
}

/// The values of a member's trials, in `[0, 1]`; what is no number is left out.
fn values(member: &Member) -> Vec<f64> {
    let values = member.trials.iter().map(|t| t.value);
    values
        .filter(|v| v.is_finite())
        .map(|v| v.clamp(0.0, 1.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::pool;
    use super::*;

    #[test]
    fn two_lucky_answers_are_not_the_best() {
        let mut pool = pool();
        let trial = |value| Trial {
            example: 0,
            value,
            said: None,
            feedback: String::new(),
        };
        pool.members[0].trials = vec![trial(1.0); 2];
        pool.members[1].trials = [vec![trial(1.0); 18], vec![trial(0.0); 2]].concat();
        pool.members[2].trials = [vec![trial(f64::NAN)], vec![trial(-3.0); 8]].concat();
        pool.members.truncate(3);
        let scene = Scene::of(Operator::Eda, &pool, 0, 1).unwrap();
        assert_eq!(scene.ranked(), [2, 0, 1]);
        assert!(scene.scores.iter().all(|s| (0.0..=1.0).contains(s)));
    }
}
