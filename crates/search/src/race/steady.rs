//! Prompts that make the model say one thing, whatever the input is.
//!
//! Where the right answer is one of a few, that is the commonest way to be no good, and a small model does it for most sets of
//! demonstrations. How often such a prompt is right needs no further questions: it is the share of the examples whose
//! answer it says. A model of answers that vary by chance cannot see that. It takes three of six for half with a wide
//! margin, so that among many such prompts one is always thought to be better than the best.

use crate::{
    operator::RIGHT,
    pool::{Member, Pool},
};
use domain::proposal::fold;
use std::collections::BTreeMap;

/// Replies that have to be the same, to inputs with different answers.
const LEAST: usize = 6;
/// Standard deviation of its share of right answers after one reply; after n that are the same it is the n-th part.
const DEVIATION: f64 = 0.15;

/// What is known of such a prompt's true mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steady {
    /// The share of examples whose answer it says.
    pub(super) share: f64,
    /// Variance of that.
    pub(super) variance: f64,
}

/// For each member; `None` where its replies differ, or are too few to tell, or are not simply right or wrong by the example's
/// answer.
pub(super) fn of(pool: &Pool) -> Vec<Option<Steady>> {
    pool.members.iter().map(|m| steady(pool, m)).collect()
}

fn steady(pool: &Pool, member: &Member) -> Option<Steady> {
    let n = member.trials.len();
    let said = fold(member.trials.first()?.said.as_deref()?);
    if n < LEAST {
        return None;
    }
    let mut verdicts: BTreeMap<String, bool> = BTreeMap::new();
    for trial in &member.trials {
        let answer = fold(pool.examples.get(trial.example)?.answer.as_deref()?);
        let right = verdict(trial.value)?;
        let same = fold(trial.said.as_deref()?) == said;
        if !same || *verdicts.entry(answer).or_insert(right) != right {
            return None;
        }
    }
    let deviation = DEVIATION / n as f64;
    (verdicts.len() > 1).then(|| Steady {
        share: share(pool, &verdicts),
        variance: deviation * deviation,
    })
}

fn verdict(value: f64) -> Option<bool> {
    match value {
        v if v >= RIGHT => Some(true),
        v if v <= 1.0 - RIGHT => Some(false),
        _ => None,
    }
}

/// What is right for one answer is taken for wrong for answers that were not met.
fn share(pool: &Pool, verdicts: &BTreeMap<String, bool>) -> f64 {
    let answers = pool.examples.iter().filter_map(|k| k.answer.as_deref());
    let right = |a: &&str| verdicts.get(&fold(a)) == Some(&true);
    let hit = answers.clone().filter(right).count();
    hit as f64 / answers.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        operator::tests,
        pool::Trial,
        race::{Rules, Span, allocate},
    };

    /// A prompt that was tried on the first examples, whose answers are positive and negative in turn.
    fn pool(replies: &[(&str, f64)]) -> Pool {
        let mut pool = tests::pool();
        let trial = |(example, &(said, value)): (usize, &(&str, f64))| Trial {
            example,
            value,
            said: Some(said.to_owned()),
            feedback: String::new(),
        };
        pool.members.truncate(1);
        pool.members[0].trials = replies.iter().enumerate().map(trial).collect();
        pool
    }

    fn known(replies: &[(&str, f64)]) -> Option<Steady> {
        of(&pool(replies))[0]
    }

    #[test]
    fn one_reply_to_all_is_right_as_often_as_the_answer_occurs() {
        let mut said = [("positive", 1.0), ("Positive.", 0.0)].repeat(3);
        let found = known(&said).unwrap();
        assert!((found.share - 0.5).abs() < 1e-9 && found.variance < 0.01);
        said.extend_from_within(..);
        let later = known(&said).unwrap();
        assert!(later.variance < found.variance && later.share == found.share);
        // Right for none.
        let none = known(&[("film", 0.0); 6]).unwrap();
        assert!(none.share.abs() < 1e-9);
    }

    /// Ten prompts tell inputs apart a little, forty say one thing, and all met one block of six: calls go to the ten.
    #[test]
    fn calls_go_to_prompts_that_tell_inputs_apart() {
        let (mut known, mut believed) = (0, 0);
        for seed in 0..20 {
            let mut made = pool(&[]);
            let start = made.members.remove(0);
            let mut lot = crate::race::tests::Lot::new(seed);
            for m in 0..50usize {
                let (from, wrong) = (lot.unit(), if m.is_multiple_of(5) { 0.35 } else { 0.0 });
                let mut child = start.clone();
                let from = (from * 6.0) as usize;
                child.trials = (from..from + 6)
                    .map(|i| answer(&made, i, m, lot.unit() < wrong))
                    .collect();
                (child.parents, child.operator) = (vec![0], Some("shots".to_owned()));
                made.members.push(child);
            }
            let asked = |pool: &Pool| {
                let asked = allocate(pool, &[true; 50], (60, Span::ALL), &Rules::default(), seed);
                asked.iter().step_by(5).flatten().count()
            };
            known += asked(&made);
            let trials = made.members.iter_mut().flat_map(|m| &mut m.trials);
            trials.for_each(|t| t.said = None);
            believed += asked(&made);
        }
        assert!(known > believed + 100, "{known} {believed}");
    }

    /// What the m-th says to an example: every fifth the right answer, unless it is `wrong`; of the others one half "positive",
    /// one half "negative".
    fn answer(pool: &Pool, example: usize, m: usize, wrong: bool) -> Trial {
        let is = pool.examples[example].answer.as_deref() == Some("positive");
        let says = if m.is_multiple_of(5) {
            is != wrong
        } else {
            m.is_multiple_of(2)
        };
        Trial {
            example,
            value: f64::from(u8::from(says == is)),
            said: Some(says.to_string()),
            feedback: String::new(),
        }
    }

    #[test]
    fn what_may_still_differ_is_not_known() {
        let said = [("positive", 1.0), ("positive", 0.0)].repeat(3);
        let with = |change: fn(&mut Vec<(&str, f64)>)| {
            let mut said = said.clone();
            change(&mut said);
            known(&said)
        };
        assert!(with(|_| ()).is_some());
        assert_eq!(with(|s| s.truncate(5)), None);
        assert_eq!(with(|s| s[3].0 = "negative"), None);
        // A grader that sees more than the answer.
        assert_eq!(with(|s| s[3].1 = 0.5), None);
        assert_eq!(with(|s| s[2].1 = 0.0), None);
        let mut unsaid = pool(&said);
        unsaid.members[0].trials[4].said = None;
        assert_eq!(of(&unsaid)[0], None);
        let mut open = pool(&said);
        open.examples[0].answer = None;
        assert_eq!(of(&open)[0], None);
        let mut alike = pool(&said);
        let answers = alike.examples.iter_mut();
        answers.for_each(|k| k.answer = Some("positive".to_owned()));
        assert_eq!(of(&alike)[0], None);
    }
}
